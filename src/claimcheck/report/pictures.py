"""Small pictures as SVG text: the shape of a verdict, and a region with the estimate in it.

Strings in, strings out. The colours written here are those of print; the report's style sheet overrides them by class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from claimcheck.report import text

STATES = (
    "supported",
    "contradicted",
    "inconclusive",
    "not run",
    "out of date",
    "failed",
    "planned",
    "not testable",
)
"""Every state that a claim can be in, in the order in which they are counted."""

COLOURS = {
    "supported": "#007A59",
    "contradicted": "#B34E00",
    "inconclusive": "#0B66A0",
    "not run": "#5E5E5E",
    "out of date": "#5E5E5E",
    "failed": "#5E5E5E",
    "planned": "#5E5E5E",
    "not testable": "#5E5E5E",
}
"""Okabe and Ito's green, vermillion and blue, darkened until they can be read as text on white (4.5 : 1)."""

_SHAPES = {
    "supported": '<circle class="ink" cx="8" cy="8" r="7" fill="{c}"/>'
    '<path class="hole" d="M4.6 8.3 L7 10.8 L11.5 5.6" fill="none" stroke="#fff" stroke-width="1.9"/>',
    "contradicted": '<rect class="ink" x="1.5" y="1.5" width="13" height="13" fill="{c}"/>'
    '<path class="hole" d="M5 5 L11 11 M11 5 L5 11" fill="none" stroke="#fff" stroke-width="1.9"/>',
    "inconclusive": '<path class="ink" d="M8 0.8 L15.2 8 L8 15.2 Z" fill="{c}"/>'
    '<path class="line" d="M8 1.6 L14.4 8 L8 14.4 L1.6 8 Z" fill="none" stroke="{c}" stroke-width="1.4"/>',
    "not run": '<circle class="line" cx="8" cy="8" r="6.2" fill="none" stroke="{c}" stroke-width="1.5"/>',
    "out of date": '<circle class="line" cx="8" cy="8" r="6.2" fill="none" stroke="{c}" stroke-width="1.5"/>'
    '<path class="line" d="M8 4.2 V8 L10.8 9.8" fill="none" stroke="{c}" stroke-width="1.5"/>',
    "failed": '<path class="line" d="M8 1.8 L15 14.2 H1 Z" fill="none" stroke="{c}" stroke-width="1.5"/>'
    '<path class="line" d="M8 6 V10 M8 11.4 V12.6" fill="none" stroke="{c}" stroke-width="1.5"/>',
    "planned": '<circle class="line" cx="8" cy="8" r="6.2" fill="none" stroke="{c}" stroke-width="1.5" '
    'stroke-dasharray="2.2 2.1"/>',
    "not testable": '<path class="line" d="M2.5 8 H13.5" fill="none" stroke="{c}" stroke-width="2"/>',
}


def slug(state: str) -> str:
    """A state as the name of a class or file."""
    return state.replace(" ", "-")


def shape(state: str) -> str:
    """The mark of a state, 16 x 16; told apart by form alone. Decoration: the word stands beside it."""
    body = _SHAPES[state].format(c=COLOURS[state])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="shape {slug(state)}" viewBox="0 0 16 16" width="16" '
        f'height="16" aria-hidden="true" focusable="false">{body}</svg>\n'
    )


def share_bar(counts: dict[str, int]) -> str:
    """All claims as one bar, a field per state, 640 x 22; empty states are left out."""
    total, x, fields = sum(counts.values()), 0.0, []
    for state in STATES:
        width = 640 * counts.get(state, 0) / total if total else 0
        if width:
            filled = state in ("supported", "contradicted", "inconclusive")
            pale = f'fill="#E9E9E9" stroke="{COLOURS[state]}" stroke-width="0.8"'
            paint = f'fill="{COLOURS[state]}"' if filled else pale
            fields.append(
                f'<rect class="{"ink" if filled else "pale"} {slug(state)}" x="{x + 1:.1f}" y="1" '
                f'width="{max(width - 2, 1):.1f}" height="20" {paint}/>'
            )
            x += width
    label = "; ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))
    return _svg(640, 22, "share", f"All claims by outcome: {label}", "".join(fields))


Ends = tuple[float | None, float | None]


@dataclass(frozen=True)
class _Frame:
    """Where things are drawn: an axis at height `middle`, values `low` to `high` between `left` and `right`."""

    low: float
    high: float
    left: float
    right: float
    width: int
    middle: int
    half: int

    def at(self, value: float) -> float:
        """The place of a value; infinities stand a little beyond the ends."""
        if math.isinf(value):
            return self.right + 8 if value > 0 else self.left - 8
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)


