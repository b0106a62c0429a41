"""Works that the report's texts rest on: which are listed, and links to them from texts that name author and year.

pandoc reads the bibliography and sets citations and list, in one style. A text that was fixed before there were keys
(a prediction's `why`, say) names its works as "He et al. 2015"; that much is made a link. Writes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from claimcheck.report import convert, text
from claimcheck.report.gather import ReportView
from claimcheck.spec.references import BIBLIOGRAPHY, CITED, KEY


@dataclass(frozen=True)
class Works:
    """What the list of references holds.

    Attributes:
        keys: of works in the bibliography.
        plain: sources in words.
        named: key by author and year, as texts name a work: "He et al. 2015", "Wu & He (2018)".
    """

    keys: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    named: dict[str, str] | None = None

    def links(self) -> text.Links:
        """A pattern of all names, and the place in the document that each leads to."""
        named = self.named or {}
        longest_first = sorted(named, key=lambda name: (-len(name), name))
        pattern = "|".join(map(re.escape, longest_first)) or r"(?!)"
        return re.compile(rf"(?<!\w)(?:{pattern})(?!\w)"), {name: f"#ref-{key}" for name, key in named.items()}


def listed(view: ReportView, studies_dir: Path) -> Works:
    """The works that the studies name: by key, by a number (arXiv, DOI) or title that the bibliography has, or in words.

    Raises:
        ClaimcheckError: pandoc cannot read the bibliography.
    """
    path = Path(studies_dir) / BIBLIOGRAPHY
    entries = convert.bibliography(path) if path.is_file() else []
    numbers = {number: entry["id"] for entry in entries for number in _numbers(entry)}
    keys, plain = set(), {}
    for study in view.studies:
        keys |= set(CITED.findall(_texts(study.spec.model_dump(mode="json"))))
        for line in (" ".join(source.split()) for source in study.spec.references):
            work = text.work(line)
            key = numbers.get(work) or next((entry["id"] for entry in entries if _is(entry, line)), None)
            if key is not None:
                keys.add(key)
            elif not re.fullmatch(rf"@{KEY}", line):
                plain.setdefault(work, line)
    known = tuple(entry["id"] for entry in entries if entry["id"] in keys)
    named = _names(entry for entry in entries if entry["id"] in keys)
    return Works(known, tuple(sorted(plain.values(), key=str.casefold)), named)


def _texts(value: object) -> str:
    """Every text in a value."""
    if isinstance(value, dict | list):
        return "\n".join(map(_texts, value.values() if isinstance(value, dict) else value))
    return value if isinstance(value, str) else ""


def _is(entry: dict, line: str) -> bool:
    """Whether a source in words has the year of an entry and its title: as far as a colon, or the first five words."""
    title, words = entry.get("title", ""), f" {_words(line)} "
    short = title.partition(":")[0]
    begun = _words(short if len(short.split()) > 1 else title).split()[:5]
    return len(begun) > 1 and f" {' '.join(begun)} " in words and f" {_year(entry)} " in words


def _words(line: str) -> str:
    return " ".join(re.findall(r"\w+", line.casefold()))


def _year(entry: dict) -> str:
    return str(entry.get("issued", {}).get("date-parts", [[""]])[0][0])


def _numbers(entry: dict) -> list[str]:
    """The arXiv number and the DOI of a work."""
    arxiv = re.fullmatch(r"https?://arxiv\.org/abs/(.+)", entry.get("URL", ""))
    return [*([arxiv[1]] if arxiv else []), *([entry["DOI"]] if "DOI" in entry else [])]


def _names(entries: Iterable[dict]) -> dict[str, str]:
    """Author and year in the forms that texts use, each of one work alone, with its key."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        people = [each.get("family") or each.get("literal", "") for each in entry.get("author", ())]
        year = _year(entry)
        *first, last = people or [""]
        forms = [f"{', '.join(first)}{joint}{last}" for joint in (" & ", " and ")] if first else [last]
        forms += [f"{people[0]} et al."] if len(people) > 2 else []
        for form in forms if people and year else ():
            for name in (f"{form} {year}", f"{form} ({year})", f"{form}, {year}"):
                found.setdefault(name, set()).add(entry["id"])
    return {name: next(iter(keys)) for name, keys in found.items() if len(keys) == 1}
