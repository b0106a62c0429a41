"""The stages of the day, each a process of its own: a fault of CUDA in one of them leaves the others alone."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from claimcheck.cli.doctor import examine
from claimcheck.errors import ClaimcheckError
from claimcheck.results import view
from claimcheck.results.compare import compare
from claimcheck.results.state import Machine, locate
from claimcheck.running import cost, runner
from claimcheck.running.devices import machine_for
from claimcheck.spec.config import Config
from claimcheck.spec.models import Study
from claimcheck.spec.reading import load_study, study_names

from ..benchmarks import engine
from .day import Day
from .profiled import profile

REPOSITORY = Path(__file__).parents[2]
TOLERANCE = 1e-2
"""Relative (and, below 1, absolute) difference of two numbers up to which card and CPU agree: sums in another order,
made larger by the steps of training."""
MEMBERS = (1, 2, 8, 32, 128, 512)
FULL = 2
"""Studies that are run at full."""


def doctor(day: Day) -> None:
    """What `claimcheck doctor` says."""
    checks = examine(Path(day.studies_dir), Path(day.work), Path(day.data_dir))
    day.say(f"{sum(check.state == 'ok' for check in checks)} of {len(checks)} checks are ok")
    for check in checks:
        if check.state == "broken":
            day.fault(f"{check.subject}: {check.found}")
        elif check.state == "missing":
            day.say(f"{check.subject}: {check.found}")


def marked(day: Day) -> None:
    """The engine's tests that need a card; in a rehearsal one of them, on the CPU."""
    if importlib.util.find_spec("pytest") is None:
        day.say("pytest is not installed: no tests")
        return
    which = ["-k", "same_bits_alone and rnn and cpu"] if day.rehearsal else ["-m", "gpu and not bench"]
    options = ["-q", "-p", "no:cacheprovider", "--tb=line", "-o", "tmp_path_retention_policy=none"]
    command = [sys.executable, "-m", "pytest", *options, *which, "tests/engine"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    print(done.stdout, done.stderr)
    lines = done.stdout.strip().splitlines() or [f"pytest says nothing (exit status {done.returncode})"]
    day.say(lines[-1])
    for line in lines if done.returncode else []:
        if line.startswith(("FAILED", "ERROR")):
            day.fault(line[:200])
    if done.returncode and not day.faults:
        day.fault(f"pytest: exit status {done.returncode}")


def smoke(day: Day) -> None:
    """Every study at smoke, on the card here and, beside it, on the CPU; then the two compared."""
    names = by_size(day, "smoke")[: 2 if day.rehearsal else None]
    title = f"Studies at smoke on the card against the CPU (numbers agree within {TOLERANCE:g})"
    workers = max(1, min(8, (os.cpu_count() or 2) - 1))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = {name: pool.submit(made, name, day.config("smoke", "cpu", "cpu")) for name in names}
        for name in names:
            if day.left < 5:
                day.say(f"no time for {name} and what comes after it")
                pool.shutdown(wait=False, cancel_futures=True)
                break
            try:
                mine = made(name, day.config("smoke", "card", day.device))
                other = waiting[name].result(timeout=max(day.left, 1.0))
                found = compare(*(Path(day.work) / side / "smoke" / name for side in ("card", "cpu")), TOLERANCE)[0]
            except Exception as error:  # the next study may do better
                day.fault(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:300]}")
                continue
            differences = [line for line in found.differences if not line.startswith("no verdicts")]
            level = "apart" if found.level == "different" else found.level
            day.row(title, study=name, **mine, **{"CPU seconds": other["seconds"]}, records=level)
            if level == "apart":
                day.fault(f"{name}: {'; '.join(differences)}"[:400])


def made(name: str, config: Config) -> dict[str, Any]:
    """Run all parts of a study that the device can run, and publish the records of those that another one repeats.

    Returns:
        Of these parts the seconds and the ensemble that trained longest; the peak of the device's memory, MiB.
    """
    device = torch.device(config.device)
    machine = machine_for(config.device) if device.type == "cuda" else Machine()
    results = locate(load_study(config.studies_dir, name), config, machine)
    cost.settled_mib(device)
    runner.run_parts(results, results.parts)
    repeatable = {
        part: files
        for part, files in results.parts.items()
        if not (files.part.timing or files.part.needs_gpu or files.part.needs_compiler)
    }
    shown = replace(results, parts=repeatable)
    runner.assemble(shown)
    view.publish(shown)
    ensembles = shown.read_provenance().ensembles
    trained = [each for each in ensembles if hasattr(each, "steps")]  # by the engine, which notes the form of its steps
    slowest = max(trained, key=lambda each: each.seconds, default=None)
    return {
        "seconds": sum(each.seconds for each in ensembles),
        "peak MiB": cost.peak_mib(device),
        "slowest training": slowest and slowest.name,
        "its seconds": slowest and slowest.seconds,
    }


def peak_of(ensembles: list[Any]) -> float:
    """The most memory of the card, MiB, that ensembles took; without a card, of the process."""
    card = [each.peak_gpu_memory_bytes / 2**20 for each in ensembles if hasattr(each, "peak_gpu_memory_bytes")]
    return max(card or [each.peak_memory_mib for each in ensembles])


