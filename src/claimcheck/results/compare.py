"""Do two result trees say the same? Same bits, else same numbers, else same verdicts, else what differs.

Reads two folders, such as results/quick of two machines, or two studies' folders; changes neither. Damaged files
are told as errors, they are never compared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.results import records as recording
from claimcheck.results.fitting import some
from claimcheck.results.provenance import Provenance, read_provenance
from claimcheck.results.verdicts import read_verdicts

REMEDY = "claimcheck publish STUDY --scale SCALE, or copy the tree again"

LEVELS = ("same bits", "same numbers", "same verdicts", "different")
"""From the best to the worst. A tree is as good as its worst study."""

TOLERANCE = 1e-6
"""Relative (and, below 1, absolute) difference up to which two numbers count as the same."""

MOST = 10
"""Differences of a study that are listed."""


@dataclass
class Comparison:
    """How one study compares: a level of `LEVELS` and, in words, what differs."""

    study: str
    level: str = "same bits"
    differences: list[str] = field(default_factory=list)
    machines: list[str] = field(default_factory=list)

    def worsen(self, level: str, *differences: str) -> None:
        """Note differences that allow `level` at best."""
        self.level = LEVELS[max(LEVELS.index(self.level), LEVELS.index(level))]
        self.differences += differences


def compare(first: Path, second: Path, tolerance: float = TOLERANCE) -> list[Comparison]:
    """Compare two trees study by study; a study that one of them lacks is different.

    Raises:
        ClaimcheckError: no results in a folder, or a file that is damaged or not what its provenance says.
    """
    trees = [_studies(Path(first)), _studies(Path(second))]
    if len(trees[0]) == len(trees[1]) == 1 and all(
        (Path(folder) / "records.parquet").is_file() for folder in (first, second)
    ):
        name = next(iter(trees[0]))
        return [_compare(name, Path(first), Path(second), tolerance)]
    found = []
    for name in sorted({*trees[0], *trees[1]}):
        if name in trees[0] and name in trees[1]:
            found.append(_compare(name, trees[0][name], trees[1][name], tolerance))
        else:
            found.append(Comparison(name, "different", [f"only in {first if name in trees[0] else second}"]))
    return found


def _studies(folder: Path) -> dict[str, Path]:
    """The studies' folders in a tree: those that hold records; the folder itself if it does."""
    if not folder.is_dir():
        raise ClaimcheckError("no such folder of results", where=folder)
    if (folder / "records.parquet").is_file():
        return {folder.resolve().name: folder}
    found = {path.parent.name: path.parent for path in sorted(folder.glob("*/records.parquet"))}
    if not found:
        raise ClaimcheckError(
            "no results here",
            where=folder,
            expected="STUDY/records.parquet",
            hint="name a scale's folder, such as results/quick",
        )
    return found


def _compare(name: str, first: Path, second: Path, tolerance: float) -> Comparison:
    outcome = Comparison(name)
    digests = [_checked(folder) for folder in (first, second)]
    if digests[0] != digests[1]:
        _compare_records(
            outcome, *(recording.read(folder / "records.parquet") for folder in (first, second)), tolerance
        )
    _compare_verdicts(outcome, first / "verdicts.json", second / "verdicts.json", tolerance)
    if outcome.level != "same bits":
        outcome.machines = _unlike(*(_facts(folder) for folder in (first, second)))
    return outcome


def _checked(folder: Path) -> str:
    """The records' checksum, which is the one that the run noted."""
    digest = sha256(folder / "records.parquet")
    facts = _facts(folder)
    noted = facts.files.get("records.parquet", digest) if facts else digest
    if noted != digest:
        raise ClaimcheckError(
            "is not the file that the run wrote (checksum differs)",
            where=folder / "records.parquet",
            found=digest[:12],
            expected=f"{str(noted)[:12]} (provenance.json)",
        )
    return digest


def _facts(folder: Path) -> Provenance | None:
    path = folder / "provenance.json"
    return read_provenance(path, REMEDY) if path.is_file() else None


