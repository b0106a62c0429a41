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
from claimcheck.engine.train import Data, train
from claimcheck.judging.controls import outcomes
from claimcheck.judging.evidence import Evidence, values_of
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
RUNS, STATISTICS, FADING = (study_module(STUDY.folder, name) for name in ("runs", "statistics", "fading"))
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
    assert len(facts) == 10
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
    assert facts["swish_root"] == pytest.approx(-1.2784645, abs=1e-4)
    assert facts["activation_product"] == pytest.approx(1.0, abs=1e-12)
    assert facts["weight_product"] == 0.0
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
    exploding = profile("tanh", 4.0, lambda layer: -0.3 * layer)
    assert answer("tanh-explodes-at-4", exploding).to_list() == pytest.approx([0.3] * 3)
    faint = profile("swish", 2.0, lambda layer: layer * math.log(2))
    assert answer("swish-he-vanishes", faint).to_list() == pytest.approx([2.0] * 3)
    assert answer("swish-slope-error", faint).to_list() == pytest.approx([0.0] * 3, abs=1e-6)
    steeper = pd.concat([profile("tanh", 1.0, lambda layer: 0.1 * layer), profile("relu", 2.0, lambda layer: 3.0)])
    assert answer("tanh-fades", steeper).to_list() == pytest.approx([-0.1] * 3)


def test_scaled_weights_of_relu_scale_every_factor():
    records = pd.concat([profile("relu", v, lambda layer, v=v: -layer * math.log(v * 0.7)) for v in (0.333333, 1.0, 2.0)])
    assert answer("relu-xavier-halves", records).to_list() == pytest.approx([0.5] * 3)
    assert answer("relu-pytorch-default", records).to_list() == pytest.approx([1 / 6] * 3, rel=1e-5)


def test_a_power_of_depth_bends_and_an_exponential_does_not():
    power = profile("tanh", 1.0, lambda layer: math.log(layer))
    assert answer("tanh-critical-exponent", power).to_list() == pytest.approx([1.0] * 3)
    straight = pd.concat([profile(name, v, lambda layer: 3 - layer) for name, v in (("swish", 2.0), ("tanh", 4.0))])
    records = pd.concat([straight, profile("sigmoid", 4.0, lambda layer: 2 * layer), power], ignore_index=True)
    assert answer("exponential-in-depth", records).to_list() == pytest.approx([1.0] * 3)
    assert measured(control("exponential-in-depth", "against"), records).min() > 1.5


def test_a_wrong_theory_is_told_from_the_right_one():
    slopes = [
        profile(name, v, lambda layer, name=name, v=v: -layer * math.log(mean_field.chi_1(name, v)))
        for name, v in (("relu", 2.0), ("swish", 2.0), ("sigmoid", 4.0))
    ]
    records = pd.concat([*slopes, profile("tanh", 1.0, lambda layer: 2 * math.log(layer))], ignore_index=True)
    for identifier in ("relu-slope-error", "swish-slope-error", "sigmoid-slope-error"):
        assert true_in(predicted(identifier), records) == 3
        assert [true_in(control(identifier, name), records) for name in ("never", "against")] == [0, 0]


GUESS = math.log(10)


