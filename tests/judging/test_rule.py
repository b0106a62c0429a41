"""The rule against the binomial distribution, written out, and what evidence.md promises of it."""

import math

import numpy as np
import pytest
from scipy.stats import binom

from claimcheck.judging import rule
from claimcheck.judging.rule import decide


def tail(n, k, share):
    """P(X >= k) for X binomial (n, share), by the sum of its definition."""
    return math.fsum(math.comb(n, i) * share**i * (1 - share) ** (n - i) for i in range(k, n + 1))


def units(true, false):
    """Values of which `true` lie in the region (0, open)."""
    return [1.0] * true + [-1.0] * false


@pytest.mark.parametrize(("n", "needed"), [(14, 14), (24, 22), (32, 27), (48, 38), (64, 48), (96, 67)])
def test_typically_takes_so_many_units(n, needed):
    assert rule.fewest_true(n, 0.5) == needed
    assert decide(units(needed, n - needed), (0, None)).verdict == "supported"
    assert decide(units(needed - 1, n - needed + 1), (0, None)).verdict == "inconclusive"
    assert decide(units(n - needed, needed), (0, None)).verdict == "contradicted"


def test_nearly_always_takes_so_many_units():
    assert [rule.fewest_true(n, 0.9) for n in (87, 88, 128)] == [None, 88, 127]
    assert rule.most_true(96, 0.9) == 73
    assert decide(units(73, 23), (0, None), 0.9).verdict == "contradicted"


@pytest.mark.parametrize(("n", "share"), [(14, 0.5), (40, 0.5), (88, 0.9), (130, 0.9)])
def test_p_is_the_binomial_tail(n, share):
    k = rule.fewest_true(n, share)
    assert decide(units(k, n - k), (0, None), share).p == pytest.approx(tail(n, k, share), rel=1e-9)
    assert tail(n, k, share) <= rule.LEVEL < tail(n, k - 1, share)


def test_too_few_units_to_decide_anything_are_not_run():
    assert decide(units(13, 0), (0, None)).verdict == "not run"
    assert decide(units(3, 0), (0, None), 0.9).verdict == "not run"
    assert decide(units(0, 4), (0, None), 0.9).verdict == "contradicted", "four of four against nine in ten decide"


@pytest.mark.parametrize("share", rule.SHARES)
@pytest.mark.parametrize("n", [14, 24, 32, 64, 88, 96, 128])
def test_a_verdict_is_wrong_with_at_most_the_level_whatever_the_true_share(n, share):
    if (needed := rule.fewest_true(n, share)) is not None:
        assert max(tail(n, needed, true) for true in np.linspace(0, share, 51)) <= rule.LEVEL * (1 + 1e-9)
    if (most := rule.most_true(n, share)) is not None:
        wrong = [1 - tail(n, most + 1, true) for true in np.linspace(share, 1, 51)]
        assert max(wrong) <= rule.LEVEL * (1 + 1e-6)


@pytest.mark.parametrize(
    ("n", "true", "expected"), [(24, 0.8, 0.12), (24, 0.9, 0.56), (32, 0.9, 0.91), (48, 0.8, 0.64), (64, 0.8, 0.88)]
)
def test_power_is_as_laid_down(n, true, expected):
    assert rule.power(n, 0.5, true) == pytest.approx(expected, abs=0.006)


def test_units_for_power_are_the_fewest():
    n = rule.units_for(0.5, 0.9)
    assert rule.power(n, 0.5, 0.9) >= 0.9
    assert all(rule.power(fewer, 0.5, 0.9) < 0.9 for fewer in range(1, n))
    assert rule.units_for(0.5, 0.5) is None
    assert rule.units_for(0.9, 1.0) == 88


def test_an_end_of_the_region_is_not_in_it():
    assert decide([0.0] * 32, (0, None)).verdict == "contradicted", "an arm compared with itself exceeds nothing"
    assert decide([1.0] * 32, (-1, 1)).verdict == "contradicted"


def test_a_unit_without_a_number_is_not_true_and_infinities_are_numbers():
    mixed = decide([math.inf] * 16 + [math.nan] * 16, (0, None))
    assert (mixed.k, mixed.n) == (16, 32)
    assert decide([math.inf] * 32, (0, None)).verdict == "supported"
    assert decide([-math.inf] * 32, (0, None)).verdict == "contradicted"
    assert decide([math.nan] * 32, (None, 5)).verdict == "contradicted"


@pytest.mark.parametrize("n", [1, 5, 6, 7, 14, 16, 24, 31, 32, 33, 64, 96, 128])
def test_the_ends_of_the_medians_interval_are_the_innermost_that_cover(n):
    """Between the r-th number from either end, both tails of the binomial distribution being 2.5 % at most."""
    ranks = [r for r in range(1, n // 2 + 1) if binom.cdf(r - 1, n, 0.5) <= 0.025]
    ends = (ranks[-1] - 1.0, float(n - ranks[-1])) if ranks else (None, None)
    shuffled = np.random.default_rng(n).permutation(np.arange(float(n)))
    assert rule.median(shuffled) == ((n - 1) / 2, *ends)
    assert rule.median(np.append(shuffled, math.nan)) == ((n - 1) / 2, *ends), "a unit without a number aside"


def test_the_median_is_shown_with_an_interval_that_covers():
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        found = decide(generator.standard_cauchy(32), (0, None))
        assert found.low <= found.median <= found.high
        covered += found.low <= 0 <= found.high
    assert covered / 400 >= 0.93


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "contradicted"], "mixed"),
        (["supported", "inconclusive"], "inconclusive"),
        (["contradicted", "inconclusive"], "contradicted"),
        (["mixed", "supported"], "mixed"),
        (["supported", "not run"], "inconclusive"),
        (["not run", "not run"], "not run"),
        ([], "not run"),
    ],
)
def test_several_verdicts_make_one(verdicts, whole):
    assert rule.combined(verdicts) == whole


NULLS = {
    "normal": lambda g, shape: g.standard_normal(shape),
    "log-normal about its median": lambda g, shape: np.exp(g.standard_normal(shape)) - 1.0,
    "Cauchy": lambda g, shape: g.standard_cauchy(shape),
}


@pytest.mark.parametrize(
    ("main", "facts", "whole"),
    [
        ([], [], "not run"),
        ([], ["not run"], "not run"),
        ([], ["holds", "not run"], "holds"),
        ([], ["holds", "does not hold"], "does not hold"),
        (["not run"], ["holds"], "not run"),
        (["supported"], ["does not hold"], "supported"),
    ],
)
def test_facts_decide_a_claim_that_has_nothing_else(main, facts, whole):
    assert rule.of_claim(main, facts) == whole


@pytest.mark.parametrize("name", NULLS)
@pytest.mark.parametrize("n", [14, 32])
def test_whole_reports_under_the_null_keep_their_bound(name, n):
    """2,000 reports of 100 predictions, each true of exactly half of the units: wrong ones in at most 1 % each way."""
    draws = NULLS[name](np.random.default_rng([7, n]), (2000 * 100, n))
    k = (draws > 0).sum(axis=1).reshape(2000, 100)
    wrongly_supported = (k >= rule.fewest_true(n, 0.5)).any(axis=1).mean()
    wrongly_contradicted = (k <= rule.most_true(n, 0.5)).any(axis=1).mean()
    bound = 100 * rule.LEVEL
    slack = 4 * math.sqrt(bound / 2000)
    assert wrongly_supported <= bound + slack
    assert wrongly_contradicted <= bound + slack
