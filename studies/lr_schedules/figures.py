"""The figures of learning rates and their schedules."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.engine.schedules import multipliers
from claimcheck.figures import style

from .constants import RECIPES, shape_of

DATA = {"mnist1d_pool": "signals", "digits": "digits", "fashion_mnist": "Fashion-MNIST"}
RECIPE_NAMES = {"epoch_step": "step, per epoch", "step": "step, to a tenth"}
STARTS = {"random": "random weights", "warmup": "… and warmup", "trained": "trained weights"}
OPTIMIZERS = {"adam": "Adam", "momentum": "momentum"}


def _titled(records: pd.DataFrame, by: str, names: dict) -> tuple[pd.DataFrame, dict]:
    """Records with a column `panel` of `by` and the data set together, and the panels' titles."""
    titles = {f"{level}/{data}": f"{name}, {DATA[data]}" for level, name in names.items() for data in DATA}
    return records.assign(panel=records[by] + "/" + records["dataset"]), titles


def _failures(records: pd.DataFrame, by: str, titles: dict, columns: int | None = None):
    """Share of failed runs against the peak rate, by what the training starts from."""
    figure, panels = style.panels(records, by, titles, columns=columns, sharey=True)
    how = {"looks": style.looks(STARTS), "labels": STARTS, "average": "proportion", "times": 100}
    for axis, _, rows in panels:
        style.curves(axis, rows, x="learning_rate", y="failed", by="start", **how)
        axis.set_xscale("log", base=2)
        axis.set(xlabel="peak learning rate", ylabel="failed runs / %", ylim=(-3, 103))
        axis.label_outer()
    style.legend(panels[0].axis, outside=False)
    style.count(panels[-1].axis, records, place="right" if columns is None else "left", raised=columns is not None)
    return figure


def plot_peaks(records: pd.DataFrame):
    """Failures under Adam, a panel for each data set."""
    return _failures(records, "dataset", DATA)


def plot_momentum_peaks(records: pd.DataFrame):
    """Failures under momentum SGD, a panel for each size of the initial weights and data set."""
    rows, titles = _titled(records, "regime", {"momentum": "init × 1", "large_init": "init × 1.5"})
    return _failures(rows, "panel", titles, columns=records["dataset"].nunique())


def plot_schedules(records: pd.DataFrame):
    """The schedules' shapes, and the test loss each leads to at its own peak, a panel for each data set."""
    sets = [name for name in DATA if (records["dataset"] == name).any()]
    figure, (left, *rest) = style.figure(1, 1 + len(sets), height=2.8)
    shown = [name for name in RECIPES if (records["recipe"] == name).any()]
    looks = style.looks(shown)
    for name in shown:
        schedule, warmup = RECIPES[name]
        table = multipliers(schedule, 400, warmup, *shape_of(name, 400, 50, 0.01))
        left.plot(np.arange(400) / 4.0, table, **{**looks[name], "marker": ""})
    left.set(xlabel="share of training / %", ylabel="learning rate / peak", ylim=(-0.03, 1.05))
    for axis, name in zip(rest, sets):
        rows = records[records["dataset"] == name]
        how = {"levels": shown, "looks": looks, "labels": RECIPE_NAMES, "horizontal": True}
        style.points(axis, rows, x="recipe", y="test_loss", **how)
        axis.set(xlabel="test loss / nats", title=DATA[name])
        axis.label_outer()
    style.count(left, records, place="left")
    return figure


def plot_drops(records: pd.DataFrame):
    """What half-way does to the minibatches' loss, by schedule, a panel for each data set."""
    figure, panels = style.panels(records, "dataset", DATA, height=2.6)
    shown = [name for name in RECIPES if (records["recipe"] == name).any()]
    for axis, _, rows in panels:
        style.points(axis, rows, x="recipe", y="jump", levels=shown, labels=RECIPE_NAMES, horizontal=True)
        style.threshold(axis, 0.0)
        axis.set(xlabel="change of the loss / nats")
        axis.label_outer()
    style.count(panels[-1].axis, records)
    return figure


def plot_grid(records: pd.DataFrame):
    """Plateaus and runs that blow up against the rate, a panel for each optimiser and data set."""
    rows, titles = _titled(records, "optimizer", OPTIMIZERS)
    rows = rows.assign(relative=10.0 ** (rows["half_decades"] / 2.0))
    figure, panels = style.panels(rows, "panel", titles, columns=records["dataset"].nunique(), sharey=True)
    columns = {"plateau": "plateau", "blown_up": "blown up"}
    for axis, _, own in panels:
        style.column_curves(axis, own, x="relative", columns=columns, times=100, within=(0.0, 100.0))
        style.log_axis(axis, [0.01, 0.1, 1, 10, 100])
        axis.set(xlabel="rate / best rate", ylabel="runs / %", ylim=(-3, 103))
        axis.label_outer()
    style.legend(panels[0].axis, outside=False, loc="upper center")
    style.count(panels[-1].axis, records, raised=True)
    return figure


def plot_range_test(records: pd.DataFrame):
    """What training at a suggested rate costs, by rule and length of the ramp, a panel for each data set."""
    rules = {"at_minimum": "lowest loss, a tenth", "steepest": "steepest fall"}
    named = {f"{rule}, {ramp:g}": f"{name}, × {ramp:g}" for rule, name in rules.items() for ramp in (0.333, 1, 3)}
    tables = [records.assign(regret=records[f"regret_{rule}"], rule=rule) for rule in rules]
    rows = pd.concat(tables, ignore_index=True)
    rows["case"] = rows["rule"] + ", " + rows["ramp"].map("{:g}".format)
    rows["regret"] = rows["regret"].clip(upper=1.2)
    figure, panels = style.panels(rows, "dataset", DATA, height=2.8)
    for axis, _, own in panels:
        style.points(axis, own, x="case", y="regret", levels=list(named), labels=named, times=100, horizontal=True)
        style.region(axis, None, 10.0, across="x")
        axis.set(xlabel="regret / %")
        axis.label_outer()
    style.count(panels[-1].axis, records, "drawn up to 120 %")
    return figure


def plot_edge(records: pd.DataFrame):
    """Sharpness times half the learning rate along full-batch gradient descent, and the loss, by data set."""
    sets = [name for name in DATA if (records["dataset"] == name).any()]
    figure, axes = style.figure(2, len(sets), sharex=True, squeeze=False)
    labels = {level: rf"$\eta = {level:g} \cdot 2/\lambda_0$" for level in sorted(records["multiple"].unique())}
    for (top, bottom), name in zip(axes.T, sets):
        rows = records[records["dataset"] == name]
        for axis, column in ((top, "stability"), (bottom, "loss")):
            style.curves(axis, rows, x="step", y=column, by="multiple", labels=labels)
        style.theory(top, None, 1.0, label=r"$\lambda = 2/\eta$")
        top.set(ylabel=r"$\lambda_{\max}\,\eta/2$", ylim=(0, None), title=DATA[name])
        bottom.set(xlabel="step", ylabel="squared-error loss", yscale="log")
    style.legend(axes[0, 0], outside=False)
    style.count(axes[0, -1], records)
    return figure
