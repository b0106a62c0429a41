"""Floating-point formats, rounding to them, a network whose every tensor is rounded, and where casts fail.

Narrow arithmetic is emulated in float32: operands are rounded to the format before each operation and its result after
it, forwards and backwards, while sums inside a product stay in float32, as tensor cores keep them. Nothing here trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.engine import networks
from claimcheck.theory.number_formats import overflow_at, zero_at

FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32, "fp64": torch.float64}


def rounded(x: Tensor, name: str) -> Tensor:
    """``x`` rounded to the nearest number of a format (ties to even; too large becomes infinite, too small zero), in
    ``x``'s own dtype. Its gradient is rounded in the same way, since a cast's gradient is cast back."""
    return x.to(FORMATS[name]).to(x.dtype)


class RoundedMLP(networks.MLP):
    """A plain MLP (no residual or dropout) computed in the format ``number``, weights kept in float32.

    Every operand and every result is rounded; ``native``: operands are cast, and the device's own kernels of that format
    run. Norms compute in float32, and logits leave as float32, so that the loss does, as automatic mixed precision does.
    """

    def __init__(self, *shape: Any, number: str, native: bool = False, **how: Any) -> None:
        super().__init__(*shape, **how)
        self.number, self.native = number, native

    def forward(self, x: Tensor) -> Tensor:
        h = self._narrow(x.flatten(1))
        for number, (layer, activation) in enumerate(zip(self.hidden, self.activations)):
            h = self._linear(layer, h)
            h = h if self.norms is None else self._narrow(self.norms[number](h.to(torch.float32)))
            h = self._narrow(activation(h))
        return self._linear(self.output, h).to(torch.float32)

    def _linear(self, layer: torch.nn.Linear, h: Tensor) -> Tensor:
        return self._narrow(F.linear(h, self._narrow(layer.weight), self._narrow(layer.bias)))

    def _narrow(self, x: Tensor) -> Tensor:
        return x.to(FORMATS[self.number]) if self.native else rounded(x, self.number)


def thresholds(name: str) -> dict[str, float]:
    """Where casts of a format fail, found by bisection.

    Returns:
        ``threshold_error``: |log2| of the measured over the standard's threshold, of overflow or of underflow, whichever
        is larger; ``always_lost``, ``never_lost``: log2 of the relative updates of :func:`lost_updates`;
        ``exp_overflows_at``: smallest x whose exponential, computed in the format, is infinite.
    """
    number, (smallest, largest) = FORMATS[name], lost_updates(FORMATS[name])

    def cast(exponent: float) -> float:
        return float(torch.tensor(2.0**exponent, dtype=torch.float64).to(number))

    overflow = _first(lambda e: math.isinf(cast(e)), 0.0, 200.0)
    survives = _first(lambda e: cast(e) > 0.0, -200.0, 0.0)
    errors = overflow - math.log2(overflow_at(number)), survives - math.log2(zero_at(number))
    return {
        "threshold_error": max(map(abs, errors)),
        "always_lost": math.log2(smallest),
        "never_lost": math.log2(largest),
        "exp_overflows_at": _first(lambda x: math.isinf(torch.tensor(x).to(number).exp()), 0.0, 120.0),
    }


def _first(reached: Callable[[float], bool], low: float, high: float) -> float:
    """Smallest number at which a condition that stays true becomes true, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def lost_updates(number: torch.dtype) -> tuple[float, float]:
    """Smallest and largest relative update that is rounded away, over all weights in [1, 2) (a sample for fp32)."""
    epsilon = torch.finfo(number).eps
    places = np.unique(np.linspace(0, 1 / epsilon - 1, 4096).round())
    weights = torch.from_numpy(1.0 + places * epsilon)
    low, high = torch.zeros_like(weights), torch.full_like(weights, epsilon)
    for _ in range(40):  # bisection on w + d, which float64 holds exactly
        middle = 0.5 * (low + high)
        lost = (weights + middle).to(number).double() == weights
        low, high = torch.where(lost, middle, low), torch.where(lost, high, middle)
    relative = low / weights
    return float(relative.min()), float(relative.max())


def zero_after(p: np.ndarray, name: str) -> int:
    """Factors after which a running product in the format is exactly zero (its length + 1 where it never is)."""
    products = accumulate(torch.from_numpy(p).to(FORMATS[name]), torch.mul)
    return 1 + sum(bool(product != 0.0) for product in products)
