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

from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from claimcheck.judging.statistics import binomial_interval

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
    """A context in which matplotlib and seaborn draw in this style; what was set before comes back after it."""
    settings = {**seaborn.axes_style("ticks"), **SETTINGS, "axes.prop_cycle": _cycle()}
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

    The same list of levels gives the same looks in every figure: name them all, in one order, throughout a study.
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


def encoding(levels: Iterable[Hashable]) -> dict[str, Any]:
    """The same looks as keyword arguments of `seaborn.lineplot` (with `hue=` and `style=` the same column)."""
    table = looks(levels)
    order = list(table)
    return {
        "hue_order": order,
        "style_order": order,
        "palette": {level: look["color"] for level, look in table.items()},
        "markers": {level: look["marker"] for level, look in table.items()},
        "dashes": {level: LINES[i % len(LINES)][1] if i % len(LINES) else "" for i, level in enumerate(order)},
    }


def summary(
    records: pd.DataFrame, x: str, y: str, by: str | None = None, *, average: str = "mean", level: float = 0.95
) -> pd.DataFrame:
    """Mean (or median, or proportion) over seeds of column `y` at each `x` (and `by`), with an interval.

    Rows of one seed are averaged first, so seeds are the only replicates. Values that are not finite (a diverged
    run) are left out of the average and counted in `missing`.

    Returns:
        columns: by (if given), x, centre, low, high (Student's t interval for the mean, order statistics for the
        median, the binomial interval for a proportion of 0 to 1; NaN with one seed), n (seeds with a finite value),
        missing (seeds without).
    """
    keys = [by, x] if by else [x]
    table = records[[*keys, "seed", y]].copy()
    table[y] = table[y].astype(float).where(np.isfinite(table[y].astype(float)))
    grouped = table.groupby([*keys, "seed"], sort=True, observed=True)[y]
    per_seed = grouped.mean().where(grouped.apply(lambda values: values.notna().all()))
    rows = []
    for key, values in per_seed.groupby(level=keys, sort=True, observed=True):
        key = key if isinstance(key, tuple) else (key,)
        finite = values.dropna().to_numpy()
        rows.append([*key, *_interval(finite, average, level), len(finite), len(values) - len(finite)])
    return pd.DataFrame(rows, columns=[*keys, "centre", "low", "high", "n", "missing"])


def _interval(values: np.ndarray, average: str, level: float) -> tuple[float, float, float]:
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    if average == "median":
        centre, rank = float(np.median(values)), int(stats.binom.ppf((1 - level) / 2, len(values), 0.5))
        ordered = np.sort(values)
        return (centre, *((ordered[rank - 1], ordered[-rank]) if rank > 0 else (np.nan, np.nan)))
    centre = float(values.mean())
    if len(values) == 1:
        return centre, np.nan, np.nan
    if average == "proportion":
        return centre, *binomial_interval(values, level)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return centre, centre - half, centre + half


def curves(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str | None = None,
    looks: dict[Hashable, dict[str, Any]] | None = None,
    labels: dict[Hashable, str] | None = None,
    average: str = "mean",
    marks: int = 12,
    within: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """One line per level of `by`: the average over seeds, with a 95 % band (see `summary`, which it returns).

    A hollow marker says that at least one seed had no finite value there (it diverged) and is not in the average.

    Args:
        looks: from `looks(levels)`; levels that the records lack are skipped.
        labels: what the legend calls a level, where its name will not do.
        marks: at most about this many markers on a line.
        within: what the average cannot leave, such as 0 to 100 %; the band ends there.
    """
    table = summary(records, x, y, by, average=average)
    if within:
        table[["low", "high"]] = table[["low", "high"]].clip(*within)
    look = looks if looks is not None else globals()["looks"](sorted(table[by].unique()) if by else [y])
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


def points(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    levels: Sequence[Hashable],
    looks: dict[Hashable, dict[str, Any]] | None = None,
    average: str = "mean",
) -> pd.DataFrame:
    """Every seed as a faint dot and the average with its 95 % interval beside it, for a categorical `x`.

    Args:
        levels: the categories, in the order in which they stand on the axis.
    """
    table = summary(records, x, y, average=average).set_index(x)
    look = looks if looks is not None else globals()["looks"](levels)
    for place, level in enumerate(levels):
        values = records[records[x] == level].groupby("seed")[y].mean().to_numpy(dtype=float)
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(len(values))
        colour, marker = look[level]["color"], look[level]["marker"]
        dense = len(values) > 500
        axis.scatter(place + spread - 0.08, values, s=9, color=colour, alpha=0.35, linewidth=0, rasterized=dense)
        if level in table.index:
            row = table.loc[level]
            error = np.array([[row["centre"] - row["low"]], [row["high"] - row["centre"]]])
            axis.errorbar(place + 0.2, row["centre"], error, color=colour, marker=marker, capsize=2.5, linestyle="")
    axis.set_xticks(range(len(levels)), [str(level) for level in levels])
    axis.set_xlim(-0.6, len(levels) - 0.4)
    axis.grid(False, axis="x")
    return table.reset_index()


def theory(axis: Axes, x: Any, y: Any, label: str = "theory", **line: Any) -> None:
    """A theoretical or published curve: dashed black, over the data. A scalar `y` is a level across the axis."""
    style = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.2, "marker": "", "zorder": 4, **line}
    if np.ndim(y) == 0:
        axis.axhline(float(y), label=label, **{k: v for k, v in style.items() if k != "marker"})
    else:
        axis.plot(x, y, label=label, **style)


def log_axis(axis: Axes, ticks: Iterable[float]) -> None:
    """A logarithmic x axis with plain numbers at `ticks` and nowhere else."""
    axis.set_xscale("log")
    places = list(ticks)
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.set_xticks([], minor=True)


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
