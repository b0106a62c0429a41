"""The figures of limited precision."""

import math

import numpy as np
from matplotlib.ticker import MaxNLocator

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.figures.look import projected

from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO

DATA = {name: title(name) for name in ("mnist1d_pool", "digits", "fashion_mnist", "recall")}
RECIPES = {
    "fp32": "fp32",
    "fp16_pure": "fp16, all of it",
    "fp16_master": "fp16, fp32 weights",
    "fp16_dynamic": "… dynamic scale",
    "bf16_pure": "bf16, all of it",
    "bf16_master": "bf16, fp32 weights",
}
REGIMES = {"ordinary": "ordinary", "small_loss": r"loss / $2^{20}$", "small_rate": "rate / 32"}


def _moments(records):
    return {0: "at initialisation", int(records["step"].max()): "after training"}


def plot_exponents(records):
    """Histogram of gradient exponents, early and late, over the ranges of fp16 and bf16, a panel for each data set."""
    rows, ends = records[records["exponent"] != ZERO], (EXPONENTS[0] - 1, EXPONENTS[-1] + 1)
    top = 100 * 1.05 * rows.groupby(["dataset", "step", "exponent"])["share"].mean().max()
    for axis, _, own in style.panels(rows, "dataset", DATA, sharey=True):
        style.curves(axis, own, x="exponent", y="share", by="step", labels=_moments(records), times=100)
        for height, low, normal, name in ((1.5 * top, -25, -14, "fp16"), (1.2 * top, *ends[:1] * 2, "bf16")):
            axis.hlines(height, normal, ends[1], color="black", linewidth=4)
            axis.hlines(height, low, normal, color="black", linewidth=1.2)
            axis.annotate(f" {name}", (low, height), (0, 4), textcoords="offset points", fontsize=8)
        style.threshold(axis, -25, "rounds to 0 in fp16")
    labels = {"xlabel": r"exponent $\lfloor\log_2|g|\rfloor$ of the entry $g$", "ylabel": "share of entries / %"}
    return style.finish(axis, records, raised=True, ylim=(0, 1.75 * top), xlim=ends, **labels)


def plot_flushed(records):
    """Flushed share against the loss scale, early and late; below it skipped steps and test error."""
    rows, names = records[records["number"] == "fp16"], _moments(records)
    sets = [name for name in DATA if (rows["dataset"] == name).any()]
    rows = rows.assign(skipped=100 * rows["skipped_share"])
    columns = {"skipped": "steps skipped", "test_error": "test error"}
    looks, (_, axes) = style.looks([*names, *columns]), style.figure(2, len(sets), sharex=True, squeeze=False)
    for (above, below), name in zip(axes.T, sets):
        own = rows[rows["dataset"] == name]
        last = own[own["step"] == own["step"].max()]
        trained = last.groupby("log2_scale")["test_error"].mean() < 75.0
        shown = own[(own["step"] == 0) | own["log2_scale"].map(trained)]
        style.curves(above, shown, x="log2_scale", y="flushed", by="step", labels=names, times=100)
        style.column_curves(below, last, x="log2_scale", columns=columns, looks=looks)
        above.set_title(DATA[name])
    axes[0, 0].set_ylabel("entries flushed to 0 / %")
    axes[1, 0].set_ylabel("share / %")
    return style.finish(below, records, xlabel=r"exponent $k$ of the loss scale $2^k$", raised=True, ylim=(-3, 103))


def plot_recipes(records):
    """Final train loss by recipe, a column for each regime, a row for each data set."""
    guessing, label = math.log(10.0), "guessing" if projected() else "_guessing"  # a page has no room, but a caption
    rows = records[records["step"] == records["step"].max()]
    rows = rows.assign(loss=rows["train_loss"].where(rows["status"] == "ok", guessing))
    titles = {f"{data}/{regime}": f"{DATA[data]}, {name}" for data in DATA for regime, name in REGIMES.items()}
    rows = rows.assign(panel=rows["dataset"] + "/" + rows["regime"])
    for axis, _, own in style.panels(rows, "panel", titles, columns=3, sharey=True):
        own = own[own["recipe"].isin(RECIPES)]
        style.points(axis, own, x="recipe", y="loss", labels=RECIPES, horizontal=True)
        if own["loss"].max() > 0.9 * guessing:
            style.theory(axis, [guessing] * 2, axis.get_ylim(), label=label)
        axis.xaxis.set_major_locator(MaxNLocator(3))
    return style.finish(axis, records, xlabel="train loss / nats", raised=True)


