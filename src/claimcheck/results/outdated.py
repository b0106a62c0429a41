"""From which records verdicts and figures were made: read from what they note, without checking them otherwise.

Where a file cannot be read there is no answer: who reads it for what it says tells what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json
from claimcheck.results.seals import FIGURES


def records_of_verdicts(path: Path) -> str | None:
    """SHA-256 of the records that verdicts were judged from, where it can be told."""
    entries = _read(path)
    return _noted(entries[0] if isinstance(entries, list) and entries else None, "records_sha256")


def records_of_figures(path: Path) -> str | None:
    """SHA-256 of the records that figures were drawn from, by their list of checksums, where it can be told."""
    return _noted(_read(path), "records_sha256")


def made_from(records_digest: str, store: Path) -> Iterator[tuple[list[Path], str | None]]:
    """What a study's store holds that was made from records of a digest, by whatever judge or figures.

    Returns:
        Files or a folder, and the SHA-256 of the records that they were made from.
    """
    for controls in sorted(store.glob("controls-*.json")):
        verdicts = controls.with_name(controls.name.replace("controls-", "verdicts-"))
        if _noted(_noted(_read(controls), "ingredients"), "records") == records_digest:
            yield [path for path in (verdicts, controls) if path.is_file()], records_of_verdicts(verdicts)
    for listed in sorted(store.glob(f"figures-*/{FIGURES}")):
        if _noted(_noted(_read(listed), "ingredients"), "records") == records_digest:
            yield [listed.parent], records_of_figures(listed)


def _read(path: Path) -> Any:
    try:
        return read_json(path)
    except ClaimcheckError:
        return None


def _noted(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None
