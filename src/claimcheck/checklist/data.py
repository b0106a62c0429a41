"""Are the numbers what a network can take, do test examples stand in training data, are labels in a random order?

The first is on the lecture's list; duplicates and order of labels are not.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from claimcheck.checklist.findings import Finding, tensors_of

SCALES = (0.01, 10.0)
"""Mean size of inputs that usual initial weights and rates are made for: they assume about 1."""

FARTHEST = 10.0
"""Ranges, each from the 10 % to the 90 % quantile, that a value may lie beyond these. Normal values need 10 standard
deviations for 3.4; a sentinel such as -999 among numbers of the order of 1 lies hundreds away."""

MANY_DUPLICATES = 0.01
"""Share of test examples that may be training examples, too."""

STANDARD_ERRORS = 5.0
"""How far the number of runs of equal labels may fall short of that of a random order: by chance once in 3 million."""


def data(inputs: Any, targets: Any = None) -> list[Finding]:
    """Look for NaN, infinities, stray values and an unusual scale in inputs, and for the former two in targets.

    Integer inputs (tokens) are looked through for negative numbers only.
    """
    found = []
    for name, values in _real_tensors(inputs, "inputs"):
        found += _floating(name, values, scale=True) if values.is_floating_point() else _tokens(name, values)
    for name, values in _real_tensors(targets, "targets"):
        found += _floating(name, values, scale=False) if values.is_floating_point() else []
    return found


def _real_tensors(value: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """As `tensors_of`, a complex one as its real and imaginary parts."""
    for where, tensor in tensors_of(value, name):
        yield where, torch.view_as_real(tensor.detach().resolve_conj()) if tensor.is_complex() else tensor


def _floating(name: str, values: Tensor, *, scale: bool) -> list[Finding]:
    values = values.detach().flatten()
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        advice = "drop or fill these values, and find where they come from"
        return [Finding("data", "values are not finite", name, f"{bad} of {len(values)}", "none", advice)]
    if not scale or not len(values):
        return []
    values = values.float()
    size = float(values.abs().mean())
    found = []
    if not SCALES[0] <= size <= SCALES[1]:
        expected = f"{SCALES[0]:g} to {SCALES[1]:g}"
        found.append(
            Finding("data", "unusual scale", name, f"mean size {size:.3g}", expected, "standardise the inputs")
        )
    low, high = _quantiles(values)
    beyond = float(torch.maximum(low - values.min(), values.max() - high))
    if high > low and beyond > FARTHEST * float(high - low):
        seen = f"{float(values.min()):.4g} … {float(values.max()):.4g}, most from {float(low):.3g} to {float(high):.3g}"
        expected = f"none farther out than {FARTHEST:g} times that range"
        found.append(
            Finding("data", "stray values", name, seen, expected, "look for codes of missing values like -999")
        )
    return found


def _quantiles(values: Tensor) -> tuple[Tensor, Tensor]:
    """The 10 % and the 90 % quantile, as values that occur."""
    rank = max(1, round(0.1 * len(values)))
    return values.kthvalue(rank).values, values.kthvalue(len(values) + 1 - rank).values


def _tokens(name: str, values: Tensor) -> list[Finding]:
    if values.dtype == torch.bool or not values.numel() or int(values.min()) >= 0:
        return []
    return [Finding("data", "negative tokens", name, f"{int(values.min())}", "0 or more", "look at how they were made")]


def duplicates(train: Any, test: Any) -> list[Finding]:
    """Count test inputs that are training inputs, too, equal in every value."""
    rows = [_rows(value) for value in (train, test)]
    known = set(rows[0])
    twice = sum(row in known for row in rows[1])
    if twice <= MANY_DUPLICATES * len(rows[1]):
        return []
    return [
        Finding(
            "duplicates", "test examples are training examples, too", "test inputs", f"{twice} of {len(rows[1])}",
            f"at most {MANY_DUPLICATES:.0%}", "remove doubles before splitting, and split by group",
        )
    ]  # fmt: skip


def _rows(value: Any) -> list[bytes]:
    """Each example's values as bytes, alike where the values are: numbers in single precision, and one zero."""
    given = [tensor.detach().cpu() for _, tensor in tensors_of(value, "inputs")]
    given = [tensor.float() + 0.0 if tensor.is_floating_point() else tensor for tensor in given]
    columns = [tensor.flatten(1) for tensor in given if tensor.dim() > 1]
    columns = columns or [tensor[:, None] for tensor in given if tensor.dim() == 1]
    tables = [column.contiguous().view(torch.uint8).numpy() for column in columns]
    return [b"".join(parts) for parts in zip(*([row.tobytes() for row in table] for table in tables))]


def label_order(targets: Any) -> list[Finding]:
    """Count runs of equal labels, in the order in which training sees them, and compare with a random order.

    Only whole numbers in one dimension are looked at, 32 of them or more. All of one class are told, too.
    """
    found = []
    for name, labels in tensors_of(targets, "targets"):
        n = len(labels) if labels.dim() == 1 else 0
        if n < 32 or labels.is_floating_point() or labels.dtype == torch.bool:
            continue
        counts = labels.unique(return_counts=True)[1]
        runs = 1 + int((labels[1:] != labels[:-1]).sum())
        mean, variance = runs_expected(counts)
        if len(counts) > 1 and (runs - mean) >= -STANDARD_ERRORS * math.sqrt(max(variance, 0.0)):
            continue
        expected = f"about {mean:.0f} runs" if len(counts) > 1 else "several classes"
        seen = f"{runs} run{'s' if runs > 1 else ''} of equal labels among {n}"
        found.append(Finding("label_order", "labels are in order", name, seen, expected, "shuffle the training data"))
    return found


def runs_expected(counts: Tensor) -> tuple[float, float]:
    """Mean and variance of the number of runs of equal labels in a random order, for these sizes of the classes.

    With n labels and Q and C the sums of the sizes' squares and cubes, ``(n (n + 1) - Q) / n`` and
    ``(Q (Q + n (n + 1)) - 2 n C - n^3) / (n^2 (n - 1))`` (Barton and David 1957, Multiple runs).
    """
    sizes = counts.double()
    n, squares, cubes = (float(sizes.pow(power).sum()) for power in (1, 2, 3))
    mean = (n * (n + 1) - squares) / n
    return mean, (squares * (squares + n * (n + 1)) - 2 * n * cubes - n**3) / (n**2 * (n - 1))
