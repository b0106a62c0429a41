"""Which file and key a text of the report comes from, for faults and remarks that are found in the finished report."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from claimcheck.spec.models import Lecture, Study

_FROM_ELSEWHERE = ("notes", "name", "folder")


def places(text: str, lecture: Lecture, studies: Iterable[Study]) -> list[str]:
    """Files and keys whose texts hold `text`, white space aside."""
    wanted = " ".join(text.split())
    return [place for place, said in _texts(lecture, studies) if wanted in " ".join(said.split())]


def _texts(lecture: Lecture, studies: Iterable[Study]) -> Iterator[tuple[str, str]]:
    for study in studies:
        yield from _below(f"{study.yaml_path}: ", study.model_dump(exclude=set(_FROM_ELSEWHERE)))
        yield str(study.folder / "notes.md"), study.notes
    yield from _below("lecture.yaml: ", lecture.model_dump())


def _below(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key.rstrip("."), value
    elif isinstance(value, dict):
        for name, entry in value.items():
            yield from _below(f"{key}{name}.", entry)
    elif isinstance(value, list | tuple):
        for place, entry in enumerate(value):
            named = entry.get("id", place) if isinstance(entry, dict) else place
            yield from _below(f"{key}{named}.", entry)
