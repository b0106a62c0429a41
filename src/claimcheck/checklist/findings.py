"""What a check says when something is wrong, and how a model, a batch and a loss are called. Checks nothing itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

Batch = tuple[Any, Any]
"""Inputs and targets. Inputs are a tensor, a sequence of arguments or a mapping of keyword arguments of the model."""

Loss = Callable[[Any, Any], Tensor]
"""``loss(outputs, targets)``, a scalar, such as `torch.nn.CrossEntropyLoss()`."""

OptimizerOf = Callable[[nn.Module], Optimizer]
"""Makes the optimiser of a model: ``lambda model: torch.optim.SGD(model.parameters(), lr=0.1)``."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        check: the check that found it.
        what: what is wrong.
        where: parameters, input or step.
        measured, expected: what was seen, and what a healthy model gives.
        advice: what to do about it.
    """

    check: str
    what: str
    where: str
    measured: str
    expected: str
    advice: str

    def __str__(self) -> str:
        return f"{self.check}: {self.what} ({self.where}): {self.measured}, expected {self.expected}; {self.advice}"


def adam(model: nn.Module) -> Optimizer:
    """The optimiser where none is given: Adam at a rate at which networks of any size learn a few examples."""
    return Adam([each for each in model.parameters() if each.requires_grad], lr=3e-3)


def own_copy(model: nn.Module) -> nn.Module:
    """A copy to train, without gradients; the model itself is never changed.

    Raises:
        TypeError: a part of it is scripted: the copy of such a part goes on using the original's parameters.
    """
    if any(isinstance(each, torch.jit.ScriptModule) for each in model.modules()):
        raise TypeError("a scripted model cannot be copied: give the one that it was made of")
    made = copy.deepcopy(model)
    made.zero_grad(set_to_none=True)
    return made


def loss_of(model: nn.Module, batch: Batch, loss: Loss) -> Tensor:
    """The loss of a model on a batch.

    Raises:
        TypeError: the loss is no tensor.
    """
    inputs, targets = batch
    if isinstance(inputs, Tensor):
        outputs = model(inputs)
    elif isinstance(inputs, Mapping):
        outputs = model(**inputs)
    else:
        outputs = model(*inputs)
    value = loss(outputs, targets)
    if not isinstance(value, Tensor):
        raise TypeError(f"the loss is of type {type(value).__name__}, not a tensor: leave out float and .item")
    return value


def dense(gradient: Tensor) -> Tensor:
    """A gradient with every element of it, also where an embedding keeps those of its rows alone (``sparse=True``)."""
    return gradient.detach() if gradient.layout == torch.strided else gradient.detach().to_dense()


def tensors_of(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """Every tensor in nested sequences and mappings, with where it is: ("inputs[0]", tensor)."""
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from tensors_of(inner, f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            yield from tensors_of(inner, f"{name}[{place}]")


def first_examples(value: Any, count: int) -> Any:
    """The first examples of a batch, along the first dimension of every tensor in it."""
    if isinstance(value, Tensor):
        return value[:count] if value.dim() else value
    if isinstance(value, Mapping):
        return {key: first_examples(inner, count) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(first_examples(inner, count) for inner in value)
    return value


def names_of(found: list[str]) -> str:
    """Names in one phrase, the first three and how many more there are."""
    more = len(found) - 3
    return ", ".join(found[:3]) + (f" and {more} more" if more > 0 else "")