def swept(activation, **losses):
    """Rows of `run_swept` on one data set: rate -> a loss for each seed (None: diverged)."""
    rows = [
        {"seed": seed, "activation": activation, "learning_rate": float(rate.replace("r", "")),
         "train_loss": np.nan if loss is None else loss, "train_error": np.nan if loss is None else loss / 5,
         "first_update": 2.0, "status": "diverged" if loss is None else "ok"}
        for rate, values in losses.items() for seed, loss in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_the_best_rate_of_each_unit_counts_and_a_diverged_run_is_infinite():
    stuck = swept("tanh", **{"r0.01": [GUESS, 1.0], "r1": [50.0, None]})
    assert answer("no-progress", stuck).to_list() == [GUESS, 1.0]
    assert true_in(predicted("no-progress"), stuck) == 1
    exploding = swept("relu", **{"r1e-06": [GUESS, 1.0], "r0.01": [None, None]})
    assert answer("no-rate-trains", exploding).to_list() == [GUESS, 1.0]
    assert answer("nothing-is-learnt", exploding).to_list() == pytest.approx([GUESS / 5, 0.2])
    assert true_in(predicted("ordinary-rate-diverges"), exploding) == 2
    assert true_in(predicted("huge-updates"), exploding) == 2


def test_networks_that_never_get_there_are_infinitely_slow():
    rows = [
        {"seed": seed, "activation": name, "depth": 20, "weight_variance": v, "updates": updates, "status": "ok"}
        for name, v, each in (("tanh", 1.0, [30.0, 90.0, math.inf]), ("relu", 2.0, [60.0, math.inf, math.inf]))
        for seed, updates in enumerate(each)
    ]
    ratios = answer("relu-sooner-deep", pd.DataFrame(rows))
    assert ratios.to_list()[:2] == [0.5, 0.0]
    assert np.isnan(ratios[2])


def test_what_freezing_costs_is_told_for_each_factor():
    rows = [
        {"seed": 0, "factor": factor, "frozen": frozen, "step": 100, "train_loss": loss, "status": "ok"}
        for factor, frozen, loss in ((1.0, 0, 0.1), (1.0, 10, 0.4), (0.5, 0, 0.45), (0.5, 10, 0.47))
    ]
    records = pd.DataFrame(rows)
    names = ("early-layers-matter", "faded-early-layers-do-not", "fading-costs", "fading-alone-does-not-stop")
    assert [float(answer(name, records)[0]) for name in names] == pytest.approx([0.3, 0.02, 0.35, 0.45])
    assert [true_in(control("faded-early-layers-do-not", name), records) for name in ("never", "against")] == [0, 0]


def dead_records():
    """ReLU fails at rate 2.0 on seed 0 (loss) and seed 1 (diverged); Swish never."""
    rows = []
    for seed in (0, 1):
        for rate, dead, loss in ((0.3, 0.0, 1.0), (1.0, 0.2 + 0.1 * seed, 1.5), (2.0, 0.9, 2.5 if seed == 0 else None)):
            status = "ok" if loss is not None else "diverged"
            rows.append(("relu", seed, rate, dead if loss is not None else np.nan, dead, loss, status))
            rows.append(("swish", seed, rate, 0.01 * rate, np.nan, 1.0, "ok"))
    columns = ["activation", "seed", "learning_rate", "dead", "revived", "train_loss", "status"]
    return pd.DataFrame(rows, columns=columns).astype({"train_loss": float})


def test_dead_units_are_read_at_the_largest_rate_that_the_seed_survives():
    records = dead_records()
    assert answer("dead-near-divergence", records).to_list() == pytest.approx([0.2, 0.3])
    assert answer("dead-stay-dead", records).to_list() == pytest.approx([0.2, 0.3])
    assert answer("dead-at-ordinary-rate", records).to_list() == [0.0, 0.0]
    # Rates 0.3 and 1.0 count: swish 0.003 and 0.01, a tenth of relu 0 and 0.02 (seed 0).
    assert answer("swish-dies-ten-times-less", records).to_list() == pytest.approx([-0.0035, -0.0085])


def test_of_a_seed_that_fails_at_every_rate_no_prediction_on_dead_units_is_true():
    records = dead_records().assign(train_loss=np.nan, status="diverged", dead=np.nan, revived=np.nan)
    for identifier in ("dead-near-divergence", "dead-stay-dead", "dead-at-ordinary-rate", "swish-dies-ten-times-less"):
        assert true_in(predicted(identifier), records) == 0


def test_rates_and_activations_against_themselves_and_swapped_are_not_supported():
    records = dead_records()
    for identifier in ("dead-near-divergence", "swish-dies-ten-times-less"):
        assert true_in(predicted(identifier), records) == 2
        assert [true_in(control(identifier, name), records) for name in ("never", "against")] == [0, 0]


def test_gains_are_positive_when_swish_is_better():
    records = pd.DataFrame({
        "dataset": "digits", "seed": [0, 0, 1, 1], "activation": ["relu", "swish"] * 2,
        "test_error": [0.10, 0.08, 0.05, 0.06], "status": "ok",
    })  # fmt: skip
    assert answer("swish-equals-relu", records).to_list() == pytest.approx([2.0, -1.0])


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


# --- networks whose gradient alone fades ----------------------------------------------------------------------------------


def residual(**how):
    return FADING.Fading(5, 6, 3, depth=4, generator=torch.Generator().manual_seed(1), **how)


def gradients(network, x):
    """The loss and the gradient of each hidden layer's weights."""
    loss = torch.nn.functional.cross_entropy(network(x), torch.tensor([0, 1, 2, 0]))
    return loss, torch.autograd.grad(loss, [layer.weight for layer in network.hidden])


def test_a_faded_network_computes_what_the_residual_one_does_and_halves_its_gradient_in_each_block():
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    plain = networks.MLP(5, 6, 3, depth=4, residual="scaled", generator=torch.Generator().manual_seed(1))
    (loss, whole), (same, faded) = gradients(plain, x), gradients(residual(factor=0.5, frozen=0), x)
    assert torch.equal(loss, same)
    # The last block's weights are beyond every factor; what goes before it is halved once more in each block.
    for layer, (one, other) in enumerate(zip(whole, faded, strict=True)):
        assert torch.allclose(other, one * 0.5 ** (3 - layer), rtol=1e-5, atol=1e-8)


def test_frozen_layers_get_no_gradient_and_the_others_theirs():
    x = torch.randn(4, 5, generator=torch.Generator().manual_seed(2))
    whole, frozen = gradients(residual(factor=1.0, frozen=0), x)[1], gradients(residual(factor=1.0, frozen=2), x)[1]
    assert all(bool((gradient == 0).all()) for gradient in frozen[:2])
    assert all(torch.equal(one, other) for one, other in zip(whole[2:], frozen[2:], strict=True))


# --- what the runs measure --------------------------------------------------------------------------------------------


PLAIN = {"width": 16, "depth": 2, "batch_size": 20, "examples": 100, "output_variance": 1.0, "average_pooling": 2}


def test_half_of_the_steps_are_the_first_half_of_all_of_them():
    """What `revived` rests on: a shorter run from the same streams is the beginning of the longer one."""
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [1, 2], "dataset": "digits", "activation": "relu", "learning_rate": 0.5})
    here = context("dead", steps=40, optimizer="sgd", **PLAIN)
    data, inputs = RUNS._training_set(runs, here)
    how = {"network": RUNS._plain(here.settings, inputs), "data": data, "evaluate": {"train": data}}
    half = train(runs, here, steps=20, **how).records
    whole = train(runs, here, evaluate_at=[20, 40], **how).records.query("step == 20")
    assert half["train_loss"].to_list() == whole["train_loss"].to_list()
    found = RUNS.run_dead(runs, here)
    assert set(found) >= {"dead", "revived", "kept", "train_loss"}
    assert found["dead"].between(0, 1).all()


