"""Risk of least squares, the solver, and the decomposition of error: against other routes and simulations."""

import numpy as np
import pytest
import torch

from claimcheck.theory import bias_variance, risk


@pytest.mark.parametrize(("gamma", "expected"), [(0.5, 0.25), (0.9, 2.25), (2.0, 0.75), (1.1, 2.590909)])
def test_ridgeless_risk_at_hand_computed_points(gamma, expected):
    assert risk.ridgeless(gamma, signal=1.0, noise=0.25) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("gamma", [0.3, 0.8, 1.0, 1.7, 5.0])
def test_optimal_ridge_equals_the_spectral_integral(gamma):
    """Risk at the best penalty: sigma^2 gamma E[1 / (s + lambda)], s by Marchenko and Pastur's law, zeros included."""
    signal, noise = 1.3, 0.4
    penalty = noise * gamma / signal
    low, high = (1 - gamma**0.5) ** 2, (1 + gamma**0.5) ** 2
    # s = middle + half cos t turns the root of the density into a smooth integrand
    t = (np.arange(20_000) + 0.5) / 20_000 * np.pi
    s = (low + high) / 2 + (high - low) / 2 * np.cos(t)
    weight = ((high - low) / 2 * np.sin(t)) ** 2 / (2 * np.pi * gamma * s) * (np.pi / len(t))
    mass_at_zero = max(0.0, 1 - 1 / gamma)
    assert weight.sum() + mass_at_zero == pytest.approx(1.0, abs=2e-3)
    resolvent = (weight / (s + penalty)).sum() + mass_at_zero / penalty
    assert risk.optimal_ridge(gamma, signal, noise) == pytest.approx(noise * gamma * resolvent, rel=5e-3)


@pytest.mark.parametrize(("examples", "width"), [(60, 20), (20, 60)])
def test_risk_of_numpy_least_squares_scatters_around_the_closed_form(examples, width):
    """Another route: numpy's lstsq on sampled data, risk on sampled test inputs, 400 repetitions."""
    generator, found = np.random.default_rng(0), []
    for _ in range(400):
        design_matrix, truth = generator.normal(size=(examples, width)), generator.normal(size=width)
        truth *= 1 / np.linalg.norm(truth)
        y = design_matrix @ truth + 0.5 * generator.normal(size=examples)
        estimate = np.linalg.lstsq(design_matrix, y, rcond=None)[0]
        test = generator.normal(size=(50, width))
        found.append(np.mean((test @ (estimate - truth)) ** 2))
    gap = abs(examples - width)
    exact = 0.25 * min(examples, width) / (gap - 1) + max(0.0, 1 - examples / width)
    assert np.mean(found) == pytest.approx(exact, rel=0.07)
    assert risk.ridgeless(width / examples, 1.0, 0.25) == pytest.approx(exact, rel=0.06)


# ---- solver ----


@pytest.mark.parametrize(("examples", "width"), [(30, 12), (12, 30), (20, 20)])
def test_fit_without_penalty_is_the_pseudo_inverse(examples, width):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, examples, width, dtype=torch.float64, generator=generator)
    y = torch.randn(3, examples, 2, dtype=torch.float64, generator=generator)
    assert torch.allclose(risk.fit(x, y), torch.linalg.pinv(x) @ y, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("examples", "width"), [(30, 12), (12, 30)])
def test_fit_with_penalty_solves_the_normal_equations(examples, width):
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(examples, width, dtype=torch.float64, generator=generator)
    y = torch.randn(examples, 2, dtype=torch.float64, generator=generator)
    b = risk.fit(x, y, 0.3)
    assert torch.allclose(x.mT @ (x @ b - y) / examples + 0.3 * b, torch.zeros_like(b), atol=1e-10)
    assert torch.equal(b, risk.fit(x, y, 0.3, risk.gram(x)))