def plot_recovery(records):
    """The loss scale around the planted overflow, a panel for each data set."""
    rows = records[records["recipe"] == "planted_checked"]
    for axis, _, own in style.panels(rows, "dataset", DATA, sharey=True):
        style.column_curves(axis, own, x="step", columns={"log2_scale": "dynamic scale"})
        style.level(axis, PLANTED_SCALE, "planted scale")
        style.level(axis, FIRST_SCALE, "scale at the start", linestyle=":")
    return style.finish(axis, rows, xlabel="step", ylabel=r"exponent $k$ of the loss scale $2^k$", raised=True)


def plot_remedies(records):
    """Lost runs with usual and with large weights, and failed ones, against the rate; a row for each data set."""
    labels = {"none": "as it is", "warmup": "warmup", "norm": "layer norm"}
    records = records[records["part"].isin(["remedies", "remedies_large"])]
    sets = [name for name in DATA if (records["dataset"] == name).any()]
    panels = {"lost": ("remedies", "lost"), "large": ("remedies_large", "lost"), "failed": ("remedies", "failed")}
    _, axes = style.figure(len(sets), 3, sharex=True, sharey=True, squeeze=False)
    for line, name in zip(axes, sets):
        for axis, (words, (part, column)) in zip(line, panels.items()):
            rows = records[(records["dataset"] == name) & (records["part"] == part)]
            rows = rows.groupby(["seed", "remedy", "learning_rate"], as_index=False)[column].mean()
            how = {"by": "remedy", "labels": labels, "times": 100, "within": (0.0, 100.0)}
            style.curves(axis, rows, x="learning_rate", y=column, **how)
            axis.set_title(f"{words}, {DATA[name]}")
    labels = {"xlabel": "learning rate", "ylabel": "runs / %"}
    return style.finish(axes[0, 0], records, raised=True, log_ticks=[0.1, 0.4, 1.6, 6.4], ylim=(-3, 103), **labels)


def plot_clipping(records):
    """Train loss and failed runs of exploding recurrent networks, by threshold and learning rate; a panel a data set."""
    rates = sorted(records["learning_rate"].unique())
    labels = {0.0: "none", 1.0: "norm 1", 0.1: "norm 0.1"}
    names = {f"{t:g}/{rate:g}": f"{name}, rate {rate:g}" for t, name in labels.items() for rate in rates}
    case = records["threshold"].map("{:g}".format) + "/" + records["learning_rate"].map("{:g}".format)
    rows = records.assign(case=case, share=records["train_loss"] / np.log(1.0 / (1.0 - records["guessing"])))
    for axis, _, own in style.panels(rows, "dataset", DATA, sharey=True):
        style.points(axis, own, x="case", y="share", labels=names, lost=20.0, cut=20.0, horizontal=True)
        style.threshold(axis, 1.0, "guessing")
        axis.set_xscale("log")
    return style.finish(axis, records, xlabel="train loss / that of guessing", xlim=(0.01, 30.0), raised=True)


def plot_log_space(records):
    """How many factors a product of probabilities survives, by format."""
    axis, names = style.axis(height=2.6), ["fp16", "bf16", "fp32", "fp64"]
    looks = style.looks(["fp32", "fp16", "bf16", "fp64"])
    for place, name in enumerate(names):
        rows, look = records[records["number"] == name], {**looks[name], "linestyle": ""}
        spread = place + np.linspace(-0.2, 0.2, len(rows))
        axis.scatter(rows["likelihood_zero_after"], spread, s=10, color=look["color"], alpha=0.5, linewidth=0)
        axis.plot(rows["zero_after"].iloc[0], place, markersize=8, markeredgecolor="black", **look)
    axis.set_yticks(range(len(names)), names)
    style.note(axis, "large mark: every factor 0.1; dots: random factors, one a run", place="left")
    labels = {"xlabel": "factors after which the product is exactly 0", "ylabel": "format"}
    return style.finish(axis, records, log_ticks=[10, 30, 100, 300], **labels)
