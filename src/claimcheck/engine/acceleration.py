"""Make a step faster than eager mode: compile it where that pays, and record it in a CUDA graph on a GPU.

Compiled and eager arithmetic round differently, so the choice must be the same wherever and however a run is trained:
it follows from the design alone (:func:`pays`), never from a clock, from how the ensemble is cut, or from a cache.
Where a step cannot be compiled or recorded, the reason is logged and the eager step is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, fx

from claimcheck.engine import products, programs, torch_private, trees
from claimcheck.engine.data import Data
from claimcheck.engine.eager import Eager
from claimcheck.engine.memory import Footprint
from claimcheck.engine.step import Recipe, Step, Table, TrainState, overflowed, take

SECONDS_PER_NUMBER = 0.6e-9
"""What compiling saves on each number that a network-step keeps or updates: measured on one core of an AMD EPYC, torch
2.13, AdamW, batch 100, 45 / 80 / 450 microseconds a network-step at widths 32 / 100 / 256 of an MLP 40-w-w-10. With the
kernels of :mod:`claimcheck.engine.products` it is 57 / 176 / 730; the rule does not count on them, since not every
processor has AVX-512."""
PASSES_OF_UPDATE = 8
"""How many more times an eager update reads or writes each parameter than a fused one."""
COMPILE_SECONDS = 5.0
COMPILE_SECONDS_PER_OPERATION = 0.15
"""Cost of compiling: a fixed part, and one for each differentiated operation (25 or so for two hidden layers)."""
MOST_OPERATIONS = 300
"""Deeper networks stay eager: the compiler would unroll their layers and take minutes."""
BLOCK_BYTES = 8_000_000
"""Size of the networks that a compiled step takes at once. On a core with 1 MB of second-level cache and 32 MB shared,
32 MLPs 40-100-100-10 take a third less time in two blocks of 16 than in one; in four blocks of 8, calls cost more."""
FEWEST_IN_BLOCK = 4
MANY = 12
"""A whole number that took this many operations is stored: about half a round of the hash of
:mod:`claimcheck.engine.noise`."""
MARGIN = 3.0
"""The time saved must be this many times the cost, since each shard of a design compiles for itself."""


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


def block_size(bytes_of_one: int) -> int:
    """How many networks of that size stay in a processor's cache together."""
    return max(FEWEST_IN_BLOCK, math.ceil(BLOCK_BYTES / bytes_of_one))


