"""Kill the pipeline at random moments, finish it, and compare its records with undisturbed ones.

By hand: python -m tests.end_to_end.kills --kills 20 --seed 1, the lecture's own studies at scale smoke; --studies toy is
the short version that the tests use, --studies "gradient_flow precision" some of them. Every kill is a SIGKILL, by
turns of Snakemake alone (its jobs live on and write into the same folder) and of Snakemake with all its jobs.
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

from claimcheck.spec.reading import load_study, study_names

KEYS = ("part", "run", "seed", "status")
"""What even a part that measures times repeats; its metrics are times, which no second run repeats."""


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


def disturb(project, studies: list[str], moment: float, whole_family: bool) -> bool:
    """Start the pipeline, kill it `moment` seconds later; whether there was still something to kill."""
    process = subprocess.Popen(
        project.command(*studies), cwd=project.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        process.wait(timeout=moment)
        return False
    except subprocess.TimeoutExpired:
        kill(process, whole_family)
        return True


def records(project, studies: list[str]) -> dict[str, pd.DataFrame]:
    """Every study's records; of parts that measure times only the keys."""
    found = {}
    for name in studies:
        frame = pd.read_parquet(project.results(name) / "records.parquet")
        timed = [part for part, spec in load_study(project.studies, name).at("smoke").items() if spec.timing]
        metrics = [column for column in frame.columns if column not in KEYS]
        frame.loc[frame["part"].isin(timed), metrics] = None
        found[name] = frame
    return found


def trial(
    project, studies: list[str], expected: dict[str, pd.DataFrame], moment: float, whole_family: bool, *targets: str
) -> bool:
    """One kill and one clean finish, from a folder without results; raises where the records differ.

    Args:
        targets: what Snakemake is asked for; everything where nothing is named.
    """
    for name in ("results", "reports", "data"):
        shutil.rmtree(project.folder / name, ignore_errors=True)
    killed = disturb(project, list(targets), moment, whole_family)
    said = project.snakemake(*targets)
    assert said.returncode == 0, f"killed after {moment:.2f} s, the same command did not finish:\n{said.stdout}"
    for study, frame in records(project, studies).items():
        pd.testing.assert_frame_equal(frame, expected[study], check_exact=True)
    left = [path for path in (project.folder / "results").rglob("*") if ".tmp" in path.suffixes]
    assert not left, f"half-written files were left: {left}"
    return killed


def slow_down(project, seconds: float) -> None:
    """Let each of the toy studies' ensembles take `seconds` longer, so that kills land between and inside them."""
    for path in project.studies.glob("*/study.yaml"):
        path.write_text(path.read_text().replace("seconds: 0.0", f"seconds: {seconds}"))


def main() -> None:
    """Run the trials and say how they went."""
    from .conftest import REPOSITORY, TOY, Project

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--studies", default="all", help="all, toy, or names")
    chosen = parser.parse_args()
    generator = random.Random(chosen.seed)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder) / "project", Path(folder) / "studies")
        project.folder.mkdir()
        source = TOY if chosen.studies == "toy" else REPOSITORY / "studies"
        shutil.copytree(source, project.studies, ignore=shutil.ignore_patterns("__pycache__"))
        if chosen.studies == "toy":
            slow_down(project, 1.5)
        everything = chosen.studies in ("all", "toy")
        studies = study_names(project.studies) if everything else chosen.studies.split()
        targets = [] if everything else studies
        start = time.monotonic()
        said = project.snakemake(*targets)
        assert said.returncode == 0, said.stdout
        length = time.monotonic() - start
        expected, kills = records(project, studies), 0
        print(f"undisturbed: {len(studies)} studies in {length:.0f} s", flush=True)
        while kills < chosen.kills:
            moment, whole_family = generator.uniform(0.5, 1.05 * length), generator.random() < 0.5
            kills += trial(project, studies, expected, moment, whole_family, *targets)
            who = "Snakemake and its jobs" if whole_family else "Snakemake alone"
            print(f"{kills}/{chosen.kills}: {who} killed after {moment:.2f} s: finished, equal records", flush=True)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
