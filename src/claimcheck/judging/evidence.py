"""From records to one number per seed: what a verdict rests on, checked so that nothing is lost or counted twice.

Reads results/<scale>/<study>/records.parquet (and its provenance.json), calls a study's statistic functions. Judges
nothing. Every fault is one line that names the study, the prediction and the rows or seeds.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claimcheck.spec import design
from claimcheck.results import records as recording
from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import sha256
from claimcheck.results.seals import read_provenance
from claimcheck.spec.models import Prediction, Study

COLUMNS = ("part", "run", "seed", "status")
"""Columns that every study's records have."""


@dataclass(frozen=True)
class Evidence:
    """A study's checked records at one scale.

    Attributes:
        records: the rows, part by part.
        seeds: the seeds of each part that was run.
        absent: why a part has no rows, for each part that was not run.
        checksum: SHA-256 of the records' file.
    """

    study: Study
    scale: str
    records: pd.DataFrame
    seeds: dict[str, list[int]]
    absent: dict[str, str]
    checksum: str
    _parts: dict[str | None, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def rows_of(self, part: str | None) -> pd.DataFrame:
        """A part's rows, or all: a copy, for many predictions are judged on one part."""
        if part not in self._parts:
            self._parts[part] = recording.part_of(self.records, part)
        return self._parts[part].copy()

    def reason_not_run(self, prediction: Prediction) -> str | None:
        """Why the prediction has nothing to be judged on, or None."""
        if prediction.part is not None:
            return self.absent.get(prediction.part)
        return None if self.seeds else "; ".join(sorted(set(self.absent.values())))

    def with_records(self, records: pd.DataFrame) -> Evidence:
        """The same evidence with other rows."""
        return Evidence(self.study, self.scale, records, self.seeds, self.absent, self.checksum)


def read(study: Study, scale: str, results_dir: Path, seeds: int | None = None) -> Evidence:
    """Read and check a study's records against its design; `seeds` is the number of seeds, if not what was run.

    Raises:
        ClaimcheckError: no records, a damaged file, missing columns, rows that stand twice, runs or seeds that are
            missing or that the design does not have, a part without rows.
    """
    folder = Path(results_dir) / scale / study.name
    path = folder / "records.parquet"
    if not path.is_file():
        raise ClaimcheckError("no records to judge", where=path, hint=f"run `claimcheck run {study.name}` first")
    checksum = sha256(path)
    kept, ran = _noted(folder / "provenance.json")
    if kept not in (None, checksum):
        raise ClaimcheckError(
            "is not the file that the run wrote (checksum differs)",
            where=path,
            found=checksum[:12],
            expected=f"{kept[:12]} (provenance.json)",
            hint=f"delete it and run `claimcheck run {study.name}` again",
        )
    records = recording.read(path)
    if absent := [name for name in COLUMNS if name not in records.columns]:
        raise ClaimcheckError("column missing", where=path, found=absent[0], expected=", ".join(COLUMNS))
    ran = ran if seeds is None else dict.fromkeys(study.all_parts(), seeds)
    return check(study, scale, records, ran, checksum, path)


def _noted(path: Path) -> tuple[str | None, dict[str, int]]:
    """The records' checksum and the number of seeds of each part, as the run noted them (where it did)."""
    facts = read_provenance(path)
    return facts.get("files", {}).get("records.parquet"), facts.get("seeds", {})


def check(
    study: Study,
    scale: str,
    records: pd.DataFrame,
    ran: dict[str, int] | None = None,
    checksum: str = "",
    where: object = "records",
) -> Evidence:
    """Check records against the design; `ran` gives the number of seeds of the parts that were run, if known."""
    parts, seeds, absent = study.at(scale), {}, {}
    if len(nameless := records[records[["part", "run", "seed"]].isna().any(axis=1)]):
        raise ClaimcheckError(
            f"{len(nameless)} rows of study {study.name} lack part, run or seed",
            where=where,
            found=f"row {nameless.index[0]}",
        )
    if unknown := sorted(set(records["part"]) - set(parts)):
        raise ClaimcheckError(
            f"study {study.name} has no such part", where=where, found=unknown[0], hint=closest(unknown[0], parts)
        )
    for name, part in parts.items():
        rows = records[records["part"] == name]
        if part.seeds == 0:
            absent[name] = f"part {name} is not run at scale {scale}"
        elif part.needs_gpu and rows.empty:
            absent[name] = f"part {name} needs a GPU"
        elif part.needs_compiler and rows.empty:
            absent[name] = f"part {name} needs a C++ compiler"
        else:
            part = part.model_copy(update={"seeds": int((ran or {}).get(name, part.seeds))})
            _check_rows(study, rows, design.confirmatory_runs(part), part.index, f"{where}: part {name}")
            seeds[name] = list(range(part.seeds))
    return Evidence(study, scale, records, seeds, absent, checksum)


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
            listed = _some(missing or surplus)
            raise ClaimcheckError(f"{column}s of study {study.name} are {state}", where=where, found=listed)
    if wrong := set(rows["status"].dropna()) - set(recording.STATUSES):
        raise ClaimcheckError("unknown status", where=where, found=str(sorted(wrong)[0]), expected="ok or diverged")


def _index_of(rows: pd.DataFrame) -> list[str]:
    """Columns that can number a run's rows where the study declares none: whole numbers and words."""
    return [name for name in rows.columns if name not in COLUMNS and not pd.api.types.is_float_dtype(rows[name].dtype)]


def values_of(evidence: Evidence, prediction: Prediction) -> pd.Series:
    """The prediction's statistic: float64, indexed by seed in ascending order.

    Raises:
        ClaimcheckError: the statistic fails, asks for a column that is not there, returns something else than a series,
            drops or repeats a seed, or is NaN for one.
    """
    where = f"{evidence.study.code_path}: {prediction.statistic} (prediction {prediction.id})"
    function = getattr(evidence.study.code("judge"), prediction.statistic)
    values = _called(function, evidence.rows_of(prediction.part), evidence.study, where)
    if not isinstance(values, pd.Series):
        raise ClaimcheckError("must return a pandas Series indexed by seed", where=where, found=type(values).__name__)
    _check_seeds(list(values.index), _expected_seeds(evidence, prediction), where)
    try:
        numbers = values.astype("float64").sort_index()
    except (TypeError, ValueError) as error:
        raise ClaimcheckError("is not a number for every seed", where=where, found=str(values.dtype)) from error
    if numbers.isna().any():
        raise ClaimcheckError(
            "is NaN",
            where=where,
            found=f"seeds {_some(numbers.index[numbers.isna()])}",
            expected="a number for every seed",
            hint="say in the statistic what a diverged or missing run is worth",
        )
    if prediction.average == "proportion" and (outside := numbers[~numbers.between(0, 1)]).size:
        raise ClaimcheckError(
            "is not a proportion",
            where=where,
            found=f"{outside.iloc[0]:g} for seed {outside.index[0]}",
            expected="from 0 to 1 for every seed",
            hint="leave out `average: proportion` where the statistic is no share of a seed's runs",
        )
    return numbers


def _called(function: Callable[[pd.DataFrame], Any], rows: pd.DataFrame, study: Study, where: str) -> Any:
    try:
        with np.errstate(all="ignore"):
            return function(rows)
    except ClaimcheckError:
        raise
    except KeyError as error:
        name = str(error.args[0] if error.args else "").removeprefix("Column not found: ")
        raise ClaimcheckError(
            f"asks for a column or label that is not there{_line_in(error, study)}",
            where=where,
            found=name,
            expected=f"one of {', '.join(map(str, rows.columns))}",
            hint=closest(name, map(str, rows.columns)),
        ) from error
    except Exception as error:
        raise ClaimcheckError(
            f"failed{_line_in(error, study)} ({type(error).__name__}: {error})", where=where
        ) from error


def _line_in(error: Exception, study: Study) -> str:
    """ " in line N" of study.py, where the error passed through it."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == study.code_path]
    return f" in line {lines[-1]}" if lines else ""


def _expected_seeds(evidence: Evidence, prediction: Prediction) -> list[list[int]]:
    """Seeds that the statistic may answer for: those of its part, or, over all parts, of one part or of every part."""
    if prediction.part is not None:
        return [evidence.seeds[prediction.part]]
    choices: list[list[int]] = []
    for seeds in sorted(evidence.seeds.values(), key=len):
        if seeds not in choices:
            choices.append(seeds)
    return choices


def _check_seeds(found: list[Any], choices: list[list[int]], where: str) -> None:
    if len(found) != len(set(found)):
        doubled = sorted({str(seed) for seed in found if found.count(seed) > 1})
        raise ClaimcheckError("gives a seed more than once", where=where, found=_some(doubled))
    if any(set(found) == set(seeds) for seeds in choices):
        return
    missing, surplus = sorted(set(choices[0]) - set(found)), sorted(set(found) - set(choices[-1]), key=str)
    if missing:
        raise ClaimcheckError(
            f"drops {len(missing)} of {len(choices[0])} seeds",
            where=where,
            found=f"none for {_some(missing)}",
            expected="one number for every seed",
        )
    raise ClaimcheckError(
        "is not indexed by seed", where=where, found=_some(surplus or found), expected=f"seeds {_some(choices[0])}"
    )


def _some(things: Any, most: int = 5) -> str:
    """The first few of a list, in words."""
    listed = [str(thing) for thing in things]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
