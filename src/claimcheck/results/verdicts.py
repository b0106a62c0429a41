"""Verdicts as files: a list of objects, each with a checksum of itself; and all studies' verdicts as one table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json, write_json

VERDICTS = ("supported", "contradicted", "mixed", "inconclusive", "not run", "holds", "does not hold")

CSV_COLUMNS = (
    *("study", "claim", "prediction", "kind", "verdict", "data", "data_verdict", "k", "n", "share"),
    *("median", "low", "high", "unit", "p", "region", "tolerance", "why", "registration", "fixed"),
    *("claim_verdict", "section", "says", "controls_passed"),
)
"""Of `table`."""


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


def table(verdicts: Mapping[str, list[dict[str, Any]]]) -> str:
    """Every study's verdicts as CSV: columns `CSV_COLUMNS`, a row per prediction and data set, studies by name.

    A region is written as JSON, such as [0.5, null]; a draft has no registration, a fact neither k, n, share nor
    p.
    """
    buffer = io.StringIO()
    rows = csv.DictWriter(buffer, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    for study, entries in sorted(verdicts.items()):
        for entry in entries:
            whole = {**entry, "study": study, "registration": entry["registration"]["number"]}
            whole["region"] = json.dumps(entry["region"])
            for test in entry["tests"] or [{"verdict": "not run", "controls": {}}]:
                passed = sum(each["passed"] for each in test["controls"].values())
                own = {"data_verdict": test["verdict"], "verdict": entry["verdict"], "controls_passed": passed}
                own |= {"share": None} if entry["kind"] == "fact" else {}
                rows.writerow({**whole, **test, **own})
    return buffer.getvalue()
