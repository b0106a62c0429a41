"""The figures: signals, losses, errors and times of every norm, in one look for each norm."""

import math

import numpy as np

from claimcheck.figures import style

from .statistics import CHANCE

LABELS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
BY_NORM = {"by": "norm", "labels": LABELS}
BATCH_NORM_GROWTH = math.log(math.pi / (math.pi - 1.0))
"""Nats per layer by which |delta|^2 grows toward the input of a wide ReLU network with batch norm and large batches.

Examples decorrelate, so a pre-activation's variance over the batch is sigma_w^2 (E relu^2 - (E relu)^2)
= sigma_w^2 (1/2 - 1/(2 pi)); the gradient's mean square is multiplied by sigma_w^2 / 2 and divided by that variance
(compare Yang et al. 2019).
"""


def plot_signal(records):
    """Gradient by layer before training at every gain, one panel per norm."""
    rows = records.assign(decades=records["log_gradient"] / 2 / math.log(10))
    labels = {gain: f"gain {gain:g}" for gain in sorted(records["gain"].unique())}
    for axis, norm, own in style.panels(rows, "norm", LABELS, columns=2, height=4.4, sharex=True, sharey=True):
        style.curves(axis, own, x="layer", y="decades", by="gain", labels=labels, marks=5)
        if norm == "batch":
            last = own["layer"].max()
            end = own[(own["layer"] == last) & (own["gain"] == 1)]["decades"].mean()
            start = end + BATCH_NORM_GROWTH / 2 / math.log(10) * (last - 1)
            style.theory(axis, [1, last], [start, end], label="theory, gain 1")
    return style.finish(axis, records, xlabel="layer", ylabel="gradient (RMS), log10")


def plot_basins(records):
    """Final train loss against learning rate, a panel per initial gain."""
    titles = {gain: f"gain {gain:g}" for gain in sorted(records["gain"].unique())}
    for axis, _, rows in style.panels(records, "gain", titles, height=2.9, sharey=True):
        style.curves(axis, rows, x="learning_rate", y="batch_loss", lost=CHANCE, cut=CHANCE, **BY_NORM)
        style.level(axis, CHANCE, "guessing")
    return style.finish(axis, records, xlabel="learning rate", ylabel="final train loss / nats", xscale="log")


def plot_speed(records):
    """Train loss by update, a panel per depth, each norm at its own learning rate."""
    titles = {depth: f"{depth} layers" for depth in sorted(records["depth"].unique())}
    for axis, _, rows in style.panels(records, "depth", titles, height=2.9, sharey=True):
        style.curves(axis, rows, x="step", y="batch_loss", lost=CHANCE, cut=CHANCE, **BY_NORM)
    return style.finish(axis, records, xlabel="updates", ylabel="train loss / nats")


def plot_batch_size(records):
    """Test error against batch size (left), and both norms' train loss in train and in eval mode (right)."""
    error, loss = style.side_by_side("test error / %", "train loss / nats")
    style.curves(error, records, x="batch_size", y="test_error", lost=1.0, times=100, **BY_NORM)
    for norm, rows in records.groupby("norm"):
        look = style.looks(LABELS)[norm]
        own = {"batch_loss": look, "train_loss": look | {"marker": "x", "linestyle": ":"}}
        columns = {"batch_loss": f"{LABELS[norm]}, train mode", "train_loss": f"{LABELS[norm]}, eval mode"}
        style.column_curves(loss, rows, x="batch_size", columns=columns, looks=own, lost=CHANCE)
    for axis in (error, loss):
        style.legend(axis, outside=False)
    return style.finish(loss, records, log_ticks=sorted(records["batch_size"].unique()), xlabel="batch size")


def plot_timing(records):
    """Time of RMS norm relative to layer norm for every way to compute them, every repetition a dot."""
    axis, rows = style.axis(height=2.8), records.dropna(subset="log_ratio")
    device = rows["part"].map({"timing": "CPU", "timing_compiled": "CPU", "timing_gpu": "GPU"})
    rows = rows.assign(ratio=np.exp(rows["log_ratio"]), level=rows["kernel"] + ",\n" + device)
    style.points(axis, rows, x="level", y="ratio", levels=list(rows["level"].unique()), average="median")
    style.level(axis, 1.0, "equal")
    style.log_axis(axis, [0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"], across="y")
    return style.finish(axis, rows, "median", ylabel="time RMS norm / layer norm")
