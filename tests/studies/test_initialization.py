"""Initialisation: theory by brute force, what each statistic says on made-up records, the full-scale path cut down."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.judging.controls import outcomes
from claimcheck.judging.evidence import values_of
from claimcheck.results import records as recording
from claimcheck.results.state import Machine, locate
from claimcheck.running import runner
from claimcheck.spec.reading import load_config
from claimcheck.theory import mean_field

from .asking import STUDIES, Asked

ASKED = Asked("initialization")
STUDY, answer, true_in, context = ASKED.study, ASKED.answer, ASKED.true_in, ASKED.context
RUNS = ASKED.module("runs")


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
def test_every_prediction_has_one_number_for_every_seed(found, prediction):
    for data in prediction.on or [None]:
        assert values_of(found, prediction, data).notna().all() or prediction.id == "order-of-variances"


def test_every_control_can_be_asked_of_a_smoke_run(found):
    for prediction in (p for _, p in STUDY.predictions() if p.kind != "fact"):
        for data in prediction.on or [None]:
            assert set(outcomes(found, prediction, "supported", data)) == {"never", "against"}


def test_factors_of_one_layer_are_those_of_a_network_by_hand():
    runs = pd.DataFrame({"run": ["a"], "seed": [3], "activation": ["relu"], "weight_variance": [2.0]})
    here = context("law", width=6, depth=2, examples=3, networks_per_unit=1, left_out=0)
    law = RUNS.run_law(runs, here).iloc[0]
    generator = here.generator(3, "law")
    h = torch.randn(1, 3, 6, generator=generator)[0]
    h = h / h.square().mean(-1, keepdim=True).sqrt()
    first, second = (torch.randn(1, 6, 6, generator=generator)[0] * math.sqrt(2 / 6) for _ in range(2))
    one = (h @ first.T).requires_grad_()
    two = torch.relu(one) @ second.T
    two.retain_grad()
    (torch.relu(two) * torch.randn(1, 3, 6, generator=generator)[0]).sum().backward()
    assert law["forward"] == pytest.approx(float((two.square().mean() / one.square().mean()).detach()), rel=1e-5)
    assert law["backward"] == pytest.approx(float(one.grad.square().mean() / two.grad.square().mean()), rel=1e-5)


def test_a_unit_of_many_wide_networks_obeys_the_laws_that_it_is_held_against():
    runs = pd.DataFrame({"run": ["a"], "seed": [3], "activation": ["relu"], "weight_variance": [2.0]})
    law = RUNS.run_law(runs, context("law", width=128, depth=30, examples=8, networks_per_unit=64, left_out=5)).iloc[0]
    assert law["forward"] == pytest.approx(1.0, abs=0.02)
    assert law["backward"] == pytest.approx(1.0, abs=0.02)


def test_narrowing_layers_change_signal_and_gradient_as_the_schemes_say():
    runs = pd.DataFrame({"run": list("abc"), "seed": 3, "scheme": ["fan_in", "fan_out", "xavier"]})
    here = context("rectangular", widths=[256, 128, 64], examples=32, networks_per_unit=32)
    found = RUNS.run_rectangular(runs, here).set_index(runs["scheme"])
    expected = {"fan_in": (1.0, 0.5), "fan_out": (2.0, 1.0), "xavier": (4 / 3, 2 / 3)}
    for scheme, factors in expected.items():
        assert found.loc[scheme, ["forward", "backward"]].to_list() == pytest.approx(factors, rel=0.03)
    assert found.loc["xavier", "worst"] == pytest.approx(math.log(1.5), abs=0.04)


def decaying(law, seeds=3, depth=64):
    """Records of a tanh network at Xavier's variance whose signal is `law` of the layer."""
    rows = [(seed, layer, law(layer)) for seed in range(seeds) for layer in range(1, depth + 1)]
    records = pd.DataFrame(rows, columns=["seed", "layer", "pre_activation"])
    return records.assign(activation="tanh", weight_variance=1.0, status="ok")


