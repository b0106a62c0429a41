"""The stage that looks into the most expensive step: where its time goes, by `torch.profiler`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity

from claimcheck.files import read_json
from claimcheck.running.runner import context_for
from claimcheck.spec import design
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study

from .day import Day

WARM, TAKEN, SHOWN = 4, 8, 12


class Enough(Exception):
    """The steps that were to be profiled have been taken."""


class Profiled:
    """Steps for a run function: the first warm up, the next of one loop are profiled, then everything ends.

    Args:
        device: what is profiled beside the host.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.warmed, self.taken = device, 0, 0
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
        self.profiler = torch.profiler.profile(activities=kinds)

    def steps(self, count: int, networks: int | None = None) -> Iterator[int]:
        """Step numbers of one loop; there is a loop between any two evaluations."""
        warm = min(count, WARM - self.warmed)
        yield from range(warm)
        self.warmed += warm
        if warm == count:
            return
        self.taken = min(count - warm, TAKEN)
        with self.profiler:
            yield from range(warm, warm + self.taken)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
        raise Enough


def profile(day: Day) -> None:
    """Profile a step of the ensemble that trained longest at smoke, at scale quick with all its networks."""
    smoke = Path(day.work) / "smoke.json"
    tables = read_json(smoke)["tables"] if smoke.is_file() else {}
    rows = [row for table in tables.values() for row in table if row["slowest training"]]
    if not rows:
        day.say("nothing was trained at smoke, so there is no most expensive step")
        return
    longest = max(rows, key=lambda row: row["its seconds"])
    study, name = load_study(Path(day.studies_dir), longest["study"]), longest["slowest training"].split("/")[0]
    scale = "quick" if study.at("quick")[name].seeds else "smoke"
    part, device = study.at(scale)[name], torch.device(day.device)
    runs = design.confirmatory_runs(part)
    if part.tune:
        runs = runs.assign(**{part.tune.factor: part.tune.values[len(part.tune.values) // 2]})
    piece = max(design.ensembles(part, runs, "confirm"), key=lambda each: len(each.runs))
    profiled = Profiled(device)
    context = context_for(study, day.config(scale, "profile", day.device), part, piece, device, steps=profiled.steps)
    try:
        getattr(study_module(study.folder, "runs"), study.run_function(name))(piece.runs.copy(), context)
    except Enough:
        _note(day, profiled, f"{study.name}, {piece.name}, {len(piece.runs)} networks, {profiled.taken} steps")
    else:
        day.say(f"{study.name}, {piece.name}: fewer than {WARM} steps, none to profile")


def _note(day: Day, profiled: Profiled, what: str) -> None:
    """The operations that take the most time, in a table; more of them, in a file."""
    on_card = profiled.device.type == "cuda"
    found = profiled.profiler.key_averages()
    key = "self_device_time_total" if on_card else "self_cpu_time_total"
    text = Path(day.work) / "profile.txt"
    text.write_text(f"{what}\n{found.table(sort_by=key, row_limit=40, max_name_column_width=70)}\n", encoding="utf-8")
    day.keep(text, "profile.txt")
    whole = sum(getattr(each, key) for each in found) or 1.0
    for each in sorted(found, key=lambda each: -getattr(each, key))[:SHOWN]:
        times = {"host µs": each.self_cpu_time_total, "card µs": each.self_device_time_total}
        share = {"share": f"{getattr(each, key) / whole:.0%}"}
        day.row(f"Profile: {what}", operation=each.key[:70], calls=each.count, **times, **share)
