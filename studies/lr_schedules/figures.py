"""The figures of learning rates and their schedules."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.engine.schedules import multipliers
from claimcheck.figures import style
from claimcheck.results.records import part_of

from .constants import BEST_RATE, GUESSING, RECIPES

NAMES = {"wsd": "constant, then linear", "warmup_cosine": "warmup + cosine"}
REGIME_NAMES = {"adam": "Adam", "momentum": "momentum", "momentum_large_init": "momentum, init × 1.5"}


def plot_warmup(records: pd.DataFrame):
    """Share of failed runs against the peak learning rate, by warmup; a panel per regime."""
    figure, panels = style.panels(records, "regime", REGIME_NAMES, height=2.7, sharey=True)
    names = {0.0: "no warmup", 0.1: "10 % warmup", 0.3: "30 % warmup"}
    how = {"looks": style.looks(names), "labels": names, "average": "proportion", "times": 100}
    for axis, _, rows in panels:
        style.curves(axis, rows, x="learning_rate", y="failed", by="warmup", **how)
        axis.set_xscale("log", base=2)
        axis.set(xlabel="peak learning rate", ylim=(-3, 103))
    first = panels[0].axis
    first.set_ylabel("failed runs / %")
    style.legend(first, outside=False)
    style.count(first, records)
    return figure


def plot_schedules(records: pd.DataFrame):
    """The schedules' shapes, and the test loss each leads to at its own peak."""
    figure, (left, right) = style.figure(1, 2, height=3.0, width_ratios=[1, 1.3])
    looks = style.looks(RECIPES)
    for name, (schedule, warmup) in RECIPES.items():
        left.plot(np.arange(400) / 4.0, multipliers(schedule, 400, warmup), **{**looks[name], "marker": ""})
    left.set(xlabel="share of training / %", ylabel="learning rate / peak", ylim=(-0.03, 1.05))
    how = {"levels": list(RECIPES), "looks": looks, "labels": NAMES, "horizontal": True}
    style.points(right, records, x="recipe", y="test_loss", **how)
    right.set(xlabel="test loss / nats")
    style.count(right, records)
    return figure


def plot_plateau(records: pd.DataFrame):
    """Train loss after a fixed budget against a constant learning rate, and the low rate with more patience."""
    _, axis = style.figure()
    grid, patience = part_of(records, "grid"), part_of(records, "patience")
    grid = grid.assign(loss=grid["train_loss"].fillna(np.inf).clip(upper=2.0 * GUESSING))
    looks = style.looks(["loss", "patience"])
    style.column_curves(axis, grid, x="learning_rate", columns={"loss": "ordinary budget"}, looks=looks)
    longer = patience.groupby("step")["train_loss"].mean()
    look = {**looks["patience"], "linestyle": ":"}
    axis.plot([patience["rate"].iloc[0]] * len(longer), longer, label="× 1, 2, 5, 10 the budget", **look)
    style.theory(axis, None, GUESSING, label="guessing")
    shown = {"xlabel": "learning rate (constant)", "ylabel": "train loss / nats"}
    return style.finish(axis, grid, **shown, xscale="log", ylim=(0, None))


def plot_range_test(records: pd.DataFrame):
    """What a range test suggests, by rule and speed of the ramp."""
    _, axis = style.figure()
    rows = part_of(records, "range_test")
    rules = {"a tenth of the rate of the lowest loss": rows["at_minimum"] / 10.0, "steepest fall": rows["steepest"]}
    ramps, looks = sorted(rows["ramp"].unique()), style.looks(rules)
    for shift, (rule, rates) in zip((-0.14, 0.14), rules.items()):
        look = {name: looks[rule][name] for name in ("color", "marker")}
        axis.scatter(rows["ramp"].map(ramps.index) + shift, rates, s=18, alpha=0.6, label=rule, **look)
    style.theory(axis, None, BEST_RATE, label="best constant rate of the pilots")
    axis.set_yscale("log")
    axis.set_xticks(range(len(ramps)), ramps)
    style.region(axis, BEST_RATE / 3.0, BEST_RATE * 3.0, label="within a factor of 3")
    return style.finish(axis, rows, xlabel="steps of the ramp", ylabel="suggested learning rate")


def plot_edge(records: pd.DataFrame):
    """Sharpness times half the learning rate along full-batch gradient descent, and the loss."""
    figure, (left, right) = style.figure(1, 2, height=2.8)
    labels = {level: rf"$\eta = {level:g} \cdot 2/\lambda_0$" for level in sorted(records["multiple"].unique())}
    for axis, column in ((left, "stability"), (right, "loss")):
        style.curves(axis, records, x="step", y=column, by="multiple", labels=labels)
    style.theory(left, None, 1.0, label=r"$\lambda = 2/\eta$")
    left.set(xlabel="step", ylabel=r"$\lambda_{\max}\,\eta/2$", ylim=(0, None))
    right.set(xlabel="step", ylabel="squared-error loss", yscale="log")
    style.legend(left, outside=False)
    style.count(right, records)
    return figure
