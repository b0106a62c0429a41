"""Figures of regularisation: few data and many, methods side by side, decay against L2, width against strength."""

import numpy as np

from claimcheck.data.names import title
from claimcheck.figures import style

from .statistics import GUESS

DATA = {name: title(name) for name in ("mnist5k", "mnist1d_pool", "digits")}
METHODS = {"none": "none", "dropout": "dropout", "decay": "decay", "shifts": "shifts", "turned": "upside\ndown"}
STRENGTHS = {0.0: "none", 1.0: "decay"}


def _place(cell):
    """From few examples to many, and from a low rate to a high one."""
    return cell[0], cell[1] == "half"


def plot_few_and_many(records):
    """What dropout takes off the test error of the same run without it, by number of examples and rate."""
    how = {"dropout": "", "half": "\nrate 0.5"}
    cells = {(examples, method) for examples, method in zip(records["examples"], records["method"]) if method in how}
    names = {f"{examples}/{method}": f"{examples:,}{how[method]}" for examples, method in sorted(cells, key=_place)}
    error = records["test_error"].fillna(GUESS)
    keys = ["dataset", "examples", "seed"]
    plain = records.assign(plain=error)[records["method"] == "none"][[*keys, "plain"]]
    rows = records.assign(error=error).merge(plain, on=keys)
    rows = rows.assign(gain=rows["plain"] - rows["error"], cell=rows["examples"].astype(str) + "/" + rows["method"])
    for axis, _, own in style.panels(rows, "dataset", DATA, height=3.0):
        style.points(axis, own, x="cell", y="gain", labels=names, times=100)
        style.level(axis, 0.0, "no dropout")
    return style.finish(axis, records, xlabel="training examples", ylabel="gain / points of error", raised=True)


def plot_methods(records):
    """Test error by method with few examples, and the plain test error with the most."""
    some = records[records["examples"] == 300]
    most = records[(records["examples"] == records["examples"].max()) & (records["method"] == "none")]
    label = f"{records['examples'].max():,} examples,\nnone"
    for axis, data, own in style.panels(some, "dataset", DATA, height=3.0):
        style.points(axis, own, x="method", y="test_error", labels=METHODS, times=100, lost=GUESS)
        style.level(axis, 100 * most[most["dataset"] == data]["test_error"].mean(), label)
    return style.finish(axis, records, ylabel="test error / %", raised=True)


def plot_l2(records):
    """Distance of Adam with a penalty from AdamW over the strength of the penalty, and the level of one algorithm."""
    axis = style.axis()
    style.curves(axis, records, x="strength", y="distance", by="dataset", labels=DATA)
    style.level(axis, 0.01, "hardly apart: 1 %")
    labels = {"xlabel": "strength of the penalty", "ylabel": "distance / norm of the weights"}
    ticks = [strength for strength in sorted(records["strength"].unique()) if np.log10(strength) % 1 == 0]
    return style.finish(axis, records, log_ticks=ticks, yscale="log", **labels)


def plot_widths(records):
    """Test error over width, without and with decay; in ratios, since the narrowest err several times as often."""
    for axis, _, rows in style.panels(records, "dataset", DATA):
        how = {"by": "strength", "labels": STRENGTHS, "times": 100, "lost": GUESS}
        style.curves(axis, rows, x="width", y="test_error", **how)
        style.log_axis(axis, sorted(rows["width"].unique()))
        low, high = axis.get_ylim()
        style.log_axis(axis, [tick for tick in (10, 20, 40, 80) if low < tick < high], across="y")
    return style.finish(axis, records, xlabel="width / units", ylabel="test error / %")


def plot_strengths(records):
    """Test error of the widest network by strength of the decay."""
    widest = records[records["width"] == records["width"].max()]
    names = {strength: f"{strength:g} ×" for strength in sorted(widest["strength"].unique())}
    for axis, _, rows in style.panels(widest, "dataset", DATA, height=2.8):
        style.points(axis, rows, x="strength", y="test_error", labels=names, times=100, lost=GUESS)
    return style.finish(axis, records, xlabel="strength of the decay", ylabel="test error / %")
