"""The figures of limited precision."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.figures import style

from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO

RECIPE_NAMES = {
    "fp32": "fp32",
    "fp16_pure": "fp16, all of it",
    "fp16_master": "fp16, fp32 weights",
    "fp16_static": "… static scale",
    "fp16_dynamic": "… dynamic scale",
    "bf16_pure": "bf16, all of it",
    "bf16_master": "bf16, fp32 weights",
}
REGIME_NAMES = {"ordinary": "ordinary", "small_loss": "loss in small units", "small_rate": "small learning rate"}


def _moments(records: pd.DataFrame) -> dict[int, str]:
    return {0: "at initialisation", int(records["step"].max()): "after training"}


def plot_exponents(records: pd.DataFrame):
    """Histogram of gradient exponents, early and late, over the ranges of fp16 and bf16."""
    _, axis = style.figure()
    rows, names = records[records["exponent"] != ZERO], _moments(records)
    looks = style.looks(names)
    drawn = style.curves(axis, rows, x="exponent", y="share", by="step", looks=looks, labels=names, times=100)
    top, first, last = 1.05 * drawn["centre"].max(), EXPONENTS[0], EXPONENTS[-1]
    for height, low, normal, name in ((1.4 * top, -25, -14, "fp16"), (1.2 * top, first, first, "bf16")):
        axis.hlines(height, normal, last, color="black", linewidth=4)
        axis.hlines(height, low, normal, color="black", linewidth=1.2)
        axis.text(low - 0.7, height, name, ha="right", va="center", fontsize=8)
    axis.axvline(-25, color="black", linewidth=1.0, linestyle=":")
    style.note(axis, "bars: the formats' ranges, thin where precision is lost", place="left")
    what = r"exponent of the gradient entry, $\lfloor\log_2|g|\rfloor$"
    limits = {"ylim": (0, 1.5 * top), "xlim": (first - 5, last + 1)}
    return style.finish(axis, records, xlabel=what, ylabel="share of entries / %", **limits)


def plot_flushed(records: pd.DataFrame):
    """Flushed share against the loss scale, early and late; beside it skipped steps and test error."""
    figure, (left, right) = style.figure(1, 2, height=2.8)
    rows, names = records[records["number"] == "fp16"], _moments(records)
    looks = style.looks([*names, "skipped", "test_error"])
    last = rows[rows["step"] == rows["step"].max()]
    last = last.assign(skipped=100 * last["skipped_share"])
    trained = last.groupby("log2_scale")["test_error"].mean() < 50.0
    shown = rows[(rows["step"] == 0) | rows["log2_scale"].map(trained)]
    style.curves(left, shown, x="log2_scale", y="flushed", by="step", looks=looks, labels=names, times=100)
    columns = {"skipped": "steps skipped", "test_error": "test error"}
    style.column_curves(right, last, x="log2_scale", columns=columns, looks=looks)
    for axis, what in ((left, "gradient entries flushed to 0 / %"), (right, "share / %")):
        axis.set(xlabel=r"exponent $k$ of the loss scale $2^k$", ylabel=what, ylim=(-3, 103))
        style.legend(axis, outside=False)
    style.count(right, records)
    return figure


def plot_recipes(records: pd.DataFrame):
    """Final train loss by recipe, a panel per regime."""
    rows, guessing = records[records["step"] == records["step"].max()], math.log10(math.log(10.0))
    loss = np.log10(rows["train_loss"].clip(1e-6)).where(rows["status"] == "ok", guessing)
    how = {"levels": list(RECIPE_NAMES), "looks": style.looks(RECIPE_NAMES), "labels": RECIPE_NAMES}
    figure, panels = style.panels(rows.assign(loss=loss), "regime", REGIME_NAMES, height=3.2, sharey=True, sharex=True)
    for axis, _, own in panels:
        style.points(axis, own[own["recipe"].isin(RECIPE_NAMES)], x="recipe", y="loss", horizontal=True, **how)
        style.theory(axis, [guessing] * 2, axis.get_ylim(), label="guessing")
        axis.set_xticks([-2, -1, 0], ["0.01", "0.1", "1"])
        axis.set_xlabel("train loss / nats")
    style.count(panels[0].axis, records)
    return figure


def plot_recovery(records: pd.DataFrame):
    """The loss scale around the planted overflow."""
    _, axis = style.figure()
    rows = records[records["recipe"] == "planted_checked"]
    style.column_curves(axis, rows, x="step", columns={"log2_scale": "dynamic scale"})
    style.theory(axis, None, PLANTED_SCALE, label="planted scale")
    style.theory(axis, None, FIRST_SCALE, label="scale at the start", linestyle=":")
    return style.finish(axis, rows, xlabel="step", ylabel=r"exponent $k$ of the loss scale $2^k$")


def plot_clipping(records: pd.DataFrame):
    """Failed runs and test error against the learning rate, with and without clipping; two initial recurrent gains."""
    titles = {1.5: "exploding (gain 1.5)", 0.5: "vanishing (gain 0.5)"}
    names = {0.0: "no clipping", 1.0: "clipped at norm 1", 0.1: "clipped at norm 0.1"}
    figure, panels = style.panels(records, "gain", titles, height=2.8, sharey=True)
    how = {"by": "threshold", "looks": style.looks(names), "labels": names, "times": 100}
    for (axis, _, rows), y, average in zip(panels, ("failed", "test_error"), ("proportion", "mean")):
        style.curves(axis, rows, x="learning_rate", y=y, average=average, **how)
        axis.set_xscale("log", base=2)
        axis.set(xlabel="learning rate", ylim=(-3, 103))
    left, right = (panel.axis for panel in panels)
    left.set_ylabel("failed runs / %")
    right.set_ylabel("test error / %")
    right.tick_params(labelleft=True)
    style.theory(right, None, 100.0 - 100.0 / records["classes"].iloc[0], label="guessing")
    style.legend(left, outside=False)
    style.count(right, records)
    return figure


def plot_log_space(records: pd.DataFrame):
    """How many factors a product of probabilities survives, by format."""
    _, axis = style.figure(height=2.6)
    names = ["fp16", "bf16", "fp32", "fp64"]
    looks = style.looks(["fp32", "fp16", "bf16", "fp64"])
    for place, name in enumerate(names):
        rows, look = records[records["number"] == name], {**looks[name], "linestyle": ""}
        spread = place + np.linspace(-0.2, 0.2, len(rows))
        axis.scatter(rows["likelihood_zero_after"], spread, s=10, color=look["color"], alpha=0.5, linewidth=0)
        axis.plot(rows["zero_after"].iloc[0], place, markersize=8, markeredgecolor="black", **look)
    axis.set_yticks(range(len(names)), names)
    style.log_axis(axis, [10, 30, 100, 300])
    style.note(axis, "large mark: every factor 0.1; dots: random factors, one a seed", place="left")
    return style.finish(axis, records, xlabel="factors after which the product is exactly 0", ylabel="format")
