"""The figures: signals, losses, errors and times of every norm, in one look for each norm."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.figures import style

from .statistics import CHANCE, with_final_loss

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
    figure, panels = style.panels(rows, "norm", LABELS, columns=2, height=4.4, sharex=True, sharey=True)
    labels = {gain: f"gain {gain:g}" for gain in sorted(records["gain"].unique())}
    last = int(records["layer"].max())
    for axis, norm, own in panels:
        style.curves(axis, own, x="layer", y="decades", by="gain", looks=style.looks(labels), labels=labels, marks=5)
        if norm == "batch":
            end = own[(own["layer"] == last) & (own["gain"] == 1)]["decades"].mean()
            layers = np.arange(1, last + 1)
            theory = end + BATCH_NORM_GROWTH / 2 / math.log(10) * (last - layers)
            style.theory(axis, layers, theory, label="theory, gain 1")
            style.legend(axis)
            style.count(axis, records)
    for panel in panels[2:]:
        panel.axis.set(xlabel="layer")
    for panel in panels[::2]:
        panel.axis.set(ylabel="gradient (RMS), log10")
    return figure


def plot_basins(records: pd.DataFrame):
    """Final train loss against learning rate, a panel per initial gain."""
    gains = {gain: f"gain {gain:g}" for gain in sorted(records["gain"].unique())}
    figure, panels = style.panels(with_final_loss(records), "gain", gains, height=2.9, sharey=True)
    for axis, _, rows in panels:
        style.curves(axis, rows, x="learning_rate", y="loss", **BY_NORM)
        style.theory(axis, None, CHANCE, label="guessing")
        axis.set(xscale="log", xlabel="learning rate")
    panels[0].axis.set(ylabel="final train loss / nats")
    style.legend(panels[-1].axis)
    style.count(panels[-1].axis, records)
    return figure


def plot_speed(records: pd.DataFrame):
    """Train loss by update, a panel per depth, each norm at its own learning rate."""
    depths = {depth: f"{depth:.0f} layers" for depth in sorted(records["depth"].unique())}
    figure, panels = style.panels(with_final_loss(records), "depth", depths, height=2.9, sharey=True)
    for axis, _, rows in panels:
        style.curves(axis, rows, x="step", y="loss", **BY_NORM)
        axis.set(xlabel="updates")
    panels[0].axis.set(ylabel="train loss / nats")
    style.legend(panels[-1].axis)
    style.count(panels[-1].axis, records)
    return figure


def plot_batch_size(records: pd.DataFrame):
    """Test error against batch size (left), and both norms' train loss in train and in eval mode (right)."""
    figure, axes = style.figure(1, 2, height=3.0, width_ratios=[1, 1])
    worst = {"test_error": 1.0, "batch_loss": CHANCE, "train_loss": CHANCE}
    rows = records.fillna(worst)
    style.curves(axes[0], rows, x="batch_size", y="test_error", times=100, **BY_NORM)
    modes = {"batch_loss": "train mode", "train_loss": "eval mode"}
    looks = style.looks([(norm, column) for norm in ("batch", "layer") for column in modes])
    for norm in ("batch", "layer"):
        style.column_curves(
            axes[1], rows[rows["norm"] == norm], x="batch_size",
            columns={column: f"{LABELS[norm]}, {mode}" for column, mode in modes.items()},
            looks={column: looks[norm, column] for column in modes},
        )  # fmt: skip
    for axis in axes:
        style.log_axis(axis, sorted(records["batch_size"].unique()))
        axis.set(xlabel="batch size")
        style.legend(axis, outside=False)
    axes[0].set(ylabel="test error / %")
    axes[1].set(ylabel="train loss / nats")
    style.count(axes[1], records)
    return figure


def plot_timing(records: pd.DataFrame):
    """Time of RMS norm relative to layer norm for every way to compute them, every repetition a dot."""
    figure, axis = style.figure(height=2.8)
    device = {"timing": "CPU", "timing_compiled": "CPU", "timing_gpu": "GPU"}
    rows = records[records["part"].isin(device)]
    rows = rows.assign(
        ratio=np.exp(rows["log_ratio"].astype(float)), level=rows["kernel"] + ",\n" + rows["part"].map(device)
    )
    style.points(axis, rows, x="level", y="ratio", levels=list(rows["level"].unique()), average="median")
    style.theory(axis, None, 1.0, label="equal")
    style.log_axis(axis, [0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"], across="y")
    axis.set(ylabel="time RMS norm / layer norm")
    style.legend(axis)
    style.count(axis, rows, "median")
    return figure
