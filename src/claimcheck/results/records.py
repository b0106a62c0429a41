"""Records: tidy rows with checked types, written so that the same runs give the same bytes.

Columns: part, run, seed, factors …, index columns …, metrics … (float64), status.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, write_atomically
from claimcheck.spec.design import confirmatory_runs
from claimcheck.spec.parts import LARGEST, Design, ScaledPart

STATUSES = ("ok", "diverged")


def check_outcome(raw: Any, runs: pd.DataFrame, part: ScaledPart, where: str) -> pd.DataFrame:
    """Check what a study's run function returned and join seed and factors to it.

    Raises:
        ClaimcheckError: not a frame, runs missing or unknown, rows twice, a metric that is no number, a wrong status,
            a column that no records can hold.
    """
    if not isinstance(raw, pd.DataFrame) or "run" not in raw.columns:
        raise ClaimcheckError("must return a DataFrame with a column `run`", where=where, found=type(raw).__name__)
    _check_names(raw, where)
    raw = raw.reset_index(drop=True).infer_objects()
    _check_kinds(raw, where)
    missing = sorted(set(runs["run"]) - set(raw["run"]))
    unknown = sorted(set(raw["run"]) - set(runs["run"]))
    if missing or unknown:
        raise ClaimcheckError(
            f"{len(missing)} runs have no rows and {len(unknown)} rows' runs are not in the design",
            where=where,
            found=(missing + unknown)[0],
            expected="rows for every run of the design and for no other",
        )
    frame = raw.drop(columns=[column for column in raw.columns if column in runs.columns and column != "run"])
    if "status" not in frame:
        frame = frame.assign(status="ok")
    if wrong := set(frame["status"]) - set(STATUSES):
        raise ClaimcheckError(
            "unknown status", where=where, found=sorted(map(str, wrong))[0], expected="ok or diverged"
        )
    index, metrics = _index_and_metrics(frame, part, where)
    if len(doubled := frame[frame.duplicated(["run", *index])]):
        raise ClaimcheckError(
            f"{len(doubled)} rows are duplicates", where=where, found=str(doubled.iloc[0][["run", *index]].to_dict())
        )
    frame = frame.astype(dict.fromkeys(metrics, "float64"))
    joined = runs.merge(frame, on="run", how="right", validate="one_to_many")
    return joined.assign(part=part.name)[["part", "run", *runs.columns.drop("run"), *index, *metrics, "status"]]


def _check_names(raw: pd.DataFrame, where: str) -> None:
    """Every column has a name of its own, which is a word and means nothing else in the records."""
    names = list(raw.columns)
    for name in names:
        if not isinstance(name, str) or not name.isprintable() or not name:
            raise ClaimcheckError("columns are named by words", where=where, found=ascii(name))
        if names.count(name) > 1:
            raise ClaimcheckError("two columns have one name", where=where, found=name)
    if "part" in names:
        raise ClaimcheckError("`part` is a column that the records have anyway", where=where, hint="leave it out")


def _check_kinds(raw: pd.DataFrame, where: str) -> None:
    """Every column holds what records can hold, and one kind of it; `run` and `status` are words."""
    for name in raw.columns:
        words = name in ("run", "status")
        if kind := _foreign(raw[name], words):
            raise ClaimcheckError(
                f"column {name!r} is of a kind that it cannot hold",
                where=where,
                found=kind,
                expected="words" if words else "numbers, whole ones below 2^63, or words, or true and false",
            )


def _foreign(column: pd.Series, words: bool) -> str:
    """What a column holds that records cannot hold; nothing but words if these are asked for."""
    types = pd.api.types
    if not words and types.is_integer_dtype(column):
        return "2^63 or more" if types.is_unsigned_integer_dtype(column) and (column > LARGEST).any() else ""
    if not words and (types.is_bool_dtype(column) or types.is_float_dtype(column)):
        return ""
    there = [value for value in column if words or not (types.is_scalar(value) and pd.isna(value))]
    kinds = {"str" if isinstance(value, str) else type(value).__name__ for value in there}
    return " and ".join(sorted(kinds)) if kinds - {"str"} else ""


def _index_and_metrics(frame: pd.DataFrame, part: Design, where: str) -> tuple[list[str], list[str]]:
    """Index columns (declared, or whole numbers and words) and metric columns (floating point) of an outcome."""
    rest = [column for column in frame.columns if column not in ("run", "status")]
    if absent := [name for name in part.index if name not in rest]:
        raise ClaimcheckError(
            "declared index column is missing", where=where, found=absent[0], expected=f"one of {rest}"
        )
    index = [name for name in rest if name in part.index or not pd.api.types.is_float_dtype(frame[name])]
    if part.index and (surplus := set(index) - set(part.index)):
        raise ClaimcheckError(
            "metrics are floating-point columns", where=where, found=f"{sorted(surplus)[0]} of another type"
        )
    return index, [name for name in rest if name not in index]


def assemble(frames: list[pd.DataFrame], parts: Mapping[str, ScaledPart]) -> pd.DataFrame:
    """All ensembles' rows in the order of the design, whatever the order and cutting they were made in."""
    merged = concatenate(frames)
    order = {
        run: position
        for position, run in enumerate(
            run for part in parts.values() if part.seeds for run in confirmatory_runs(part)["run"]
        )
    }
    position = merged["run"].map(order)
    return merged.iloc[np.argsort(position.to_numpy(), kind="stable")].reset_index(drop=True)


