"""The figures of learning rates and their schedules."""

import numpy as np

from claimcheck.engine.schedules import multipliers
from claimcheck.figures import style
from claimcheck.results.records import part_of

from .constants import BEST_RATE, GUESSING, RECIPES

NAMES = {name: name for name in RECIPES} | {"wsd": "constant, then linear", "warmup_cosine": "warmup + cosine"}
REGIMES = {"adam": "Adam", "momentum": "momentum", "momentum_large_init": "momentum, init × 1.5"}


def plot_warmup(records):
    """Share of failed runs against the peak learning rate, by warmup; a panel per regime."""
    labels = {0.0: "no warmup", 0.1: "10 % warmup", 0.3: "30 % warmup"}
    panels = style.panels(records, "regime", REGIMES, height=2.7, sharey=True)
    for axis, _, rows in panels:
        how = {"labels": labels, "average": "proportion", "times": 100}
        style.curves(axis, rows, x="learning_rate", y="failed", by="warmup", **how)
        axis.set_xscale("log", base=2)
    style.legend(panels[0].axis, outside=False)
    labels = {"xlabel": "peak learning rate", "ylabel": "failed runs / %"}
    return style.finish(axis, records, raised=True, **labels, ylim=(-3, 103))


def plot_schedules(records):
    """The schedules' shapes, and the test loss each leads to at its own peak."""
    left, right = style.side_by_side("learning rate / peak", "", width_ratios=[1, 1.3])
    for name, look in style.looks(RECIPES).items():
        schedule, warmup = RECIPES[name]
        left.plot(np.arange(400) / 4.0, multipliers(schedule, 400, warmup), **{**look, "marker": ""})
    left.set(xlabel="share of training / %", ylim=(-0.03, 1.05))
    style.points(right, records, x="recipe", y="test_loss", labels=NAMES, horizontal=True)
    right.set_xlabel("test loss / nats")
    return style.finish(right, records)


def plot_plateau(records):
    """Train loss after a fixed budget against a constant learning rate, and the low rate with more patience."""
    axis, looks = style.axis(), style.looks(["train_loss", "patience"])
    grid, patience = part_of(records, "grid"), part_of(records, "patience")
    how = {"looks": looks, "lost": 2.0 * GUESSING, "cut": 2.0 * GUESSING}
    style.column_curves(axis, grid, x="learning_rate", columns={"train_loss": "ordinary budget"}, **how)
    longer = patience.groupby("step")["train_loss"].mean()
    look = {**looks["patience"], "linestyle": ":"}
    axis.plot([patience["rate"].iloc[0]] * len(longer), longer, label="× 1, 2, 5, 10 the budget", **look)
    style.level(axis, GUESSING, "guessing")
    labels = {"xlabel": "learning rate (constant)", "ylabel": "train loss / nats"}
    return style.finish(axis, grid, **labels, xscale="log", ylim=(0, None))


def plot_range_test(records):
    """What a range test suggests, by rule and speed of the ramp."""
    axis, rows = style.axis(), part_of(records, "range_test")
    rules = {"a tenth of the rate of the lowest loss": rows["at_minimum"] / 10.0, "steepest fall": rows["steepest"]}
    ramps, looks = sorted(rows["ramp"].unique()), style.looks(rules)
    for shift, (rule, rates) in zip((-0.14, 0.14), rules.items()):
        look = {name: looks[rule][name] for name in ("color", "marker")}
        axis.scatter(rows["ramp"].map(ramps.index) + shift, rates, s=18, alpha=0.6, label=rule, **look)
    style.level(axis, BEST_RATE, "best constant rate of the pilots")
    axis.set_yscale("log")
    axis.set_xticks(range(len(ramps)), ramps)
    style.region(axis, BEST_RATE / 3.0, BEST_RATE * 3.0, label="within a factor of 3")
    return style.finish(axis, rows, xlabel="steps of the ramp", ylabel="suggested learning rate")


def plot_edge(records):
    """Sharpness times half the learning rate along full-batch gradient descent, and the loss."""
    labels = {level: rf"$\eta = {level:g} \cdot 2/\lambda_0$" for level in sorted(records["multiple"].unique())}
    stability, loss = style.side_by_side(r"$\lambda_{\max}\,\eta/2$", "squared-error loss", height=2.8)
    style.curves(stability, records, x="step", y="stability", by="multiple", labels=labels)
    style.curves(loss, records, x="step", y="loss", by="multiple", labels=labels)
    style.level(stability, 1.0, r"$\lambda = 2/\eta$")
    style.legend(stability, outside=False)
    stability.set_ylim(0, None)
    loss.set_yscale("log")
    return style.finish(loss, records, xlabel="step")
