"""The plain way to train: one network, ``torch.optim``, ``torch.optim.lr_scheduler``, a loop.

Nothing but tests and the benchmark uses it: it is what the ensemble must equal, and be faster than.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import lr_scheduler

from claimcheck.engine.data import Data
from claimcheck.engine.noise import fold
from claimcheck.engine.train import HYPER, cross_entropy


def train_one(
    run: Any,
    context: Any,
    *,
    network: Callable[..., nn.Module],
    data: Data,
    steps: int,
    loss: Callable[..., Tensor] = cross_entropy,
    batch_size: int | None = None,
    optimizer: str = "sgd",
    hyper: Mapping[str, Any] | None = None,
    milestones: tuple[float, ...] = (0.5, 0.75),
) -> tuple[nn.Module, list[float]]:
    """Train one run's network; the trained module (in train mode) and the loss of each minibatch.

    The arguments are those of :func:`claimcheck.engine.train.train`; ``data`` is one member's
    (``Data.members([row])``).
    """
    settings = {**HYPER, **(hyper or {}), **run._asdict()}
    module = network(run, context.generator(run.seed, "init")).train()
    optimise = optimizer_of(optimizer, module, settings)
    schedule = scheduler_of(optimise, settings, steps, milestones)
    numbers = {name: torch.tensor(float(value)) for name, value in settings.items() if not isinstance(value, str)}
    key, losses = torch.tensor(context.key(run.seed, "step")), []
    for step, batch in zip(context.steps(steps, 1), batches(data, run.seed, context, batch_size)):
        optimise.zero_grad()
        value = loss(module, {**batch, "key": fold(key, step)}, numbers)
        value.backward()
        if math.isfinite(settings["clip"]):
            nn.utils.clip_grad_norm_(module.parameters(), settings["clip"])
        optimise.step()
        schedule.step()
        losses.append(value.item())
    return module, losses


def batches(data: Data, seed: int, context: Any, batch_size: int | None) -> Iterator[dict[str, Tensor]]:
    """One member's minibatches without end: shuffled epochs, the partial batch dropped."""
    whole, dims = data.whole()
    columns = {name: column if dims[name] is None else column[0] for name, column in whole.items()}
    examples, generator = len(data), context.generator(seed, "order")
    while True:
        if batch_size is None:
            yield columns
            continue
        order = torch.randperm(examples, generator=generator)
        for start in range(0, examples - batch_size + 1, batch_size):
            chosen = order[start : start + batch_size]
            yield {name: column[chosen] for name, column in columns.items()}


def optimizer_of(name: str, module: nn.Module, settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """The rule of that name in ``torch.optim``."""
    common = {"lr": settings["learning_rate"], "weight_decay": settings["weight_decay"]}
    if name in ("sgd", "momentum"):
        return torch.optim.SGD(
            module.parameters(), momentum=settings["momentum"] if name == "momentum" else 0.0, **common
        )
    rule = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return rule(module.parameters(), betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"], **common)


def scheduler_of(
    optimise: torch.optim.Optimizer, settings: Mapping[str, Any], steps: int, milestones: tuple[float, ...]
) -> lr_scheduler.LRScheduler:
    """The schedule of that name from ``torch.optim.lr_scheduler``, after a linear warmup if there is one."""
    warm = round(settings["warmup"] * steps)
    rest = max(steps - warm, 1)
    name, factor = settings["schedule"], settings["decay_factor"]
    if name == "constant":
        then = lr_scheduler.ConstantLR(optimise, factor=1.0)
    elif name == "step":
        then = lr_scheduler.MultiStepLR(optimise, [math.ceil(m * rest) for m in milestones], gamma=factor)
    elif name == "cosine":
        then = lr_scheduler.CosineAnnealingLR(optimise, T_max=rest)
    elif name == "linear":
        then = lr_scheduler.LinearLR(optimise, start_factor=1.0, end_factor=0.0, total_iters=rest)
    else:
        then = lr_scheduler.ExponentialLR(optimise, gamma=factor ** (1.0 / rest))
    if not warm:
        return then
    first = lr_scheduler.LinearLR(optimise, start_factor=1.0 / warm, end_factor=1.0, total_iters=max(warm - 1, 1))
    return lr_scheduler.SequentialLR(optimise, [first, then], milestones=[warm])
