"""The figures: signals, losses, errors and times of every norm, in one look for each norm."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.figures import style

from .statistics import CHANCE, capped

LABELS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
BY_NORM = {"by": "norm", "looks": style.looks(LABELS), "labels": LABELS}
BATCH_NORM_GROWTH = math.log(math.pi / (math.pi - 1.0))
"""Nats per layer by which |delta|^2 grows toward the input of a wide ReLU network with batch norm and large batches.

Examples decorrelate, so a pre-activation's variance over the batch is sigma_w^2 (E relu^2 - (E relu)^2)
= sigma_w^2 (1/2 - 1/(2 pi)); the gradient's mean square is multiplied by sigma_w^2 / 2 and divided by that variance
(compare Yang et al. 2019).
"""


def plot_signal(records: pd.DataFrame):
    """Gradient by layer before training at every gain, one panel per norm."""
    rows = records.assign(decades=records["log_gradient"] / 2 / math.log(10))
    labels = {gain: f"gain {gain:g}" for gain in sorted(records["gain"].unique())}
    figure, panels = style.panels(rows, "norm", LABELS, columns=2, height=4.4, sharex=True, sharey=True)
    for axis, norm, own in panels:
        style.curves(axis, own, x="layer", y="decades", by="gain", looks=style.looks(labels), labels=labels, marks=5)
        axis.set(xlabel="layer", ylabel="gradient (RMS), log10")
        axis.label_outer()
        if norm == "batch":
            last = own["layer"].max()
            end = own[(own["layer"] == last) & (own["gain"] == 1)]["decades"].mean()
            start = end + BATCH_NORM_GROWTH / 2 / math.log(10) * (last - 1)
            style.theory(axis, [1, last], [start, end], label="theory, gain 1")
            style.finish(axis, records)
    return figure


def loss_panels(records: pd.DataFrame, by: str, title: str, x: str, **settings) -> list:
    """The axes of a figure of train loss, a panel for each level of a column."""
    titles = {level: title.format(level) for level in sorted(records[by].unique())}
    _, panels = style.panels(capped(records), by, titles, height=2.9, sharey=True)
    for axis, _, rows in panels:
        style.curves(axis, rows, x=x, y="batch_loss", **BY_NORM)
        axis.set(**settings)
        axis.label_outer()
    return [panel.axis for panel in panels]


def plot_basins(records: pd.DataFrame):
    """Final train loss against learning rate, a panel per initial gain."""
    labels = {"xlabel": "learning rate", "ylabel": "final train loss / nats"}
    axes = loss_panels(records, "gain", "gain {:g}", "learning_rate", xscale="log", **labels)
    for axis in axes:
        style.theory(axis, None, CHANCE, label="guessing")
    return style.finish(axes[-1], records)


def plot_speed(records: pd.DataFrame):
    """Train loss by update, a panel per depth, each norm at its own learning rate."""
    axes = loss_panels(records, "depth", "{} layers", "step", xlabel="updates", ylabel="train loss / nats")
    return style.finish(axes[-1], records)


def plot_batch_size(records: pd.DataFrame):
    """Test error against batch size (left), and both norms' train loss in train and in eval mode (right)."""
    figure, (left, right) = style.figure(1, 2, height=3.0)
    rows = records.fillna({"test_error": 1.0, "batch_loss": CHANCE, "train_loss": CHANCE})
    style.curves(left, rows, x="batch_size", y="test_error", times=100, **BY_NORM)
    modes = {"batch_loss": "train mode", "train_loss": "eval mode"}
    losses = rows.melt(["seed", "batch_size", "norm"], list(modes), var_name="mode", value_name="loss")
    losses["curve"] = losses["norm"].map(LABELS) + ", " + losses["mode"].map(modes)
    looks = style.looks(f"{LABELS[norm]}, {mode}" for norm in ("batch", "layer") for mode in modes.values())
    style.curves(right, losses, x="batch_size", y="loss", by="curve", looks=looks)
    for axis, label in ((left, "test error / %"), (right, "train loss / nats")):
        style.log_axis(axis, sorted(records["batch_size"].unique()))
        axis.set(xlabel="batch size", ylabel=label)
        style.legend(axis, outside=False)
    style.count(right, records)
    return figure


def plot_timing(records: pd.DataFrame):
    """Time of RMS norm relative to layer norm for every way to compute them, every repetition a dot."""
    _, axis = style.figure(height=2.8)
    rows = records.dropna(subset="log_ratio")
    device = rows["part"].map({"timing": "CPU", "timing_compiled": "CPU", "timing_gpu": "GPU"})
    rows = rows.assign(ratio=np.exp(rows["log_ratio"]), level=rows["kernel"] + ",\n" + device)
    style.points(axis, rows, x="level", y="ratio", levels=list(rows["level"].unique()), average="median")
    style.theory(axis, None, 1.0, label="equal")
    style.log_axis(axis, [0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"], across="y")
    return style.finish(axis, rows, "median", ylabel="time RMS norm / layer norm")
