"""Normalisation: runs, statistics on made-up records, the study as a whole."""

import math
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.context import Context, Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data
from claimcheck.results import records as recording
from claimcheck.running import devices
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, control_of

from .asking import Asked
from .test_normalization_norms import definition

ASKED = Asked("normalization")
STUDY, PREDICTIONS, answer = ASKED.study, ASKED.predictions, ASKED.numbers
RUNS, FIGURES, norm_timing = (ASKED.module(name) for name in ("runs", "figures", "norm_timing"))
ABSENT = ("timing_compiled", "timing_gpu")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def context_of(part, scale="full", settings=None):
    return ASKED.context(part, scale, **{**STUDY.at(scale)[part].settings, **(settings or {})})


# ---------------------------------------------------------------- what the predictions measure


def frame(**columns):
    return pd.DataFrame(columns).assign(status="ok")


def test_facts_take_the_deviation_of_their_own_norm():
    rows = frame(seed=[0, 0], norm=["batch", "layer"], neuron=[0.3, 9.0], sample=[9.0, 0.2])
    assert answer("batch-norm-standardises-neurons", rows) == {0: 0.3}
    assert answer("layer-norm-standardises-samples", rows) == {0: 0.2}


def signal(slopes):
    """Records whose squared gradient grows by `slopes[norm, gain]` nats per layer toward the input."""
    return pd.DataFrame(
        {"run": f"{norm}{gain}", "seed": 0, "norm": norm, "gain": gain, "layer": layer,
         "log_gradient": slope * (10 - layer), "log_activation": slope * layer}
        for (norm, gain), slope in slopes.items()
        for layer in range(1, 11)
    )  # fmt: skip


def test_spreads_compare_the_worst_norm_with_none():
    slopes = {("none", 0.25): -2.0, ("none", 1.0): 0.0, ("none", 4.0): 2.0}
    slopes |= {("batch", 0.25): 0.38, ("batch", 1.0): 0.38, ("batch", 4.0): 0.38}
    slopes |= {("layer", 0.25): 0.0, ("layer", 1.0): 0.1, ("layer", 4.0): 0.0}
    slopes |= {("rms", 0.25): 0.0, ("rms", 1.0): 0.0, ("rms", 4.0): 0.0}
    rows = signal(slopes)
    for name in ("gradient-slope-is-held", "activation-scale-is-held"):
        assert answer(name, rows) == {0: pytest.approx(0.1 / 4.0)}
    assert answer("batch-norm-gradient-explodes", rows) == {0: pytest.approx(0.38)}
    assert answer("batch-norm-gradient-explodes", rows, control="never") == {0: pytest.approx(0.0)}
    assert answer("batch-norm-gradient-explodes", rows, control="against") == {0: pytest.approx(0.1)}


def cells(losses):
    """Rows of seed 0 from {norm: {(gain, rate): loss}}."""
    return pd.DataFrame(
        {"seed": 0, "norm": norm, "gain": gain, "learning_rate": rate, "batch_loss": loss}
        for norm, table in losses.items()
        for (gain, rate), loss in table.items()
    )


def test_progress_lost_at_the_worse_gain_counts_a_failure_as_guessing():
    none = {(0.25, 0.1): math.nan, (1.0, 0.1): math.log(10) - 1.0, (4.0, 0.1): 50.0}
    batch = {(0.25, 0.1): 1.5, (1.0, 0.1): math.log(10) - 1.0, (4.0, 0.1): math.log(10) - 0.75}
    rows = cells({"none": none, "batch": batch})
    assert answer("batch-norm-forgives-init", rows) == {0: pytest.approx(0.25)}
    assert answer("batch-norm-forgives-init", rows, control="never") == {0: 1.0}
    assert answer("batch-norm-forgives-init", rows, control="against") == {0: pytest.approx(4.0)}


