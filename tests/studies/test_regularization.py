"""The study of regularisation: augmentation, identities of decay, statistics on made records, controls, figures."""

import numpy as np
import pytest
import torch

from claimcheck.engine import noise
from claimcheck.judging import rule
from claimcheck.running import tuning
from claimcheck.spec.controls import NAMES

from .asking import Asked

ASKED = Asked("regularization")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part = ASKED.answer, ASKED.run_part
RUNS, DECAYS = (ASKED.module(name) for name in ("runs", "decays"))


# ---- predictions on made records ----


def methods(run):
    """Networks as the claims have them: every regulariser helps with few examples, and none with many."""
    error = {100: 0.5, 300: 0.4, 1000: 0.3, 2000: 0.2}[run.examples]
    few = float(run.examples == 300)
    change = {
        "none": 0.0, "dropout": 0.01 - 0.05 * few, "half": 0.05, "decay": -0.001 - 0.05 * few, "shifts": -0.15,
        "turned": 0.05,
    }[run.method]  # fmt: skip
    norm = 5.0 if run.method == "decay" else 10.0
    return {"test_error": error + change, "training_error": 0.0, "gap": error + change, "norm": norm}


def clean(run):
    return {"test_error": {"none": 0.15, "dropout": 0.145, "decay": 0.145}[run.method]}


def widths(run):
    """Plain errors fall to width 16 and rise; with decay they stay where they are best; too much or too little is worse."""
    plain = {4: 0.3, 16: 0.2, 64: 0.28, 128: 0.31, 512: 0.31}[run.width]
    decayed = 0.22 if run.width == 4 else 0.19
    return {"test_error": {0.0: plain, 1.0: decayed}.get(run.strength, 0.25)}


MADE = {
    "methods": methods,
    "clean": clean,
    "widths": widths,
    "pairs": lambda run: {"distance": 0.001 if run.strength == 1.0 else 0.5},
    "identities": lambda run: {
        "sgd_difference": 0.0, "adam_ratio": 100.5, "adamw_ratio": 1.001, "scale_difference": 0.0,
    },
}  # fmt: skip
"""Records in which every prediction is true: the columns of a run, by part."""


def made(name, scale="quick"):
    """Records of a part as a scale has it, two seeds, with made columns."""
    return ASKED.made(name, lambda run, settings: MADE[name](run), scale)


@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction):
    for scale in ("quick", "full"):
        if prediction.part != "clean":
            ASKED.told_from_controls(prediction, made(prediction.part, scale), scale)
            continue
        found = answer(prediction, made("clean", scale), scale, data="mnist5k").to_numpy()
        assert rule.inside(found, prediction.region).all()
        for name in NAMES:  # asked of another part, which holds the numbers of examples
            found = answer(prediction.id, made("methods", scale), scale, control=name, data="mnist5k").to_numpy()
            assert not rule.inside(found, prediction.region).any(), (scale, name)


def test_gains_are_compared_cell_by_cell():
    found = answer("dropout-helps-most-with-little-data", made("methods"), data="mnist5k")
    assert found.tolist() == pytest.approx([0.04 + 0.01] * 2)


def test_what_augmentation_is_worth_is_read_off_the_plain_curve():
    """From 0.4 at 300 to 0.3 at 1,000 the plain line reaches 0.25 after one and a half times the way."""
    found = answer("shifts-are-worth-data", made("methods"), data="mnist1d_pool")
    assert found.tolist() == pytest.approx([(1000 / 300) ** 1.5] * 2)


def test_where_a_half_is_the_rate_in_use_it_is_asked_of_dropout():
    rates = STUDY.at("quick")["methods"].settings["kinds"]["dropout"]["dropout"]
    for data, rate, added in (("mnist5k", 0.5, 0.01), ("mnist1d_pool", 0.1, 0.05)):
        assert rates[data] == rate
        found = answer("half-hurts-with-plenty", made("methods"), data=data)
        assert found.tolist() == pytest.approx([added] * 2)


def test_the_widest_regularised_network_is_held_against_the_best_plain_one_of_its_run():
    assert answer("one-size-fits", made("widths"), data="digits").tolist() == pytest.approx([-0.01] * 2)


def test_how_much_width_matters_is_the_range_of_the_errors_of_the_widths():
    rows = made("widths")
    rows.loc[(rows["width"] == 128) & (rows["strength"] == 10.0), "test_error"] = 0.9  # another strength: no part of it
    plain, decayed = 0.31 - 0.2, 0.22 - 0.19
    for control, expected in ((None, decayed / plain), ("never", 1.0), ("against", plain / decayed)):
        found = answer("width-matters-less", rows, data="digits", control=control)
        assert found.tolist() == pytest.approx([expected] * 2)


def test_a_network_that_diverged_counts_as_a_guess():
    rows = made("methods")
    rows.loc[(rows["examples"] == 300) & (rows["method"] == "none"), ["status", "test_error"]] = "diverged", np.nan
    found = answer("dropout-helps-most-with-little-data", rows, data="mnist5k")
    assert found.tolist() == pytest.approx([0.9 - 0.36 + 0.01] * 2)


# ---- what is trained ----


@pytest.mark.parametrize("examples", [100, 300])
def test_every_number_of_examples_is_passed_over_as_often(monkeypatch, examples):
    """What fits the few must have time to fit the many: at equal updates these are not fitted, and dropout only costs."""
    taken = []

    def train(runs, context, **how):
        taken.append((how["steps"] * context.settings.batch_size, how["data"].per_member["y"].shape[1]))
        raise InterruptedError

    monkeypatch.setattr(RUNS, "train", train)
    with pytest.raises(InterruptedError):
        run_part("methods", seeds=1, epochs=16, factors={"dataset": ["mnist1d_pool"], "examples": [examples]})
    assert taken == [(16 * examples, examples)]


