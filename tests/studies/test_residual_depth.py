"""Residual connections: closed forms against brute force, the stack against itself, statistics on made-up records."""

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import residual
from claimcheck.engine.context import Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data
from claimcheck.figures import drawing as figures
from claimcheck.judging.rule import decide
from claimcheck.results import records as recording
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, control_of
from claimcheck.theory import mean_field

from .asking import ROOT, Asked

ASKED = Asked("residual_depth")
STUDY, PREDICTIONS, answer = ASKED.study, ASKED.predictions, ASKED.numbers
RUNS, FIGURES = (ASKED.module(name) for name in ("runs", "figures"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def context_of(part, scale="quick", settings=None, data_dir=ROOT / "data"):
    return ASKED.context(part, scale, data_dir, **{**STUDY.at(scale)[part].settings, **(settings or {})})


# ---------------------------------------------------------------- theory


@pytest.mark.parametrize("variance", [0.5, 2.0])
def test_a_block_multiplies_the_mean_square_by_one_plus_its_variance_at_any_width(variance):
    n, draws = 6, generator()
    x = torch.randn(40_000, n, 1, generator=draws)
    first = torch.randn(40_000, n, n, generator=draws) * math.sqrt(2 / n)
    second = torch.randn(40_000, n, n, generator=draws) * math.sqrt(variance / n)
    after = x + second @ torch.relu(first @ x)
    ratio = float(after.square().mean() / x.square().mean())
    assert ratio == pytest.approx(mean_field.block_growth(variance), rel=0.03)


@pytest.mark.parametrize("width", [16, 64])
def test_log_gradient_of_a_plain_stack_drifts_as_the_first_order_formula_says(width):
    draws = generator(1)
    delta = torch.randn(2000, width, generator=draws).double()
    before = delta.square().sum(1).log()
    for _ in range(4):
        active = (torch.rand(2000, width, generator=draws) < 0.5).double()
        weights = torch.randn(2000, width, width, generator=draws).double() * math.sqrt(2 / width)
        delta = active * torch.einsum("bi,bij->bj", delta, weights)
    drift = float((delta.square().sum(1).log() - before).mean()) / 4
    assert drift == pytest.approx(mean_field.plain_gradient_drift(width), abs=10 / width**2 + 0.005)


# ---------------------------------------------------------------- what the predictions measure


def frame(**columns):
    return pd.DataFrame(columns).assign(status="ok")


def kinds(losses, **columns):
    """Rows of seeds 0 and 1 from {kind: two numbers}; a number that is missing is a run that diverged."""
    table = pd.DataFrame(
        {"seed": seed, "step": 9, "kind": kind, "train_loss": loss, "train_error": loss}
        for kind, pair in losses.items()
        for seed, loss in enumerate(pair)
    ).assign(**columns)
    return table.assign(status=np.where(table["train_loss"].isna(), "diverged", "ok"))


def test_deep_gap_is_to_the_worse_residual_stack_and_ignores_shallow_rows():
    deep = kinds({"plain": [2.0, 1.0], "scaled": [0.5, 1.25], "zero_init": [0.75, 0.5]}, depth=64)
    shallow = kinds({"plain": [0.0, 0.0], "scaled": [9.0, 9.0], "zero_init": [9.0, 9.0]}, depth=8)
    assert answer("deep-residual-trains-better", pd.concat([deep, shallow])) == {0: 1.25, 1: -0.25}
    assert answer("deep-residual-trains-better", deep, control="never") == {0: 0.0, 1: 0.0}
    assert answer("deep-residual-trains-better", deep, control="against") == {0: -1.5, 1: 0.25}


def test_diverged_and_huge_losses_are_worth_guessing():
    rows = kinds({"plain": [math.nan, 50.0], "scaled": [0.3, 0.3], "zero_init": [0.1, 0.1]}, depth=64)
    assert answer("deep-residual-trains-better", rows) == pytest.approx(dict.fromkeys((0, 1), math.log(10) - 0.3))


def test_trained_gradient_is_that_of_the_worse_residual_stack_less_the_plain_ones():
    name = "gradient-reaches-first-layer-trained"
    rows = kinds({"plain": [-1.5, -0.5], "scaled": [0.25, -0.25], "zero_init": [0.0, 0.5]}, depth=64)
    shallow = kinds({"plain": [0.0, 0.5], "scaled": [0.5, 0.5], "zero_init": [1.0, 0.25]}, depth=8)
    rows = pd.concat([rows, shallow]).assign(gradient_decades=lambda table: table["train_loss"])
    assert answer(name, rows) == {0: 1.5, 1: 0.25}
    assert answer(name, rows, control="never") == {0: 0.5, 1: -0.25}
    assert max(answer(name, rows, control="against").values()) < 0.0
    assert answer("plain-gradient-survives-training", rows) == {0: -1.5, 1: -0.5}
    dead = rows.assign(gradient_decades=rows["gradient_decades"].mask(rows["kind"] == "plain"))
    assert answer(name, dead) == dict.fromkeys((0, 1), math.inf)


def test_a_stack_that_loses_nothing_without_its_blocks_does_not_count_as_one_that_can_miss_a_block():
    name = "a-block-can-be-left-out"
    rows = kinds({"zero_init": [1.0, 1.0], "scaled": [2.0, 2.0]}, depth=64)
    rows = pd.concat([rows, kinds({"plain": [0.5, 0.75]}, depth=8)])
    rows["all_left_out"] = np.where(rows["seed"] == 0, rows["train_loss"], -0.1)
    rows["left_out_share"] = np.where(rows["kind"] == "plain", rows["train_loss"], 0.02 / rows["train_loss"])
    rows.loc[(rows["seed"] == 1) & (rows["depth"] == 64), "left_out_share"] = math.nan
    assert answer(name, rows) == {0: 0.02, 1: math.inf}
    assert answer(name, rows, control="never") == {0: 0.5, 1: 0.75}
    assert answer(name, rows, control="against") == {0: 1.0, 1: -0.1}


def test_accuracy_of_a_thousand_layers_is_that_after_training_and_the_control_is_that_before():
    after, before = (
        kinds({"scaled": errors}).assign(step=step) for errors, step in (([0.05, 0.08], 60), ([0.9] * 2, 0))
    )
    rows = pd.concat([after, before])
    assert answer("thousand-layers-train", rows) == pytest.approx({0: 0.95, 1: 0.92})
    for control in NAMES:
        assert answer("thousand-layers-train", rows, control=control) == pytest.approx({0: 0.1, 1: 0.1})
    plain = kinds({"plain": [math.nan, 0.9], "scaled": [0.1, 0.1]}, dataset="digits")
    assert answer("thousand-plain-layers-do-not", plain) == pytest.approx({0: 0.0, 1: 0.1})


def test_shallow_gap_is_plain_minus_residual_and_its_controls_are_the_deep_stacks():
    rows = kinds({"plain": [0.3, 0.1], "scaled": [0.1, 0.1]})
    assert answer("no-gain-when-shallow", rows) == pytest.approx({0: 0.2, 1: 0.0})
    deep = kinds({"plain": [0.9, 0.9], "scaled": [0.1, 0.2]}, depth=64)
    assert answer("no-gain-when-shallow", deep, control="never") == pytest.approx({0: 0.8, 1: 0.7})
    assert answer("no-gain-when-shallow", deep, control="against") == pytest.approx({0: -0.8, 1: -0.7})


def test_bare_skips_fail_where_the_best_of_all_rates_ends_above_guessing_or_diverges():
    rates = STUDY.at("quick")["bare"].factors["learning_rate"].values
    assert rates == pytest.approx([10.0**power for power in range(-12, -2)])
    rows = pd.concat(kinds({"unscaled": [math.nan, 3.0]}, learning_rate=rate) for rate in rates[1:])
    rows = pd.concat([rows, kinds({"unscaled": [math.nan, 1.0]}, learning_rate=rates[0])])
    assert answer("bare-skips-fail-deep", rows) == {0: math.inf, 1: 1.0}
    assert decide([math.inf, 1.0], PREDICTIONS["bare-skips-fail-deep"].region).k == 1
    for kind, control in (("zero_init", "never"), ("scaled", "against")):
        assert answer("bare-skips-fail-deep", kinds({kind: [0.3, 0.4]}, depth=64), control=control) == {0: 0.3, 1: 0.4}


def test_steadiness_counts_the_rates_that_learn_in_decades_and_a_stack_is_not_steadier_than_itself():
    rates = STUDY.at("quick")["stability"].factors["learning_rate"].values
    plain, scaled = [0.9, 0.4, math.nan, *[0.9] * 3], [0.1] * 6
    rows = pd.concat(
        kinds({"plain": [ours] * 2, "scaled": [theirs] * 2}, learning_rate=rate)
        for rate, ours, theirs in zip(rates, plain, scaled, strict=True)
    )
    half_decades = np.ptp(np.log10(rates)) / (len(rates) - 1)
    assert half_decades == pytest.approx(0.5, abs=0.001)
    assert answer("steadier-over-learning-rates", rows)[0] == pytest.approx(5 * 0.5)
    assert answer("steadier-over-learning-rates", rows, control="never")[0] == 0.0
    assert answer("steadier-over-learning-rates", rows, control="against")[0] == pytest.approx(-5 * 0.5)


def test_inside_of_a_stack_is_what_brute_force_finds():
    """Gradient, changes and a block left out, of a stack written out block by block."""
    x, y = torch.randn(32, 5, generator=generator(3)), torch.arange(32) % 3
    stack = residual.Stack(5, 6, 3, 4, "scaled", generator=generator(1))
    found, stream = RUNS.inside(stack, x, y, left_out=1), [stack.input(x)]
    for weight in stack.blocks:
        stream.append(stream[-1] + 0.5 * torch.relu(stream[-1]) @ weight.T)
    changes = [((after - h).norm() / h.norm()).item() for h, after in pairwise(stream)]
    assert found["change"] == pytest.approx(np.mean(changes), rel=1e-5)

    def loss():
        return float(torch.nn.functional.cross_entropy(stack(x), y))

    with torch.no_grad():
        whole = loss()
        stack.blocks[2] = 0.0  # block round(1.5) of 0 ... 3
        without = loss()
        stack.blocks[:] = 0.0
        none = loss()
    assert found["left_out"] == pytest.approx(without - whole, rel=1e-4)
    assert found["all_left_out"] == pytest.approx(none - whole, rel=1e-4)
    share = (without - whole) / (none - whole)
    assert found["left_out_share"] == pytest.approx(share if none > whole else math.nan, rel=1e-3, nan_ok=True)
    assert 0.0 < found["gradient_decades"] < 1.0


def test_gradient_that_fades_in_a_deep_stack_is_followed_below_the_range_of_float32():
    draws = {"generator": generator(1), "weight_variance": 0.02}
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1]})
    ensemble = Ensemble.build(runs, lambda run, _: residual.Stack(5, 32, 3, 64, "plain", **draws), generator)
    data = Data(
        {"x": torch.randn(8, 5), "y": torch.zeros(8, dtype=torch.int64)}, subset=torch.arange(16).view(2, 8) % 8
    )
    found = RUNS.insides(ensemble, data, Settings({"probe": 8}))
    assert found["gradient_decades"].between(-80, -50).all()


