"""The figures: signals, losses, errors and times of every norm, in one look for each norm."""

import math

import numpy as np

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.figures.look import projected

from .statistics import CHANCE

LABELS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
DATA = {name: title(name) for name in ("digits", "mnist1d_pool")}
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
    for axis, norm, own in style.panels(rows, "norm", LABELS, columns=2, sharex=True, sharey=True):
        style.curves(axis, own, x="layer", y="decades", by="gain", labels=labels, marks=5)
        if norm == "batch":
            last = own["layer"].max()
            end = own[(own["layer"] == last) & (own["gain"] == 1)]["decades"].mean()
            start = end + BATCH_NORM_GROWTH / 2 / math.log(10) * (last - 1)
            style.theory(axis, [1, last], [start, end], label="theory, gain 1")
    return style.finish(axis, records, xlabel="layer", ylabel="gradient (RMS), log10")


def plot_speed(records):
    """Train loss by update, a row of panels per data set, a panel per architecture and initial variance."""
    named = {variance: "He" if variance > 1 else "default" for variance in records["init_variance"].unique()}
    regimes = records["architecture"] + ", " + records["init_variance"].map(named)
    rows = records.assign(panel=records["dataset"] + regimes)
    regimes = ("plain, default", "plain, He", "residual, default", "residual, He")
    said = {regime: regime if projected() else regime.replace(", ", ",\n") for regime in regimes}  # a slide is wider
    titles = {data + regime: f"{name}\n{said[regime]}" for data, name in DATA.items() for regime in regimes}
    for axis, _, own in style.panels(rows, "panel", titles, columns=4, height=4.0, sharex=True, sharey=True):
        style.curves(axis, own, x="step", y="batch_loss", lost=CHANCE, cut=CHANCE, marks=4, **BY_NORM)
    return style.finish(axis, records, raised=True, xlabel="updates", ylabel="train loss / nats")


def plot_slow(records):
    """The same in plain networks of small weights, with more updates, a panel per data set."""
    axis = by_data(records, "step", lost=CHANCE, cut=CHANCE, marks=4)
    return style.finish(axis, records, xlabel="updates", ylabel="train loss / nats")


def by_data(records, x, y="batch_loss", **how):
    """A panel per data set with a line for each norm; the last panel's axis."""
    for axis, _, own in style.panels(records, "dataset", DATA, height=2.9, sharey=True):
        style.curves(axis, own, x=x, y=y, **how, **BY_NORM)
        if y == "batch_loss":
            style.level(axis, CHANCE, "guessing")
    return axis


def plot_early(records):
    """Train loss after the first updates against learning rate, a panel per data set and architecture."""
    rows, most = records.assign(panel=records["dataset"] + records["architecture"]), 2 * CHANCE
    titles = {data + kind: f"{name}, {kind}" for data, name in DATA.items() for kind in ("plain", "residual")}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2, sharex=True, sharey=True):
        style.curves(axis, own, x="learning_rate", y="batch_loss", lost=most, cut=most, **BY_NORM)
        style.level(axis, CHANCE, "guessing")
    return style.finish(axis, records, xlabel="learning rate", ylabel="train loss / nats", xscale="log")


def plot_init(records):
    """Final train loss against the gain of the initial weights, a panel per data set."""
    axis, gains = by_data(records, "gain", lost=CHANCE, cut=CHANCE), sorted(records["gain"].unique())
    return style.finish(axis, records, log_ticks=gains, xlabel="gain", ylabel="final train loss / nats")


def plot_batch_size(records):
    """Test error against batch size, a panel per data set."""
    axis, sizes = by_data(records, "batch_size", "test_error", lost=1.0, times=100), records["batch_size"].unique()
    return style.finish(axis, records, log_ticks=sorted(sizes), xlabel="batch size", ylabel="test error / %")


def plot_timing(records):
    """Time of RMS norm relative to layer norm for every way to compute them, every repetition a dot."""
    axis, rows = style.axis(height=2.8), records.dropna(subset="log_ratio")
    device = rows["part"].map({"timing": "CPU", "timing_compiled": "CPU", "timing_gpu": "GPU"})
    rows = rows.assign(ratio=np.exp(rows["log_ratio"]), level=rows["kernel"] + ",\n" + device)
    style.points(axis, rows, x="level", y="ratio", levels=list(rows["level"].unique()), average="median")
    style.level(axis, 1.0, "equal")
    style.log_axis(axis, [0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"], across="y")
    return style.finish(axis, rows, "median", ylabel="time RMS norm / layer norm")
