"""The study of data as they come: what units collect, scores, loops and statistics by hand, predictions, figures."""

from difflib import SequenceMatcher

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from claimcheck.theory import feedback
from claimcheck.theory.selection import leaked_accuracy

from .asking import Asked

ASKED = Asked("real_world_data")
STUDY = ASKED.study
COLLECTED, SCORES, LOOPS, RUNS, STATISTICS = (
    ASKED.module(name) for name in ("collected", "scores", "loops", "runs", "statistics")
)


def context_of(part):
    return ASKED.context(part, **STUDY.at("smoke")[part].settings)


def run_of(**columns):
    return next(pd.DataFrame([{"run": "0", "seed": 0, **columns}]).itertuples(index=False))


# ---- what is collected ----


def test_every_form_of_the_digits_asks_for_the_same_digits_in_the_same_order():
    """What makes the blocks of the file one form each; blocks that begin elsewhere do not agree."""
    _, y, source = COLLECTED.by_source(None, "digits", 0)
    assert len(y) == len(source) == 1797
    forms = [y[torch.from_numpy(source == form)].tolist() for form in range(14)]
    assert all(form[:10] == list(range(10)) for form in forms)
    alike = [SequenceMatcher(None, forms[0], form, autojunk=False).ratio() for form in forms]
    assert min(alike) > 0.9
    assert SequenceMatcher(None, forms[0], y[65:195].tolist(), autojunk=False).ratio() < 0.9


def test_a_quarter_turn_is_numpy_s():
    images = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for degrees, times in ((0, 0), (90, 1), (180, 2)):
        turned = COLLECTED.rotated(images, torch.full((3,), float(degrees)))
        assert np.allclose(turned, np.rot90(images, times, axes=(2, 3)), atol=1e-5), degrees


def test_sources_inside_and_outside_never_meet():
    source = np.repeat(np.arange(14), 30)
    inside, outside = COLLECTED.inside_and_outside(source, 0.714, 0.286, np.random.default_rng(0))
    assert not set(source[inside]) & set(source[outside])
    assert (len(set(source[inside])), len(set(source[outside]))) == (10, 4)
    few, same = COLLECTED.inside_and_outside(source, 0.215, 0.286, np.random.default_rng(0))
    assert len(set(source[few])) == 3
    assert set(source[same]) == set(source[outside])


def test_few_sources_hold_every_class_in_proportion_and_leave_the_test_alone():
    classes = np.repeat([0, 1, 2], [60, 30, 10])
    source, split = np.repeat(np.arange(100), 3), COLLECTED.inside_and_outside
    for seed in range(5):
        few, tested = split(source, 0.14, 0.286, np.random.default_rng(seed), np.repeat(classes, 3))
        many, same = split(source, 0.714, 0.286, np.random.default_rng(seed))
        own, whole = (np.bincount(classes[np.unique(source[rows])], minlength=3) for rows in (few, many))
        assert (len(set(source[few])), own.min() > 0) == (14, True)
        assert abs(own / 14 - whole / whole.sum()).max() < 0.1
        assert set(source[few]) <= set(source[many])
        assert tested.tolist() == same.tolist()


def test_recordings_of_one_object_are_alike_and_of_one_class():
    x, y, source = COLLECTED.by_source(context_of("sources"), "mnist5k", 0)
    assert len(x) == 28 * 12
    assert all(len(set(y[torch.from_numpy(source == number)].tolist())) == 1 for number in range(28))
    assert float((x[0] - x[1]).abs().mean()) > 0


def test_the_group_has_its_share_of_the_training_set_and_labels_stay():
    sets = RUNS._with_minority(run_of(dataset="digits", share=0.3), context_of("minority"))
    none = RUNS._with_minority(run_of(dataset="digits", share=0.0), context_of("minority"))
    turned = (sets["train"]["x"] != none["train"]["x"]).flatten(1).any(1)
    assert turned.tolist() == [True] * 18 + [False] * 42
    assert torch.equal(sets["train"]["y"], none["train"]["y"])
    assert torch.equal(sets["majority"]["x"], none["majority"]["x"])


@pytest.mark.parametrize(("arm", "odd"), [("even", 50), ("fiftieth", 2), ("weighted", 2), ("thrown_away", 50)])
def test_classes_are_as_unbalanced_as_the_arm_says_and_tests_are_even(arm, odd):
    sets = RUNS._unbalanced(run_of(dataset="digits", arm=arm), context_of("balance"))
    train = sets["train"]
    assert (len(train["y"]), int(train["y"].sum())) == (100, odd)
    assert sets["test"]["y"].float().mean() == 0.5
    different = len(train["x"].flatten(1).unique(dim=0))
    assert different == (4 if arm == "thrown_away" else 100)
    by_class = [float(train["weight"][train["y"] == label].sum()) for label in (0, 1)]
    assert (by_class[0] == pytest.approx(by_class[1])) == (arm != "fiftieth")


