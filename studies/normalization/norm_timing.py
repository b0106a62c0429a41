"""Time of RMS norm against layer norm, forward and backward, as a ratio of times measured in turn.

Three ways to compute each: written from the same primitives and run eagerly, PyTorch's own fused kernels, and the
primitives compiled. Both norms are warmed up, then timed by turns, so that what else the machine does meets both alike;
on a CPU the time is the process's own, on a GPU the clock's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

EPSILON = 1e-5

Norm = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of ``x [..., n]``, weight ``[n]`` and bias ``[n]``, which RMS norm ignores."""


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm (Ba et al. 2016) from primitives."""
    centred = x - x.mean(-1, keepdim=True)
    variance = centred.square().mean(-1, keepdim=True)
    return centred * torch.rsqrt(variance + EPSILON) * weight + bias


def rms_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """RMS norm (Zhang and Sennrich 2019) from primitives: no centring, no bias."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPSILON) * weight


def kernels(kernel: str) -> tuple[Norm, Norm]:
    """(layer norm, RMS norm) of one way to compute them: primitives, fused or compiled."""
    if kernel == "fused":
        return (
            lambda x, weight, bias: F.layer_norm(x, weight.shape, weight, bias, EPSILON),
            lambda x, weight, bias: F.rms_norm(x, weight.shape, weight, EPSILON),
        )
    if kernel == "compiled":
        how = {"fullgraph": True, "dynamic": False, "options": {"compile_threads": 1}}
        return torch.compile(layer_norm, **how), torch.compile(rms_norm, **how)
    return layer_norm, rms_norm


def seconds(norm: Norm, tensors: tuple[Tensor, Tensor, Tensor], calls: int) -> float:
    """Time of ``calls`` forward and backward passes: the processor's on a CPU, so that waiting does not count."""
    x = tensors[0]
    wait = torch.cuda.synchronize if x.device.type == "cuda" else lambda device: None
    clock = time.process_time if x.device.type == "cpu" else time.perf_counter
    wait(x.device)
    start = clock()
    for _ in range(calls):
        norm(*tensors).backward(x.detach())
        for tensor in tensors:
            tensor.grad = None
    wait(x.device)
    return clock() - start


def measured(runs: pd.DataFrame, context, device: torch.device) -> pd.DataFrame:
    """A row per run: ``log_ratio``, the median over turns of log(time of RMS norm / of layer norm), and both times.

    Columns of runs: kernel, width. Settings: rows (examples), turns, calls (passes a turn).
    """
    settings, rows = context.settings, []
    for (kernel, width), group in runs.groupby(["kernel", "width"], sort=False):
        norms = kernels(kernel)
        for run in group.itertuples(index=False):
            draws = context.generator(run.seed, "timing")
            x = torch.randn(settings.rows, int(width), generator=draws).to(device)
            weight, bias = torch.ones(int(width), device=device), torch.zeros(int(width), device=device)
            tensors = tuple(tensor.requires_grad_() for tensor in (x, weight, bias))
            for norm in norms:
                seconds(norm, tensors, 3)
            turns = [[seconds(norm, tensors, settings.calls) for norm in norms] for _ in range(settings.turns)]
            layer, rms = np.array(turns).T / settings.calls
            columns = {"log_ratio": np.log(rms / layer), "layer_seconds": layer, "rms_seconds": rms}
            rows.append({"run": run.run, **{name: float(statistics.median(each)) for name, each in columns.items()}})
    return pd.DataFrame(rows)
