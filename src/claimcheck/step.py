"""One training step of a whole ensemble: minibatch -> losses -> gradient -> update, each member by itself.

Losses are summed over the members, never averaged, so each member's gradient is its own. A member whose loss or
parameters are no longer finite keeps its last finite numbers from then on; the others never notice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from claimcheck.ensemble import Ensemble
from claimcheck.noise import fold
from claimcheck.optimizers import State, clip, update

Loss = Callable[..., Tensor]


@dataclass
class Progress:
    """Where training has come to.

    Attributes:
        parameters: ``[R, P]``. state: the optimiser's matrices. buffers: the modules', ``[R, ...]`` each.
        diverged_at: step at which a member went non-finite, -1 while it has not, ``[R]`` int64.
        losses: of the last minibatch, ``[R]``.
        step: steps taken.
    """

    parameters: Tensor
    state: State
    buffers: dict[str, Tensor]
    diverged_at: Tensor
    losses: Tensor
    step: int

    @classmethod
    def start(cls, ensemble: Ensemble, state: State) -> Progress:
        members, device = len(ensemble), ensemble.parameters.device
        alive = torch.full((members,), -1, device=device)
        return cls(ensemble.parameters, state, ensemble.buffers, alive, torch.full((members,), torch.nan, device=device), 0)


def losses_and_gradient(
    ensemble: Ensemble, loss: Loss, parameters: Tensor, buffers: Mapping[str, Tensor], batch: Mapping[str, Tensor], dims: Mapping[str, int | None]
) -> tuple[Tensor, Tensor]:
    """Each member's loss ``[R]`` and its gradient ``[R, P]``. Buffers are changed in place.

    The forward pass is mapped over the members; differentiating the sum of the losses outside the map is faster in
    eager mode than mapping a gradient, and gives each member its own gradient all the same.
    """
    parameters = parameters.detach().requires_grad_()
    losses = ensemble.apply(loss, ensemble.layout.views(parameters), buffers, batch, dims)
    (gradient,) = torch.autograd.grad(losses.sum(), parameters)
    return losses.detach(), gradient


class Step:
    """Takes steps of one ensemble.

    Args:
        ensemble: its skeleton, layout and hyperparameters are used; its parameters are not changed.
        loss: of one network.
        optimizer: name of the rule.
        table: :func:`claimcheck.optimizers.coefficients`, ``[steps, R]`` each, in the parameters' dtype.
    """

    def __init__(self, ensemble: Ensemble, loss: Loss, optimizer: str, table: Mapping[str, Tensor]) -> None:
        self.ensemble, self.loss, self.optimizer, self.table = ensemble, loss, optimizer, table
        self.keys = torch.zeros(len(ensemble), dtype=torch.int64, device=ensemble.parameters.device)
        threshold = ensemble.hyper.get("clip")
        self.threshold = None if threshold is None or bool(threshold.isinf().all()) else threshold[:, None]

    def __call__(self, progress: Progress, batch: Mapping[str, Tensor], dims: Mapping[str, int | None]) -> Progress:
        """The next step, on the columns ``batch`` (``dims``: 0 where a column has a row per member, None if shared)."""
        t = progress.step
        self.ensemble.skeleton.train()
        batch = {**batch, "key": fold(self.keys, t)}
        buffers = {name: value.clone() for name, value in progress.buffers.items()}
        losses, gradient = losses_and_gradient(self.ensemble, self.loss, progress.parameters, buffers, batch, {**dims, "key": 0})
        if self.threshold is not None:
            gradient = clip(gradient, self.threshold)
        c = {name: value[t][:, None] for name, value in self.table.items()}
        parameters, state = update(self.optimizer, progress.parameters, gradient, progress.state, c)
        return settle(progress, Progress(parameters, state, buffers, progress.diverged_at, losses, t + 1))


def settle(before: Progress, after: Progress) -> Progress:
    """Keep the old numbers of members that are, or have just become, non-finite."""
    finite = torch.isfinite(after.losses) & torch.isfinite(after.parameters.sum(1))
    alive = finite & (before.diverged_at < 0)
    if bool(alive.all()):
        return after

    def keep(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(alive.view(-1, *[1] * (new.dim() - 1)), new, old)

    return Progress(
        keep(after.parameters, before.parameters),
        {name: keep(value, before.state[name]) for name, value in after.state.items()},
        {name: keep(value, before.buffers[name]) for name, value in after.buffers.items()},
        torch.where(finite | (before.diverged_at >= 0), before.diverged_at, after.step),
        after.losses,
        after.step,
    )
