"""What a study's figures.py draws with, under one name.

Three steps: axes to draw on, marks on them, and `finish`, which labels the outer panels and adds a legend and the number
of runs::

    from claimcheck.figures import style

    NORMS = {"none": "no norm", "batch": "batch norm"}

    def plot_loss(records):
        for axis, _, rows in style.panels(records, "depth", {3: "3 layers", 10: "10 layers"}, sharey=True):
            style.curves(axis, rows, x="gain", y="train_loss", by="norm", labels=NORMS, lost=GUESSING)
            style.level(axis, GUESSING, "guessing")
        return style.finish(axis, records, xlabel="gain", ylabel="train loss / nats")

`look` holds the colours, `axes` panels and what stands around the data, `curves` the marks for data and theory,
`averages` the numbers behind them.
"""

from claimcheck.figures.averages import relative
from claimcheck.figures.axes import (
    Panel,
    axis,
    figure,
    finish,
    log_axis,
    note,
    panels,
    region,
    side_by_side,
    threshold,
)
from claimcheck.figures.curves import column_curves, curves, level, points, theory
from claimcheck.figures.look import COLOURS, GREY, applied, looks, shown

__all__ = [
    "COLOURS",
    "GREY",
    "Panel",
    "applied",
    "axis",
    "column_curves",
    "curves",
    "figure",
    "finish",
    "level",
    "log_axis",
    "looks",
    "note",
    "panels",
    "points",
    "region",
    "relative",
    "shown",
    "side_by_side",
    "theory",
    "threshold",
]
