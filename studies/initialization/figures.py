"""Signals and gradients by layer beside mean-field theory, and final losses over the scale of the first weights."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claimcheck.figures import style
from claimcheck.theory import mean_field

from .statistics import GUESSING, capped_loss

NAMES = {"relu": "ReLU", "tanh": "tanh"}


def plot_variance(records: pd.DataFrame) -> Figure:
    """Mean squares by layer, forward and backward, with theory."""
    figure, axes = style.figure(1, 2, height=3.0)
    depth = int(records["layer"].max())
    cells = [("relu", 1.0), ("relu", 2.0), ("relu", 4.0), ("tanh", 1.0), ("tanh", 4.0)]
    names = {cell: f"{NAMES[cell[0]]}, {cell[1]:g}" for cell in cells}
    drawn = records.assign(cell=list(map(names.get, zip(records["activation"], records["weight_variance"]))))
    for axis, column, origin in ((axes[0], "pre_activation", 1), (axes[1], "delta", depth)):
        start = drawn[drawn["layer"] == origin].set_index("run")[column]
        relative = drawn.assign(value=np.log10(drawn[column] / drawn["run"].map(start)))
        style.curves(axis, relative, x="layer", y="value", by="cell", looks=style.looks(names.values()))
        for cell in cells:
            q = np.log(mean_field.variances(*cell, depth))
            theory = q - q[0] if column == "pre_activation" else mean_field.log_gradients(*cell, depth)
            style.theory(axis, range(1, depth + 1), theory / np.log(10), label="mean field")
        axis.set(xlabel="layer", ylabel="mean square, relative / log₁₀")
    axes[0].set(title="signal, forward")
    style.count(axes[0], records)
    axes[1].set(title="gradient, backward")
    style.legend(axes[1], title="activation, σ²")
    return figure


def plot_training(records: pd.DataFrame) -> Figure:
    """Final loss by weight variance, a panel per activation."""
    records = records.assign(loss=capped_loss(records))
    figure, panels = style.panels(records, "activation", NAMES, height=2.8, sharey=True)
    for axis, activation, rows in panels:
        levels = sorted(rows["weight_variance"].unique())
        looks = dict.fromkeys(levels, style.looks(NAMES)[activation])
        labels = {level: f"{level:g}" for level in levels}
        style.points(axis, rows, x="weight_variance", y="loss", levels=levels, looks=looks, labels=labels)
        for level in (1.0, 2.0):
            axis.axvline(levels.index(level), color="0.85", linewidth=6, zorder=0)
        style.theory(axis, None, GUESSING, label="guessing")
        axis.set(xlabel="weight variance σ² (times fan-in)")
    panels[0].axis.set(ylabel="final training loss / nats")
    style.legend(panels[-1].axis)
    style.count(panels[0].axis, records)
    return figure


def plot_normalisation(records: pd.DataFrame) -> Figure:
    """Final loss over gains by normalisation, a panel per activation and depth."""
    panel = records["activation"].map(NAMES) + ", depth " + records["depth"].astype(str)
    titles = {title: title for title in ("ReLU, depth 3", "ReLU, depth 10", "tanh, depth 10")}
    records = records.assign(loss=capped_loss(records), panel=panel)
    figure, panels = style.panels(records, "panel", titles, height=2.8, sharey=True)
    for axis, _, rows in panels:
        style.curves(axis, rows, x="gain", y="loss", by="norm", looks=style.looks(["none", "batch", "layer"]))
        style.theory(axis, None, GUESSING, label="guessing")
        style.log_axis(axis, [0.25, 1, 4], ["¼", "1", "4"])
        axis.set(xlabel="gain of initial weights")
    panels[0].axis.set(ylabel="final training loss / nats")
    style.count(panels[-1].axis, records, raised=True)
    style.legend(panels[-1].axis, title="norm")
    return figure
