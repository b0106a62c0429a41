"""Signals and gradients by layer beside mean-field theory, and final losses over the scale of the first weights."""

import numpy as np

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.theory import mean_field

from .statistics import GUESSING, capped_loss

NAMES = {"relu": "ReLU", "tanh": "tanh", "swish": "Swish"}
DATA = {name: title(name) for name in ("digits", "mnist5k")}
GAINS = {0.25: "¼", 1.0: "1", 4.0: "4"}


def plot_variance(records):
    """Mean squares by layer, forward and backward, with theory."""
    depth = int(records["layer"].max())
    cells = [("relu", 1.0), ("relu", 2.0), ("tanh", 1.0), ("tanh", 4.0)]
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


def plot_scales(records):
    """Final loss over learning rates by gain, a panel for each activation and data set."""
    records = records.assign(
        loss=capped_loss(records, 2 * GUESSING),
        panel=records["activation"].map(NAMES) + ", " + records["dataset"].map(DATA),
        decade=np.log10(records["learning_rate"]),
    )
    titles = {f"{name}, {data}": f"{name}, {data}" for name in ("ReLU", "tanh") for data in DATA.values()}
    for axis, _, rows in style.panels(records, "panel", titles, columns=2, sharex=True, sharey=True):
        style.curves(
            axis, rows, x="decade", y="loss", by="gain", looks=style.looks(GAINS), labels=GAINS, average="median"
        )
        style.level(axis, GUESSING, "guessing")
    return style.finish(
        axis, records, title="gain", xlabel="log₁₀ of the learning rate", ylabel="train loss / nats", raised=True
    )


def plot_training(records):
    """Final loss by weight variance and activation, a panel for each data set."""
    records = records.assign(loss=capped_loss(records))
    for axis, _, rows in style.panels(records, "dataset", DATA, sharey=True):
        for own in (1.0, 2.0):
            axis.axvline(own, color="0.85", linewidth=5, zorder=0, label="Xavier's, He's")
        style.curves(axis, rows, x="weight_variance", y="loss", by="activation", looks=style.looks(NAMES), labels=NAMES)
        style.level(axis, GUESSING, "guessing")
    ticks = [0.5, 1, 1.5, 2, 3, 4]
    labels = {"xlabel": "weight variance σ² (times fan-in)", "ylabel": "train loss / nats"}
    return style.finish(axis, records, log_ticks=ticks, **labels)


def plot_normalisation(records):
    """Final loss over gains by normalisation, a panel for each data set and depth."""
    panel = records["dataset"].map(DATA) + ", depth " + records["depth"].astype(str)
    titles = {title: title for depth in (3, 10, 20) for data in DATA.values() for title in [f"{data}, depth {depth}"]}
    records = records.assign(loss=capped_loss(records), panel=panel)
    for axis, _, rows in style.panels(records, "panel", titles, columns=2, sharex=True, sharey=True):
        style.curves(axis, rows, x="gain", y="loss", by="norm", looks=style.looks(["none", "batch", "layer"]))
        style.level(axis, GUESSING, "guessing")
        style.log_axis(axis, list(GAINS), list(GAINS.values()))
    labels = {"xlabel": "gain of hidden weights", "ylabel": "train loss / nats"}
    return style.finish(axis, records, title="norm", raised=True, **labels)
