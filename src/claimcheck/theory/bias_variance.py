"""Bias, variance and noise of a learner, from its predictions over resampled training sets.

For squared error on vector targets E|y - f(x)|^2 = |E f(x) - E[y|x]|^2 + E|f(x) - E f(x)|^2 + E|y - E[y|x]|^2, which is
averaged over test inputs x. Expectations of f are over training sets, of y over fresh targets (Geman, Bienenstock and
Doursat 1992, Neural Computation 4). Draws no random number.
"""

from __future__ import annotations

import torch
from torch import Tensor


def expected_target(labels: Tensor, rate: float, classes: int) -> Tensor:
    """E[y | x] of a one-hot target whose label is moved, with probability ``rate``, to another class chosen evenly.

    ``labels`` ``[N]`` are the true classes; returns ``[N, classes]`` float64.
    """
    onehot = torch.nn.functional.one_hot(labels, classes).double()
    return (1 - rate) * onehot + rate / (classes - 1) * (1 - onehot)


def target_noise(rate: float, classes: int) -> float:
    """E|y - E[y|x]|^2 of such targets: 1 - (1 - rate)^2 - rate^2 / (classes - 1)."""
    return 1 - (1 - rate) ** 2 - rate**2 / (classes - 1)


def squared_bias(predictions: Tensor, expected: Tensor) -> Tensor:
    """Unbiased estimate of the squared bias.

    The mean prediction of one half of the training sets is multiplied by that of the other: their errors are
    independent, so the variance of a mean over few sets does not leak in (it can therefore come out below zero).

    Args:
        predictions: ``[sets, N, classes]``, an even number of sets. expected: E[y | x], ``[N, classes]``.
    """
    first, second = predictions.chunk(2)
    return ((first.mean(0) - expected) * (second.mean(0) - expected)).sum(-1).mean()


def variance(predictions: Tensor) -> Tensor:
    """Unbiased estimate of the variance over training sets, ``predictions`` ``[sets, N, classes]``."""
    return predictions.var(0, unbiased=True).sum(-1).mean()


def squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error against observed targets, both ``[sets, N, classes]``."""
    return ((predictions - targets) ** 2).sum(-1).mean()


def decomposed(known: Tensor, other: Tensor, labels: Tensor, rate: float, fresh: Tensor) -> dict[str, float]:
    """Squared bias, variance and noise of one learner, and its error measured apart from all three.

    Args:
        known: predictions ``[sets, N, classes]`` of the training sets that squared bias and variance come from.
        other: of the training sets that the error comes from.
        labels: true classes of the test inputs, ``[N]``. rate: share of observed labels that are moved.
        fresh: observed labels of the test inputs, a draw for each of the other sets ``[sets, N]``.
    """
    classes = known.shape[-1]
    expected = expected_target(labels, rate, classes)
    observed = torch.nn.functional.one_hot(fresh, classes).double()
    return {
        "squared_bias": float(squared_bias(known, expected)),
        "variance": float(variance(known)),
        "noise": target_noise(rate, classes),
        "error": float(squared_error(other, observed)),
    }
