"""A prediction's units against its region, a mark a unit, as SVG text: small for a table, larger for its card.

A dot is a unit of which the prediction is true, a cross one of which it is not. Hollow are units without a place on the
axis: infinite or far out, at its ends; without a number, apart from it at the right. So k of n can be counted off the
picture, with or without colour. Strings and numbers in, strings out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from claimcheck.report import text
from claimcheck.report.pictures import COLOURS, label, picture, slug

Ends = tuple[float | None, float | None]
Place = tuple[float, float]

FAR = 4.0
"""A number is far out when it is so many times the spread away from the middle half of the numbers and the region."""

ENOUGH = 8
"""Fewer numbers are all drawn in their place: of so few none can be called far out."""

BLOCK = 30.0
"""Widest block of marks that share one place."""


@dataclass(frozen=True)
class Row:
    """One data set's units.

    Attributes:
        values: a number a unit, NaN for none.
        true: whether the prediction is true of the unit.
        told: what is written above them in the larger picture, at the left and at the right.
        interval: median and the ends of its interval.
    """

    values: Sequence[float]
    true: Sequence[bool]
    state: str
    told: tuple[str, str] = ("", "")
    interval: tuple[float | None, float | None, float | None] = (None, None, None)


@dataclass(frozen=True)
class _Frame:
    """An axis from `low` to `high` between `left` and `right`; what lies beyond stands `edge` away from its end.

    Attributes:
        apart: where units without a number stand; None where there are none.
    """

    low: float
    high: float
    left: float
    right: float
    edge: float
    width: int
    apart: float | None

    def at(self, value: float) -> float:
        """The place of a number."""
        if math.isnan(value):
            return self.right if self.apart is None else self.apart
        if value < self.low:
            return self.left - self.edge
        if value > self.high:
            return self.right + self.edge
        width = self.high / 2 - self.low / 2  # halves, for the difference may overflow; of the tiniest none is left
        share = (value / 2 - self.low / 2) / width if width else 0.5
        return self.left + share * (self.right - self.left)

    def placed(self, value: float) -> bool:
        """Whether a number has a place on the axis."""
        return self.low <= value <= self.high

    def ends(self, region: Ends) -> tuple[float, float]:
        """From where to where the region goes, wide enough to be seen."""
        left = self.left - 2 * self.edge if region[0] is None else self.at(region[0])
        right = self.right + 2 * self.edge if region[1] is None else self.at(region[1])
        short = max(0.0, 3 - (right - left)) / 2
        return left - short, right + short


def strip(rows: Sequence[Row], region: Ends) -> str:
    """All units without a word, 120 wide and 18 a row, for a table whose cells say what there is to say."""
    frame = _frame(rows, region, width=120, margin=8, edge=4, gutter=11)
    body, walls = "", [frame.at(end) for end in region if end is not None]
    for number, row in enumerate(rows):
        middle = 18 * number + 9
        body += _band(frame, region, middle, 7) + _axis(frame, middle) + _marks(frame, row, walls, middle, 5.2, 3.2)
    return picture(120, 18 * max(1, len(rows)), "strip", "", body)


def region(rows: Sequence[Row], ends: Ends, told: str) -> str:
    """All units with the median and its interval below them, and words: 380 wide.

    Args:
        told: the picture in words.
    """
    frame = _frame(rows, ends, width=380, margin=44, edge=11, gutter=32)
    body, walls = "", [frame.at(end) for end in ends if end is not None]
    for number, row in enumerate(rows):
        top = 50 * number
        middle = top + 26
        body += _band(frame, ends, middle, 10) + _axis(frame, middle) + _marks(frame, row, walls, middle, 8, 4.2)
        body += label(2, top + 11, row.told[0], "start", f"value {slug(row.state)}", bold=True)
        body += label(378, top + 11, row.told[1], "end", "value")
        body += _interval(frame, row, middle + 15)
    bottom = 50 * len(rows) + 10
    body += _end_labels(frame, ends, bottom)
    if frame.apart is not None:
        body += label(frame.apart, bottom, "none", "middle", "end")
    return picture(380, bottom + 4, "region", told, body)


def _frame(rows: Sequence[Row], region: Ends, width: int, margin: float, edge: float, gutter: float) -> _Frame:
    values = np.array([value for row in rows for value in row.values], dtype=np.float64)
    walls = [end for end in region if end is not None]
    numbers = values[np.isfinite(values)]
    low, high = _reach(numbers, walls)
    room = 0.0 if high > low else abs(low) * 0.5 or 1.0
    missing = bool(np.isnan(values).any())
    right = width - margin - (gutter if missing else 0)
    return _Frame(low - room, high + room, margin, right, edge, width, width - gutter / 2 if missing else None)


def _reach(numbers: np.ndarray, walls: list[float]) -> tuple[float, float]:
    """What the axis shows: the region's ends and all numbers but those far out."""
    shown = [*numbers, *walls] or [0.0]
    if len(numbers) < ENOUGH:
        return min(shown), max(shown)
    with np.errstate(over="ignore"):
        lower, middle, upper = np.quantile(numbers, [0.25, 0.5, 0.75], method="nearest")
        core = [lower, upper, *walls]
        spread = max(upper - lower, min((abs(middle - wall) for wall in walls), default=0.0)) or np.inf
        least, most = min(core) - FAR * spread, max(core) + FAR * spread
    near = [each for each in shown if least <= each <= most]
    return float(min(near)), float(max(near))


def _axis(frame: _Frame, middle: float) -> str:
    left, right = frame.left - 2 * frame.edge, frame.right + 2 * frame.edge
    return f'<path class="axis" d="M{left:g} {middle:g}H{right:g}" stroke="#8A8A8A" stroke-width="0.8"/>'


