"""Make a step faster than eager mode: compile it where that pays, and record it in a CUDA graph on a GPU.

Compiled and eager arithmetic round differently, so the choice must be the same wherever and however a run is trained:
it follows from the design alone (:func:`pays`), never from a clock, from how the ensemble is cut, or from a cache. Where
a step cannot be compiled or recorded, the reason is logged and the eager step is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from claimcheck.memory import Footprint
from claimcheck.step import Batch, Progress, Recipe, Step, Table, advance

SECONDS_PER_NUMBER = 0.6e-9
"""What compiling saves on each number that a network-step keeps or updates: measured on one core of an AMD EPYC, torch
2.13, AdamW, batch 100, 45 / 80 / 450 microseconds a network-step at widths 32 / 100 / 256 of an MLP 40-w-w-10."""
PASSES_OF_UPDATE = 8
"""Times that an eager update reads or writes a parameter more often than a fused one."""
COMPILE_SECONDS = 5.0
COMPILE_SECONDS_PER_OPERATION = 0.15
"""Cost of compiling: at once, and for each differentiated operation (an MLP of two hidden layers has about 25)."""
MOST_OPERATIONS = 300
"""Deeper networks stay eager: the compiler unrolls their layers, and takes minutes."""
MARGIN = 3.0
"""Work saved must exceed the cost so many times over: a design may be cut into shards that compile one by one."""

Advance = Callable[[Progress, Batch, Mapping[str, Tensor]], Progress]


def pays(footprint: Footprint, design_runs: int, steps: int) -> tuple[bool, str]:
    """Whether to compile the step of a network, and why; a function of the design only.

    Args:
        footprint: of one network. design_runs: networks in the whole design, however it is cut. steps: of each.
    """
    numbers = footprint.saved + PASSES_OF_UPDATE * footprint.parameters
    saved = design_runs * steps * numbers * SECONDS_PER_NUMBER
    cost = COMPILE_SECONDS + COMPILE_SECONDS_PER_OPERATION * footprint.operations
    if footprint.operations > MOST_OPERATIONS:
        return False, f"eager: {footprint.operations} operations are too many to compile (limit {MOST_OPERATIONS})"
    story = f"compiling would save about {saved:.0f} s of the design and cost about {cost:.0f} s"
    return (True, f"compiled: {story}") if saved > MARGIN * cost else (False, f"eager: {story}")


def choose(recipe: Recipe, table: Table, context: Any, wanted: tuple[bool, str]) -> Step:
    """The fastest step that the device and the decision allow.

    Args:
        wanted: whether to compile, and the reason, from :func:`pays` or the study.
    """
    compiled, reason = wanted
    context.log(reason)
    step: Step = Step(recipe, table)
    if compiled:
        step = Compiled(recipe, table, context.log)
    if context.device.type == "cuda":
        step = Recorded(step, context.log)
    return step


class Compiled(Step):
    """The whole functional step as one compiled program; eager, with a logged reason, where that fails."""

    def __init__(self, recipe: Recipe, table: Table, log: Callable[[str], None]) -> None:
        super().__init__(recipe, table)
        self.log, self.compiled = log, None

    def advance(self, progress: Progress, batch: Batch, c: Mapping[str, Tensor]) -> Progress:
        if self.compiled is None:
            return self._first(progress, batch, c)
        return self.compiled(progress, batch, c)

    def _first(self, progress: Progress, batch: Batch, c: Mapping[str, Tensor]) -> Progress:
        def program(progress: Progress, batch: Batch, c: Mapping[str, Tensor]) -> Progress:
            return advance(self.recipe, progress, batch, c, functional=True)

        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(".cache", "torchinductor").resolve()))
        torch.compiler.reset()  # programs of earlier ensembles: no longer called
        compiled = torch.compile(program, fullgraph=True, dynamic=False, options={"compile_threads": 1})
        try:
            result = compiled(progress, batch, c)
        except Exception as error:
            self.log(f"eager after all: the step does not compile ({type(error).__name__}: {first_line(error)})")
            self.compiled = super().advance
            return self.compiled(progress, batch, c)
        self.compiled = compiled
        return result


class Recorded(Step):
    """A step's kernels recorded once in a CUDA graph and replayed: one launch a step, no look at the host.

    The tensors of the progress stay where they are; a replay overwrites them.
    """

    def __init__(self, step: Step, log: Callable[[str], None]) -> None:
        super().__init__(step.recipe, step.table)
        self.inner, self.log = step, log
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failed = False

    def advance(self, progress: Progress, batch: Batch, c: Mapping[str, Tensor]) -> Progress:
        if self.failed:
            return self.inner.advance(progress, batch, c)
        if self.graph is None:
            try:
                self._record(progress, batch, c)
            except RuntimeError as error:
                self.log(f"no CUDA graph: the step cannot be recorded ({first_line(error)})")
                self.failed = True
                return self.inner.advance(progress, batch, c)
        if progress.parameters is not self.progress.parameters:
            _copy(self.progress, progress)
        _copy((self.batch, self.c), (batch, c))
        self.graph.replay()
        return self.progress._replace(losses=self.progress.losses.clone())

    def _body(self) -> Progress:
        if isinstance(self.inner, Compiled):
            return self.inner.advance(self.progress, self.batch, self.c)
        return advance(self.recipe, self.progress, self.batch, self.c, functional=True)

    def _record(self, progress: Progress, batch: Batch, c: Mapping[str, Tensor]) -> None:
        """Run the step a few times on the side, so that libraries set themselves up, then record it."""
        from torch.utils._pytree import tree_map

        self.progress, self.batch, self.c = (tree_map(torch.clone, tree) for tree in (progress, dict(batch), dict(c)))
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._body()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            _copy(self.progress, self._body())
        self.graph = graph


def _copy(into: Any, source: Any) -> None:
    """Copy the tensors of one tree into those of another of the same form."""
    from torch.utils._pytree import tree_leaves

    for old, new in zip(tree_leaves(into), tree_leaves(source)):
        old.copy_(new, non_blocking=True)


def first_line(error: Exception) -> str:
    """The first line of an error's text, shortened."""
    return (str(error).strip().splitlines() or [""])[0][:200]
