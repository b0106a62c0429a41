"""The figures: losses, errors and gradients of every kind of stack, in one look for each kind."""

import math

import numpy as np

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.theory.mean_field import block_growth, plain_gradient_drift

CHANCE = math.log(10)
LABELS = {
    "plain": "plain",
    "unscaled": "skip, unscaled",
    "scaled": r"scaled: skip, branch × $1/\sqrt{L}$",
    "zero_init": "zero: skip, branch starts at 0",
    "scaled_frozen": "scaled, frozen",
    "zero_init_frozen": "zero, frozen",
    "pre_norm": "skip, layer norm in branch",
}
SHORT = {kind: LABELS[kind].partition(":")[0] for kind in ("plain", "scaled", "zero_init")}
SHORT |= {kind: LABELS[kind] for kind in ("scaled_frozen", "zero_init_frozen")}
DATA = {name: title(name) for name in ("digits", "mnist1d_pool", "mnist5k")}
BY_KIND = {"by": "kind", "labels": LABELS}


def plot_train_loss_by_depth(records):
    """Train loss of every kind at each depth, a panel per data set, every run a dot."""
    depths, kinds = sorted(records["depth"].unique()), [kind for kind in SHORT if kind in set(records["kind"])]
    rows = records.assign(level=records["kind"] + " " + records["depth"].astype(str))
    levels = {f"{kind} {depth}": (kind, depth) for depth in depths for kind in kinds}
    levels = {level: said for level, said in levels.items() if level in set(rows["level"])}
    looks = {level: style.looks(LABELS)[kind] for level, (kind, _) in levels.items()}
    labels = {level: f"{SHORT[kind]}, {depth}" for level, (kind, depth) in levels.items()}
    how = {"lost": CHANCE, "cut": CHANCE, "looks": looks, "labels": labels, "horizontal": True}
    for axis, _, own in style.panels(rows, "dataset", DATA, height=2.9, sharey=True):
        style.points(axis, own, x="level", y="train_loss", **how)
        style.threshold(axis, CHANCE, "guessing, ln 10")
    return style.finish(axis, rows, xlabel="train loss / nats", xlim=(0, None), raised=True)


def plot_change(records):
    """How much a trained block changes its input, and what its absence costs, against depth."""
    change, left_out = style.side_by_side("size of F(h) / size of h", "train loss added / nats", height=2.8)
    records = records[~records["kind"].str.endswith("frozen")]
    style.curves(change, records, x="depth", y="change", **BY_KIND)
    style.curves(left_out, records, x="depth", y="left_out", **BY_KIND)
    change.set_ylim(0, None)
    depths = sorted(records["depth"].unique())
    return style.finish(change, records, log_ticks=depths, xlabel="depth / hidden layers")


def plot_convolutional(records):
    """Train loss of the convolutional network against depth, a panel per data set."""
    titles, looks = {"fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}, style.looks(LABELS)
    own_looks = {"plain": looks["plain"], "residual": looks["scaled"]}
    for axis, _, own in style.panels(records, "dataset", titles, height=2.8, sharey=True):
        style.curves(axis, own, x="depth", y="train_loss", lost=CHANCE, cut=CHANCE, by="kind", looks=own_looks)
    labels = {"xlabel": "depth / layers", "ylabel": "train loss / nats"}
    return style.finish(axis, records, **labels, xscale="log", yscale="log")


def plot_gradient_by_layer(records):
    """The gradient's norm by layer relative to that at the output, before training."""
    axis, depth, width = style.axis(), int(records["layer"].max()), float(records["width"].iloc[0])
    at_output = records.sort_values("layer").groupby("run")["gradient"].transform("last")
    rows = records.assign(decades=np.log10(records["gradient"] / at_output))
    style.curves(axis, rows, x="layer", y="decades", marks=6, **BY_KIND)
    start = plain_gradient_drift(width) / 2 / math.log(10) * depth
    style.theory(axis, [0, depth], [start, 0.0], label="plain, theory")
    return style.finish(axis, records, xlabel="layer", ylabel="gradient norm rel. to output, log10")


def plot_thousand_layers(records):
    """Train accuracy of the deepest stacks, every run a dot; a diverged run is wrong everywhere."""
    rows = records[records["step"] == records["step"].max()]
    rows = rows.assign(accuracy=1.0 - rows["train_error"].fillna(1.0), level=rows["kind"] + " " + rows["dataset"])
    levels = {f"{kind} {data}": (kind, data) for data in DATA for kind in ("plain", "scaled", "scaled_frozen")}
    levels = {level: said for level, said in levels.items() if level in set(rows["level"])}
    looks = {level: style.looks(LABELS)[kind] for level, (kind, _) in levels.items()}
    labels = {level: f"{SHORT[kind]},\n{DATA[data]}" for level, (kind, data) in levels.items()}
    axis = style.axis(height=2.6)
    style.points(axis, rows, x="level", y="accuracy", levels=list(levels), looks=looks, labels=labels, times=100)
    style.level(axis, 10.0, "guessing")
    style.level(axis, 90.0, "_nine in ten right", linestyle=":")
    return style.finish(axis, rows, ylabel="train accuracy / %", ylim=(0, 102))


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
    """Train error against learning rate at one depth, a panel per data set: where the stack learns."""
    for axis, _, own in style.panels(records, "dataset", DATA, height=2.8, sharey=True):
        style.curves(axis, own, x="learning_rate", y="train_error", lost=1.0, times=100, **BY_KIND)
        style.level(axis, 75.0, "counted as learning")
    return style.finish(axis, records, xlabel="learning rate", ylabel="train error / %", xscale="log", ylim=(0, 102))
