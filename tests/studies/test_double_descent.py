"""The study of double descent: theory and solvers against other routes, statistics, figures, the full-scale path."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from claimcheck.engine.context import Context, Settings
from claimcheck.figures import drawing
from claimcheck.judging import rule
from claimcheck.theory import risk

from .asking import Asked

ASKED = Asked("double_descent")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part = ASKED.answer, ASKED.run_part
RUNS, STATISTICS, FIGURES, PROBLEMS = (ASKED.module(name) for name in ("runs", "statistics", "figures", "problems"))


def test_misspecified_risk_has_two_descents_and_a_late_rise():
    law = PROBLEMS.PROBLEMS["misspecified"]
    dip, peak, second, late = (law.expected(gamma, ridge=False) for gamma in (0.2, 1.1, 4.0, 20.0))
    assert dip == pytest.approx(4.590, abs=1e-3)
    assert second == pytest.approx(4.2, abs=1e-9)
    assert late == pytest.approx(4.8038, abs=1e-4)
    assert second < dip < late < peak
    assert law.expected(1.0, ridge=True) < law.expected(2.0, ridge=True)


# ---- predictions ----


def hump(size, at, height=0.2, width=0.3):
    """A curve that falls, with a hump."""
    return 0.3 * size**-0.5 + height * np.exp(-(np.log(size / at) ** 2) / width)


def units_of(run, settings):
    return float(settings["widths"][run.dataset][run.size])


def network(run, settings):
    """Networks whose error peaks where they fit the noise, and only falls on clean labels."""
    units, peak = units_of(run, settings), settings["widths"][run.dataset]["peak"]
    error = 0.1 + hump(units / peak * 15, 15) if run.label_noise else 0.1 * units**-0.5
    return {"test_error": error, "train_error": 0.2 if units < peak else 0.0, "units": units}


def convolution(run, settings):
    error = 0.1 + hump(run.width * 15 / 4, 15) if run.label_noise else 0.1 * run.width**-0.5
    return {"test_error": error, "train_error": 0.2 if run.width < 4 else 0.0}


def features(run, settings):
    size = 15 * run.width / settings["examples"]
    return {"test_error": 0.3 * size**-0.5 if run.ridge else hump(size, 15), "examples": settings["examples"]}


def decomposed(width, peak, height):
    variance = 0.01 * width**0.5 + hump(width, peak, height, 0.2)
    found = {"squared_bias": 2 / width, "variance": variance, "noise": 0.3}
    return {**found, "error": sum(found.values())}


def resamples(run, settings):
    return {**decomposed(run.width, settings["examples"], 50), "examples": settings["examples"]}


def network_resamples(run, settings):
    units = units_of(run, settings)
    return {**decomposed(units, settings["widths"][run.dataset]["peak"], 1), "units": units, "train_error": 0.0}


def law(run, settings):
    """The form's error is the noise's, the wrong form's stays, the network's falls within the range alone."""
    inside = {"form": 0.03 * run.examples**-0.5, "wrong": 0.4, "network": 3 * run.examples**-0.7}[run.learner]
    return {"inside_error": inside, "outside_error": {"form": inside, "wrong": 4.0, "network": 3.0}[run.learner]}


def expected(model, gamma, penalty):
    return min(PROBLEMS.PROBLEMS[model].expected(gamma, penalty == "optimal"), 1e3)


MADE = {
    "laws": law,
    "linear": lambda run, settings: {"risk": expected(run.model, run.gamma, run.penalty)},
    "linear_samples": lambda run, settings: {
        "risk": expected("isotropic", 100 / run.examples, run.penalty), "gap": 100 / run.examples
    },
    "features": features,
    "resamples": resamples,
    "network": network,
    "network_resamples": network_resamples,
    "samples": lambda run, settings: {"gap": 10 / run.examples},
    "convolution": convolution,
}  # fmt: skip
"""Records in which every prediction is true: the columns of a run, given its part's settings, by part."""


def hump_on_right_labels(run, settings):
    peak = settings["widths"][run.dataset]["clean_peak"]
    return {"test_error": 0.1 + hump(units_of(run, settings) / peak * 15, 15)}


MADE_FOR = {"right-arm-on-right-labels": hump_on_right_labels}
"""Records for predictions that cannot be true where the others of their part are."""


def made(name, scale="quick", columns=None):
    """Records of a part as a scale has it, two seeds, with made columns."""
    return ASKED.made(name, columns or MADE[name], scale)


@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction):
    """At both scales, since the sizes that it names are other ones at each, and on every data set."""
    for scale in ("full",) if prediction.part == "convolution" else ("quick", "full"):
        rows = made(prediction.part, scale, MADE_FOR.get(prediction.id))
        ASKED.told_from_controls(prediction, rows, scale)


SHAPES = [
    name
    for name in PREDICTIONS
    if name.endswith(("second-descent", "-u", "u-on-right-labels", "peaks-on-clean-labels"))
]


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.5], ids=["falling", "flat", "rising"])
def test_a_monotone_curve_has_no_u_no_peak_and_no_second_descent(power):
    def curve(run, settings):
        size = units_of(run, settings) if hasattr(run, "size") else run.width
        return {"test_error": size**power / 10}

    asked = [PREDICTIONS[name] for name in SHAPES if PREDICTIONS[name].kind != "fact"]
    assert len(asked) == 7
    for prediction in asked:
        scale = "full" if prediction.part == "convolution" else "quick"
        for data in prediction.on or [None]:
            found = answer(prediction, made(prediction.part, scale, curve), scale, data=data)
            assert not rule.inside(found.to_numpy(), prediction.region).any(), prediction.id


