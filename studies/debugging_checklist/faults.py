"""Operations that make the first number that is not finite, forwards or backwards, and a network to plant them in."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn

from claimcheck.engine.networks import linear

FAULTS: dict[str, Callable[[Tensor], Tensor]] = {
    "log": lambda h: h.relu().log(),
    "div": lambda h: h / h.relu(),
    "sqrt": torch.sqrt,
    "exp": lambda h: (200.0 * h.abs() + 100.0).exp(),
    "acos": lambda h: (1.0 + h.abs()).acos(),
    "pow": lambda h: h**1.5,
    "distance": lambda h: h + (h - h.detach()).square().sum(-1, keepdim=True).sqrt(),
    "deviation": lambda h: h + (h - h.detach()).square().mean(-1, keepdim=True).sqrt(),
    "masked div": lambda h: torch.where(h > 0, h / h.relu(), 0.0),
    "masked pow": lambda h: torch.where(h > 0, h**1.5, 0.0),
    "masked sqrt": lambda h: torch.where(h > 0, h.sqrt(), 0.0),
    "masked exp": lambda h: torch.where(h.abs() <= 1, h, (200.0 * h.abs() + 100.0).exp()),
}
"""What is planted -> the operation on signals between -1 and 1.

The first six go wrong forwards. The next two are finite forwards; backwards a square root's slope at zero is
infinite.
Of the last four a mask takes out what is not finite, and backwards it comes back as zero times infinity.
"""


def culprit_of(fault: str) -> str:
    """The operation to be named."""
    return "sqrt" if fault in ("distance", "deviation") else fault.removeprefix("masked ")


class Fault(nn.Module):
    """A planted operation."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return FAULTS[self.name](x)


def network(inputs: int, width: int, depth: int, fault: str, place: int, generator: Generator) -> nn.Sequential:
    """`depth` tanh layers and a readout; the fault stands behind layer `place`, counted from 1, in a module "fault"."""
    network = nn.Sequential()
    for layer in range(1, depth + 1):
        network.add_module(f"linear{layer}", linear(inputs if layer == 1 else width, width, generator, init="lecun"))
        network.add_module(f"tanh{layer}", nn.Tanh())
        if layer == place:
            network.add_module("fault", Fault(fault))
    network.add_module("readout", linear(width, 10, generator, init="lecun"))
    return network
