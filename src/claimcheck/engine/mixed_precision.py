"""Training an ensemble by a precision recipe: what arithmetic, what the weights are kept in, what scales the loss.

Momentum SGD with a learning rate falling linearly to zero, one recipe for all members. A member's loss may be given in
another unit (multiplied by a power of two), which changes nothing but the size of its gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.engine import memory
from claimcheck.engine.data import Data, Order
from claimcheck.engine.ensemble import Ensemble, hyper_of
from claimcheck.engine.loss_scaling import LossScale
from claimcheck.engine.number_formats import RoundedMLP, rounded
from claimcheck.engine.optimizers import coefficients, init_state, update
from claimcheck.engine.schedules import multipliers
from claimcheck.engine.step import losses_and_gradient
from claimcheck.errors import ClaimcheckError


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

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


@dataclass
class Run:
    """State of R members between steps.

    Attributes:
        ensemble: its parameters are the current ones. state: optimiser's. scale: of the loss.
        skipped: skipped steps so far, ``[R]``. recovery: steps skipped in a row from the planted overflow on, ``[R]``.
        recovering: members that have not taken a step since. kept: weights untouched by every skipped step, ``[R]``.
    """

    ensemble: Ensemble
    state: dict[str, Tensor]
    scale: LossScale
    skipped: Tensor
    recovery: Tensor
    recovering: Tensor
    kept: Tensor
    step: int = 0
    batch: dict[str, Tensor] = field(default_factory=dict)


def scaled_loss(predict, batch, hyper) -> Tensor:
    """Mean cross-entropy (nats) in the member's unit, times its loss scale: what is differentiated."""
    return F.cross_entropy(predict(batch["x"]), batch["y"]) * torch.exp2(hyper["log2_unit"]) * batch["scale"]


def build(runs: pd.DataFrame, context: Any, number: str, shape: tuple, native: bool) -> Ensemble:
    """The runs' networks at their initial weights, computing in ``number``."""

    def network(run, generator):
        return RoundedMLP(*shape, generator=generator, number=number, native=native, gain=getattr(run, "gain", 1.0))

    defaults = {"log2_unit": 0.0, "learning_rate": 0.0, "weight_decay": 0.0, "momentum": 0.9}
    hyper = hyper_of(runs, defaults, device=context.device)
    return Ensemble.build(runs, network, lambda seed: context.generator(seed, "init"), hyper, context.device)


def gradient(ensemble: Ensemble, batch: dict[str, Tensor], scale: Tensor) -> tuple[Tensor, Tensor]:
    """Loss in nats ``[R]`` and the gradient ``[R, P]`` of the scaled loss, on columns ``[R, B, ...]``."""
    columns = {**batch, "scale": scale}
    losses, found = losses_and_gradient(
        ensemble, scaled_loss, ensemble.parameters, ensemble.buffers, columns, dict.fromkeys(columns, 0)
    )
    return losses / (torch.exp2(ensemble.hyper["log2_unit"]) * scale), found


def train(
    runs: pd.DataFrame,
    context: Any,
    recipe: Recipe,
    data: Data,
    shape: tuple,
    *,
    at: Sequence[int],
    steps: int,
    batch_size: int,
    interval: int,
    measure: Callable[[Run], pd.DataFrame],
    native: bool = False,
) -> pd.DataFrame:
    """Train every run by ``recipe`` and return what ``measure`` says after each of the steps ``at`` (0: untrained).

    Args:
        runs: may have columns learning_rate, log2_unit (the unit of the loss) and log2_scale (instead of the recipe's).
        shape: inputs, widths, outputs of the network. interval: good steps before a dynamic scale doubles.
        native: the device's own kernels instead of rounding.
    """
    if at and max(at) > steps:
        raise ClaimcheckError("steps to measure after", found=sorted(at), expected=f"at most {steps}")
    plan = Plan(recipe, data, shape, sorted(at), steps, batch_size, interval, measure, native)
    runs = runs.reset_index(drop=True)
    tables = memory.in_tiles(
        lambda rows: _train_tile(runs.iloc[rows].reset_index(drop=True), len(runs), context, plan),
        len(runs),
        context,
        _bytes_per_member(runs.iloc[:1], context, plan),
    )
    return pd.concat(tables, ignore_index=True)


