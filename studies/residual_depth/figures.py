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
SHORT = {"plain": "plain", "scaled": "scaled", "zero_init": "from 0"}
LOOKS = style.looks(LABELS)
DATA = {"digits": "digits", "mnist1d_pool": "MNIST-1D", "mnist5k": "MNIST"}
BY_KIND = {"by": "kind", "looks": LOOKS, "labels": LABELS}


def capped(records: pd.DataFrame) -> pd.DataFrame:
    """The records with a train loss of at most that of guessing; a diverged run is worth as much as guessing."""
    return records.assign(train_loss=records["train_loss"].fillna(CHANCE).clip(upper=CHANCE))


def plot_train_loss_by_depth(records: pd.DataFrame):
    """Train loss of every kind at each depth, a panel per data set, every unit a dot."""
    rows = capped(records)
    depths, kinds = sorted(rows["depth"].unique()), [kind for kind in LABELS if kind in set(rows["kind"])]
    levels = {f"{kind} {depth}": (kind, depth) for depth in depths for kind in kinds}
    rows = rows.assign(level=rows["kind"] + " " + rows["depth"].astype(str))
    looks = {level: LOOKS[kind] for level, (kind, _) in levels.items()}
    names = {level: SHORT[kind] + f"\n{depth}" for level, (kind, depth) in levels.items()}
    _, panels = style.panels(rows, "dataset", DATA, height=2.9, sharey=True)
    for axis, _, own in panels:
        style.points(axis, own, x="level", y="train_loss", levels=list(levels), looks=looks, labels=names)
        style.theory(axis, None, CHANCE, label="guessing, ln 10")
        axis.set(ylim=(0, None))
    panels[0].axis.set(ylabel="train loss / nats")
    return style.finish(panels[-1].axis, rows)


def plot_change(records: pd.DataFrame):
    """How much a trained block changes its input, and what its absence costs, against depth."""
    figure, axes = style.figure(1, 2, height=2.8)
    for axis, column, times, label in (
        (axes[0], "change", 1, r"$\Vert F(h)\Vert\;/\;\Vert h\Vert$"),
        (axes[1], "left_out", 100, "train error added by leaving a block out / %"),
    ):
        style.curves(axis, records, x="depth", y=column, times=times, **BY_KIND)
        style.log_axis(axis, sorted(records["depth"].unique()))
        axis.set(xlabel="depth / hidden layers", ylabel=label, ylim=(0, None))
    style.finish(axes[1], records)
    return figure


def plot_convolutional(records: pd.DataFrame):
    """Train loss of the convolutional network against depth, a panel per data set."""
    titles = {"fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}
    looks = {"plain": LOOKS["plain"], "residual": LOOKS["scaled"]}
    _, panels = style.panels(capped(records), "dataset", titles, height=2.8, sharey=True)
    for axis, _, own in panels:
        style.curves(axis, own, x="depth", y="train_loss", by="kind", looks=looks)
        axis.set(xscale="log", yscale="log", xlabel="depth / layers")
    return style.finish(panels[-1].axis, records)


def plot_gradient_by_layer(records: pd.DataFrame):
    """The gradient's norm by layer relative to that at the output, before training."""
    _, axis = style.figure(height=3.0)
    depth, width = int(records["layer"].max()), float(records["width"].iloc[0])
    at_output = records.sort_values("layer").groupby("run")["gradient"].transform("last")
    rows = records.assign(decades=np.log10(records["gradient"] / at_output))
    style.curves(axis, rows, x="layer", y="decades", marks=6, **BY_KIND)
    start = plain_gradient_drift(width) / 2 / math.log(10) * depth
    style.theory(axis, [0, depth], [start, 0.0], label="plain, theory")
    return style.finish(axis, records, xlabel="layer", ylabel="gradient norm rel. to output, log10")


def plot_thousand_layers(records: pd.DataFrame):
    """Train accuracy of the deepest stacks, every unit a dot; a diverged run is wrong everywhere."""
    _, axis = style.figure(height=2.6)
    rows = records[records["step"] == records["step"].max()]
    rows = rows.assign(accuracy=1.0 - rows["train_error"].fillna(1.0))
    rows = rows.assign(level=rows["kind"] + " " + rows["dataset"])
    levels = {f"{kind} {data}": (kind, data) for data in DATA for kind in ("plain", "scaled")}
    levels = {level: said for level, said in levels.items() if level in set(rows["level"])}
    looks = {level: LOOKS[kind] for level, (kind, _) in levels.items()}
    names = {level: f"{SHORT[kind]},\n{DATA[data]}" for level, (kind, data) in levels.items()}
    style.points(axis, rows, x="level", y="accuracy", levels=list(levels), looks=looks, labels=names, times=100)
    style.theory(axis, None, 10.0, label="guessing")
    style.theory(axis, None, 50.0, label="half", linestyle=":")
    return style.finish(axis, rows, ylabel="train accuracy / %", ylim=(0, 102))


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
    """Train error against learning rate at one depth, a panel per data set: where the stack learns."""
    rows = records.assign(error=records["train_error"].fillna(1.0))
    _, panels = style.panels(rows, "dataset", DATA, height=2.8, sharey=True)
    for axis, _, own in panels:
        style.curves(axis, own, x="learning_rate", y="error", times=100, **BY_KIND)
        style.theory(axis, None, 70.0, label="counted as learning")
        axis.set(xlabel="learning rate", xscale="log", ylim=(0, 100))
    panels[0].axis.set(ylabel="train error / %")
    return style.finish(panels[-1].axis, rows)