def _compare_records(outcome: Comparison, first: pd.DataFrame, second: pd.DataFrame, tolerance: float) -> None:
    if absent := sorted(set(first.columns) ^ set(second.columns)):
        outcome.worsen("same verdicts", f"columns only on one side: {some(absent)}")
        return
    kinds = [{name: _kind(frame[name]) for name in first.columns} for frame in (first, second)]
    unlike = [name for name in first.columns if kinds[0][name] != kinds[1][name]]
    for name in unlike:
        outcome.worsen("same verdicts", f"{name}: {kinds[0][name]} here, {kinds[1][name]} there")
    named = [name for name in first.columns if name not in unlike]
    for name in named:
        widths = [str(frame[name].dtype).lower() for frame in (first, second)]
        if kinds[0][name] in ("numbers", "whole numbers") and widths[0] != widths[1]:
            outcome.worsen("same numbers", f"{name}: {widths[0]} here, {widths[1]} there")
    keys = [name for name in named if name != "status" and kinds[0][name] in KEYS]
    tables = [_by_key(frame[named], keys) for frame in (first, second)]
    if not tables[0].index.equals(tables[1].index):
        outcome.worsen("same verdicts", _rows_apart(tables[0].index, tables[1].index, keys))
        return
    for name in tables[0].columns:
        _compare_column(outcome, name, kinds[0][name], tables[0][name], tables[1][name], tolerance)


KEYS = ("whole numbers", "truths", "words")
"""Kinds of columns that tell one row from another."""


def _kind(column: pd.Series) -> str:
    """What a column holds, in words."""
    types = pd.api.types
    if types.is_bool_dtype(column.dtype):
        return "truths"
    if types.is_integer_dtype(column.dtype):
        return "whole numbers"
    if types.is_float_dtype(column.dtype):
        return "numbers"
    return "words" if all(isinstance(each, str) for each in column.dropna()) else "values of other kinds"


