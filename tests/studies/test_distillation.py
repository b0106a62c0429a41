"""The study of distillation: its loss against other routes, shifts, statistics on hand-made records, figures, full scale."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine.context import Context, Settings
from claimcheck.engine.data import Data
from claimcheck.figures import drawing
from claimcheck.judging.measures import evaluate
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study
from claimcheck.theory.logit_matching import cosine_to_logit_difference, expected_cosine, log_softmax, soft_loss

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "distillation")
RUNS, STATISTICS, FIGURES = (study_module(STUDY.folder, name) for name in ("runs", "statistics", "figures"))
shifted = study_module(STUDY.folder, "shifts").shifted
TINY = {"teacher_width": 8, "batch_size": 20}
SIZES = {"pool": 80, "validation": 50, "test": 50, "examples": 40, "teacher_steps": 2, "steps": 2}


def answer(identifier, rows, scale="quick"):
    """What a prediction measures on the records of its part, a number for each seed."""
    prediction = next(p for _, p in STUDY.predictions() if p.id == identifier)
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(rows, **prediction.arguments)
    return evaluate(prediction.measure, rows, STUDY.at(scale)[prediction.part])


def run_part(
    name, scale="smoke", seeds=None, data_dir=Path("data"), factors=None, rows=slice(None), include=None, **settings
):
    """Records of one part as the runner makes them, without files, at a learning rate of 0.01."""
    part = STUDY.at(scale)[name]
    cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (factors or {}).items()}
    changes = {"factors": {**part.factors, **cut}, "seeds": seeds or part.seeds}
    part = part.model_copy(update=changes | ({} if include is None else {"include": include}))
    frames = []
    for piece in design.ensembles(part, design.confirmatory_runs(part).iloc[rows], "confirm"):
        runs = piece.runs.assign(learning_rate=0.01) if part.tune else piece.runs
        context = Context(
            "distillation", scale, name, Settings({**part.settings, **settings}), torch.device("cpu"), data_dir
        )
        frames.append(records.check_outcome(getattr(RUNS, f"run_{name}")(runs, context), runs, part, where=name))
    return records.part_of(records.concatenate(frames), name)


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
    batch, hyper = {"x": None, "y": y, "logits": v}, {"label_share": 0.3, "temperature": 4.0}
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


# ---- shifts ----


def test_a_series_is_moved_around_its_end():
    x = torch.arange(12.0).expand(200, 12)
    moved = shifted(x, torch.tensor(5), 6)
    first = moved[:, :1]
    assert torch.equal(moved, (torch.arange(12.0) + first) % 12)
    assert set(first.flatten().tolist()) == set(range(12))


def test_an_image_is_moved_as_a_whole_and_filled_with_its_darkest_value():
    x = torch.full((300, 1, 5, 5), -1.0)
    x[:, 0, 2, 2] = 1.0
    moved = shifted(x, torch.tensor(9), 2)
    assert torch.equal(moved.flatten(1).sum(1), x.flatten(1).sum(1))
    assert len({int(row.argmax()) for row in moved.flatten(1)}) == 25


def test_strength_zero_leaves_examples_alone():
    x = torch.randn(10, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shifted(x, torch.tensor(1), 2, 0.0), x)
    assert torch.equal(shifted(x.flatten(1), torch.tensor(1), 2, 0.0), x.flatten(1))


# ---- statistics ----


def students(cells):
    """Records of students from {(width, teacher, temperature, label_share): test accuracy}, two seeds."""
    rows = [
        {
            "seed": seed,
            "width": w,
            "teacher": t,
            "temperature": T,
            "label_share": a,
            "test_accuracy": value + 0.01 * seed,
        }
        for seed in range(2)
        for (w, t, T, a), value in cells.items()
    ]
    made = pd.DataFrame(rows).assign(dataset="digits", teacher_accuracy=0.95, status="ok")
    return made.assign(validation_accuracy=made["test_accuracy"])


HAND_MADE = {
    (8, "rich", 1, 0.0): 0.6, (8, "rich", 4, 0.0): 0.7, (8, "rich", 8, 0.0): 0.5, (8, "rich", 1, 1.0): 0.5,
    (64, "rich", 1, 0.0): 0.8, (64, "rich", 4, 0.0): 0.86, (64, "rich", 8, 0.0): 0.85, (64, "rich", 1, 1.0): 0.7,
    (64, "rich", 4, 0.5): 0.9, (64, "rich", 4, 0.9): 0.88, (64, "equal", 4, 0.0): 0.71, (64, "smoothed", 4, 0.0): 0.83,
    (64, "shifts", 4, 0.0): 0.75, (64, "dropout", 4, 0.0): 0.69,
}  # fmt: skip


@pytest.mark.parametrize(
    ("prediction", "value"),
    [
        ("digits-transfer", (0.7 + 0.86) / 2 - (0.5 + 0.7) / 2),
        ("equal-teacher-gives-nothing", 0.01),
        ("smoothed-teacher-teaches-less", 0.03),
        ("digits-shifts-are-taught", 0.04),
        ("digits-dropout-is-taught", -0.02),
        ("digits-softening", 0.06),
        ("small-students-prefer-low-t", -0.1 - 0.05),
        ("hot-temperatures-are-alike", 0.0),
        ("mixture-beats-labels", 0.2),
        ("mixture-beats-soft", 0.04),
    ],
)
def test_predictions_measure_what_they_say(prediction, value):
    assert answer(prediction, students(HAND_MADE)).tolist() == pytest.approx([value, value])


def test_share_of_the_gap():
    found = answer("digits-gap-closed", students(HAND_MADE))
    assert found.tolist() == pytest.approx([0.18 / (0.95 - 0.6), 0.18 / (0.95 - 0.61)])


def test_temperature_is_chosen_on_the_other_seeds():
    """Seed 0 alone likes T = 4 on its validation set: seed 1 is judged there, seed 0 where seed 1 is best."""
    made = students({(64, "rich", 1, 0.0): 0.8, (64, "rich", 4, 0.0): 0.7, (64, "rich", 1, 1.0): 0.6})
    made.loc[(made["seed"] == 0) & (made["temperature"] == 4), "validation_accuracy"] = 0.99
    assert answer("digits-transfer", made).tolist() == pytest.approx([0.8 - 0.6, 0.71 - 0.61])
    assert answer("digits-gap-closed", made).tolist() == pytest.approx([0.2 / 0.35, 0.1 / 0.34])


def test_a_diverged_student_counts_as_a_guess():
    made = students(HAND_MADE)
    lost = made["label_share"] == 1.0
    made.loc[lost, ["test_accuracy", "validation_accuracy"]] = np.nan
    made.loc[lost, "status"] = "diverged"
    assert answer("mixture-beats-labels", made).tolist() == pytest.approx([0.8, 0.81])


def test_predictions_about_gradients():
    rows = [
        {"seed": 0, "temperature": t, "norm": n, "norm_without": n / t**2, "cosine": 1 - 1 / t}
        for t, n in ((1, 9), (4, 2), (20, 2.2), (50, 2.1))
    ]
    made = pd.DataFrame(rows).assign(status="ok")
    assert answer("balanced-gradient", made).iloc[0] == pytest.approx(1.1)
    assert answer("balanced-when-hot", made).iloc[0] == pytest.approx(2.1 / 2.2)
    assert answer("unbalanced-gradient", made).iloc[0] == pytest.approx(-2 + np.log(1.05) / np.log(12.5))
    assert answer("network-matches-logits", made).iloc[0] == pytest.approx(0.95)


def test_recall_is_that_of_students_at_t_4_and_beyond_that_of_students_taught_by_labels():
    arms = {(1, 1.0): (0.1, 0.2), (1, 0.0): (0.9, 0.9), (4, 0.0): (0.4, 0.7), (20, 0.0): (0.9, 0.9)}
    rows = [
        {"seed": 0, "temperature": t, "label_share": share, "plain_recall": plain, "corrected_recall": corrected}
        for (t, share), (plain, corrected) in arms.items()
    ]
    made = pd.DataFrame(rows).assign(teacher="rich", status="ok")
    assert answer("missing-class-recalled", made).tolist() == [0.7]
    assert answer("missing-class-recalled-as-trained", made).tolist() == [0.4]
    assert answer("recall-beyond-labels", made).tolist() == pytest.approx([0.5])


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
    for _, prediction in STUDY.predictions():
        rows = records.part_of(smoke, prediction.part)
        if len(rows):
            values = answer(prediction.id, rows, "smoke")
            assert sorted(values.index) == [0, 1, 2, 3], prediction.id
            assert np.isfinite(values.to_numpy(dtype=float)).all(), prediction.id


# ---- runs ----


def test_a_run_does_not_depend_on_its_company():
    settings = {"digits": {**SIZES, "reach": 1}, **TINY}
    whole = run_part("students", seeds=2, factors={"dataset": ["digits"]}, include=[], **settings).set_index("run")
    few = {"dataset": ["digits"], "temperature": [4]}
    piece = run_part("students", seeds=2, factors=few, include=[], rows=slice(1, None, 2), **settings).set_index("run")
    pd.testing.assert_frame_equal(whole.loc[piece.index, piece.columns], piece, check_exact=True)


def test_students_never_see_the_class_that_is_left_out():
    """With labels alone and no teacher's hint its logit only falls: nobody is told of it."""
    found = run_part("left_out", seeds=2, factors={"temperature": [1]}, teacher_width=8)
    labels = found[found["label_share"] == 1.0]
    assert (labels["plain_recall"] <= 0.1).all()


