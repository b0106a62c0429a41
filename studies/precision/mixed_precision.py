"""Training an ensemble by a precision recipe: what arithmetic, what the weights are kept in, what scales the loss.

Momentum SGD with a learning rate falling linearly to zero, one recipe for all members. A member's loss may be given in
another unit (multiplied by a power of two), which changes nothing but the size of its gradient. Each member has its own
loss scale, which follows the rule of ``torch.amp.GradScaler`` (Micikevicius et al. 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.engine import memory
from claimcheck.engine.data import Data, Order
from claimcheck.engine.ensemble import Ensemble, hyper_of
from claimcheck.engine.optimizers import coefficients, init_state, update
from claimcheck.engine.schedules import multipliers
from claimcheck.engine.step import losses_and_gradient

from .number_formats import RoundedMLP, rounded


@dataclass(frozen=True)
class Precision:
    """A recipe: in what precision a network is trained.

    Attributes:
        number: format of the arithmetic. stored: format that weights and optimiser state are kept in.
        log2_scale: exponent of the loss scale (at the start, where it is dynamic). dynamic: the scale reacts.
        check: a step whose gradient is not finite is skipped. planted: exponent that the scale is set to once, half-way
            through (a static scale is set back after that step).
    """

    number: str
    stored: str = "fp32"
    log2_scale: int = 0
    dynamic: bool = False
    check: bool = False
    planted: int | None = None


@dataclass(frozen=True)
class Task:
    """What is trained, and how.

    Attributes:
        data, test: examples to learn and to be tested on. shape: inputs, hidden widths and outputs of the network.
        interval: good steps before a dynamic scale doubles. native: the device's own kernels instead of rounding.
    """

    recipe: Precision
    data: Data
    test: Data
    shape: tuple[int, list[int], int]
    steps: int
    batch_size: int
    learning_rate: float
    interval: int
    native: bool = False


@dataclass
class Training:
    """R members between two steps.

    Attributes:
        ensemble: its parameters are the current ones. state: the optimiser's.
        scale: of the loss, powers of two, ``[R]`` float32. good: steps since it last changed, ``[R]`` int64.
        skipped: skipped steps so far, ``[R]``. recovery: steps skipped in a row from the planted overflow on, ``[R]``.
        recovering: members that have not taken a step since. kept: weights untouched by every skipped step, ``[R]``.
        step: steps so far. batch: the examples of the next one.
    """

    ensemble: Ensemble
    state: dict[str, Tensor]
    scale: Tensor
    good: Tensor
    skipped: Tensor
    recovery: Tensor
    recovering: Tensor
    kept: Tensor
    step: int = 0
    batch: dict[str, Tensor] | None = None


Measure = Callable[[Training], pd.DataFrame]


def scaled_loss(predict, batch, hyper) -> Tensor:
    """Mean cross-entropy (nats) in the member's unit, times its loss scale: what is differentiated."""
    return F.cross_entropy(predict(batch["x"]), batch["y"]) * torch.exp2(hyper["log2_unit"]) * batch["scale"]


def build(runs: pd.DataFrame, context: Any, task: Task) -> Ensemble:
    """The runs' networks at their initial weights."""

    def network(run, generator):
        how = {"number": task.recipe.number, "native": task.native, "gain": getattr(run, "gain", 1.0)}
        return RoundedMLP(*task.shape, generator=generator, **how)

    defaults = {"log2_unit": 0.0, "learning_rate": task.learning_rate, "weight_decay": 0.0, "momentum": 0.9}
    hyper = hyper_of(runs, defaults, device=context.device)
    return Ensemble.build(runs, network, lambda seed: context.generator(seed, "init"), hyper, context.device)


