"""Kill the pipeline at random moments, finish it, and compare its records with undisturbed ones.

By hand: python -m tests.end_to_end.kills --kills 20 --seed 1. Every kill is a SIGKILL, by turns of Snakemake alone (its
jobs live on and write into the same folder) and of Snakemake with all its jobs.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

STUDIES = ("coin",)


def kill(process: subprocess.Popen, whole_family: bool) -> None:
    """SIGKILL to the process, and to everything it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True) if whole_family else []
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    for child in family:
        try:
            child.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def disturb(project, moment: float, whole_family: bool) -> bool:
    """Start the pipeline, kill it `moment` seconds later; whether there was still something to kill."""
    process = subprocess.Popen(
        project.command(*STUDIES), cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=moment)
        return False
    except subprocess.TimeoutExpired:
        kill(process, whole_family)
        return True


def records(project) -> dict[str, pd.DataFrame]:
    """Every study's records."""
    return {study: pd.read_parquet(project.results(study) / "records.parquet") for study in STUDIES}


def trial(project, expected: dict[str, pd.DataFrame], moment: float, whole_family: bool) -> bool:
    """One kill and one clean finish, from a folder without results; raises where the records differ."""
    shutil.rmtree(project.folder / "results", ignore_errors=True)
    killed = disturb(project, moment, whole_family)
    said = project.snakemake(*STUDIES)
    assert said.returncode == 0, f"killed after {moment:.2f} s, the same command did not finish:\n{said.stdout}"
    for study, frame in records(project).items():
        pd.testing.assert_frame_equal(frame, expected[study], check_exact=True)
    left = [path for path in (project.folder / "results").rglob("*") if ".tmp" in path.suffixes]
    assert not left, f"half-written files were left: {left}"
    return killed


def slow_down(project, seconds: float) -> None:
    """Let each of the study's ensembles take `seconds` longer, so that kills land between and inside them."""
    for study in STUDIES:
        path = project.studies / study / "study.yaml"
        path.write_text(path.read_text().replace("seconds: 0.0", f"seconds: {seconds}"))


def main() -> None:
    """Run the trials and say how they went."""
    from .conftest import TOY, Project

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    generator = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), Path(folder) / "studies")
        shutil.copytree(TOY, project.studies, ignore=shutil.ignore_patterns("__pycache__"))
        slow_down(project, 1.5)
        start = time.monotonic()
        said = project.snakemake(*STUDIES)
        assert said.returncode == 0, said.stdout
        length = time.monotonic() - start
        expected, kills = records(project), 0
        while kills < chosen.kills:
            moment, whole_family = generator.uniform(0.5, 1.05 * length), generator.random() < 0.5
            kills += trial(project, expected, moment, whole_family)
            who = "Snakemake and its jobs" if whole_family else "Snakemake alone"
            print(f"{kills}/{chosen.kills}: {who} killed after {moment:.2f} s: finished, equal records")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