def test_a_signal_is_kept_where_its_root_mean_square_changes_by_less_than_a_factor_of_two():
    assert true_in("tanh-xavier-keeps-signal", decaying(lambda layer: 1 if layer == 1 else 0.26)) == 3
    assert true_in("tanh-xavier-keeps-signal", decaying(lambda layer: 1 if layer == 1 else 0.24)) == 0
    theory = mean_field.variances("tanh", 1.0, 64)
    found = answer("tanh-xavier-keeps-signal", decaying(lambda layer: theory[layer - 1]))
    reference = ASKED.predictions["tanh-xavier-keeps-signal"].reference[0].value
    assert found.to_numpy() == pytest.approx(reference, abs=1e-4)


def test_the_factor_of_saturated_tanh_is_that_of_mean_field_theory():
    (reference,) = ASKED.predictions["tanh-large-gain-explodes"].reference
    assert mean_field.chi_1("tanh", 16.0) == pytest.approx(reference.value, abs=1e-4)


def test_a_power_of_depth_is_told_from_an_exponential():
    power, exponential = decaying(lambda layer: 1 / (2 * layer)), decaying(lambda layer: 0.5**layer)
    for identifier in ("tanh-xavier-power-law", "tanh-xavier-not-exponential"):
        assert true_in(identifier, power) == 3
    assert true_in("tanh-xavier-not-exponential", power, control="against") == 0
    assert true_in("tanh-xavier-power-law", exponential) == 0
    assert answer("tanh-xavier-not-exponential", exponential).to_numpy() == pytest.approx(0.0, abs=1e-9)


def trained(losses, cells):
    """Final rows: a loss by seed (outer) and cell (inner); the error is 0.4 of it."""
    return pd.DataFrame(
        {
            "seed": seed,
            "step": 300,
            "train_loss": loss,
            "train_error": 0.4 * loss,
            "status": "ok" if np.isfinite(loss) else "diverged",
            **cell,
        }
        for seed, row in enumerate(losses)
        for loss, cell in zip(row, cells, strict=True)
    )


def test_a_network_fails_that_diverges_or_gets_four_in_five_wrong_at_its_best_rate_whatever_its_loss():
    cells = [
        {"activation": "relu", "gain": gain, "learning_rate": rate}
        for gain, rates in ((0.25, (0.001, 1.0)), (1.0, (0.001, 0.01)), (4.0, (1e-8, 1e-6)))
        for rate in rates
    ]
    records = trained([[2.2, 2.25, 2.2, 0.5, np.nan, np.nan], [2.2, np.nan, 2.2, 1.5, 9e5, np.nan]], cells)
    records.loc[records["train_loss"] == 9e5, "train_error"] = 0.7
    records = pd.concat([records, records.assign(activation="tanh")], ignore_index=True)
    for activation in ("relu", "tanh"):
        assert answer(f"{activation}-small-gain-fails", records).to_list() == pytest.approx([0.88, 0.88])
        assert answer(f"{activation}-large-gain-fails", records).to_list() == [1.0, 0.7]
        assert true_in(f"{activation}-large-gain-fails", records) == 1
        assert true_in(f"{activation}-small-gain-fails", records, control="against") == 0
    assert answer("relu-large-gain-costs", records).to_list() == pytest.approx([80.0, 10.0])
    assert true_in("relu-large-gain-costs", records) == 1
    assert answer("relu-large-gain-keeps-loss-high", records).to_list() == [math.inf, 9e5]
    assert answer("matched-trains", records).to_list() == [0.5, 1.5]


def over_variances(best):
    """Losses that are least at each activation's best variance, a seed for each entry of the lists."""
    cells = [
        {"activation": name, "weight_variance": v, "best": own}
        for name, own in best.items()
        for v in (0.5, 1.0, 1.5, 2.0, 3.0)
    ]
    count = len(next(iter(best.values())))
    rows = [[abs(math.log(cell["weight_variance"] / cell["best"][seed])) for cell in cells] for seed in range(count)]
    return trained(rows, [{key: cell[key] for key in ("activation", "weight_variance")} for cell in cells])