def _band(frame: _Frame, ends: Ends, middle: float, half: float) -> str:
    left, right = frame.ends(ends)
    rect = (
        f'<rect class="band" x="{_tenth(left)}" y="{middle - half:g}" width="{_tenth(right - left)}" '
        f'height="{2 * half:g}" fill="#009E73" fill-opacity="0.2"/>'
    )
    walls = "".join(
        f"M{_tenth(x)} {middle - half - 1:g}V{middle + half + 1:g}"
        for x, end in ((left, ends[0]), (right, ends[1]))
        if end is not None
    )
    return rect + f'<path class="wall" d="{walls}" stroke="#007A59" stroke-width="1.4"/>'


def _marks(frame: _Frame, row: Row, walls: list[float], middle: float, half: float, size: float) -> str:
    """A mark a unit, in one path a kind: each mark begins with its only M."""
    places = _swarm(frame, row.values, walls, middle, half, size)
    kinds: dict[tuple[str, str], str] = {}
    for value, true, place in zip(row.values, row.true, places, strict=True):
        kind = "hollow" if not frame.placed(value) else "dot" if true else "cross"
        key = kind, "true" if true else "false"
        kinds[key] = kinds.get(key, "") + _mark(kind, *place, size / 2 - 0.3)
    pens = {
        "dot": f'stroke-width="{size - 0.4:g}" stroke-linecap="round"',
        "cross": 'stroke-width="1.1"',
        "hollow": 'stroke-width="0.9"',
    }
    return "".join(
        f'<path class="unit line {truth} {slug(row.state)}" d="{drawn}" fill="none" '
        f'stroke="{COLOURS[row.state]}" {pens[kind]}/>'
        for (kind, truth), drawn in sorted(kinds.items())
    )


def _tenth(place: float) -> str:
    """A place to a tenth."""
    return f"{place:.1f}".removesuffix(".0")


def _mark(kind: str, x: float, y: float, r: float) -> str:
    """One mark of radius `r`; a dot is a point of a pen with a round tip."""
    if kind == "dot":
        return f"M{_tenth(x)} {_tenth(y)}h.01"
    if kind == "cross":
        return f"M{_tenth(x - r)} {_tenth(y - r)}l{2 * r:g} {2 * r:g}m0-{2 * r:g}l-{2 * r:g} {2 * r:g}"
    return f"M{_tenth(x - r)} {_tenth(y)}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0-{2 * r:g} 0"


def _swarm(
    frame: _Frame, values: Sequence[float], walls: list[float], middle: float, half: float, size: float
) -> list[Place]:
    """Marks in their places along the axis, those that would lie on one another side by side across it.

    More than fit across it in one and the same place make a block, which stays on its side of the region's walls.
    """
    places = [frame.at(value) for value in values]
    columns: dict[int, list[int]] = {}
    for number, x in enumerate(places):
        columns.setdefault(round(x / size), []).append(number)
    found: list[Place] = [(0.0, 0.0)] * len(places)
    fit = int(2 * half / size) + 1
    for column in columns.values():
        ordered = sorted(column, key=lambda number: places[number])
        same = places[ordered[-1]] - places[ordered[0]] < 0.05
        rows = fit if same and len(ordered) > fit else len(ordered)
        across = -(-len(ordered) // rows)
        first = places[ordered[0]]
        room = min(BLOCK, 2 * min(first, frame.width - first) - size)
        step, aside = min(size, 2 * half / max(1, rows - 1)), min(size, room / max(1, across - 1))
        start = _beside(first, (across - 1) * aside, size, walls) if across > 1 else 0.0
        for place, number in enumerate(ordered):
            x = start + place // rows * aside if across > 1 else places[number]
            found[number] = x, middle + (place % rows - (rows - 1) / 2) * step
    return found


def _beside(place: float, width: float, size: float, walls: list[float]) -> float:
    """Where a block of marks about `place` begins: on that side of every wall on which the place is."""
    low = max((wall + size / 2 for wall in walls if wall < place), default=-math.inf)
    high = min((wall - size / 2 for wall in walls if wall > place), default=math.inf) - width
    return min(max(place - width / 2, low), high)


def _interval(frame: _Frame, row: Row, height: float) -> str:
    """The median as a tick, its interval as a bar."""
    median, low, high = row.interval
    if median is None:
        return ""
    drawn = f"M{_tenth(frame.at(median))} {height - 4:g}v8"
    if low is not None and high is not None:
        drawn += f"M{_tenth(frame.at(low))} {height:g}H{_tenth(frame.at(high))}"
    return f'<path class="median" d="{drawn}" stroke="#333" stroke-width="1.8" fill="none"/>'


def _end_labels(frame: _Frame, ends: Ends, height: float) -> str:
    low, high = ends
    near = low is not None and high is not None and frame.at(high) - frame.at(low) < 90
    alike = low is not None and high is not None and text.number(low, text.DIGITS) == text.number(high, text.DIGITS)
    if alike and low < high:
        told = f"{text.number(low / 2 + high / 2, text.DIGITS)} ± {text.number(high / 2 - low / 2, 1)}"
        return label((frame.at(low) + frame.at(high)) / 2, height, told, "middle", "end")
    pieces = []
    for end, anchor in ((low, "end" if near else "middle"), (high, "start" if near else "middle")):
        if end is not None and not (high == low and anchor == "start"):
            shift = 0 if high == low else {"end": -2, "start": 2, "middle": 0}[anchor]
            pieces.append(label(frame.at(end) + shift, height, text.number(end, text.DIGITS), anchor, "end"))
    return "".join(pieces)
