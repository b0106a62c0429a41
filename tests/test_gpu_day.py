"""`python -m tests.gpu_day` keeps to its time and its folder, says when there is no card, and keeps what import takes."""

from __future__ import annotations

import json
import shutil
import time
from argparse import Namespace
from pathlib import Path

import pytest

from claimcheck.results.importing import import_parts
from claimcheck.results.state import Machine, locate
from claimcheck.spec.reading import load_config, load_study

from .gpu_day import stages
from .gpu_day.__main__ import PLAN, Stage, main, take
from .gpu_day.day import LIMIT, Day, size_of


@pytest.fixture
def day(tmp_path, studies) -> Day:
    """A stage of a rehearsal on a tiny study."""
    shutil.rmtree(studies / "walk")
    folders = [tmp_path / name for name in ("day", "work")]
    for folder in folders:
        folder.mkdir()
    return Day("full", *map(str, folders), "cpu", time.time() + 60, str(studies), str(tmp_path / "data"))


def test_without_a_card_it_says_so_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["--folder", str(tmp_path / "day")]) == 1
    told = capsys.readouterr()
    assert not told.out
    assert len(told.err.splitlines()) == 1
    assert "no graphics card" in told.err
    assert not (tmp_path / "day").exists()


def test_stages_are_skipped_when_the_budget_is_spent_and_the_summary_says_so(tmp_path) -> None:
    assert main(["--rehearse", "--budget", "12", "--folder", str(tmp_path / "day")]) == 0
    found = json.loads((tmp_path / "day/summary.json").read_text(encoding="utf-8"))
    assert [stage["stage"] for stage in found["stages"]] == list(stages.STAGES) == [stage.name for stage in PLAN]
    assert all(stage["state"].startswith("skipped: ") for stage in found["stages"])
    assert (tmp_path / "day/summary.md").read_text(encoding="utf-8").count("skipped: ") == 2 * len(PLAN)


def test_a_stage_is_stopped_when_its_time_is_over(tmp_path) -> None:
    chosen = Namespace(folder=tmp_path, studies_dir=Path("studies"), data_dir=tmp_path)
    begin = time.monotonic()
    found = take(Stage("smoke", "Too much for a second", 0, 1), chosen, tmp_path, "cpu", 100)
    assert found["state"] == "stopped after 1 s, its time"
    assert time.monotonic() - begin < 10


def test_a_stage_that_fails_is_a_fault_with_its_last_line(tmp_path) -> None:
    chosen = Namespace(folder=tmp_path / "day", studies_dir=tmp_path / "nothing", data_dir=tmp_path)
    found = take(Stage("full", "No studies", 0, 100), chosen, tmp_path, "cpu", 100)
    assert found["state"] == "faults"
    assert "nothing" in found["faults"][0]
    assert (tmp_path / "day/full.log").is_file()


def test_the_folder_stays_under_its_limit_and_what_is_left_out_is_said(day) -> None:
    for name, size in {"a": LIMIT // 2, "b": LIMIT // 2, "c": 1000}.items():
        Path(day.work, name).write_bytes(bytes(size))
    assert [day.keep(Path(day.work, name), f"parts/{name}") for name in "abc"] == [True, False, True]
    assert size_of(Path(day.folder)) < LIMIT
    assert len(day.lines) == 1
    assert day.lines[0].startswith("parts/b (4.0 MB) was left out")


def test_import_takes_the_parts_that_the_day_keeps(day, tmp_path) -> None:
    stages.full(day)
    assert not day.faults
    study = load_study(Path(day.studies_dir), "coin")
    config = load_config(None, {"scale": "smoke", "device": "cpu", "results_dir": str(tmp_path / "elsewhere")})
    results = locate(study, config, Machine())
    taken = import_parts(Path(day.folder) / "results/smoke/coin", results)
    assert [line.split(";")[0] for line in taken] == [f"part {name} taken over" for name in results.parts]
    assert not results.missing_parts()
