"""`claimcheck cost`: what a study will take on this machine, told by rehearsing it before anything runs.

A rehearsal calls the study's own functions on its own networks, but ends every training loop after a few steps and
multiplies their time and operations out. What is not a loop is done and timed as it is. On a CPU an ensemble is
rehearsed with all arms of a few seeds, more of them the less time they take, since small networks share the cost of a
step; a GPU takes all. Nothing is written.
"""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from claimcheck.data.downloads import check_all
from claimcheck.engine.context import Context
from claimcheck.engine.memory import keep_freed_memory
from claimcheck.errors import ClaimcheckError
from claimcheck.results.digests import downloads_in, part_ingredients
from claimcheck.results.provenance import peak_memory_mib
from claimcheck.results.state import lacks
from claimcheck.running.devices import machine_for, memory_limit, resolve_device
from claimcheck.running.runner import context_for
from claimcheck.spec import design
from claimcheck.spec.config import Config
from claimcheck.spec.models import Study
from claimcheck.spec.modules import study_module
from claimcheck.spec.parts import ScaledPart

TIMED_STEPS = 5
WARMUP_STEPS = 2
ENOUGH_SECONDS = 1.0
"""A rehearsal on a CPU takes more seeds until it takes so long."""
LONG_SECONDS = 4.0
"""Where the first takes so long there is no second: what is done once hardly counts beside it."""
SECONDS_OF_SILENCE = 10.0
MOST_TIMES = 16
"""How many times as many seeds the next rehearsal takes at most."""


@dataclass
class Rehearsal:
    """Cuts loops short and keeps account of what was left out.

    Attributes:
        members: networks that were rehearsed.
        once: seconds that first steps took longer than others: compiling, recording, counting.
        loops: seconds that the loops would take, all steps. rest: seconds of all that is not a loop.
        flops: floating-point operations of all steps. network_steps: steps of all loops, times the networks of each.
        sequential_steps: steps of all loops, each of however many networks at once. at_once: those that all networks take.
        memory_mib: by how much the peak of the process's memory (on a GPU: of its own) rose over what there was before.
        faster: steps were taken as they are, and the engine has a faster form. compiled: the engine chose the form.
    """

    device: torch.device
    members: int = 0
    once: float = 0.0
    loops: float = 0.0
    rest: float = 0.0
    flops: float = 0.0
    network_steps: int = 0
    sequential_steps: int = 0
    at_once: int = 0
    memory_mib: float = 0.0
    faster: bool = False
    compiled: bool = False
    _taken: float = field(default=0.0)

    def steps(self, count: int, networks: int | None = None) -> Iterator[int]:
        """The first few of `count` steps of some networks (all, if not given): warm up, count operations once, time the rest."""
        taken = min(count, WARMUP_STEPS + TIMED_STEPS)
        times, flops = [], 0.0
        for step in range(taken):
            start = self._clock()
            if step == 1 or taken == 1:
                with FlopCounterMode(display=False) as counter:
                    yield step
                flops = float(counter.get_total_flops())
            else:
                yield step
            times.append(self._clock() - start)
        self.network_steps += count * (self.members if networks is None else networks)
        self.sequential_steps += count
        self.at_once += count if networks in (None, self.members) else 0
        self.flops += flops * count
        if times:
            self.loops += median(times[WARMUP_STEPS:] or times) * count
            self.once += max(sum(times) - median(times) * taken, 0.0)
            self._taken += sum(times)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Around the rehearsal: what is not a loop, and memory."""
        before, start = settled_mib(self.device), self._clock()
        yield
        self.rest = max(self._clock() - start - self._taken, 0.0)
        self.memory_mib = max(peak_mib(self.device) - before, 0.0)

    @property
    def seconds(self) -> float:
        """What it took, without what is done once."""
        return self.rest + self._taken - self.once

    def _clock(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


@dataclass(frozen=True)
class Estimate:
    """Expected cost of a study: seconds, floating-point operations (of products and convolutions in its loops),
    network-steps, and peak memory in MiB. A GPU takes all networks of an ensemble in one step: there the number of steps
    one after the other, `sequential_steps`, counts more than that of network-steps."""

    study: str
    runs: int
    seconds: float
    flops: float
    network_steps: float
    sequential_steps: float
    memory_mib: float


def estimate(study: Study, config: Config, tell: Callable[[str], None] = lambda line: None) -> Estimate:
    """Rehearse every ensemble of `study` at the configured scale, pilots included, on the configured device.

    Args:
        tell: is told now and then how many are rehearsed: steps that are compiled take long.

    Raises:
        ClaimcheckError: the study's code fails for want of data or by a fault that a run would meet too.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    device = resolve_device(config.device)
    reads = [part_ingredients(study, part) for part in parts_run(study, config, device)]
    check_all((name for ingredients in reads for name in downloads_in(ingredients)), Path(config.data_dir))
    before = settled_mib(device)
    seconds = flops = network_steps = sequential_steps = memory = 0.0
    runs = 0
    for part, piece in every_piece(study, config, device, tell):
        members = len(piece.runs)
        found = _rehearsed(study, part, piece, config, device)
        last = found[-1]
        loops = members / last.members * last.loops if last.compiled else _of_all("loops", found, members)
        seconds += last.once + loops + _of_all("rest", found, members)
        flops += members / found[0].members * found[0].flops
        network_steps += members / found[0].members * found[0].network_steps
        sequential_steps += _in_sequence(found, members)
        needed = _of_all("memory_mib", found, members)
        if last.network_steps:  # trained in tiles
            needed = min(needed, last.memory_mib + memory_limit(config, device) / 2**20)
        memory = max(memory, needed)
        runs += members
    return Estimate(study.name, runs, seconds, flops, network_steps, sequential_steps, before + memory)