def test_copies_are_in_both_sets_and_nothing_else_is():
    for copied, expected in ((0.0, 0), (0.5, 20)):
        sets = RUNS.run_copies.__wrapped__(run_of(dataset="digits", copied=copied), context_of("copies"))
        train, test = ({tuple(x.flatten().tolist()) for x in sets[name]["x"]} for name in ("train", "test"))
        assert (len(train), len(train & test)) == (60, expected)


# ---- scores ----


def test_calibration_error_by_hand():
    """Two answers at confidence 0.9, one right: off by 0.4; two at 0.6, both right: off by 0.4."""
    chances = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    logits, labels = chances.log(), torch.tensor([0, 1, 0, 1])
    found = SCORES.scored(lambda x: logits, {"x": None, "y": labels}, {})
    assert float(found["ece"]) == pytest.approx(0.4, abs=1e-6)
    assert float(found["error"]) == 0.25
    assert float(found["confidence"]) == pytest.approx(0.75)
    table = SCORES.reliability(logits.double().numpy(), labels.numpy())
    assert table[0]["ece"] == pytest.approx(0.4, abs=1e-6)
    assert sum(row["share"] for row in table[1:]) == 1.0


def test_probabilities_that_are_true_have_no_calibration_error_and_temperature_one():
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((20_000, 5))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random((20_000, 1)) > chances.cumsum(1)).sum(1)
    assert SCORES.reliability(logits, labels)[0]["ece"] < 0.015
    assert SCORES.temperature(logits, labels) == pytest.approx(1.0, abs=0.03)
    assert SCORES.temperature(3 * logits, labels) == pytest.approx(3.0, abs=0.1)
    assert SCORES.reliability(3 * logits, labels)[0]["ece"] > 0.1


def test_ranking_is_scikit_learn_s():
    rng = np.random.default_rng(0)
    margin, positive = rng.integers(-5, 6, 200).astype(float), rng.random(200) < 0.3
    assert SCORES.ranking(margin, positive) == pytest.approx(roc_auc_score(positive, margin))


def test_costs_of_a_threshold_by_hand():
    """Three ill, of whom one has no alarm at 1/2; five well, of whom one has."""
    margin = np.array([2.0, 1.0, -1.0, -2.0, -3.0, 0.5, -1.5, -2.5])
    ill = np.array([True] * 3 + [False] * 5)
    found = SCORES.decided(margin, ill, 0.5, 10, 0.01)
    assert found["cost"] == pytest.approx(11 / 8)
    assert found["error"] == pytest.approx(2 / 8)
    assert found["predictive"] == pytest.approx(0.01 * (2 / 3) / (0.01 * (2 / 3) + 0.99 * 0.2))
    people = SCORES.screened(margin, ill, 0.5, 0.01, 1_000_000, np.random.default_rng(0))
    assert people == pytest.approx(found["predictive"], rel=0.05)


def test_a_corrected_prior_moves_the_threshold_and_nothing_else():
    """Alarms above t after the correction are those above the threshold that the prior's change makes of it before."""
    how = {"factors": {"dataset": ["digits"]}, "rows": slice(0, 1), "rate": 0.01}
    part = STUDY.at("smoke")["alarms"]
    seed = part.judged_runs[0][1]
    labels = RUNS._cases(run_of(dataset="digits", seed=seed), context_of("alarms"))["train"]["y"]
    shift = logit(part.settings["prevalence"]) - logit(labels.double().mean().item())
    moved = float(expit(logit(0.0909) - shift))
    rows = ASKED.run_part("alarms", thresholds=[0.0909, moved], **how)
    own = rows[rows["sharpened"] == 1].set_index("threshold")
    assert set(own["seed"]) == {seed}
    assert own.loc[0.0909, "predictive_corrected"] == pytest.approx(own.loc[moved, "predictive"])
    assert own.loc[0.0909, "predictive_corrected"] != pytest.approx(own.loc[0.0909, "predictive"])


# ---- loops ----


def test_watching_by_hand():
    """Both finds of the first place are counted; a corrected find is not, where one would have looked there anyway."""
    draws = np.zeros((2, 3, 2))
    draws[:, 2] = 0.6
    looks, counts = LOOPS.watched(draws, ["proportional", "corrected"], np.full((2, 2), 0.5))
    assert looks.tolist() == [1.0, 1.0]
    assert counts.tolist() == [0.75, 0.5]


def test_refits_keep_their_variance_where_all_draws_are_real():
    rng = np.random.default_rng(0)
    found = LOOPS.refitted(rng.standard_normal, 50, 1.0, 30, 200)
    assert abs(found[-1].mean() - feedback.log_variance_drift(50)) < 0.05
    assert LOOPS.refitted(rng.standard_normal, 50, 0.0, 30, 200)[-1].mean() < -0.8


