"""Mean-field theory against closed forms, published constants and plain simulation."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from claimcheck.errors import ClaimcheckError
from claimcheck.theory import mean_field


@pytest.mark.parametrize("q", [1e-6, 0.3, 1.0, 50.0])
def test_relu_halves_the_variance_and_has_chi_half_of_the_weight_variance_at_any_scale(q):
    assert mean_field.next_variance("relu", q, 2.0) == pytest.approx(q, rel=1e-5)
    assert mean_field.chi("relu", q, 3.0) == pytest.approx(1.5, rel=1e-9)


def test_a_linear_network_multiplies_by_the_weight_variance():
    assert mean_field.variances("linear", 1.5, 4, input_variance=2.0, bias_variance=0.1) == pytest.approx(
        [3.1, 4.75, 7.225, 10.9375]
    )
    assert mean_field.chi_1("linear", 0.7) == pytest.approx(0.7)


@pytest.mark.parametrize(("bias_variance", "expected"), [(0.01, 1.424), (0.05, 1.761), (0.1, 1.986), (0.3, 2.505)])
def test_edge_of_chaos_of_tanh(bias_variance, expected):
    def distance(weight_variance):
        return mean_field.chi_1("tanh", weight_variance, bias_variance) - 1

    assert brentq(distance, 0.5, 8.0, xtol=1e-6) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("activation", "weight_variance", "expected"),
    [
        ("tanh", 0.5, 0.5),
        ("tanh", 2.0, 1.106),
        ("tanh", 4.0, 1.363),
        ("sigmoid", 1.0, 0.0557),
        ("sigmoid", 4.0, 0.172),
        ("swish", 1.0, 0.25),
        ("swish", 2.0, 0.5),
        ("swish", 4.0, 2.0),
        ("gelu", 4.0, 2.0),
        ("relu", 1 / 3, 1 / 6),
    ],
)
def test_factor_per_layer(activation, weight_variance, expected):
    assert mean_field.chi_1(activation, weight_variance) == pytest.approx(expected, rel=4e-3)


@pytest.mark.parametrize(("name", "second_moment", "slope"), [("swish", 0.356, 0.380), ("gelu", 0.425, 0.456)])
def test_moments_at_unit_variance(name, second_moment, slope):
    assert mean_field.next_variance(name, 1.0, 1.0) == pytest.approx(second_moment, abs=6e-4)
    assert mean_field.chi(name, 1.0, 1.0) == pytest.approx(slope, abs=6e-4)


@pytest.mark.parametrize("name", sorted(mean_field.ACTIVATIONS))
def test_slopes_are_the_derivatives_of_the_functions_and_quadrature_agrees_with_sampling(name):
    phi, slope = mean_field.ACTIVATIONS[name]
    x = np.linspace(-4, 4, 801) + 1e-3
    assert slope(x) == pytest.approx((phi(x + 1e-6) - phi(x - 1e-6)) / 2e-6, abs=1e-5)
    z = np.random.default_rng(0).normal(size=400_000) * math.sqrt(1.7)
    assert mean_field.chi(name, 1.7, 1.0) == pytest.approx(float((slope(z) ** 2).mean()), rel=0.01)


def test_log_gradients_are_sums_of_log_factors_and_end_at_zero():
    q = mean_field.variances("tanh", 1.3, 4)
    logs = [math.log(mean_field.chi("tanh", value, 1.3)) for value in q]
    assert mean_field.log_gradients("tanh", 1.3, 4) == pytest.approx([sum(logs[:3]), sum(logs[1:3]), logs[2], 0.0])


def test_depth_scale_is_infinite_where_nothing_changes():
    assert mean_field.depth_scale("relu", 2.0) == math.inf
    assert mean_field.depth_scale("relu", 1.0) == pytest.approx(1 / math.log(2))


@pytest.mark.parametrize(("width", "depth", "expected"), [(2, 5, 0.763), (4, 10, 0.476), (5, 20, 0.470)])
def test_dead_network_law(width, depth, expected):
    assert mean_field.dead_network(width, depth) == pytest.approx(expected, abs=1e-3)


def test_an_unknown_activation_is_told():
    with pytest.raises(ClaimcheckError, match="unknown activation"):
        mean_field.chi("softsign", 1.0, 1.0)


def test_gradients_of_a_hand_written_wide_network_follow_the_product():
    generator = torch.Generator().manual_seed(1)
    width, depth, variance = 400, 12, 2.0
    weights = [torch.randn(width, width, generator=generator) * math.sqrt(variance / width) for _ in range(depth)]
    h, pre = torch.randn(64, width, generator=generator), []
    h = h / h.square().mean(1, keepdim=True).sqrt()
    for weight in weights:
        pre.append((h @ weight.T).requires_grad_())
        h = torch.tanh(pre[-1])
    last = torch.randn(h.shape, generator=generator)
    measured = [0.0]
    for layer in range(depth - 1, 0, -1):
        last = (last * (1 - torch.tanh(pre[layer]) ** 2)) @ weights[layer]
        measured.append(float((last * (1 - torch.tanh(pre[layer - 1]) ** 2)).detach().square().mean().log()))
    measured = np.array(measured[1:][::-1])
    theory = mean_field.log_gradients("tanh", variance, depth)[:-1]
    assert measured - measured[-1] == pytest.approx(theory - theory[-1], abs=0.15)
