"""Verdicts as files: a list of objects, each with a checksum of itself."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json, write_json

VERDICTS = ("supported", "contradicted", "mixed", "inconclusive", "not run", "holds", "does not hold")


def write_verdicts(path: Path, entries: list[dict[str, Any]]) -> None:
    """Write verdicts, each with its checksum."""
    write_json(path, [{**entry, "checksum": hash_of(entry)} for entry in entries])


def read_verdicts(path: Path, remedy: str) -> list[dict[str, Any]]:
    """A study's verdicts, checked: every entry whole and as the judge wrote it; infinite numbers are floats again.

    Args:
        remedy: the command that makes the file again, for the error.

    Raises:
        ClaimcheckError: missing, not JSON, not a list of verdicts, or an entry that differs from its checksum.
    """
    hint = f"make it again: {remedy}"
    try:
        entries = read_json(path)
    except ClaimcheckError as fault:
        raise ClaimcheckError(fault.what, where=path, hint=hint) from fault
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ClaimcheckError("is not a list of verdicts", where=path, hint=hint)
    for position, entry in enumerate(entries):
        name = entry.get("prediction", f"entry {position}")
        body = {key: value for key, value in entry.items() if key != "checksum"}
        if entry.get("checksum") != hash_of(body):
            raise ClaimcheckError(
                "was changed after it was judged (checksum differs)", where=f"{path}: {name}", hint=hint
            )
        if entry.get("verdict") not in VERDICTS:
            raise ClaimcheckError(
                "unknown verdict", where=f"{path}: {name}", found=str(entry.get("verdict")), hint=hint
            )
    return [{**entry, "tests": [_float_again(test) for test in entry.get("tests", [])]} for entry in entries]


def _float_again(test: dict[str, Any]) -> dict[str, Any]:
    """Infinite numbers, which JSON has as words, are floats again, and a unit without a number is NaN."""
    ends = {key: float(test[key]) for key in ("median", "low", "high") if isinstance(test.get(key), str)}
    return {**test, **ends, "values": [math.nan if each is None else float(each) for each in test.get("values", [])]}
