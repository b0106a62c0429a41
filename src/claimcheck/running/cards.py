"""`claimcheck cost --card`: what a study would take on a card that is not here, reckoned from counted operations.

A roofline (Williams, Waterman and Patterson 2009): an operation takes as long as its start, its bytes or its products,
whichever takes longest, and operations follow one another. The engine records a step once and replays it (a CUDA
graph), so that its operations start sooner; what the compiler would fuse counts as it is. Python and NumPy take as long
as on this machine. All that PyTorch computes counts as done on the card, also what a part would time on the CPU; parts
that need a GPU cannot be rehearsed and are left out. No card was asked: this is arithmetic, and no measurement.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from claimcheck.engine.memory import keep_freed_memory
from claimcheck.running.cost import along, every_piece, perform, some_of
from claimcheck.running.runner import context_for
from claimcheck.spec import design
from claimcheck.spec.config import Config
from claimcheck.spec.models import Study
from claimcheck.spec.parts import ScaledPart

Work = Counter[tuple[float, float]]
"""How often a step has an operation of so many bytes (read and written) and so many floating-point operations."""


@dataclass(frozen=True)
class Card:
    """What a card's data sheet promises: bytes a second, and float32 operations a second outside of tensor cores."""

    bandwidth: float
    products: float


CARDS: Mapping[str, Card] = {
    "a100-80gb": Card(bandwidth=1.935e12, products=19.5e12),
    "h100-80gb": Card(bandwidth=3.35e12, products=67e12),
}
"""By NVIDIA's data sheets: A100 (PCIe, 80 GB) and H100 (SXM)."""

RECORDED, STARTED = 4e-6, 10e-6
"""Seconds that an operation takes at the least: replayed in a recorded step, and started by Python."""
OF_BANDWIDTH, OF_PRODUCTS = 0.8, 0.5
"""Shares of the promised rates that are reached."""

_PACKET = type(torch.ops.aten.add)
_ASKS_FOR_MEMORY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


class _EveryOperation(dict[Any, Any]):
    """The counter's formulas; an operation without one is asked about, too."""

    def __init__(self, formulas: Mapping[Any, Any], work: Work) -> None:
        super().__init__(formulas)
        self.work = work

    def __contains__(self, operation: object) -> bool:
        return isinstance(operation, _PACKET) or super().__contains__(operation)

    def __getitem__(self, operation: Any) -> Any:
        formula = self.get(operation)

        def counted(*inputs: Any, out_val: Any = None, **named: Any) -> float:
            flops = formula(*inputs, out_val=out_val, **named) if formula else 0
            given, made = _tensors([inputs, named]), _tensors(out_val)
            if not _only_looks(operation.__name__, given, made):
                self.work[sum(map(_bytes, [*given, *made])), flops] += 1
            return flops

        return counted


class _NoModules(nullcontext[None]):
    """In place of what tells the counter which module an operation belongs to."""

    parents = ("Global",)


@contextmanager
def counting(into: Work | None = None) -> Iterator[Work]:
    """Counts what PyTorch does inside: every operation that computes or copies, with its bytes and operations."""
    work: Work = Counter() if into is None else into
    counter = FlopCounterMode(display=False)
    counter.flop_registry = _EveryOperation(counter.flop_registry, work)
    counter.mod_tracker = _NoModules()  # its hooks do not stand every way to ask for gradients
    with counter:
        yield work


def seconds_on(card: Card, work: Work, start: float, times_as_large: float = 1.0) -> float:
    """Seconds of these operations with so many times as many networks as were counted.

    Args:
        start: what each takes at the least.
    """
    bandwidth, products = OF_BANDWIDTH * card.bandwidth, OF_PRODUCTS * card.products
    return math.fsum(
        times * max(start, times_as_large * moved / bandwidth, times_as_large * flops / products)
        for (moved, flops), times in work.items()
    )


@dataclass
class Count:
    """A rehearsal that counts: of every loop one step, and all that is not a loop.

    Attributes:
        members: networks that were rehearsed.
        loops: number of steps and operations of one, for each loop. rest: operations outside of loops.
        steps_taken, network_steps: of all loops; the latter times the networks of each.
    """

    members: int
    loops: list[tuple[int, Work]] = field(default_factory=list)
    rest: Work = field(default_factory=Counter)
    steps_taken: int = 0
    network_steps: int = 0

    def steps(self, count: int, networks: int | None = None) -> Iterator[int]:
        """The first two of `count` steps of some networks (all, if not given); the last of them is counted."""
        outside, last = self.rest.copy(), Counter()
        for step in range(min(count, 2)):
            last = Counter()
            with counting(last):
                yield step
        self.rest.clear()
        self.rest.update(outside)
        self.loops.append((count, last))
        self.steps_taken += count
        self.network_steps += count * (self.members if networks is None else networks)

    def seconds_of_loops(self, card: Card, steps_taken: float, network_steps: float) -> float:
        """Seconds of so many steps one after the other, of so many networks together."""
        if not self.network_steps:
            return 0.0
        longer = steps_taken / self.steps_taken
        larger = network_steps / self.network_steps / longer
        return longer * sum(count * seconds_on(card, work, RECORDED, larger) for count, work in self.loops)


