"""The decision rule against examples worked out by hand, against scipy, and its properties."""

from __future__ import annotations

import math
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from claimcheck.judging import statistics
from claimcheck.judging.statistics import LEVEL, decide, sign_flip_tails, sign_test_tails

SAMPLES = st.lists(st.floats(-100, 100, width=32), min_size=11, max_size=14)
ENDS = st.floats(-50, 50, width=32)


# Each is the number of flipped subsets (the empty one included) whose sum is at or below 0, and at or above 0.
@pytest.mark.parametrize(
    ("values", "above", "below"),
    [
        ([1, 2, 3, 4, 5], 1, 32),  # only {} is not positive
        ([-1, 2, 3, 4, 5], 2, 31),  # {} and {-1}
        ([-3, 1, 2, 4, 5], 5, 29),  # {}, {-3}, {-3, 1}, {-3, 2}, and the tie {-3, 1, 2}, which counts on both sides
        ([-5, -4, -3, -2, -1], 32, 1),
        ([0, 0, 0, 0, 7], 16, 32),  # the subsets without 7 sum to 0
        ([2.5] * 5, 1, 32),
        ([-1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 2, 4095),
        ([-1, -2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 5, 4093),  # {}, {-1}, {-2}, {-1,-2}, and the tie {-1,-2,3}
        ([1] * 12, 1, 4096),
        ([-1] + [1] * 11, 13, 4095),  # {}, {-1}, and the 11 ties {-1, 1}
    ],
)
def test_sign_flip_p_values_are_exact_on_examples_worked_by_hand(values, above, below):
    rows = 2 ** len(values)
    found = sign_flip_tails(np.array(values, dtype=float), 0.0)
    assert found == pytest.approx((above / rows, below / rows), rel=0, abs=1e-12)
    moved = sign_flip_tails(np.array(values, dtype=float) + 3.0, 3.0)
    assert moved == pytest.approx(found, rel=0, abs=1e-12)


@pytest.mark.parametrize("negative", range(13))
def test_two_valued_data_have_the_binomial_sum_as_their_p_value(negative):
    count = sum(
        comb(negative, minus) * comb(12 - negative, plus) for minus in range(negative + 1) for plus in range(minus + 1)
    )
    data = np.array([-1.0] * negative + [1.0] * (12 - negative))
    assert sign_flip_tails(data, 0.0)[0] == pytest.approx(count / 4096, rel=0, abs=1e-12)


@pytest.mark.parametrize("n", [5, 11, 12, 16])
def test_sign_flip_p_values_equal_scipys_permutation_test(n):
    generator = np.random.default_rng(n)
    for centre, data in [(0.3, generator.normal(0.5, 1, n)), (0.0, np.round(generator.normal(0.4, 1, n), 1))]:
        for side, alternative in enumerate(("greater", "less")):
            reference = stats.permutation_test(
                (data - centre,),
                np.mean,
                permutation_type="samples",
                vectorized=True,
                n_resamples=np.inf,
                alternative=alternative,
            )
            assert sign_flip_tails(data, centre)[side] == pytest.approx(reference.pvalue, rel=0, abs=1e-12)


def test_drawn_sign_flips_agree_with_all_of_them():
    data = np.random.default_rng(3).normal(0.6, 1, 18)
    exact = stats.permutation_test(
        (data,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf, alternative="greater"
    ).pvalue
    drawn = sign_flip_tails(data, 0.0)[0]
    assert abs(drawn - exact) < 4 * math.sqrt(exact / statistics.FLIPS)
    assert drawn == sign_flip_tails(data, 0.0)[0], "the stream is fixed"


def test_drawn_sign_flips_resolve_the_level():
    assert sign_flip_tails(np.full(40, 2.0), 0.0)[0] == 1 / statistics.FLIPS
    assert decide(np.full(40, 2.0), (0, None)).verdict == "supported"


@pytest.mark.parametrize("n", [11, 12, 17])
def test_sign_test_equals_scipys_binomial_test(n):
    data = np.random.default_rng(n).normal(0.7, 1, n)
    for side, share in enumerate((np.count_nonzero(data > 0.1), np.count_nonzero(data < 0.1))):
        reference = stats.binomtest(int(share), n, 0.5, alternative="greater").pvalue
        assert sign_test_tails(data, 0.1)[side] == pytest.approx(reference, rel=1e-12)


@pytest.mark.parametrize("average", ["mean", "median"])
def test_constant_values_are_decided_and_their_interval_is_the_value(average):
    inside = decide([0.7] * 12, (0.5, 0.9), average=average)
    assert (inside.verdict, inside.estimate, inside.low, inside.high) == ("supported", 0.7, 0.7, 0.7)
    assert inside.p == 1 / 4096
    assert decide([0.7] * 12, (0.8, None), average=average).verdict == "contradicted"
    on_the_end = decide([0.5] * 12, (0.5, None), average=average)
    assert on_the_end.verdict == "inconclusive"
    assert "exactly on an end" in on_the_end.note


def test_eleven_seeds_can_decide_and_ten_cannot():
    assert statistics.MINIMUM_SEEDS == 11
    assert decide(np.arange(1.0, 12), (0, None)).verdict == "supported"
    few = decide(np.arange(1.0, 11), (0, None))
    assert few.verdict == "not run"
    assert "too few seeds: 10" in few.note
    assert few.p is None
    assert few.estimate == 5.5


def test_one_value_and_none_are_not_run():
    assert decide([3.0], (0, None)) == statistics.Decision(
        "not run", 3.0, None, None, 1, None, None, None, "mean", "too few seeds: 1, at least 11 could decide"
    )
    assert decide([], (0, None)).verdict == "not run"


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        decide([1.0] * 11 + [math.nan], (0, None))


@pytest.mark.parametrize("region", [(None, None), (1.0, 0.0), (math.nan, None), (None, math.inf)])
def test_what_is_no_region_is_refused(region):
    with pytest.raises(ValueError, match="region"):
        decide([1.0] * 12, region)


def test_infinite_values_are_judged_on_their_median():
    never_reached = [math.inf] * 3 + [1.5] * 13
    found = decide(never_reached, (None, 2.0))
    assert found.average == "median"
    assert found.estimate == 1.5
    assert "3 of 16 values are infinite" in found.note
    assert found.p == pytest.approx(stats.binom.sf(12, 16, 0.5))
    assert decide([math.inf] * 16, (2.0, None)).verdict == "supported"
    assert decide([-math.inf] * 8 + [math.inf] * 8, (2.0, None)).verdict == "inconclusive"
    assert decide([1e305] * 16, (2.0, None)).estimate == math.inf


def test_leaving_a_region_by_either_of_two_ends_counts_twice():
    data = np.arange(1.0, 12)
    assert decide(data, (None, 0.5)).p == 1 / 2048
    assert decide(data, (None, 0.5)).verdict == "contradicted"
    assert decide(data, (0.0, 0.5)).p_contradicted == 2 / 2048
    assert decide(data, (0.0, 0.5)).verdict == "inconclusive"


def test_a_claim_is_what_its_main_predictions_make_it():
    verdict = statistics.claim_verdict
    assert verdict(["supported", "supported"]) == "supported"
    assert verdict(["supported", "inconclusive"]) == "inconclusive"
    assert verdict(["supported", "not run"]) == "inconclusive"
    assert verdict(["supported", "contradicted", "not run"]) == "contradicted"
    assert verdict(["not run", "not run"]) == "not run"
    assert verdict([]) == "not run"


@settings(max_examples=60, deadline=None)
@given(SAMPLES, ENDS)
def test_moving_the_values_across_an_end_flips_the_verdict(values, end):
    data = np.array(values)
    spread = np.ptp(data) + 1.0
    assert decide(data - data.min() + end + spread, (end, None), interval=False).verdict == "supported"
    assert decide(data - data.max() + end - spread, (end, None), interval=False).verdict == "contradicted"
    assert decide(data - data.min() + end + spread, (None, end), interval=False).verdict == "contradicted"
    assert decide(data - data.max() + end - spread, (None, end), interval=False).verdict == "supported"


@settings(max_examples=80, deadline=None)
@given(SAMPLES, ENDS, st.floats(0, 40, width=32), st.sampled_from(["mean", "median"]))
def test_supported_and_contradicted_exclude_each_other(values, low, width, average):
    data = np.array(values)
    for region in [(low, low + width), (low, None), (None, low)]:
        found = decide(data, region, average=average, interval=False)
        assert not (found.p_supported <= LEVEL and found.p_contradicted <= LEVEL)
        assert 0 < found.p_supported <= 1
        assert 0 < found.p_contradicted <= 1
        if found.verdict == "supported":
            assert region[0] is None or found.estimate > region[0]
            assert region[1] is None or found.estimate < region[1]


@settings(max_examples=40, deadline=None)
@given(SAMPLES, st.randoms(use_true_random=False), st.sampled_from(["mean", "median"]))
def test_the_order_of_the_seeds_changes_no_bit(values, random, average):
    shuffled = list(values)
    random.shuffle(shuffled)
    assert decide(values, (-3, 5), average=average) == decide(shuffled, (-3, 5), average=average)


@settings(max_examples=60, deadline=None)
@given(SAMPLES, ENDS, st.floats(0.5, 40, width=32))
def test_a_wider_region_is_never_less_supported_nor_more_contradicted(values, low, width):
    data = np.array(values)
    narrow = decide(data, (low, low + width), interval=False)
    wide = decide(data, (low - 1, low + width + 1), interval=False)
    assert wide.p_supported <= narrow.p_supported
    assert wide.p_contradicted >= narrow.p_contradicted


@settings(max_examples=40, deadline=None)
@given(SAMPLES, ENDS)
def test_mirroring_values_and_region_mirrors_the_decision(values, end):
    data = np.array(values)
    assume(np.ptp(data) > 1e-3)
    right, left = decide(data, (end, None), interval=False), decide(-data, (None, -end), interval=False)
    assert right.verdict == left.verdict
    assert right.p == pytest.approx(left.p, abs=1e-12)


def test_the_interval_equals_scipys_bca():
    data = np.sort(np.random.default_rng(5).lognormal(size=16))
    reference = stats.bootstrap(
        (data,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng([statistics.STREAM, 16])
    ).confidence_interval
    found = decide(data, (0, None))
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high), rel=1e-9)


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (11, 2), (16, 4), (20, 6)])
def test_the_median_has_the_tabulated_interval_between_order_statistics(n, rank):
    # ranks of the conservative 95 % interval, such as in Conover, Practical Nonparametric Statistics, section 3.2
    data = np.arange(1.0, n + 1)
    assert statistics.order_interval(data) == (float(rank), float(n + 1 - rank))


def test_too_few_values_for_an_interval_of_the_median_have_none():
    assert statistics.order_interval(np.arange(5.0)) == (None, None)


def test_nearly_constant_values_get_a_finite_interval():
    for data in ([1.0] * 15 + [1.0 + 1e-12], [5e-324] * 11 + [0.0], [1e299] * 12 + [-1e299]):
        found = decide(data, (-0.5, None))
        assert found.low is not None
        assert math.isfinite(found.low)
        assert found.low <= found.high