def teachers(*kinds, **settings):
    """Logits of one teacher of each kind at smoke scale, seed 0."""
    given = {**STUDY.at("smoke")["students"].settings, **settings}
    context = Context("distillation", "smoke", "students", Settings(given), torch.device("cpu"), Path("data"))
    logits, _ = RUNS._taught(pd.DataFrame({"teacher": kinds, "seed": 0}), context, "digits")
    return dict(zip(kinds, logits, strict=True))


def test_an_equal_teacher_sees_its_student_s_examples_only(monkeypatch):
    """Labels changed outside a seed's own examples change what a rich teacher says, and nothing that the others say."""
    splits, kinds = RUNS._splits, ("equal", "rich", "dropout", "shifts")

    def relabelled(context, name):
        pool, *others = splits(context, name)
        y, foreign = pool.shared["y"], torch.ones(len(pool), dtype=torch.bool)
        foreign[RUNS._own_examples(context, [0], len(pool), context.settings[name]["examples"])[0]] = False
        return Data({**pool.shared, "y": torch.where(foreign, (y + 1) % 10, y)}), *others

    before = teachers(*kinds)
    monkeypatch.setattr(RUNS, "_splits", relabelled)
    after = teachers(*kinds)
    assert [kind for kind in kinds if not torch.equal(before[kind], after[kind])] == ["rich"]


