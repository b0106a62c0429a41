"""Initialisation: theory by brute force, what each statistic says on made-up records, the full-scale path cut down."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.judging.controls import outcomes
from claimcheck.judging.evidence import Evidence
from claimcheck.judging.measures import evaluate
from claimcheck.judging.rule import inside
from claimcheck.results import records as recording
from claimcheck.results.state import Machine, locate
from claimcheck.running import runner
from claimcheck.spec.controls import applied, control_of
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_config, load_study
from claimcheck.theory import mean_field

STUDIES = Path(__file__).parents[2] / "studies"
STUDY = load_study(STUDIES, "initialization")
STATISTICS = study_module(STUDY.folder, "statistics")


def answer(identifier, records):
    """What a prediction measures on the records of its part, a number for each seed."""
    return measured(predicted(identifier), records)


def predicted(identifier):
    return next(p for _, p in STUDY.predictions() if p.id == identifier)


def control(identifier, name):
    """The question that a control of the prediction asks."""
    prediction = predicted(identifier)
    return applied(prediction, control_of(prediction, name))


def measured(prediction, records):
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(records, **prediction.arguments)
    return evaluate(prediction.measure, records, STUDY.at("full")[prediction.part])


def true_in(prediction, records):
    """Of how many units the prediction is true."""
    return int(inside(measured(prediction, records).to_numpy(), prediction.region).sum())


def test_variance_of_relu_is_multiplied_by_half_the_weight_variance_by_brute_force():
    generator = torch.Generator().manual_seed(3)
    h = torch.randn(64, 512, generator=generator)
    q = []
    for _ in range(8):
        pre_activation = h @ torch.randn(512, 512, generator=generator).mul_(math.sqrt(3.0 / 512))
        q.append(float(pre_activation.square().mean()))
        h = torch.relu(pre_activation)
    assert np.mean(np.divide(q[1:], q[:-1])) == pytest.approx(1.5, rel=0.05)
    assert mean_field.next_variance("relu", 1.0, 3.0) == pytest.approx(1.5, rel=1e-4)


def test_variance_of_tanh_at_xavier_falls_as_one_over_twice_the_depth():
    q = mean_field.variances("tanh", 1.0, 2000)
    assert 2 * 2000 * q[-1] == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("prediction", [p for _, p in STUDY.predictions()], ids=lambda prediction: prediction.id)
def test_every_prediction_has_one_number_for_every_seed(smoke, prediction):
    rows = recording.part_of(smoke, prediction.part)
    values = answer(prediction.id, rows)
    assert sorted(values.index) == sorted(rows["seed"].unique())
    assert values.notna().all()


def test_every_control_can_be_asked_of_a_smoke_run(smoke):
    found = Evidence(STUDY, "smoke", STUDY.at("smoke"), {}, smoke)
    for _, prediction in STUDY.predictions():
        assert set(outcomes(found, prediction, "supported")) == {"never", "against"}


def signal(factor, seeds=3, depth=40):
    """Records of exact geometric growth, ReLU, sigma_w^2 of 1, 2, 4, with `factor` on top of theory per layer."""
    return pd.DataFrame(
        {
            "seed": seed,
            "activation": "relu",
            "weight_variance": variance,
            "layer": layer,
            "pre_activation": (factor * variance / 2) ** layer,
            "delta": (factor * variance / 2) ** (depth - layer),
        }
        for seed in range(seeds)
        for variance in (1.0, 2.0, 4.0)
        for layer in range(1, depth + 1)
    )


@pytest.mark.parametrize("factor", [1.0, 0.97, 1.05])
def test_ratios_to_theory_are_what_was_planted(factor):
    records = signal(factor)
    assert answer("forward-relu", records).to_numpy() == pytest.approx(factor)
    assert answer("backward-relu", records).to_numpy() == pytest.approx(factor)
    assert answer("relu-xavier-halves", records).to_numpy() == pytest.approx(factor / 2)
    linear = measured(control("forward-relu", "against"), records)  # beside the factor without a nonlinearity
    assert linear.to_numpy() == pytest.approx(factor / 2)


def decaying(law, seeds=3, depth=64):
    """Records of a tanh network at Xavier's variance whose signal is `law` of the layer."""
    rows = [(seed, layer, law(layer)) for seed in range(seeds) for layer in range(1, depth + 1)]
    records = pd.DataFrame(rows, columns=["seed", "layer", "pre_activation"])
    return records.assign(activation="tanh", weight_variance=1.0, status="ok")


def test_a_power_of_depth_is_told_from_an_exponential():
    power, exponential = decaying(lambda layer: 1 / (2 * layer)), decaying(lambda layer: 0.5**layer)
    for identifier in ("tanh-xavier-power-law", "tanh-xavier-not-exponential"):
        assert true_in(predicted(identifier), power) == 3
    assert true_in(control("tanh-xavier-not-exponential", "against"), power) == 0
    assert true_in(predicted("tanh-xavier-power-law"), exponential) == 0
    assert answer("tanh-xavier-not-exponential", exponential).to_numpy() == pytest.approx(0.0, abs=1e-9)


