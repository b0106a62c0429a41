"""Words and numbers of the report: escaping of study text, number formats, notes with numbers filled in.

Text of a study never reaches the document as markup: titles and one-line texts are escaped but for `$math$` and
`` `code` ``; paragraphs (method, notes) travel in a fenced block that the Lua filter parses apart from the document.
Every number that the report prints goes through `number`, `interval` or `region`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.references import KEY

_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_MATH_OR_CODE = re.compile(
    r"(?<![\\$])\$(?![\s$])([^$\n]*?[^\s$\\])\$(?![\d$])|`([^`\n]+)`"
    rf"|(\[[^\[\]`$]*(?<![\w@\\])@{KEY}\b[^\[\]`$]*\]|(?<![\w@\\])@{KEY}\b)"
)
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_MINUS = "\N{MINUS SIGN}"
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5}|[a-z-]+/\d{7})")
_DOI = re.compile(r"doi:(10\.\d{4,9}/[^\s,;]+[^\s,;.])")
_CITATION = re.compile(rf"(-?(?<![\w@\\])@{KEY}\b)")

Links = tuple[re.Pattern[str], Mapping[str, str]]
"""A pattern, and where a link leads from each text that it matches."""

DIGITS = 4
"""Significant digits of a region's ends, and at most of an interval's."""

MOST_ZEROS = 6
"""With so few decimals a small number is written out, as the others of its interval are."""

NO_LINKS: Links = (re.compile(r"(?!)"), {})


def escape(text: Any) -> str:
    """`text` as one line of Markdown that renders as exactly these characters."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(str(text).split()))


def inline(text: Any) -> str:
    """One line of study text: `$math$`, `` `code` `` and citations (`[@key, table 2]`) are kept, all else is as written."""
    line, done, pieces = " ".join(str(text).split()), 0, []
    for found in _MATH_OR_CODE.finditer(line):
        if found[3] is not None:
            kept = _cited(found[3])
        else:
            kept = found[0] if found[2] is not None or _balanced(found[1]) else escape(found[0])
        pieces += [escape_keeping_ends(line[done : found.start()]), kept]
        done = found.end()
    return "".join([*pieces, escape_keeping_ends(line[done:])])


def escape_keeping_ends(text: str) -> str:
    """`escape` for a piece of a line, whose first and last space matter."""
    return _PUNCTUATION.sub(r"\\\1", text)


def _cited(citation: str) -> str:
    """A citation whose words render as written; what parts its works and places stays markup."""
    bracketed = citation.startswith("[")
    pieces = _CITATION.split(citation[1:-1] if bracketed else citation)
    words = [
        piece if place % 2 else re.sub(r"\\([,;:.-])", r"\1", escape_keeping_ends(piece))
        for place, piece in enumerate(pieces)
    ]
    return f"[{''.join(words)}]" if bracketed else "".join(words)


def _balanced(formula: str) -> bool:
    depth = 0
    for sign in re.findall(r"(?<!\\)[{}]", formula):
        depth += 1 if sign == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def citation(text: Any, works: Links = NO_LINKS) -> str:
    """A reference as one line of Markdown, with `arXiv:…`, `doi:…` and the names of `works` made links."""
    line, done, pieces = " ".join(str(text).split()), 0, []
    named, targets = works
    every = [*_ARXIV.finditer(line), *_DOI.finditer(line), *named.finditer(line)]
    for found in sorted(every, key=lambda found: found.start()):
        if found.re is named:
            target = targets[found[0]]
        else:
            target = f"{'https://arxiv.org/abs/' if found.re is _ARXIV else 'https://doi.org/'}{found[1]}"
        pieces += [inline_piece(line[done : found.start()]), f"[{escape(found[0])}]({target})"]
        done = found.end()
    return "".join([*pieces, inline_piece(line[done:])])


def work(reference: str) -> str:
    """What two references to the same work share: the arXiv number or DOI, or else the words of the line."""
    found = _ARXIV.search(reference) or _DOI.search(reference)
    return found[1] if found else " ".join(re.findall(r"\w+", reference.casefold()))


def inline_piece(text: str) -> str:
    """`inline` for a piece of a line: a space at either end is kept."""
    start = " " if text[:1].isspace() else ""
    end = " " if text[-1:].isspace() and text.strip() else ""
    return f"{start}{inline(text)}{end}"


