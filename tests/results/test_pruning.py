"""`claimcheck prune`: what nothing asks for goes, what is asked for stays, and it says how much."""

from __future__ import annotations

import os
import re

import pytest
from filelock import FileLock

from claimcheck.errors import ClaimcheckError
from claimcheck.results.busy import busy
from claimcheck.results.pruning import prune
from claimcheck.results.state import Collection, Machine
from claimcheck.results.state import locate as located
from claimcheck.spec.config import PilotConfig
from claimcheck.spec.reading import load_study

FARTHER = ("walk/study.yaml", "walks: {steps: 200}", "walks: {steps: 300}")


@pytest.fixture
def outdated(locate, make, change):
    """Results of two versions of the walk, the present one and an earlier; gives the names of the earlier's files."""
    old = make(locate("walk"))
    names = [*old.parts["walks"].files, *old.assembled, old.verdicts, old.controls, old.figures]
    change(*FARTHER)
    make(locate("walk"))
    return names


@pytest.fixture
def collection(locate, config):
    return lambda: Collection(config, {name: locate(name) for name in ("coin", "walk")})


def test_earlier_results_go_and_present_ones_stay(outdated, collection, locate, listed, config):
    before = set(listed(config.results_dir))
    lines = prune(collection())
    gone = before - set(listed(config.results_dir))
    assert not any(path.exists() for path in outdated)
    assert len(gone) == len(outdated) - 1 + 4, (
        "a folder of a figure in three forms and its checksums, the others one file each"
    )
    walk = locate("walk")
    assert (walk.missing_parts(), walk.judged(), walk.drawn(), walk.receipt.is_file()) == ([], True, True, True)
    assert {line.split("  ")[0] for line in lines[:-1]} == set(map(str, outdated))


def test_it_says_how_much(outdated, collection):
    files = [path for each in outdated for path in ([each] if each.is_file() else each.iterdir())]
    total = sum(path.stat().st_size for path in files) / 1e6
    *lines, last = prune(collection())
    assert last == f"{len(outdated)} files and folders, {total:.2f} MB, removed"
    assert all(re.search(r"  \d+\.\d\d MB$", line) for line in lines)
    assert prune(collection()) == ["0 files and folders, 0.00 MB, removed"]


def test_the_sizes_are_those_of_the_files_and_of_all_files_in_a_folder(collection, config):
    store = config.results / ".store"
    sizes = {
        "coin/verdicts-0123456789abcdef.json": {"": 1_500_000},
        "walk/figures-0123456789abcdef": {"ends.svg": 1_000_000, "deeper/ends.png": 2_250_000},
        "report-0123456789abcdef": {"report.html": 40_000},
    }
    for name, files in sizes.items():
        for file, size in files.items():
            path = store / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
    shown = [f"{store / name}  {size} MB" for name, size in zip(sizes, ("1.50", "3.25", "0.04"), strict=True)]
    for dry_run, word in ((True, "would be removed"), (False, "removed")):
        assert prune(collection(), dry_run=dry_run) == [*shown, f"3 files and folders, 4.79 MB, {word}"]


def test_a_dry_run_says_the_same_and_removes_nothing(outdated, collection, listed, config):
    before = listed(config.results_dir)
    said = prune(collection(), dry_run=True)
    assert listed(config.results_dir) == before
    assert said[-1].endswith("would be removed")
    assert prune(collection())[:-1] == said[:-1]


def test_what_a_killed_run_had_finished_stays_until_its_part_is_there(outdated, collection, locate, change, make):
    change("walk/study.yaml", "walks: {steps: 300}", "walks: {steps: 400}")
    parts = locate("walk").parts
    folder = parts["walks"].folder
    (folder / ".work").mkdir()
    kept = [folder / ".work" / "0123.parquet", parts["walks"].shard(1, 2)]
    for path in kept:
        path.write_bytes(b"finished")
    prune(collection())
    assert all(path.is_file() for path in kept)
    make(locate("walk"), "run")
    prune(collection())
    assert not any(path.exists() for path in kept)


