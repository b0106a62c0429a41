"""Training an ensemble by a precision recipe: what arithmetic, what the weights are kept in, what scales the loss.

Momentum SGD with a learning rate falling linearly to zero, after a warmup if any, one recipe for all members. A member's loss may be given in
another unit (multiplied by a power of two), which changes nothing but the size of its gradient. Each member has its own
loss scale, which follows the rule of ``torch.amp.GradScaler`` (Micikevicius et al. 2018, section 3.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.data.draws import draw_each
from claimcheck.engine import memory
from claimcheck.engine.data import Data, Order
from claimcheck.engine.ensemble import Ensemble, hyper_of
from claimcheck.engine.schedules import multipliers
from claimcheck.engine.step import losses_and_gradient

from .number_formats import RoundedMLP, rounded


@dataclass(frozen=True)
class Precision:
    """A recipe: in what precision a network is trained.

    Attributes:
        number: format of the arithmetic. native: the device's own kernels of that format instead of rounding.
        stored: format that weights and velocity are kept in.
        log2_scale: exponent of the loss scale (at the start, where it is dynamic). dynamic: the scale reacts.
        check: a step whose gradient is not finite is skipped.
        planted: exponent that the scale is set to once, half-way (a static scale is set back after that step).
    """

    number: str
    stored: str = "fp32"
    log2_scale: int = 0
    dynamic: bool = False
    check: bool = False
    planted: int | None = None
    native: bool = False


class Training:
    """R members on their way, learning the part's images by a recipe.

    Args:
        runs: of one data set; columns that count: gain (of the initial weights), norm, warmup (share of the steps),
            log2_unit (of the loss), learning_rate and log2_scale (instead of the part's and the recipe's), network (which
            of a seed's several, of the same data).

    Attributes:
        data, test: each member's own examples. multipliers: of the learning rate, ``[steps, R]`` float64. ensemble: with the current parameters. velocity: momentum's, ``[R, P]``.
        step: steps so far. batch: examples of the next one; before training the first ones of the data.
        scale: of the loss, powers of two, ``[R]`` float32. good: steps since it last changed, ``[R]`` int64.
        skipped: skipped steps, ``[R]``. kept: 1 where every one of them left the weights as they were, ``[R]``.
        recovering: members without a step since the planted overflow. recovery: steps that they skipped since.
    """

    def __init__(self, runs: pd.DataFrame, context: Any, recipe: Precision) -> None:
        s, device, name = context.settings, context.device, runs["dataset"].iloc[0]
        own = draw_each(context, name, runs["seed"], **s.examples[name])
        pool = own.pool.flat()
        shape = (pool.x_train.shape[1], [s.width] * s.depth, pool.classes)
        fixed = {
            "log2_unit": 0.0,
            "learning_rate": s.learning_rates[name],
            "log2_scale": recipe.log2_scale,
            "warmup": 0.0,
        }

        def network(run, generator):
            how = {"number": recipe.number, "native": recipe.native, "gain": getattr(run, "gain", 1.0)}
            return RoundedMLP(*shape, generator=generator, norm=getattr(run, "norm", None), **how)

        self.recipe, self.settings = recipe, s
        self.data = Data({"x": pool.x_train, "y": pool.y_train}, subset=own.train)
        self.test = Data({"x": pool.x_test, "y": pool.y_test}, subset=own.test)
        hyper = hyper_of(runs, fixed, device)
        tables = [multipliers("linear", s.steps, share) for share in hyper["warmup"].tolist()]
        self.multipliers = torch.from_numpy(np.stack(tables, axis=1)).to(device)
        streams, named = _streams(runs, context)
        self.ensemble = Ensemble.build(runs.assign(seed=named), network, lambda n: streams(n, "init"), hyper, device)
        self.ensemble.parameters = rounded(self.ensemble.parameters, recipe.stored)
        self.velocity = torch.zeros_like(self.ensemble.parameters)
        order = Order(named, lambda n: streams(n, "order"), len(self.data), s.batch_size, device)
        self.step, self.batches = 0, map(self.data.rows, order)
        self.batch = self.data.rows(torch.arange(s.batch_size, device=device).expand(len(runs), -1))
        self.scale = torch.exp2(hyper["log2_scale"])
        self.skipped, self.recovery, self.kept = (torch.full_like(self.scale, each) for each in (0.0, 0.0, 1.0))
        self.good, self.recovering = self.skipped.long(), self.skipped.bool()

    def gradient(self, exact: bool = False) -> tuple[Tensor, Tensor]:
        """Losses ``[R]`` and gradient ``[R, P]`` on the next batch, scaled; ``exact``: in fp32, without the scale."""
        ensemble, scale = self.ensemble, self.scale
        if exact:
            ensemble, scale = copy(ensemble), torch.ones_like(scale)
            ensemble.skeleton = copy(ensemble.skeleton)
            ensemble.skeleton.number = "fp32"
        columns = {**self.batch, "scale": scale}
        return losses_and_gradient(ensemble, scaled_loss, ensemble.parameters, {}, columns, dict.fromkeys(columns, 0))

    def take_step(self) -> None:
        """One step of every member."""
        recipe, ensemble, before = self.recipe, self.ensemble, self.ensemble.parameters
        self._plant()
        _, scaled = self.gradient()
        finite = torch.isfinite(scaled).all(1)
        unscaled = scaled / self.scale[:, None] / torch.exp2(ensemble.hyper["log2_unit"])[:, None]
        rate = ensemble.hyper["learning_rate"].double() * self.multipliers[self.step]
        velocity = self.settings.momentum * self.velocity + unscaled
        weights = rounded(before - rate.float()[:, None] * velocity, recipe.stored)
        velocity = rounded(velocity, recipe.stored)
        if recipe.check:
            weights = torch.where(finite[:, None], weights, before)
            velocity = torch.where(finite[:, None], velocity, self.velocity)
            self.skipped = self.skipped + ~finite
            self.kept = self.kept * (finite | (weights == before).all(1))
            self.recovering = self.recovering & ~finite
            self.recovery = self.recovery + self.recovering
        if recipe.dynamic:
            self.scale, self.good = next_scale(self.scale, self.good, finite, self.settings.interval)
        ensemble.parameters, self.velocity = weights, velocity
        self.step, self.batch = self.step + 1, next(self.batches)

    def _plant(self) -> None:
        """Half-way, once, set the scale so high that the gradient must overflow; then set a static scale back."""
        recipe = self.recipe
        if recipe.planted is not None and self.step == self.settings.steps // 2:
            self.scale = torch.full_like(self.scale, 2.0**recipe.planted)
            self.recovering = torch.ones_like(self.recovering)
        elif recipe.planted is not None and not recipe.dynamic:
            self.scale = torch.full_like(self.scale, 2.0**recipe.log2_scale)


def _streams(runs: pd.DataFrame, context: Any) -> tuple[Callable[[int, str], torch.Generator], list[int]]:
    """Streams of each of a seed's networks, by number and purpose, and the numbers of the runs."""
    pairs = list(zip(runs["seed"], runs["network"] if "network" in runs else [0] * len(runs)))
    unique = list(dict.fromkeys(pairs))

    def stream(number: int, purpose: str) -> torch.Generator:
        seed, network = unique[number]
        return context.generator(int(seed), f"{purpose}/{network}" if network else purpose)

    return stream, [unique.index(pair) for pair in pairs]


def scaled_loss(predict, batch, hyper) -> Tensor:
    """Mean cross-entropy (nats) in the member's unit, times its loss scale: what is differentiated."""
    return F.cross_entropy(predict(batch["x"]), batch["y"]) * torch.exp2(hyper["log2_unit"]) * batch["scale"]


def next_scale(scale: Tensor, good: Tensor, finite: Tensor, interval: int) -> tuple[Tensor, Tensor]:
    """Scales and good steps after a step whose gradients were ``finite`` or not, all ``[R]``.

    Halved where they were not, doubled after ``interval`` good steps.
    """
    good = torch.where(finite, good + 1, 0)
    grow = good >= interval
    scale = torch.where(finite, torch.where(grow, 2.0 * scale, scale), scale / 2.0)
    return scale, torch.where(grow, 0, good)


def train(
    runs: pd.DataFrame, context: Any, recipe: Precision, at: Iterable[int], measure: Callable[[Training], pd.DataFrame]
) -> pd.DataFrame:
    """Train every run: the tables of ``measure`` after each of the steps ``at`` (0: untrained)."""
    moments = sorted(at)

    def tile(rows: list[int]) -> pd.DataFrame:
        training, tables = Training(runs.iloc[rows], context, recipe), []
        training.batch = next(training.batches)
        for count, moment in enumerate(moments, 1):
            for _ in context.steps(moment - training.step, len(rows)):
                training.take_step()
            training.step = moment  # a rehearsal takes fewer steps
            tables.append(measure(training))
            context.advance((rows[0] + len(rows) * count / len(moments)) / len(runs))
        return pd.concat(tables)

    one = Training(runs.iloc[:1], context, recipe)
    size = memory.footprint(one.ensemble, scaled_loss, {**one.batch, "scale": one.scale}).bytes(copies=10)
    return pd.concat(memory.in_tiles(tile, len(runs), context, size), ignore_index=True)
