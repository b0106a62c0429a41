"""Checks that train a copy of the model for some steps: few examples, a ramp of rates, the first gradient norms."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from claimcheck.checklist.findings import (
    Batch,
    Finding,
    Loss,
    OptimizerOf,
    adam,
    dense,
    first_examples,
    loss_of,
    own_copy,
)

EXAMPLES = 16
STEPS = 100
LEARNT = 0.1
"""What may be left of the first loss on `EXAMPLES` examples after `STEPS` steps. Any network with more parameters than
examples can bring it to nothing (Zhang et al. 2017, Understanding deep learning requires rethinking generalization)."""

SMALL = 0.05
"""A loss below this counts as learnt, too: the model may come trained."""

RAMP = (1e-5, 10.0)
RAMP_STEPS = 25
FALL = 0.1
"""Share of the first loss by which a ramp must lower it at some rate."""

RATE_SHARES = (0.003, 1.0)
"""Where a rate may lie, as a share of the one at which a ramp's loss is lowest. A common rule takes a tenth."""

FIRST_STEPS = 10
SMALL_NORM = 0.01
"""Norm of the whole gradient before training, over the loss: what share of the loss a move of length 1 would take
off, in a straight line. It does not depend on the loss's unit. Healthy models have 0.02 (a plain MLP of thirty layers
on 512 examples of random classes) to some hundreds (torchvision's resnet50 on 16 small images)."""

GROWTH = 30.0
"""How many times the norm before training (or the loss before training, if that is more) a norm may come to. It is
growth that is judged, and no size: on 16 images of 32 by 32 pixels healthy models of torchvision begin with norms from
1.7 (mobilenet_v3_small) to 6,000 (mnasnet0_5), with batch norm the larger the smaller the batch. At usual rates of
SGD or Adam none of those that were tried grows by more than 9."""


def overfit(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    optimizer: OptimizerOf = adam,
    *,
    steps: int = STEPS,
    floor: float | None = 0.0,
) -> list[Finding]:
    """Train on the first few examples of the batch until next to nothing is left of the loss.

    Args:
        steps: after which it must be; more for an optimiser with a low rate.
        floor: the least value that the loss can have, as cross-entropy and squared errors have; None for losses that
            may be negative, such as likelihoods of densities.
    """
    model = own_copy(model)
    few = first_examples(batch[0], EXAMPLES), first_examples(batch[1], EXAMPLES)
    way, first = optimizer(model), math.nan
    for step in range(steps):
        value = loss_of(model, few, loss)
        now = float(value.detach())
        first = now if step == 0 else first
        if not math.isfinite(now):
            return [
                _not_learnt("the loss is not finite", step, f"{now}", "a finite number", "lower the rate; call trace")
            ]
        if floor is not None and now < floor - 1e-6:
            return [
                _not_learnt(
                    "the loss is below its least value", step, f"{now:.3g}", f"{floor:g} or more", "look at its sign"
                )
            ]
        if now <= max(SMALL, LEARNT * first):
            return []
        _update(way, value)
    seen = f"from {first:.3g} to {now:.3g}"
    advice = "look at the loss, the learning rate, the gradient's path, and what the optimiser is given"
    return [
        _not_learnt("a few examples are not learnt", steps, seen, f"{max(SMALL, LEARNT * first):.2g} or less", advice)
    ]


def _not_learnt(what: str, step: int, seen: str, expected: str, advice: str) -> Finding:
    return Finding("overfit", what, f"{EXAMPLES} examples, step {step}", seen, expected, advice)


