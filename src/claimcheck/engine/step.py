"""One training step of a whole ensemble: minibatch -> losses -> gradient -> update, each member by itself.

Losses are summed over the members, never averaged, so each member's gradient is its own. A member whose loss or
gradient is no longer finite keeps its numbers from then on; the others never notice.

:func:`take` and :func:`advance` are the step, functions of tensors alone, which :mod:`claimcheck.engine.acceleration`
compiles, or records in a CUDA graph. :mod:`claimcheck.engine.eager` takes the same step operation by operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value

from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.noise import fold
from claimcheck.engine.optimizers import State, clip, coefficients, init_state, update

Loss = Callable[..., Tensor]
Batch = Mapping[str, Tensor]
Dims = Mapping[str, int | None]


class TrainState(NamedTuple):
    """Everything that a step changes.

    Attributes:
        parameters: ``[R, P]``.
        moments: the optimiser's matrices, ``[R, P]`` each.
        buffers: the modules', ``[R, ...]`` each.
        diverged_at: step after which a member was no longer finite, -1 while it is; ``[R]`` int64.
        losses: of the last minibatch, ``[R]``.
    """

    parameters: Tensor
    moments: State
    buffers: dict[str, Tensor]
    diverged_at: Tensor
    losses: Tensor

    @classmethod
    def start(cls, ensemble: Ensemble, optimizer: str) -> TrainState:
        """Before the first step."""
        parameters = ensemble.parameters
        alive = torch.full((len(ensemble),), -1, device=parameters.device)
        unknown = torch.full_like(alive, torch.nan, dtype=parameters.dtype)
        return cls(parameters, init_state(optimizer, parameters), ensemble.buffers, alive, unknown)


@dataclass(frozen=True)
class Recipe:
    """What every step does.

    Attributes:
        ensemble: gives skeleton, layout and hyperparameters; its parameters are not used.
        loss: of one network. optimizer: name of the rule.
        clipped: whether any member's gradient is clipped (``ensemble.hyper["clip"]``).
        dims: for each column of a batch (and ``key``), 0 if it has a row per member, None if it is shared.
    """

    ensemble: Ensemble
    loss: Loss
    optimizer: str
    clipped: bool
    dims: Dims

    def members(self, rows: Tensor) -> Recipe:
        """The same for some of the members."""
        ensemble = copy(self.ensemble)
        ensemble.fixed = {name: value[rows] for name, value in self.ensemble.fixed.items()}
        ensemble.hyper = {name: value[rows] for name, value in self.ensemble.hyper.items()}
        return replace(self, ensemble=ensemble)


def losses_and_gradient(
    ensemble: Ensemble, loss: Loss, parameters: Tensor, buffers: Mapping[str, Tensor], batch: Batch, dims: Dims
) -> tuple[Tensor, Tensor]:
    """Each member's loss ``[R]`` and its gradient ``[R, P]``. Buffers are changed in place.

    The forward pass is mapped over the members; differentiating the sum of the losses outside the map is faster in
    eager mode than mapping a gradient, and gives each member its own gradient all the same.
    """
    parameters = parameters.detach().requires_grad_()
    losses = ensemble.apply(loss, ensemble.layout.views(parameters), buffers, batch, dims)
    (gradient,) = torch.autograd.grad(losses.sum(), parameters)
    return losses.detach(), gradient


def functional_losses_and_gradient(
    ensemble: Ensemble, loss: Loss, parameters: Tensor, buffers: Mapping[str, Tensor], batch: Batch, dims: Dims
) -> tuple[Tensor, Tensor]:
    """The same through ``torch.func``, which a compiler can follow: slower in eager mode."""

    def total(parameters: Tensor, buffers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        losses = ensemble.apply(loss, ensemble.layout.views(parameters), buffers, batch, dims)
        return losses.sum(), losses

    gradient, (_, losses) = grad_and_value(total, has_aux=True)(parameters, buffers)
    return losses, gradient


def advance(recipe: Recipe, state: TrainState, batch: Batch, c: Mapping[str, Tensor]) -> TrainState:
    """The step: a new state from the old one, nothing changed in place.

    Args:
        batch: columns ``[R, B, ...]`` (or ``[B, ...]`` where shared), and ``key`` ``[R]``.
        c: this step's coefficients ``[R, 1]`` or ``[1, 1]``, and ``number``, the count of steps after it.
    """
    buffers = {name: value.clone() for name, value in state.buffers.items()}
    losses, gradient = functional_losses_and_gradient(
        recipe.ensemble, recipe.loss, state.parameters, buffers, batch, recipe.dims
    )
    if recipe.clipped:
        gradient = clip(gradient, recipe.ensemble.hyper["clip"][:, None])
    # Decided before the update, so that a compiler can update and freeze the parameters in one pass.
    finite = torch.isfinite(losses) & torch.isfinite(gradient.sum(1))
    parameters, moments = update(recipe.optimizer, state.parameters, gradient, state.moments, c)
    after = TrainState(parameters, moments, buffers, state.diverged_at, losses)
    return freeze(state, after, finite, c["number"][:, 0])


def freeze(before: TrainState, after: TrainState, finite: Tensor, number: Tensor) -> TrainState:
    """Keep the old numbers of members that are, or have at step ``number`` become, non-finite (``finite`` ``[R]``)."""
    alive = finite & (before.diverged_at < 0)

    def keep(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(alive.view(-1, *[1] * (new.dim() - 1)), new, old)

    return TrainState(
        keep(after.parameters, before.parameters),
        {name: keep(value, before.moments[name]) for name, value in after.moments.items()},
        {name: keep(value, before.buffers[name]) for name, value in after.buffers.items()},
        torch.where(finite | (before.diverged_at >= 0), before.diverged_at, number),
        after.losses,
    )


def overflowed(state: TrainState, number: int) -> TrainState:
    """Mark members whose last update overflowed although their loss and gradient were finite.

    The next step would notice, but a measurement may come first.
    """
    finite = torch.isfinite(state.parameters).all(1) | (state.diverged_at >= 0)
    return state._replace(diverged_at=state.diverged_at.where(finite, number))


class Table:
    """What every step needs besides its batch, computed before training.

    Args:
        optimizer: name of the rule. exact: hyperparameters ``[R]`` float64.
        multipliers: the schedule, ``[steps, R]`` float64. keys: int64 ``[R]``. dtype: of the arithmetic.
    """

    def __init__(
        self, optimizer: str, exact: Mapping[str, Tensor], multipliers: Tensor, keys: Tensor, dtype: torch.dtype
    ) -> None:
        found = coefficients(optimizer, exact, multipliers)
        short = {name: value if value.stride(0) else value[:1] for name, value in found.items()}
        self.coefficients = {name: value.to(dtype)[..., None] for name, value in short.items()}
        steps = torch.arange(len(multipliers), device=multipliers.device)
        self.coefficients["number"] = (steps + 1)[:, None, None]
        self.keys = fold(keys, steps[:, None])

    def members(self, rows: Tensor) -> Table:
        """The same for some of the members."""
        part = copy(self)
        part.coefficients = {
            name: value if value.shape[1] == 1 else value[:, rows] for name, value in self.coefficients.items()
        }
        part.keys = self.keys[:, rows]
        return part

    def at(self, step: Tensor) -> dict[str, Tensor]:
        """Coefficients ``[R, 1]`` or ``[1, 1]`` of the step, an int64 tensor ``[1]``."""
        rows = {
            name: value.index_select(0, step) if len(value) > 1 else value for name, value in self.coefficients.items()
        }
        return {name: value[0] for name, value in rows.items()}

    def keys_at(self, step: Tensor) -> Tensor:
        """Keys ``[R]`` of the step, an int64 tensor ``[1]``."""
        return self.keys.index_select(0, step)[0]


class Step:
    """Takes steps, one after the other, and holds the state between them.

    Args:
        recipe: what a step does. table: coefficients and keys. data: the members' examples. state: before the first.
    """

    def __init__(self, recipe: Recipe, table: Table, data: Data, state: TrainState) -> None:
        self.recipe, self.table, self.data, self.state = recipe, table, data, state
        self.numbers = torch.arange(len(table.keys), device=table.keys.device)

    def __call__(self, number: int, positions: Tensor | None) -> Tensor:
        """Take step ``number``, counted from 0, on the examples at ``positions`` ``[R, B]``; None for all of them.

        Returns:
            The losses of the minibatches, ``[R]``.
        """
        raise NotImplementedError

    def settled(self, number: int) -> TrainState:
        """The state after ``number`` steps, members whose last update overflowed marked."""
        raise NotImplementedError


def take(
    recipe: Recipe,
    table: Table,
    data: Data,
    state: TrainState,
    number: Tensor,
    keys: Tensor,
    positions: Tensor | None,
) -> TrainState:
    """Look up the batch and the coefficients of step ``number`` (int64 ``[1]``), and take it; ``keys`` ``[R]`` are its."""
    batch = data.whole()[0] if positions is None else data.rows(positions)
    return advance(recipe, state, {**batch, "key": keys}, table.at(number))