@dataclass(frozen=True)
class Reckoning:
    """A study on a card: `loops` are seconds of its training, `operations` of all else that PyTorch computes, and
    `python` what this machine took for all that is no operation of PyTorch."""

    runs: int = 0
    loops: float = 0.0
    operations: float = 0.0
    python: float = 0.0

    @property
    def seconds(self) -> float:
        """All of it, one after the other."""
        return self.loops + self.operations + self.python

    def __add__(self, other: Reckoning) -> Reckoning:
        return Reckoning(
            self.runs + other.runs,
            self.loops + other.loops,
            self.operations + other.operations,
            self.python + other.python,
        )


def reckon(study: Study, config: Config, card: Card, tell: Callable[[str], None] = lambda line: None) -> Reckoning:
    """Rehearse every ensemble of `study` at the configured scale on the CPU, and reckon what the card would take.

    Args:
        tell: is told now and then how many are rehearsed.

    Raises:
        ClaimcheckError: the study's code fails for want of data or by a fault that a run would meet too.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    found = Reckoning()
    for part, piece in every_piece(study, config, torch.device("cpu"), tell):
        found += _reckoned(study, part, piece, config, card)
    return found


def _reckoned(study: Study, part: ScaledPart, piece: design.EnsembleDesign, config: Config, card: Card) -> Reckoning:
    """An ensemble, along the line through two rehearsals of some of its seeds."""
    every = piece.runs["seed"].nunique()
    fewest = 1 if len(piece.runs) > every else min(2, every)  # a lone network is trained as two twins
    most, members = min(2 * fewest, every), len(piece.runs)
    if part.timing:  # the same again for each seed, as often as a time is taken: Python is in an operation's start
        count = _counted(study, part, piece, fewest, config)
        scale = members / count.members
        loops = count.seconds_of_loops(card, count.steps_taken * scale, count.network_steps * scale)
        return Reckoning(members, loops, seconds_on(card, count.rest, STARTED) * scale)
    few, more = (_counted(study, part, piece, seeds, config) for seeds in (fewest, most))
    profiled = profile()
    runs, seconds, _ = _performed(study, part, piece, most, config, profiled)
    python = max(seconds - profiled.self_cpu_time_total / 1e6, 0.0) * members / runs

    def of_all(one: float, other: float) -> float:
        return along((few.members, one), (more.members, other), members)

    steps = of_all(few.steps_taken, more.steps_taken), of_all(few.network_steps, more.network_steps)
    operations = (seconds_on(card, count.rest, STARTED) for count in (few, more))
    return Reckoning(members, more.seconds_of_loops(card, *steps), of_all(*operations), python)


def _counted(study: Study, part: ScaledPart, piece: design.EnsembleDesign, seeds: int, config: Config) -> Count:
    """A rehearsal of the ensemble's first ``seeds`` seeds that counts."""
    rest: Work = Counter()
    return _performed(study, part, piece, seeds, config, counting(rest), rest)[2]


def _performed(
    study: Study,
    part: ScaledPart,
    piece: design.EnsembleDesign,
    seeds: int,
    config: Config,
    around: AbstractContextManager[Any],
    rest: Work | None = None,
) -> tuple[int, float, Count]:
    """How many runs a rehearsal took inside ``around``, its seconds, and what was counted in its loops."""
    runs = some_of(piece, seeds)
    count = Count(len(runs), rest=Counter() if rest is None else rest)
    context = context_for(study, config, part, piece, torch.device("cpu"), steps=count.steps, eager=True)
    with around:
        start = time.perf_counter()
        perform(study, part, piece, runs, context)
        seconds = time.perf_counter() - start
    return len(runs), seconds, count


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [tensor for branch in branches for tensor in _tensors(branch)]


def _bytes(tensor: Tensor) -> int:
    """What of a tensor lies in memory: what is expanded is there once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _only_looks(name: str, given: list[Tensor], made: list[Tensor]) -> bool:
    """Whether an operation shows memory in another shape, or asks for some, and computes nothing."""
    if name in _ASKS_FOR_MEMORY:
        return True
    if name.endswith("_") or not made:
        return False
    before = {tensor.untyped_storage().data_ptr() for tensor in given}
    return all(tensor.untyped_storage().data_ptr() in before for tensor in made)
