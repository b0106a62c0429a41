"""From records to one number per unit: what a verdict rests on, checked so that nothing is lost or counted twice.

Reads a study's records, evaluates its measures and calls its statistics. Judges nothing. Every fault is one line that
names the study, the prediction and the rows or seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.judging import rule
from claimcheck.judging.measures import evaluate
from claimcheck.results import records as recording
from claimcheck.results.fitting import check_fit, some
from claimcheck.spec.cells import in_cell, in_words, resolved
from claimcheck.spec.measures import Measure
from claimcheck.spec.models import Prediction, Study
from claimcheck.spec.modules import answer, study_module
from claimcheck.spec.parts import Scalar, ScaledPart

if TYPE_CHECKING:
    from claimcheck.results.state import Results

ROUNDING = 1e-12
"""Numbers that differ by no more, relative to an end of a region or to what was measured, are the same number."""


@dataclass(frozen=True)
class Evidence:
    """A study's checked records at one scale.

    Attributes:
        parts: the parts that were run, by name.
        absent: why a part has no rows, for each part that was not run.
        records: the rows, part by part.
        checksum: SHA-256 of the records' file.
    """

    study: Study
    scale: str
    parts: Mapping[str, ScaledPart]
    absent: Mapping[str, str]
    records: pd.DataFrame
    checksum: str = ""
    _parts: dict[str | None, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    def rows_of(self, part: str | None, data: str | None = None) -> pd.DataFrame:
        """A part's rows (those on one data set), or all: a copy, for many predictions are judged on one part."""
        if part not in self._parts:
            self._parts[part] = recording.part_of(self.records, part)
        rows = self._parts[part]
        return rows.copy() if data is None else rows[rows["dataset"] == data].reset_index(drop=True)

    def datasets_of(self, part: str | None) -> set[str]:
        """The data sets that a part was run on."""
        factor = self.parts[part].factors.get("dataset") if part in self.parts else None
        return set(map(str, factor.values)) if factor else set()

    def asked_on(self, prediction: Prediction) -> list[str | None]:
        """The data sets that the prediction is asked on, of those on which the scale runs what it measures; [None] where
        it names none."""
        return [data for data, missing in self._missing_cells(prediction).items() if missing is None]

    def reason_not_run(self, prediction: Prediction) -> str | None:
        """Why the prediction has nothing to be judged on, or None."""
        if prediction.part is None:
            return None if self.parts else "; ".join(sorted(set(self.absent.values())))
        if prediction.part in self.absent:
            return f"part {prediction.part}: {self.absent[prediction.part]}"
        missing = list(self._missing_cells(prediction).values())
        return f"its cell {missing[0]} is not run at scale {self.scale}" if missing and all(missing) else None

    def _missing_cells(self, prediction: Prediction) -> dict[str | None, str | None]:
        """For each data set that it is asked on here, or None, a cell that it names and the scale leaves out, in words.

        A level that no scale has is an error before any run (`claimcheck.spec.measures.faults`).
        """
        part, there = self.parts.get(prediction.part or ""), self.datasets_of(prediction.part)
        asked = [data for data in prediction.on if data in there] if prediction.on else [None]
        if prediction.measure is None or part is None:
            return dict.fromkeys(asked if prediction.part not in self.absent else [])
        return {data: _missing_cell(prediction.measure, part.on(data).cells()) for data in asked}


def _missing_cell(measure: Measure, cells: list[dict[str, Scalar]]) -> str | None:
    first = resolved(measure.cell, cells)
    second = None if measure.second is None else resolved({**first, **measure.second}, cells)
    named = [levels for levels in (first, second) if levels is not None]
    return next((in_words(each) for each in named if not any(in_cell(cell, each) for cell in cells)), None)


def read(results: Results) -> Evidence:
    """A study's records; missing or damaged ones, or such that do not fit the design, are an error."""
    records = results.read_records()
    parts = {name: files.part for name, files in results.parts.items()}
    check_fit(records, results.study, parts, results.records)
    return Evidence(results.study, results.config.scale, parts, results.not_run, records, sha256(results.records))


