"""The figures: losses, errors and gradients of every kind of stack, in one look for each kind."""

import math

import numpy as np

from claimcheck.figures import style
from claimcheck.theory.mean_field import block_growth, plain_gradient_drift

CHANCE = math.log(10)
LABELS = {
    "plain": "plain",
    "unscaled": "skip, unscaled",
    "scaled": r"skip, branch × $1/\sqrt{L}$",
    "zero_init": "skip, branch starts at 0",
    "pre_norm": "skip, layer norm in branch",
}
BY_KIND = {"by": "kind", "labels": LABELS}
TRAIN_LOSS = {"x": "depth", "y": "train_loss", "lost": CHANCE, "cut": CHANCE}
"""A train loss is at most that of guessing; a diverged run is worth as much as guessing."""


def plot_train_loss_by_depth(records):
    """Train loss of every kind against depth, with the thousand-layer stacks of the other part."""
    axis = style.axis(height=3.2)
    rows = records[records["part"].isin(["depth", "thousand"])]
    style.curves(axis, rows, **TRAIN_LOSS, **BY_KIND)
    style.level(axis, CHANCE, "guessing, ln 10")
    fewest, depths = rows.groupby("depth")["seed"].nunique().min(), sorted(rows["depth"].unique())
    extra = f"{fewest} at the greatest depths" if fewest < rows["seed"].nunique() else ""
    labels = {"xlabel": "depth / hidden layers", "ylabel": "train loss / nats"}
    return style.finish(axis, rows, extra, log_ticks=depths, **labels, ylim=(0, None))


def plot_convolutional(records):
    """Train loss of the convolutional network against depth."""
    axis, looks = style.axis(height=2.8), style.looks(LABELS)
    own = {"plain": looks["plain"], "residual": looks["scaled"]}
    style.curves(axis, records, **TRAIN_LOSS, by="kind", looks=own)
    labels = {"xlabel": "depth / layers", "ylabel": "train loss / nats"}
    return style.finish(axis, records, **labels, xscale="log", yscale="log")


def plot_gradient_by_layer(records):
    """The gradient's norm by layer relative to that at the output, before training and after some steps."""
    depth, width = int(records["layer"].max()), float(records["width"].iloc[0])
    at_output = records.sort_values("layer").groupby(["run", "step"])["gradient"].transform("last")
    rows = records.assign(decades=np.log10(records["gradient"] / at_output))
    titles = {step: f"after {step} updates" if step else "before training" for step in sorted(rows["step"].unique())}
    panels = style.panels(rows, "step", titles, height=3.2, sharey=True)
    for axis, _, own in panels:
        style.curves(axis, own, x="layer", y="decades", marks=6, **BY_KIND)
    start = plain_gradient_drift(width) / 2 / math.log(10) * depth
    style.theory(panels[0].axis, [0, depth], [start, 0.0], label="plain, theory")
    return style.finish(axis, records, xlabel="layer", ylabel="gradient norm rel. to output, log10")


def plot_growth(records):
    """E[x^2] by block without normalisation, with the closed form."""
    axis, blocks = style.axis(), np.arange(records["block"].max() + 1)
    labels = {v: f"{v:g}" if v > 0 else f"1/{blocks[-1]}" for v in sorted(records["variance"].unique())}
    rows = records.assign(growth=style.relative(records, "mean_square", "block", 0) / math.log(10))
    style.curves(axis, rows, x="block", y="growth", by="variance", labels=labels, marks=8)
    for variance in labels:
        rate = math.log10(block_growth(variance or 1.0 / blocks[-1]))
        style.theory(axis, blocks, rate * blocks, label=r"$(1+\sigma_2^2)^{block}$")
    return style.finish(axis, records, title=r"$\sigma_2^2$", xlabel="block", ylabel=r"E $x^2$ / its start, log10")


def plot_stability(records):
    """Train error against learning rate at one depth: how wide the range is in which the stack learns."""
    axis = style.axis(height=2.8)
    style.curves(axis, records, x="learning_rate", y="train_error", lost=1.0, times=100, **BY_KIND)
    style.level(axis, 50.0, "counted as learning")
    return style.finish(axis, records, xlabel="learning rate", ylabel="train error / %", xscale="log", ylim=(0, 100))