def test_best_variances_are_in_order_or_the_unit_has_no_number():
    records = over_variances(
        {"tanh": [1.0, 1.5, 2.0, 1.0], "relu": [2.0, 1.5, 1.5, 2.0], "swish": [3.0, 2.0, 2.0, 1.5]}
    )
    assert answer("order-of-variances", records).to_list()[:2] == [2.0, 0.5]
    assert answer("order-of-variances", records).isna().to_list() == [False, False, True, True]
    assert [true_in("order-of-variances", records, control=name) for name in ("never", "against")] == [0, 0]
    gains = answer("relu-needs-he-more-than-tanh", records)
    assert gains[0] == pytest.approx(2 * math.log(2))
    assert answer("relu-prefers-he", records)[0] == pytest.approx(math.log(2))
    assert answer("tanh-prefers-xavier", records)[0] == pytest.approx(math.log(2))


GAINS = (0.25, 1.0, 4.0)


def over_gains(**losses):
    """Records of ReLU: for each norm a loss by seed (outer) and gain (inner); `shallow` has no norm and depth 3."""
    frames = []
    for name, rows in losses.items():
        cell = {"depth": 3, "norm": "none"} if name == "shallow" else {"depth": 10, "norm": name}
        frames.append(trained(rows, [{"activation": "relu", **cell, "gain": gain} for gain in GAINS]))
    return pd.concat(frames, ignore_index=True)


def test_a_range_is_halved_where_it_falls_by_more_than_half_and_never_beside_itself():
    plain = [[2.0, 1.0, 2.0]] * 2
    records = over_gains(none=plain, batch=[[1.1, 1.0, 1.3], [1.0, 1.0, 1.6]], shallow=[[1.0, 1.1, 1.4]] * 2)
    assert answer("batch-norm-halves-range", records).to_numpy() == pytest.approx([0.2, -0.1])
    assert answer("shallow-range", records).to_numpy() == pytest.approx([0.1, 0.1])
    for identifier in ("batch-norm-halves-range", "shallow-range"):
        assert [true_in(identifier, records, control=name) for name in ("never", "against")] == [0, 0]


def test_norms_that_do_not_matter_are_not_said_to_halve_the_range_or_to_leave_some():
    draws = np.random.default_rng(0).normal(size=(3, 400, 3))
    records = over_gains(none=1.0 + 0.1 * draws[0], batch=1.0 + 0.1 * draws[1], layer=1.0 + 0.1 * draws[2])
    assert true_in("batch-norm-halves-range", records) < 100
    assert 160 < true_in("norms-leave-some", records) < 240
    assert true_in("norms-leave-some", records, control="never") == 0


def test_what_the_norms_leave_is_a_mean_over_both_gains_and_both_norms():
    records = over_gains(batch=[[1.2, 1.0, 1.4]] * 2, layer=[[1.5, 1.0, 1.1]] * 2)
    assert answer("norms-leave-some", records).to_list() == pytest.approx([0.3, 0.3])
    assert true_in("norms-leave-some", records, control="against") == 0


def test_a_diverged_run_counts_as_guessing_and_so_does_one_above_it():
    records = over_gains(none=[[2.0, 1.0, np.nan], [2.0, 1.0, 50.0]], batch=[[1.0, 1.0, 1.0]] * 2)
    assert answer("batch-norm-halves-range", records).to_numpy() == pytest.approx((math.log(10) - 1) / 2)


@pytest.mark.parametrize("spec", STUDY.figures, ids=lambda spec: spec.id)
def test_figures_draw_without_a_problem(drawn_well, spec):
    drawn_well(spec)


def test_full_scale_runs_with_two_seeds_and_fewer_steps(tmp_path):
    full = {name: dict(v) if isinstance(v, dict) else v for name, v in STUDY.scales["full"].items()}
    full["signal"].update(width=64, examples=4)
    full["law"].update(width=16, networks_per_unit=2)
    full["rectangular"].update(widths=[16, 8])
    for part in ("scales", "training", "normed"):
        full[part].update(width=8, steps=3, examples=100)
    for part in ("training", "normed"):
        full[part].update(tune={"values": [0.01], "seeds": 1})
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


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
