"""Marks on an axis: averages over seeds as curves or points with their intervals, and theory beside them."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis, Ticker
from matplotlib.ticker import MaxNLocator

from claimcheck.errors import ClaimcheckError
from claimcheck.figures.averages import summary
from claimcheck.figures.axes import tell_left_out
from claimcheck.figures.look import looks as looks_of
from claimcheck.figures.look import shown
from claimcheck.figures.tables import BAND, RUNS

Looks = Mapping[Hashable, dict[str, Any]]
Labels = Mapping[Hashable, str]


def curves(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    by: str | None = None,
    looks: Looks | None = None,
    labels: Labels | None = None,
    average: str = "mean",
    times: float = 1.0,
    lost: float | None = None,
    cut: float | None = None,
    marks: int = 12,
    within: tuple[float, float] | None = None,
    joined: bool = True,
) -> pd.DataFrame:
    """One line per level of `by`: the average over seeds, with a 95 % band (see `summary`, which it returns).

    A hollow marker says that at least one seed had no finite value there (it diverged) and is not in the average.

    Args:
        looks: from `looks(levels)`: the levels to draw; those that the records lack are skipped. By default the levels
            that `labels` names, in its order, or, without labels, all there are, in ascending order.
        labels: what the legend calls a level, where its name will not do.
        average: "mean", "median" or "proportion".
        times: what the averages are multiplied by; 100 draws a share in per cent.
        lost: what a missing value (of a diverged run) counts as, instead of being left out.
        cut: greater values count as this one.
        marks: at most about this many markers on a line.
        within: what the average cannot leave, such as 0 to 100 %; the band ends there.
        joined: False draws markers with bars for the intervals and no line, where a theory curve joins them.
    """
    table = _multiplied(summary(_bounded(records, y, lost, cut), x, y, by, average=average), times)
    if within:
        table[["low", "high"]] = table[["low", "high"]].clip(*within)
    chosen = looks or looks_of(labels or (sorted(table[by].unique()) if by else [y]))
    there = set(table[by]) if by else set(chosen)
    drawn = shown([level for level in chosen if level in there])
    tell_left_out(axis, len(drawn), sum(level in there for level in chosen))
    _whole_ticks(axis.xaxis, table[x])
    for level, look in ((level, chosen[level]) for level in drawn):
        part = table[table[by] == level] if by else table
        name = (labels or {}).get(level, str(level))
        every = max(1, len(part) // marks) if joined else 1
        if joined:
            axis.plot(part[x], part["centre"], label=name, markevery=every, **look)
            band = {"color": look["color"], "alpha": 0.18, "linewidth": 0, "label": f"{BAND}{name}"}
            axis.fill_between(part[x].astype(float), part["low"], part["high"], **band)
        else:
            bars = [part["centre"] - part["low"], part["high"] - part["centre"]]
            axis.errorbar(part[x], part["centre"], bars, capsize=2.5, label=name, **{**look, "linestyle": ""})
        hollow = part.iloc[::every].query("missing > 0")
        mark = {"marker": look["marker"], "color": look["color"], "markerfacecolor": "white", "zorder": 3}
        axis.plot(hollow[x], hollow["centre"], linestyle="", **mark)
    return table


def column_curves(
    axis: Axes, records: pd.DataFrame, *, x: str, columns: Labels, looks: Looks | None = None, **how: Any
) -> None:
    """One line for each of several columns of the records: column -> what the legend calls it.

    Args:
        looks: from `looks(columns)`, which is what it is by default. how: as in `curves`.
    """
    table = looks or looks_of(columns)
    drawn = shown(columns)
    tell_left_out(axis, len(drawn), len(columns))
    for column, label in ((column, columns[column]) for column in drawn):
        curves(axis, records, x=x, y=column, looks={column: table[column]}, labels={column: label}, **how)


def points(
    axis: Axes,
    records: pd.DataFrame,
    *,
    x: str,
    y: str,
    levels: Sequence[Hashable] | None = None,
    looks: Looks | None = None,
    labels: Labels | None = None,
    average: str = "mean",
    times: float = 1.0,
    lost: float | None = None,
    cut: float | None = None,
    horizontal: bool = False,
    aside: float = 0.0,
) -> pd.DataFrame:
    """Every seed as a faint dot and the average with its 95 % interval beside it, for a categorical `x`.

    Args:
        x, y: columns of the categories and of the values, whichever way they are drawn.
        levels: the categories, in the order in which they stand on the axis; by default the keys of `labels`, or,
            without these, what there is, in ascending order.
        looks: from `looks(levels)`; by default in the order of `labels`, then of `levels`.
        labels: what the axis calls a level, where its name will not do.
        average, times, lost, cut: as in `curves`.
        horizontal: the categories stand below one another, the first on top, and values grow to the right.
        aside: how far beside their places the marks are put, where two series share a row of categories.
    """
    records = _bounded(records, y, lost, cut)
    table = _multiplied(summary(records, x, y, average=average), times).set_index(x)
    places = list(levels or labels or sorted(records[x].unique()))
    _share_categories(axis.yaxis if horizontal else axis.xaxis, places)
    look = looks or looks_of([*(labels or []), *places])
    for place, level in zip(np.arange(len(places)) + aside, places):
        values = times * records[records[x] == level].groupby("seed")[y].mean().to_numpy(dtype=float)
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(len(values))
        colour, marker = look[level]["color"], look[level]["marker"]
        dots = (values, place + spread - 0.08) if horizontal else (place + spread - 0.08, values)
        every = {"s": 9, "color": colour, "alpha": 0.35, "linewidth": 0, "rasterized": len(values) > 500}
        axis.scatter(*dots, label=f"{RUNS}{(labels or {}).get(level, level)}", **every)
        if level in table.index:
            row = table.loc[level]
            error = np.array([[row["centre"] - row["low"]], [row["high"] - row["centre"]]])
            middle = {"x": row["centre"], "y": place + 0.2, "xerr": error}
            if not horizontal:
                middle = {"x": place + 0.2, "y": row["centre"], "yerr": error}
            name = f"_{(labels or {}).get(level, level)}"
            axis.errorbar(**middle, color=colour, marker=marker, capsize=2.5, linestyle="", label=name)
    _whole_ticks(axis.xaxis if horizontal else axis.yaxis, times * records[y].dropna())
    _category_axis(axis, [(labels or {}).get(level, str(level)) for level in places], horizontal)
    return table.reset_index()


def theory(axis: Axes, x: Any, y: Any, label: str = "theory", **line: Any) -> None:
    """A theoretical or published curve: dashed black, over the data."""
    axis.plot(x, y, label=label, **{**_DASHED, "marker": "", **line})


def level(axis: Axes, value: float, label: str, **line: Any) -> None:
    """A theoretical level, such as the loss of guessing: a line across the axis in the look of `theory`."""
    axis.axhline(float(value), label=label, **{**_DASHED, **line})


_DASHED = {"color": "black", "linestyle": (0, (4, 2)), "linewidth": 1.2, "zorder": 4}


def _bounded(records: pd.DataFrame, column: str, lost: float | None, cut: float | None) -> pd.DataFrame:
    """The records with `lost` for what the column lacks, and with nothing in it above `cut`."""
    values = records[column] if lost is None else records[column].fillna(lost)
    return records.assign(**{column: values.clip(upper=cut)})


def _multiplied(table: pd.DataFrame, times: float) -> pd.DataFrame:
    ends = ["centre", "low", "high"]
    return table.assign(**{name: times * table[name] for name in ends})


def _whole_ticks(axis: Axis, values: pd.Series) -> None:
    """Ticks at whole numbers alone on an axis of what is counted, such as layers or spikes."""
    ticks = axis.get_major_locator()
    if isinstance(ticks, MaxNLocator) and bool((values.astype(float) % 1 == 0).all()):
        ticks.set_params(integer=True)


_CATEGORIES: WeakKeyDictionary[Ticker, list[Hashable]] = WeakKeyDictionary()
"""What is drawn where on an axis; panels that share an axis share its ticker."""


def _share_categories(axis: Axis, levels: list[Hashable]) -> None:
    """Refuse other categories than the axis has: the names of the last would stand beside the marks of the first."""
    if (there := _CATEGORIES.setdefault(axis.major, levels)) != levels:
        raise ClaimcheckError(
            "an axis has other categories already, perhaps in a panel that shares it",
            found=f"{', '.join(map(str, levels))} beside {', '.join(map(str, there))}",
            hint="give every panel the same `levels`, or do not share the axis",
        )


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