def trained(losses, **columns):
    """Final rows: a loss by seed (outer) and cell (inner)."""
    return pd.DataFrame(
        {"seed": seed, "step": 300, "train_loss": loss, "status": "ok" if np.isfinite(loss) else "diverged", **cell}
        for seed, row in enumerate(losses)
        for loss, cell in zip(row, columns["cells"], strict=True)
    )


def test_a_run_fails_when_it_diverges_or_has_not_left_guessing_and_differences_keep_their_sign():
    cells = [
        {"activation": a, "weight_variance": v}
        for a, v in [("relu", 0.125), ("relu", 1.0), ("relu", 2.0), ("tanh", 1.0), ("tanh", 2.0)]
    ]
    records = trained([[2.3025, 2.2, 1.5, 1.0, 1.2], [np.nan, 2.0, 2.3, 1.0, 0.9]], cells=cells)
    assert answer("relu-prefers-he", records).to_numpy() == pytest.approx([0.7, -0.3])
    assert answer("tanh-prefers-xavier", records).to_numpy() == pytest.approx([0.2, -0.1])
    mismatched = [("relu", 1.0), ("tanh", 2.0)]
    cells = records[["activation", "weight_variance"]].apply(tuple, axis=1)
    failures = records[~cells.isin(mismatched)]
    assert true_in(predicted("relu-small-gain-fails"), failures) == 2
    assert true_in(control("relu-small-gain-fails", "against"), failures) == 1  # seed 1 failed with the matched gain
    assert true_in(predicted("matched-trains"), failures) == 1


GAINS = (0.25, 1.0, 4.0)


def over_gains(**losses):
    """Records of ReLU: for each norm a loss by seed (outer) and gain (inner); `shallow` has no norm and depth 3."""
    frames = []
    for name, rows in losses.items():
        cell = {"depth": 3, "norm": "none"} if name == "shallow" else {"depth": 10, "norm": name}
        frames.append(trained(rows, cells=[{"activation": "relu", **cell, "gain": gain} for gain in GAINS]))
    return pd.concat(frames, ignore_index=True)


def test_a_range_is_halved_where_it_falls_by_more_than_half_and_never_beside_itself():
    plain = [[2.0, 1.0, 2.0]] * 2
    records = over_gains(none=plain, batch=[[1.1, 1.0, 1.3], [1.0, 1.0, 1.6]], shallow=[[1.0, 1.1, 1.4]] * 2)
    assert answer("batch-norm-halves-range", records).to_numpy() == pytest.approx([0.2, -0.1])
    assert answer("shallow-range", records).to_numpy() == pytest.approx([0.1, 0.1])
    for identifier in ("batch-norm-halves-range", "shallow-range"):
        assert [true_in(control(identifier, name), records) for name in ("never", "against")] == [0, 0]


def test_norms_that_do_not_matter_are_not_said_to_halve_the_range_or_to_leave_some():
    draws = np.random.default_rng(0).normal(size=(2, 400, 3))
    records = over_gains(none=1.0 + 0.1 * draws[0], batch=1.0 + 0.1 * draws[1])
    assert true_in(predicted("batch-norm-halves-range"), records) < 100
    assert 160 < true_in(predicted("batch-norm-leaves-some"), records) < 240
    assert true_in(control("batch-norm-leaves-some", "never"), records) == 0


def test_a_diverged_run_counts_as_twice_the_loss_of_guessing():
    records = over_gains(none=[[2.0, 1.0, np.nan]] * 3, batch=[[1.0, 1.0, 1.0]] * 3)
    assert answer("batch-norm-halves-range", records).to_numpy() == pytest.approx(math.log(10) - 0.5)


@pytest.mark.parametrize("spec", STUDY.figures, ids=lambda spec: spec.id)
def test_figures_draw_without_a_problem(smoke, drawn_well, spec):
    drawn_well(STUDY, spec, smoke)


def test_full_scale_runs_with_two_seeds_and_fewer_steps(tmp_path):
    full = {name: dict(v) if isinstance(v, dict) else v for name, v in STUDY.scales["full"].items()}
    full["signal"].update(width=64, examples=4)
    for part in ("training", "normed"):
        full[part].update(steps=3, judged=100, tune={"values": [0.01], "seeds": 1})
    study = STUDY.model_copy(update={"scales": {**STUDY.scales, "full": full}})
    overrides = {
        "scale": "full",
        "seeds": 2,
        "device": "cpu",
        "studies_dir": str(STUDIES),
        "results_dir": str(tmp_path),
    }
    results = locate(study, load_config(None, overrides), Machine())
    runner.run_parts(results, results.parts)
    records = recording.read(runner.assemble(results))
    assert records["seed"].nunique() == 2
    assert set(records["part"]) == set(STUDY.parts)