def test_a_norm_that_learns_nothing_at_gain_one_forgives_nothing():
    none = {(0.25, 0.1): 1.5, (1.0, 0.1): math.log(10) - 1.0, (4.0, 0.1): math.log(10) - 0.5}
    nothing = {(0.25, 0.1): math.nan, (1.0, 0.1): 2.4, (4.0, 0.1): 2.4}
    assert answer("batch-norm-forgives-init", cells({"none": none, "batch": nothing})) == {0: pytest.approx(2.0)}
    assert answer("batch-norm-forgives-init", cells({"none": nothing, "batch": nothing})) == {0: 1.0}
    rows = cells({"none": none, "batch": none, "layer": none, "rms": nothing})
    assert answer("any-norm-forgives-init-retuned", rows) == {0: pytest.approx(2.0)}
    assert answer("any-norm-forgives-init-retuned", rows, control="against") == {0: pytest.approx(0.5)}


def test_rates_over_gains_are_those_of_gain_one_unless_they_are_chosen_anew():
    parts = STUDY.at("quick")
    assert set(design.pilot_runs(parts["init"])["gain"]) == {1.0}
    assert set(design.pilot_runs(parts["init_retuned"])["gain"]) == {0.25, 1.0, 4.0}


@pytest.mark.parametrize("control", [None, *NAMES])
def test_highest_stable_rate_is_the_last_that_learns_in_decades(control):
    rows = cells({
        "none": {(1, 0.01): 2.0, (1, 0.1): 2.2, (1, 1.0): math.nan},
        "batch": {(1, 0.01): 2.25, (1, 0.1): 2.31, (1, 1.0): 2.2},
        "layer": dict.fromkeys([(1, 0.01), (1, 0.1), (1, 1.0)], 2.4),
    })  # fmt: skip
    rows = pd.concat([rows.assign(architecture="plain"), rows.assign(architecture="residual", batch_loss=9.0)])
    expected = {None: 1.0, "never": 0.0, "against": -1.0}[control]
    assert answer("batch-norm-raises-early-stable-rate-plain", rows, control=control) == {0: pytest.approx(expected)}
    if control is None:
        assert answer("layer-norm-raises-early-stable-rate-plain", rows) == {0: pytest.approx(-2.0)}


def speed(rows, **columns):
    """Rows of seed 0 from {(norm, architecture, variance): value} of one column, at the last step."""
    names = ["norm", "architecture", "init_variance", *columns]
    return frame(seed=0, step=100, **pd.DataFrame([(*key, value) for key, value in rows.items()], columns=names))


def test_time_to_the_target_is_compared_in_each_regime_and_a_norm_that_diverges_is_not_faster():
    rows = speed({
        ("none", "plain", 0.333): 100.0, ("batch", "plain", 0.333): 50.0, ("layer", "plain", 0.333): 80.0,
        ("none", "residual", 2.0): 60.0, ("batch", "residual", 2.0): 15.0, ("layer", "residual", 2.0): math.nan,
    }, updates=None)  # fmt: skip
    assert answer("batch-norm-is-faster-plain-default", rows) == {0: 0.5}
    assert answer("layer-norm-is-faster-plain-default", rows) == {0: 0.8}
    assert answer("batch-norm-is-faster-residual-he", rows) == {0: 0.25}
    assert answer("layer-norm-is-faster-residual-he", rows) == {0: math.inf}
    assert answer("batch-norm-is-faster-residual-he", rows, control="never") == {0: 1.0}
    assert answer("batch-norm-is-faster-residual-he", rows, control="against") == {0: 4.0}


