"""The same picture in fewer bytes: what matplotlib writes as SVG, shortened without a change that can be seen.

Coordinates are rounded to a hundredth of a point (3.5 micrometres in print), paths go from point to point, a style that
occurs twice is a class, and what no viewer draws (comments, metadata, names of groups, groups for their own sake) is
left out. Draws nothing.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from string import ascii_lowercase

DECIMALS = 2

_LEFT_OUT = re.compile(
    r"<!--.*?-->|<\?xml.*?\?>|<!DOCTYPE.*?>|<metadata>.*?</metadata>"
    r'|<g id="[\w.]+"/>',
    re.DOTALL,
)
_STYLE = re.compile(r' style="([^"]*)"')
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")
_COMMAND = re.compile(r"([MLQCz])([^MLQCz]*)")


def compact(svg: str) -> str:
    """`svg`, as matplotlib writes it, in fewer bytes."""
    svg = (
        _LEFT_OUT.sub("", svg)
        .replace("xlink:href=", "href=")
        .replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    )
    svg = re.sub(r'(<path\b[^>]*?\bd=")([^"]*)"', lambda found: f'{found[1]}{_path(found[2])}"', svg)
    svg = re.sub(r'(\b[xy]=")([^"]*)"', lambda found: f'{found[1]}{_rounded(found[2])}"', svg)
    svg = re.sub(r"(translate\()([^)]*)\)", lambda found: f"{found[1]}{_rounded(found[2])})", svg)
    svg = re.sub(r'(<use [^>]*?) transform="translate\(([^ )]+) 0\)"', r'\1 x="\2"', svg)
    svg = _with_short_ids(_with_classes(svg))
    svg = _without_idle_groups(svg)
    return re.sub(r">\s+<", "><", svg).strip() + "\n"


def _without_idle_groups(svg: str) -> str:
    """The same without groups that say nothing of what is in them."""
    kept: list[str] = []
    says_something: list[bool] = []
    for piece in re.split(r"(<g(?: [^>]*)?>|</g>)", svg):
        if piece.startswith(("<g>", "<g ")) and not piece.endswith("/>"):
            says_something.append(piece != "<g>")
            kept += [piece] * says_something[-1]
        elif piece == "</g>":
            kept += [piece] * says_something.pop()
        else:
            kept.append(piece)
    return "".join(kept)


def _with_classes(svg: str) -> str:
    """Styles that occur more than once as classes."""
    counts = Counter(style for style in _STYLE.findall(svg))
    often = [style for style, count in counts.items() if count > 1]
    names = dict(zip(often, _names()))
    rules = "".join(f".{name}{{{re.sub(r': ', ':', style).replace('; ', ';')}}}" for style, name in names.items())
    svg = _STYLE.sub(lambda found: f' class="{names[found[1]]}"' if found[1] in names else found[0], svg)
    return svg.replace("</style>", f"{rules}</style>", 1)


def _with_short_ids(svg: str) -> str:
    """Short names for what is referred to, none for the rest."""
    used = dict.fromkeys(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg))
    names = dict(zip((one or other for one, other in used), _names()))
    svg = re.sub(r' id="([^"]*)"', lambda found: f' id="{names[found[1]]}"' if found[1] in names else "", svg)
    svg = re.sub(r'href="#([^"]+)"', lambda found: f'href="#{names[found[1]]}"', svg)
    return re.sub(r"url\(#([^)]+)\)", lambda found: f"url(#{names[found[1]]})", svg)


def _names() -> Iterator[str]:
    """a, b, …, aa, ab, …"""
    for length in itertools.count(1):
        yield from map("".join, itertools.product(ascii_lowercase, repeat=length))


def _rounded(numbers: str) -> str:
    return _NUMBER.sub(lambda found: _written(_units(found[0])), numbers)


def _units(number: str) -> int:
    """A coordinate in units of the last decimal that is kept."""
    return round(float(number) * 10**DECIMALS)


def _written(units: int) -> str:
    """Such units as a number without needless digits."""
    whole, rest = divmod(abs(units), 10**DECIMALS)
    digits = f"{rest:0{DECIMALS}d}".rstrip("0")
    body = f"{whole or ''}.{digits}" if digits else str(whole)
    return f"-{body}" if units < 0 else body


def _path(data: str) -> str:
    """A path that goes from point to point; every point is rounded by itself, so nothing adds up."""
    x = y = first_x = first_y = 0
    written, last = "", ""
    for letter, rest in _COMMAND.findall(data):
        if letter == "z":
            written, last, x, y = f"{written}z", "z", first_x, first_y
            continue
        numbers = [_units(number) for number in _NUMBER.findall(rest)]
        points = list(zip(numbers[::2], numbers[1::2]))
        steps = [step for point in points for step in (point[0] - x, point[1] - y)]
        command = letter.lower()
        if command == "l" and 0 in steps:
            command, steps = ("h", steps[:1]) if steps[1] == 0 else ("v", steps[1:])
        if command == "m":
            first_x, first_y = points[0]
            command, steps = ("M", list(points[0])) if not last else ("m", steps)
        said = "" if command == last and command != "m" else command
        for step in steps:
            number = _written(step)
            said += number if said[-1:].isalpha() or number[0] == "-" else f" {number}"
        written, last = written + said, command
        x, y = points[-1]
    return written
