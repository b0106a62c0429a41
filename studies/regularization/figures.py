"""Figures of regularisation: few data and many, methods side by side, decay against L2, width against strength."""

import pandas as pd

from claimcheck.figures import style

from .statistics import GUESS

DATA = {"mnist5k": "MNIST", "mnist1d_pool": "MNIST-1D", "digits": "digits"}
RATES = {"none": "no dropout", "fifth": "rate 0.2", "half": "rate 0.5"}
METHODS = {"none": "none", "half": "dropout", "decay": "decay", "shifts": "shifts", "turned": "turned"}
DECAYS = {0.0: "none", 1.0: "decay"}


def plot_few_and_many(records):
    """Test error over the number of examples, by rate of dropout."""
    for axis, _, rows in style.panels(records, "dataset", DATA):
        how = {"by": "method", "labels": RATES, "times": 100, "lost": GUESS}
        style.curves(axis, rows, x="examples", y="test_error", **how)
        style.log_axis(axis, sorted(rows["examples"].unique()))
    return style.finish(axis, records, xlabel="training examples", ylabel="test error / %")


def plot_methods(records):
    """Training and test error by method with few examples, and the plain test error with the most."""
    some = records[records["examples"] == (300 if 300 in set(records["examples"]) else records["examples"].min())]
    sides = {"test_error": "test", "training_error": "training"}
    titles = {f"{data}/{side}": f"{DATA[data]}, {said}" for data in DATA for side, said in sides.items()}
    rows = pd.concat([some.assign(panel=some["dataset"] + f"/{side}", error=some[side]) for side in sides])
    most = records[(records["examples"] == records["examples"].max()) & (records["method"] == "none")]
    names = {method: said for method, said in METHODS.items() if method in set(some["method"])}
    for axis, panel, own in style.panels(rows, "panel", titles, columns=2, height=4.8):
        style.points(axis, own, x="method", y="error", labels=names, times=100, lost=GUESS)
        data, side = panel.split("/")
        if side == "test_error":
            style.level(axis, 100 * most[most["dataset"] == data][side].mean(), "ten times\nthe examples")
    return style.finish(axis, records, ylabel="error / %", raised=True)


def plot_l2(records):
    """Distance of Adam with a penalty from AdamW over the strength of the penalty, and the level of one algorithm."""
    axis = style.axis()
    style.curves(axis, records, x="strength", y="distance", by="dataset", labels=DATA)
    style.level(axis, 0.01, "the same, to\nrounding and more")
    labels = {"xlabel": "strength of the penalty", "ylabel": "distance / norm of the weights"}
    return style.finish(axis, records, log_ticks=sorted(records["strength"].unique()), yscale="log", **labels)


def plot_widths(records):
    """Test error over width, without and with decay."""
    for axis, _, rows in style.panels(records, "dataset", DATA):
        how = {"by": "weight_decay", "labels": DECAYS, "times": 100, "lost": GUESS}
        style.curves(axis, rows, x="width", y="test_error", **how)
        style.log_axis(axis, sorted(rows["width"].unique()))
    return style.finish(axis, records, xlabel="width / units", ylabel="test error / %")


def plot_strengths(records):
    """Test error of the widest network by strength of the decay."""
    for axis, _, rows in style.panels(records, "dataset", DATA, height=2.8):
        style.points(axis, rows, x="weight_decay", y="test_error", times=100, lost=GUESS)
    return style.finish(axis, records, xlabel="weight decay", ylabel="test error / %")
