"""Distillation's loss, its gradient, and what theory says of it at high temperature.

With p = softmax(z / T) of a student and q = softmax(v / T) of a teacher, the gradient of T^2 KL(q || p) with respect to
z is T (p - q). For T large against the logits it tends to (z - v) / N for logits of zero mean over N classes: soft
targets then match logits (Hinton, Vinyals and Dean 2015, arXiv:1503.02531, section 2.1). Knows no study.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

POINTS = 2**13
"""Sobol points of the integral behind `expected_cosine`; its error is below 0.002."""


def log_softmax(logits: Tensor) -> Tensor:
    """log softmax over the last dimension, by its formula (faster than torch's over a handful of classes)."""
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


def soft_loss(student: Tensor, teacher: Tensor, temperature: Tensor | float) -> Tensor:
    """KL(teacher || student) of the class probabilities at ``temperature``, of each example; logits ``[..., C]``.

    Without the factor T^2.
    """
    said, wanted = log_softmax(student / temperature), log_softmax(teacher / temperature)
    return (wanted.exp() * (wanted - said)).sum(-1)


def cosine_to_logit_difference(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cosine of the soft loss's gradient (by autograd) to the difference of centred logits, of each example."""
    import torch

    z = student.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(soft_loss(z, teacher, temperature).sum(), z)
    difference = (student - student.mean(-1, keepdim=True)) - (teacher - teacher.mean(-1, keepdim=True))
    return torch.nn.functional.cosine_similarity(gradient, difference.detach(), dim=-1)


@functools.cache
def expected_cosine(temperature: float, classes: int = 10, deviation: float = 2.0) -> float:
    """Expectation of that cosine for independent normal logits, by quasi-Monte Carlo on the formula p - q.

    Args:
        deviation: standard deviation of the logits of both.
    """
    from scipy.special import softmax
    from scipy.stats import norm, qmc

    points = qmc.Sobol(2 * classes, scramble=True, rng=np.random.default_rng(0)).random(POINTS)
    z, v = np.split(deviation * norm.ppf(np.clip(points, 1e-12, 1 - 1e-12)), 2, axis=1)
    gradient = softmax(z / temperature, axis=1) - softmax(v / temperature, axis=1)
    difference = (z - z.mean(1, keepdims=True)) - (v - v.mean(1, keepdims=True))
    dot = (gradient * difference).sum(1)
    return float((dot / np.linalg.norm(gradient, axis=1) / np.linalg.norm(difference, axis=1)).mean())
