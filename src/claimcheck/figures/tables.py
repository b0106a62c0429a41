"""A figure as a table: the numbers that it draws, read off what is drawn. Computes nothing, so the two cannot differ.

Columns: `panel` (its title), `horizontal` and `vertical` (what its axes show), `series` (its name in the legend), `mark`,
`x`, `y`, `low` and `high` (the ends of a 95 % interval), `value` (of a map's cell). A mark is a *line* (averages), *markers* (averages that no
line joins), a *level* across the panel, a *run*, an *area* (from low to high) or a *cell* of a map. Of categories `x` or `y` is the name.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

COLUMNS = ("panel", "horizontal", "vertical", "series", "mark", "x", "y", "low", "high", "value")

BAND = "_band of "
"""How the label of a band begins that belongs to a line."""

RUNS = "_runs of "
"""How the label of the dots of a category's runs begins."""

Row = dict[str, Any]


def table_of(figure: Figure) -> str:
    """The numbers of a figure as CSV, panel by panel; the same figure gives the same text."""
    buffer = io.StringIO()
    written = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    written.writeheader()
    for number, axes in enumerate(figure.axes, start=1):
        if axes.get_label() == "<colorbar>":
            continue
        across, up = _names(axes.xaxis), _names(axes.yaxis)
        panel = axes.get_title(loc="left") or str(number)
        named = {"panel": panel, "horizontal": axes.get_xlabel(), "vertical": axes.get_ylabel()}
        for row in _rows(axes):
            row |= {"x": across.get(_place(row["x"]), row["x"]), "y": up.get(_place(row.get("y")), row.get("y"))}
            written.writerow({key: _said(value) for key, value in {**named, **row}.items()})
    return buffer.getvalue()


def _said(value: Any) -> Any:
    return f"{value:.10g}" if isinstance(value, float) else " ".join(value.split()) if isinstance(value, str) else value


def _names(axis: Any) -> dict[int, str]:
    """The categories on an axis by their place; empty for an axis of numbers."""
    if not isinstance(axis.get_major_locator(), FixedLocator):
        return {}
    places, names = list(axis.get_majorticklocs()), [label.get_text() for label in axis.get_majorticklabels()]
    if places != list(range(len(places))) or names == [f"{place:g}" for place in places]:
        return {}
    return dict(enumerate(names))


def _place(value: Any) -> int | None:
    """The category that a mark near it belongs to."""
    return round(value) if isinstance(value, float) and math.isfinite(value) else None


def _rows(axes: Axes) -> Iterator[Row]:
    bands = {
        each.get_label().removeprefix(BAND): _ends(each)
        for each in axes.collections
        if isinstance(each, PolyCollection) and str(each.get_label()).startswith(BAND)
    }
    bars = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    inside = {id(line) for each in bars for line in (each.lines[0], *each.lines[1])}
    for line in axes.lines:
        name = str(line.get_label())
        if id(line) in inside or name.startswith("_"):
            continue
        if line.get_transform() in (axes.get_yaxis_transform("grid"), axes.get_xaxis_transform("grid")):
            along = line.get_transform() == axes.get_yaxis_transform("grid")  # across the whole panel, or up it
            x, y = (None, _numbers(line.get_ydata())[0]) if along else (_numbers(line.get_xdata())[0], None)
            yield {"series": name, "mark": "level", "x": x, "y": y}
            continue
        ends = bands.get(name, {})
        kind = "markers" if line.get_linestyle() in ("None", "") else "line"
        for x, y in zip(*map(_numbers, (line.get_xdata(), line.get_ydata()))):
            low, high = ends.get(x, (None, None))
            yield {"series": name, "mark": kind, "x": x, "y": y, "low": low, "high": high}
    for bar in bars:
        yield from _errorbars(bar)
    for each in axes.collections:
        name = str(each.get_label())
        if isinstance(each, PolyCollection) and not name.startswith("_"):
            for x, (low, high) in _ends(each).items():
                yield {"series": name, "mark": "area", "x": x, "y": None, "low": low, "high": high}
        elif isinstance(each, PathCollection):
            for x, y in np.asarray(each.get_offsets(), dtype=float).tolist():
                yield {"series": name.removeprefix(RUNS), "mark": "run", "x": x, "y": y}
    for image in axes.images:
        yield from _cells(image)


def _numbers(values: Any) -> list[float]:
    return np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).tolist()


def _errorbars(bar: ErrorbarContainer) -> Iterator[Row]:
    """The centres of a series with the ends of their bars."""
    line, _, drawn = bar.lines
    if line is None:
        return
    across = 0 if bar.has_xerr else 1
    segments = drawn[0].get_segments() if drawn else []
    name = str(bar.get_label())
    for place, (x, y) in enumerate(zip(*map(_numbers, line.get_data()))):
        ends = sorted(float(end[across]) for end in segments[place]) if place < len(segments) else []
        low, high = ends or (None, None)  # one run has no interval, and a bar without ends no points
        yield {"series": name.lstrip("_"), "mark": "markers", "x": x, "y": y, "low": low, "high": high}


def _ends(band: PolyCollection) -> dict[float, tuple[float, float]]:
    """Where an area between two curves ends, by x: `fill_between` writes one curve, then the other backwards."""
    found: dict[float, tuple[float, float]] = {}
    for path in band.get_paths():
        corners = path.vertices
        count = (len(corners) - 3) // 2
        for (x, one), (_, other) in zip(corners[1 : count + 1], corners[count + 2 : 2 * count + 2][::-1]):
            found[float(x)] = (float(min(one, other)), float(max(one, other)))
    return found


def _cells(image: Any) -> Iterator[Row]:
    values = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
    for row in range(values.shape[0]):
        for column in range(values.shape[1]):
            yield {
                "series": "",
                "mark": "cell",
                "x": float(column),
                "y": float(row),
                "value": values[row, column].item(),
            }
