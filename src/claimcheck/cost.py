"""`claimcheck cost`: what a study will take on this machine, told by rehearsing it before anything runs.

A rehearsal calls the study's own functions on its own networks, but ends every training loop after a few steps and
multiplies their time and floating-point operations out. What is not a loop is done and timed as it is. On a CPU, large
ensembles are rehearsed with some of their members: a pair first, and more where a pair takes no time to speak of, since
small networks share the cost of a step. Nothing is written.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from claimcheck import design
from claimcheck.context import Context, Settings
from claimcheck.engine.memory import keep_freed_memory
from claimcheck.errors import ClaimcheckError
from claimcheck.spec import Config, ScaledPart, Study, run_function

TIMED_STEPS = 5
WARMUP_STEPS = 2
MEMBERS_ON_A_CPU = (2, 64)
"""A pair is enough where it takes `ENOUGH_SECONDS`: then arithmetic outweighs what members share."""
ENOUGH_SECONDS = 3.0


@dataclass
class Rehearsal:
    """Cuts loops short and keeps account of what was left out.

    Attributes:
        skipped_seconds: time that the steps left out would have taken.
        flops: floating-point operations of all steps, those left out included.
    """

    device: torch.device
    skipped_seconds: float = 0.0
    flops: float = 0.0
    steps_planned: int = 0
    _timed: list[float] = field(default_factory=list)

    def steps(self, count: int) -> Iterator[int]:
        """The first few of `count` steps: warm up, count operations once, time the rest."""
        taken = min(count, WARMUP_STEPS + TIMED_STEPS)
        times, flops = [], 0.0
        for step in range(taken):
            if step == 1 or taken == 1:
                with FlopCounterMode(display=False) as counter:
                    yield step
                flops = float(counter.get_total_flops())
                continue
            start = self._clock()
            yield step
            if step >= WARMUP_STEPS:
                times.append(self._clock() - start)
        self.steps_planned += count
        self.flops += flops * count
        if times:
            self.skipped_seconds += median(times) * (count - taken)

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a study: seconds, floating-point operations, peak memory in MiB, network-steps."""

    study: str
    runs: int
    seconds: float
    flops: float
    network_steps: float
    memory_mib: float


def estimate(study: Study, config: Config) -> Estimate:
    """Rehearse every ensemble of `study` at the configured scale, pilots included, on the configured device.

    Raises:
        ClaimcheckError: the study's code fails for want of data or by a fault that a run would meet too.
    """
    from claimcheck.runner import has_compiler, resolve_device

    torch.set_num_threads(1)
    keep_freed_memory()
    device = resolve_device(config.device)
    seconds = flops = network_steps = 0.0
    runs = 0
    for part in study.at(config.scale, config.seeds).values():
        if (
            part.seeds == 0
            or (part.needs_gpu and device.type != "cuda")
            or (part.needs_compiler and not has_compiler())
        ):
            continue
        for piece in _pieces(part):
            for members in (len(piece.runs),) if device.type == "cuda" else MEMBERS_ON_A_CPU:
                members = min(members, len(piece.runs))
                rehearsal, wall = _rehearse(study, part, piece, members, config, device)
                if members == len(piece.runs) or wall > ENOUGH_SECONDS:
                    break
            share = len(piece.runs) / members
            seconds += share * (wall + rehearsal.skipped_seconds)
            flops += share * rehearsal.flops
            network_steps += rehearsal.steps_planned * len(piece.runs)
            runs += len(piece.runs)
    return Estimate(study.name, runs, seconds, flops, network_steps, _peak_memory_mib(device))


def _pieces(part: ScaledPart) -> Iterator[design.EnsembleDesign]:
    runs = design.confirmatory_runs(part)
    if part.tune:
        yield from design.ensembles(part, design.pilot_runs(part), "pilot")
        runs = runs.assign(**{part.tune.factor: part.tune.values[len(part.tune.values) // 2]})
    yield from design.ensembles(part, runs, "confirm")


def _rehearse(
    study: Study, part: ScaledPart, piece: design.EnsembleDesign, members: int, config: Config, device: torch.device
) -> tuple[Rehearsal, float]:
    rehearsal = Rehearsal(device)
    runs: pd.DataFrame = piece.runs.head(members)
    pilot = part.tune.settings if part.tune and piece.phase == "pilot" else {}
    context = Context(
        study=study.name,
        scale=config.scale,
        part=part.name,
        settings=Settings({**part.settings, **pilot}, f"{study.yaml_path}: {part.name}"),
        device=device,
        data_dir=Path(config.data_dir),
        memory_limit=config.memory_limit_mb * 2**20 if config.memory_limit_mb else None,
        design_runs=piece.design_runs,
        steps=rehearsal.steps,
    )
    start = time.perf_counter()
    try:
        getattr(study.code("run"), run_function(study, part.name))(runs.copy(), context)
    except ClaimcheckError:
        raise
    except Exception as error:
        where = f"{study.code_path}: {run_function(study, part.name)}"
        raise ClaimcheckError(
            f"failed in rehearsal on {piece.name} ({type(error).__name__}: {error})", where=where
        ) from error
    return rehearsal, time.perf_counter() - start


def _peak_memory_mib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
