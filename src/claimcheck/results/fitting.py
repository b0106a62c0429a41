"""Do records fit the design that they are said to be of? Every run once, no row lost, doubled or of somebody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.results.records import STATUSES
from claimcheck.spec import design
from claimcheck.spec.models import Study
from claimcheck.spec.parts import ScaledPart

COLUMNS = ("part", "run", "seed", "status")
"""Columns that every study's records have."""


def check_fit(records: pd.DataFrame, study: Study, parts: Mapping[str, ScaledPart], where: object = "records") -> None:
    """Check a study's records against its parts' designs.

    Raises:
        ClaimcheckError: missing columns, duplicate rows, runs or seeds that are missing or that the design does not
            have, a part without rows.
    """
    if absent := [name for name in COLUMNS if name not in records.columns]:
        raise ClaimcheckError("column missing", where=where, found=absent[0], expected=", ".join(COLUMNS))
    if len(nameless := records[records[["part", "run", "seed"]].isna().any(axis=1)]):
        raise ClaimcheckError(
            f"{len(nameless)} rows of study {study.name} lack part, run or seed",
            where=where,
            found=f"row {nameless.index[0]}",
        )
    if unknown := sorted(set(records["part"]) - set(study.parts)):
        raise ClaimcheckError(
            f"study {study.name} has no such part",
            where=where,
            found=unknown[0],
            hint=closest(unknown[0], study.parts),
        )
    for name, part in parts.items():
        rows = records[records["part"] == name]
        _check_rows(study, rows, design.confirmatory_runs(part), part.index, f"{where}: part {name}")


def _check_rows(study: Study, rows: pd.DataFrame, wanted: pd.DataFrame, index: list[str], where: str) -> None:
    if rows.empty:
        raise ClaimcheckError(f"study {study.name} has no rows here", where=where, expected=f"{len(wanted)} runs")
    if absent := [name for name in index if name not in rows.columns]:
        raise ClaimcheckError("index column missing", where=where, found=absent[0], expected=f"one of {list(rows)}")
    keys = ["run", *(index or _index_of(rows))]
    doubled = rows[rows.duplicated(keys, keep=False)]
    if len(doubled):
        raise ClaimcheckError(
            f"{len(doubled)} rows of study {study.name} share one (run, index)",
            where=where,
            found=str(doubled.iloc[0][keys].to_dict()),
            expected="each once",
        )
    for column in ("seed", "run"):
        missing = sorted(set(wanted[column]) - set(rows[column]))
        surplus = sorted(set(rows[column]) - set(wanted[column]))
        if missing or surplus:
            state = "missing" if missing else "not in the design"
            listed = some(missing or surplus)
            raise ClaimcheckError(f"{column}s of study {study.name} are {state}", where=where, found=listed)
    if wrong := set(rows["status"].dropna()) - set(STATUSES):
        raise ClaimcheckError("unknown status", where=where, found=str(sorted(wrong)[0]), expected="ok or diverged")


def _index_of(rows: pd.DataFrame) -> list[str]:
    """Columns that can number a run's rows where the study declares none: whole numbers and words."""
    return [name for name in rows.columns if name not in COLUMNS and not pd.api.types.is_float_dtype(rows[name].dtype)]


def some(things: Any) -> str:
    """The first five of a list, in words."""
    listed = [str(thing) for thing in things]
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