def test_a_unit_whose_bias_is_far_below_is_dead_and_the_others_are_not():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [1, 2]})

    def network(run, generator):
        made = networks.MLP(3, [4, 4], 2, generator=generator)
        with torch.no_grad():
            made.hidden[1].bias[2] = -100.0
        return made

    ensemble = Ensemble.build(runs, network, torch.Generator().manual_seed)
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(2))
    trained = type("Trained", (), {"ensemble": ensemble})
    rows = torch.arange(50).expand(2, -1)
    dead = RUNS._dead(trained, Data({"x": x}, subset=rows), "relu")
    assert dead.shape == (2, 2, 4)
    assert dead[:, 1, 2].all()
    assert not dead[:, 0].any()


def test_updates_are_counted_to_half_the_loss_of_guessing():
    runs = pd.DataFrame({
        "run": ["a", "b"], "seed": [1, 1], "dataset": "digits", "activation": "relu", "depth": 2, "weight_variance": 2.0,
        "learning_rate": [0.1, 1e-6],
    })  # fmt: skip
    settings = {**PLAIN, "width": 32, "examples": 500}
    settings.pop("depth")
    found = RUNS.run_training(runs, context("training", steps=80, optimizer="momentum", **settings)).set_index("run")
    assert found["updates"]["a"] % 2 == 0
    assert 2 < found["updates"]["a"] < 80
    assert found["updates"]["b"] == math.inf
    assert found["train_loss"]["a"] < found["course"]["a"] < GUESS
    assert found["first_update"]["a"] == pytest.approx(1e5 * found["first_update"]["b"])


# --- the study as a whole --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(smoke):
    """The smoke run's records as the judge reads them."""
    parts = {name: part for name, part in STUDY.at("smoke").items() if part.seeds}
    return Evidence(STUDY, "smoke", parts, {"images": "not run"}, smoke)


@pytest.mark.parametrize(
    "prediction", [p for _, p in STUDY.predictions() if p.part != "images"], ids=lambda prediction: prediction.id
)
def test_every_prediction_has_one_number_for_every_seed(found, prediction):
    for data in prediction.on or [None]:
        values = values_of(found, prediction, data)
        open_ended = prediction.statistic in ("near_divergence", "less_than_a_tenth") or "sooner" in prediction.id
        assert values.notna().all() or open_ended or prediction.id == "saturation-slows-training"


def test_every_control_can_be_asked_of_a_smoke_run(found):
    judged = [p for _, p in STUDY.predictions() if p.kind != "fact" and p.part != "images"]
    for prediction in judged:
        for data in prediction.on or [None]:
            assert set(outcomes(found, prediction, "supported", data)) == {"never", "against"}


@pytest.mark.parametrize("spec", STUDY.figures, ids=lambda spec: spec.id)
def test_figures_draw_without_a_problem(smoke, drawn_well, spec):
    drawn_well(STUDY, spec, smoke)


def test_full_scale_runs_with_two_seeds_and_less_of_everything(fashion, tmp_path):
    full = {name: dict(v) if isinstance(v, dict) else v for name, v in STUDY.scales["full"].items()}
    tune, small = {"values": [0.01], "seeds": 1}, {"width": 8, "steps": 2, "examples": 100}
    full["slopes"].update(width=24, depth=20, examples=2, seeds=2, activation=["relu", "sigmoid"])
    full.update(saturation={"width": 32, "examples": 4}, dead_law={"networks": 20}, growing={"tune": tune})
    full["map"].update(depth=[5, 10], seeds=2, **small)
    for part in ("training", "fading", "fit"):
        full[part].update(tune=tune, **small)
    full["signals"].update(small)
    full.setdefault("fading_adam", {}).update(tune=tune)
    full["swept"].update(small)
    full["dead"].update(small)
    tune = {**tune, "settings": {"steps": 2}}
    full["accuracy"].update(small, examples={"digits": 100, "mnist1d_pool": 100, "fashion_mnist": 100}, tune=tune)
    full["images"].update(width=8, seeds=2, tune=tune)
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
