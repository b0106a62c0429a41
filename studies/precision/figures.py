"""The figures of limited precision."""

import math

import numpy as np

from claimcheck.figures import style

from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO

RECIPES = {
    "fp32": "fp32",
    "fp16_pure": "fp16, all of it",
    "fp16_master": "fp16, fp32 weights",
    "fp16_static": "… static scale",
    "fp16_dynamic": "… dynamic scale",
    "bf16_pure": "bf16, all of it",
    "bf16_master": "bf16, fp32 weights",
}
REGIMES = {"ordinary": "ordinary", "small_loss": "loss in small units", "small_rate": "small learning rate"}


def _moments(records):
    return {0: "at initialisation", int(records["step"].max()): "after training"}


def plot_exponents(records):
    """Histogram of gradient exponents, early and late, over the ranges of fp16 and bf16."""
    axis, rows, first, last = style.axis(), records[records["exponent"] != ZERO], EXPONENTS[0], EXPONENTS[-1]
    drawn = style.curves(axis, rows, x="exponent", y="share", by="step", labels=_moments(records), times=100)
    top = 1.05 * drawn["centre"].max()
    for height, low, normal, name in ((1.4 * top, -25, -14, "fp16"), (1.2 * top, first, first, "bf16")):
        axis.hlines(height, normal, last, color="black", linewidth=4)
        axis.hlines(height, low, normal, color="black", linewidth=1.2)
        axis.text(low - 0.7, height, name, ha="right", va="center", fontsize=8)
    style.threshold(axis, -25, "rounds to 0 in fp16")
    style.note(axis, "bars: the formats' ranges, thin where precision is lost", place="left")
    axis.set_xlabel(r"exponent of the gradient entry, $\lfloor\log_2|g|\rfloor$")
    return style.finish(axis, records, ylabel="share of entries / %", ylim=(0, 1.5 * top), xlim=(first - 5, last + 1))


def plot_flushed(records):
    """Flushed share against the loss scale, early and late; beside it skipped steps and test error."""
    left, right = style.side_by_side("gradient entries flushed to 0 / %", "share / %", height=2.8)
    rows, names = records[records["number"] == "fp16"], _moments(records)
    last = rows[rows["step"] == rows["step"].max()].assign(skipped=lambda own: 100 * own["skipped_share"])
    trained = last.groupby("log2_scale")["test_error"].mean() < 50.0
    shown = rows[(rows["step"] == 0) | rows["log2_scale"].map(trained)]
    columns = {"skipped": "steps skipped", "test_error": "test error"}
    style.curves(left, shown, x="log2_scale", y="flushed", by="step", labels=names, times=100)
    style.column_curves(right, last, x="log2_scale", columns=columns, looks=style.looks([*names, *columns]))
    for axis in (left, right):
        style.legend(axis, outside=False)
    return style.finish(right, records, xlabel=r"exponent $k$ of the loss scale $2^k$", ylim=(-3, 103))


def plot_recipes(records):
    """Final train loss by recipe, a panel per regime."""
    rows, guessing = records[records["step"] == records["step"].max()], math.log10(math.log(10.0))
    rows = rows.assign(loss=np.log10(rows["train_loss"].clip(1e-6)).where(rows["status"] == "ok", guessing))
    for axis, _, own in style.panels(rows, "regime", REGIMES, height=3.2, sharey=True, sharex=True):
        own = own[own["recipe"].isin(RECIPES)]
        style.points(axis, own, x="recipe", y="loss", labels=RECIPES, horizontal=True)
        style.theory(axis, [guessing] * 2, axis.get_ylim(), label="_guessing")
        axis.set_xticks([-2, -1, 0], ["0.01", "0.1", "1"])
    return style.finish(axis, records, xlabel="train loss / nats", raised=True)


def plot_recovery(records):
    """The loss scale around the planted overflow."""
    axis, rows = style.axis(), records[records["recipe"] == "planted_checked"]
    style.column_curves(axis, rows, x="step", columns={"log2_scale": "dynamic scale"})
    style.level(axis, PLANTED_SCALE, "planted scale")
    style.level(axis, FIRST_SCALE, "scale at the start", linestyle=":")
    return style.finish(axis, rows, xlabel="step", ylabel=r"exponent $k$ of the loss scale $2^k$")


def plot_clipping(records):
    """Failed runs and test error against the learning rate, with and without clipping; two initial recurrent gains."""
    labels = {0.0: "no clipping", 1.0: "clipped at norm 1", 0.1: "clipped at norm 0.1"}
    failed, error = style.side_by_side("failed runs / %", "test error / %", height=2.8)
    for axis, gain, y, average in ((failed, 1.5, "failed", "proportion"), (error, 0.5, "test_error", "mean")):
        how = {"by": "threshold", "labels": labels, "average": average, "times": 100}
        style.curves(axis, records[records["gain"] == gain], x="learning_rate", y=y, **how)
        axis.set_xscale("log", base=2)
    style.level(error, 100.0 - 100.0 / records["classes"].iloc[0], "guessing")
    failed.set_title("exploding (gain 1.5)")
    error.set_title("vanishing (gain 0.5)")
    return style.finish(error, records, xlabel="learning rate", ylim=(-3, 103), raised=True)


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
