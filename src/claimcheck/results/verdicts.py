"""Verdicts as files: a list of objects, each with a checksum of itself; and all studies' verdicts as one table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json, write_json
from claimcheck.results.seals import read_sealed
from claimcheck.spec.models import PredictionVerdict

VERDICTS = get_args(PredictionVerdict)

CSV_COLUMNS = (
    *("study", "claim", "prediction", "kind", "verdict", "data", "data_verdict", "k", "n", "share"),
    *("median", "low", "high", "unit", "p", "region", "tolerance", "why", "registration", "fixed"),
    *("claim_verdict", "section", "says", "controls_passed"),
)
"""Of `table`."""


Number = float | Literal["inf", "-inf"] | None
"""As JSON has it; None for a unit without a number, or an end that is open."""


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Control(_Shape):
    says: str
    verdict: str
    k: int
    n: int
    passed: bool


class _Test(_Shape):
    data: str | None
    verdict: str
    seeds: list[int]
    values: list[Number]
    median: Number
    low: Number = None
    high: Number = None
    p: Number = None
    controls: dict[str, _Control]

    @model_validator(mode="after")
    def _whole(self) -> _Test:
        counts = {key: value for key, value in (self.model_extra or {}).items() if key in ("k", "n")}
        if counts and not (len(counts) == 2 and all(type(count) is int for count in counts.values())):
            raise ValueError("k and n must be whole numbers, both or neither")
        if len(self.seeds) != len(self.values):
            raise ValueError("there must be a value for every seed")
        return self


class _Registration(_Shape):
    number: int | None
    of: int
    offset: int
    first_seed: int
    seeds: int | None = None


class _Entry(_Shape):
    """What is read of a verdict; the judge writes more."""

    claim: str
    prediction: str
    kind: str
    verdict: str
    region: tuple[Number, Number]
    registration: _Registration
    tests: list[_Test]


class _Controls(_Shape):
    asked: int
    passed: list[str]


def write_verdicts(path: Path, entries: list[dict[str, Any]]) -> None:
    """Write verdicts, each with its checksum."""
    write_json(path, [{**entry, "checksum": hash_of(entry)} for entry in entries])


def read_verdicts(path: Path, remedy: str) -> list[dict[str, Any]]:
    """A study's verdicts, checked: every entry whole and as the judge wrote it; infinite numbers are floats again.

    Args:
        remedy: the command that makes the file again, for the error.

    Raises:
        ClaimcheckError: missing, not JSON, not a list of verdicts, or an entry that differs from its checksum, or that
            lacks what is read of it.
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
        _check_shape(_Entry, entry, f"{path}: {name}", hint)
    return [{**entry, "tests": [_float_again(test) for test in entry["tests"]]} for entry in entries]


def read_controls(path: Path, remedy: str) -> dict[str, Any]:
    """What came of a study's controls, checked as its verdicts are: how many were asked, and which passed."""
    found = read_sealed(path, remedy)
    _check_shape(_Controls, found, str(path), f"make it again: {remedy}")
    return found


def _check_shape(model: type[_Shape], value: dict[str, Any], where: str, hint: str) -> None:
    try:
        model.model_validate_json(json.dumps(value))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise ClaimcheckError(
            f"is not what this version of claimcheck writes ({fault['msg']})",
            where=f"{where}.{place}" if place else where,
            found=repr(fault.get("input"))[:80],
            hint=hint,
        ) from None


def _float_again(test: dict[str, Any]) -> dict[str, Any]:
    """Infinite numbers, which JSON has as words, are floats again, and a unit without a number is NaN."""
    ends = {key: float(test[key]) for key in ("median", "low", "high") if isinstance(test.get(key), str)}
    return {**test, **ends, "values": [math.nan if each is None else float(each) for each in test["values"]]}


def table(verdicts: Mapping[str, list[dict[str, Any]]]) -> str:
    """Every study's verdicts as CSV: columns `CSV_COLUMNS`, a row per prediction and data set, studies by name.

    A region is written as JSON, such as [0.5, null]; a draft has no registration, nor have other numbers of seeds than
    those registered; a fact has neither k, n, share nor p.
    """
    buffer = io.StringIO()
    rows = csv.DictWriter(buffer, CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
    rows.writeheader()
    for study, entries in sorted(verdicts.items()):
        for entry in entries:
            of = entry["registration"]
            whole = {**entry, "study": study, "registration": of["number"] if of.get("seeds") is None else None}
            whole["region"] = json.dumps(entry["region"])
            for test in entry["tests"] or [{"verdict": "not run", "controls": {}}]:
                passed = sum(each["passed"] for each in test["controls"].values())
                own = {"data_verdict": test["verdict"], "verdict": entry["verdict"], "controls_passed": passed}
                own |= {"share": None} if entry["kind"] == "fact" else {}
                rows.writerow({**whole, **test, **own})
    return buffer.getvalue()