def learning_rate(model: nn.Module, batch: Batch, loss: Loss, optimizer: OptimizerOf | None = None) -> list[Finding]:
    """Raise the rate geometrically over a short training run, and hold the optimiser's own against the best one.

    The ramp ends early once the loss has become four times the first one. Rates of parameter groups keep their ratios.
    Where no optimiser is given, there is no rate to judge: some rate must lower the loss.
    """
    model = own_copy(model)
    way = (optimizer or adam)(model)
    given = [group["lr"] for group in way.param_groups]
    rates = [RAMP[0] * (RAMP[1] / RAMP[0]) ** (step / (RAMP_STEPS - 1)) for step in range(RAMP_STEPS)]
    losses: list[float] = []
    for rate in rates:
        for group, own in zip(way.param_groups, given):
            group["lr"] = rate * own / given[0] if given[0] else rate
        value = loss_of(model, batch, loss)
        losses.append(float(value.detach()))
        if not abs(losses[-1]) <= 4.0 * abs(losses[0]):
            break
        _update(way, value)
    finite = [each if math.isfinite(each) else math.inf for each in losses]
    lowest = min(range(len(finite)), key=finite.__getitem__)
    fall = (finite[0] - finite[lowest]) / abs(finite[0]) if math.isfinite(finite[0]) and finite[0] else 0.0
    if not fall >= FALL:
        where, seen = (
            f"rates from {rates[0]:g} to {rates[len(losses) - 1]:.2g}",
            f"the loss falls by {max(fall, 0.0):.1%}",
        )
        advice = "no rate helps, so look at the loss and the gradient's path"
        return [Finding("learning_rate", "no rate lowers the loss", where, seen, f"{FALL:.0%} or more", advice)]
    share = given[0] / rates[lowest]
    if optimizer is None or RATE_SHARES[0] <= share <= RATE_SHARES[1]:
        return []
    low, high = (each * rates[lowest] for each in RATE_SHARES)
    what = "the learning rate is too high" if share > 1 else "the learning rate is too low"
    expected = f"{low:.1g} to {high:.1g}"
    return [Finding("learning_rate", what, "optimiser", f"{given[0]:g}", expected, f"try {rates[lowest] / 10:.1g}")]


def gradient_norms(model: nn.Module, batch: Batch, loss: Loss, optimizer: OptimizerOf | None = None) -> list[Finding]:
    """Whether the norm of the whole gradient is small before training, or grows or is not finite in the first steps.

    It is small beside the loss; later it is not judged, since a batch that is learnt within these steps rightly leaves
    a small gradient. It grows beside what it was before training. Where no optimiser is given, the steps are Adam's,
    and growth, which may be its rate's fault, is not judged: at that rate torchvision's vgg11, which is healthy, grows
    by 20,000.
    """
    model = own_copy(model)
    norms, losses = early_norms(model, batch, loss, (optimizer or adam)(model))
    most = GROWTH * max(norms[0], abs(losses[0])) if optimizer else math.inf
    for step, (norm, value) in enumerate(zip(norms, losses)):
        if not math.isfinite(norm):
            return [_norm("gradients are not finite", step, norm, "a finite number", "lower the rate; call trace")]
        if norm > most:
            advice = "normalise, clip, or lower rate and initial weights"
            return [_norm("gradients grow", step, norm, f"at most {most:.2g}", advice)]
        if step == 0 and norm < SMALL_NORM * abs(value):
            expected = f"{SMALL_NORM * abs(value):.2g} or more"
            advice = "look at depth, initial weights and the size of targets"
            return [_norm("small gradients", step, norm, expected, advice)]
    return []


def _norm(what: str, step: int, norm: float, expected: str, advice: str) -> Finding:
    return Finding("gradient_norms", what, f"step {step}", f"norm {norm:.3g}", expected, advice)


def early_norms(model: nn.Module, batch: Batch, loss: Loss, optimizer: Optimizer) -> tuple[list[float], list[float]]:
    """Norms of the gradients of the first steps, and losses, up to the first that is not finite; trains `model`."""
    norms: list[float] = []
    losses: list[float] = []
    for _ in range(FIRST_STEPS):
        value = loss_of(model, batch, loss)
        losses.append(float(value.detach()))
        _update(optimizer, value)
        own = [dense(each.grad).norm() for each in model.parameters() if each.grad is not None]
        norms.append(float(torch.stack(own).norm()) if own else 0.0)
        if not math.isfinite(norms[-1]):
            break
    return norms, losses


def _update(optimizer: Optimizer, value: Tensor) -> None:
    optimizer.zero_grad()
    value.backward()
    optimizer.step()