def test_a_norm_is_no_faster_in_a_shallow_network_unless_it_saves_a_fifth_or_has_no_number():
    cells = {("none", "plain", 2.0): 40.0, ("batch", "plain", 2.0): 30.0, ("layer", "plain", 2.0): 60.0}
    rows = speed({**cells, ("rms", "plain", 2.0): math.nan}, updates=None).assign(dataset="digits")
    ratios = {norm: answer(f"{norm}-norm-is-no-faster-shallow", rows)[0] for norm in ("batch", "layer", "rms")}
    assert ratios == {"batch": 0.75, "layer": 1.5, "rms": pytest.approx(math.nan, nan_ok=True)}
    assert [ASKED.true_in(f"{norm}-norm-is-no-faster-shallow", rows) for norm in ratios] == [0, 1, 0]
    skips = {("none", "residual", 2.0): 60.0, ("batch", "residual", 2.0): 15.0, ("layer", "residual", 2.0): 12.0}
    rows = speed({**skips, ("rms", "residual", 2.0): 18.0}, updates=None)
    found = {control: answer("batch-norm-is-no-faster-shallow", rows, control=control)[0] for control in NAMES}
    assert found == {"never": 0.25, "against": pytest.approx(0.2)}
    found = {control: answer("layer-norm-is-no-faster-shallow", rows, control=control)[0] for control in NAMES}
    assert found == {"never": pytest.approx(0.2), "against": pytest.approx(0.3)}


def gaps(curves, variance, seed=0):
    """Records of residual networks whose losses after a tenth of the updates, half of them, and all are given by norm."""
    regime = {"seed": seed, "step": np.array([2, 10, 20]), "architecture": "residual", "init_variance": variance}
    rows = pd.concat(frame(norm=norm, batch_loss=curve, **regime) for norm, curve in curves.items())
    return pd.concat([rows, rows.assign(architecture="plain", batch_loss=9.0)])


def test_a_norm_helps_early_by_what_the_gap_has_beyond_the_margin_and_beyond_that_at_the_end():
    curves = {"none": [2.2, 1.5, 1.0], "batch": [1.9, 1.3, 0.8], "layer": [2.18, 1.6, 1.2], "rms": [1.5, 1.0, 0.2]}
    rows = gaps(curves, 0.333)
    found = {norm: answer(f"{norm}-norm-gap-is-largest-early", rows)[0] for norm in ("batch", "layer", "rms")}
    assert found == {key: pytest.approx(value) for key, value in {"batch": 0.1, "layer": -0.03, "rms": -0.1}.items()}
    assert answer("batch-norm-gap-is-largest-early", rows, control="never") == {0: pytest.approx(-0.05)}
    assert answer("batch-norm-gap-is-largest-early", rows, control="against") == {0: pytest.approx(-1.1)}
    rows = pd.concat([rows, gaps({**curves, "none": [2.0, 1.2, 1.1]}, 0.333, seed=1)])
    found = answer("layer-norm-gap-is-largest-early", rows, control="never")
    assert found == {0: pytest.approx(0.2 - 0.05), 1: pytest.approx(-0.2 - 0.1)}  # the last's next unit is the first


def test_where_the_network_without_norm_stays_at_guessing_the_gap_of_the_norms_mean_only_grows():
    curves = {"none": [9.3, 2.4, 2.3], "batch": [1.3, 1.0, 0.8], "layer": [1.5] * 3, "rms": [1.7] * 3}
    rows, growth = gaps(curves, 2.0), (1.3 - 0.8) / 3
    found = [answer("norm-gap-is-largest-early", rows, control=control)[0] for control in (None, "against")]
    assert found == [pytest.approx(math.log(10.0) - 2.3 - growth), pytest.approx(-growth)]


def test_scale_is_kept_by_a_norm_that_learns_and_moves_less():
    regime = {"seed": 0, "step": np.array([4, 20]), "architecture": "plain", "init_variance": 2.0}
    made = {
        "none": ([2.3, 1.0], 0.3),
        "batch": ([2.4, 1.2], 0.4),
        "layer": ([2.3, 1.5], 0.1),
        "rms": ([2.3, 2.28], 0.1),
    }
    rows = pd.concat(frame(norm=norm, batch_loss=loss, shift=shift, **regime) for norm, (loss, shift) in made.items())
    rows = pd.concat([rows, rows.assign(architecture="residual", shift=9.0)])
    found = {norm: answer(f"{norm}-norm-moves-scale-less", rows)[0] for norm in ("batch", "layer", "rms")}
    assert found == {"batch": pytest.approx(-0.1), "layer": pytest.approx(0.2), "rms": -math.inf}
    assert answer("layer-norm-moves-scale-less", rows, control="never") == {0: -math.inf}
    assert answer("layer-norm-moves-scale-less", rows, control="against") == {0: pytest.approx(-0.3)}


