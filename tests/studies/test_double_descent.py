"""The study of double descent: theory and solvers against other routes, statistics, figures, the full-scale path."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.context import Context, Settings
from claimcheck.figures import drawing
from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.judging.measures import evaluate
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study
from claimcheck.theory import bias_variance, risk

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "double_descent")
RUNS, STATISTICS, FIGURES, PROBLEMS = (
    study_module(STUDY.folder, name) for name in ("runs", "statistics", "figures", "problems")
)
landmarks = STATISTICS.landmarks


def answer(identifier, rows, scale="quick"):
    """What a prediction measures on the records of its part, a number for each seed."""
    prediction = next(p for _, p in STUDY.predictions() if p.id == identifier)
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(rows, **prediction.arguments)
    return evaluate(prediction.measure, rows, STUDY.at(scale)[prediction.part])


def run_part(name, scale="smoke", seeds=None, data_dir=Path("data"), factors=None, rows=slice(None), **settings):
    """Records of one part as the runner makes them, without files; `factors` cuts values, `rows` cuts runs."""
    part = STUDY.at(scale)[name]
    cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (factors or {}).items()}
    part = part.model_copy(update={"factors": {**part.factors, **cut}, "seeds": seeds or part.seeds})
    frames = []
    for piece in design.ensembles(part, design.confirmatory_runs(part).iloc[rows], "confirm"):
        context = Context(
            "double_descent", scale, name, Settings({**part.settings, **settings}), torch.device("cpu"), data_dir
        )
        raw = getattr(RUNS, f"run_{name}")(piece.runs.copy(), context)
        frames.append(records.check_outcome(raw, piece.runs, part, where=name))
    return records.part_of(records.concatenate(frames), name)


# ---- theory ----


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


def test_misspecified_risk_has_two_descents_and_a_late_rise():
    law = PROBLEMS.PROBLEMS["misspecified"]
    dip, peak, second, late = (law.expected(gamma, ridge=False) for gamma in (0.2, 1.1, 4.0, 20.0))
    assert dip == pytest.approx(4.590, abs=1e-3)
    assert second == pytest.approx(4.2, abs=1e-9)
    assert late == pytest.approx(4.8038, abs=1e-4)
    assert second < dip < late < peak
    assert law.expected(1.0, ridge=True) < law.expected(2.0, ridge=True)


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


# ---- landmarks ----


def test_cross_fitting_chooses_on_the_other_seeds():
    table = pd.DataFrame({1: [0.0, 5.0, 5.0], 2: [1.0, 1.0, 1.0]}, index=[0, 1, 2])
    found = best_for_others(table, table, "lowest")
    assert found.tolist() == [1.0, 1.0, 1.0]  # seed 0 would take 0.0 for itself, the others' mean forbids it


def test_landmarks_are_chosen_on_the_other_seeds():
    curve = pd.DataFrame({1: [0.0, 5.0, 5.0], 2: [1.0, 1.0, 1.0], 4: [9.0, 3.0, 3.0], 8: [2.0, 4.0, 4.0]})
    marks = landmarks(curve, threshold=2)
    assert marks[["best", "peak"]].iloc[0].tolist() == [1.0, 2.0]  # alone it would be judged at 0.0 and 9.0


def test_landmarks_of_a_known_curve():
    curve = pd.DataFrame({1: 0.5, 2: 0.2, 4: 0.3, 8: 0.6, 16: 0.25}, index=[0, 1, 2])
    marks = landmarks(curve, threshold=8)
    assert marks[["narrowest", "best", "peak", "widest"]].iloc[0].tolist() == [0.5, 0.2, 0.6, 0.25]
    assert marks[["peak_at", "threshold"]].iloc[0].tolist() == [8, 8]


def test_a_falling_curve_has_no_rise():
    curve = pd.DataFrame({1: 0.5, 2: 0.4, 4: 0.3}, index=[0, 1])
    marks = landmarks(curve, threshold=2)
    assert (marks["peak"] - marks["best"]).tolist() == [0.0, 0.0]


def test_noise_alone_gives_no_rise_and_no_left_arm_on_average():
    """A flat curve: chosen on the same seeds best and peak would differ by several tenths, cross-fitted they do not."""
    generator, rises, arms = np.random.default_rng(0), [], []
    for _ in range(150):
        marks = landmarks(pd.DataFrame(generator.normal(size=(8, 6))), threshold=5)
        rises.append((marks["peak"] - marks["best"]).mean())
        arms.append((marks["narrowest"] - marks["best"]).mean())
    assert abs(np.mean(rises)) < 4 * np.std(rises) / len(rises) ** 0.5 + 0.05
    assert abs(np.mean(arms)) < 4 * np.std(arms) / len(arms) ** 0.5 + 0.05


# ---- statistics ----


def test_every_prediction_gives_each_seed_a_number(smoke):
    for _, prediction in STUDY.predictions():
        rows = records.part_of(smoke, prediction.part)
        if len(rows):
            values = answer(prediction.id, rows, "smoke")
            assert sorted(values.index) == [0, 1, 2, 3], prediction.id
            assert np.isfinite(values.to_numpy(dtype=float)).all(), prediction.id


def network_records(errors, train, label_noise=0.15):
    rows = [
        {"seed": seed, "width": width, "label_noise": label_noise, "test_error": error, "train_error": fitted}
        for seed in range(3)
        for (width, error), fitted in zip(errors.items(), train, strict=True)
    ]
    return pd.DataFrame(rows)


def test_network_statistics_on_a_curve_made_by_hand():
    made = network_records({3: 0.4, 6: 0.2, 12: 0.3, 24: 0.25, 99: 0.1}, [0.4, 0.2, 0.08, 0.0, 0.0])
    expected = {
        "network-u-left-arm": 0.2,
        "network-u-right-arm": 0.1,
        "network-second-descent": 0.2,
        "network-ends-near-optimum": -0.1,
        "peak-at-threshold": 0.0,
    }
    for name, value in expected.items():
        assert answer(name, made).tolist() == pytest.approx([value] * 3), name


def test_networks_are_judged_where_most_labels_are_wrong_or_on_clean_ones():
    fitted = [0.4, 0.05, 0.0]
    parts = {0.2: {3: 0.5, 6: 0.3, 9: 0.6}, 0.1: {3: 0.5, 6: 0.5, 9: 0.5}, 0.0: {3: 0.4, 6: 0.2, 9: 0.2}}
    made = pd.concat([network_records(errors, fitted, noise) for noise, errors in parts.items()])
    assert answer("images-peak", made).tolist() == pytest.approx([0.3] * 3)
    assert answer("images-no-peak-on-clean-labels", made).tolist() == [0.0] * 3


def test_a_diverged_network_counts_as_a_guess():
    made = network_records({3: 0.4, 6: 0.2, 12: np.nan, 24: 0.1}, [0.4, 0.2, 0.05, 0.0])
    assert answer("network-u-right-arm", made).tolist() == pytest.approx([0.7] * 3)


def test_random_features_interpolate_at_as_many_as_examples_and_are_judged_without_a_penalty():
    """Best up to 40 features, the number of examples; lower error with a penalty, or beyond, plays no part."""
    curve = {5: 0.5, 20: 0.2, 40: 0.8, 80: 0.1}
    rows = [
        {"seed": seed, "width": width, "ridge": ridge, "test_error": 0.0 if ridge else error}
        for seed in range(3)
        for width, error in curve.items()
        for ridge in (0.0, 0.01)
    ]
    made = pd.DataFrame(rows).assign(dataset="digits", label_noise=0.15, examples=40.0)
    assert answer("digits-u-left-arm", made).tolist() == pytest.approx([0.3] * 3)
    assert answer("digits-u-right-arm", made).tolist() == pytest.approx([0.6] * 3)
    assert answer("digits-second-descent", made).tolist() == pytest.approx([0.7] * 3)
    assert answer("digits-ends-near-optimum", made).tolist() == pytest.approx([-0.1] * 3)


def test_ratio_to_theory_takes_the_worst_gamma_and_leaves_the_threshold_out():
    rows = [
        {"seed": seed, "gamma": gamma, "risk": factor * risk.ridgeless(gamma, 1, 0.25)}
        for seed in range(2)
        for gamma, factor in ((0.5, 1.02), (0.9, 7.0), (1.1, 7.0), (2.0, 0.93))
    ]
    made = pd.DataFrame(rows).assign(model="isotropic", penalty="none")
    assert answer("ridgeless-matches-theory", made).tolist() == pytest.approx([0.93, 0.93])


def test_decomposition_ratio_leaves_the_threshold_out():
    rows = [
        {"seed": seed, "width": width, "error": error}
        for seed in range(2)
        for width, error in ((10, 4.4), (100, 400.0), (300, 4.0 / 1.1))
    ]
    made = pd.DataFrame(rows).assign(examples=100.0, squared_bias=1.0, variance=2.0, noise=1.0)
    assert answer("decomposition-closes", made).tolist() == pytest.approx([1.0, 1.0])


def test_variance_of_networks_is_judged_at_its_highest_width():
    rows = [
        {"seed": seed, "width": width, "variance": value, "squared_bias": 1.0, "noise": 1.0, "error": 2.2 + 1.1 * value}
        for seed in range(3)
        for width, value in ((3, 1.0), (6, 2.0), (12, 4.0), (24, 0.5))
    ]
    made = pd.DataFrame(rows).assign(examples=500.0, status="ok")
    assert answer("network-variance-rises", made).tolist() == pytest.approx([np.log(4)] * 3)
    assert answer("network-variance-is-unimodal", made).tolist() == pytest.approx([np.log(1 / 8)] * 3)
    assert answer("network-decomposition-closes", made).tolist() == pytest.approx([1.1] * 3)


def test_log_ratios_have_the_sign_of_what_they_say():
    rows = [
        {"seed": 0, "width": width, "examples": 100.0, "squared_bias": bias, "variance": variance}
        for width, bias, variance in ((10, 0.8, 0.1), (100, 0.3, 5.0), (300, 0.2, 0.4))
    ]
    made = pd.DataFrame(rows).assign(status="ok")
    expected = {"bias-falls": 0.25, "variance-rises": 50, "variance-is-unimodal": 0.08}
    for name, ratio in expected.items():
        assert answer(name, made).iloc[0] == pytest.approx(np.log(ratio)), name


def test_gaps_close_from_the_fewest_examples_to_the_most():
    rows = [
        {"seed": 0, "examples": n, "noisy_test_error": 0.5, "train_error": 0.5 - gap, "gap": gap, "penalty": "none"}
        for n, gap in ((20, 0.4), (90, 0.3), (1000, 0.1))
    ]
    made = pd.DataFrame(rows).assign(status="ok")
    assert answer("network-gap-closes", made).tolist() == pytest.approx([0.25])
    assert answer("linear-gap-closes", made).tolist() == pytest.approx([0.25])


# ---- runs ----


def test_a_run_does_not_depend_on_its_company():
    for part in ("linear_samples", "features", "resamples", "network_resamples"):
        whole = run_part(part, seeds=2).set_index("run")
        piece = run_part(part, seeds=2, rows=slice(1, None, 3)).set_index("run")
        pd.testing.assert_frame_equal(whole.loc[piece.index, piece.columns], piece, check_exact=True)


def test_measured_linear_risk_meets_theory_at_the_study_s_own_settings():
    found = run_part("linear", "quick", seeds=2, factors={"gamma": [0.5, 2.0]})
    for (model, penalty, gamma), rows in found.groupby(["model", "penalty", "gamma"]):
        expected = PROBLEMS.PROBLEMS[model].expected(gamma, penalty == "optimal")
        assert rows["risk"].mean() == pytest.approx(expected, rel=0.12)


def test_random_features_interpolate_from_as_many_as_examples_on():
    found = run_part("features", seeds=1, factors={"dataset": ["digits"]})
    enough = found[(found["width"] >= 40) & (found["ridge"] == 0)]
    assert (enough["train_error"] == 0).all()
    assert (found[(found["width"] == 5)]["train_error"] > 0).all()


# ---- figures and full scale ----


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(smoke, drawn_well, figure):
    drawn_well(STUDY, figure, smoke)


@pytest.mark.parametrize(
    ("part", "factors", "settings"),
    [
        ("linear", {"gamma": [0.5, 20.0]}, {"replicates": 2, "examples": 200}),
        ("linear_samples", {"examples": [40, 1000]}, {}),
        ("features", {"dataset": ["digits"], "width": [50, 1080]}, {}),
        ("resamples", {"width": [300, 600]}, {"resamples": 2, "widest": 600}),
        ("network", {"width": [300]}, {"steps": 3}),
        ("network_signals", {"width": [300]}, {"steps": 3}),
        ("network_resamples", {"width": [6, 200]}, {"steps": 3, "resamples": 2}),
        ("network_samples", {"examples": [1200]}, {"steps": 3}),
    ],
)
def test_full_scale_path(part, factors, settings):
    found = run_part(part, "full", seeds=2, factors=factors, **settings)
    assert set(found["seed"]) == {0, 1}
    assert (found["status"] == "ok").all()


def test_full_scale_images_and_their_figure(fashion):
    small = {"steps": 2, "examples": 60, "batch_size": 20, "test_examples": 50}
    found = run_part("convolution", "full", seeds=2, data_dir=fashion, factors={"width": [1, 3]}, **small)
    assert len(found) == 2 * 2 * 3
    assert found["test_error"].between(0, 1).all()
    _, problems = drawing.draw(FIGURES.plot_convolution, found)
    assert problems == []
