"""The lecture's debugging checklist, to be run on a model of your own: plain `nn.Module`s, on whatever device they are.

    from claimcheck.checklist import check

    for finding in check(model, (inputs, targets), torch.nn.CrossEntropyLoss(), optimizer=make_optimizer):
        print(finding)

How often each check finds which bug, and how often it cries wolf, is measured by the study `debugging_checklist`. The
model and its gradients are left as they were, by `check` torch's random state, too. Nothing here uses the rest of the
package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn

from claimcheck.checklist.data import data, duplicates, label_order
from claimcheck.checklist.findings import Batch, Finding, Loss, OptimizerOf, adam
from claimcheck.checklist.gradients import gradient
from claimcheck.checklist.tracing import trace
from claimcheck.checklist.training import STEPS, gradient_norms, learning_rate, overfit

__all__ = [
    "CHECKS", "Finding", "check", "data", "duplicates", "gradient", "gradient_norms", "label_order", "learning_rate",
    "overfit", "trace",
]  # fmt: skip

LECTURE = ("gradient", "data", "overfit", "learning_rate", "gradient_norms")
"""The lecture's five checks."""

OURS = ("duplicates", "label_order")
"""Two that it lacks."""

CHECKS = LECTURE + OURS


def check(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    *,
    optimizer: OptimizerOf | None = None,
    train: Batch | None = None,
    test: Batch | None = None,
    checks: Iterable[str] = CHECKS,
    steps: int = STEPS,
    floor: float | None = 0.0,
) -> list[Finding]:
    """What is wrong with a model, its data and its training, as far as short checks can tell; an empty list if nothing.

    Args:
        model: as it is before training, in the mode in which it is trained. It is not changed.
        batch: inputs and targets, `[B, ...]`, on the model's device. Inputs are a tensor, a sequence of arguments, or a
            mapping of keyword arguments of the model.
        loss: ``loss(outputs, targets)``, a scalar to be made small.
        optimizer: makes the one that training will use, ``lambda model: SGD(model.parameters(), lr=0.1)``. Without
            one the checks train by Adam, and neither a rate nor what it does to gradients is judged.
        train: all training inputs and targets, in the order of training; the batch where none are given.
        test: test inputs and targets; without them duplicates are not looked for.
        checks: names from `CHECKS`, which are done in this order.
        steps: in which a few examples must be learnt; more for an optimiser with a low rate.
        floor: the least value that the loss can have, None where it has none.

    Raises:
        ValueError: a check of an unknown name.
    """
    wanted = list(checks)
    if unknown := [name for name in wanted if name not in CHECKS]:
        raise ValueError(f"checks: found {unknown[0]!r}, expected some of {', '.join(CHECKS)}")
    whole, way = batch if train is None else train, optimizer or adam
    tasks: dict[str, Callable[[], list[Finding]]] = {
        "gradient": lambda: gradient(model, batch, loss),
        "data": lambda: data(*whole),
        "overfit": lambda: overfit(model, batch, loss, way, steps=steps, floor=floor),
        "learning_rate": lambda: learning_rate(model, batch, loss, optimizer),
        "gradient_norms": lambda: gradient_norms(model, batch, loss, optimizer),
        "duplicates": lambda: [] if test is None else duplicates(whole[0], test[0]),
        "label_order": lambda: label_order(whole[1]),
    }
    found: list[Finding] = []
    with torch.random.fork_rng(_cards(model)):
        for name in CHECKS:
            if name in wanted:
                found += _tried(name, tasks[name])
    return found


def _tried(name: str, step: Callable[[], list[Finding]]) -> list[Finding]:
    """What a check finds; a model that cannot be run is a finding, too."""
    try:
        return step()
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return [
            Finding(
                name, "the check cannot be run", type(error).__name__, line, "a model that trains", "mend this first"
            )
        ]


def _cards(model: nn.Module) -> list[int]:
    """Numbers of the GPUs whose random state the model's layers may draw from."""
    devices = {tensor.device for tensor in (*model.parameters(), *model.buffers())}
    return sorted({device.index or 0 for device in devices if device.type == "cuda"})
