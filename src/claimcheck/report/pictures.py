"""Small pictures as SVG text: the shape of a verdict, and a region with the estimate in it.

Strings in, strings out. The colours written here are those of print; the report's style sheet overrides them by class.
"""

from __future__ import annotations

import math
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


class _Scale:
    """Maps values to pixels so that the region's finite ends, the estimate and the interval are all in view."""

    def __init__(self, values: list[float], left: float, right: float) -> None:
        self.low, self.high, self.left, self.right = min(values), max(values), left, right
        if self.high == self.low:
            room = abs(self.low) * 0.5 or 1.0
            self.low, self.high = self.low - room, self.high + room

    def __call__(self, value: float) -> float:
        if math.isinf(value):
            return self.right + 12 if value > 0 else self.left - 12
        return self.left + (value - self.low) / (self.high - self.low) * (self.right - self.left)


def region(
    estimate: float | None,
    interval: tuple[float | None, float | None],
    ends: tuple[float | None, float | None],
    state: str,
    unit: str = "",
) -> str:
    """The region as a band, the interval as a bar and the estimate as the state's mark, 380 x 52, with numbers."""
    finite = [v for v in (*ends, estimate, *interval) if v is not None and math.isfinite(v)]
    at, width, middle = _Scale(finite or [0.0], 84, 296), 380, 22
    band = _band(at, ends, width, middle)
    labels = _end_labels(at, ends, middle)
    marks = _marks(at, estimate, interval, state, middle, width)
    told = f"region {text.region(ends)}"
    if estimate is not None:
        told += f", estimate {text.estimate(estimate, *interval)} {text.interval(*interval)} {unit}".rstrip()
    axis = f'<path class="axis" d="M6 {middle} H{width - 6}" stroke="#8A8A8A" stroke-width="1"/>'
    return _svg(width, 50, "region", told[0].upper() + told[1:], band + axis + labels + marks)


def _band(at: _Scale, ends: tuple[float | None, float | None], width: int, middle: int) -> str:
    left = 6 if ends[0] is None else at(ends[0])
    right = width - 6 if ends[1] is None else at(ends[1])
    if right - left < 3:
        left, right = (left + right) / 2 - 1.5, (left + right) / 2 + 1.5
    rect = (
        f'<rect class="band" x="{left:.1f}" y="{middle - 9}" width="{right - left:.1f}" height="18" '
        f'fill="#009E73" fill-opacity="0.2"/>'
    )
    walls = "".join(
        f'<path class="wall" d="M{x:.1f} {middle - 11} V{middle + 11}" stroke="#007A59" stroke-width="1.4"/>'
        for x, end in ((left, ends[0]), (right, ends[1]))
        if end is not None
    )
    return rect + walls


def _end_labels(at: _Scale, ends: tuple[float | None, float | None], middle: int) -> str:
    low, high = ends
    near = low is not None and high is not None and at(high) - at(low) < 90
    pieces = []
    for end, anchor in ((low, "end" if near else "middle"), (high, "start" if near else "middle")):
        if end is not None:
            shift = {"end": 2, "start": -2, "middle": 0}[anchor]
            pieces.append(_label(at(end) + shift, middle + 24, text.number(end, 8), anchor, "end"))
    return "".join(pieces)


def _marks(
    at: _Scale,
    estimate: float | None,
    interval: tuple[float | None, float | None],
    state: str,
    middle: int,
    width: int,
) -> str:
    if estimate is None:
        return ""
    colour, kind = COLOURS[state], slug(state)
    low, high = interval
    bar = ""
    if low is not None and high is not None and high > low:
        a, b = at(low), at(high)
        bar = (
            f'<path class="line {kind}" d="M{a:.1f} {middle} H{b:.1f} M{a:.1f} {middle - 5} V{middle + 5} '
            f'M{b:.1f} {middle - 5} V{middle + 5}" stroke="{colour}" stroke-width="2.2" fill="none"/>'
        )
    x = at(estimate)
    dot = (
        f'<circle class="ink {kind}" cx="{x:.1f}" cy="{middle}" r="4.2" fill="{colour}" stroke="#fff" '
        'stroke-width="1"/>'
    )
    label_at = min(max(x, 40), width - 40)
    return bar + dot + _label(label_at, 9, text.estimate(estimate, *interval), "middle", f"value {kind}", bold=True)


def _label(x: float, y: float, words: str, anchor: str, kind: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-family="Libertinus Serif" '
        f'font-size="11"{weight} fill="#333">{escape(words)}</text>'
    )


def _svg(width: int, height: int, kind: str, label: str, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-label={quoteattr(label)}>{body}</svg>\n'
    )