def test_gradient_ratio_is_first_over_last():
    wide = frame(seed=[0] * 4, width=[8, 8, 64, 64], layer=[0, 2, 0, 2], gradient=[1.0, 10.0, 1.0, 100.0])
    assert answer("wide-plain-gradient-survives", wide) == {0: pytest.approx(-2.0)}
    assert answer("narrow-plain-gradient-vanishes", wide) == {0: pytest.approx(-1.0)}
    assert answer("wide-plain-gradient-survives", wide, control="never") == {0: pytest.approx(-1.0)}
    assert answer("narrow-plain-gradient-vanishes", wide, control="against") == {0: pytest.approx(-2.0)}


def test_growth_error_is_nil_on_the_closed_form_and_the_excess_otherwise():
    blocks = np.arange(5)
    rows = pd.concat(
        frame(
            seed=0, variance=v, block=blocks, mean_square=3.0 * (1.0 + (v or 0.25)) ** blocks * math.e ** (0.1 * blocks)
        )
        for v in (0.0, 2.0)
    )
    assert answer("bare-skips-explode-as-predicted", rows) == {0: pytest.approx(0.1)}


def test_jacobian_predictions_pick_kind_and_slope():
    rows = frame(
        seed=[0] * 4, kind=["plain", "plain", "residual", "residual"], slope=[0.0, 0.001] * 2,
        distance=[1.0, 2.0, 0.0, 4.0], log10_norm=[-400.0, -190.0, 0.0, 0.01],
    )  # fmt: skip
    assert answer("identity-when-slope-is-zero", rows) == {0: 0.0}
    assert answer("residual-path-with-small-slope", rows) == {0: 0.01}
    assert answer("plain-path-with-small-slope", rows) == {0: -190.0}


