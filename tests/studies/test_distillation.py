"""The study of distillation: its loss against other routes, shifts, statistics on hand-made records, figures, full scale."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine.data import Data
from claimcheck.figures import drawing
from claimcheck.theory.logit_matching import cosine_to_logit_difference, expected_cosine, log_softmax, soft_loss

from .asking import Asked

ASKED = Asked("distillation")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part = ASKED.answer, ASKED.run_part
RUNS, STATISTICS, FIGURES = (ASKED.module(name) for name in ("runs", "statistics", "figures"))
SIZES = {"pool": 80, "validation": 50, "test": 50, "examples": 40, "teacher_steps": 2, "steps": 2}


def context_of(part, **settings):
    return ASKED.context(part, **{**STUDY.at("smoke")[part].settings, **settings})


def logits(*shape, seed=0, scale=3.0):
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


# ---- the loss ----


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_soft_loss_is_torch_s_divergence(temperature):
    student, teacher = logits(7, 10), logits(7, 10, seed=1)
    expected = F.kl_div(
        F.log_softmax(student / temperature, -1),
        F.log_softmax(teacher / temperature, -1),
        log_target=True,
        reduction="none",
    ).sum(-1)
    assert torch.allclose(soft_loss(student, teacher, temperature), expected, atol=1e-12)


def test_log_softmax_survives_large_logits():
    assert torch.allclose(log_softmax(torch.tensor([1000.0, 0.0])), torch.tensor([0.0, -1000.0]))


def test_student_loss_is_the_lecture_s_formula():
    z, v, y = logits(6, 10), logits(6, 10, seed=1), torch.arange(6)
    batch = {"x": None, "y": y, "logits": v}
    hyper = {"label_share": torch.tensor(0.3), "temperature": torch.tensor(4.0)}
    p, q = torch.softmax(z / 4, -1), torch.softmax(v / 4, -1)
    soft = (q * (q.log() - p.log())).sum(-1).mean()
    expected = 0.3 * F.cross_entropy(z, y) + 0.7 * 16 * soft
    assert float(RUNS._student_loss(lambda x: z, batch, hyper)) == pytest.approx(float(expected))


def test_gradient_at_high_temperature_is_logit_matching():
    """T^2 N dKL/dz tends to the difference of centred logits: the relative error falls like 1/T."""
    z, v = logits(20, 10).requires_grad_(), logits(20, 10, seed=1)
    (gradient,) = torch.autograd.grad(1000.0**2 * soft_loss(z, v, 1000.0).sum(), z)
    difference = (z - z.mean(-1, keepdim=True)) - (v - v.mean(-1, keepdim=True))
    assert torch.allclose(10 * gradient, difference, atol=0.05 * float(difference.detach().std()))


def test_expected_cosine_equals_plain_monte_carlo():
    z, v = logits(4000, 10, scale=2.0), logits(4000, 10, seed=1, scale=2.0)
    for temperature in (1.0, 4.0, 20.0):
        measured = float(cosine_to_logit_difference(z, v, temperature).mean())
        assert expected_cosine(temperature) == pytest.approx(measured, abs=0.01)


def test_expected_cosine_rises_to_one():
    found = [expected_cosine(float(t)) for t in (1, 2, 4, 8, 20, 50)]
    assert found == sorted(found)
    assert found[-1] > 0.999


# ---- images ----


def test_shrinking_averages_squares_of_pixels():
    images = torch.arange(16.0).view(1, 1, 4, 4)
    assert RUNS._shrunk(images, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert RUNS._shrunk(images, 1) is images


# ---- pairs ----


def test_partners_are_of_the_same_class_and_none_is_taken_twice_while_there_are_more():
    labels, others = torch.tensor([1, 0, 1, 1, 0]), torch.tensor([0, 1, 0, 1, 1, 0, 1])
    found = RUNS._partners(labels, others)
    assert torch.equal(others[found], labels)
    assert len(found.unique()) == 5
    assert RUNS._partners(torch.tensor([1, 1, 1]), torch.tensor([0, 1, 1])).tolist() == [1, 2, 1]


# ---- predictions ----


def taught(run):
    """Students as the claims have them: warmth helps wide ones and harms narrow ones, and only what is known is taught."""
    wide, warm = run.width >= 30, np.log(min(run.temperature, 8)) / 100
    gain = {"rich": 0.05, "smoothed": 0.03, "equal": 0.009 if wide else 0.03, "shifts": 0.02}[run.teacher]
    base = (0.4 if run.dataset == "mnist1d_pool" else 0.7) + (0.1 if wide else 0.0)
    hot = gain + (warm if wide else -2 * warm if run.temperature > 4 else 0.0) if run.teacher == "rich" else gain
    mixed = 0.05 if 0 < run.label_share < 1 else 0.0
    accuracy = base if run.label_share == 1 else base + hot + mixed
    teacher = 0.6 if run.dataset == "mnist1d_pool" else 0.95
    return {"test_accuracy": accuracy, "validation_accuracy": accuracy, "teacher_accuracy": teacher}


def recalled(run):
    plain, corrected = (0.0, 0.3) if run.label_share == 1 else (0.7, 0.8)
    return {"plain_recall": plain, "corrected_recall": corrected}


def gradient(run):
    """A norm that levels off near the label loss's, and a cosine that goes to one."""
    norm = 5 - 2 / run.temperature
    off = {"imbalance": norm / 3, "imbalance_without": norm / 3 / run.temperature**2}
    off = {name: abs(np.log10(value)) for name, value in off.items()}
    return {"norm": norm, "norm_without": norm / run.temperature**2, "cosine": 1 - 0.3 / run.temperature, **off}