def equal_blocks(members: int, most: int) -> int:
    """The size, at most ``most`` and more than half of it, of equal blocks that pad ``members`` least."""
    sizes = range(min(most, members), min(most, members) // 2, -1)
    return min(sizes, key=lambda size: math.ceil(members / size) * size)


def choose(parts: tuple[Recipe, Table, Data, TrainState], context: Any, wanted: tuple[bool, str], block: int) -> Step:
    """The fastest form of the step that the device and the decision allow; logged, and noted for the provenance.

    A context that asks for eager steps gets one; whether there is a faster form is noted.

    Args:
        parts: of a :class:`claimcheck.engine.step.Step`.
        wanted: whether to compile, and the reason, from :func:`pays` or the study.
        block: most members that a compiled step takes at once on a CPU.
    """
    on_gpu = torch.device(context.device).type == "cuda"

    def tell(text: str) -> None:
        context.log(text)
        told = getattr(context, "notes", {}).setdefault("steps", [])
        if text not in told:
            told.append(text)

    compiled, reason = wanted
    if getattr(context, "eager", False):
        context.notes["faster"] = context.notes.get("faster", False) or compiled or on_gpu
        return Eager(*parts)
    tell(reason)
    if on_gpu:
        return Recorded(parts, tell, Compiled(parts, tell) if compiled else None)
    return Compiled(parts, tell, block) if compiled else Eager(*parts)


class Tried(Step):
    """A step in a form that may turn out to be impossible, at the first step; then eager steps are taken.

    Args:
        parts: of the step. log: takes the reason.
    """

    def __init__(self, parts: tuple[Recipe, Table, Data, TrainState], log: Callable[[str], None]) -> None:
        super().__init__(*parts)
        self.parts, self.log = parts, log
        self.eager: Eager | None = None

    def fall_back(self, reason: str, error: Exception) -> None:
        """Take eager steps from here on."""
        self.log(f"{reason} ({type(error).__name__}: {first_line(error)})")
        self.eager = Eager(*self.parts)

    def settled(self, number: int) -> TrainState:
        if self.eager is not None:
            return self.eager.settled(number)
        take_over(self.state, overflowed(self.state, number))  # a program reads its own tensors
        return self.state


class Compiled(Tried):
    """The whole functional step as one compiled program; eager, with a logged reason, where that fails.

    The step is traced while it is executed, ``torch.func`` included, and handed to the compiler TorchInductor.
    ``torch.compile`` would do the same behind a check of every Python object that the step meets, at each step: a fifth
    of a small ensemble's time, and it would refuse losses that use unusual Python.

    On a CPU the program takes the members in blocks that stay in the cache, each block to the end of the step. It keeps
    the state in tensors of its own and overwrites them: new ones would push the others out of the cache.
    """

    def __init__(
        self, parts: tuple[Recipe, Table, Data, TrainState], log: Callable[[str], None], most: int | None = None
    ) -> None:
        super().__init__(parts, log)
        self.most = most
        self.blocks: list[Block] = []

    def __call__(self, number: int, positions: Tensor | None) -> Tensor:
        if self.eager is None:
            self.recipe.ensemble.skeleton.train()
            try:
                self.take(self.numbers[number : number + 1], positions)
                return self.state.losses
            except torch.cuda.OutOfMemoryError:  # fewer networks at once, not other arithmetic
                raise
            except Exception as error:
                if self.blocks:
                    raise
                self.fall_back("eager after all: the step does not compile", error)
        return self.eager(number, positions)

    def take(self, number: Tensor, positions: Tensor | None) -> None:
        """The step of tensors alone; ``number`` is int64 ``[1]``. The first compiles."""
        self.prepare(number, positions)
        members = len(self.state.losses)
        if positions is not None and len(self.rows) > members:
            positions = positions[self.rows]
        keys, losses = self._keys(number), []
        for block in self.blocks:
            own = None if positions is None else positions[block.place]
            losses.append(self.compiled(*block.own, number, keys[block.place], own, *block.constants))
        self.state = self.state._replace(losses=torch.cat(losses)[:members])

    def prepare(self, number: Tensor, positions: Tensor | None) -> None:
        """Compile, once, for copies of the state."""
        if self.blocks:
            return
        members = len(self.state.losses)
        size = equal_blocks(members, self.most or members)
        count = math.ceil(members / size)
        self.rows = torch.arange(count * size, device=number.device).clamp(max=members - 1)  # the last are padding
        whole = trees.mapped(lambda value: value[self.rows], self.state)
        blocks = [Block(self, whole, self.rows, slice(i * size, (i + 1) * size)) for i in range(count)]
        first = blocks[0]
        own = None if positions is None else positions[self.rows[first.place]]
        keys = self._keys(number)[first.place]
        self.compiled = compile_step(first.step, self.log, first.state, number, keys, own)
        self.state = trees.mapped(lambda value: value[:members], whole)
        self.blocks = blocks

    def _keys(self, number: Tensor) -> Tensor:
        """The step's keys, with padding. They are looked up here because a compiler would repeat the indexed load at
        each of the many uses of a hash, and take minutes."""
        keys = self.table.keys_at(number)
        return keys[self.rows] if len(self.rows) > len(keys) else keys


class Block:
    """Some of the members of a step: what a compiled program reads and overwrites.

    Args:
        step: of all members. whole: their state, with padding; what is kept are views of it.
        rows: which member each row of it is, int64. place: the block's rows.
    """

    def __init__(self, step: Step, whole: TrainState, rows: Tensor, place: slice) -> None:
        self.place = place
        self.state = trees.mapped(lambda value: value[place], whole)
        data = step.data.members(rows[place].tolist())
        recipe, table = step.recipe.members(rows[place]), step.table.members(rows[place])
        self.step = Step(recipe, table, data, self.state)
        self.own, self.constants = trees.leaves(self.state), trees.leaves(constants_of(self.step))


def compile_step(step: Step, log: Callable[[str], None], *example: Any) -> Callable[..., Tensor]:
    """The step as a compiled program for tensors of the shapes of ``example`` (state, number, keys, positions).

    It takes the leaves of these and of :func:`constants_of`, overwrites the state, and returns the losses ``[R]``.
    Everything that it reads is an input, so that programs of equal shapes are equal and are found again where
    :mod:`claimcheck.engine.programs` keeps them.
    """
    folder = programs.folder()
    form = (*example, *constants_of(step))
    inputs = trees.leaves(form)

    def program(*inputs: Tensor) -> Tensor:
        state, number, keys, positions, *given = trees.rebuilt(form, inputs)
        recipe, table, data = with_constants(step, *given)
        after = take(recipe, table, data, state, number, keys, positions)
        take_over(state, after)
        return after.losses

    copies = trees.leaves(trees.mapped(_clone, example[0]))  # tracing executes, and the program overwrites the state
    graph = torch_private.trace(program, *copies, *inputs[len(copies) :])
    log(products.replace(graph, folder))
    store_whole_numbers(graph)
    compiled = torch_private.compile_graph(graph, inputs)
    programs.keep_new()
    return compiled


def store_whole_numbers(graph: fx.GraphModule) -> None:
    """Have the compiler store whole numbers that took :data:`MANY` operations and are used repeatedly, or broadcast.

    It would repeat the operations at each use. A hash uses each of its intermediate values twice, so that its length
    doubles with each round: a thousand operations for each pixel that is shifted, and minutes to compile.
    Floating-point values, which might round differently, are left to the compiler.
    """
    store = torch_private.storing_operation()
    if store is None:
        return

    def numbers(node: fx.Node) -> int:
        value = node.meta.get("val")
        return value.numel() if isinstance(value, Tensor) else 0

    operations: dict[fx.Node, int] = {}  # behind a value, those behind stored values left out
    for node in list(graph.graph.nodes):
        value = node.meta.get("val")
        if node.op != "call_function" or not isinstance(value, Tensor) or value.is_floating_point():
            continue
        operations[node] = 1 + sum(operations.get(source, 0) for source in node.all_input_nodes)
        reused = len(node.users) > 1 or any(numbers(user) > value.numel() for user in node.users)
        if operations[node] >= MANY and reused:
            operations[node] = 0
            with graph.graph.inserting_after(node):
                stored = graph.graph.call_function(store, (node,))
            stored.meta["val"] = value
            node.replace_all_uses_with(stored, delete_user_cb=lambda user: user is not stored)  # noqa: B023
    graph.graph.lint()
    graph.recompile()


def constants_of(step: Step) -> tuple[Any, ...]:
    """Trees of the tensors that a step reads and never changes."""
    ensemble, table, data = step.recipe.ensemble, step.table, step.data
    columns = (dict(data.shared), dict(data.per_member), data.subset)
    return ensemble.fixed, ensemble.hyper, table.coefficients, columns


def with_constants(step: Step, fixed: Any, hyper: Any, coefficients: Any, columns: Any) -> tuple[Recipe, Table, Data]:
    """The step's parts, with these tensors in place of their own."""
    ensemble, table = copy(step.recipe.ensemble), copy(step.table)
    ensemble.fixed, ensemble.hyper = fixed, hyper
    table.coefficients = coefficients
    return replace(step.recipe, ensemble=ensemble), table, Data(*columns)


class Recorded(Tried):
    """A step's kernels recorded once in a CUDA graph and replayed: one launch a step, no look at the host.

    The tensors of the state stay where they are; a replay overwrites them. A step that does not compile is recorded as
    it is; where it cannot be recorded eager steps are taken. The reason is logged.

    Args:
        compiled: what is recorded, if the step is compiled.
    """

    def __init__(
        self,
        parts: tuple[Recipe, Table, Data, TrainState],
        log: Callable[[str], None],
        compiled: Compiled | None = None,
    ) -> None:
        super().__init__(parts, log)
        self.compiled = compiled
        self.replay: Callable[[], None] | None = None

    def __call__(self, number: int, positions: Tensor | None) -> Tensor:
        if self.eager is None:
            self.recipe.ensemble.skeleton.train()
            tensors = self.numbers[number : number + 1], positions
            try:
                if self.replay is None:
                    self._record(*tensors)
                _copy(self.inputs, tensors)
                self.replay()
                return self.state.losses.clone()
            except torch.cuda.OutOfMemoryError:
                raise
            except RuntimeError as error:
                if self.replay is not None:
                    raise
                self.fall_back("no CUDA graph: the step cannot be recorded", error)
        return self.eager(number, positions)

    def _record(self, number: Tensor, positions: Tensor | None) -> None:
        """Give the step tensors of its own, and record it; the state is as before."""
        self.inputs = trees.mapped(_clone, (number, positions))
        if self.compiled is not None:
            try:
                self.compiled.prepare(*self.inputs)
            except torch.cuda.OutOfMemoryError:
                raise
            except Exception as error:
                self.log(
                    f"not compiled after all: the step does not compile ({type(error).__name__}: {first_line(error)})"
                )
                self.compiled = None
        before = trees.mapped(_clone, self.state)
        self.state = trees.mapped(_clone, self.state) if self.compiled is None else self.compiled.state
        self.state = self.state._replace(losses=before.losses.clone())
        replay = captured(self._body)
        take_over(self.state, before)
        self.replay = replay

    def _body(self) -> None:
        """The step, in place on the tensors of the state."""
        number, positions = self.inputs
        if self.compiled is not None:
            self.compiled.take(number, positions)
            after = self.compiled.state
        else:
            keys = self.table.keys_at(number)
            after = take(self.recipe, self.table, self.data, self.state, number, keys, positions)
            take_over(self.state, after)
        self.state.losses.copy_(after.losses)


def captured(body: Callable[[], None]) -> Callable[[], None]:
    """The kernels that ``body`` launches as a CUDA graph; calling it launches them again.

    ``body`` runs a few times on the side first, so that libraries set themselves up.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    return graph.replay


def _clone(value: Tensor | None) -> Tensor | None:
    return None if value is None else value.clone()


def take_over(own: TrainState, other: TrainState) -> None:
    """Copy ``other`` into the tensors of ``own``, except shared ones and the losses, which no step reads."""
    for old, new in zip(trees.leaves(own[:-1]), trees.leaves(other[:-1])):
        if old is not new:
            old.copy_(new, non_blocking=True)


def _copy(into: Any, source: Any) -> None:
    """Copy the tensors of one tree into those of another of the same form."""
    for old, new in zip(trees.leaves(into), trees.leaves(source)):
        if old is not None:
            old.copy_(new, non_blocking=True)


def first_line(error: Exception) -> str:
    """The first line of an error's text, shortened."""
    return (str(error).strip().splitlines() or [""])[0][:200]