def test_convolutional_gaps_split_at_the_depth():
    deep = kinds({"plain": [1.0, 0.5], "residual": [0.5, 0.25]}, depth=56)
    shallow = kinds({"plain": [0.2, 0.2], "residual": [0.1, 0.3]}, depth=8)
    rows = pd.concat([deep, shallow])
    assert answer("convolutional-degradation", rows, "full") == {0: 0.5, 1: 0.25}
    assert answer("convolutional-shallow", rows, "full") == pytest.approx({0: 0.1, 1: -0.1})


# ---------------------------------------------------------------- the study as a whole


def seeds_of(records):
    """Seeds of some records, in order."""
    return sorted(records["seed"].unique().tolist())


@pytest.mark.parametrize("name", [name for name, prediction in PREDICTIONS.items() if prediction.part != "conv"])
def test_every_prediction_has_an_answer_for_every_seed(smoke, name):
    values = answer(name, recording.part_of(smoke, PREDICTIONS[name].part), "smoke")
    assert sorted(values) == seeds_of(smoke)
    lost = sum(math.isnan(value) for value in values.values())
    # At smoke stacks are four units wide: one of which all ReLUs die, as some draw does, has no gradient.
    assert lost <= (len(values) // 2 if "gradient" in name else 0)


JUDGED = [name for name, prediction in PREDICTIONS.items() if prediction.kind != "fact" and prediction.part != "conv"]


@pytest.mark.parametrize("control", NAMES)
@pytest.mark.parametrize("name", JUDGED)
def test_every_control_has_an_answer_for_every_seed(smoke, name, control):
    part = control_of(PREDICTIONS[name], control).part or PREDICTIONS[name].part
    values = answer(name, recording.part_of(smoke, part), "smoke", control)
    assert sorted(values) == seeds_of(smoke)


@pytest.mark.parametrize("spec", [spec for spec in STUDY.figures if spec.part != "conv"], ids=lambda spec: spec.id)
def test_every_figure_draws_without_problems(drawn_well, spec):
    drawn_well(spec)


RATES = {"digits": 0.05, "mnist5k": 0.02}


def test_a_thousand_layers_have_a_rate_of_their_own_on_each_data_set():
    for scale in ("quick", "full"):
        runs = design.confirmatory_runs(STUDY.at(scale)["thousand"])
        cells = set(zip(runs["dataset"], runs["kind"], runs["learning_rate"], strict=True))
        skips = {(data, kind, rate) for data, rate in RATES.items() for kind in ("scaled", "scaled_frozen")}
        assert cells == {("digits", "plain", 0.05), *skips}


@pytest.mark.parametrize(
    ("part", "settings"),
    [("depth", {"steps": 2, "width": 8}), ("gradient", {"depth": 16})],
)
def test_full_scale_code_path_with_two_seeds(part, settings):
    scaled = STUDY.at("full")[part].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).assign(learning_rate=0.01)
    if "depth" in runs:
        runs = runs[(runs["depth"] == runs["depth"].max()) & (runs["dataset"] == "digits")]
    function = getattr(RUNS, f"run_{part}")
    found = function(runs.reset_index(drop=True), context_of(part, "full", settings))
    checked = recording.check_outcome(found, runs, scaled, where="test")
    assert set(checked["run"]) == set(runs["run"])


