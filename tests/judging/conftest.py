"""A planted study: two arms, one effect that is there, one that is not, one the wrong way round, and a few facts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from claimcheck.results import records as recording
from claimcheck.spec.design import confirmatory_runs
from claimcheck.spec.reading import load_study
from claimcheck.spec.models import Study

LECTURE = """
title: A planted lecture
author: Nobody
sections:
  - id: planted
    title: Planted
    chapter: Planted
    claims:
      - {id: b-is-better, says: B is better than A., study: planted}
      - {id: b-differs, says: B differs from A., study: planted}
      - {id: b-wins-again, says: "B wins where it loses.", study: planted}
"""

SPEC = """
title: Planted effects
question: Does the judge find what was planted?
sections: [planted]
method: Two arms of random numbers, one of them moved.
factors:
  arm: {values: [a, b], static: true}
scales:
  smoke: {seeds: 4}
  quick: {seeds: 16}
claims:
  - id: b-is-better
    predictions:
      - {id: better, says: B exceeds A., statistic: moved_up, region: [0.0, null], unit: points, why: planted}
      - {id: sum-is-fixed, says: A sum is two., kind: limit, statistic: exact, region: [1.999, 2.001], why: arithmetic}
  - id: b-differs
    predictions:
      - {id: differs, says: B exceeds A elsewhere., statistic: unmoved, region: [0.0, null], why: planted}
      - {id: alike, says: Both are alike., kind: limit, statistic: unmoved, region: [-2.0, 2.0], why: planted}
  - id: b-wins-again
    predictions:
      - {id: wins, says: B exceeds A once more., statistic: moved_down, region: [0.5, null], why: planted}
figures:
  - {id: arms, caption: The two arms., alt: Two clouds of points., claims: [b-is-better]}
"""

CODE = '''
"""Two arms of normal numbers."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

SHIFT = {"up": 2.0, "same": 0.0, "down": -2.0}


def run(runs, context):
    rows = []
    for row in runs.itertuples():
        draws = context.numpy_generator(row.seed, "noise of " + row.arm).normal(0, 0.5, 3)
        moved = [draw + (row.arm == "b") * shift for draw, shift in zip(draws, SHIFT.values())]
        rows.append({"run": row.run, **dict(zip(SHIFT, moved)), "two": 2.0})
    return pd.DataFrame(rows)


def _difference(records, column):
    table = records.pivot(index="seed", columns="arm", values=column)
    return table["b"] - table["a"]


def moved_up(records):
    return _difference(records, "up")


def unmoved(records):
    return _difference(records, "same")


def moved_down(records):
    return _difference(records, "down")


def exact(records):
    return records.groupby("seed")["two"].mean()


def plot_arms(records):
    figure = Figure()
    axes = figure.subplots()
    axes.plot(records["seed"], records["up"], "o")
    axes.set_xlabel("seed")
    axes.set_ylabel("up")
    return figure
'''


@pytest.fixture
def plant(tmp_path) -> Callable[..., Study]:
    """Write the planted study (with replacements in its yaml and code) and load it."""

    def make(spec: dict[str, str] | None = None, code: dict[str, str] | None = None) -> Study:
        folder = tmp_path / "studies" / "planted"
        folder.mkdir(parents=True, exist_ok=True)
        (folder.parent / "lecture.yaml").write_text(LECTURE)
        (folder / "study.yaml").write_text(_replaced(SPEC, spec))
        (folder / "study.py").write_text(_replaced(CODE, code))
        return load_study(folder.parent, "planted")

    return make


def _replaced(text: str, changes: dict[str, str] | None) -> str:
    for old, new in (changes or {}).items():
        assert old in text
        text = text.replace(old, textwrap.dedent(new))
    return text


@pytest.fixture(scope="session")
def write_planted() -> Callable[[Path], None]:
    """Write the planted study and its lecture under a folder's `studies/`."""

    def write(folder: Path) -> None:
        study = folder / "studies" / "planted"
        study.mkdir(parents=True)
        (study.parent / "lecture.yaml").write_text(LECTURE)
        (study / "study.yaml").write_text(SPEC)
        (study / "study.py").write_text(CODE)

    return write


@pytest.fixture
def run_planted(tmp_path) -> Callable[..., Path]:
    """Run the planted study's own code without the runner and write its records; gives the results' folder."""

    def run(study: Study, change: Callable[[pd.DataFrame], pd.DataFrame] | None = None, scale: str = "quick") -> Path:
        records = planted_records(study, scale)
        folder = tmp_path / "results" / scale / study.name
        recording.write(folder / "records.parquet", change(records) if change else records)
        return tmp_path / "results"

    return run


def planted_records(study: Study, scale: str = "quick") -> pd.DataFrame:
    """The planted study's records, made without the runner."""
    from claimcheck.streams import numpy_generator

    class Streams:
        def numpy_generator(self, seed, purpose):
            return numpy_generator(study.name, seed, purpose)

    part = study.at(scale)["main"]
    runs = confirmatory_runs(part)
    outcome = recording.check_outcome(study.module.run(runs, Streams()), runs, part, "planted")
    return recording.assemble([outcome], study.at(scale))
