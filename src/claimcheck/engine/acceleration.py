"""Make a step faster than eager mode: compile it where that pays, and record it in a CUDA graph on a GPU.

Compiled and eager arithmetic round differently, so the choice must be the same wherever and however a run is trained:
it follows from the design alone (:func:`pays`), never from a clock, from how the ensemble is cut, or from a cache. Where
a step cannot be compiled or recorded, the reason is logged and the eager step is taken.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map, tree_unflatten

from claimcheck.engine.data import Data
from claimcheck.engine.memory import Footprint
from claimcheck.engine.step import Progress, Recipe, Step, Table, take

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
    if footprint.convolutions:
        return False, "eager: convolutions keep their kernels when compiled, and take minutes to compile"
    story = f"compiling would save about {saved:.0f} s of the design and cost about {cost:.0f} s"
    return (True, f"compiled: {story}") if saved > MARGIN * cost else (False, f"eager: {story}")


def choose(step: Step, context: Any, wanted: tuple[bool, str]) -> Step:
    """The fastest form of the step that the device and the decision allow; logged, and noted for the provenance.

    Args:
        wanted: whether to compile, and the reason, from :func:`pays` or the study.
    """

    def tell(text: str) -> None:
        context.log(text)
        told = getattr(context, "notes", {}).setdefault("steps", [])
        if text not in told:
            told.append(text)

    compiled, reason = wanted
    tell(reason)
    if compiled:
        step = Compiled(step, tell)
    if torch.device(context.device).type == "cuda":
        step = Recorded(step, tell)
    return step


class Compiled(Step):
    """The whole functional step as one compiled program; eager, with a logged reason, where that fails.

    The step is traced by ``make_fx``, which follows ``torch.func`` as it is executed, and handed to the compiler
    TorchInductor. ``torch.compile`` would do the same behind a check of every Python object that the step meets, at each
    step: a fifth of a small ensemble's time, and it would refuse losses that use unusual Python.
    """

    def __init__(self, step: Step, log: Callable[[str], None]) -> None:
        super().__init__(step.recipe, step.table, step.data)
        self.log, self.compiled = log, None

    def take(self, progress: Progress, number: Tensor, positions: Tensor | None) -> Progress:
        if self.compiled is None:
            try:
                self.compiled = compile_step(self, progress, number, positions)
                return self.compiled(progress, number, positions)
            except Exception as error:
                self.log(f"eager after all: the step does not compile ({type(error).__name__}: {first_line(error)})")
                self.compiled = super().take
        return self.compiled(progress, number, positions)


def compile_step(step: Step, *example: Any) -> Callable[..., Progress]:
    """The step as a compiled program for tensors of the shapes of ``example`` (progress, number, positions).

    Everything that it reads is an input of the program, so that programs of equal shapes are equal and are found again:
    they are kept in ``.cache/torchinductor`` of the working folder, or where ``TORCHINDUCTOR_CACHE_DIR`` says.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(".cache", "torchinductor").resolve()))
    from torch import _inductor  # only now: at its import it settles on a folder
    from torch.fx.experimental.proxy_tensor import make_fx

    constants = constants_of(step)
    inputs, form = tree_flatten((*example, *constants))
    result_form = None

    def program(*inputs: Tensor) -> list[Tensor]:
        nonlocal result_form
        progress, number, positions, *given = tree_unflatten(inputs, form)
        recipe, table, data = with_constants(step, *given)
        leaves, result_form = tree_flatten(take(recipe, table, data, progress, number, positions, functional=True))
        return leaves

    compiled = _inductor.compile(make_fx(program)(*inputs), inputs, options={"compile_threads": 1})
    given = tree_leaves(constants)

    def call(progress: Progress, number: Tensor, positions: Tensor | None) -> Progress:
        return tree_unflatten(list(compiled(*tree_leaves((progress, number, positions)), *given)), result_form)

    return call


def constants_of(step: Step) -> tuple[Any, ...]:
    """Trees of the tensors that a step reads and never changes."""
    ensemble, table, data = step.recipe.ensemble, step.table, step.data
    columns = (dict(data.shared), dict(data.per_member), data.subset)
    return ensemble.fixed, ensemble.hyper, table.coefficients, table.keys, columns


def with_constants(
    step: Step, fixed: Any, hyper: Any, coefficients: Any, keys: Tensor, columns: Any
) -> tuple[Recipe, Table, Data]:
    """The step's parts, reading these tensors instead of their own."""
    ensemble, table = copy(step.recipe.ensemble), copy(step.table)
    ensemble.fixed, ensemble.hyper = fixed, hyper
    table.coefficients, table.keys = coefficients, keys
    return replace(step.recipe, ensemble=ensemble), table, Data(*columns)


class Recorded(Step):
    """A step's kernels recorded once in a CUDA graph and replayed: one launch a step, no look at the host.

    The tensors of the progress stay where they are; a replay overwrites them. Where the step cannot be recorded it is
    taken as it is, and the reason is logged.
    """

    def __init__(self, step: Step, log: Callable[[str], None]) -> None:
        super().__init__(step.recipe, step.table, step.data)
        self.inner, self.log = step, log
        self.graph: torch.cuda.CUDAGraph | None = None
        self.failed = False

    def take(self, progress: Progress, number: Tensor, positions: Tensor | None) -> Progress:
        if self.graph is None and not self.failed:
            try:
                self._record(progress, number, positions)
            except RuntimeError as error:
                self.log(f"no CUDA graph: the step cannot be recorded ({first_line(error)})")
                self.failed = True
        if self.failed:
            return self.inner.take(progress, number, positions)
        if progress.parameters is not self.progress.parameters:
            _copy(self.progress, progress)
        _copy(self.inputs, (number, positions))
        self.graph.replay()
        return self.progress._replace(losses=self.progress.losses.clone())

    def _body(self) -> Progress:
        if isinstance(self.inner, Compiled):
            return self.inner.take(self.progress, *self.inputs)
        return take(self.recipe, self.table, self.data, self.progress, *self.inputs, functional=True)

    def _record(self, progress: Progress, number: Tensor, positions: Tensor | None) -> None:
        """Take the step a few times on the side, so that libraries set themselves up, then record it."""
        self.progress, self.inputs = (tree_map(_clone, tree) for tree in (progress, (number, positions)))
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


def _clone(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()


def _copy(into: Any, source: Any) -> None:
    """Copy the tensors of one tree into those of another of the same form."""
    for old, new in zip(tree_leaves(into), tree_leaves(source)):
        if old is not None:
            old.copy_(new, non_blocking=True)


def first_line(error: Exception) -> str:
    """The first line of an error's text, shortened."""
    return (str(error).strip().splitlines() or [""])[0][:200]
