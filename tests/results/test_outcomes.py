"""What a run function may return: whatever else it is, one line says so, and nothing is written."""

from __future__ import annotations

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results import records as recording
from claimcheck.running import runner
from claimcheck.spec.parts import ScaledPart

RUNS = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "width": [8, 8]})
PART = ScaledPart(name="main", seeds=2, factors={"width": {"values": [8]}})
BASE = pd.DataFrame({"run": ["a", "b"], "loss": [0.5, 0.25]})


def named(*names):
    """The frame with other names of its columns."""
    return BASE.set_axis(pd.Index(names, dtype=object), axis=1)


REFUSED = {
    "complex numbers": (BASE.assign(loss=[1j, 2.0]), "complex"),
    "lists": (BASE.assign(steps=[[1], [2, 3]]), "list"),
    "arrays": (BASE.assign(steps=[np.zeros(2), np.zeros(3)]), "ndarray"),
    "mappings": (BASE.assign(steps=[{}, {}]), "dict"),
    "dates": (BASE.assign(day=pd.Timestamp("2026-01-01")), "Timestamp"),
    "times": (BASE.assign(took=pd.Timedelta("1s")), "Timedelta"),
    "decimals": (BASE.assign(loss=[Decimal(1), Decimal(2)]), "Decimal"),
    "bytes": (BASE.assign(word=[b"a", b"b"]), "bytes"),
    "a whole number past 2^63": (BASE.assign(count=[2**70, 1]), "int"),
    "a negative one": (BASE.assign(count=[-(2**70), 1]), "int"),
    "an unsigned one past 2^63": (BASE.assign(count=np.array([2**63, 1], dtype="uint64")), "2^63"),
    "a nullable one past 2^63": (BASE.assign(count=pd.array([2**63, None], dtype="UInt64")), "2^63"),
    "words and numbers": (BASE.assign(layer=["first", 2]), "int and str"),
    "truth and numbers": (BASE.assign(layer=[True, 2]), "bool and int"),
    "runs of words and numbers": (BASE.assign(run=["a", 1]), "int and str"),
    "runs that are numbers": (BASE.assign(run=[0, 1]), "int"),
    "runs that are missing": (BASE.assign(run=["a", None]), "'run'"),
    "runs that are lists": (BASE.assign(run=[["a"], ["b"]]), "list"),
    "statuses of words and numbers": (BASE.assign(status=["ok", 1]), "int and str"),
    "statuses that are missing": (BASE.assign(status=["ok", None]), "'status'"),
    "statuses that are lists": (BASE.assign(status=[["ok"], ["ok"]]), "list"),
    "a part": (BASE.assign(part="main"), "`part`"),
    "a name twice": (pd.concat([BASE, BASE[["loss"]]], axis=1), "found 'loss'"),
    "runs twice": (pd.concat([BASE, BASE[["run"]]], axis=1), "found 'run'"),
    "a number for a name": (BASE.rename(columns={"loss": 3}), "found '3'"),
    "nothing for a name": (BASE.rename(columns={"loss": None}), "named by words"),
    "an empty name": (named("run", ""), "named by words"),
    "a name of half a letter": (named("run", "lo\ud800ss"), "named by words"),
    "a name of two lines": (named("run", "lo\nss"), "named by words"),
    "names of several levels": (pd.concat({"run": BASE["run"].to_frame(), "b": BASE}, axis=1), "named by words"),
    "a series": (BASE["loss"], "Series"),
    "nothing": (None, "NoneType"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_records_cannot_hold_is_one_line(name):
    raw, told = REFUSED[name]
    with pytest.raises(ClaimcheckError) as caught:
        recording.check_outcome(raw, RUNS, PART, where="runs.py: run_main")
    assert str(caught.value).startswith("runs.py: run_main: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


HELD = {
    "small floats": BASE.assign(loss=np.array([1, 2], dtype="float16")),
    "numbers in a column of objects": BASE.assign(loss=pd.Series([1.0, np.nan], dtype=object)),
    "whole numbers": BASE.assign(step=np.array([1, 2], dtype="uint8")),
    "whole numbers in a column of objects": BASE.assign(step=pd.Series([1, 2], dtype=object)),
    "whole numbers of which one is missing": BASE.assign(step=pd.array([1, None], dtype="Int64")),
    "the largest whole number": BASE.assign(step=np.array([2**63 - 1, 0], dtype="uint64")),
    "truth": BASE.assign(right=[True, False]),
    "words": BASE.assign(layer=["first", "second"]),
    "words of which one is missing": BASE.assign(layer=["first", None]),
    "words of NumPy": BASE.assign(layer=np.array(["first", "second"])),
    "categories": BASE.assign(layer=pd.Categorical(["first", "second"])),
    "runs as a type of their own": BASE.astype({"run": "string"}),
    "runs as an index, too": BASE.set_index("run", drop=False),
    "factors and seeds": BASE.assign(width=8, seed=[0, 1]),
    "no number that is one": BASE.assign(loss=[np.inf, np.nan], status=["diverged", "diverged"]),
}


@pytest.mark.parametrize("name", HELD)
def test_what_records_can_hold_comes_back_from_their_file(name, tmp_path):
    path = tmp_path / "main.parquet"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        checked = recording.check_outcome(HELD[name], RUNS, PART, where="test")
    frame = recording.concatenate([checked])
    recording.write_sealed(path, frame, {})
    pd.testing.assert_frame_equal(recording.read_sealed(path, "")[0], frame, check_dtype=False)
    assert list(frame["run"]) == ["a", "b"]
    assert {"part", "seed", "width", "loss", "status"} <= set(frame.columns)


@pytest.mark.parametrize(
    ("line", "pieces"),
    [
        ("raise MemoryError", ["ran out of memory", "--memory-limit-mb"]),
        ("raise SystemExit(0)", ["failed", "SystemExit"]),
        ("raise RecursionError('deep')", ["failed", "RecursionError: deep"]),
    ],
)
def test_whatever_ends_a_run_function_is_told_of_it(studies, locate, line, pieces):
    code = studies / "coin" / "runs.py"
    code.write_text(code.read_text().replace("    time.sleep", f"    {line}\n    time.sleep"))
    results = locate("coin")
    with pytest.raises(ClaimcheckError) as caught:
        runner.run_parts(results, results.parts)
    assert [piece for piece in ["runs.py: run_tosses", *pieces] if piece not in str(caught.value)] == []
    assert not any(files.records.exists() for files in results.parts.values())
