"""The one look of every figure: colours, markers, sizes, and the few marks that figures share.

Colours are Okabe and Ito's (safe for colour-blind readers), and each comes with its own marker and line style, so a
figure reads in black and white too. Text is drawn as outlines of the font that comes with matplotlib: the file is the
same on every machine and needs no font where it is read. Nothing here knows a study.

A study draws like this::

    def plot_slopes(records):
        figure, axis = style.figure()
        looks = style.looks(["tanh", "relu", "swish"])
        style.curves(axis, records, x="layer", y="log_gradient", by="activation", looks=looks)
        style.theory(axis, layers, expected, label="mean field")
        style.legend(axis)
        style.count(axis, records)
        axis.set(xlabel="layer", ylabel="log squared gradient / nats")
        return figure
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from claimcheck.figures.averages import summary

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
    "yellow": "#F0E442",
}
"""Okabe and Ito, Color Universal Design (2008), in the order in which levels take them: the palest one last."""

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


def applied() -> AbstractContextManager[None]:
    """A context in which matplotlib and seaborn draw in this style; what was set before comes back after it.

    What it does not set is matplotlib's own default, not that of a `matplotlibrc` in the working or the home folder.
    """
    windows = ("backend", "interactive", "toolbar")  # to set them would choose a way to show figures
    default = {name: value for name, value in matplotlib.rcParamsDefault.items() if name not in windows}
    settings = {**default, **seaborn.axes_style("ticks"), **SETTINGS, "axes.prop_cycle": _cycle()}
    return matplotlib.rc_context(settings)


def _cycle() -> Any:
    return matplotlib.cycler(color=list(COLOURS.values()), marker=list(MARKERS), linestyle=list(LINES))


def figure(rows: int = 1, columns: int = 1, *, height: float | None = None, **subplots: Any) -> tuple[Figure, Any]:
    """An empty figure of the report's width and its axes.

    Args:
        rows, columns: the grid of panels.
        height: inches; by default 3.0 for one row and 2.4 for each of several.
        subplots: handed to `Figure.subplots` (`sharex`, `sharey`, `width_ratios`, `squeeze`, ...).

    Returns:
        the figure, and one `Axes` or an array `[rows, columns]` of them squeezed as matplotlib does.
    """
    tall = height if height is not None else (3.0 if rows == 1 else 2.4 * rows)
    made = Figure(figsize=(WIDTH, tall), layout="constrained")
    return made, made.subplots(rows, columns, **subplots)


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


class Panel(NamedTuple):
    """One of several panels: its axes, the level that it shows, and that level's rows."""

    axis: Axes
    level: Hashable
    rows: pd.DataFrame


