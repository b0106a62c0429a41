"""Fit an ensemble into memory: how much a member takes, and cutting the members into tiles.

An ensemble is cut when a limit is set and the estimate exceeds it, or when a GPU runs out of memory; the members'
results do not depend on the cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from claimcheck.ensemble import Ensemble
from claimcheck.errors import ClaimcheckError

T = TypeVar("T")


def per_member(ensemble: Ensemble, loss: Callable[..., Tensor], batch: Mapping[str, Tensor], copies: int) -> int:
    """Bytes that one member takes while training.

    Args:
        ensemble: one member. loss: of one network. batch: a minibatch ``[1, B, ...]``.
        copies: matrices of the parameters' size alive at once (parameters, gradient, state, and their successors).
    """
    saved: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        saved[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        return tensor

    parameters = ensemble.parameters.detach().requires_grad_()
    buffers = {name: value.clone() for name, value in ensemble.buffers.items()}
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        ensemble.skeleton.train()
        ensemble.apply(loss, ensemble.layout.views(parameters), buffers, batch, dict.fromkeys(batch, 0))
    data = sum(value.numel() * value.element_size() for value in batch.values())
    return copies * parameters.numel() * parameters.element_size() + 2 * sum(saved.values()) + data


def in_tiles(work: Callable[[list[int]], T], members: int, context: Any, estimate: Callable[[], int]) -> list[T]:
    """``work`` on consecutive tiles of the members, as few as fit.

    A configured ``context.memory_limit`` (bytes) bounds the estimate of a tile; a GPU that runs out of memory halves the
    tile. Both are logged.
    """
    tiles = 1
    if context.memory_limit:
        fit = int(context.memory_limit // max(estimate(), 1))
        if fit < 1:
            raise ClaimcheckError("one network exceeds the memory limit", found=f"{estimate()} bytes", expected=f"at most {context.memory_limit}")
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