def across(run):
    signals = run.direction == "to_signals"
    right = {"shuffled": 0.1, "pairs": 0.35 if signals else 0.7, "labels": 0.4 if signals else 0.9}[run.taught]
    teacher = 0.9 if signals else 0.6
    return {"test_accuracy": right, "above_chance": right - 0.1, "lead": right - teacher, "teacher_accuracy": teacher}


MADE = {
    "students": taught,
    "images": taught,
    "left_out": recalled,
    "across": across,
    "gradients": gradient,
    "matching": lambda run: {"cosine": expected_cosine(float(run.temperature)) + 0.01},
}
"""Records in which every prediction is true: the columns of a run, by part."""


def made(name, scale="quick"):
    """Records of a part as a scale has it, two seeds, with made columns."""
    rows = ASKED.made(name, lambda run, settings: MADE[name](run), scale)
    return pd.concat([rows.assign(step=step) for step in (0, 20)], ignore_index=True) if name == "gradients" else rows


@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction):
    for scale in ("full",) if prediction.part == "images" else ("quick", "full"):
        rows = made(prediction.part, scale)
        ASKED.told_from_controls(prediction, rows, scale)


def test_share_of_the_gap_has_no_number_where_the_teacher_does_not_lead():
    rows = made("students")
    rows.loc[rows["seed"] == rows["seed"].max(), "teacher_accuracy"] = 0.7
    found = answer("smallest-closes-gap", rows, data="mnist5k")
    assert found.iloc[0] == pytest.approx(0.05 / (0.95 - 0.7))
    assert np.isnan(found.iloc[1])


def test_what_an_equal_teacher_gives_is_held_against_half_of_what_the_other_gives():
    rows = made("students")
    assert answer("equal-teacher-teaches", rows, data="mnist5k").tolist() == pytest.approx([0.03 - 0.05 / 2] * 2)
    wide = answer("equal-teacher-teaches", rows, data="mnist5k", control="never")
    assert wide.tolist() == pytest.approx([0.009 - (0.05 + 0.01 * np.log(4)) / 2] * 2)
    rows.loc[(rows["teacher"] == "rich") & (rows["label_share"] == 0), "test_accuracy"] = 0.6
    assert answer("equal-teacher-teaches", rows, data="mnist5k").tolist() == pytest.approx([0.03] * 2)