@pytest.mark.parametrize("scale", ["smoke", "quick", "full"])
def test_passes_are_one_setting_of_all_numbers_of_examples(scale):
    """A change of scale cannot give some numbers of examples more passes than others: there is no other setting."""
    for name in ("methods", "clean", "widths"):
        settings = STUDY.at(scale)[name].settings
        assert settings["epochs"] > 0, name
        assert "steps" not in settings, name
    methods, clean = (STUDY.at(scale)[name] for name in ("methods", "clean"))
    assert methods.settings["epochs"] == clean.settings["epochs"]
    assert max(methods.factors["examples"].values) <= methods.settings["mnist5k"]["training"]


@pytest.mark.parametrize("scale", ["smoke", "quick", "full"])
def test_every_arm_has_a_learning_rate_of_its_own(scale):
    """By the error on validation examples, of every width and strength as of every method: a rate suits one of them."""
    for name in ("methods", "clean", "widths"):
        part = STUDY.at(scale)[name]
        assert (part.tune.factor, part.tune.minimise) == ("learning_rate", "validation_error"), name
        assert tuning.arm_columns(part) == list(part.factors), name
        assert part.pilot_cells() == part.cells(), name
        assert all(part.settings[data]["validation"] > 0 for data in part.factors["dataset"].values), name


def test_turning_changes_the_sign_of_series_and_turns_images_upside_down_half_of_the_time():
    x = torch.arange(1.0, 7.0).expand(400, 6)
    found = RUNS.turned(x, torch.tensor(3))
    over = (found == -x).all(1)
    assert torch.equal(found[~over], x[~over])
    assert 150 < int(over.sum()) < 250
    image = torch.arange(4.0).view(1, 1, 2, 2).expand(400, 1, 2, 2)
    kinds = {tuple(each.flatten().tolist()) for each in RUNS.turned(image, torch.tensor(3))}
    assert kinds == {(0, 1, 2, 3), (3, 2, 1, 0)}


def test_images_out_of_means_of_squares_are_images_that_were_shrunk_after_they_moved():
    """Each is one of the 25 moves by at most two pixels each way, and all of these come up."""
    images = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(images, [2] * 4, value=float(images.min()))
    moves = [wide[..., down : down + 28, right : right + 28] for down in range(5) for right in range(5)]
    shrunk = torch.nn.functional.avg_pool2d(torch.cat(moves), 4)
    means = RUNS.square_means(images, 4, 2).expand(3, 300, 1, -1, -1)
    found = RUNS.moved(means, noise.fold(torch.arange(3), 1), 4, 2)
    apart = (found[:, :, None] - shrunk).abs().amax((-3, -2, -1))
    assert apart.amin(-1).max() < 1e-6
    shares = torch.bincount(apart.argmin(-1).flatten(), minlength=25) / 900
    assert 0.01 < shares.min() < shares.max() < 0.08
    assert torch.equal(RUNS.moved(means[1], noise.fold(torch.tensor(1), 1), 4, 2), found[1]), "in any company"


@pytest.mark.parametrize("part", ["methods", "widths", "pairs"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2, rate=0.01)


def test_each_method_gets_what_it_is_made_of():
    """Six networks that differ; with neither noise nor decay nor moves they are one."""
    kinds = STUDY.at("smoke")["methods"].settings["kinds"]
    how = {"seeds": 1, "rate": 0.01, "epochs": 2, "factors": {"dataset": ["mnist1d_pool"], "examples": [300]}}
    found = run_part("methods", **how).set_index("method")["training_loss"]
    assert found.nunique() == len(kinds)
    nothing = {"dropout": {"dropout": {"mnist1d_pool": 0.0}}, "decay": {"decay": {"mnist1d_pool": 0.0}}}
    still = run_part("methods", kinds={key: nothing.get(key, {}) for key in kinds}, **how)["training_loss"]
    assert still.to_numpy() == pytest.approx(found["none"], rel=1e-5)


def test_without_decay_and_penalty_the_pair_is_one_network():
    found = run_part("pairs", seeds=2, weight_decay=0.0, learning_rate=0.003)
    weakest, strongest = (found[found["strength"] == found["strength"].agg(end)]["distance"] for end in ("min", "max"))
    assert weakest.max() < 0.05 < strongest.min()


# ---- facts ----


def identities(**changes):
    return ASKED.context("identities", **{**STUDY.at("quick")["identities"].settings, **changes}).settings


def test_facts_hold(smoke):
    ASKED.facts_hold(smoke)


def test_sgd_shrinks_every_weight_alike():
    """Under SGD the size of the gradients does not matter to the penalty, so the ratio can be other than Adam's."""
    generator = torch.Generator().manual_seed(0)
    assert DECAYS.shrinkage_ratio(torch.optim.SGD, identities(rate=1e-6), generator) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("times", [10.0, 1000.0])
def test_adam_with_l2_decays_in_inverse_proportion_to_the_gradient(times):
    generator = torch.Generator().manual_seed(1)
    found = DECAYS.shrinkage_ratio(torch.optim.Adam, identities(times=times), generator, eps=0.0)
    assert found == pytest.approx(times, rel=0.05)


# ---- the whole ----


def test_every_prediction_gives_each_seed_a_number(smoke):
    assert {prediction.id for prediction, _ in ASKED.answers(smoke)} == set(PREDICTIONS)


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