def panels(
    records: pd.DataFrame,
    by: str,
    titles: Mapping[Hashable, str],
    *,
    columns: int | None = None,
    height: float | None = None,
    **subplots: Any,
) -> tuple[Figure, list[Panel]]:
    """A figure with a titled panel for each level of column `by`, in the order of `titles`.

    Levels that the records lack are skipped.

    Args:
        titles: level -> what stands above its panel.
        columns: panels side by side; all of them by default.
        height, subplots: as in `figure`.
    """
    rows = {level: records[records[by] == level] for level in titles}
    shown = {level: own for level, own in rows.items() if len(own)}
    across = columns or len(shown)
    made, axes = figure(-(-len(shown) // across), across, height=height, squeeze=False, **subplots)
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis, level in zip(axes.flat, shown):
        axis.set_title(titles[level])
    return made, [Panel(axis, level, own) for axis, (level, own) in zip(axes.flat, shown.items())]


def curves(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str | None = None,
    looks: Mapping[Hashable, dict[str, Any]] | None = None,
    labels: Mapping[Hashable, str] | None = None,
    average: str = "mean",
    times: float = 1.0,
    marks: int = 12,
    within: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """One line per level of `by`: the average over seeds, with a 95 % band (see `summary`, which it returns).

    A hollow marker says that at least one seed had no finite value there (it diverged) and is not in the average.

    Args:
        looks: from `looks(levels)`; levels that the records lack are skipped.
        labels: what the legend calls a level, where its name will not do.
        times: what the averages are multiplied by; 100 draws a share in per cent.
        marks: at most about this many markers on a line.
        within: what the average cannot leave, such as 0 to 100 %; the band ends there.
    """
    table = _multiplied(summary(records, x, y, by, average=average), times)
    if within:
        table[["low", "high"]] = table[["low", "high"]].clip(*within)
    look = looks if looks is not None else _looks_of(sorted(table[by].unique()) if by else [y])
    for level, style in look.items():
        part = table[table[by] == level] if by else table
        if part.empty:
            continue
        name = (labels or {}).get(level, str(level))
        every = max(1, len(part) // marks)
        axis.plot(part[x], part["centre"], label=name, markevery=every, **style)
        hollow = part[part["missing"] > 0]
        axis.plot(
            hollow[x], hollow["centre"], linestyle="", marker=style["marker"], color=style["color"],
            markerfacecolor="white", zorder=3,
        )  # fmt: skip
        axis.fill_between(
            part[x].astype(float), part["low"], part["high"], color=style["color"], alpha=0.18, linewidth=0
        )
    return table


def column_curves(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    columns: Mapping[str, str],
    looks: Mapping[Hashable, dict[str, Any]] | None = None,
    **how: Any,
) -> None:
    """One line for each of several columns of the records: column -> what the legend calls it.

    Args:
        looks: from `looks(columns)`, which is what it is by default. how: as in `curves`.
    """
    table = looks if looks is not None else _looks_of(columns)
    for column, label in columns.items():
        curves(axis, records, x=x, y=column, looks={column: table[column]}, labels={column: label}, **how)


def points(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    levels: Sequence[Hashable],
    looks: Mapping[Hashable, dict[str, Any]] | None = None,
    labels: Mapping[Hashable, str] | None = None,
    average: str = "mean",
    times: float = 1.0,
    horizontal: bool = False,
) -> pd.DataFrame:
    """Every seed as a faint dot and the average with its 95 % interval beside it, for a categorical `x`.

    Args:
        x, y: columns of the categories and of the values, whichever way they are drawn.
        levels: the categories, in the order in which they stand on the axis.
        labels: what the axis calls a level, where its name will not do.
        times: what the values are multiplied by; 100 draws a share in per cent.
        horizontal: the categories stand below one another, the first on top, and values grow to the right.
    """
    table = _multiplied(summary(records, x, y, average=average), times).set_index(x)
    look = looks if looks is not None else _looks_of(levels)
    for place, level in enumerate(levels):
        values = times * records[records[x] == level].groupby("seed")[y].mean().to_numpy(dtype=float)
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(len(values))
        colour, marker = look[level]["color"], look[level]["marker"]
        dots = (values, place + spread - 0.08) if horizontal else (place + spread - 0.08, values)
        axis.scatter(*dots, s=9, color=colour, alpha=0.35, linewidth=0, rasterized=len(values) > 500)
        if level in table.index:
            row = table.loc[level]
            error = np.array([[row["centre"] - row["low"]], [row["high"] - row["centre"]]])
            middle = {"x": row["centre"], "y": place + 0.2, "xerr": error}
            if not horizontal:
                middle = {"x": place + 0.2, "y": row["centre"], "yerr": error}
            axis.errorbar(**middle, color=colour, marker=marker, capsize=2.5, linestyle="")
    _category_axis(axis, [(labels or {}).get(level, str(level)) for level in levels], horizontal)
    return table.reset_index()


def _looks_of(levels: Iterable[Hashable]) -> dict[Hashable, dict[str, Any]]:
    """`looks`, for functions that have an argument of that name."""
    return looks(levels)


def _multiplied(table: pd.DataFrame, times: float) -> pd.DataFrame:
    ends = ["centre", "low", "high"]
    return table.assign(**{name: times * table[name] for name in ends})


def _category_axis(axis: Axes, names: Sequence[str], horizontal: bool) -> None:
    """A place for each name, from the left, or from the top."""
    places, ends = range(len(names)), (-0.6, len(names) - 0.4)
    if horizontal:
        axis.set_yticks(places, names)
        axis.set_ylim(ends[::-1])
    else:
        axis.set_xticks(places, names)
        axis.set_xlim(ends)
    axis.grid(False, axis="y" if horizontal else "x")


def theory(axis: Axes, x: Any, y: Any, label: str = "theory", **line: Any) -> None:
    """A theoretical or published curve: dashed black, over the data. A scalar `y` is a level across the axis."""
    style = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.2, "marker": "", "zorder": 4, **line}
    if np.ndim(y) == 0:
        axis.axhline(float(y), label=label, **{k: v for k, v in style.items() if k != "marker"})
    else:
        axis.plot(x, y, label=label, **style)


def log_axis(axis: Axes, ticks: Iterable[float], labels: Sequence[str] | None = None, *, across: str = "x") -> None:
    """A logarithmic axis (`across`: "x" or "y") with plain numbers, or `labels`, at `ticks` and nowhere else."""
    places = list(ticks)
    axis.set(**{f"{across}scale": "log"})
    one = axis.xaxis if across == "x" else axis.yaxis
    one.set_ticks(places, labels or [f"{place:g}" for place in places])
    one.set_ticks([], minor=True)


def unjoined(axis: Axes, names: Iterable[str]) -> None:
    """The curves of these names as markers without a line, where a theory curve joins them."""
    wanted = set(names)
    for line in axis.lines:
        if line.get_label() in wanted:
            line.set_linestyle("")


def threshold(axis: Axes, x: float, label: str = "threshold") -> None:
    """A thin dotted grey line up and down at `x`, below the data."""
    axis.axvline(x, color=GREY, linewidth=1.0, linestyle=":", label=label, zorder=1)


def region(axis: Axes, low: float | None, high: float | None, *, across: str = "y", label: str | None = None) -> None:
    """Shade where a prediction says that the number must fall; None is an open end. `across`: the axis it lies on."""
    ends = list(axis.get_ylim() if across == "y" else axis.get_xlim())
    span = [ends[0] if low is None else low, ends[1] if high is None else high]
    draw = axis.axhspan if across == "y" else axis.axvspan
    draw(*span, color=COLOURS["green"], alpha=0.10, linewidth=0, zorder=0, label=label)
    (axis.set_ylim if across == "y" else axis.set_xlim)(ends)


def count(axis: Axes, records: pd.DataFrame, extra: str = "", *, place: str = "right", raised: bool = False) -> None:
    """Say outside the axes, above a corner, how many seeds the figure shows: "n = 16 seeds"."""
    seeds = records["seed"].nunique()
    text = f"n = {seeds} seed{'s' if seeds != 1 else ''}" + (f", {extra}" if extra else "")
    note(axis, text, place=place, raised=raised)


def finish(axis: Axes, records: pd.DataFrame, extra: str = "", *, title: str | None = None, **settings: Any) -> Figure:
    """The figure of `axis`, with the axis' settings, a legend beside it (with a `title`) and the number of seeds."""
    axis.set(**settings)
    if axis.get_legend_handles_labels()[0]:
        legend(axis, title)
    count(axis, records, extra)
    return axis.figure


def note(axis: Axes, text: str, *, place: str = "right", raised: bool = False) -> None:
    """A short grey remark above the axes' right (or left) corner, where no data are; `raised` above a long title."""
    look = {"fontsize": FONT_SIZE - 1.5, "color": GREY, "fontweight": "normal"}
    if not raised:
        axis.set_title(text, loc=place, **look)
        return
    corner, lift = (float(place == "right"), 1.0), matplotlib.rcParams["axes.titlepad"] + 1.6 * FONT_SIZE
    axis.annotate(text, corner, (0, lift), xycoords="axes fraction", textcoords="offset points", ha=place, **look)


def legend(axis: Axes, title: str | None = None, *, outside: bool = True, **settings: Any) -> None:
    """A legend beside the axes (or, `outside=False`, inside where matplotlib finds room), without doubles."""
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(reversed(names), reversed(handles), strict=True))
    order = [name for name in dict.fromkeys(names) if not name.startswith("_")]
    where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0} if outside else {"loc": "best"}
    look = {"title": title, "handlelength": 2.6, "alignment": "left", **where, **settings}
    axis.legend([unique[name] for name in order], order, **look)