def ensembles(norm, gain, architecture="plain"):
    """Two networks of three layers, and the same with all their parameters times `gain`; data for them."""
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "norm": norm, "architecture": architecture})
    network = RUNS.network_of(Context("n", "quick", "p", Settings({"width": 64, "depth": 3}), "cpu", Path()), 8)
    before, after = (Ensemble.build(runs, network, generator) for _ in range(2))
    after.parameters = gain * after.parameters
    return before, after, Data({"x": torch.randn(32, 8, generator=generator(1)), "y": torch.arange(32) % 10})


def test_spread_is_between_the_layers_that_have_most_and_least_and_the_shift_is_from_before_to_after():
    found = RUNS.spread(*ensembles("none", 2.0))  # biases are zero: layer l has 2^l of what it had
    assert found["shift"].to_numpy() == pytest.approx(np.log10(2.0) * (1 + 2 + 3) / 3, abs=1e-5)
    assert found["activation_decades"].between(0.4, 0.8).all()


@pytest.mark.parametrize("norm", ["batch", "layer", "rms"])
def test_activations_are_measured_before_the_norm_in_train_mode_and_leave_networks_as_they_are(norm):
    before, _, data = ensembles(norm, 1.0, "residual")
    kept = {name: buffer.clone() for name, buffer in before.buffers.items()}
    found = RUNS.entering(before, data)
    network, x = before.network("a").train(), data.shared["x"]
    with torch.no_grad():
        stream = [network.hidden[0](x)]
        for layer in (1, 2):
            normed = network.norms[layer - 1](stream[-1])
            stream.append(stream[-1] + network.hidden[layer](normed.relu()))
    assert found.loc["a"].to_numpy() == pytest.approx([float(h.square().mean().sqrt()) for h in stream], rel=1e-4)
    assert all(torch.equal(before.buffers[name], buffer) for name, buffer in kept.items())


def test_a_norm_narrows_by_what_the_worst_leaves_and_a_layer_without_signal_is_infinitely_far():
    cells = {(norm, "plain", 2.0): decades for norm, decades in zip(FIGURES.LABELS, (1.0, 0.2, 0.9, 0.1), strict=True)}
    rows, name = speed(cells, activation_decades=None), "norm-narrows-activations-plain-default"
    found = [answer(name, rows, control=control)[0] for control in (None, *NAMES)]
    assert found == [pytest.approx(0.1), 0.0, pytest.approx(-0.1)]
    assert answer("activations-no-narrower-plain-he", rows) == {0: pytest.approx(0.9)}
    for norm, lost, expected in (("none", math.nan, math.inf), ("rms", math.inf, -math.inf)):
        rows = speed({**cells, (norm, "plain", 2.0): lost}, gradient_decades=None)
        assert answer("norm-narrows-gradients-plain-default", rows) == {0: expected}


def test_runs_that_differ_in_their_rate_alone_start_from_one_network():
    context = Context("n", "quick", "p", Settings({"width": 4, "depth": 2}), "cpu", Path())
    runs = pd.DataFrame({"run": [*"abcd"], "seed": [0, 0, 0, 1], "norm": "none", "gain": [1.0, 1.0, 4.0, 1.0],
                         "learning_rate": [0.1, 0.2, 0.1, 0.1]})  # fmt: skip
    same, faster, larger, other = Ensemble.build(runs, RUNS.network_of(context, 8), generator).parameters
    assert torch.equal(same, faster)
    assert not torch.equal(same, larger)
    assert not torch.equal(same, other)
    alone = Ensemble.build(runs.iloc[[3]], RUNS.network_of(context, 8), generator).parameters[0]
    assert torch.equal(other, alone)