def test_full_scale_code_path_of_very_deep_stacks():
    """At 48 layers, since the path does not look at how deep a stack is."""
    scaled = STUDY.at("full")["thousand"].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).query("dataset == 'digits'")
    found = RUNS.run_thousand(runs, context_of("thousand", "full", {"steps": 1, "depth": 48}))
    checked = recording.check_outcome(found, runs, scaled, where="test")
    assert set(checked["kind"]) == {"plain", "scaled", "scaled_frozen"}


def conv_rows(data_dir, dataset="fashion_mnist", **settings):
    """Records of two seeds of the smallest convolutional networks, each kind, as at full scale but tiny."""
    scaled = STUDY.at("full")["conv"].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).assign(learning_rate=0.1).query("dataset == @dataset")
    tiny = {"channels": 2, "steps": 2, "batch_size": 8, "evaluated": 32, **settings}
    frames = []
    for _, group in runs[runs["depth"] == 8].groupby("kind"):
        found = RUNS.run_conv(group.reset_index(drop=True), context_of("conv", "full", tiny, data_dir))
        frames.append(recording.check_outcome(found, group, scaled, where="test"))
    return pd.concat(frames)


def test_convolutional_part_with_two_seeds_on_real_images(fashion):
    rows = conv_rows(fashion)
    deep = rows.assign(depth=56, run="deep" + rows["run"])
    assert sorted(answer("convolutional-shallow", rows, "full")) == seeds_of(rows)
    _, problems = figures.draw(FIGURES.plot_convolutional, pd.concat([rows, deep]))
    assert problems == []