def values_of(evidence: Evidence, prediction: Prediction, data: str | None = None) -> pd.Series:
    """The prediction's number for each unit: float64, indexed by seed in ascending order; NaN where there is none.

    Args:
        data: the data set that it is asked on, for a prediction that names several.

    Raises:
        ClaimcheckError: the statistic fails, asks for a column that is not there, returns something else than a series
            of numbers, drops a seed or repeats one.
    """
    study, rows = evidence.study, evidence.rows_of(prediction.part, data)
    if prediction.measure is not None:
        assert prediction.part is not None
        where = f"{study.yaml_path}: {prediction.id}.measure"
        question = partial(evaluate, prediction.measure, part=evidence.parts[prediction.part].on(data), where=where)
    else:
        assert prediction.statistic is not None
        where = f"{study.folder / 'statistics.py'}: {prediction.statistic} (prediction {prediction.id})"
        question = partial(
            getattr(study_module(study.folder, "statistics"), prediction.statistic), **prediction.arguments
        )
    with np.errstate(all="ignore"):
        values = answer(question, rows, study.folder / "statistics.py", where)
    if not isinstance(values, pd.Series):
        raise ClaimcheckError("must return a pandas Series indexed by seed", where=where, found=type(values).__name__)
    _check_seeds(list(values.index), _expected_seeds(evidence, prediction, data), where)
    try:
        numbers = values.astype("float64").sort_index()
    except (TypeError, ValueError) as error:
        raise ClaimcheckError("is not a number for every seed", where=where, found=str(values.dtype)) from error
    return (
        numbers if prediction.kind == "fact" else settled(numbers, prediction.region, _size(prediction.measure, rows))
    )


def settled(numbers: pd.Series, region: rule.Region, size: float = 1.0) -> pd.Series:
    """The numbers, where those that differ from an end of the region by rounding alone lie on it, and so not inside.

    A measure that moves in steps (a share of examples, levels of a grid) may land on an end; whether a sum in binary
    then lies a hair above or below it must decide nothing.

    Args:
        size: of what the numbers were computed from, and so of its rounding.
    """
    for end in region:
        if end is not None:
            numbers = numbers.mask((numbers - end).abs() <= ROUNDING * max(size, abs(end)), end)
    return numbers


def _size(measure: Measure | None, rows: pd.DataFrame) -> float:
    """How large the values may be whose rounding a prediction's numbers carry: 1, or less where a whole column is small."""
    if measure is None or measure.form not in ("value", "difference") or measure.log is not None or _is_share(measure):
        return 1.0
    column = rows[measure.column].abs()
    largest = column[np.isfinite(column)].max() * abs(1.0 if measure.times is None else measure.times)
    return min(1.0, max(largest, abs(measure.plus or 0.0))) if largest > 0 else 1.0


def _is_share(measure: Measure) -> bool:
    return measure.above is not None or measure.below is not None


def _expected_seeds(evidence: Evidence, prediction: Prediction, data: str | None) -> list[set[int]]:
    """Seeds that the statistic may answer for: those of its part, or, over all parts, of one part or of every part."""
    parts = evidence.parts.values() if prediction.part is None else [evidence.parts[prediction.part].on(data)]
    return [set(part.judged_seeds) for part in sorted(parts, key=lambda part: part.seeds)]


def _check_seeds(found: list[Any], choices: list[set[int]], where: str) -> None:
    if doubled := sorted({str(seed) for seed in found if found.count(seed) > 1}):
        raise ClaimcheckError("gives a seed more than once", where=where, found=some(doubled))
    if set(found) in choices:
        return
    missing, surplus = sorted(choices[0] - set(found)), sorted(set(found) - choices[-1], key=str)
    what = f"drops {len(missing)} of {len(choices[0])} seeds" if missing else "is not indexed by seed"
    raise ClaimcheckError(
        what, where=where, found=some(missing or surplus), expected="one number for every judged seed and no other"
    )