def test_teachers_differ_in_what_their_kind_says_and_their_rate_is_their_own():
    settings = STUDY.at("smoke")["students"].settings
    kinds, digits = list(settings["teachers"]), settings["digits"]
    usual, other = (teachers(*kinds, digits={**digits, "teacher_rates": rates}) for rates in ({}, {"shifts": 0.02}))
    assert all(not torch.equal(usual[a], usual[b]) for k, a in enumerate(kinds) for b in kinds[:k])
    assert [kind for kind in kinds if not torch.equal(usual[kind], other[kind])] == ["shifts"]


# ---- figures and full scale ----


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(smoke, drawn_well, figure):
    drawn_well(STUDY, figure, smoke)


@pytest.mark.parametrize("part", ["students", "left_out", "gradients"])
def test_full_scale_path(part):
    settings = {
        "digits": {**SIZES, "reach": 1},
        "mnist1d": {**SIZES, "reach": 20},
        "batch_size": 20,
        "teacher_width": 64,
    }
    if part == "gradients":
        settings = {"digits": settings["digits"], "batch_size": 20, "teacher_width": 64}
    found = run_part(part, "full", seeds=2, **settings)
    assert set(found["seed"]) == {0, 1}
    assert (found["status"] == "ok").all()


def test_full_scale_images_and_their_figure(fashion):
    settings = {"fashion_mnist": {**SIZES, "reach": 2}, "batch_size": 20, "teacher_width": 64}
    found = run_part("images", "full", seeds=2, data_dir=fashion, **settings)
    assert len(found) == 2 * 18
    for identifier in ("images-transfer", "images-softening", "images-small-students-prefer-low-t"):
        assert sorted(answer(identifier, found, "full").index) == [0, 1]
    _, problems = drawing.draw(FIGURES.plot_images, found)
    assert problems == []
