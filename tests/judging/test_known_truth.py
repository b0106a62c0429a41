"""The rule where the truth is known: false alarms, power, coverage, and the product's own calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_json
from claimcheck.judging import calibration, statistics
from claimcheck.results.seals import read_sealed, sealed


@pytest.fixture(scope="module")
def calibrated():
    return calibration.calibrate(16, 100, reports=1500, coverage_samples=600)


def _alarms(calibrated, name, average):
    return next(
        entry
        for entry in calibrated["false_alarms"]
        if entry["effects"].startswith(name) and entry["average"] == average
    )


@pytest.mark.parametrize("n", [5, 12])
def test_the_vectorised_test_equals_scipys(n):
    data = np.random.default_rng(n).normal(0.4, 1, (4, n))
    above, below = calibration.sign_flip_p_values(data)
    for row, p_above, p_below in zip(data, above, below, strict=True):
        for p, alternative in [(p_above, "greater"), (p_below, "less")]:
            reference = stats.permutation_test(
                (row,),
                np.mean,
                permutation_type="samples",
                vectorized=True,
                n_resamples=np.inf,
                alternative=alternative,
            )
            assert p == pytest.approx(reference.pvalue, rel=0, abs=1e-12)


@pytest.mark.parametrize("n", [11, 13, 16, 24])
def test_stopping_early_rejects_what_the_p_values_reject(n):
    generator = np.random.default_rng(n)
    data = np.concatenate([generator.normal(0.9, 1, (60, n)), np.round(generator.normal(-0.9, 1, (60, n)))])
    above, below = calibration.sign_flip_p_values(data)
    for level in (statistics.LEVEL, 0.01):
        found = calibration.sign_flip_rejections(data, level)
        np.testing.assert_array_equal(found[0], above <= level)
        np.testing.assert_array_equal(found[1], below <= level)
    assert (above <= statistics.LEVEL).any() or n == 11


def test_the_vectorised_test_is_the_rules_own():
    data = np.random.default_rng(0).normal(0.8, 1, (20, 14))
    above, _ = calibration.sign_flip_p_values(data)
    for row, p in zip(data, above, strict=True):
        assert statistics.decide(row, (0, None), interval=False).p_supported == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "average"),
    [
        ("normal", "mean"),
        ("heavy", "mean"),
        ("two-valued", "mean"),
        ("skewed", "median"),
        ("logarithm", "mean"),
        ("yes", "proportion"),
    ],
)
def test_false_alarms_keep_the_promise_within_two_standard_errors(calibrated, name, average):
    entry = _alarms(calibrated, name, average)
    promise, reports = calibrated["bound"], calibrated["reports"]
    assert entry["kept"]
    for kind in ("wrongly_supported", "wrongly_contradicted"):
        assert entry[kind]["rate"] <= promise + 2 * math.sqrt(promise * (1 - promise) / reports)


def test_false_alarms_on_normal_effects_are_as_many_as_the_level_says(calibrated):
    # floor(level * 2^16) = 32 of 65536 sign flips: the exact level is 32/65536 = 0.000488
    exact = 1 - (1 - 32 / 2**16) ** 100
    entry = _alarms(calibrated, "normal", "mean")
    error = math.sqrt(exact * (1 - exact) / calibrated["reports"])
    for kind in ("wrongly_supported", "wrongly_contradicted"):
        assert abs(entry[kind]["rate"] - exact) < 3 * error


def test_skewed_effects_break_the_mean_and_calibration_says_so(calibrated):
    entry = _alarms(calibrated, "skewed", "mean")
    assert not entry["kept"]
    assert entry["wrongly_contradicted"]["low"] > calibrated["bound"]
    assert any("promised: broken" in remark and "median" in remark for remark in calibrated["remarks"])


def test_yes_and_no_break_the_mean_and_calibration_says_so(calibrated):
    entry = _alarms(calibrated, "yes", "mean")
    assert not entry["kept"]
    # sixteen of sixteen, in 18.5 % of predictions, are all that the sign-flip test needs
    assert entry["wrongly_supported"]["per_prediction"] == pytest.approx(0.9**16, abs=0.005)
    assert any("promised: broken" in remark and "proportion" in remark for remark in calibrated["remarks"])


def test_the_effect_named_by_the_power_table_is_found_nine_times_in_ten(calibrated):
    generator = np.random.default_rng(9)
    for average in ("mean", "median"):
        effect = calibrated["power"][average]["effect"]
        data = generator.normal(effect, 1, (400, 16))
        found = [statistics.decide(row, (0, None), average=average, interval=False).verdict for row in data]
        share = found.count("supported") / len(found)
        assert share >= 0.9 - 2.5 * math.sqrt(0.09 / 400)
        assert found.count("contradicted") == 0


def test_the_half_width_named_by_the_power_table_is_confirmed_nine_times_in_ten(calibrated):
    half = calibrated["power"]["equivalence"]["effect"]
    data = np.random.default_rng(10).normal(0, 1, (400, 16))
    found = [statistics.decide(row, (-half, half), interval=False).verdict for row in data]
    assert found.count("supported") / 400 >= 0.9 - 2.5 * math.sqrt(0.09 / 400)


def test_intervals_cover_the_truth(calibrated):
    covered = {(entry["effects"].split(" ")[0], entry["average"]): entry for entry in calibrated["coverage"]}
    # BCa is an asymptotic interval: 92-93 % at n = 16 on normal values is what the literature reports, not 95 %
    assert 0.90 <= covered["normal", "mean"]["rate"] <= 0.96
    assert covered["skewed", "median"]["rate"] >= 0.95
    assert covered["yes", "proportion"]["rate"] >= 0.95
    large = np.random.default_rng(2).normal(0, 1, (400, 100))
    assert calibration._covers_mean(large, np.random.default_rng(3)).mean() >= 0.95 - 2.5 * math.sqrt(0.0475 / 400)


def test_the_power_table_shrinks_with_the_number_of_seeds():
    generator = np.random.default_rng(1)
    effects = [
        calibration.smallest_effects(n, samples=300, generator=generator)["mean"]["effect"] for n in (11, 16, 32)
    ]
    assert effects == sorted(effects, reverse=True)
    # a t-test at the same level would need (t + z) / sqrt(n), about 0.92 at n = 32
    assert 0.7 < effects[2] < 1.1


def test_calibration_is_the_same_twice_and_written_as_json(tmp_path):
    first = calibration.calibrate_verdicts([], n=11, m=3)
    second = calibration.calibrate(11, 3)
    assert first == {**second, "skewed": []}
    write_json(tmp_path / "calibration.json", sealed(first))
    assert read_sealed(tmp_path / "calibration.json", "calibrate") == first
    assert "simulated reports of 3 predictions with 11 seeds" in "\n".join(calibration.summary(first))


def test_calibration_is_for_the_seeds_that_most_predictions_have_and_for_all_predictions():
    few, most = {"prediction": "p", "n": 4}, {"prediction": "q", "n": 12}
    found = calibration.calibrate_verdicts([few, most, most, {"prediction": "r", "n": 16}])
    assert (found["n"], found["m"]) == (12, 4)


@pytest.mark.parametrize(("n", "m"), [(10, 5), (16, 0)])
def test_what_cannot_be_calibrated_is_told(n, m):
    with pytest.raises(ClaimcheckError, match="nothing to calibrate"):
        calibration.calibrate(n, m)


def test_calibration_without_verdicts_is_told():
    with pytest.raises(ClaimcheckError, match="no prediction with enough seeds"):
        calibration.calibrate_verdicts([])