def _frame(values: list[float | None], margin: int, width: int, middle: int, half: int) -> _Frame:
    """A frame in which all finite values are in view, `margin` away from either side."""
    finite = [value for value in values if value is not None and math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    room = 0.0 if high > low else abs(low) * 0.5 or 1.0
    return _Frame(low - room, high + room, margin, width - margin, width, middle, half)


def region(estimate: float | None, interval: Ends, ends: Ends, state: str, unit: str = "") -> str:
    """The region as a band, the interval as a bar and the estimate as a dot, with their numbers: 380 x 50."""
    frame = _frame([*ends, estimate, *interval], margin=84, width=380, middle=22, half=9)
    told = f"region {text.region(ends)}"
    labels = _end_labels(frame, ends)
    if estimate is not None:
        told += f", estimate {text.estimate(estimate, *interval)} {text.interval(*interval)} {unit}".rstrip()
        place = min(max(frame.at(estimate), 40), frame.width - 40)
        labels += _label(place, 9, text.estimate(estimate, *interval), "middle", f"value {slug(state)}", bold=True)
    body = _band(frame, ends) + _axis(frame) + labels + _marks(frame, estimate, interval, state)
    return _svg(frame.width, 50, "region", told[0].upper() + told[1:], body)


def strip(estimate: float | None, interval: Ends, ends: Ends, state: str) -> str:
    """The same without numbers, 120 x 18, for a table whose cells say them."""
    frame = _frame([*ends, estimate, *interval], margin=26, width=120, middle=9, half=6)
    body = _band(frame, ends) + _axis(frame) + _marks(frame, estimate, interval, state)
    return _svg(frame.width, 18, "strip", "", body)


def _axis(frame: _Frame) -> str:
    return f'<path class="axis" d="M4 {frame.middle} H{frame.width - 4}" stroke="#8A8A8A" stroke-width="1"/>'


def _band(frame: _Frame, ends: Ends) -> str:
    left = 4 if ends[0] is None else frame.at(ends[0])
    right = frame.width - 4 if ends[1] is None else frame.at(ends[1])
    if right - left < 3:
        left, right = (left + right) / 2 - 1.5, (left + right) / 2 + 1.5
    top, tall = frame.middle - frame.half, 2 * frame.half
    rect = (
        f'<rect class="band" x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{tall}" '
        f'fill="#009E73" fill-opacity="0.2"/>'
    )
    walls = "".join(
        f'<path class="wall" d="M{x:.1f} {top - 2} V{top + tall + 2}" stroke="#007A59" stroke-width="1.4"/>'
        for x, end in ((left, ends[0]), (right, ends[1]))
        if end is not None
    )
    return rect + walls


def _end_labels(frame: _Frame, ends: Ends) -> str:
    low, high = ends
    near = low is not None and high is not None and frame.at(high) - frame.at(low) < 90
    pieces = []
    for end, anchor in ((low, "end" if near else "middle"), (high, "start" if near else "middle")):
        if end is not None:
            shift = {"end": 2, "start": -2, "middle": 0}[anchor]
            pieces.append(_label(frame.at(end) + shift, frame.middle + 24, text.number(end, 8), anchor, "end"))
    return "".join(pieces)


def _marks(frame: _Frame, estimate: float | None, interval: Ends, state: str) -> str:
    if estimate is None:
        return ""
    colour, kind, middle, half = COLOURS[state], slug(state), frame.middle, frame.half - 4
    low, high = interval
    bar = ""
    if low is not None and high is not None and high > low:
        a, b = frame.at(low), frame.at(high)
        bar = (
            f'<path class="line {kind}" d="M{a:.1f} {middle} H{b:.1f} M{a:.1f} {middle - half} V{middle + half} '
            f'M{b:.1f} {middle - half} V{middle + half}" stroke="{colour}" stroke-width="2.2" fill="none"/>'
        )
    dot = (
        f'<circle class="ink {kind}" cx="{frame.at(estimate):.1f}" cy="{middle}" r="4.2" fill="{colour}" '
        'stroke="#fff" stroke-width="1"/>'
    )
    return bar + dot


def _label(x: float, y: float, words: str, anchor: str, kind: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-family="Libertinus Serif" '
        f'font-size="11"{weight} fill="#333">{escape(words)}</text>'
    )


def _svg(width: int, height: int, kind: str, label: str, body: str) -> str:
    """`body` as a picture named `label`; without a label it is decoration (its words stand beside it)."""
    told = f'role="img" aria-label={quoteattr(label)}' if label else 'aria-hidden="true" focusable="false"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" {told}>{body}</svg>\n'
    )
