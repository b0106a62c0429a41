"""How long training loops would take on a card that is not here: reckoned from counted operations, `cost --card`.

A roofline (Williams, Waterman and Patterson 2009): an operation takes as long as its start, its bytes or its products,
whichever takes longest, and operations follow one another. The engine records a step once and replays it (a CUDA
graph); what the compiler would fuse counts as it is. No card was asked, so this is arithmetic, and no measurement.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Work = Counter[tuple[float, float]]
"""How often a step has an operation of so many bytes (read and written) and so many floating-point operations."""


@dataclass(frozen=True)
class Card:
    """What a card's data sheet promises: bytes a second, and float32 operations a second outside of tensor cores."""

    bandwidth: float
    products: float


CARDS: Mapping[str, Card] = {
    "a100-80gb": Card(bandwidth=1.935e12, products=19.5e12),
    "h100-80gb": Card(bandwidth=3.35e12, products=67e12),
}
"""By NVIDIA's data sheets: A100 (PCIe, 80 GB) and H100 (SXM)."""

STARTING = 4e-6
"""Seconds an operation of a recorded step takes at the least."""
OF_BANDWIDTH, OF_PRODUCTS = 0.8, 0.5
"""Shares of the promised rates that are reached."""

_PACKET = type(torch.ops.aten.add)
_ASKS_FOR_MEMORY = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")


class _EveryOperation(dict[Any, Any]):
    """The counter's formulas; an operation without one is asked about, too."""

    def __init__(self, formulas: Mapping[Any, Any], work: Work) -> None:
        super().__init__(formulas)
        self.work = work

    def __contains__(self, operation: object) -> bool:
        return isinstance(operation, _PACKET) or super().__contains__(operation)

    def __getitem__(self, operation: Any) -> Any:
        formula = self.get(operation)

        def counted(*inputs: Any, out_val: Any = None, **named: Any) -> float:
            flops = formula(*inputs, out_val=out_val, **named) if formula else 0
            given, made = _tensors([inputs, named]), _tensors(out_val)
            if not _only_looks(operation.__name__, given, made):
                self.work[sum(map(_bytes, [*given, *made])), flops] += 1
            return flops

        return counted


@contextmanager
def counting() -> Iterator[Work]:
    """Counts what PyTorch does inside: every operation that computes or copies, with its bytes and operations."""
    work: Work = Counter()
    counter = FlopCounterMode(display=False)
    counter.flop_registry = _EveryOperation(counter.flop_registry, work)
    with counter:
        yield work


def total_flops(work: Work) -> float:
    """Floating-point operations of all products and convolutions in a step."""
    return float(sum(times * flops for (_, flops), times in work.items()))


def seconds_on(card: Card, work: Work, times_as_large: float = 1.0) -> float:
    """Seconds of a step with so many times as many networks as were counted."""
    bandwidth, products = OF_BANDWIDTH * card.bandwidth, OF_PRODUCTS * card.products
    return math.fsum(
        times * max(STARTING, times_as_large * moved / bandwidth, times_as_large * flops / products)
        for (moved, flops), times in work.items()
    )


def _tensors(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [tensor for branch in branches for tensor in _tensors(branch)]


def _bytes(tensor: Tensor) -> int:
    """What of a tensor lies in memory: what is expanded is there once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def _only_looks(name: str, given: list[Tensor], made: list[Tensor]) -> bool:
    """Whether an operation shows memory in another shape, or asks for some, and computes nothing."""
    if name in _ASKS_FOR_MEMORY:
        return True
    if name.endswith("_") or not made:
        return False
    before = {tensor.untyped_storage().data_ptr() for tensor in given}
    return all(tensor.untyped_storage().data_ptr() in before for tensor in made)
