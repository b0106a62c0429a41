"""Risk of least squares in high dimension: the closed forms, and the solver that is measured against them.

Features are isotropic, x ~ N(0, I_p); y = <x, b> + noise of variance sigma^2, |b|^2 = r^2, n examples, gamma = p / n. The
excess risk of an estimate is E(<x, estimate> - E[y | x])^2. Closed forms: Hastie, Montanari, Rosset and Tibshirani
2022 (Surprises in high-dimensional ridgeless least squares interpolation, Ann. Stat. 50; arXiv:1903.08560), in the limit
n, p -> infinity at fixed gamma. Knows no study and draws no random number.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def ridgeless(gamma: float, signal: float, noise: float) -> float:
    """Excess risk of the least-squares solution of least norm; infinite at gamma = 1.

    Args:
        gamma: parameters per example. signal: r^2. noise: sigma^2.
    """
    if gamma < 1:
        return noise * gamma / (1 - gamma)
    if gamma == 1:
        return math.inf
    return signal * (1 - 1 / gamma) + noise / (gamma - 1)


def optimal_penalty(gamma: float, signal: float, noise: float) -> float:
    """The lambda of ``|y - X b|^2 / n + lambda |b|^2`` with the least risk: sigma^2 gamma / r^2."""
    return noise * gamma / signal


def optimal_ridge(gamma: float, signal: float, noise: float) -> float:
    """Excess risk of ridge regression at its optimal penalty: sigma^2 gamma m(-lambda)."""
    penalty = optimal_penalty(gamma, signal, noise)
    centre = 1 - gamma + penalty
    transform = (-centre + math.sqrt(centre**2 + 4 * gamma * penalty)) / (2 * gamma * penalty)
    return noise * gamma * transform


def share_seen(gamma: float, exponent: float) -> float:
    """Share of the signal that the first gamma n features carry in the misspecified model: 1 - (1 + gamma)^-exponent."""
    return 1.0 - (1.0 + gamma) ** -exponent


def misspecified(gamma: float, signal: float, noise: float, exponent: float, *, ridge: bool = False) -> float:
    """Excess risk when a model sees only its own features: what it misses is more noise, and is always wrong.

    With isotropic features the part of the signal outside, r^2 (1 - share), acts as noise that is independent of
    the features inside, and adds itself to the risk (same paper, section 5).
    """
    inside, outside, total = split_signal(gamma, signal, noise, exponent)
    law = optimal_ridge if ridge else ridgeless
    return law(gamma, inside, total) + outside


def split_signal(gamma: float, signal: float, noise: float, exponent: float) -> tuple[float, float, float]:
    """Signal inside the model, signal outside, and the noise that the model sees (sigma^2 + outside)."""
    inside = signal * share_seen(gamma, exponent)
    return inside, signal - inside, noise + signal - inside


def gram(features: Tensor) -> Tensor:
    """The smaller Gram matrix over n of ``features`` ``[..., n, p]``: ``[..., min(n, p), min(n, p)]``."""
    examples, width = features.shape[-2:]
    return (features @ features.mT if width > examples else features.mT @ features) / examples


def fit(features: Tensor, targets: Tensor, penalty: float = 0.0, products: Tensor | None = None) -> Tensor:
    """Minimiser of ``|targets - features b|^2 / n + penalty |b|^2``; of least norm where the penalty is 0.

    Args:
        features: ``[..., n, p]``, float64. targets: ``[..., n, k]``.
        penalty: lambda >= 0.
        products: ``gram(features)`` where the caller has it already.

    Returns:
        ``[..., p, k]``. The smaller of the two Gram matrices is factorised; one that is singular to rounding error is
        solved through its singular values instead.
    """
    examples, width = features.shape[-2:]
    dual, transposed = width > examples, features.mT
    products = gram(features) if products is None else products
    right = (targets if dual else transposed @ targets) / examples
    identity = torch.eye(products.shape[-1], dtype=products.dtype, device=products.device)
    factor, failed = torch.linalg.cholesky_ex(products + penalty * identity)
    diagonal = factor.diagonal(dim1=-2, dim2=-1)
    if bool(failed.any()) or bool((diagonal.amin(-1) < 1e-7 * diagonal.amax(-1)).any()):
        return _through_singular_values(features, targets, penalty)
    solution = torch.cholesky_solve(right, factor)
    return transposed @ solution if dual else solution


def _through_singular_values(features: Tensor, targets: Tensor, penalty: float) -> Tensor:
    """:func:`fit` by singular value decomposition; singular values below 1e-10 of the largest count as zero."""
    left, values, right = torch.linalg.svd(features, full_matrices=False)
    kept = values > 1e-10 * values[..., :1]
    shrunk = torch.where(kept, values / (values**2 + penalty * features.shape[-2]), torch.zeros_like(values))
    return right.mT @ (shrunk[..., None] * (left.mT @ targets))