def test_what_a_process_is_writing_stays_and_what_a_killed_one_left_goes(outdated, locate, collection):
    folder = locate("walk").parts["walks"].folder
    writing, left = (folder / f".walks-0123456789abcdef.records.{name}.tmp.parquet" for name in ("now", "then"))
    for path in (writing, left):
        path.write_bytes(b"half")
    os.utime(left, (0, 0))
    prune(collection())
    assert writing.exists()
    assert not left.exists()


def test_what_a_run_of_other_settings_has_finished_stays_while_it_runs(outdated, collection, locate, listed):
    walk = locate("walk", seeds=7)
    before = listed(walk.parts["walks"].folder)
    with busy(walk):
        said = prune(collection())
        during = listed(walk.parts["walks"].folder)
    assert "walk: is being run, left alone" in said
    assert set(before) <= set(during)
    assert listed(walk.parts["walks"].folder) == before, "the mark goes with the run"
    (walk.parts["walks"].folder / ".busy-elsewhere-1.lock").touch()
    assert "walk: is being run, left alone" not in prune(collection())
    assert set(listed(walk.parts["walks"].folder)) < set(before), "what a killed process left holds nothing up"
    assert not list(walk.parts["walks"].folder.glob(".busy-*"))


@pytest.mark.parametrize("dry_run", [True, False])
def test_while_a_pipeline_runs_nothing_is_removed(outdated, collection, listed, config, dry_run):
    with FileLock(config.results / ".lock"):  # as the pipeline holds it
        before = listed(config.results_dir)
        with pytest.raises(
            ClaimcheckError, match=r"smoke: a pipeline \(snakemake\) is writing these results; wait for"
        ):
            prune(collection(), dry_run=dry_run)
        assert listed(config.results_dir) == before
    assert f"{len(outdated)} files and folders" in prune(collection(), dry_run=dry_run)[-1], "the lock alone is no run"


def test_a_dry_run_leaves_no_lock_behind(collection, config):
    prune(collection(), dry_run=True)
    assert not config.results_dir.exists()


def test_finished_results_of_other_settings_go_and_so_do_pilots_for_power(collection, locate, make, config):
    study = load_study(config.studies_dir, "coin")
    others = [locate("coin", seeds=7), locate("coin", registration_offset=1)]
    others.append(located(study, PilotConfig(**dict(config)), Machine()))
    files = {path for each in others for path in make(each, "run").parts["tosses"].files}
    kept = make(locate("coin"), "run").parts["tosses"].files
    prune(collection())
    assert not any(path.exists() for path in files)
    assert all(path.is_file() for path in kept)
    assert len(files) == len(others) * len(kept)


def test_other_scales_strangers_and_the_view_are_left_alone(outdated, collection, locate, make, config):
    quick = locate("coin", scale="quick")
    make(quick, "run")
    strangers = [config.results / "dice" / "parts" / "dice-0123456789abcdef.records.parquet"]
    strangers += [config.results / ".store" / "dice" / "verdicts-0123456789abcdef.json"]
    strangers += [config.results / "walk" / "mine.txt", config.results / "thoughts.md"]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("somebody else's")
    prune(collection())
    assert all(path.is_file() for path in strangers)
    assert quick.missing_parts() == []
    assert (config.results / "walk" / "verdicts.json").is_file()


def test_earlier_reports_go(collection, config):
    store = config.results / ".store"
    present = collection()
    present.report.mkdir(parents=True)
    (present.report / "report.html").write_text("the present one")
    (store / "report-0123456789abcdef").mkdir()
    (store / "report-0123456789abcdef" / "report.html").write_text("an earlier one")
    prune(present)
    assert [path.name for path in store.iterdir()] == [present.report.name]


def test_a_report_of_what_is_made_so_far_stays(locate, make, config):
    coin = make(locate("coin"))
    both = Collection(config, {"coin": coin, "walk": locate("walk")})
    reports = [Collection(config, {"coin": coin}).report, both.as_it_is().report, both.report]
    assert len(set(reports)) == 3, "a report that says that a study is not made is none of those without that word"
    for report in reports:
        report.mkdir(parents=True)
    prune(both)
    assert all(report.is_dir() for report in reports)
