"""kill -9, full disks and folders that cannot be written: no half result, no lost result, one clear line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pandas as pd
import pytest

from .kills import records, slow_down, trial


@pytest.mark.slow
@pytest.mark.parametrize(("moment", "whole_family"), [(5.0, True), (7.0, False)])
def test_after_a_kill_the_same_command_finishes_with_equal_records(fresh, finished, moment, whole_family):
    slow_down(fresh, 1.5)
    trial(fresh, ["walk"], records(finished, ["walk"]), moment, whole_family, "walk")


@pytest.mark.slow
def test_a_job_that_outlives_its_pipeline_is_not_done_again_and_what_follows_is(fresh):
    slow_down(fresh, 1.0)
    process = subprocess.Popen(
        fresh.command("walk"), cwd=fresh.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 120
    while not list(fresh.results("walk").glob("parts/walks-*.records.parquet")) and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)  # to Snakemake alone, which waits for its job
    process.wait(timeout=120)
    assert list(fresh.store("walk").glob("records-*.parquet"))
    assert "run_walk" not in fresh.planned("walk")
    said = fresh.snakemake("walk")
    assert said.returncode == 0, said.stdout
    assert (fresh.results("walk") / "verdicts.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_parts_that_are_finished_stay_when_the_pipeline_is_stopped(fresh, finished, how):
    slow_down(fresh, 1.0)
    process = subprocess.Popen(
        fresh.command("walk"),
        cwd=fresh.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + 120
    while not (made := list(fresh.results("walk").glob("parts/walks-*.records.parquet"))) and time.monotonic() < end:
        time.sleep(0.1)
    os.killpg(process.pid, how)  # as Ctrl-C does: Snakemake and its jobs
    process.wait(timeout=60)
    (part,) = made
    before = part.stat().st_ino
    assert not (fresh.results("walk") / "records.parquet").exists()
    said = fresh.snakemake("walk")
    assert said.returncode == 0, said.stdout
    assert part.stat().st_ino == before, "not written again"
    for study, frame in records(fresh, ["walk"]).items():
        pd.testing.assert_frame_equal(frame, records(finished, ["walk"])[study], check_exact=True)


@contextmanager
def small_disk(folder, size):
    """A file system of `size` in memory, mounted on `folder`; skips where that is not allowed."""
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount` here: a small disk cannot be made")
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here ({mounted.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def run(project, results, study="coin", *words):
    """`claimcheck run` by hand, with its results in `results`."""
    options = ["--scale", "smoke", "--studies-dir", str(project.studies), "--results-dir", str(results)]
    command = [sys.executable, "-m", "claimcheck", "run", study, *options, *words]
    environment = {**os.environ, "PYTHONPATH": str(project.snakefile.parent / "src")}
    return subprocess.run(
        command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


def one_line(said, *pieces):
    """The command failed with one line that holds all `pieces`."""
    assert said.returncode == 2, said
    told = [line for line in said.stderr.splitlines() if line.startswith("claimcheck: ")]
    assert len(told) == 1, said.stderr
    assert "Traceback" not in said.stderr
    assert all(piece in told[0] for piece in pieces), told[0]


def test_a_full_disk_is_one_line_and_loses_nothing(fresh, tmp_path):
    with small_disk(tmp_path / "disk", "400k") as disk:
        assert run(fresh, disk).returncode == 0
        before = (disk / "smoke/coin/records.parquet").read_bytes()
        (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free - 2 * 4096))
        one_line(run(fresh, disk, "coin", "--seeds", "20"), "No space left on device")
        one_line(run(fresh, disk, "walk"), "No space left on device")
        assert (disk / "smoke/coin/records.parquet").read_bytes() == before
        assert not (disk / "smoke/walk/records.parquet").exists()
        (disk / "filler").unlink()
        assert run(fresh, disk, "walk").returncode == 0, "with space again, the same command goes on"


def test_a_folder_that_cannot_be_written_is_one_line(fresh, tmp_path):
    with small_disk(tmp_path / "disk", "400k") as disk:
        assert run(fresh, disk).returncode == 0
        before = (disk / "smoke/coin/records.parquet").read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        one_line(run(fresh, disk, "coin", "--seeds", "20"), "Read-only file system")
        said = fresh.snakemake(results_dir=disk, studies="[walk]")
        assert said.returncode != 0
        told = [line for line in said.stdout.splitlines() if "Read-only file system" in line]
        assert len(told) == 1, said.stdout
        assert "Traceback" not in said.stdout
        assert (disk / "smoke/coin/records.parquet").read_bytes() == before
