"""Proportions, where each seed says yes or no: the exact binomial test, its interval, and what the judge makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from claimcheck.errors import ClaimcheckError
from claimcheck.judging import statistics
from claimcheck.judging.judge import judge, sensitivity
from claimcheck.judging.statistics import LEVEL, binomial_interval, binomial_tails, decide, seeds_to_support
from claimcheck.spec.models import Prediction

AT_LEAST_NINE_IN_TEN = (0.9, None)


def _yes(n: int, yes: int) -> np.ndarray:
    return (np.arange(n) < yes).astype(float)


def _decided(n: int, yes: int, region=AT_LEAST_NINE_IN_TEN):
    return decide(_yes(n, yes), region, average="proportion")


@pytest.mark.parametrize(("n", "yes"), [(11, 0), (16, 16), (64, 58), (96, 95)])
def test_the_p_values_are_scipys_binomial_test(n, yes):
    for side, alternative in enumerate(("greater", "less")):
        reference = stats.binomtest(yes, n, 0.9, alternative=alternative).pvalue
        assert binomial_tails(_yes(n, yes), 0.9)[side] == pytest.approx(reference, rel=1e-9)


def test_sixteen_of_sixteen_do_not_show_that_nine_in_ten_would():
    found = _decided(16, 16)
    assert found.verdict == "inconclusive"
    assert found.p_supported == pytest.approx(0.9**16)
    assert (found.low, found.high) == (pytest.approx(0.025 ** (1 / 16)), 1.0)
    assert "16 seeds cannot support it, at least 73 could" in found.note


@pytest.mark.parametrize(
    ("region", "needed"), [((0.9, None), 73), ((None, 0.1), 73), ((None, 0.05), 149), ((0.5, None), 11)]
)
def test_seeds_to_support_is_where_seeds_that_all_agree_begin_to_support(region, needed):
    assert seeds_to_support(region) == needed
    low_end = region[0] is not None
    for n, verdict in [(needed, "supported"), (max(11, needed - 1), "supported" if needed == 11 else "inconclusive")]:
        assert _decided(n, n if low_end else 0, region).verdict == verdict


@pytest.mark.parametrize("end", [0.05, 0.1, 0.5, 0.9, 0.95])
@pytest.mark.parametrize("n", [11, 16, 64, 73, 96, 160])
def test_the_level_is_kept_exactly_where_the_truth_is_an_end_of_the_region(n, end):
    chance = stats.binom.pmf(np.arange(n + 1), n, end)
    for region in [(end, None), (None, end), (end, end + 0.02)]:
        verdicts = np.array([_decided(n, yes, region).verdict for yes in range(n + 1)])
        for wrong in ("supported", "contradicted"):
            assert chance[verdicts == wrong].sum() <= LEVEL


def test_the_sign_flip_test_would_not_keep_it():
    wrongly = stats.binom.pmf(16, 16, 0.9)
    assert decide(np.ones(16), AT_LEAST_NINE_IN_TEN).verdict == "supported", "judged on the mean"
    assert wrongly > 300 * LEVEL


def _sums(shares: dict[int, float], parts: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Chance of each sum of n values k / parts (index: the sum times parts), and of it with no value in between."""
    one = np.array([shares.get(k, 0.0) for k in range(parts + 1)])
    all_of_them, whole = np.array([1.0]), np.array([1.0])
    for _ in range(n):
        all_of_them = np.convolve(all_of_them, one)
        whole = np.convolve(whole, np.r_[one[0], np.zeros(parts - 1), one[-1]])
    return all_of_them, whole