def test_batch_size_statistics_are_batch_norm_minus_layer_norm():
    sizes = [2, 4, 128]
    columns = {"test_error": [0.9, 0.51, 0.4], "train_loss": [2.0, 1.0, 1.0], "batch_loss": [1.8, 1.0, 1.0]}
    batch = frame(seed=0, norm="batch", batch_size=sizes, **columns)
    layer = frame(seed=0, norm="layer", batch_size=sizes, test_error=0.5, train_loss=1.5, batch_loss=1.6)
    rows = pd.concat([batch, layer])
    assert answer("batch-norm-suffers-small-batches", rows) == {0: pytest.approx(0.4)}
    assert answer("batch-norm-suffers-at-four", rows) == {0: pytest.approx(0.01)}
    assert answer("batch-norm-fine-at-large-batches", rows) == {0: pytest.approx(-0.1)}
    assert answer("batch-norm-fine-at-large-batches", rows, control="against") == {0: pytest.approx(0.4)}
    assert answer("handicap-halves-from-two-to-four", rows) == {0: pytest.approx(0.2 - 0.01)}
    assert answer("handicap-halves-from-two-to-four", rows, control="against") == {0: pytest.approx(-0.2 + 0.01)}
    assert answer("handicap-shows-in-eval-mode", rows) == {0: pytest.approx(0.5 - 2 * 0.2)}
    assert answer("handicap-shows-in-eval-mode", rows, control="never") == {0: 0.0}
    assert answer("handicap-shows-in-eval-mode", rows, control="against")[0] < 0


def test_an_advantage_in_eval_mode_is_no_handicap_there_however_large_that_in_train_mode():
    batch = frame(seed=0, norm="batch", batch_size=[2], train_loss=1.4, batch_loss=1.0)
    layer = frame(seed=0, norm="layer", batch_size=[2], train_loss=1.5, batch_loss=1.6)
    assert answer("handicap-shows-in-eval-mode", pd.concat([batch, layer])) == {0: pytest.approx(-0.1)}


def test_rms_quality_and_time_ratio_keep_their_signs():
    rows = frame(seed=[0] * 4, norm=["rms", "layer"] * 2, architecture=["plain"] * 2 + ["residual"] * 2,
                 test_error=[0.32, 0.3, math.nan, 0.98])  # fmt: skip
    assert answer("rms-as-good-plain", rows) == {0: pytest.approx(0.02)}
    assert answer("rms-as-good-residual", rows) == {0: pytest.approx(0.02)}
    times = frame(seed=0, kernel=["fused", "fused", "primitives"], width=[64, 512, 64], log_ratio=[1.0, 3.0, -0.5])
    assert answer("rms-saves-nothing-fused", times) == {0: 2.0}
    assert answer("rms-is-faster-from-primitives", times) == {0: -0.5}
    assert answer("rms-is-faster-from-primitives", times, control="never") == {0: 0.0}
    assert answer("rms-is-faster-from-primitives", times, control="against") == {0: 0.5}


def test_each_norm_is_timed_first_in_every_other_turn(monkeypatch):
    order = []
    monkeypatch.setattr(norm_timing, "seconds", lambda norm, tensors, calls: order.append(norm) or float(norm))
    assert norm_timing.by_turns((1, 2), [], 1, first=0) == [1.0, 2.0]
    assert norm_timing.by_turns((1, 2), [], 1, first=1) == [1.0, 2.0]
    assert order == [1, 2, 2, 1]


def test_timing_is_the_log_of_rms_over_layer_norm(monkeypatch):
    times = {norm_timing.rms_norm: 1.5}
    monkeypatch.setattr(norm_timing, "seconds", lambda norm, tensors, calls: times.get(norm, 3.0))
    context = context_of("timing", settings={"rows": 4, "turns": 3, "calls": 2})
    runs = pd.DataFrame({"run": ["a"], "seed": [0], "kernel": ["primitives"], "width": [8]})
    found = norm_timing.run_timing(runs, context).iloc[0]
    assert found["log_ratio"] == pytest.approx(math.log(0.5))
    assert (found["layer_seconds"], found["rms_seconds"]) == (3.0, 1.5)


