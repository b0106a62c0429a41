"""Risk of least squares in high dimension: the closed forms, and the solver that is measured against them.

Features are isotropic, x ~ N(0, I_p); y = <x, b> + noise of variance sigma^2, |b|^2 = r^2, n examples, gamma = p / n.
The excess risk of an estimate is E(<x, estimate> - E[y | x])^2. Closed forms: Hastie, Montanari, Rosset and Tibshirani
2022 (Surprises in high-dimensional ridgeless least squares interpolation, Ann. Stat. 50; arXiv:1903.08560), in the
limit n, p -> infinity at fixed gamma. Knows no study and draws no random number. The closed forms need no PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    """Share of the signal in the first gamma n features of the misspecified model: 1 - (1 + gamma)^-exponent."""
    return 1.0 - (1.0 + gamma) ** -exponent


def misspecified(gamma: float, signal: float, noise: float, exponent: float, *, ridge: bool = False) -> float:
    """Excess risk when a model sees only its own features: what it misses is more noise, and is always wrong.

    With isotropic features the part of the signal outside, r^2 (1 - share), acts as noise that is independent of
    the features inside, and is added to the risk (same paper, section 5).
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
    import torch

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
    import torch

    left, values, right = torch.linalg.svd(features, full_matrices=False)
    kept = values > 1e-10 * values[..., :1]
    shrunk = torch.where(kept, values / (values**2 + penalty * features.shape[-2]), torch.zeros_like(values))
    return right.mT @ (shrunk[..., None] * (left.mT @ targets))


@dataclass(frozen=True)
class Problem:
    """A linear problem of a given signal r^2 and noise sigma^2.

    Without ``exponent`` a model of p features has all of the signal in them. With it the features are infinitely many
    and the first gamma n of them carry `share_seen` (gamma, exponent) of the signal: every model is misspecified.
    """

    signal: float
    noise: float
    exponent: float | None = None

    def expected(self, gamma: float, ridge: bool) -> float:
        """Closed-form excess risk at gamma parameters per example, without a penalty or with the best one."""
        if self.exponent is not None:
            return misspecified(gamma, self.signal, self.noise, self.exponent, ridge=ridge)
        return (optimal_ridge if ridge else ridgeless)(gamma, self.signal, self.noise)

    def signals(self, p: int, directions: Tensor, examples: int) -> tuple[Tensor, float, float]:
        """Coefficients of all simulated features, the signal's energy that they leave out, and the best penalty.

        ``directions`` ``[P, K]`` are standard normal, column k one replicate; without ``exponent`` only p are used.
        """
        import torch

        gamma = p / examples
        if self.exponent is None:
            return directions[:p] * (self.signal / p) ** 0.5, 0.0, optimal_penalty(gamma, self.signal, self.noise)
        edges = torch.arange(len(directions) + 1, dtype=torch.float64, device=directions.device) / examples
        seen = 1.0 - (1.0 + edges) ** -self.exponent
        inside, _, total = split_signal(gamma, self.signal, self.noise, self.exponent)
        left_out = self.signal * (1.0 - float(seen[-1]))
        return directions * (self.signal * seen.diff()).sqrt()[:, None], left_out, optimal_penalty(gamma, inside, total)

    def measured(self, design: Tensor, p: int, directions: Tensor, noise: Tensor) -> dict[bool, tuple[float, float]]:
        """For ridge off and on, means over replicates of the excess risk and of the train error of least squares.

        Excess risk is exact, not sampled: with isotropic features it is the squared distance of the coefficients.

        Args:
            design: ``[n, P]`` standard normal, of which a fit sees the first p columns.
            directions, noise: ``[P, K]`` and ``[n, K]``, standard normal.
        """
        signals, left_out, best = self.signals(p, directions, len(design))
        # Signal in features that are not even simulated is noise to the fit, and wholly wrong in the prediction.
        targets = design[:, : len(signals)] @ signals + (self.noise + left_out) ** 0.5 * noise
        seen, missed = design[:, :p], float((signals[p:] ** 2).sum(0).mean()) + left_out
        products, found = gram(seen), {}
        for ridge in (False, True):
            estimate = fit(seen, targets, best if ridge else 0.0, products)
            excess = float(((estimate - signals[:p]) ** 2).sum(0).mean()) + missed
            found[ridge] = excess, float(((targets - seen @ estimate) ** 2).mean())
        return found
