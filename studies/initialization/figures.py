"""Signals and gradients by layer beside mean-field theory, and final losses over the scale of the first weights."""

import numpy as np

from claimcheck.figures import style
from claimcheck.theory import mean_field

from .statistics import GUESSING, capped_loss

NAMES = {"relu": "ReLU", "tanh": "tanh"}


def plot_variance(records):
    """Mean squares by layer, forward and backward, with theory."""
    depth = int(records["layer"].max())
    cells = [("relu", 1.0), ("relu", 2.0), ("relu", 4.0), ("tanh", 1.0), ("tanh", 4.0)]
    names = {cell: f"{NAMES[cell[0]]}, {cell[1]:g}" for cell in cells}
    drawn = records.assign(cell=list(map(names.get, zip(records["activation"], records["weight_variance"]))))
    signal, gradient = style.side_by_side("mean square, relative / log₁₀", "", sharey=True)
    for axis, column, origin in ((signal, "pre_activation", 1), (gradient, "delta", depth)):
        rows = drawn.assign(value=style.relative(drawn, column, "layer", origin) / np.log(10))
        style.curves(axis, rows, x="layer", y="value", by="cell", looks=style.looks(names.values()))
    for cell in cells:
        q = np.log(mean_field.variances(*cell, depth))
        for axis, theory in ((signal, q - q[0]), (gradient, mean_field.log_gradients(*cell, depth))):
            style.theory(axis, range(1, depth + 1), theory / np.log(10), label="mean field")
    signal.set_title("signal, forward")
    gradient.set_title("gradient, backward")
    return style.finish(gradient, records, title="activation, σ²", xlabel="layer")


def plot_training(records):
    """Final loss by weight variance, a panel per activation."""
    records = records.assign(loss=capped_loss(records))
    for axis, activation, rows in style.panels(records, "activation", NAMES, height=2.8, sharey=True):
        levels = sorted(rows["weight_variance"].unique())
        looks = dict.fromkeys(levels, style.looks(NAMES)[activation])
        labels = {level: f"{level:g}" for level in levels}
        style.points(axis, rows, x="weight_variance", y="loss", looks=looks, labels=labels)
        for level in (1.0, 2.0):
            axis.axvline(levels.index(level), color="0.85", linewidth=6, zorder=0)
        style.level(axis, GUESSING, "guessing")
    labels = {"xlabel": "weight variance σ² (times fan-in)", "ylabel": "final training loss / nats"}
    return style.finish(axis, records, **labels)


def plot_normalisation(records):
    """Final loss over gains by normalisation, a panel per activation and depth."""
    panel = records["activation"].map(NAMES) + ", depth " + records["depth"].astype(str)
    titles = {title: title for title in ("ReLU, depth 3", "ReLU, depth 10", "tanh, depth 10")}
    records = records.assign(loss=capped_loss(records), panel=panel)
    for axis, _, rows in style.panels(records, "panel", titles, height=2.8, sharey=True):
        style.curves(axis, rows, x="gain", y="loss", by="norm", looks=style.looks(["none", "batch", "layer"]))
        style.level(axis, GUESSING, "guessing")
        style.log_axis(axis, [0.25, 1, 4], ["¼", "1", "4"])
    labels = {"xlabel": "gain of initial weights", "ylabel": "final training loss / nats"}
    return style.finish(axis, records, title="norm", raised=True, **labels)
