"""The figures: losses, accuracies and gradients of every kind of stack, in one look for each kind."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

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
LOOKS = style.looks(LABELS)
BY_KIND = {"by": "kind", "looks": LOOKS, "labels": LABELS}


def capped(records: pd.DataFrame) -> pd.DataFrame:
    """The records with a train loss of at most that of guessing; a diverged run is worth as much as guessing."""
    return records.assign(train_loss=records["train_loss"].fillna(CHANCE).clip(upper=CHANCE))


def plot_train_loss_by_depth(records: pd.DataFrame):
    """Train loss of every kind against depth, with the thousand-layer stacks of the other part."""
    _, axis = style.figure(height=3.2)
    rows = capped(records[records["part"].isin(["depth", "thousand"])])
    style.curves(axis, rows, x="depth", y="train_loss", **BY_KIND)
    style.theory(axis, None, CHANCE, label="guessing, ln 10")
    style.log_axis(axis, sorted(rows["depth"].unique()))
    fewest = rows.groupby("depth")["seed"].nunique().min()
    extra = f"{fewest} at the greatest depths" if fewest < rows["seed"].nunique() else ""
    return style.finish(axis, rows, extra, xlabel="depth / hidden layers", ylabel="train loss / nats", ylim=(0, None))


def plot_convolutional(records: pd.DataFrame):
    """Train loss of the convolutional network against depth."""
    _, axis = style.figure(height=2.8)
    looks = {"plain": LOOKS["plain"], "residual": LOOKS["scaled"]}
    style.curves(axis, capped(records), x="depth", y="train_loss", by="kind", looks=looks)
    scales = {"xscale": "log", "yscale": "log"}
    return style.finish(axis, records, xlabel="depth / layers", ylabel="train loss / nats", **scales)


def plot_gradient_by_layer(records: pd.DataFrame):
    """The gradient's norm by layer relative to that at the output, before training and after some steps."""
    depth, width = int(records["layer"].max()), float(records["width"].iloc[0])
    at_output = records.sort_values("layer").groupby(["run", "step"])["gradient"].transform("last")
    rows = records.assign(decades=np.log10(records["gradient"] / at_output))
    titles = {step: f"after {step} updates" if step else "before training" for step in sorted(rows["step"].unique())}
    figure, panels = style.panels(rows, "step", titles, height=3.2, sharey=True)
    for axis, _, own in panels:
        style.curves(axis, own, x="layer", y="decades", marks=6, **BY_KIND)
        axis.set(xlabel="layer")
    first, last = panels[0].axis, panels[-1].axis
    start = plain_gradient_drift(width) / 2 / math.log(10) * depth
    style.theory(first, [0, depth], [start, 0.0], label="plain, theory")
    first.set(ylabel="gradient norm rel. to output, log10")
    style.count(last, records)
    last.legend(*first.get_legend_handles_labels(), loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return figure


def plot_thousand_layers(records: pd.DataFrame):
    """Train accuracy of the deepest stacks, every seed a dot; a diverged run is wrong everywhere."""
    _, axis = style.figure(height=2.6)
    depth = records["depth"].max()
    rows = records[records["depth"] == depth]
    rows = rows.assign(accuracy=1.0 - rows["train_error"].fillna(1.0))
    levels = [kind for kind in LABELS if kind in set(rows["kind"])]
    names = {kind: name.replace(", ", ",\n").replace("norm in", "norm\nin") for kind, name in LABELS.items()}
    style.points(axis, rows, x="kind", y="accuracy", levels=levels, looks=LOOKS, labels=names, times=100)
    style.theory(axis, None, 10.0, label="guessing")
    style.theory(axis, None, 90.0, label="90 %", linestyle=":")
    return style.finish(axis, rows, f"{depth} layers", ylabel="train accuracy / %", ylim=(0, 102))


def plot_growth(records: pd.DataFrame):
    """E[x^2] by block without normalisation, with the closed form."""
    _, axis = style.figure(height=3.0)
    blocks = np.arange(records["block"].max() + 1)
    labels = {v: f"{v:g}" if v > 0 else f"1/{blocks[-1]}" for v in sorted(records["variance"].unique())}
    start = records[records["block"] == 0].set_index("run")["mean_square"]
    rows = records.assign(growth=np.log10(records["mean_square"] / records["run"].map(start)))
    style.curves(axis, rows, x="block", y="growth", by="variance", looks=style.looks(labels), labels=labels, marks=8)
    for variance in labels:
        rate = math.log10(block_growth(variance or 1.0 / blocks[-1]))
        style.theory(axis, blocks, rate * blocks, label=r"$(1+\sigma_2^2)^{block}$")
    return style.finish(axis, records, title=r"$\sigma_2^2$", xlabel="block", ylabel=r"E $x^2$ / its start, log10")


def plot_stability(records: pd.DataFrame):
    """Train error against learning rate at one depth: how wide the range is in which the stack learns."""
    _, axis = style.figure(height=2.8)
    rows = records.assign(error=records["train_error"].fillna(1.0))
    style.curves(axis, rows, x="learning_rate", y="error", times=100, **BY_KIND)
    style.theory(axis, None, 50.0, label="counted as learning")
    return style.finish(axis, rows, xlabel="learning rate", ylabel="train error / %", xscale="log", ylim=(0, 100))