def gradient(ensemble: Ensemble, batch: dict[str, Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
    """The scaled loss ``[R]`` and its gradient ``[R, P]``, on columns ``[R, B, ...]``."""
    columns = {**batch, "scale": scale}
    own = dict.fromkeys(columns, 0)
    return losses_and_gradient(ensemble, scaled_loss, ensemble.parameters, ensemble.buffers, columns, own)


def exact_gradient(training: Training) -> Tensor:
    """The gradient on the next batch in fp32, without a loss scale, ``[R, P]``."""
    ensemble = copy(training.ensemble)
    ensemble.skeleton = copy(ensemble.skeleton)
    ensemble.skeleton.number = "fp32"
    return gradient(ensemble, training.batch, torch.ones_like(training.scale))[1]


def train(runs: pd.DataFrame, context: Any, task: Task, at: Iterable[int], measure: Measure) -> pd.DataFrame:
    """Train every run: the tables of ``measure`` after each of the steps ``at`` (0: untrained).

    Columns of ``runs`` that count: log2_unit (of the loss), learning_rate and log2_scale (instead of the task's).
    """
    runs, moments = runs.reset_index(drop=True), sorted(at)

    def tile(rows: list[int]) -> pd.DataFrame:
        return _train_tile(runs.iloc[rows].reset_index(drop=True), len(runs), context, task, moments, measure)

    one = _start(runs.iloc[:1], context, task)
    batch = task.data.rows(torch.arange(task.batch_size, device=context.device)[None])
    size = memory.footprint(one.ensemble, scaled_loss, {**batch, "scale": one.scale}).bytes(copies=10)
    return pd.concat(memory.in_tiles(tile, len(runs), context, size), ignore_index=True)


def _train_tile(
    runs: pd.DataFrame, members: int, context: Any, task: Task, moments: list[int], measure: Measure
) -> pd.DataFrame:
    """Some of the ``members`` of the ensemble, from the first step to the last."""
    training, device, tables = _start(runs, context, task), context.device, []
    first_scale, table = training.scale, _coefficients(training.ensemble, task.steps)
    order = Order(list(runs["seed"]), lambda s: context.generator(s, "order"), len(task.data), task.batch_size, device)
    batches = map(task.data.rows, order)
    training.batch = next(batches)
    for moment in moments:
        for _ in context.steps(moment - training.step, len(runs)):
            _plant(training, task, first_scale)
            _step(training, task, {name: c[training.step][:, None] for name, c in table.items()})
            training.step, training.batch = training.step + 1, next(batches)
        training.step = moment  # a rehearsal takes fewer steps
        tables.append(measure(training))
        context.advance(len(runs) / members / len(moments))
    return pd.concat(tables, ignore_index=True)


def _start(runs: pd.DataFrame, context: Any, task: Task) -> Training:
    """The runs before their first step."""
    recipe, ensemble = task.recipe, build(runs, context, task)
    ensemble.parameters = rounded(ensemble.parameters, recipe.stored)
    exponents = runs["log2_scale"].tolist() if "log2_scale" in runs else [recipe.log2_scale] * len(runs)
    scale = torch.exp2(torch.tensor(exponents, dtype=torch.float32, device=context.device))
    none = torch.zeros_like(scale)
    return Training(
        ensemble,
        init_state("momentum", ensemble.parameters),
        scale,
        good=none.long(),
        skipped=none,
        recovery=none,
        recovering=none.bool(),
        kept=none + 1.0,
    )


def _coefficients(ensemble: Ensemble, steps: int) -> dict[str, Tensor]:
    """What each step multiplies by, ``[steps, R]`` each."""
    exact = {name: value.double() for name, value in ensemble.hyper.items()}
    falling = torch.from_numpy(multipliers("linear", steps)).to(ensemble.parameters.device)
    table = coefficients("momentum", exact, falling[:, None].expand(steps, len(ensemble)))
    return {name: value.float() for name, value in table.items()}


def _plant(training: Training, task: Task, first_scale: Tensor) -> None:
    """Set the scale so high that the gradient must overflow, once, half-way."""
    if task.recipe.planted is None:
        return
    if training.step == task.steps // 2:
        training.scale = torch.full_like(training.scale, 2.0**task.recipe.planted)
        training.recovering = torch.ones_like(training.recovering)
    elif not task.recipe.dynamic:
        training.scale = first_scale


def _step(training: Training, task: Task, c: dict[str, Tensor]) -> None:
    """One step of every member, in place."""
    recipe, ensemble, before = task.recipe, training.ensemble, training.ensemble.parameters
    _, scaled = gradient(ensemble, training.batch, training.scale)
    finite = torch.isfinite(scaled).all(1)
    found = scaled / training.scale[:, None] / torch.exp2(ensemble.hyper["log2_unit"])[:, None]
    parameters, state = update("momentum", before, found, training.state, c)
    parameters, state = rounded(parameters, recipe.stored), {k: rounded(v, recipe.stored) for k, v in state.items()}
    if recipe.check:
        taken = finite[:, None]
        parameters = torch.where(taken, parameters, before)
        state = {name: torch.where(taken, value, training.state[name]) for name, value in state.items()}
        training.skipped = training.skipped + ~finite
        training.recovery = training.recovery + (training.recovering & ~finite)
        training.recovering = training.recovering & ~finite
        training.kept = training.kept * (finite | (parameters == before).all(1))
    if recipe.dynamic:
        training.scale, training.good = next_scale(training.scale, training.good, finite, task.interval)
    ensemble.parameters, training.state = parameters, state


def next_scale(scale: Tensor, good: Tensor, finite: Tensor, interval: int) -> tuple[Tensor, Tensor]:
    """Scales and good steps after a step whose gradients were ``finite`` or not, all ``[R]``.

    Halved where they were not, doubled after ``interval`` good steps.
    """
    good = torch.where(finite, good + 1, 0)
    grow = good >= interval
    scale = torch.where(finite, torch.where(grow, 2.0 * scale, scale), scale / 2.0)
    return scale, torch.where(grow, 0, good)
