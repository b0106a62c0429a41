"""Training steps taken operation by operation, in place: what a CPU takes at the scales that people try first.

The members' tensors are kept by parameter, ``[R, ...]`` each, and not as rows of a matrix: batched products then read
one network's weights right after the other's, and a gradient is still in the cache when it is used. Networks whose
layers know the ensemble dimension (:mod:`claimcheck.engine.layers`) are called on all members' batches at once where
the loss can do so, too; others are mapped. Which of these, and the order of every sum, depends on the network alone.

Microseconds a network-step, momentum, against functional steps on the matrix of parameters (processor time, median of
three processes in turn, one thread of a busy AMD EPYC without AVX-512, torch 2.13): depth 30, width 32, batch 32, 96
networks 242 against 434; 3 x 100, batch 32, 64 networks 176 against 283; 2 x 32, batch 100, 32 networks 86 against 116.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import by_all_names, expanded
from claimcheck.engine.optimizers import State, init_state, share_kept, update_
from claimcheck.engine.step import Batch, Recipe, Step, Table, TrainState, overflowed

SMALL = 256
"""Parameters of at most so many numbers (biases, most often) are updated together: a call costs more than they do."""


@dataclass(frozen=True)
class Piece:
    """A parameter, or several small ones side by side.

    Attributes:
        names: of the parameters. numbers: ``[R, ...]``, what the parameters are views of. moments: like ``numbers``.
    """

    names: list[str]
    numbers: Tensor
    moments: State

    def gradient(self, found: Mapping[str, Tensor]) -> Tensor:
        """The gradients of its parameters, like ``numbers`` in memory, too, so that sums over it have one order."""
        first = found[self.names[0]]
        if first.shape != self.numbers.shape:
            return torch.cat([found[name].flatten(1) for name in self.names], 1)
        return first if first.stride() == self.numbers.stride() else torch.empty_like(self.numbers).copy_(first)


def pieces_of(values: Mapping[str, Tensor], optimizer: str) -> tuple[list[Piece], dict[str, nn.Parameter]]:
    """Copies of the parameters ``[R, ...]``, and the leaves by name that are views of them."""
    small = {name: value for name, value in values.items() if value[0].numel() <= SMALL}
    leaves, pieces = {}, []
    if small:
        numbers = torch.cat([value.flatten(1) for value in small.values()], 1)
        views = numbers.split([value[0].numel() for value in small.values()], 1)
        leaves |= {name: nn.Parameter(view.view(small[name].shape)) for name, view in zip(small, views)}
        pieces.append(Piece(list(small), numbers, init_state(optimizer, numbers)))
    for name, value in values.items():
        if name not in small:
            numbers = in_order(value)
            leaves[name] = nn.Parameter(numbers)
            pieces.append(Piece([name], numbers, init_state(optimizer, numbers)))
    return pieces, {name: leaves[name] for name in values}


def in_order(value: Tensor) -> Tensor:
    """A copy of ``[R, ...]`` that lies in memory as batched products read and write it: matrices ``[R, out, in]``
    transposed, as a product gives their gradient, and stacks of matrices ``[R, L, n, n]`` layer by layer."""
    dims = {3: (1, 2), 4: (0, 1)}.get(value.dim(), (0, 0))
    return value.transpose(*dims).clone(memory_format=torch.contiguous_format).transpose(*dims)


def stacked(skeleton: nn.Module, leaves: Mapping[str, nn.Parameter], buffers: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the network whose parameters and buffers are these, ``[R, ...]`` each: a network for all members.

    It is told so (``trained_stacked``), since a network that is differentiated once can take a shorter way.
    """
    network = copy.deepcopy(skeleton)
    for name, value in by_all_names(skeleton, {**leaves, **buffers}).items():
        owner, _, last = name.rpartition(".")
        setattr(network.get_submodule(owner), last, value)
    network.trained_stacked = True
    return network