# ---- statistics and predictions ----


def test_a_change_is_held_against_the_group_s():
    rows = pd.DataFrame(
        [
            {"seed": 0, "tested": tested, "share": share, "error": error}
            for tested, pair in {"all": (0.2, 0.15), "minority": (0.8, 0.3)}.items()
            for share, error in zip((0.01, 0.3), pair, strict=True)
        ]
    )
    assert STATISTICS.change_beside_the_group(rows, "all", 0.01, 0.3).tolist() == pytest.approx([0.1])
    assert STATISTICS.change_beside_the_group(rows, "minority", 0.01, 0.3).tolist() == [1.0]


def test_what_order_loses_is_held_against_what_decisions_lose():
    rows = pd.DataFrame({"seed": 0, "arm": ["even", "fiftieth"], "error": [0.1, 0.5], "auc": [0.95, 0.85]})
    rows = pd.concat([rows.assign(tested="plain"), rows.assign(tested="adjusted", error=0.2)], ignore_index=True)
    assert STATISTICS.loss_beside_that_of_decisions(rows, "auc").tolist() == pytest.approx([0.25])
    assert STATISTICS.loss_beside_that_of_decisions(rows, "accuracy").tolist() == [1.0]


def test_only_thresholds_of_equal_accuracy_are_compared():
    rows = pd.DataFrame(
        {"seed": 0, "sharpened": 1, "threshold": [0.01, 0.1, 0.5], "error": [0.3, 0.055, 0.05], "cost": [0.9, 0.1, 0.4]}
    )
    assert STATISTICS.spread_at_equal_accuracy(rows, "cost", 0.01).tolist() == pytest.approx([0.3])
    assert STATISTICS.spread_at_equal_accuracy(rows, "error", 0.01).tolist() == pytest.approx([0.005])


def test_distances_from_theory_are_none_where_theory_is_met_and_seen_where_not():
    law = pd.DataFrame({"seed": 0, "chosen_on": "all", "candidates": [20, 2000]})
    law["accuracy"] = [leaked_accuracy(100, count, 20) for count in law["candidates"]]
    assert STATISTICS.off_theory(law).tolist() == pytest.approx([0.0])
    assert STATISTICS.off_theory(law.assign(accuracy=0.5)).tolist() == pytest.approx(
        [leaked_accuracy(100, 2000, 20) - 0.5]
    )
    urns = pd.DataFrame({"seed": [0, 0], "rule": ["proportional", "larger"], "rates": ["equal", "unequal"]})
    urns = urns.assign(wrong=[0.5, 0.4], **{f"quantile_{5 * k}": k / 20 for k in range(1, 20)})
    assert STATISTICS.off_the_beta_law(urns).tolist() == pytest.approx([0.0])
    assert STATISTICS.off_the_beta_law(urns.assign(quantile_50=0.6)).tolist() == pytest.approx([0.1])
    assert STATISTICS.off_the_lock_in(urns).tolist() == pytest.approx([0.0])
    chains = pd.DataFrame({"seed": 0, "n": [10, 100], "rounds": 10.0})
    chains["drift"] = [feedback.log_variance_drift(n) for n in chains["n"]]
    chains["mean_variance"] = [feedback.mean_variance(n, 10) for n in chains["n"]]
    assert STATISTICS.off_the_drift(chains).tolist() == pytest.approx([0.0])
    assert STATISTICS.off_the_mean_variance(chains).tolist() == pytest.approx([0.0])
    assert STATISTICS.off_the_drift(chains.assign(drift=np.log(1 - 1 / chains["n"]))).iloc[0] > 0.4


def test_settings_that_statistics_name_are_the_yaml_s():
    noise, urn = (STUDY.at("full")[part].settings for part in ("noise_law", "urn_law"))
    assert (noise["examples"], noise["kept"]) == (STATISTICS.EXAMPLES, STATISTICS.KEPT)
    assert urn["chances"]["unequal"] == [0.3, 0.2]


def test_every_prediction_gives_each_unit_a_number(smoke):
    assert {prediction.id for prediction, _ in ASKED.answers(smoke)} == set(ASKED.predictions)


def test_a_run_does_not_depend_on_its_company():
    runs = pd.DataFrame(
        {"dataset": "digits", "real": [0.0, 0.5], "learning_rate": 0.01, "seed": [0, 1], "run": ["a", "b"]}
    )
    whole = RUNS.run_generations(runs, context_of("generations"))
    alone = RUNS.run_generations(runs.iloc[[1]], context_of("generations"))
    own = whole[whole["run"] == "b"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone.reset_index(drop=True), check_exact=True)


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
