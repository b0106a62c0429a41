"""Floating-point formats, rounding to them, a network whose every tensor is rounded, and where casts fail.

Narrow arithmetic is emulated in float32: operands are rounded to the format before each operation and its result after
it, forwards and backwards, while sums inside a product stay in float32, as tensor cores keep them. Nothing here trains.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.engine import networks
from claimcheck.errors import ClaimcheckError


@dataclass(frozen=True)
class Format:
    """A binary floating-point format with ``exponent`` and ``fraction`` bits (IEEE 754-2019, 3.3); bfloat16 is float32
    with a shorter fraction."""

    dtype: torch.dtype
    exponent: int
    fraction: int

    @property
    def overflow_at(self) -> float:
        """Smallest number that rounds to infinity: half a unit beyond the largest one."""
        return (2.0 - 2.0 ** -(self.fraction + 1)) * 2.0 ** (2 ** (self.exponent - 1) - 1)

    @property
    def zero_at(self) -> float:
        """Largest number that rounds to zero: half the smallest (subnormal) one, a tie that goes to even."""
        return 2.0 ** (1 - 2 ** (self.exponent - 1) - self.fraction)

    @property
    def epsilon(self) -> float:
        """Distance from 1 to the next larger number."""
        return 2.0**-self.fraction


FORMATS = {
    "fp16": Format(torch.float16, 5, 10),
    "bf16": Format(torch.bfloat16, 8, 7),
    "fp32": Format(torch.float32, 8, 23),
}


def dtype_of(name: str) -> torch.dtype:
    """torch's type of a format's name; fp64 too."""
    if name == "fp64":
        return torch.float64
    if name not in FORMATS:
        raise ClaimcheckError("unknown number format", found=name, expected=f"one of {', '.join(FORMATS)}, fp64")
    return FORMATS[name].dtype


class _Round(torch.autograd.Function):
    """Rounds on the way forward, and the gradient on the way back; elementwise, so ``vmap`` only passes through."""

    @staticmethod
    def forward(x: Tensor, dtype: torch.dtype) -> Tensor:
        return x.to(dtype).to(x.dtype)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Tensor) -> None:
        ctx.dtype = inputs[1]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype).to(gradient.dtype), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, int | None]:
        return _Round.apply(x, dtype), in_dims[0]


def rounded(x: Tensor, name: str) -> Tensor:
    """``x`` rounded to the nearest number of a format (ties to even; too large becomes infinite, too small zero), in
    ``x``'s own dtype. Its gradient is rounded in the same way."""
    dtype = dtype_of(name)
    return x if dtype == x.dtype else _Round.apply(x, dtype)


class RoundedMLP(networks.MLP):
    """A plain MLP (no norm, residual or dropout) computed in a narrow format, weights kept in float32.

    Emulated: every operand and every result is rounded. Native: operands are cast and the device's own kernels of that
    format run. Logits leave as float32, so that the loss is computed in float32 as automatic mixed precision does.

    Args:
        number: fp32, fp16 or bf16. native: use the device's kernels. The rest goes to :class:`networks.MLP`.
    """

    def __init__(self, *shape: Any, number: str, native: bool = False, **how: Any) -> None:
        super().__init__(*shape, **how)
        self.number, self.native = number, native

    def _enter(self, x: Tensor) -> Tensor:
        return x.to(dtype_of(self.number)) if self.native else rounded(x, self.number)

    def _leave(self, x: Tensor) -> Tensor:
        return x if self.native else rounded(x, self.number)

    def _linear(self, layer: torch.nn.Linear, h: Tensor) -> Tensor:
        return self._leave(F.linear(h, self._enter(layer.weight), self._enter(layer.bias)))

    def forward(self, x: Tensor) -> Tensor:
        h = self._enter(x.flatten(1))
        for layer, activation in zip(self.hidden, self.activations):
            h = self._leave(activation(self._linear(layer, h)))
        return self._linear(self.output, h).to(torch.float32)


def thresholds(name: str) -> dict[str, float]:
    """Where casts of a format fail, found by bisection.

    Returns:
        ``overflow_error``, ``underflow_error``: log2 of the measured threshold over the standard's; ``always_lost``,
        ``never_lost``: log2 of the relative updates of :func:`lost_updates`; ``exp_overflows_at``: smallest x whose
        exponential, computed in the format, is infinite.
    """
    number = FORMATS[name]

    def cast(value: float) -> float:
        return float(torch.tensor(value, dtype=torch.float64).to(number.dtype).double())

    overflow = _first(lambda e: math.isinf(cast(2.0**e)), 0.0, 200.0)
    survives = _first(lambda e: cast(2.0**e) > 0.0, -200.0, 0.0)
    lost = lost_updates(name)
    exp = _first(lambda x: bool(torch.tensor(x).to(number.dtype).exp().isinf()), 0.0, 120.0)
    return {
        "overflow_error": overflow - math.log2(number.overflow_at),
        "underflow_error": survives - math.log2(number.zero_at),
        "always_lost": math.log2(lost[0]),
        "never_lost": math.log2(lost[1]),
        "exp_overflows_at": exp,
    }


def _first(reached: Callable[[float], bool], low: float, high: float) -> float:
    """Smallest number at which a condition that stays true becomes true, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def lost_updates(name: str) -> tuple[float, float]:
    """Smallest and largest relative update that is rounded away, over all weights in [1, 2) (a sample for fp32)."""
    number = FORMATS[name]
    places = np.unique(np.linspace(0, 2**number.fraction - 1, 4096).round())
    weights = torch.from_numpy(1.0 + places * number.epsilon)
    low, high = torch.zeros_like(weights), torch.full_like(weights, number.epsilon)
    for _ in range(40):  # bisection on w + d, which float64 holds exactly
        middle = 0.5 * (low + high)
        lost = (weights + middle).to(number.dtype).double() == weights
        low, high = torch.where(lost, middle, low), torch.where(lost, high, middle)
    relative = low / weights
    return float(relative.min()), float(relative.max())


def zero_after(p: np.ndarray, name: str) -> int:
    """Factors after which a running product in the format is exactly zero (its length + 1 where it never is)."""
    factors, product = torch.from_numpy(p).to(dtype_of(name)), torch.ones((), dtype=dtype_of(name))
    for n, factor in enumerate(factors, start=1):
        product = product * factor
        if float(product) == 0.0:
            return n
    return len(p) + 1