def _by_key(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Rows in the order of their keys; where nothing tells them apart, in their own."""
    if not keys:
        return frame.reset_index(drop=True)
    words = {name: "string" for name in keys if _kind(frame[name]) == "words"}
    return frame.astype(words).set_index(keys).sort_index(kind="stable")


def _rows_apart(first: pd.Index, second: pd.Index, keys: list[str]) -> str:
    alone = first.symmetric_difference(second, sort=False) if keys else ()
    if not len(alone):
        return f"{len(first)} rows here, {len(second)} there"
    row = alone[0] if len(keys) > 1 else (alone[0],)
    plain = [level.item() if isinstance(level, np.generic) else level for level in row]
    return f"{len(alone)} rows stand on one side only, such as {dict(zip(keys, plain, strict=True))}"


def _compare_column(
    outcome: Comparison, name: str, kind: str, first: pd.Series, second: pd.Series, tolerance: float
) -> None:
    if kind != "numbers":
        if unlike := sum(_plain(one) != _plain(other) for one, other in zip(first, second, strict=True)):
            outcome.worsen("same verdicts", f"{name}: {unlike} of {len(first)} rows differ")
        return
    a, b = first.to_numpy("float64", na_value=np.nan), second.to_numpy("float64", na_value=np.nan)
    same = (a == b) & (np.signbit(a) == np.signbit(b))  # 0.0 and -0.0 are one number of different bits
    unlike = ~(same | (np.isnan(a) & np.isnan(b)))
    if not unlike.any():
        return
    with np.errstate(invalid="ignore"):
        gap = np.abs(a - b)[unlike] / np.maximum(1.0, np.maximum(np.abs(a), np.abs(b))[unlike])
    gap = np.where(np.isnan(gap), np.inf, gap)
    words = f"{name}: {int(unlike.sum())} of {len(a)} values differ, by at most {gap.max():.2g}"
    outcome.worsen("same numbers" if gap.max() <= tolerance else "same verdicts", words)


def _plain(value: Any) -> str:
    """A value as text: whole, also where it is a long list."""
    if isinstance(value, list | tuple | np.ndarray):
        return f"[{', '.join(map(_plain, value))}]"
    return str(value)


def _compare_verdicts(outcome: Comparison, first: Path, second: Path, tolerance: float) -> None:
    present = [path.is_file() for path in (first, second)]
    if not all(present):
        if any(present) or outcome.level == "same verdicts":
            outcome.worsen("different", f"no verdicts in {(second if present[0] else first).parent}")
        return
    sides = [{entry["prediction"]: entry for entry in read_verdicts(path, REMEDY)} for path in (first, second)]
    if alone := sorted(set(sides[0]) ^ set(sides[1])):
        outcome.worsen("different", f"predictions only on one side: {some(alone)}")
    for name in (name for name in sides[0] if name in sides[1]):
        one, other = sides[0][name], sides[1][name]
        if one["verdict"] != other["verdict"]:
            outcome.worsen("different", f"{name}: {one['verdict']} here, {other['verdict']} there")
        elif one["region"] != other["region"]:
            outcome.worsen("different", f"{name}: judged by the region {one['region']} here, {other['region']} there")
        elif not _alike(_values(one), _values(other), tolerance):
            outcome.worsen("same verdicts", f"{name}: {_in_words(one)} here, {_in_words(other)} there")
        _compare_asked(outcome, name, one, other)
        _compare_tests(outcome, name, *({test["data"]: test for test in entry["tests"]} for entry in (one, other)))
    claims = [{entry["claim"]: entry.get("claim_verdict") for entry in side.values()} for side in sides]
    for name in (name for name in claims[0] if name in claims[1]):
        if claims[0][name] != claims[1][name]:
            outcome.worsen("different", f"claim {name}: {claims[0][name]} here, {claims[1][name]} there")


ASKED = ("kind", "share", "tolerance", "part", "measure", "statistic", "arguments")
"""What of a prediction may be another though its records, region and verdict are the same."""


def _compare_asked(outcome: Comparison, name: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    for key in ASKED:
        if one.get(key) != other.get(key):
            outcome.worsen("same verdicts", f"{name}: {key} {one.get(key)} here, {other.get(key)} there")


def _compare_tests(outcome: Comparison, name: str, first: dict[str | None, Any], second: dict[str | None, Any]) -> None:
    """Verdicts on single data sets, where there are several, and what came of the controls."""
    for data in (data for data in first if data in second):
        one, other = first[data], second[data]
        where = f"{name} on {data}" if data else name
        if data and one["verdict"] != other["verdict"]:
            outcome.worsen("different", f"{where}: {one['verdict']} here, {other['verdict']} there")
        for control in sorted({*one["controls"], *other["controls"]}):
            came = [_came_of(side["controls"].get(control)) for side in (one, other)]
            if came[0] != came[1]:
                level = "different" if PASSED in came else "same verdicts"
                outcome.worsen(level, f"{where}: control {control} {came[0]} here, {came[1]} there")


PASSED = "passed (it must not)"


def _came_of(control: dict[str, Any] | None) -> str:
    return "not asked" if control is None else PASSED if control["passed"] else control["verdict"]


def _alike(first: list[float], second: list[float], tolerance: float) -> bool:
    return len(first) == len(second) and np.allclose(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)


def _values(entry: dict[str, Any]) -> list[float]:
    return [value for test in entry["tests"] for value in test["values"]]


def _in_words(entry: dict[str, Any]) -> str:
    """Per data set in how many units it is true, and the median."""
    found = []
    for test in entry["tests"]:
        true = f"{test['k']} of {test['n']}" if "k" in test else test["verdict"]
        found.append(true if test["median"] is None else f"{true} (median {test['median']:.6g})")
    return "; ".join(found) or "not run"


def _unlike(first: Provenance | None, second: Provenance | None) -> list[str]:
    """What may explain a difference: versions, machines and commits that differ."""
    found = []
    for topic in ("versions", "machine", "git"):
        one, other = _all(first, topic), _all(second, topic)
        for key in sorted({*one, *other}):
            if one.get(key) != other.get(key):
                found.append(f"{topic}.{key}: {one.get(key)} here, {other.get(key)} there")
    return found


def _all(facts: Provenance | None, topic: str) -> dict[str, str]:
    """For each key of a topic the values that occur among the parts."""
    occurring: dict[str, dict[str, None]] = {}
    for part in facts.parts.values() if facts else ():
        for key, value in part.model_dump()[topic].items():
            occurring.setdefault(key, {})[str(value)] = None
    return {key: ", ".join(values) for key, values in occurring.items()}


def main(first: Path, second: Path) -> int:
    """Print the comparison; the exit status is 0 when every verdict is the same, 1 when not."""
    found = compare(first, second)
    for outcome in found:
        print(f"{outcome.study}: {outcome.level}")
        for line in outcome.differences[:MOST]:
            print(f"  {line}")
        if len(outcome.differences) > MOST:
            print(f"  and {len(outcome.differences) - MOST} more differences")
        if outcome.machines:
            print(f"  made with: {some(outcome.machines)}")
    worst = LEVELS[max(LEVELS.index(outcome.level) for outcome in found)]
    print(f"{len(found)} {'study' if len(found) == 1 else 'studies'}: {worst}")
    return 1 if worst == "different" else 0