# ---------------------------------------------------------------- the study as a whole


@pytest.mark.parametrize("name", [name for name, prediction in PREDICTIONS.items() if prediction.part not in ABSENT])
def test_every_prediction_has_an_answer_for_every_seed(smoke, name):
    values = answer(name, recording.part_of(smoke, PREDICTIONS[name].part), "smoke")
    assert sorted(values) == sorted(smoke["seed"].unique())
    lost = sum(math.isnan(value) for value in values.values())  # in narrow networks all ReLUs of a layer may have died
    assert lost <= (len(values) // 2 if PREDICTIONS[name].part in ("speed", "slow") else 0)


JUDGED = [name for name, each in PREDICTIONS.items() if each.kind != "fact" and each.part not in ABSENT]


@pytest.mark.parametrize("control", NAMES)
@pytest.mark.parametrize("name", JUDGED)
def test_every_control_has_an_answer_for_every_seed(smoke, name, control):
    part = control_of(PREDICTIONS[name], control).part or PREDICTIONS[name].part
    values = answer(name, recording.part_of(smoke, part), "smoke", control)
    assert sorted(values) == sorted(smoke["seed"].unique())


def test_the_facts_are_those_of_definitions_and_of_untrained_networks():
    facts = {each.part for each in PREDICTIONS.values() if each.kind == "fact"}
    assert facts == {"facts", "signal"}


@pytest.mark.parametrize("spec", STUDY.figures, ids=lambda spec: spec.id)
def test_every_figure_draws_without_problems(drawn_well, spec):
    drawn_well(spec)


def test_grid_of_the_first_updates_spans_four_decades():
    rates = STUDY.at("quick")["early"].factors["learning_rate"].values
    assert math.log10(rates[-1] / rates[0]) == pytest.approx(4.0)


@pytest.mark.parametrize(
    ("part", "settings"),
    [
        ("signal", {"width": 8, "probe": 4}),
        ("early", {"steps": 2, "width": 8, "window": 1}),
        ("cnn", {"steps": 2, "channels": 2, "window": 1}),
        ("init", {"steps": 2, "width": 8, "window": 1}),
        ("speed", {"steps": 4, "width": 8, "window": 2, "every": 2}),
        ("shallow", {"steps": 4, "width": 8, "window": 2, "every": 2}),
        ("batch", {"steps": 2, "width": 8, "window": 1}),
        ("quality", {"steps": 2, "width": 8}),
        ("timing", {"turns": 1, "calls": 1}),
    ],
)
def test_full_scale_code_path_with_two_seeds(part, settings):
    scaled = STUDY.at("full")[part].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled)
    static = [name for name, factor in scaled.factors.items() if factor.static]
    for name in static:
        runs = runs[runs[name] == runs[name].iloc[-1]]
    runs = runs.reset_index(drop=True)
    runs = runs if "learning_rate" in runs or part in ("signal", "timing") else runs.assign(learning_rate=0.1)
    sizes = {"examples": {name: {"train": 200, "test": 50} for name in ("digits", "mnist1d_pool", "mnist5k")}}
    found = getattr(RUNS, STUDY.run_function(part))(runs, context_of(part, settings={**sizes, **settings}))
    checked = recording.check_outcome(found, runs, scaled, where="test")
    assert set(checked["run"]) == set(runs["run"])


@pytest.mark.slow
@pytest.mark.skipif(not devices.has_compiler() or sys.platform == "win32", reason="no C++ compiler")
def test_compiled_timing_runs_and_its_norms_are_right():
    x, one, zero = torch.randn(4, 8, generator=generator()), torch.ones(8), torch.zeros(8)
    for norm, name in zip(norm_timing.kernels("compiled"), ("layer", "rms"), strict=True):
        torch.testing.assert_close(norm(x, one, zero), definition(name, x))


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