def network_records(errors, train, label_noise=0.15):
    rows = [
        {"seed": seed, "units": units, "label_noise": label_noise, "test_error": error, "train_error": fitted}
        for seed in range(3)
        for (units, error), fitted in zip(errors.items(), train, strict=True)
    ]
    rows = pd.DataFrame(rows).assign(status="ok")
    return rows.assign(size=rows["units"].map({6: "dip"}).fillna("other"))


def test_the_peak_is_sought_from_the_dip_on_and_the_threshold_in_each_seed_s_own_train_error():
    noisy = network_records({3: 0.9, 6: 0.2, 12: 0.3, 24: 0.25, 48: 0.1}, [0.4, 0.2, 0.2, 0.08, 0.0])
    clean = network_records({3: 0.9, 6: 0.2, 12: 0.1, 24: 0.1, 48: 0.1}, [0.4, 0.1, 0.0, 0.0, 0.0], 0.0)
    rows = pd.concat([noisy, clean])
    rows.loc[(rows["seed"] == 1) & (rows["units"] == 12), "train_error"] = 0.1
    rows.loc[rows["seed"] == 2, "train_error"] = 0.5  # never fits: the widest stands for its threshold
    assert STATISTICS.peak_to_threshold(rows).tolist() == [-1, 0, -2]
    assert STATISTICS.peak_to_threshold(rows, clean=True).tolist() == [-2, -1, -3]


def test_a_diverged_network_counts_as_a_guess():
    rows = made("network")
    lost = (rows["size"] == "peak") & (rows["label_noise"] > 0)
    rows.loc[lost, ["status", "test_error"]] = "diverged", np.nan
    ours = rows[(rows["dataset"] == "digits") & (rows["label_noise"] > 0)].set_index("size")["test_error"]
    higher = max(ours["dip"].iloc[0], ours["widest"].iloc[0])
    assert answer("network-second-descent", rows, data="digits").tolist() == pytest.approx([0.9 - higher] * 2)


def test_ratio_to_theory_takes_each_seed_s_worst_gamma_and_leaves_the_threshold_out():
    rows = [
        {"seed": seed, "gamma": gamma, "risk": factor * risk.ridgeless(gamma, 1, 0.25)}
        for seed in range(2)
        for gamma, factor in ((0.5, 1.02 + 0.1 * seed), (0.9, 7.0), (1.1, 7.0), (2.0, 0.93))
    ]
    rows = pd.DataFrame(rows).assign(model="isotropic", penalty="none")
    assert answer("ridgeless-matches-theory", rows).tolist() == pytest.approx([0.93, 1.12])


def test_decomposition_ratio_leaves_the_threshold_out():
    rows = [
        {"seed": seed, "width": width, "error": error}
        for seed in range(2)
        for width, error in ((10, 4.4), (100, 400.0), (300, 4.0 / 1.1))
    ]
    rows = pd.DataFrame(rows).assign(examples=100.0, squared_bias=1.0, variance=2.0, noise=1.0)
    assert answer("decomposition-closes", rows).tolist() == pytest.approx([1.0, 1.0])


def test_every_prediction_gives_each_seed_a_number(smoke):
    for prediction, values in ASKED.answers(smoke):
        assert values.notna().all(), prediction.id  # a ratio to no gap at all is infinite


# ---- runs ----


@pytest.mark.parametrize("part", ["laws", "linear_samples", "features", "resamples", "network", "network_resamples"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2)


def test_measured_linear_risk_meets_theory_at_the_study_s_own_settings():
    found = run_part("linear", "quick", seeds=2, factors={"gamma": [0.5, 2.0]})
    for (model, penalty, gamma), rows in found.groupby(["model", "penalty", "gamma"]):
        expected = PROBLEMS.PROBLEMS[model].expected(gamma, penalty == "optimal")
        assert rows["risk"].mean() == pytest.approx(expected, rel=0.12)


def test_random_features_interpolate_from_as_many_as_examples_on():
    found = run_part("features", seeds=1, factors={"dataset": ["digits"]})
    enough = found[(found["width"] >= 200) & (found["ridge"] == 0)]
    assert (enough["train_error"] == 0).all()
    assert (found[(found["width"] == 5)]["train_error"] > 0).all()


def test_the_gap_is_that_to_labels_with_the_noise_of_training():
    """An error rate e on true labels is (1 - e) r + e (1 - r / 9) on labels of which a share r was moved elsewhere."""
    found = run_part("samples", seeds=2, factors={"dataset": ["digits"], "examples": [50]})
    noise, error = found["label_noise"], found["test_error"]
    seen = (1 - error) * noise + error * (1 - noise / 9)
    assert (found["gap"] - (seen - found["train_error"])).abs().max() < 1e-9


def test_the_known_form_has_the_error_of_its_one_constant():
    """The root mean square error of a term's constant is that of the noise over the root of the sum of its squares."""
    context = Context(
        "double_descent", "quick", "laws", Settings(STUDY.at("quick")["laws"].settings), None, Path("data")
    )
    runs = pd.DataFrame({"seed": range(200), "dataset": "gravity", "examples": 100, "learner": "form"})
    runs["run"] = runs["seed"].astype(str)
    found = RUNS.run_laws(runs.assign(learning_rate=0.01), context)
    assert ((found["inside_error"] ** 2).mean() * 100) ** 0.5 == pytest.approx(0.1, rel=0.12)


# ---- figures and full scale ----


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_full_scale_images_and_their_figure(fashion):
    small = {"steps": 2, "examples": 60, "batch_size": 20, "test": 50}
    found = run_part("convolution", "full", seeds=2, data_dir=fashion, factors={"width": [1, 3]}, **small)
    assert len(found) == 2 * 2 * 3
    assert found["test_error"].between(0, 1).all()
    _, problems = drawing.draw(FIGURES.plot_convolution, found)
    assert problems == []


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
