"""Urns, refits, thresholds and leaks: theory against hand-worked cases and plain simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from claimcheck.theory import decisions, feedback, selection


def test_an_urn_that_starts_even_has_a_uniform_share():
    grid = np.linspace(0, 1, 11)
    assert feedback.urn_share_cdf(grid, (1, 1)) == pytest.approx(grid)


def test_an_urn_s_share_is_the_beta_law_of_a_plain_simulation():
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        counts = np.array([2.0, 1.0])
        for draw in rng.random(300):
            counts[int(draw >= counts[0] / counts.sum())] += 1
        found.append(counts[0] / counts.sum())
    assert stats.kstest(found, lambda share: feedback.urn_share_cdf(share, (2, 1))).pvalue > 1e-3
    assert stats.kstest(found, lambda share: feedback.urn_share_cdf(share, (1, 1))).pvalue < 1e-3


@pytest.mark.parametrize(("rates", "expected"), [((0.3, 0.2), 0.4), ((0.5, 0.5), 0.5), ((0.3, 0.0), 0.0)])
def test_who_finds_first_keeps_all_looks(rates, expected):
    assert feedback.lock_in(rates) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_log_variance_drift_is_the_mean_log_of_a_scaled_chi_square(n):
    expected = stats.chi2(n - 1).expect(lambda x: math.log(x / n), lb=0, ub=math.inf)
    assert feedback.log_variance_drift(n) == pytest.approx(expected, rel=1e-4)


def test_the_typical_variance_falls_twice_as_fast_as_the_mean_one():
    ratio = 50 * feedback.log_variance_drift(200) / math.log(feedback.mean_variance(200, 50))
    assert ratio == pytest.approx(2.0, abs=0.02)


def test_the_cheapest_threshold_of_true_probabilities_is_bayes():
    p = (np.arange(10_000) + 0.5) / 10_000
    costs = {t: 10 * p[p <= t].sum() + (1 - p[p > t]).sum() for t in (0.03, decisions.bayes_threshold(10), 0.2, 0.5)}
    assert decisions.bayes_threshold(10) == pytest.approx(1 / 11)
    assert min(costs, key=costs.get) == decisions.bayes_threshold(10)


def test_predictive_value_at_a_hand_worked_screening():
    """Of 10,000, 100 are ill: 90 alarms among them; of 9,900 others five percent, 495."""
    assert decisions.predictive_value(0.9, 0.95, 0.01) == pytest.approx(90 / 585)
    assert math.isnan(decisions.predictive_value(0.0, 1.0, 0.01))


def test_the_largest_squares_are_those_of_sorted_normals():
    z = np.sort(np.random.default_rng(0).standard_normal((200, 2000)) ** 2, axis=1)
    assert selection.largest_squares(20, 2000) == pytest.approx(z[:, -20:].mean(), rel=0.02)
    assert selection.largest_squares(20, 20) == 1.0


def test_without_a_choice_noise_is_guessed():
    assert selection.leaked_accuracy(100, 20, 20) == pytest.approx(0.5)


def test_leaked_accuracy_is_that_of_a_plain_simulation():
    rng, sign, found = np.random.default_rng(1), np.repeat([-1.0, 1.0], 60), []
    for _ in range(400):
        x = rng.standard_normal((120, 500))
        kept = np.argsort(np.abs(sign @ x))[-10:]
        train = rng.permutation(120)[:60]
        test = np.setdiff1d(np.arange(120), train)
        weights = sign[train] @ x[np.ix_(train, kept)]
        found.append((np.sign(x[np.ix_(test, kept)] @ weights) == sign[test]).mean())
    assert selection.leaked_accuracy(120, 500, 10) == pytest.approx(np.mean(found), abs=0.007), "0.0024 is by chance"