def concatenate(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Stack frames of different parts; a column that a part lacks is missing there, whole numbers stay whole."""
    kinds: dict[str, set[str]] = {}
    for frame in frames:
        for column in frame.columns:
            kinds.setdefault(column, set()).add(_kind(frame[column]))
    for column, found in kinds.items():
        if len(found) > 1 and found != {"Int64", "float64"}:
            raise ClaimcheckError(
                "two parts use one column name for different types", found=f"{column}: {sorted(found)}"
            )
    types = {column: "float64" if len(found) > 1 else next(iter(found)) for column, found in kinds.items()}
    ordered = [
        "part",
        "run",
        "seed",
        *(name for name in types if name not in ("part", "run", "seed", "status")),
        "status",
    ]
    ordered = [name for name in ordered if name in types]
    typed = [frame.astype({column: types[column] for column in frame.columns}) for frame in frames]
    return pd.concat(
        [frame.reindex(columns=ordered).astype({c: types[c] for c in ordered}) for frame in typed], ignore_index=True
    )


def _kind(column: pd.Series) -> str:
    if pd.api.types.is_bool_dtype(column):
        return "boolean"
    if pd.api.types.is_integer_dtype(column):
        return "Int64"
    return "float64" if pd.api.types.is_float_dtype(column) else "string"


def write(path: Path, frame: pd.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Write parquet atomically; the bytes depend on the values alone."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), **(metadata or {})})
    with write_atomically(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read(path: Path) -> pd.DataFrame:
    """Read parquet.

    Raises:
        ClaimcheckError: missing, truncated or otherwise unreadable.
    """
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ClaimcheckError("no such file", where=path, hint="run the study first") from error
    except Exception as error:
        raise ClaimcheckError(
            f"is not a readable parquet file ({type(error).__name__})", where=path, hint="run the study again"
        ) from error


def part_of(records: pd.DataFrame, part: str | None) -> pd.DataFrame:
    """One part's rows without the columns that only other parts use; numbers in plain numpy types.

    A column that is empty in the part is taken for another part's, but where every run of the part diverged, metrics may
    be empty for that reason: all floating-point columns are kept then.
    """
    rows = records if part is None else records[records["part"] == part]
    if part is not None:
        empty = rows.columns[rows.isna().all()]
        if {"run", "status"} <= set(rows) and rows["run"].isin(rows.loc[rows["status"] == "diverged", "run"]).all():
            empty = [column for column in empty if not pd.api.types.is_float_dtype(rows[column])]
        rows = rows.drop(columns=empty)
    plain = {
        column: {"Int64": "int64", "boolean": "bool", "string": "object"}[str(kind)]
        for column, kind in rows.dtypes.items()
        if str(kind) in ("Int64", "boolean", "string") and not rows[column].isna().any()
    }
    return rows.astype(plain).reset_index(drop=True)


def write_sealed(path: Path, frame: pd.DataFrame, facts: dict[str, Any]) -> None:
    """Write rows with facts about their making, and a checksum of both, in one parquet file."""
    body = json.dumps(facts, sort_keys=True)
    write(path, frame, {"facts": body, "checksum": hash_of([body, _digest(frame)])})


def read_sealed(path: Path, remedy: str) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and facts that `write_sealed` wrote.

    Args:
        remedy: the command that makes the file again, for the error.

    Raises:
        ClaimcheckError: missing, cut off, or changed after it was written.
    """
    if not path.is_file():
        raise ClaimcheckError("no such file", where=path, hint=f"make it: {remedy}")
    try:
        table = pq.read_table(path)
        frame, metadata = table.to_pandas(), table.schema.metadata or {}
        body = metadata[b"facts"].decode()
        whole = metadata[b"checksum"].decode() == hash_of([body, _digest(frame)])
    except Exception:  # whatever damaged bytes make the readers of parquet stumble over
        whole = False
    if not whole:
        raise ClaimcheckError(
            "was cut off or changed after it was written", where=path, hint=f"make it again: {remedy}"
        )
    return frame, json.loads(body)


def whole(path: Path) -> bool:
    """Whether a file is there as `write_sealed` wrote it."""
    try:
        read_sealed(path, "")
    except ClaimcheckError:
        return False
    return True


def _digest(frame: pd.DataFrame) -> str:
    """Hash of the columns' names and of every row, in order."""
    numbers = frame.select_dtypes("float")  # 0/0 is a NaN of other bits than the one that a missing value is read as
    frame = frame.assign(**numbers.where(numbers.notna()))
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
    return hash_of([list(frame.columns), hashlib.sha256(rows).hexdigest()])