class Eager(Step):
    """Takes steps in place.

    A member whose loss or gradient is no longer finite is put aside as it was before that step; what becomes of its
    place in the ensemble is of no matter to the others.
    """

    def __init__(self, recipe: Recipe, table: Table, data: Data, state: TrainState) -> None:
        super().__init__(recipe, table, data, state)
        ensemble = recipe.ensemble
        self.pieces, self.leaves = pieces_of(ensemble.layout.views(state.parameters), recipe.optimizer)
        self.losses, self.diverged_at = state.losses, state.diverged_at
        self.buffers = {name: value.clone() for name, value in state.buffers.items()}
        self.aside: list[tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]] = []
        together = ensemble.together(recipe.loss)
        self.network = stacked(ensemble.skeleton, self.leaves, self.buffers).train() if together else None
        self.whole: Batch | None = None
        neutral = 1.0 if recipe.optimizer == "adamw" else 0.0
        idle = {"number"} | ({"decay"} if bool((table.coefficients["decay"] == neutral).all()) else set())
        said = {name: value for name, value in table.coefficients.items() if name not in idle}
        self.constant = {name: value[0] for name, value in said.items() if len(value) == 1}
        self.changing = {name: value for name, value in said.items() if len(value) > 1}

    def __call__(self, number: int, positions: Tensor | None) -> Tensor:
        recipe = self.recipe
        batch = self._whole() if positions is None else self.data.rows(positions)
        before = {name: value.clone() for name, value in self.buffers.items()}
        losses = self._losses({**batch, "key": self.table.keys[number]})
        found = dict(zip(self.leaves, torch.autograd.grad(losses.sum(), list(self.leaves.values()))))
        with torch.no_grad():
            losses, gradients = losses.detach(), [piece.gradient(found) for piece in self.pieces]
            if recipe.clipped:
                gradients = self._clipped(gradients)
            finite = torch.isfinite(losses) & torch.isfinite(total(gradients))
            if not bool((finite | (self.diverged_at >= 0)).all()):
                self._put_aside(finite, number + 1, before)
            self._update(gradients, number)
        self.losses = losses
        return losses

    def _whole(self) -> Batch:
        """All examples of the members, looked up once."""
        if self.whole is None:
            self.whole = self.data.whole()[0]
        return self.whole

    def _losses(self, batch: Batch) -> Tensor:
        """Each member's loss ``[R]``, with its graph."""
        ensemble, loss, dims = self.recipe.ensemble, self.recipe.loss, self.recipe.dims
        if self.network is None:
            ensemble.skeleton.train()
            return ensemble.apply(loss, self.leaves, self.buffers, batch, dims)
        return loss(self.network, expanded(batch, dims, len(ensemble)), ensemble.hyper)

    def _clipped(self, gradients: list[Tensor]) -> list[Tensor]:
        """As :func:`claimcheck.engine.optimizers.clip` does for a matrix."""
        norm = total([gradient.square() for gradient in gradients]).sqrt()
        share = share_kept(norm, self.recipe.ensemble.hyper["clip"])
        return [gradient * beside(share, gradient) for gradient in gradients]

    def _update(self, gradients: list[Tensor], number: int) -> None:
        c = {**self.constant, **{name: value[number] for name, value in self.changing.items()}}
        shaped: dict[int, dict[str, Tensor]] = {}
        for piece, gradient in zip(self.pieces, gradients):
            if gradient.dim() not in shaped:
                shaped[gradient.dim()] = {name: beside(value, gradient) for name, value in c.items()}
            update_(self.recipe.optimizer, piece.numbers, gradient, piece.moments, shaped[gradient.dim()])

    def _put_aside(self, finite: Tensor, number: int, buffers: Mapping[str, Tensor]) -> None:
        """Keep copies of the members that step ``number`` finds non-finite for the first time."""
        lost = ~finite & (self.diverged_at < 0)
        rows = lost.nonzero()[:, 0]
        self.diverged_at = self.diverged_at.masked_fill(lost, number)
        self.aside.append((
            rows,
            {name: value.detach()[rows] for name, value in self.leaves.items()},
            {name: value[rows] for name, value in buffers.items()},
        ))  # fmt: skip

    def settled(self, number: int) -> TrainState:
        parameters = {name: value.detach().clone() for name, value in self.leaves.items()}
        buffers = {name: value.clone() for name, value in self.buffers.items()}
        for rows, own_parameters, own_buffers in self.aside:
            for values, own in ((parameters, own_parameters), (buffers, own_buffers)):
                for name, value in own.items():
                    values[name][rows] = value
        matrix = self.recipe.ensemble.layout.flatten(parameters)
        state = overflowed(TrainState(matrix, {}, buffers, self.diverged_at, self.losses), number)
        self.diverged_at = state.diverged_at
        return state


def total(values: list[Tensor]) -> Tensor:
    """The sum of each member's numbers, ``[R]``.

    Of a row per member at the end: sums over columns would take the last members in another order than the others.
    """
    return torch.stack([value.sum(tuple(range(1, value.dim()))) for value in values], 1).sum(1)


def beside(value: Tensor, like: Tensor) -> Tensor:
    """Numbers of the members, ``[R]`` or ``[R, 1]``, as ``[R, 1, ...]`` with the dimensions of ``like``."""
    return value.view(-1, *[1] * (like.dim() - 1))