def parts_run(study: Study, config: Config, device: torch.device) -> list[ScaledPart]:
    """The parts that are run at the configured scale on a device like this."""
    return [
        part
        for part in study.at(config.scale, config.seeds).values()
        if part.seeds and lacks(part, machine_for(str(device))) is None
    ]


def every_piece(
    study: Study, config: Config, device: torch.device, tell: Callable[[str], None]
) -> Iterator[tuple[ScaledPart, design.EnsembleDesign]]:
    """Every ensemble that is run, with its part; `tell` is told now and then how many are done."""
    wanted = [(part, piece) for part in parts_run(study, config, device) for piece in pieces(part)]
    told = time.monotonic()
    for number, each in enumerate(wanted):
        if time.monotonic() - told > SECONDS_OF_SILENCE:
            told = time.monotonic()
            tell(f"{study.name}: {number} of {len(wanted)} ensembles rehearsed")
        yield each


def pieces(part: ScaledPart) -> Iterator[design.EnsembleDesign]:
    """Every ensemble of a part, those of pilots first; a tuned factor has the middle of its grid."""
    runs = design.confirmatory_runs(part)
    if part.tune:
        yield from design.ensembles(part, design.pilot_runs(part), "pilot")
        runs = runs.assign(**{part.tune.factor: part.tune.values[len(part.tune.values) // 2]})
    yield from design.ensembles(part, runs, "confirm")


def _rehearsed(
    study: Study, part: ScaledPart, piece: design.EnsembleDesign, config: Config, device: torch.device
) -> list[Rehearsal]:
    """Rehearsals of some seeds in eager steps, which count operations, and last of as many as tell the time."""
    whole = piece.runs["seed"].nunique()
    seeds = 1 if len(piece.runs) > whole else min(2, whole)  # a lone network is trained as two twins, at twice the cost
    found = [_rehearse(study, part, piece, seeds, config, device, eager=True)]
    if device.type == "cuda":
        return [*found, _rehearse(study, part, piece, whole, config, device, eager=False)]
    while seeds < whole and _needs_another(found):
        times = min(max(ENOUGH_SECONDS / max(found[-1].seconds, 1e-6), 2.0), MOST_TIMES)
        seeds = min(whole, int(seeds * times))
        found.append(_rehearse(study, part, piece, seeds, config, device, eager=True))
    if found[-1].faster:
        found.append(_rehearse(study, part, piece, seeds, config, device, eager=False))
    return found


def _needs_another(found: list[Rehearsal]) -> bool:
    """Whether more seeds must be rehearsed, to tell the time or how memory grows."""
    last = found[-1]
    if len(found) == 1:  # a long one will do, unless it may have taken its seeds one after the other
        return last.seconds < LONG_SECONDS or not last.network_steps
    if last.seconds < ENOUGH_SECONDS / 2:
        return True
    grown = last.memory_mib - found[-2].memory_mib
    # So little may be chance; where nothing was trained, any growth may be the difference between two seeds.
    unclear = grown > 0.0 and (grown < 0.25 * last.memory_mib or not last.network_steps)
    return unclear and len(found) == 2 and last.seconds < 2 * LONG_SECONDS


def _rehearse(
    study: Study,
    part: ScaledPart,
    piece: design.EnsembleDesign,
    seeds: int,
    config: Config,
    device: torch.device,
    eager: bool,
) -> Rehearsal:
    """Rehearse the runs of the first ``seeds`` seeds."""
    runs = some_of(piece, seeds)
    rehearsal = Rehearsal(device, len(runs), compiled=not eager)
    context = context_for(study, config, part, piece, device, steps=rehearsal.steps, eager=eager)
    with rehearsal.whole():
        perform(study, part, piece, runs, context)
    rehearsal.faster = bool(context.notes.get("faster"))
    return rehearsal


def some_of(piece: design.EnsembleDesign, seeds: int) -> pd.DataFrame:
    """The runs of the ensemble's first ``seeds`` seeds."""
    return piece.runs[piece.runs["seed"].isin(piece.runs["seed"].unique()[:seeds])].reset_index(drop=True)


def perform(study: Study, part: ScaledPart, piece: design.EnsembleDesign, runs: pd.DataFrame, context: Context) -> None:
    """Call the part's function on some runs of an ensemble.

    Raises:
        ClaimcheckError: it fails, as a run would.
    """
    name = study.run_function(part.name)
    function = getattr(study_module(study.folder, "runs"), name)
    try:
        function(runs, context)
    except ClaimcheckError:
        raise
    except (Exception, SystemExit) as error:
        raise ClaimcheckError(
            f"failed in rehearsal on {piece.name} ({type(error).__name__}: {error})",
            where=f"{study.folder / 'runs.py'}: {name}",
        ) from error


def _of_all(name: str, found: list[Rehearsal], members: int) -> float:
    """What all members take, along the line through two rehearsals: some of it is there once, data for one, and some for
    each seed; nothing of that, where a study takes its seeds one after the other."""
    last = found[-1]
    before = next((each for each in reversed(found) if each.members < last.members), last)
    return along((before.members, getattr(before, name)), (last.members, getattr(last, name)), members)


def along(few: tuple[int, float], more: tuple[int, float], members: int) -> float:
    """What `members` take, where `few` and `more` (how many, and what they took) were tried; in proportion, where those are
    as many. Nobody takes less with each member, and no member more than in proportion."""
    slope = more[1] / more[0]
    if few[0] < more[0]:
        slope = min(max((more[1] - few[1]) / (more[0] - few[0]), 0.0), slope)
    return more[1] + slope * (members - more[0])


def _in_sequence(found: list[Rehearsal], members: int) -> float:
    """Steps one after the other. One rehearsal cannot tell how they grow: those that all its networks took do not."""
    if len(found) > 1:
        return _of_all("sequential_steps", found, members)
    (only,) = found
    return only.at_once + (only.sequential_steps - only.at_once) * members / only.members


def settled_mib(device: torch.device) -> float:
    """Memory in use, MiB, after what was freed has been given back; the peak is counted from here."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device) / 2**20
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak becomes what is in use now
        return _status("VmRSS")
    except (OSError, AttributeError):
        return peak_memory_mib()


def peak_mib(device: torch.device) -> float:
    """The most memory, MiB, that was in use since :func:`settled_mib`."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        return _status("VmHWM")
    except OSError:
        return peak_memory_mib()


def _status(name: str) -> float:
    """A line of /proc/self/status, MiB."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 2**10
