"""Gradient flow: the measured gradient by hand, what each statistic says on made-up records, the full path cut down."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import depth_profile, measure, networks
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data
from claimcheck.judging.controls import outcomes
from claimcheck.judging.evidence import Evidence
from claimcheck.judging.judge import fact_holds
from claimcheck.judging.measures import evaluate
from claimcheck.judging.rule import inside
from claimcheck.results import records as recording
from claimcheck.results.state import Machine, locate
from claimcheck.running import runner
from claimcheck.spec.controls import applied, control_of
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_config, load_study
from claimcheck.theory import mean_field

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"
STUDY = load_study(STUDIES, "gradient_flow")
RUNS, STATISTICS = (study_module(STUDY.folder, name) for name in ("runs", "statistics"))
DATA = Path(os.environ.get("CLAIMCHECK_TEST_DATA", ROOT.parent / "shared" / "data"))


def context(part, **settings):
    return Context("gradient_flow", "smoke", part, Settings(settings), torch.device("cpu"), DATA)


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


# --- the measurement, against a loop written by hand -----------------------------------------------------------------


def test_profile_equals_backpropagation_by_hand():
    settings = {"width": 7, "depth": 4, "examples": 3, "dtype": "float64"}
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [3, 3], "activation": "tanh", "weight_variance": [0.5, 2.0]})
    here = context("slopes", **settings)
    found = depth_profile.run(runs, here)
    probe = {name: value.double() for name, value in depth_profile.probes(here, 3).items()}
    network = networks.MLP(
        7, 7, 7, depth=4, activation="tanh", init=1.0, bias=False, generator=here.generator(3, "init")
    ).double()
    for run, variance in (("a", 0.5), ("b", 2.0)):
        h, pre = probe["x"], []
        for layer in network.hidden:
            pre.append(h @ (layer.weight * math.sqrt(variance)).T)
            pre[-1].retain_grad()
            h = torch.tanh(pre[-1])
        ((h @ (network.output.weight * math.sqrt(variance)).T) * probe["direction"]).sum().backward()
        rows = found[found["run"] == run].sort_values("layer")
        assert rows["delta"].to_numpy() == pytest.approx([float(p.grad.square().sum(0).mean()) for p in pre], rel=1e-6)
        expected = [float(p.detach().square().mean()) for p in pre]
        assert rows["pre_activation"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_layerwise_gives_a_study_what_enters_and_leaves_each_layer():
    runs = pd.DataFrame({"run": ["a"], "seed": [1]})
    ensemble = Ensemble.build(
        runs, lambda run, generator: networks.MLP(3, [4, 4], 2, generator=generator), torch.Generator().manual_seed
    )
    x = torch.randn(10, 3, generator=torch.Generator().manual_seed(2))
    table = measure.layerwise(ensemble, Data({"x": x}), {
        "low": lambda before, after: before.amin(), "high": lambda before, after: after.amax(),
    })  # fmt: skip
    network = ensemble.network("a")
    first = network.hidden[0](x)
    assert table["layer"].tolist() == [1, 2]
    assert table["low"][0] == pytest.approx(float(first.detach().min()), rel=1e-5)
    assert table["high"][0] == pytest.approx(float(first.detach().relu().max()), rel=1e-5)


def test_the_facts_hold_and_would_not_hold_of_another_number():
    runs = pd.DataFrame({"run": ["a"], "seed": [0]})
    settings = STUDY.at("quick")["exact"].settings
    records = RUNS.run_exact(runs, context("exact", **settings)).assign(seed=0, status="ok")
    facts = [p for _, p in STUDY.predictions() if p.kind == "fact" and p.part == "exact"]
    assert len(facts) == 7
    for fact in facts:
        number = measured(fact, records).to_numpy()
        assert fact_holds(number, fact), fact.id
        assert not fact_holds(number + 0.001, fact), fact.id


def test_a_layer_of_one_unit_is_silent_half_of_the_time():
    runs = pd.DataFrame({"run": ["a"], "seed": [0], "width": [1], "depth": [3]})
    dead = RUNS.run_dead_law(runs, context("dead_law", networks=20_000))["dead"][0]
    assert dead == pytest.approx(1 - 0.5**3, abs=0.01)


def test_facts_about_the_functions():
    runs = pd.DataFrame({"run": ["a"], "seed": [0]})
    facts = RUNS.run_exact(runs, context("exact", betas=[1.0, 3.0])).iloc[0]
    assert (facts["tanh_peak"], facts["relu_active"]) == (1.0, 1.0)
    assert facts["tanh_tail"] == pytest.approx(4 * math.exp(-20), rel=1e-3)
    assert facts["swish_roots"] == 1
    # The greatest distance from ReLU solves 1 = (x - 1) e^-x, so it is x - 1 = W(1/e).
    assert facts["swish_gap"] == pytest.approx(0.2784645, abs=1e-5)


# --- what predictions measure on records made by hand ------------------------------------------------------------------------------


def profile(activation, variance, log_delta, depth=50, seeds=3):
    """Records whose ln delta is a function of the layer, the same for each seed."""
    rows = [(seed, layer) for seed in range(seeds) for layer in range(1, depth + 1)]
    return pd.DataFrame({
        "seed": [seed for seed, _ in rows], "layer": [layer for _, layer in rows], "activation": activation,
        "weight_variance": variance, "delta": [math.exp(log_delta(layer)) for _, layer in rows], "status": "ok",
    })  # fmt: skip


def test_slopes_count_from_the_output_to_the_input():
    vanishing = profile("relu", 1.0, lambda layer: layer * math.log(2))
    assert answer("relu-xavier-halves", vanishing).to_list() == pytest.approx([0.5] * 3)
    sixfold = profile("relu", 0.333333, lambda layer: layer * math.log(6))
    assert answer("relu-pytorch-default", sixfold).to_list() == pytest.approx([6.0] * 3)
    exploding = profile("tanh", 4.0, lambda layer: -0.3 * layer)
    assert answer("tanh-explodes-at-4", exploding).to_list() == pytest.approx([0.3] * 3)
    expected = 0.3 - math.log(mean_field.chi_1("tanh", 4.0))
    assert answer("tanh-4-slope-error", exploding).to_list() == pytest.approx([expected] * 3)
    faint = profile("swish", 2.0, lambda layer: layer * math.log(2))
    assert answer("swish-he-vanishes", faint).to_list() == pytest.approx([2.0] * 3)


def test_a_power_of_depth_bends_and_an_exponential_does_not():
    power = profile("tanh", 1.0, lambda layer: math.log(layer))
    assert answer("tanh-critical-exponent", power).to_list() == pytest.approx([1.0] * 3)
    assert (answer("tanh-critical-slows-down", power) < -0.01).all()
    straight = profile("tanh", 1.0, lambda layer: 0.1 * layer)
    assert answer("tanh-critical-slows-down", straight).to_list() == pytest.approx([0.0] * 3, abs=1e-9)
    cells = predicted("exponential-in-depth").arguments["cells"]
    constant = [profile(activation, v, lambda layer: 3 - layer) for activation, vs in cells.items() for v in vs]
    assert answer("exponential-in-depth", pd.concat(constant, ignore_index=True)).abs().max() < 1e-9


def test_a_wrong_theory_and_a_kink_half_way_are_told_from_the_right_ones():
    slopes = [
        profile("tanh", v, lambda layer, v=v: -layer * math.log(mean_field.chi_1("tanh", v))) for v in (0.5, 2.0, 4.0)
    ]
    records = pd.concat([*slopes, profile("tanh", 1.0, math.log)], ignore_index=True)
    for identifier in ("tanh-half-slope-error", "tanh-2-slope-error", "tanh-4-slope-error"):
        assert true_in(predicted(identifier), records) == 3
        assert [true_in(control(identifier, name), records) for name in ("never", "against")] == [0, 0]
    kink = measured(control("exponential-in-depth", "against"), records)
    expected = math.log(mean_field.chi_1("tanh", 2.0)) - math.log(mean_field.chi_1("tanh", 4.0))
    assert kink.to_list() == pytest.approx([expected] * 3)
    assert true_in(predicted("tanh-critical-slows-down"), records) == 3
    assert true_in(control("tanh-critical-slows-down", "against"), records) == 0


def trained(**losses):
    """Final rows of `run_training`: cell name like tanh_0p25 -> a loss for each seed (None: diverged)."""
    rows = []
    for name, values in losses.items():
        activation, variance = name.split("_")
        for seed, loss in enumerate(values):
            rows.append({
                "seed": seed, "activation": activation, "weight_variance": float(variance.replace("p", ".")),
                "train_loss": np.nan if loss is None else loss, "status": "diverged" if loss is None else "ok",
            })  # fmt: skip
    return pd.DataFrame(rows)


def test_losses_are_told_as_shares_of_guessing_and_a_diverged_run_is_infinite():
    guess = math.log(10)
    records = trained(
        relu_0p5=[guess, guess * 1.02], tanh_0p25=[guess * 0.97, guess], tanh_1=[guess / 2, guess],
        tanh_16=[guess, None], tanh_0p7=[guess * 0.9, guess * 1.1],
    )  # fmt: skip
    assert answer("no-progress", records).to_list() == pytest.approx([0.03, 0.02])
    assert answer("neutral-trains", records).to_list() == pytest.approx([0.5, 1.0])
    assert true_in(predicted("exploding-fails"), trained(relu_4=[None, 2 * guess])) == 2
    assert answer("bounded-explosion", records).to_list() == [1.0, math.inf]
    assert answer("sgd-stuck-when-fading", records).to_list() == pytest.approx([0.1, 0.1])
    assert true_in(predicted("exploding-fails"), trained(relu_4=[1.0, guess])) == 0


def dead_records():
    """ReLU fails at rate 2.0 on seed 0 (loss) and seed 1 (diverged); Swish never."""
    rows = []
    for seed in (0, 1):
        for rate, dead, loss in ((0.1, 0.0, 1.0), (1.0, 0.2 + 0.1 * seed, 1.5), (2.0, 0.9, 2.5 if seed == 0 else None)):
            status = "ok" if loss is not None else "diverged"
            rows.append(("relu", seed, rate, dead if loss is not None else np.nan, loss, status))
            rows.append(("swish", seed, rate, 0.01 * rate, 1.0, "ok"))
    columns = ["activation", "seed", "learning_rate", "dead", "train_loss", "status"]
    return pd.DataFrame(rows, columns=columns).astype({"train_loss": float})


def test_dead_units_are_read_at_the_largest_rate_that_the_seed_survives():
    records = dead_records()
    assert answer("dead-near-divergence", records).to_list() == pytest.approx([0.2, 0.3])
    assert answer("dead-at-ordinary-rate", records).to_list() == [0.0, 0.0]
    assert answer("dead-rises", records).to_list() == pytest.approx([0.2, 0.3])
    # Rates 0.1 and 1.0 count: swish 0.001 and 0.01, a tenth of relu 0 and 0.02 (seed 0).
    assert answer("swish-dies-ten-times-less", records).to_list() == pytest.approx([-0.0045, -0.0095])


def test_of_a_seed_that_fails_at_every_rate_no_prediction_on_dead_units_is_true():
    records = dead_records().assign(train_loss=np.nan, status="diverged", dead=np.nan)
    for identifier in ("dead-near-divergence", "dead-rises", "dead-at-ordinary-rate", "swish-dies-ten-times-less"):
        assert true_in(predicted(identifier), records) == 0


def test_rates_and_activations_against_themselves_and_swapped_are_not_supported():
    records = dead_records()
    for identifier in ("dead-near-divergence", "dead-rises", "swish-dies-ten-times-less"):
        assert true_in(predicted(identifier), records) == 2
        assert [true_in(control(identifier, name), records) for name in ("never", "against")] == [0, 0]
    assert measured(control("dead-rises", "never"), records).to_list() == [0.0, 0.0]


def test_gains_are_positive_when_swish_is_better():
    records = pd.DataFrame({
        "dataset": "digits", "seed": [0, 0, 1, 1], "activation": ["relu", "swish"] * 2,
        "test_error": [0.10, 0.08, 0.05, 0.06], "status": "ok",
    })  # fmt: skip
    assert answer("swish-equals-relu-digits", records).to_list() == pytest.approx([2.0, -1.0])


def test_the_worst_nonlinear_fit_and_the_linear_one():
    errors = {"relu": [0.0, 0.01], "tanh": [0.02, 0.0], "linear": [0.5, np.nan]}
    records = pd.DataFrame(
        [
            (name, seed, e, "diverged" if np.isnan(e) else "ok")
            for name in errors
            for seed, e in enumerate(errors[name])
        ],
        columns=["activation", "seed", "train_error", "status"],
    )
    assert answer("nonlinear-fits", records).to_list() == pytest.approx([0.98, 0.99])
    assert answer("linear-does-not-fit", records).to_list() == pytest.approx([0.5, 1.0])
    assert true_in(predicted("linear-does-not-fit"), records) == 1  # a run that diverged shows nothing


def test_the_gap_furthest_from_theory_is_told():
    coarse = RUNS.run_exact(pd.DataFrame({"run": ["a"], "seed": [0]}), context("exact", betas=[1.0, 1e4, 3.0])).iloc[0]
    assert coarse["swish_gap"] < 0.27  # at 10,000 the grid of x misses the place
    assert not fact_holds(np.array([coarse["swish_gap"]]), predicted("swish-gap"))


def test_the_least_growth_of_saturation():
    shares = {1.0: 0.1, 4.0: 0.3, 9.0: 0.35, 16.0: 0.6, 0.25: 0.9}
    records = pd.DataFrame(
        [(0, layer, v, share if layer == 2 else 0.0) for layer in (1, 2) for v, share in shares.items()],
        columns=["seed", "layer", "weight_variance", "saturated"],
    )
    assert answer("saturation-grows", records).to_list() == pytest.approx([0.05])


# --- the study as a whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prediction", [p for _, p in STUDY.predictions() if p.part != "images"], ids=lambda prediction: prediction.id
)
def test_every_prediction_has_one_number_for_every_seed(smoke, prediction):
    rows = recording.part_of(smoke, prediction.part)
    values = answer(prediction.id, rows)
    assert sorted(values.index) == sorted(rows["seed"].unique())
    assert values.notna().all() or prediction.part == "dead"  # a rate that no network survives


def test_every_control_can_be_asked_of_a_smoke_run(smoke):
    parts = {name: part for name, part in STUDY.at("smoke").items() if part.seeds}
    found = Evidence(STUDY, "smoke", parts, {"images": "not run"}, smoke)
    judged = [p for _, p in STUDY.predictions() if p.kind != "fact" and p.part != "images"]
    assert all(set(outcomes(found, prediction, "supported")) == {"never", "against"} for prediction in judged)


@pytest.mark.parametrize("spec", STUDY.figures, ids=lambda spec: spec.id)
def test_figures_draw_without_a_problem(smoke, drawn_well, spec):
    drawn_well(STUDY, spec, smoke)


def test_full_scale_runs_with_two_seeds_and_less_of_everything(fashion, tmp_path):
    full = {name: dict(v) if isinstance(v, dict) else v for name, v in STUDY.scales["full"].items()}
    tune = {"values": [0.01], "seeds": 1}
    full["slopes"].update(width=24, depth=20, examples=2, seeds=2, activation=["relu", "sigmoid"])
    full["saturation"].update(width=32, examples=4)
    full["dead_law"].update(networks=20)
    full["map"].update(depth=[5, 10], steps=2, judged=50, seeds=2)
    full["training"].update(depth=5, width=8, steps=2, judged=50, tune=tune)
    full["adaptive"].update(tune=tune)
    full["dead"].update(width=8, steps=2)
    full["accuracy"].update(width=8, steps=2, tune=tune)
    full["images"].update(width=8, steps=2, examples=200, seeds=2, tune=tune)
    full["fit"].update(width=8, steps=2, tune=tune)
    study = STUDY.model_copy(update={"scales": {**STUDY.scales, "full": full}})
    overrides = {
        "scale": "full", "seeds": 2, "device": "cpu", "studies_dir": str(STUDIES), "results_dir": str(tmp_path / "r"),
        "data_dir": str(fashion),
    }  # fmt: skip
    results = locate(study, load_config(None, overrides), Machine())
    runner.run_parts(results, results.parts)
    records = recording.read(runner.assemble(results))
    assert set(records["part"]) == set(STUDY.parts)
    images = recording.part_of(records, "images")
    assert sorted(answer("swish-equals-relu-fashion", images).index) == [0, 1]
    slopes = recording.part_of(records, "slopes")
    assert set(slopes["activation"]) == {"relu", "sigmoid"}
    assert slopes["delta"].gt(0).all()
