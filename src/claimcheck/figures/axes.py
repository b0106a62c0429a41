"""Axes to draw on, and what stands around the data: panels, logarithmic ticks, thresholds, legends, counts of runs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from claimcheck.figures.look import COLOURS, GREY, PROJECTED_SIZE, WIDTH, projected


class Panel(NamedTuple):
    """One of several panels: its axes, the level that it shows, and that level's rows."""

    axis: Axes
    level: Hashable
    rows: pd.DataFrame


def figure(rows: int = 1, columns: int = 1, *, height: float | None = None, **subplots: Any) -> tuple[Figure, Any]:
    """An empty figure of the report's width, or of a slide's shape, and its axes.

    Args:
        rows, columns: the grid of panels.
        height: inches; by default 3.0 for one row and 1.75 for each of several.
        subplots: handed to `Figure.subplots` (`sharex`, `sharey`, `width_ratios`, `squeeze`, ...).

    Returns:
        the figure, and one `Axes` or an array `[rows, columns]` of them squeezed as matplotlib does.
    """
    tall = height if height is not None else (3.0 if rows == 1 else 1.75 * rows)
    size = (WIDTH, tall)
    if projected():
        size = tuple(side * (1.0 if rows == 1 and tall < 4.5 else 1.3) for side in PROJECTED_SIZE)
    made = Figure(figsize=size, layout="constrained")
    return made, made.subplots(rows, columns, **subplots)


def axis(height: float | None = None) -> Axes:
    """The one axis of an empty figure, `height` inches tall."""
    return figure(height=height)[1]


def side_by_side(*ylabels: str, height: float | None = None, **subplots: Any) -> list[Axes]:
    """An axis for each quantity, beside one another; `finish` gives them their common xlabel.

    Args:
        ylabels: what the vertical axes show, from left to right.
        height, subplots: as in `figure`.
    """
    _, axes = figure(1, len(ylabels), height=height, squeeze=False, **subplots)
    for one, ylabel in zip(axes.flat, ylabels):
        one.set_ylabel(ylabel)
    return list(axes.flat)


