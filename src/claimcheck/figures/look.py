"""The one look of every figure: colours, markers, sizes and line styles.

Colours are Okabe and Ito's (safe for colour-blind readers) but for yellow, and each comes with its own marker and line
style, so a figure reads in black and white too. Text is drawn as outlines of the font that comes with matplotlib: the file is the
same on every machine and needs no font where it is read. Nothing here draws, and nothing knows a study.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from typing import Any

import matplotlib
import seaborn

WIDTH = 6.5
"""Inches: the text width of the report, so that a figure is printed at the size at which it is drawn."""

FONT_SIZE = 9.0
"""Points, of axis labels; tick labels and legends are one point smaller."""

COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
    "wine": "#882255",
}
"""Okabe and Ito, Color Universal Design (2008), in the order in which levels take them. Their yellow cannot be seen on
white; in its place stands a dark colour of Tol's (Colour Schemes, 2021)."""

GREY = "#666666"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES: tuple[Any, ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.2, 1.2)),
    (0, (6, 1.5, 1.2, 1.5)),
    (0, (3, 1)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (8, 2)),
    (0, (1, 2.5)),
)

SETTINGS: dict[str, Any] = {
    "figure.figsize": (WIDTH, 3.0),
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.labelsize": FONT_SIZE,
    "axes.titlesize": FONT_SIZE,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.labelsize": FONT_SIZE - 1,
    "ytick.labelsize": FONT_SIZE - 1,
    "legend.fontsize": FONT_SIZE - 1,
    "legend.title_fontsize": FONT_SIZE - 1,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.labelcolor": "#222222",
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.labelcolor": "#222222",
    "ytick.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "patch.linewidth": 0.8,
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
    "agg.path.chunksize": 20000,
    "svg.fonttype": "path",
    "svg.hashsalt": "claimcheck",
    "svg.image_inline": True,
}


PROJECTED_SIZE = (7.8, 3.0)
"""Inches of a figure for projection, in the shape of the room that a slide has for it."""

PROJECTED_FONT = 12.0
"""Points on such a figure: on a slide, which enlarges it, as large as the text beside it."""

PROJECTED: dict[str, Any] = {
    "savefig.dpi": 250,
    "font.size": PROJECTED_FONT,
    **dict.fromkeys(("axes.labelsize", "axes.titlesize"), PROJECTED_FONT),
    **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), PROJECTED_FONT - 1),
    "legend.title_fontsize": PROJECTED_FONT - 1,
    "legend.frameon": True,
    "legend.framealpha": 0.75,
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "legend.labelspacing": 0.25,
    "lines.linewidth": 2.4,
    "lines.markersize": 6.5,
    "axes.linewidth": 1.0,
}
"""What a figure for projection has otherwise."""

_projected: ContextVar[bool] = ContextVar("projected", default=False)


def projected() -> bool:
    """Whether figures are being drawn for projection: fewer curves, larger type, no legend beside the axes."""
    return _projected.get()


@contextmanager
def applied(*, projected: bool = False) -> Iterator[None]:
    """A context in which matplotlib and seaborn draw in this style; what was set before comes back after it.

    What it does not set is matplotlib's own default, not that of a `matplotlibrc` in the working or the home folder.

    Args:
        projected: for a slide instead of a page.
    """
    windows = ("backend", "interactive", "toolbar")  # to set them would choose a way to show figures
    default = {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in windows}
    settings = {**default, **seaborn.axes_style("ticks"), **SETTINGS, "axes.prop_cycle": _cycle()}
    before = _projected.set(projected)
    try:
        with matplotlib.rc_context(settings | (PROJECTED if projected else {})):
            yield
    finally:
        _projected.reset(before)


MOST_CURVES = 4
"""Of a panel for projection."""


def shown(levels: Iterable[Hashable]) -> list[Hashable]:
    """The levels that are drawn: all of them on a page, at most `MOST_CURVES` on a slide.

    Of numbers those that span the range evenly are kept, both ends among them; of names the first.
    """
    every = list(levels)
    if not projected() or len(every) <= MOST_CURVES:
        return every
    if all(isinstance(level, Real) for level in every):
        return [every[round(place * (len(every) - 1) / (MOST_CURVES - 1))] for place in range(MOST_CURVES)]
    return every[:MOST_CURVES]


def _cycle() -> Any:
    return matplotlib.cycler(color=list(COLOURS.values()), marker=list(MARKERS), linestyle=list(LINES))


def looks(levels: Iterable[Hashable]) -> dict[Hashable, dict[str, Any]]:
    """Colour, marker and line style of each level, as keyword arguments of `Axes.plot`.

    The same list of levels looks the same in every figure: name them all, in one order, throughout a study.
    """
    colours = list(COLOURS.values())
    return {
        level: {
            "color": colours[i % len(colours)],
            "marker": MARKERS[i % len(MARKERS)],
            "linestyle": LINES[(i + i // len(colours)) % len(LINES)],
        }
        for i, level in enumerate(dict.fromkeys(levels))
    }