@dataclass(frozen=True)
class Plan:
    """What is trained, for whatever runs; the arguments of :func:`train`."""

    recipe: Recipe
    data: Data
    shape: tuple
    at: list[int]
    steps: int
    batch_size: int
    interval: int
    measure: Callable[[Run], pd.DataFrame]
    native: bool


def _start(runs: pd.DataFrame, context: Any, plan: Plan) -> Run:
    """The runs before their first step."""
    recipe = plan.recipe
    ensemble = build(runs, context, recipe.number, plan.shape, plan.native)
    ensemble.parameters = rounded(ensemble.parameters, recipe.stored)
    exponents = runs["log2_scale"].tolist() if "log2_scale" in runs else [recipe.log2_scale] * len(runs)
    scale = torch.exp2(torch.tensor(exponents, dtype=torch.float32, device=context.device))
    none = torch.zeros(len(runs), device=context.device)
    scales = LossScale.start(scale, recipe.dynamic, plan.interval)
    return Run(ensemble, init_state("momentum", ensemble.parameters), scales, none, none, none.bool(), none + 1.0)


def _train_tile(runs: pd.DataFrame, members: int, context: Any, plan: Plan) -> pd.DataFrame:
    """Some of the ``members`` of the ensemble, from the first step to the last."""
    run, device = _start(runs, context, plan), context.device
    before = run.scale
    exact = {name: value.double() for name, value in run.ensemble.hyper.items()}
    falling = torch.from_numpy(multipliers("linear", plan.steps)).to(device)[:, None].expand(plan.steps, len(runs))
    table = {name: c.float() for name, c in coefficients("momentum", exact, falling).items()}
    order = Order(list(runs["seed"]), lambda s: context.generator(s, "order"), len(plan.data), plan.batch_size, device)
    batches, tables = map(plan.data.rows, order), []
    run.batch = next(batches)
    for moment in plan.at:
        for _ in context.steps(moment - run.step, len(runs)):
            _plant(run, plan.recipe, before, plan.steps)
            _step(run, plan.recipe, {name: c[run.step][:, None] for name, c in table.items()})
            run.step, run.batch = run.step + 1, next(batches)
        run.step = moment
        tables.append(plan.measure(run))
        context.advance(len(runs) / members / len(plan.at))
    return pd.concat(tables, ignore_index=True)


def _bytes_per_member(first: pd.DataFrame, context: Any, plan: Plan) -> int:
    """Estimate of the memory that one network takes, from one forward pass."""
    run = _start(first, context, plan)
    batch = plan.data.rows(torch.arange(plan.batch_size, device=context.device)[None])
    return memory.footprint(run.ensemble, scaled_loss, {**batch, "scale": run.scale.scale}).bytes(copies=10)


@contextmanager
def computed_in(ensemble: Ensemble, number: str) -> Iterator[None]:
    """The ensemble computes in another format for a while."""
    was = ensemble.skeleton.number
    ensemble.skeleton.number = number
    try:
        yield
    finally:
        ensemble.skeleton.number = was


def _plant(run: Run, recipe: Recipe, before: LossScale, steps: int) -> None:
    """Set the scale so high that the gradient must overflow, once, half-way."""
    if recipe.planted is None:
        return
    if run.step == steps // 2:
        planted = torch.full_like(run.scale.scale, 2.0**recipe.planted)
        run.scale = replace(run.scale, scale=planted)
        run.recovering = torch.ones_like(run.recovering)
    elif not recipe.dynamic:
        run.scale = before


def _step(run: Run, recipe: Recipe, c: dict[str, Tensor]) -> None:
    """One step of every member, in place."""
    ensemble, before = run.ensemble, run.ensemble.parameters
    _, scaled = gradient(ensemble, run.batch, run.scale.scale)
    found, finite = run.scale.unscale(scaled)
    found = found / torch.exp2(ensemble.hyper["log2_unit"])[:, None]
    parameters, state = update("momentum", before, found, run.state, c)
    parameters, state = rounded(parameters, recipe.stored), {k: rounded(v, recipe.stored) for k, v in state.items()}
    if recipe.check:
        taken = finite[:, None]
        parameters = torch.where(taken, parameters, before)
        state = {name: torch.where(taken, value, run.state[name]) for name, value in state.items()}
        run.skipped = run.skipped + ~finite
        run.recovery = run.recovery + (run.recovering & ~finite)
        run.recovering = run.recovering & ~finite
        run.kept = run.kept * (finite | (parameters == before).all(1))
        run.scale = run.scale.after(finite)
    ensemble.parameters, run.state = parameters, state