def test_gradients_are_judged_at_the_step_where_they_are_farthest_apart():
    rows = made("gradients")
    at_the_start = answer("soft-stays-near-hard", rows, data="mnist5k")
    rows.loc[(rows["step"] == 20) & (rows["temperature"] == 2), "imbalance"] = 0.7
    assert answer("soft-stays-near-hard", rows, data="mnist5k").tolist() == [0.7, 0.7]
    assert answer("soft-near-hard-at-the-start", rows, data="mnist5k").tolist() == at_the_start.tolist()


def test_the_smallest_students_are_compared_with_the_largest():
    found = STATISTICS.small_against_large(made("images", "full"))
    assert found.tolist() == pytest.approx([-0.03 * np.log(8)] * 2)


def test_a_diverged_student_counts_as_a_guess():
    rows = made("students")
    rows.loc[(rows["width"] == 64) & (rows["label_share"] == 1), ["status", "test_accuracy"]] = "diverged", np.nan
    mixture = 0.8 + 0.05 + 0.01 * np.log(4) + 0.05
    assert answer("mixture-beats-labels", rows, data="mnist5k").tolist() == pytest.approx([mixture - 0.1] * 2)
    found = answer("widest-closes-gap", rows, data="mnist5k")
    assert found.tolist() == pytest.approx([(mixture - 0.05 - 0.1) / (0.95 - 0.1)] * 2)


def test_cosines_are_judged_where_they_differ_most():
    rows = made("matching")
    rows.loc[(rows["temperature"] == 8) & (rows["seed"] == rows["seed"].max()), "cosine"] -= 0.05
    assert answer("cosine-on-theory", rows).tolist() == pytest.approx([0.01, 0.04])


def test_recalls_before_and_after_the_correction():
    """Ten inputs of which one is of the missing class and leads least negatively: the correction alone finds it."""
    said = torch.zeros(10, 10)
    said[torch.arange(10), torch.arange(10)] = 5.0
    said[3] = torch.tensor([1.0, 0, 0, 0.5] + [0.0] * 6)
    found = RUNS._recalls(said, torch.arange(10), missing=3)
    assert found["plain_recall"] == 0.0
    assert found["corrected_recall"] == 1.0
    assert found["plain_others"] == 1.0


def test_every_prediction_gives_each_seed_a_number(smoke):
    for prediction, values in ASKED.answers(smoke):
        if prediction.statistic != "gap_closed":  # no number where so small a teacher does not lead
            assert np.isfinite(values.to_numpy(dtype=float)).all(), prediction.id


# ---- runs ----


