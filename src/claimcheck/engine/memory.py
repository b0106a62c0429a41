"""Fit an ensemble into memory: how much a member takes, and cutting the members into tiles.

An ensemble is cut when the estimate exceeds the limit, or when a GPU runs out of memory; the members' results do not
depend on the cut.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from claimcheck import garbage
from claimcheck.engine.ensemble import Ensemble
from claimcheck.errors import ClaimcheckError

T = TypeVar("T")


@dataclass(frozen=True)
class Footprint:
    """What training one network takes.

    Attributes:
        saved: numbers kept for the backward pass. parameters: trained numbers. batch: numbers in a minibatch.
        operations: differentiated operations in the forward pass. convolutions: how many of them are convolutions.
    """

    saved: int
    parameters: int
    batch: int
    operations: int
    convolutions: int = 0

    def bytes(self, copies: int, size: int = 4) -> int:
        """Estimate of the memory that one network takes, with ``copies`` matrices like the parameters (gradient, state,
        and their successors) and numbers of ``size`` bytes."""
        return size * (copies * self.parameters + 2 * self.saved + self.batch)


def keep_freed_memory() -> None:
    """Have the C library, if it is glibc, keep freed memory for later tensors, for the rest of the process.

    By default it returns large blocks to the system at once, and each training step has to fetch its pages again: a
    quarter of the time of an eager step at width 256. What is garbage is found as soon as Python does so by itself.
    """
    garbage.look_as_usual()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(-1, 1 << 30)  # M_TRIM_THRESHOLD: free memory at the top, before it is given back
    mallopt(-4, 0)  # M_MMAP_MAX: no block, however large, has pages of its own, which would go back with it


def footprint(ensemble: Ensemble, loss: Callable[..., Tensor], batch: Mapping[str, Tensor]) -> Footprint:
    """Run one network's forward pass and count. ``ensemble`` has one member, ``batch`` columns ``[1, B, ...]``."""
    saved: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        saved[tensor.data_ptr()] = tensor.numel()
        return tensor

    parameters = ensemble.parameters.detach().requires_grad_()
    buffers = {name: value.clone() for name, value in ensemble.buffers.items()}
    ensemble.skeleton.train()
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        losses = ensemble.apply(loss, ensemble.layout.views(parameters), buffers, batch, dict.fromkeys(batch, 0))
    nodes, waiting = set(), [losses.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in nodes:
            nodes.add(node)
            waiting += [following for following, _ in node.next_functions]
    convolutions = sum("Convolution" in type(node).__name__ for node in nodes)
    numbers = sum(value.numel() for value in batch.values())
    return Footprint(sum(saved.values()), parameters.numel(), numbers, len(nodes), convolutions)


def in_tiles(work: Callable[[list[int]], T], members: int, context: Any, size_of_one: int) -> list[T]:
    """``work`` on consecutive tiles of the members, as few as fit in memory.

    A configured ``context.memory_limit`` (bytes) bounds the estimate of a tile; a GPU that runs out of memory halves
    the tile. Both are logged.
    """
    tiles = 1
    if context.memory_limit:
        fit = int(context.memory_limit // max(size_of_one, 1))
        if fit < 1:
            raise ClaimcheckError(
                "one network exceeds the memory limit",
                found=f"{size_of_one} bytes",
                expected=f"at most {context.memory_limit}",
                hint="give more with memory_limit_mb in workflow/config.yaml",
            )
        tiles = math.ceil(members / fit)
    while True:
        size = math.ceil(members / tiles)
        try:
            parts = [work(list(range(start, min(start + size, members)))) for start in range(0, members, size)]
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            torch.cuda.empty_cache()
            tiles *= 2
            context.log(f"out of GPU memory with {size} networks at once: trying {math.ceil(members / tiles)}")
            continue
        if tiles > 1:
            context.log(f"{members} networks in {len(parts)} tiles of {size}")
            if hasattr(context, "notes"):
                context.notes["tiles"] = len(parts)
        return parts
