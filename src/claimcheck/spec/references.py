"""Works cited by key: the keys of studies/references.bib, and those that a study's texts name.

A key is the first author's name, the year and a word of the title, `he2016deep`; so any other word after an @ is text.
What an entry says is read by pandoc alone, when the report is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import read_text

BIBLIOGRAPHY = "references.bib"

KEY = r"[a-z]+(?:-[a-z]+)*[0-9]{4}[a-z]*"

CITED = re.compile(rf"(?<![\w@\\])@({KEY})\b")
"""A key in a text, as pandoc's Markdown writes it: `@he2016deep`, `[@he2016deep, table 2]`."""

_ENTRY = re.compile(
    r"^[ \t]*@(?!(?:comment|string|preamble)\b)\w+[ \t]*\{[ \t]*([^\s,{}]*)", re.MULTILINE | re.IGNORECASE
)


def keys(studies_dir: Path) -> tuple[str, ...]:
    """The keys of the bibliography, in its order; none where there is no such file.

    Raises:
        ClaimcheckError: a key is given twice, or is none.
    """
    path = Path(studies_dir) / BIBLIOGRAPHY
    found = _ENTRY.findall(read_text(path)) if path.is_file() else []
    for place, key in enumerate(found):
        if not re.fullmatch(KEY, key):
            expected = "the first author's name, the year and a word of the title, such as he2016deep"
            raise ClaimcheckError("is not a key", where=path, found=key, expected=expected)
        if key in found[:place]:
            raise ClaimcheckError("a key is given twice", where=path, found=key)
    return tuple(found)


def check(texts: Mapping[Path, Any], studies_dir: Path) -> None:
    """Every key that texts cite is in the bibliography.

    Args:
        texts: of each file: text, or lists and mappings of it.

    Raises:
        ClaimcheckError: one is not.
    """
    cited = [(file, place, key) for file, said in texts.items() for place, key in _cited(said)]
    known = keys(studies_dir) if cited else ()
    for file, place, key in cited:
        if key not in known:
            raise ClaimcheckError(
                f"cites a work that is not in {Path(studies_dir) / BIBLIOGRAPHY}",
                where=f"{file}: {place}".removesuffix(": "),
                found=f"@{key}",
                hint=closest(key, known) or "add its entry there, or give the source in words",
            )


def _cited(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every key in a value's texts, with the way to it."""
    if isinstance(value, str):
        for found in CITED.finditer(value):
            yield place, found[1]
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield from _cited(entry, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list | tuple):
        for number, entry in enumerate(value):
            named = entry.get("id", number) if isinstance(entry, dict) else number
            yield from _cited(entry, f"{place}.{named}".lstrip("."))