@pytest.mark.parametrize("part", ["students", "left_out", "across", "gradients"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2)


def test_a_unit_s_pool_validation_and_test_examples_are_its_own_and_never_the_same():
    drawn = RUNS._drawn(context_of("students"), "mnist5k", [0, 1])
    for member in range(2):
        rows = torch.cat([part.subset[member] for part in drawn])
        assert len(rows.unique()) == len(rows) == 200 + 100 + 100
    assert not torch.equal(drawn.pool.subset[0], drawn.pool.subset[1])


def test_pilots_test_on_few_examples_and_train_on_the_same():
    usual, few = (RUNS._drawn(context_of("students", **tested), "mnist5k", [0]) for tested in ({}, {"tested": 7}))
    assert torch.equal(usual.pool.subset, few.pool.subset)
    assert torch.equal(usual.validation.subset, few.validation.subset)
    assert len(usual.test.subset[0]) == 100
    assert len(few.test.subset[0]) == 7


def test_a_seed_s_teacher_of_signals_is_one_for_all_images():
    """The students of images, whatever their data set, are taught by it; those of signals by teachers of their own."""
    found = run_part("across", seeds=1).groupby(["direction", "dataset"])["teacher_accuracy"].unique()
    assert all(len(each) == 1 for each in found)
    assert found["to_images", "digits"] == found["to_images", "mnist5k"]


def test_students_never_see_the_class_that_is_left_out():
    """With labels alone and no teacher's hint its logit only falls: nobody is told of it."""
    found = run_part("left_out", seeds=2)
    labels = found[found["label_share"] == 1.0]
    assert (labels["plain_recall"] <= 0.1).all()


def teachers(*kinds, relabelled=None, **settings):
    """Logits on a student's examples of one teacher of each kind at smoke scale, seed 0.

    Args:
        relabelled: positions in the pool of which the teacher is shown another class.
    """
    context, drawn = context_of("students", **settings), RUNS._drawn
    if relabelled is not None:

        def drawn(context, name, seeds):
            pool, *others = RUNS_DRAWN(context, name, seeds)
            y = pool.shared["y"].clone()
            y[pool.subset[0, relabelled]] = (y[pool.subset[0, relabelled]] + 1) % 10
            return RUNS.Drawn(Data({**pool.shared, "y": y}, subset=pool.subset), *others)

    runs = pd.DataFrame({"teacher": kinds, "seed": 0})
    asked = RUNS_DRAWN(context, "mnist5k", [0] * len(kinds)).pool.subset[:, :60]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RUNS, "_drawn", drawn)
        said, _ = RUNS._taught(runs, context, "mnist5k", asked)
    return dict(zip(kinds, said, strict=True))


RUNS_DRAWN = RUNS._drawn


def test_an_equal_teacher_sees_its_student_s_examples_only():
    """Labels changed outside a seed's own examples change what a rich teacher says, and nothing that the others say."""
    kinds = ("equal", "rich", "shifts")
    before, after = teachers(*kinds), teachers(*kinds, relabelled=torch.arange(60, 200))
    assert [kind for kind in kinds if not torch.equal(before[kind], after[kind])] == ["rich"]


def test_teachers_differ_in_what_their_kind_says_and_their_rate_is_their_own():
    settings = STUDY.at("smoke")["students"].settings
    kinds, sizes = list(settings["teachers"]), settings["mnist5k"]
    usual, other = (teachers(*kinds, mnist5k={**sizes, "teacher_rates": rates}) for rates in ({}, {"shifts": 0.02}))
    assert all(not torch.equal(usual[a], usual[b]) for k, a in enumerate(kinds) for b in kinds[:k])
    assert [kind for kind in kinds if not torch.equal(usual[kind], other[kind])] == ["shifts"]


def test_runs_of_one_teacher_are_given_what_it_says_of_their_own_seed():
    context = context_of("students")
    runs = pd.DataFrame({"teacher": ["rich", "equal", "rich", "rich"], "seed": [0, 0, 1, 0]})
    asked = RUNS._drawn(context, "mnist5k", runs["seed"]).pool.subset[:, :60]
    said, accuracy = RUNS._taught(runs, context, "mnist5k", asked)
    alone, _ = RUNS._taught(runs.iloc[[2]].reset_index(drop=True), context, "mnist5k", asked[[2]])
    assert torch.equal(said[0], said[3])
    assert accuracy[0] == accuracy[3]
    assert torch.equal(said[2], alone[0])
    assert not torch.equal(said[0], said[1])


# ---- figures and full scale ----


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_full_scale_images_and_their_figure(fashion):
    settings = {"fashion_mnist": {**SIZES, "reach": 2}, "batch_size": 20, "teacher_width": 64}
    found = run_part("images", "full", seeds=2, data_dir=fashion, **settings)
    assert len(found) == 2 * 18
    for identifier in ("images-transfer", "images-softening", "images-small-students-prefer-low-t"):
        assert sorted(answer(identifier, found, "full").index) == sorted(found["seed"].unique())
    _, problems = drawing.draw(FIGURES.plot_images, found)
    assert problems == []


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
