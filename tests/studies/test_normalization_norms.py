"""Normalisation: the norms against their definitions, and batch norm's explosion by brute force."""

import math

import pytest
import torch

from claimcheck.engine.networks import norm_of

from .asking import Asked

ASKED = Asked("normalization")
FIGURES, norm_timing = (ASKED.module(name) for name in ("figures", "norm_timing"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def definition(name, x):
    """The papers' formulas, without affine part."""
    if name == "batch":
        return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    if name == "layer":
        return (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    return x / (x.square().mean(1, keepdim=True) + 1e-5).sqrt()


@pytest.mark.parametrize("name", ["batch", "layer", "rms"])
def test_engine_norms_follow_their_definitions(name):
    x = 3.0 * torch.randn(16, 6, generator=generator()).double() + 2.0
    torch.testing.assert_close(norm_of(name, 6).double()(x), definition(name, x))


@pytest.mark.parametrize("kernel", ["primitives", "fused"])
def test_timed_norms_compute_the_same_with_the_same_gradients(kernel):
    x, weight, bias = (
        torch.randn(*shape, generator=generator(k)).double() for k, shape in enumerate([(5, 8), (8,), (8,)])
    )
    for norm, name in zip(norm_timing.kernels(kernel), ("layer", "rms"), strict=True):
        expected = definition(name, x) * weight + (bias if name == "layer" else 0.0)
        torch.testing.assert_close(norm(x, weight, bias), expected)
        assert torch.autograd.gradcheck(lambda x, norm=norm: norm(x, weight, bias), x.clone().requires_grad_())


def test_batch_norm_multiplies_the_squared_gradient_by_pi_over_pi_minus_one():
    """Brute force: a wide ReLU network with batch norm, written out."""
    depth, width, batch = 16, 256, 256
    draws, signals = generator(3), []
    h = torch.randn(batch, width, generator=draws)
    for _ in range(depth):
        z = h @ (torch.randn(width, width, generator=draws) * math.sqrt(2 / width))
        _ = z.retain_grad() if signals else z.requires_grad_()
        signals.append(z)
        h = torch.relu((z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt())
    (h * torch.randn(batch, width, generator=draws)).sum().backward()
    squares = [float(z.grad.square().mean().log()) for z in signals]
    slope = (squares[3] - squares[-1]) / (depth - 4)
    assert slope == pytest.approx(FIGURES.BATCH_NORM_GROWTH, abs=0.04)
