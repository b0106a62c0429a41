"""Where a binary floating-point format ends (IEEE 754-2019, 3.3 and 4.3.1), beside what `torch.finfo` says of it.

Rounding is to the nearest number, ties to even.
"""

from __future__ import annotations

import torch


def overflow_at(number: torch.dtype) -> float:
    """Smallest number that rounds to infinity: half a unit beyond the largest one. Exact up to float32."""
    limits = torch.finfo(number)
    return limits.max / (2.0 - limits.eps) * (2.0 - limits.eps / 2.0)


def zero_at(number: torch.dtype) -> float:
    """Largest number that rounds to zero: half the smallest (subnormal) one, a tie that goes to even."""
    limits = torch.finfo(number)
    return limits.smallest_normal * limits.eps / 2.0
