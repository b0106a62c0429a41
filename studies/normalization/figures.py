"""The figures: signals, losses, errors and times of every norm, in one look for each norm."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.figures import style

from .statistics import CHANCE, capped

LABELS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
DATA = {"digits": "digits", "mnist1d_pool": "MNIST-1D"}
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


def plot_speed(records: pd.DataFrame):
    """Train loss by update, a row of panels per data set, a panel per architecture and initial variance."""
    rows = capped(records)
    highest = rows["init_variance"].max()
    names = {"plain": "plain", "residual": "residual"}
    regimes = rows["architecture"].map(names) + np.where(rows["init_variance"] == highest, ", He", ", default")
    rows = rows.assign(panel=rows["dataset"].map(DATA) + ": " + regimes)
    wanted = [
        f"{data}: {name}, {init}" for data in DATA.values() for name in names.values() for init in ("default", "He")
    ]
    figure, panels = style.panels(
        rows, "panel", {each: each for each in wanted}, columns=4, height=4.6, sharex=True, sharey=True
    )
    for axis, _, own in panels:
        style.curves(axis, own, x="step", y="batch_loss", marks=4, **BY_NORM)
        axis.set(xlabel="updates", ylabel="train loss / nats")
        axis.label_outer()
    style.finish(panels[-1].axis, records)
    return figure


def loss_panels(records: pd.DataFrame, x: str, **settings) -> list:
    """The axes of a figure of train loss against a factor, a panel for each data set."""
    _, panels = style.panels(capped(records), "dataset", DATA, height=2.9, sharey=True)
    for axis, _, rows in panels:
        style.curves(axis, rows, x=x, y="batch_loss", **BY_NORM)
        style.theory(axis, None, CHANCE, label="guessing")
        axis.set(**settings)
        axis.label_outer()
    return [panel.axis for panel in panels]


def plot_early(records: pd.DataFrame):
    """Train loss after the first updates against learning rate, a panel per data set."""
    labels = {"xlabel": "learning rate", "ylabel": "train loss / nats"}
    axes = loss_panels(records, "learning_rate", xscale="log", **labels)
    return style.finish(axes[-1], records)


def plot_init(records: pd.DataFrame):
    """Final train loss against the gain of the initial weights, a panel per data set."""
    axes = loss_panels(records, "gain", xlabel="gain", ylabel="final train loss / nats")
    for axis in axes:
        style.log_axis(axis, sorted(records["gain"].unique()))
    return style.finish(axes[-1], records)


def plot_batch_size(records: pd.DataFrame):
    """Test error against batch size, a panel per data set."""
    rows = records.fillna({"test_error": 1.0})
    _, panels = style.panels(rows, "dataset", DATA, height=2.9, sharey=True)
    for axis, _, own in panels:
        style.curves(axis, own, x="batch_size", y="test_error", times=100, **BY_NORM)
        style.log_axis(axis, sorted(rows["batch_size"].unique()))
        axis.set(xlabel="batch size", ylabel="test error / %")
        axis.label_outer()
    return style.finish(panels[-1].axis, records)


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
