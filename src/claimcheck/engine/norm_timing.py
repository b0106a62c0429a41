"""Time of RMS norm against layer norm, forward and backward, as a ratio of times measured in turn.

Three ways to compute each: written from the same primitives and run eagerly, PyTorch's own fused kernels, and the
primitives compiled. Both norms are warmed up, then timed by turns, so that what else the machine does meets both alike;
on a CPU the time is the process's own, on a GPU the clock's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm (Ba et al. 2016) of ``x [..., n]`` from primitives."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON) * weight + bias


def rms_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """RMS norm (Zhang and Sennrich 2019) of ``x [..., n]`` from primitives: no centring, no bias."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


def fused_layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's layer norm."""
    return F.layer_norm(x, weight.shape, weight, bias, EPSILON)


def fused_rms_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """PyTorch's RMS norm."""
    return F.rms_norm(x, weight.shape, weight, EPSILON)


def kernels(kernel: str) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """(layer norm, RMS norm) of one way to compute them: primitives, fused or compiled."""
    if kernel == "fused":
        return fused_layer_norm, fused_rms_norm
    if kernel == "compiled":
        options = {"compile_threads": 1}
        return (
            torch.compile(layer_norm, fullgraph=True, dynamic=False, options=options),
            torch.compile(rms_norm, fullgraph=True, dynamic=False, options=options),
        )
    return layer_norm, rms_norm


def seconds(norm: Callable[..., Tensor], tensors: tuple[Tensor, ...], calls: int) -> float:
    """Time of ``calls`` forward and backward passes: processor time on a CPU, so that waiting for a turn does not count."""
    x = tensors[0]
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    _wait(x.device)
    start = clock()
    for _ in range(calls):
        norm(*tensors).backward(x.detach())
        for tensor in tensors:
            tensor.grad = None
    _wait(x.device)
    return clock() - start


def measured(runs: pd.DataFrame, context: Any, device: torch.device) -> pd.DataFrame:
    """One row per run: ``log_ratio``, the median over turns of log(time of RMS norm / time of layer norm), and both times.

    Columns of runs: kernel, width. Settings: rows (examples), turns, calls (passes a turn).
    """
    settings, rows = context.settings, []
    for (kernel, width), group in runs.groupby(["kernel", "width"], sort=False):
        norms = kernels(kernel)
        for run in group.itertuples(index=False):
            draws = context.generator(run.seed, "timing")
            x = torch.randn(settings.rows, int(width), generator=draws).to(device).requires_grad_()
            tensors = (
                x,
                torch.ones(int(width), device=device).requires_grad_(),
                torch.zeros(int(width), device=device).requires_grad_(),
            )
            for norm in norms:
                seconds(norm, tensors, 3)
            turns = [[seconds(norm, tensors, settings.calls) for norm in norms] for _ in range(settings.turns)]
            layer, rms = np.array(turns).T / settings.calls
            rows.append({
                "run": run.run,
                "log_ratio": float(statistics.median(np.log(rms / layer))),
                "layer_seconds": float(statistics.median(layer)),
                "rms_seconds": float(statistics.median(rms)),
            })  # fmt: skip
    return pd.DataFrame(rows)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
