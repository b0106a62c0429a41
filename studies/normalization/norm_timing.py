"""Time of RMS norm against layer norm, forward and backward, as a ratio of times measured in turn.

Three ways to compute each: written from the same primitives and run eagerly, PyTorch's own fused kernels, and the
primitives compiled. Both norms are timed by turns, each time after a warm-up and each first in every other turn, so
that what else the machine does meets both alike; on a CPU the time is the process's own, on a GPU the clock's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.benchmark import Timer

from claimcheck.engine.single import per_run

EPSILON = 1e-5


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm (Ba et al. 2016) from primitives, ``[..., n]``."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON) * weight + bias


def rms_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """RMS norm (Zhang and Sennrich 2019) from primitives: no centring, no bias."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


@cache
def kernels(kernel: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """Layer norm and RMS norm of one way to compute them: primitives, fused or compiled."""
    if kernel == "fused":
        return (
            lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, EPSILON),
            lambda x, weight, bias: F.rms_norm(x, weight.shape, weight, EPSILON),
        )
    if kernel == "compiled":
        how = {"fullgraph": True, "dynamic": False, "options": {"compile_threads": 1}}
        return torch.compile(layer_norm, **how), torch.compile(rms_norm, **how)
    return layer_norm, rms_norm


def seconds(norm: Callable[..., Tensor], tensors: list[Tensor], calls: int) -> float:
    """Time of a forward and backward pass, mean of ``calls``: the processor's on a CPU, so that waiting does not count."""

    def both_ways() -> None:
        norm(*tensors).backward(tensors[0].detach())
        for tensor in tensors:
            tensor.grad = None

    clock = {} if tensors[0].is_cuda else {"timer": time.process_time}
    timer = Timer("both_ways()", globals={"both_ways": both_ways}, num_threads=torch.get_num_threads(), **clock)
    return timer.timeit(calls).mean


def by_turns(norms: tuple[Callable[..., Tensor], ...], tensors: list[Tensor], calls: int, first: int) -> list[float]:
    """Time of each of two norms, in their order, whichever is timed first."""
    times = [0.0, 0.0]
    for place in (first, 1 - first):
        times[place] = seconds(norms[place], tensors, calls)
    return times


@per_run
def run_timing(run, context) -> dict[str, float]:
    """The median over turns of ``log_ratio``, log(time of RMS norm / of layer norm), and of both times."""
    settings, device = context.settings, context.settings.get("device", context.device)
    norms, draws = kernels(run.kernel), context.generator(run.seed, "timing")
    x = torch.randn(settings.rows, run.width, generator=draws)
    weight, bias = torch.ones(run.width), torch.zeros(run.width)
    tensors = [tensor.to(device).requires_grad_() for tensor in (x, weight, bias)]
    turns = [by_turns(norms, tensors, settings.calls, first=turn % 2) for turn in range(settings.turns)]
    layer, rms = np.array(turns).T
    columns = {"log_ratio": np.log(rms / layer), "layer_seconds": layer, "rms_seconds": rms}
    return {name: np.median(column) for name, column in columns.items()}
