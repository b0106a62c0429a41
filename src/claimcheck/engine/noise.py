"""Random numbers inside a training step, without a generator: an integer hash of (key, position).

Under ``vmap`` a generator would mix the members of an ensemble, so randomness in the step is counter-based: element i
of a draw is ``hash(key, i)``, computed elementwise from the member's own key. The numbers therefore do not depend on
the company a member is trained in, on the device, or on whether the step is compiled.

The hash is two rounds of a 32-bit xor-shift-multiply mixer (multipliers 0x21f0aaad and 0x735a2d97, found by the
hash-prospector search for low bias), in int64 arithmetic: both multipliers are below 2^31, so no product overflows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from claimcheck.engine.layers import for_ensembles

_MASK = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    """Bijection of 32-bit integers held in int64."""
    x = (x ^ (x >> 16)) * 0x21F0AAAD & _MASK
    x = (x ^ (x >> 15)) * 0x735A2D97 & _MASK
    return x ^ (x >> 15)


def fold(key: Tensor, number: Tensor | int) -> Tensor:
    """A new key from a key and a number (a step, a layer, an example's id): int64 in, 63 mixed bits out."""
    low = _mix((key & _MASK) ^ (number * 0x1E3779B1 & _MASK))
    high = _mix(low ^ (key >> 32))
    return low | (high >> 1) << 32


def _bits(key: Tensor, shape: tuple[int, ...] | torch.Size, lane: int = 0) -> Tensor:
    counter = torch.arange(math.prod(shape), device=key.device).view(shape)
    key = key.view(*key.shape, *[1] * len(shape))
    return _mix(_mix(counter ^ (key & _MASK)) ^ (key >> 32) ^ lane)


def _unit(bits: Tensor) -> Tensor:
    """Numbers in (0, 1) of 32 bits. Half above the largest of 24 bits is no float32: it rounds to 1, and is put below."""
    return (((bits >> 8).to(torch.float32) + 0.5) * (1.0 / (1 << 24))).clamp(max=1.0 - 2.0**-24)


def uniform(key: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Uniform numbers in (0, 1), float32, ``shape``, 24 random bits each.

    ``key`` is an int64 scalar tensor of mixed bits: a ``context.key``, a batch's ``key``, or what :func:`fold` gives. Of
    R members' keys ``[R]`` each draws its own: ``[R, *shape]``.
    """
    return _unit(_bits(key, shape))


def normal(key: Tensor, shape: tuple[int, ...] | torch.Size) -> Tensor:
    """Standard normal numbers, float32, ``shape`` (Box & Muller 1958). ``key`` as in :func:`uniform`."""
    radius = torch.sqrt(-2.0 * torch.log(_unit(_bits(key, shape))))
    return radius * torch.cos((2.0 * math.pi) * _unit(_bits(key, shape, 0x2545F491)))


@for_ensembles
class Dropout(nn.Module):
    """Inverted dropout (Srivastava et al. 2014) whose rate and random stream belong to the member.

    Buffers: ``rate`` (scalar) and ``key`` (int64, drawn from the network's generator), which moves on with every
    forward pass in training mode, so that each step has its own mask. Identity in eval mode.
    """

    def __init__(self, rate: float, generator: torch.Generator) -> None:
        super().__init__()
        self.register_buffer("rate", torch.tensor(float(rate)))
        self.register_buffer("key", torch.randint(1 << 62, (), generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        rate, shape = self.rate, x.shape
        if rate.dim():  # R members' [R]: each draws from its own key
            rate, shape = rate.view(-1, *[1] * (x.dim() - 1)), x.shape[1:]
        drawn = uniform(self.key, shape)
        self.key.copy_(fold(self.key, 1))
        return torch.where(drawn >= rate, x, 0.0) / (1.0 - rate)
