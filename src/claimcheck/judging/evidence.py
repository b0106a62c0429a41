"""From records to one number per seed: what a verdict rests on, checked so that nothing is lost or counted twice.

Reads a study's records, evaluates its measures and calls its statistics. Judges nothing. Every fault is one line that
names the study, the prediction and the rows or seeds.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import sha256
from claimcheck.judging.measures import evaluate
from claimcheck.results import records as recording
from claimcheck.spec import design
from claimcheck.spec.models import Prediction, Study
from claimcheck.spec.modules import study_module
from claimcheck.spec.parts import ScaledPart

if TYPE_CHECKING:
    from claimcheck.results.state import Results

COLUMNS = ("part", "run", "seed", "status")
"""Columns that every study's records have."""


@dataclass(frozen=True)
class Evidence:
    """A study's checked records at one scale.

    Attributes:
        parts: the parts that were run, by name.
        absent: why a part has no rows, for each part that was not run.
        records: the rows, part by part.
        checksum: SHA-256 of the records' file.
        digest: of everything that the verdicts depend on.
        fixed: for each prediction the hash of what fixed it before the run.
        sections: the lecture's section of each claim.
    """

    study: Study
    scale: str
    parts: Mapping[str, ScaledPart]
    absent: Mapping[str, str]
    records: pd.DataFrame
    checksum: str = ""
    digest: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)
    sections: Mapping[str, str] = field(default_factory=dict)
    _parts: dict[str | None, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def seeds(self) -> dict[str, list[int]]:
        """The seeds of each part that was run."""
        return {name: list(range(part.seeds)) for name, part in self.parts.items()}

    def rows_of(self, part: str | None) -> pd.DataFrame:
        """A part's rows, or all: a copy, for many predictions are judged on one part."""
        if part not in self._parts:
            self._parts[part] = recording.part_of(self.records, part)
        return self._parts[part].copy()

    def reason_not_run(self, prediction: Prediction) -> str | None:
        """Why the prediction has nothing to be judged on, or None."""
        if prediction.part is not None:
            reason = self.absent.get(prediction.part)
            return None if reason is None else f"part {prediction.part}: {reason}"
        return None if self.parts else "; ".join(sorted(set(self.absent.values())))

    def with_records(self, records: pd.DataFrame) -> Evidence:
        """The same evidence with other rows."""
        return replace(self, records=records, _parts={})


def read(results: Results) -> Evidence:
    """Read and check a study's records against its design.

    Raises:
        ClaimcheckError: no records, a damaged file, missing columns, duplicate rows, runs or seeds that are
            missing or that the design does not have, a part without rows.
    """
    records = results.read_records()
    found = Evidence(
        results.study,
        results.config.scale,
        {name: files.part for name, files in results.parts.items()},
        results.not_run,
        records,
        sha256(results.records),
        results.verdicts_digest,
        results.prediction_hashes(),
        results.sections(),
    )
    check(found, results.records)
    return found


def check(found: Evidence, where: object = "records") -> None:
    """Check records against the design.

    Raises:
        ClaimcheckError: as `read` says.
    """
    records, study = found.records, found.study
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
    for name, part in found.parts.items():
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
    rows = evidence.rows_of(prediction.part)
    if prediction.measure is not None:
        assert prediction.part is not None
        where = f"{evidence.study.yaml_path}: {prediction.id}.measure"
        values = _called(
            lambda given: evaluate(prediction.measure, given, evidence.parts[prediction.part], where=where),
            rows,
            evidence.study,
            where,
        )
    else:
        assert prediction.statistic is not None
        where = f"{evidence.study.folder / 'statistics.py'}: {prediction.statistic} (prediction {prediction.id})"
        function = getattr(study_module(evidence.study.folder, "statistics"), prediction.statistic)
        values = _called(partial(function, **prediction.arguments), rows, evidence.study, where)
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
            hint="say what a run that diverged is worth: `if_diverged` of a measure, or in the statistic",
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
    """ " in line N" of statistics.py, where the error passed through it."""
    path = (study.folder / "statistics.py").resolve()
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path]
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