def panels(
    records: pd.DataFrame,
    by: str,
    titles: Mapping[Hashable, str],
    *,
    columns: int | None = None,
    height: float | None = None,
    **subplots: Any,
) -> list[Panel]:
    """A titled panel for each level of column `by`, in the order of `titles`.

    Levels that the records lack are skipped.

    Args:
        titles: level -> what stands above its panel.
        columns: panels side by side; all of them by default.
        height, subplots: as in `figure`.
    """
    rows = {level: records[records[by] == level] for level in titles}
    shown = {level: own for level, own in rows.items() if len(own)}
    across = columns or len(shown)
    _, axes = figure(-(-len(shown) // across), across, height=height, squeeze=False, **subplots)
    for spare in axes.flat[len(shown) :]:
        spare.remove()
    for one, level in zip(axes.flat, shown):
        one.set_title(titles[level])
    return [Panel(one, level, own) for one, (level, own) in zip(axes.flat, shown.items())]


def finish(
    axis: Axes,
    records: pd.DataFrame,
    extra: str = "",
    *,
    title: str | None = None,
    raised: bool = False,
    log_ticks: Iterable[float] | None = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    **settings: Any,
) -> Figure:
    """The figure of `axis` with what stands around its panels: labels, one legend, the number of runs.

    The legend names what is drawn in any panel once, beside the top right one, above which the number of runs stands.
    There is none where a panel has a legend of its own. Axes that are no panel, such as a colour bar's, are left alone.

    Args:
        axis: any panel of the figure.
        extra, raised: as in `count`.
        title: of the legend.
        log_ticks: the places of numbers on every panel's horizontal axis, which becomes logarithmic (see `log_axis`).
        xlabel: below the lowest panel of each column.
        ylabel: beside the first panel of each row.
        settings: of every panel, as in `Axes.set`, such as `ylim` or `yscale`.
    """
    places = {one: place for one in axis.figure.axes if (place := one.get_subplotspec()) is not None}
    lowest = {place.colspan.start: one for one, place in places.items()}
    for one, place in places.items():
        if log_ticks is not None:
            log_axis(one, log_ticks)
        if xlabel is not None and one in lowest.values():
            one.set_xlabel(xlabel)
        if ylabel is not None and place.is_first_col():
            one.set_ylabel(ylabel)
        one.set(**settings)
    corner = [one for one, place in places.items() if place.is_first_row()][-1]
    if not any(one.get_legend() for one in axis.figure.axes):
        legend(corner, title, of=places)
    count(corner, records, extra, raised=raised)
    return axis.figure


def count(axis: Axes, records: pd.DataFrame, extra: str = "", *, raised: bool = False) -> None:
    """Say above the axes' right corner how many runs the figure shows: "n = 16 runs", one for each seed, or "n = 28 to 48
    runs" where parts or data sets have other numbers.

    On a slide, whose notes say it, stands instead how many of the curves it shows, where these are not all.
    """
    apart = [name for name in ("part", "dataset") if name in records]
    counted = (
        records.groupby(apart, dropna=False, observed=True)["seed"].nunique() if apart else [records["seed"].nunique()]
    )
    runs = sorted(set(counted)) or [0]
    between = f"{runs[0]} to {runs[-1]}" if len(runs) > 1 else f"{runs[0]}"
    words = [f"n = {between} run{'s' if runs[-1] != 1 else ''}"] if not projected() else []
    if axis.figure in _LEFT_OUT:
        words.append("{} of {} curves".format(*_LEFT_OUT[axis.figure]))
    words += [extra] if extra else []
    note(axis, ", ".join(words), raised=raised)


_LEFT_OUT: WeakKeyDictionary[Figure, tuple[int, int]] = WeakKeyDictionary()
"""Figures of which a panel shows so many of so many curves."""


def tell_left_out(axis: Axes, drawn: int, every: int) -> None:
    """Note that of `every` curves only `drawn` are; `count` says so beside the number of runs."""
    if drawn < every:
        _LEFT_OUT[axis.figure] = (drawn, every)


def note(axis: Axes, text: str, *, place: str = "right", raised: bool = False) -> None:
    """A short grey remark above the axes' right (or left) corner, where no data are; `raised` above a long title."""
    size = matplotlib.rcParams["font.size"]
    look = {"fontsize": size - 1.5, "color": GREY, "fontweight": "normal"}
    if not raised:
        axis.set_title(text, loc=place, **look)
        return
    lines = 1 + axis.get_title(matplotlib.rcParams["axes.titlelocation"]).count("\n")
    corner, lift = (float(place == "right"), 1.0), matplotlib.rcParams["axes.titlepad"] + (0.3 + 1.3 * lines) * size
    axis.annotate(text, corner, (0, lift), xycoords="axes fraction", textcoords="offset points", ha=place, **look)


def legend(axis: Axes, title: str | None = None, *, of: Iterable[Axes] = ()) -> None:
    """A legend beside the axes (on slides inside, where matplotlib finds room), without doubles.

    Args:
        of: the axes whose curves it names; those of `axis` by default. Nothing is drawn where they have no names.
    """
    found = [one.get_legend_handles_labels() for one in of or [axis]]
    found.sort(key=lambda each: -len(each[1]))  # a panel that lacks a curve does not decide the order
    named: dict[str, Any] = {}
    for handle, name in ((handle, name) for each in found for handle, name in zip(*each, strict=True)):
        named.setdefault(name, handle)
    if not named:
        return
    beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0), "borderaxespad": 0.0}
    where = {"loc": "best"} if projected() else beside
    axis.legend(named.values(), named.keys(), title=title, handlelength=2.6, alignment="left", **where)


def log_axis(axis: Axes, ticks: Iterable[float], labels: Sequence[str] | None = None, *, across: str = "x") -> None:
    """A logarithmic axis (`across`: "x" or "y") with plain numbers, or `labels`, at `ticks` and nowhere else."""
    places = list(ticks)
    axis.set(**{f"{across}scale": "log"})
    one = axis.xaxis if across == "x" else axis.yaxis
    one.set_ticks(places, labels or [f"{place:g}" for place in places])
    one.set_ticks([], minor=True)


def threshold(axis: Axes, x: float, label: str = "threshold") -> None:
    """A thin dotted grey line up and down at `x`, below the data."""
    axis.axvline(x, color=GREY, linewidth=1.0, linestyle=":", label=label, zorder=1)


def region(axis: Axes, low: float | None, high: float | None, *, across: str = "y") -> None:
    """Shade where a prediction says that the number must fall; None is an open end. `across`: the axis it lies on."""
    ends = list(axis.get_ylim() if across == "y" else axis.get_xlim())
    span = [ends[0] if low is None else low, ends[1] if high is None else high]
    draw = axis.axhspan if across == "y" else axis.axvspan
    draw(*span, color=COLOURS["green"], alpha=0.10, linewidth=0, zorder=0)
    (axis.set_ylim if across == "y" else axis.set_xlim)(ends)