def test_fit_survives_a_singular_gram_matrix():
    x = torch.ones(6, 3, dtype=torch.float64)
    b = risk.fit(x, torch.full((6, 1), 6.0, dtype=torch.float64))
    assert torch.allclose(b, torch.full((3, 1), 2.0, dtype=torch.float64))


# ---- bias and variance ----


def test_expected_target_and_its_noise_match_a_simulation():
    labels, generator = torch.arange(4), torch.Generator().manual_seed(0)
    draws = 40_000
    moved = torch.rand(draws, 4, generator=generator) < 0.3
    shift = torch.randint(1, 4, (draws, 4), generator=generator)
    onehot = torch.nn.functional.one_hot(torch.where(moved, (labels + shift) % 4, labels), 4).double()
    expected = bias_variance.expected_target(labels, 0.3, 4)
    assert torch.allclose(onehot.mean(0), expected, atol=0.01)
    simulated = ((onehot - expected) ** 2).sum(-1).mean()
    assert float(simulated) == pytest.approx(bias_variance.target_noise(0.3, 4), rel=0.01)


def test_estimates_of_bias_and_variance_are_unbiased_with_four_sets():
    """A learner off by (1, 2) with variance 9 per output: squared bias 5, variance 18, from only 4 sets at a time."""
    generator = torch.Generator().manual_seed(3)
    expected = torch.zeros(5, 2, dtype=torch.float64)
    off = torch.tensor([1.0, 2.0], dtype=torch.float64)
    said = off + 3 * torch.randn(4000, 4, 5, 2, dtype=torch.float64, generator=generator)
    bias = torch.stack([bias_variance.squared_bias(four, expected) for four in said])
    spread = torch.stack([bias_variance.variance(four) for four in said])
    assert float(bias.mean()) == pytest.approx(5, abs=0.3)
    assert float(spread.mean()) == pytest.approx(18, rel=0.02)


def test_decomposition_closes_for_a_learner_made_by_hand():
    """Off by 0.1 in one output, variance 0.04 in each of three, labels moved with rate 0.3: the sum meets the measured error."""
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(3, (400,), generator=generator)
    expected = bias_variance.expected_target(labels, 0.3, 3)
    off = torch.tensor([0.1, 0.0, 0.0], dtype=torch.float64)
    said = expected + off + 0.2 * torch.randn(40, 400, 3, dtype=torch.float64, generator=generator)
    moved = torch.rand(20, 400, generator=generator) < 0.3
    fresh = torch.where(moved, (labels + torch.randint(1, 3, (20, 400), generator=generator)) % 3, labels)
    found = bias_variance.decomposed(said[:20], said[20:], labels, 0.3, fresh)
    assert found["squared_bias"] == pytest.approx(0.01, abs=0.003)
    assert found["variance"] == pytest.approx(0.12, rel=0.03)
    total = found["squared_bias"] + found["variance"] + found["noise"]
    assert found["error"] == pytest.approx(total, rel=0.03)


@pytest.mark.parametrize(
    ("p", "excess", "left"),
    [(20, 0.5 * 20 / 29, 0.5 * (1 - 20 / 50)), (80, 1 - 50 / 80 + 0.5 * 50 / 29, 0.0)],
)
def test_simulated_least_squares_have_the_risk_and_the_train_error_of_their_size(p, excess, left):
    """n = 50, signal 1, noise 1/2: in expectation noise p / (n - p - 1) below the threshold, with noise (1 - p / n) left
    of the noise; above it the signal not seen and noise n / (p - n - 1), and nothing left."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, dtype=torch.float64, generator=generator)

    problem = risk.Problem(signal=1.0, noise=0.5)
    found = [problem.measured(normal(50, 100), p, normal(100, 400), normal(50, 400)) for _ in range(40)]
    plain, ridged = (np.mean([each[ridge] for each in found], axis=0) for ridge in (False, True))
    assert plain == pytest.approx([excess, left], rel=0.05, abs=1e-9)
    assert ridged[0] < plain[0], "the best penalty helps the test"
    assert ridged[1] > plain[1], "and costs the fit"