def block(text: str) -> str:
    """A paragraph of study Markdown as a fenced block that no text inside can close; the Lua filter parses it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence} {{.study-text}}\n{text.strip()}\n{fence}"


def cell(text: str) -> str:
    """Markdown made fit for a cell of a pipe table: one line, and `|` only as `\\|`; no-break spaces are kept."""
    return re.sub(r"(?<!\\)\|", r"\\|", re.sub(r"[ \t\r\n]+", " ", text).strip(" "))


def number(value: float | None, digits: int = 3, decimals: int | None = None) -> str:
    """A number for reading: so many significant digits or, if given, decimals; − for minus, × 10ⁿ at extremes."""
    if value is None or math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else f"{_MINUS}∞"
    small_beside_others = decimals is not None and decimals <= MOST_ZEROS
    if value != 0 and not (1e-4 <= abs(value) < 1e7 or (small_beside_others and abs(value) < 1e7)):
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        power = f"10{str(int(exponent)).translate(_SUPERSCRIPTS)}"
        shown = power if mantissa == "1" else f"{_MINUS}{power}" if mantissa == "-1" else f"{mantissa} × {power}"
        return shown.replace("-", _MINUS)
    if decimals is None:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value)))) if value else 0
        text = f"{value:,.{decimals}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    else:
        text = f"{value:,.{decimals}f}"
    if text.strip("-0.") == "":
        return "0" if value == 0 else text.lstrip("-")
    return text.replace("-", _MINUS)


def decimals_for(low: float | None, high: float | None) -> int | None:
    """Decimals that show two digits of the half-width of an interval; None where there is no width to go by.

    No more than make `DIGITS` significant digits of its larger end, where one digit of the half-width is left.
    """
    if low is None or high is None or not math.isfinite(low) or not math.isfinite(high) or high <= low:
        return None
    two_of_width = 1 - math.floor(math.log10((high - low) / 2))
    most = DIGITS - 1 - math.floor(math.log10(max(abs(low), abs(high))))
    return min(8, max(0, min(two_of_width, max(most, two_of_width - 1))))


def estimate(value: float | None, low: float | None, high: float | None) -> str:
    """An estimate with as many decimals as its interval deserves."""
    return number(value, digits=4, decimals=decimals_for(low, high))


def interval(low: float | None, high: float | None) -> str:
    """`[low, high]`, or nothing where there is no interval or it has no width."""
    if low is None or high is None or low == high:
        return ""
    decimals = decimals_for(low, high)
    return f"[{number(low, 4, decimals)}, {number(high, 4, decimals)}]"


def region(ends: Iterable[float | None], closed: bool = False) -> str:
    """A region in words: "above 0.9", "below 2", "between 0.97 and 1.03", "1 ± 10⁻⁶".

    Args:
        closed: whether the ends belong to it, as they do for a fact: "at least 0.9", "at most 2", "0.97 to 1.03".
    """
    low, high = ends
    if low is None:
        return f"{'at most' if closed else 'below'} {number(high, DIGITS)}"
    if high is None:
        return f"{'at least' if closed else 'above'} {number(low, DIGITS)}"
    centre, half = (low + high) / 2, (high - low) / 2
    if half == 0:
        return number(low, 8)
    if abs(centre) > 0 and half < 1e-3 * abs(centre):
        return f"{number(float(f'{centre:.6g}'), 8)} ± {number(float(f'{half:.2g}'), 2)}"
    shown = number(low, DIGITS), number(high, DIGITS)
    return f"{shown[0]} to {shown[1]}" if closed else f"between {shown[0]} and {shown[1]}"


def with_unit(words: str, unit: str) -> str:
    """A number and its unit, in the singular after a lone 1: "above 1 point", "between 0 and 1 points".

    Of a number that is not counted in its unit, but named by it, it stands in front: "share of examples above 0.9".
    """
    if not unit:
        return words
    if not _COUNTED.match(unit):
        return f"{words} ({unit})" if "," in unit or unit[0].isdigit() else f"{unit} {words}"
    one = re.search(rf"(?:^|(?:above|below|at least|at most) ){_MINUS}?1$", words.replace("**", ""))
    return f"{words} {_PLURAL.sub(_singular, unit) if one else unit}"


def _singular(found: re.Match[str]) -> str:
    return found[1]


_COUNTS = "point|decade|octave|nat|update|step|epoch|weight|factor|learning rate|doubling|spike"
_PLURAL = re.compile(rf"^((?:percentage |skipped )?(?:{_COUNTS}))s\b")
_COUNTED = re.compile(rf"{_PLURAL.pattern}|(?:cries|times|of|%|[mµ]?s|[KMG]i?B)\b")


def value(entry: Any) -> str:
    """A factor's or setting's value as plain text."""
    if isinstance(entry, bool) or entry is None:
        return {True: "yes", False: "no", None: "none"}[entry]
    if isinstance(entry, int | float):
        return number(float(entry), 6).replace(",", "") if abs(entry) < 1e5 else number(float(entry), 6)
    if isinstance(entry, dict):
        return "; ".join(f"{key}: {value(item)}" for key, item in entry.items())
    if isinstance(entry, list | tuple):
        return ", ".join(value(item) for item in entry)
    return str(entry)


def duration(seconds: float | None) -> str:
    """Seconds in the unit that a reader would use."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return "under 1 s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def notes(text: str, functions: dict[str, Callable[..., str]], where: str) -> str:
    """A study's notes with `{{ estimate('id') }}` and its like filled in, by Jinja in a sandbox.

    Raises:
        ClaimcheckError: the template is broken or names something unknown.
    """
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
    environment.globals = dict(functions)
    try:
        return environment.from_string(text).render()
    except ClaimcheckError:
        raise
    except TemplateError as error:
        line = f" (line {error.lineno})" if getattr(error, "lineno", None) else ""
        raise ClaimcheckError(
            f"notes cannot be filled in{line}: {error.message}", where=where, expected=f"one of {', '.join(functions)}"
        ) from error
    except Exception as error:
        raise ClaimcheckError(f"notes cannot be filled in: {error}", where=where) from error


def known(table: dict[str, Any], identifier: str, where: str, kind: str) -> Any:
    """`table[identifier]`.

    Raises:
        ClaimcheckError: the notes name an id that the study does not have.
    """
    if identifier not in table:
        raise ClaimcheckError(
            f"the notes name an unknown {kind}",
            where=where,
            found=identifier,
            expected=f"one of {', '.join(table)}",
            hint=closest(str(identifier), table),
        )
    return table[identifier]