@pytest.mark.parametrize("n", [11, 16, 96])
@pytest.mark.parametrize("between", [0.001, 0.01, 0.05, 0.1, 0.3, 1.0])
@pytest.mark.parametrize(("parts", "k"), [(2, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("truth", [0.1, 0.5, 0.9])
def test_the_level_is_kept_for_shares_of_several_runs(truth, parts, k, between, n):
    # k of a seed's runs say yes with a probability that grows with `between`; the rest is 0 or 1, with mean `truth`
    some = between * min(truth * parts / k, (1 - truth) * parts / (parts - k), 1.0)
    ones = truth - some * k / parts
    all_of_them, whole = _sums({0: 1 - some - ones, k: some, parts: ones}, parts, n)
    for side in (0, 1):
        wrong = 0.0
        for total, (chance, exact) in enumerate(zip(all_of_them, whole, strict=True)):
            # any values with this sum do: the test knows their sum and whether there is one in between
            full, rest = divmod(total, parts)
            mixed = np.r_[np.ones(full), [rest / parts] * (rest > 0), np.zeros(n)][:n]
            if rest == 0 and 0 < full < n:
                mixed[[full - 1, full]] = 0.5
            if binomial_tails(mixed, truth)[side] <= LEVEL:
                wrong += chance - exact
            if rest == 0 and binomial_tails(_yes(n, full), truth)[side] <= LEVEL:
                wrong += exact
        assert wrong <= LEVEL


def test_a_seed_whose_runs_differ_widens_the_interval():
    mixed = np.r_[np.ones(90), np.full(6, 2 / 3)]
    found = decide(mixed, AT_LEAST_NINE_IN_TEN, average="proportion")
    assert found.estimate == pytest.approx(94 / 96)
    assert found.p_supported == pytest.approx(np.e * stats.binom.sf(93, 96, 0.9))
    assert found.p_contradicted == 1.0
    plain = _decided(96, 94)
    assert found.low < plain.low < plain.high < found.high


@pytest.mark.parametrize("n", [11, 16, 96])
def test_the_interval_covers_every_truth_as_often_as_it_says(n):
    ends = np.array([binomial_interval(_yes(n, yes)) for yes in range(n + 1)])
    for truth in np.linspace(0.01, 0.99, 99):
        covers = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        assert stats.binom.pmf(np.arange(n + 1), n, truth)[covers].sum() >= statistics.CONFIDENCE


def test_zeros_and_ones_are_a_proportion_even_if_nobody_says_so():
    found = decide(_yes(64, 63), AT_LEAST_NINE_IN_TEN)
    assert (found.average, found.verdict) == ("proportion", "inconclusive")
    assert "judged as a proportion" in found.note
    assert decide(_yes(64, 63), (-0.5, None)).average == "mean", "an end below 0 is none of a proportion"
    assert decide(np.r_[_yes(63, 62), 0.5], AT_LEAST_NINE_IN_TEN).average == "mean"


@pytest.mark.parametrize(
    ("values", "region"), [([1.5] * 12, (0.9, None)), ([1.0] * 12, (0.0, None)), ([], (1.0, None))]
)
def test_what_is_no_proportion_is_refused(values, region):
    with pytest.raises(ValueError, match="no proportion"):
        decide(values, region, average="proportion")


def _prediction(region) -> Prediction:
    return Prediction(id="p", says="p", statistic="p", region=region, why="p", average="proportion")


def test_sensitivity_asks_of_a_proportion_only_what_it_can_answer():
    checks = sensitivity(_yes(160, 160), _prediction((0.9, None)))
    assert checks == {
        "threshold halved": "supported",  # at least 0.95
        "threshold doubled": "supported",  # at least 0.8
        "half the seeds": "supported",  # 80
        "other average": None,
    }
    few = sensitivity(_yes(73, 73), _prediction((0.9, None)))
    assert few["half the seeds"] is None, "fewer could not support it"
    assert sensitivity(_yes(16, 16), _prediction((0.5, None)))["threshold doubled"] is None, "1 - 2 * 0.5 is no end"


PROPORTION = {
    "statistic: moved_up, region: [0.0, null]": "statistic: moved_up, average: proportion, region: [0.5, null]",
}


def test_a_study_declares_a_proportion(plant, run_planted):
    study = plant(
        PROPORTION, {'return _difference(records, "up")': 'return (_difference(records, "up") > 0).astype(float)'}
    )
    found = next(entry for entry in judge(run_planted(study)) if entry["prediction"] == "better")
    assert (found["verdict"], found["average"], found["estimate"]) == ("supported", "proportion", 1.0)
    assert found["rule"] == "proportion, binomial test, level 0.0005"
    assert found["low"] == pytest.approx(0.025 ** (1 / 16))


def test_a_statistic_that_is_no_proportion_is_told(plant, run_planted):
    study = plant(PROPORTION)
    with pytest.raises(ClaimcheckError, match=r"moved_up \(prediction better\).*is not a proportion.*for seed"):
        judge(run_planted(study))


@pytest.mark.parametrize("region", ["[0.0, null]", "[null, 1.0]", "[0.9, 1.001]"])
def test_a_region_that_no_proportion_can_leave_is_told(plant, region):
    changed = {old: new.replace("[0.5, null]", region) for old, new in PROPORTION.items()}
    with pytest.raises(
        ClaimcheckError, match=r"predictions\.0\.average: the ends of its region must lie between 0 and 1.*'proportion'"
    ):
        plant(changed)