def test_convolutional_part_runs_on_a_cifar10_of_the_published_layout(cifar10):
    data = context_of("conv", "full", data_dir=cifar10).dataset("cifar10")
    assert data.x_train.shape == (50, 3, 32, 32)
    assert data.x_test.shape == (10, 3, 32, 32)
    assert sorted(set(data.y_train.tolist())) == list(range(10))
    rows = conv_rows(cifar10, "cifar10", examples=40, evaluated=10)
    assert (rows["status"] == "ok").all()
    assert rows[["train_loss", "test_loss"]].notna().all(axis=None)
    shallow = answer("convolutional-shallow", rows.assign(dataset="fashion_mnist"), "full")
    assert sorted(shallow) == seeds_of(rows)


def test_gradient_of_the_smallest_stack_matches_finite_differences():
    """The stream's gradient that the study plots, against a difference quotient."""
    network = RUNS.stack_of(context_of("gradient", settings={"width": 4, "depth": 3}), 64, watched=True)
    runs = pd.DataFrame({"run": ["a"], "seed": [0], "kind": ["scaled"]})
    ensemble = Ensemble.build(runs, network, generator, dtype=torch.float64)
    x, y = torch.randn(1, 64, generator=generator(9)).double(), torch.tensor([3])
    found = RUNS.stream_signals(ensemble, Data({"x": x, "y": y})).set_index("layer")["gradient"]
    stack = network(next(runs.itertuples(index=False)), generator(0)).double()
    start, step, differences = stack.input(x).detach(), 1e-6, []
    for unit in range(4):
        losses = []
        for sign in (1.0, -1.0):
            h = start.clone()
            h[0, unit] += sign * step
            for weight in stack.blocks * stack.scale:
                h = h + torch.relu(h) @ weight.T
            losses.append(torch.nn.functional.cross_entropy(stack.output(torch.relu(h)), y).item())
        differences.append((losses[0] - losses[1]) / (2 * step))
    assert found[0] == pytest.approx(np.sqrt(np.mean(np.square(differences))), rel=1e-5)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