def ensemble(day: Day) -> None:
    """Network-steps per second of a loop over networks and of the ensemble, with the ensemble's memory."""
    engine.settle()
    device = torch.device(day.device)
    for members in MEMBERS[::2] if day.rehearsal else MEMBERS:
        if day.left < 5:
            day.say(f"no time for R = {members} and more")
            return
        shape = engine.Shape(width=100, depth=3, batch=32, members=members)
        ways = [way for way in engine.ways_of(shape, device) if way in ("loop", "eager", "graph")]
        before = cost.settled_mib(device)
        times = engine.compete(shape, device, ways, rounds=3)
        rates = {way: round(1e6 / time) for way, time in times.items()}
        best = max(rates[way] for way in ways if way != "loop")
        more = {"ensemble / loop": best / rates["loop"], "peak MiB": cost.peak_mib(device) - before}
        day.row("Network-steps per second, 3 x 100, minibatches of 32", R=members, **rates, **more)


def graphs(day: Day) -> None:
    """Microseconds per network-step: eager, recorded in a CUDA graph, and compiled and recorded."""
    engine.settle()
    device = torch.device(day.device)
    rate = engine.product_rate(device)
    day.say(f"square float32 products at {rate / 1e9:,.0f} GFLOP/s")
    for shape in engine.SHAPES[:1] if day.rehearsal else engine.SHAPES:
        ways = ["eager"] if day.rehearsal else [w for w in engine.ways_of(shape, device) if w not in ("loop", "jax")]
        if day.left < (5 if shape.depth > engine.SHALLOW or day.rehearsal else 40):
            ways = [way for way in ways if way != "compiled"]
        if day.left < 5:
            day.say("no time for the other shapes")
            return
        times = engine.compete(shape, device, ways, rounds=3)
        name = {"network": f"{shape.depth} x {shape.width}", "batch": shape.batch, "R": shape.members}
        day.row("Microseconds per network-step", **name, **times, limit=shape.operations / rate * 1e6)


def full(day: Day) -> None:
    """The studies that `claimcheck cost` finds cheapest, at full; in a rehearsal at smoke. Their parts are kept."""
    scale = "smoke" if day.rehearsal else "full"
    config, found = day.config(scale, "full", day.device), {}
    enough = 2 / 3 * day.left  # seconds that must be left for the runs
    for name in by_size(day, scale)[: 2 * FULL]:
        if len(found) >= FULL and day.left < enough:
            break
        try:
            found[name] = cost.estimate(load_study(config.studies_dir, name), config).seconds
            day.row(f"Seconds at {scale}, by claimcheck cost", study=name, seconds=found[name])
        except ClaimcheckError as error:
            day.say(f"{name}: {error}")
    for name in sorted(found, key=found.get)[:FULL]:
        if found[name] > day.left - 5:
            day.say(f"no time for {name}")
            continue
        _run_and_keep(day, name, config)


def _run_and_keep(day: Day, name: str, config: Config) -> None:
    """Run a study in a process that can be stopped, and keep the parts that are whole."""
    options = {"scale": config.scale, "device": config.device, "results-dir": config.results_dir}
    folders = {"studies-dir": config.studies_dir, "data-dir": config.data_dir}
    words = [str(word) for key, value in {**options, **folders}.items() for word in (f"--{key}", value)]
    try:
        command = [sys.executable, "-m", "claimcheck", "run", name, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=max(day.left - 5, 1))
        if done.returncode:
            day.fault(f"{name}: {(done.stderr.strip().splitlines() or ['failed'])[-1][:300]}")
    except subprocess.TimeoutExpired:
        day.say(f"{name}: stopped for want of time; its finished parts are kept")
    results = locate(load_study(config.studies_dir, name), config, machine_for(config.device))
    for part, files in results.parts.items():
        if files.missing():
            continue
        ensembles = files.read()[1].ensembles
        places = [(path, f"results/{config.scale}/{name}/parts/{path.name}") for path in files.files]
        kept = all(day.keep(path, place) for path, place in places)
        row = {"seconds": sum(each.seconds for each in ensembles), "peak MiB": peak_of(ensembles)}
        row["kB"] = sum(path.stat().st_size for path in files.files) / 1e3
        day.row(f"Parts at {config.scale}", study=name, part=part, **row, kept="yes" if kept else "no")


def by_size(day: Day, scale: str) -> list[str]:
    """The studies that have the scale, those with the fewest steps of training first."""

    def size(study: Study) -> float:
        parts = study.at(scale).values()
        return sum(len(part.judged_runs) * steps(part.settings.get("steps", 1)) for part in parts)

    def steps(said: Any) -> float:  # a number, or one for each data set
        return max(map(steps, said.values())) if isinstance(said, dict) else said

    studies = [load_study(Path(day.studies_dir), name) for name in study_names(Path(day.studies_dir))]
    return [study.name for study in sorted((each for each in studies if scale in each.scales), key=size)]


STAGES = {
    "doctor": doctor,
    "tests": marked,
    "smoke": smoke,
    "ensemble": ensemble,
    "graphs": graphs,
    "full": full,
    "profile": profile,
}

if __name__ == "__main__":
    today = Day.given(sys.argv[1])
    STAGES[today.stage](today)
