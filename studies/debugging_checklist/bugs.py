"""Bugs to plant: each changes one thing of a healthy case, which is a model, its data, its loss and its optimiser.

Every number in them is fixed here, before anything was measured, and is of the size in which such bugs come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.optim import Adam, Optimizer

from .hosts import Host

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Case:
    """What a user of the checklist has: a model, training and test examples, a loss, and what makes the optimiser."""

    model: Host
    train: Batch
    test: Batch
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[nn.Module], Optimizer]


Bug = Callable[[Case, Generator], Case]


# ---- the data ----


def none(case: Case, draws: Generator) -> Case:
    """Nothing is wrong."""
    return case


def _inputs(change: Callable[[Tensor, Generator], Tensor]) -> Bug:
    """A bug in the way inputs are read, which meets training and test alike."""

    def bug(case: Case, draws: Generator) -> Case:
        sets = [(change(x.clone(), draws), y) for x, y in (case.train, case.test)]
        return replace(case, train=sets[0], test=sets[1])

    return bug


def _sprinkled(value: float, share: float) -> Callable[[Tensor, Generator], Tensor]:
    return lambda x, draws: x.masked_fill(torch.rand(x.shape, generator=draws) < share, value)


def _labels(change: Callable[[Tensor, Generator], Tensor]) -> Bug:
    def bug(case: Case, draws: Generator) -> Case:
        return replace(case, train=(case.train[0], change(case.train[1], draws)))

    return bug


def sorted_by_class(case: Case, draws: Generator) -> Case:
    """Training examples come class by class."""
    order = case.train[1].argsort(stable=True)
    return replace(case, train=(case.train[0][order], case.train[1][order]))


def leak(case: Case, draws: Generator) -> Case:
    """Every tenth test example is a training example."""
    few = len(case.test[0]) // 10
    test = [torch.cat([learnt[:few], tested[few:]]) for learnt, tested in zip(case.train, case.test)]
    return replace(case, test=(test[0], test[1]))


def repeated(case: Case, draws: Generator) -> Case:
    """The loader gives the first image for every label."""
    return replace(case, train=(case.train[0][:1].expand_as(case.train[0]).clone(), case.train[1]))


# ---- the loss ----


def _loss(function: Callable[[Tensor, Tensor], Tensor]) -> Bug:
    return lambda case, draws: replace(case, loss=function)


# ---- the gradient's path ----


class Detach(nn.Module):
    """Lets no gradient through."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


class Round(nn.Module):
    """Whole numbers, whose slope is zero everywhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x.round()


class Mixed(nn.Module):
    """A reshape where a transpose was meant: examples get each other's numbers."""

    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1).reshape(x.shape)


class Uncalled(nn.Module):
    """A layer that is made and never called."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return x


def _after_first(module: Callable[[], nn.Module]) -> Bug:
    def bug(case: Case, draws: Generator) -> Case:
        case.model.first = nn.Sequential(case.model.first, module())
        return case

    return bug


def unused(case: Case, draws: Generator) -> Case:
    """The second stage is never called."""
    case.model.second = Uncalled(case.model.second)
    return case


@torch.no_grad()
def zero_weights(case: Case, draws: Generator) -> Case:
    """Every weight matrix is zero at the start."""
    for each in case.model.parameters():
        if each.dim() > 1:
            each.zero_()
    return case


@torch.no_grad()
def dead_units(case: Case, draws: Generator) -> Case:
    """Biases so low that every ReLU is off for every example."""
    for layer in case.model.before_relu:
        layer.bias.fill_(-100.0)
    return case


# ---- the model ----


@torch.no_grad()
def large_weights(case: Case, draws: Generator) -> Case:
    """Weight matrices ten times too large."""
    for each in case.model.parameters():
        if each.dim() > 1:
            each.mul_(10.0)
    return case


def no_activations(case: Case, draws: Generator) -> Case:
    """The ReLUs were forgotten."""
    for module in list(case.model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(module, name, nn.Identity())
    return case


# ---- the optimiser ----


def _rate(times: float) -> Bug:
    def bug(case: Case, draws: Generator) -> Case:
        def made(model: nn.Module) -> Optimizer:
            optimizer = case.optimizer(model)
            for group in optimizer.param_groups:
                group["lr"] *= times
            return optimizer

        return replace(case, optimizer=made)

    return bug


class _First(nn.Module):
    """A model of which only some parameters are shown."""

    def __init__(self, model: nn.Module, without: nn.Module) -> None:
        super().__init__()
        hidden = {id(each) for each in without.parameters()}
        self.own = nn.ParameterList(each for each in model.parameters() if id(each) not in hidden)


def left_out(case: Case, draws: Generator) -> Case:
    """The optimiser is not given the second stage."""
    return replace(case, optimizer=lambda model: case.optimizer(_First(model, model.second)))


class Accumulating(Adam):
    """Adam in a loop that forgets to reset gradients."""

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets to."""


def never_reset(case: Case, draws: Generator) -> Case:
    """Gradients add up over the steps."""

    def made(model: nn.Module) -> Optimizer:
        group = case.optimizer(model).param_groups[0]
        return Accumulating(group["params"], lr=group["lr"], fused=True)

    return replace(case, optimizer=made)


BUGS: dict[str, Bug] = {
    "none": none,
    "scale": _inputs(lambda x, draws: 1000.0 * x),
    "nan": _inputs(_sprinkled(float("nan"), 0.001)),
    "sentinel": _inputs(_sprinkled(-999.0, 0.01)),
    "repeated": repeated,
    "label_range": _labels(lambda y, draws: y + 1),
    "shuffled": _labels(lambda y, draws: y[torch.randperm(len(y), generator=draws)]),
    "sorted": sorted_by_class,
    "leak": leak,
    "softmax_twice": _loss(lambda z, y: F.cross_entropy(z.softmax(-1), y)),
    "sign": _loss(lambda z, y: -F.cross_entropy(z, y)),
    "wrong_axis": _loss(lambda z, y: F.nll_loss(z.log_softmax(0), y)),
    "summed": _loss(lambda z, y: F.cross_entropy(z, y, reduction="sum")),
    "detached": _after_first(Detach),
    "rounded": _after_first(Round),
    "unused": unused,
    "zero_weights": zero_weights,
    "dead_units": dead_units,
    "large_weights": large_weights,
    "mixed": _after_first(Mixed),
    "no_activations": no_activations,
    "rate_high": _rate(100.0),
    "rate_low": _rate(1e-3),
    "left_out": left_out,
    "never_reset": never_reset,
}
"""Name -> bug; "none" is the healthy host."""
