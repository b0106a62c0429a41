"""A day on a machine with a graphics card, in minutes: `python -m tests.gpu_day`.

Needs the card, PyTorch and the packages that `claimcheck run` needs; no Snakemake, no network. It asks the doctor, runs
the tests that need a card, every study at smoke on the card against the CPU's records, CUDA graphs against eager steps,
the ensemble against the plain loop, the two cheapest studies at full, and profiles the most expensive step. One folder
of at most 8 MB holds a summary (`summary.md`, `summary.json`), logs of what failed, and the parts made at full, which
`claimcheck import` takes.

Each stage begins only if it may end before the budget is spent, and is stopped when its time is over.
`--rehearse` does the same on the CPU, with less of everything, to see that the script is sound.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY / "src"))  # where nothing is installed but what claimcheck needs
LACKING = "gpu_day: {name} is not installed; claimcheck run needs it: pip install {folder}"
NO_CARD = "gpu_day: no graphics card that PyTorch can use; --rehearse does the same stages on the CPU, with less of all"


@dataclass(frozen=True)
class Stage:
    """A stage: its name in `stages.STAGES`, what it shows, the seconds it needs to begin, those it gets."""

    name: str
    says: str
    least: float
    most: float


PLAN = [
    Stage("doctor", "The machine", 10, 45),
    Stage("tests", "Tests that need a card", 20, 75),
    Stage("smoke", "Every study at smoke, on the card and on the CPU", 30, 150),
    Stage("ensemble", "The ensemble against the plain loop", 20, 60),
    Stage("graphs", "CUDA graphs against eager steps", 20, 80),
    Stage("full", "Studies at full", 30, 150),
    Stage("profile", "The most expensive step", 15, 40),
]
FOR_SUMMARY = 10.0
"""Seconds of the budget that no stage takes."""


def main(words: list[str] | None = None) -> int:
    """Run the stages and write the summary; exit status 1 without a card, or where a stage found a fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.gpu_day", description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=540, metavar="SECONDS", help="for all of it (default: 540)")
    parser.add_argument("--folder", type=Path, default=Path("results/gpu_day"), help="must be new or empty")
    parser.add_argument("--only", nargs="+", choices=[stage.name for stage in PLAN], help="these stages alone")
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with less of everything")
    parser.add_argument("--studies-dir", type=Path, default=REPOSITORY / "studies")
    parser.add_argument("--data-dir", type=Path, default=REPOSITORY / "data")
    chosen = parser.parse_args(words)
    begin = time.monotonic()
    try:
        from claimcheck.running.devices import leased_device, visible_cards
    except ModuleNotFoundError as error:
        print(LACKING.format(name=error.name, folder=REPOSITORY), file=sys.stderr)
        return 1
    if not chosen.rehearse and not visible_cards():
        print(NO_CARD, file=sys.stderr)
        return 1
    if chosen.folder.is_dir() and any(chosen.folder.iterdir()):
        print(f"gpu_day: {chosen.folder} is not empty; name another: --folder FOLDER", file=sys.stderr)
        return 1
    chosen.folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="gpu-day-") as work,
        leased_device("cpu" if chosen.rehearse else "cuda") as device,
    ):
        days = []
        for stage in [each for each in PLAN if not chosen.only or each.name in chosen.only]:
            left = chosen.budget - FOR_SUMMARY - (time.monotonic() - begin)
            days.append(take(stage, chosen, Path(work), device, left))
        from .summary import write_summary

        print(write_summary(chosen.folder, days, device, time.monotonic() - begin))
    return 1 if any(day["faults"] for day in days) else 0


def take(stage: Stage, chosen: argparse.Namespace, work: Path, device: str, left: float) -> dict:
    """Run a stage in a process of its own, if there is time for it; what it found and how it ended."""
    from claimcheck.cli.surroundings import FOREIGN, OURS

    from .day import Day

    folders = [str(path.absolute()) for path in (chosen.folder, work, chosen.studies_dir, chosen.data_dir)]
    seconds = min(stage.most, left)
    day = Day(stage.name, *folders[:2], device, time.time() + seconds, *folders[2:])
    if left < stage.least:
        return told(day, stage, f"skipped: {max(left, 0):.0f} s of the budget left, it needs {stage.least:.0f}", 0.0)
    print(f"gpu_day: {stage.says} (at most {seconds:.0f} s)", file=sys.stderr, flush=True)
    begin, log = time.monotonic(), work / f"{stage.name}.log"
    command = [sys.executable, "-m", "tests.gpu_day.stages", day.told()]
    paths = [str(REPOSITORY / "src"), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {**OURS, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"}
    environment = {name: value for name, value in os.environ.items() if name not in FOREIGN} | ours
    with log.open("w", encoding="utf-8") as out:
        how = {"stdout": out, "stderr": subprocess.STDOUT, "start_new_session": True}
        process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, **how)
        try:
            code = process.wait(timeout=seconds)
            state = "done"
        except subprocess.TimeoutExpired:
            state, code = f"stopped after {seconds:.0f} s, its time", 0
        finally:
            stop(process)
    day.read()
    if code:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or [f"exit status {code}"]
        day.faults.append(lines[-1][:300])
    if day.faults:
        if log.stat().st_size:
            day.keep(log, log.name)
        state = "faults" if state == "done" else f"{state}; faults"
    return told(day, stage, state, time.monotonic() - begin)


def stop(process: subprocess.Popen) -> None:
    """End a stage's process and those that it started, if they run still."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def told(day, stage: Stage, state: str, seconds: float) -> dict:
    """What the summary says of a stage."""
    found = {"tables": day.tables, "lines": day.lines, "faults": day.faults}
    return {"stage": stage.name, "says": stage.says, "state": state, "seconds": round(seconds, 1), **found}


if __name__ == "__main__":
    sys.exit(main())
