"""Small pictures as SVG text: the shape of a verdict, and all claims as a bar (`dots` draws the units).

Strings in, strings out. The colours written here are those of print; the report's style sheet overrides them by class.
"""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

STATES = (
    "supported",
    "contradicted",
    "mixed",
    "inconclusive",
    "not run",
    "out of date",
    "failed",
    "planned",
    "not testable",
    "holds",
    "does not hold",
)
"""Every state that a claim can be in, in the order in which they are counted: facts by themselves, at the end."""

FACTS = ("holds", "does not hold")
"""States of facts, which no test decides."""

_GREY = "#5E5E5E"

COLOURS = {
    "supported": "#007A59",
    "contradicted": "#B34E00",
    "mixed": "#8A3F6B",
    "inconclusive": "#0B66A0",
    "not run": _GREY,
    "out of date": _GREY,
    "failed": _GREY,
    "planned": _GREY,
    "not testable": _GREY,
    "holds": "#3D4A57",
    "does not hold": "#B34E00",
}
"""Okabe and Ito's green, vermillion, purple and blue, darkened until they can be read as text on white (4.5 : 1)."""

_SHAPES = {
    "supported": '<circle class="ink" cx="8" cy="8" r="7" fill="{c}"/>'
    '<path class="hole" d="M4.6 8.3 L7 10.8 L11.5 5.6" fill="none" stroke="#fff" stroke-width="1.9"/>',
    "contradicted": '<rect class="ink" x="1.5" y="1.5" width="13" height="13" fill="{c}"/>'
    '<path class="hole" d="M5 5 L11 11 M11 5 L5 11" fill="none" stroke="#fff" stroke-width="1.9"/>',
    "mixed": '<path class="ink" d="M2 2 H14 L2 14 Z" fill="{c}"/>'
    '<rect class="line" x="2" y="2" width="12" height="12" fill="none" stroke="{c}" stroke-width="1.5"/>',
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
    "holds": '<path class="line" d="M2 5.6 H14 M2 10.4 H14" fill="none" stroke="{c}" stroke-width="2"/>',
    "does not hold": '<path class="line" d="M2 5.6 H14 M2 10.4 H14 M11 1.6 L5 14.4" fill="none" stroke="{c}" '
    'stroke-width="2"/>',
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
            filled = state in ("supported", "contradicted", "mixed", "inconclusive")
            pale = f'fill="#E9E9E9" stroke="{COLOURS[state]}" stroke-width="0.8"'
            paint = f'fill="{COLOURS[state]}"' if filled else pale
            fields.append(
                f'<rect class="{"ink" if filled else "pale"} {slug(state)}" x="{x + 1:.1f}" y="1" '
                f'width="{max(width - 2, 1):.1f}" height="20" {paint}/>{_field_label(x, width, counts[state], state, filled)}'
            )
            x += width
    told = "; ".join(f"{counts[state]} {state}" for state in STATES if counts.get(state))
    return picture(640, 22, "share", f"All claims by outcome: {told}", "".join(fields))


def _field_label(x: float, width: float, count: int, state: str, filled: bool) -> str:
    """How many claims a field of the bar stands for, and of what where there is room; nothing where there is none."""
    words = next((each for each in (f"{count} {state}", str(count)) if 6 * len(each) + 6 <= width), "")
    paint = 'class="on-ink" fill="#fff"' if filled else 'class="on-pale" fill="#333"'
    return f'<text {paint} x="{x + width / 2:.1f}" y="15" text-anchor="middle">{words}</text>' if words else ""


def label(x: float, y: float, words: str, anchor: str, kind: str, bold: bool = False) -> str:
    """Words in a picture."""
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:g}" text-anchor="{anchor}"{weight} fill="#333">{escape(words)}</text>'
    )


def picture(width: int, height: int, kind: str, name: str, body: str) -> str:
    """`body` as a picture with a name; without one it is decoration (its words stand beside it)."""
    told = f'role="img" aria-label={quoteattr(name)}' if name else 'aria-hidden="true" focusable="false"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="{kind}" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="Libertinus Serif" font-size="11" {told}>{body}</svg>\n'
    )
