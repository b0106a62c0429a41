"""The figures of limited precision."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter

from claimcheck.figures import style

from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO
from .statistics import EXPLODING, THRESHOLD, VANISHING

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
    figure, axis = style.figure()
    rows, names = records[records["exponent"] != ZERO], _moments(records)
    looks = style.looks(names)
    drawn = style.curves(axis, rows, x="exponent", y="share", by="step", looks=looks, labels=names, times=100)
    top, first, last = 1.05 * drawn["centre"].max(), EXPONENTS[0], EXPONENTS[-1]
    for height, low, normal, name in ((1.4, -25, -14, "fp16"), (1.2, first, first, "bf16")):
        axis.plot([normal, last], [height * top] * 2, color="black", linewidth=4, linestyle="-", marker="")
        axis.plot([low, normal], [height * top] * 2, color="black", linewidth=1.2, linestyle="-", marker="")
        axis.text(low - 0.7, height * top, name, ha="right", va="center", fontsize=8)
    axis.axvline(-25, color="black", linewidth=1.0, linestyle=":")
    axis.set(xlabel=r"exponent of the gradient entry, $\lfloor\log_2|g|\rfloor$", ylabel="share of entries / %")
    axis.set(ylim=(0, 1.5 * top), xlim=(first - 5, last + 1))
    style.note(axis, "bars: the formats' ranges, thin where precision is lost", place="left")
    style.count(axis, records)
    style.legend(axis)
    return figure


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
    rows = records[(records["step"] == records["step"].max()) & records["recipe"].isin(list(RECIPE_NAMES))]
    loss = rows["train_loss"].where(rows["status"] == "ok", math.log(10.0)).clip(1e-6)
    figure, panels = style.panels(
        rows.assign(log_loss=np.log10(loss)), "regime", REGIME_NAMES, height=3.2, sharey=True, sharex=True
    )
    looks, levels = style.looks(RECIPE_NAMES), list(RECIPE_NAMES)
    for axis, _, own in panels:
        for recipe, one in own.groupby("recipe"):
            colour, place = looks[recipe]["color"], levels.index(recipe)
            axis.scatter(one["log_loss"], [place - 0.15] * len(one), s=8, alpha=0.35, linewidth=0, color=colour)
            axis.plot(one["log_loss"].mean(), place + 0.12, color=colour, marker=looks[recipe]["marker"])
        axis.set(xlabel="train loss / nats")
        axis.set_xticks([-3, -2, -1, 0], ["0.001", "0.01", "0.1", "1"])
        style.theory(axis, [math.log10(math.log(10.0))] * 2, [-0.5, len(levels) - 0.5], label="guessing")
    first = panels[0].axis
    first.set_yticks(range(len(levels)), list(RECIPE_NAMES.values()))
    first.invert_yaxis()
    style.count(first, records)
    return figure


def plot_recovery(records: pd.DataFrame):
    """The loss scale around the planted overflow."""
    figure, axis = style.figure()
    rows = records[records["recipe"] == "planted_checked"]
    style.column_curves(axis, rows, x="step", columns={"log2_scale": "dynamic scale"})
    style.theory(axis, None, PLANTED_SCALE, label="planted scale")
    style.theory(axis, None, FIRST_SCALE, label="scale at the start", linestyle=":")
    axis.set(xlabel="step", ylabel=r"exponent $k$ of the loss scale $2^k$")
    style.count(axis, rows)
    style.legend(axis)
    return figure


def plot_clipping(records: pd.DataFrame):
    """Share of failed runs against the learning rate, with and without clipping; two initial recurrent gains."""
    names = {0.0: "no clipping", 1.0: "clipped at norm 1", THRESHOLD: f"clipped at norm {THRESHOLD}"}
    titles = {EXPLODING: f"exploding (gain {EXPLODING})", VANISHING: f"vanishing (gain {VANISHING})"}
    figure, panels = style.panels(records, "gain", titles, height=2.8, sharey=True)
    drawn = {EXPLODING: ("failed", "proportion"), VANISHING: ("test_error", "mean")}
    for axis, gain, rows in panels:
        y, average = drawn[gain]
        looks = style.looks(names)
        style.curves(axis, rows, x="learning_rate", y=y, by="threshold", looks=looks, labels=names, average=average)
        axis.set_xscale("log", base=2)
        axis.set(xlabel="learning rate", ylim=(-0.03, 1.03))
    left, right = (panel.axis for panel in panels)
    left.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    left.set_ylabel("failed runs / %")
    right.set_ylabel("test error / %")
    right.tick_params(labelleft=True)
    style.theory(right, None, 1.0 - 1.0 / records["classes"].iloc[0], label="guessing")
    style.legend(left, outside=False)
    style.count(right, records)
    return figure


def plot_log_space(records: pd.DataFrame):
    """How many factors a product of probabilities survives, by format."""
    figure, axis = style.figure(height=2.6)
    looks, names = style.looks(["fp32", "fp16", "bf16", "fp64"]), ["fp16", "bf16", "fp32", "fp64"]
    for place, name in enumerate(names):
        rows = records[records["number"] == name]
        spread, look = place + np.linspace(-0.2, 0.2, len(rows)), {k: looks[name][k] for k in ("color", "marker")}
        axis.scatter(rows["likelihood_zero_after"], spread, s=10, color=look["color"], alpha=0.5, linewidth=0)
        axis.plot(rows["zero_after"].iloc[0], place, markersize=8, linestyle="", markeredgecolor="black", **look)
    axis.set_yticks(range(len(names)), names)
    axis.set(xlabel="factors after which the product is exactly 0", ylabel="format")
    style.log_axis(axis, [10, 30, 100, 300])
    style.note(axis, "large mark: every factor 0.1; dots: random factors, one a seed", place="left")
    style.count(axis, records)
    return figure
