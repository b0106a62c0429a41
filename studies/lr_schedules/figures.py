"""The figures of learning rates and their schedules."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from claimcheck.data.names import title
from claimcheck.engine.schedules import multipliers
from claimcheck.figures import style

from .constants import RECIPES, shape_of

DATA = {name: title(name) for name in ("mnist1d_pool", "digits", "fashion_mnist")}
RECIPE_NAMES = {
    "constant": "constant",
    "step": "to a tenth",
    "epoch_step": "step, per epoch",
    "exponential": "exponential",
    "linear": "linear",
    "cosine": "cosine",
}
STARTS = {
    "random": "random weights",
    "warmup": "… with warmup",
    "trained": "trained weights",
    "brief": "random, 10 updates of warmup",
    "trained_brief": "trained, 10 updates of warmup",
}


def _panels_of(records, by, names, **how):
    """A panel for each level of `by` and data set, a row for each level."""
    titles = {f"{level}/{data}": f"{name}, {DATA[data]}" for level, name in names.items() for data in DATA}
    rows = records.assign(panel=records[by] + "/" + records["dataset"])
    return style.panels(rows, "panel", titles, columns=records["dataset"].nunique(), **how)


def _recipes_of(records):
    return {name: label for name, label in RECIPE_NAMES.items() if (records["recipe"] == name).any()}


def _failures(panels, records, **how):
    """Share of failed runs against the peak rate, by what training starts from."""
    for axis, _, rows in panels:
        labels = {"labels": STARTS, "average": "proportion", "times": 100}
        style.curves(axis, rows, x="learning_rate", y="failed", by="start", **labels)
        axis.set_xscale("log", base=2)
    labels = {"xlabel": "peak learning rate", "ylabel": "failed runs / %"}
    return style.finish(axis, records, raised=True, ylim=(-3, 103), **labels, **how)


def plot_peaks(records):
    """Failures under Adam, a panel for each data set."""
    return _failures(style.panels(records, "dataset", DATA, sharey=True), records)


def plot_centred_peaks(records):
    """The same on inputs less each one's mean."""
    return plot_peaks(records)


def plot_momentum_peaks(records):
    """Failures under momentum SGD, a panel for each size of the initial weights and data set."""
    names = {"momentum": "init × 1", "large_init": "init × 1.5"}
    return _failures(_panels_of(records, "regime", names, sharey=True), records)


def plot_schedules(records):
    """The schedules' shapes, and the test loss each leads to at its own peak, a panel for each data set."""
    sets, names = [name for name in DATA if (records["dataset"] == name).any()], _recipes_of(records)
    left, *rest = style.side_by_side("learning rate / peak", *[""] * len(sets), height=2.8)
    for name, look in style.looks(names).items():
        (schedule, warmup), shape = RECIPES[name], shape_of(name, 400, 50, 0.01)
        left.plot(np.arange(400) / 4.0, multipliers(schedule, 400, warmup, *shape), **{**look, "marker": ""})
    left.set(xlabel="share of training / %", ylim=(-0.03, 1.05))
    for axis, name in zip(rest, sets):
        rows = records[records["dataset"] == name]
        style.points(axis, rows, x="recipe", y="test_loss", labels=names, horizontal=True)
        axis.set(xlabel="test loss / nats", title=DATA[name])
        axis.tick_params(labelleft=axis is rest[0])
    return style.finish(axis, records, raised=True)


def plot_drops(records):
    """What half-way does to the minibatches' loss, by schedule, a panel for each data set."""
    panels = style.panels(records, "dataset", DATA, height=2.6, sharey=True)
    for axis, _, rows in panels:
        style.points(axis, rows, x="recipe", y="jump", labels=_recipes_of(records), horizontal=True)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        style.threshold(axis, 0.0, "_no change")
    return style.finish(axis, records, xlabel="change of the loss / nats", raised=True)


def plot_grid(records):
    """Plateaus, runs that learn and runs that blow up against the rate, a panel for each optimiser and data set."""
    rows = records.assign(relative=10.0 ** (records["half_decades"] / 2.0))
    for axis, _, own in _panels_of(rows, "optimizer", {"adam": "Adam", "momentum": "momentum"}, sharey=True):
        columns = {"plateau": "plateau", "learnt": "learnt", "blown_up": "blown up"}
        style.column_curves(axis, own, x="relative", columns=columns, times=100, within=(0.0, 100.0))
        style.threshold(axis, 1.0, "best rate")
    labels = {"xlabel": "rate / best rate", "ylabel": "runs / %"}
    return style.finish(axis, records, log_ticks=[0.01, 0.1, 1, 10, 100], ylim=(-3, 103), raised=True, **labels)


def plot_range_test(records):
    """What training at a suggested rate costs, by rule, ramp and optimiser, and at the usual rate without a test."""
    rows = pd.concat([
        records.assign(regret=records[f"regret_{rule}"], case=records["optimizer"] + f"/{rule}/{ramp:g}")[records["ramp"] == ramp]
        for rule in ("at_minimum", "steepest", "default")
        for ramp in records["ramp"].unique()
    ])  # fmt: skip
    names = {
        "momentum/at_minimum/0.333": "momentum, lowest loss / 10,\nramp of ⅓ × training",
        "momentum/at_minimum/3": "… 3 × training",
        "momentum/steepest/0.333": "… steepest fall, ⅓",
        "momentum/default/0.333": "… 0.1, no test",
        "adam/at_minimum/0.333": "Adam, lowest loss / 10, ⅓",
        "adam/default/0.333": "… 0.001, no test",
    }
    for axis, _, own in style.panels(rows, "dataset", DATA, height=3.0, sharey=True):
        style.points(axis, own, x="case", y="regret", labels=names, times=100, cut=1.2, horizontal=True)
        style.region(axis, None, 10.0, across="x")
    return style.finish(axis, records, "more counts as 120 %", xlabel="regret / %", raised=True)


def plot_edge(records):
    """Sharpness times half the learning rate along full-batch gradient descent, and the loss, a column a data set."""
    sets = [name for name in DATA if (records["dataset"] == name).any()]
    labels = {level: rf"$\eta = {level:g} \cdot 2/\lambda_0$" for level in sorted(records["multiple"].unique())}
    _, axes = style.figure(2, len(sets), sharex=True, squeeze=False)
    for (stability, loss), name in zip(axes.T, sets):
        rows = records[records["dataset"] == name]
        style.curves(stability, rows, x="step", y="stability", by="multiple", labels=labels)
        style.curves(loss, rows, x="step", y="loss", by="multiple", labels=labels)
        style.level(stability, 1.0, r"$\lambda = 2/\eta$")
        stability.set(title=DATA[name], ylim=(0, None))
        loss.set_yscale("log")
    axes[0, 0].set_ylabel(r"$\lambda_{\max}\,\eta/2$")
    axes[1, 0].set_ylabel("squared-error loss")
    return style.finish(loss, records, xlabel="step", raised=True)
