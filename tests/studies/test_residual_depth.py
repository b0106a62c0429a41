"""Residual connections: closed forms against brute force, the stack against itself, statistics on made-up records."""

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import residual
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.step import functional_losses_and_gradient, losses_and_gradient
from claimcheck.engine.train import Data, cross_entropy, train
from claimcheck.figures import drawing as figures
from claimcheck.judging.measures import evaluate
from claimcheck.judging.rule import decide
from claimcheck.results import records as recording
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study
from claimcheck.theory import mean_field

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "residual_depth")
RUNS, STATISTICS, FIGURES = (study_module(STUDY.folder, name) for name in ("runs", "statistics", "figures"))
PREDICTIONS = {prediction.id: prediction for _, prediction in STUDY.predictions()}
IMAGES = Path(os.environ.get("CLAIMCHECK_TEST_DATA", ROOT.parent / "shared" / "data"))
BRANCHES = ("plain", "unscaled", "scaled", "zero_init")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def context_of(part, scale="quick", settings=None, data_dir=Path("data")):
    scaled = STUDY.at(scale)[part]
    return Context(
        "residual_depth", scale, part, Settings({**scaled.settings, **(settings or {})}), torch.device("cpu"), data_dir
    )


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


def test_jacobian_of_branches_without_slope_is_the_identity():
    weights, slopes = torch.randn(9, 5, 5, generator=generator()), torch.zeros(9, 5)
    assert torch.equal(residual.stack_jacobian(weights, slopes, skip=True), torch.eye(5))
    assert torch.equal(residual.stack_jacobian(weights, slopes, skip=False), torch.zeros(5, 5))


@pytest.mark.parametrize("kind", ["plain", "unscaled"])
def test_jacobian_product_is_what_autograd_finds(kind):
    stack = residual.Stack(4, 4, 3, 6, kind, generator=generator(2)).double()
    weights, h, slopes = stack.blocks.detach(), torch.randn(4, generator=generator(3)).double(), []

    def through(x):
        for weight in weights:
            x = (x if kind == "unscaled" else 0.0) + weight @ torch.relu(x)
        return x

    stream = h
    for weight in weights:
        slopes.append((stream > 0).double())
        stream = (stream if kind == "unscaled" else 0.0) + weight @ torch.relu(stream)
    expected = torch.autograd.functional.jacobian(through, h)
    found = residual.stack_jacobian(weights, torch.stack(slopes), skip=kind == "unscaled")
    torch.testing.assert_close(found, expected)


# ---------------------------------------------------------------- the stack


@pytest.mark.parametrize("kind", BRANCHES)
def test_written_out_backward_pass_equals_autograd_through_modules(kind):
    stacks = [residual.Stack(5, 7, 3, 9, kind, generator=generator(1), watched=w).double() for w in (False, True)]
    x = torch.randn(4, 5, generator=generator(2)).double()
    fast, slow = (torch.autograd.grad(s(x).square().sum(), list(s.parameters())) for s in stacks)
    torch.testing.assert_close(stacks[0](x), stacks[1](x))
    torch.testing.assert_close(fast, slow)
    with torch.no_grad():
        torch.testing.assert_close(stacks[0](x), stacks[1](x))


def test_first_block_of_each_kind_is_what_its_name_says():
    x = torch.randn(3, 4, generator=generator(5))
    for kind in residual.KINDS:
        stack = residual.Stack(4, 4, 2, 1, kind, generator=generator(1))
        h, weight = stack.input(x), stack.blocks[0]
        normed = torch.nn.functional.layer_norm(h, (4,)) if kind == "pre_norm" else h
        after = (0.0 if kind == "plain" else h) + torch.relu(normed) @ weight.T
        last = torch.nn.functional.layer_norm(after, (4,)) if kind == "pre_norm" else after
        torch.testing.assert_close(stack.features(x), torch.relu(last))
        assert bool((weight == 0).all()) == (kind == "zero_init")
    assert float(residual.Stack(4, 4, 2, 25, "scaled", generator=generator()).scale) == pytest.approx(0.2)


def test_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="found 'skippy'"):
        residual.Stack(4, 4, 2, 1, "skippy", generator=generator())


def stacks(rows, depth=12):
    runs = pd.DataFrame(rows, columns=["run", "seed", "kind"])

    def network(run, draws):
        return residual.Stack(5, 6, 3, depth, run.kind, generator=draws)

    return runs, network


def test_functional_step_for_compilers_and_graphs_gives_the_same_gradient():
    runs, network = stacks([("a", 0, "plain"), ("b", 0, "scaled"), ("c", 1, "zero_init")])
    ensemble = Ensemble.build(runs, network, generator)
    batch = {"x": torch.randn(3, 8, 5, generator=generator(4)), "y": torch.zeros(3, 8, dtype=torch.int64)}
    arguments = (ensemble, cross_entropy, ensemble.parameters, ensemble.buffers, batch, {"x": 0, "y": 0})
    torch.testing.assert_close(losses_and_gradient(*arguments), functional_losses_and_gradient(*arguments))


def test_a_stack_trains_to_the_same_bits_alone_and_in_company():
    rows = [(f"{kind}{seed}", seed, kind) for kind in BRANCHES for seed in range(3)]
    data = Data({"x": torch.randn(64, 5, generator=generator(7)), "y": torch.arange(64) % 3})
    context = context_of("depth")

    def trained(rows):
        runs, network = stacks(rows)
        found = train(
            runs, context, network=network, data=data, steps=5, batch_size=8, optimizer="momentum", compile=False
        )
        return dict(zip(runs["run"], found.ensemble.parameters, strict=True))

    together = trained(rows)
    for row in rows[2::4]:
        assert torch.equal(trained([row])[row[0]], together[row[0]])


# ---------------------------------------------------------------- what the predictions measure


def frame(**columns):
    return pd.DataFrame(columns).assign(status="ok")


def two_kinds(kind, plain, other, **columns):
    """Rows of seeds 0 and 1 for `plain` and another kind; a number that is missing is a run that diverged."""
    table = pd.DataFrame({"seed": [0, 1, 0, 1], "step": 9, "kind": ["plain"] * 2 + [kind] * 2, **columns})
    table = table.assign(train_loss=[*plain, *other], train_error=[*plain, *other])
    return table.assign(status=np.where(table["train_loss"].isna(), "diverged", "ok"))


def answer(name, rows, scale="quick", control=None):
    """What a prediction, or one of its controls, measures on made-up rows of its part: seed -> number."""
    prediction = PREDICTIONS[name]
    prediction = applied(prediction, control_of(prediction, control)) if control else prediction
    rows = rows.reset_index(drop=True)
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(rows, **prediction.arguments).to_dict()
    return evaluate(prediction.measure, rows, STUDY.at(scale)[prediction.part]).to_dict()


@pytest.mark.parametrize("kind", ["scaled", "zero_init", "pre_norm"])
def test_deep_gap_is_positive_where_the_plain_stack_is_worse_and_ignores_shallow_rows(kind):
    deep = two_kinds(kind, [2.0, 1.0], [0.5, 1.25], depth=64)
    shallow = two_kinds(kind, [0.0, 0.0], [9.0, 9.0], depth=16)
    name = {"scaled": "residual", "zero_init": "zero-init", "pre_norm": "pre-norm"}[kind]
    assert answer(f"deep-{name}-trains-better", pd.concat([deep, shallow])) == {0: 1.5, 1: -0.25}
    assert answer(f"very-deep-{name}-trains-better", deep) == {0: 1.5, 1: -0.25}


def test_very_deep_gap_compares_at_the_depths_that_the_kind_was_run_at():
    both = two_kinds("pre_norm", [2.0, 2.0], [0.5, 1.0], depth=256)
    plain_alone = two_kinds("scaled", [9.0, 9.0], [0.0, 0.0], depth=1024)
    assert answer("very-deep-pre-norm-trains-better", pd.concat([both, plain_alone])) == {0: 1.5, 1: 1.0}


def test_diverged_and_huge_losses_are_worth_guessing():
    rows = two_kinds("scaled", [math.nan, 50.0], [0.3, 0.3], depth=64)
    assert answer("deep-residual-trains-better", rows) == pytest.approx(dict.fromkeys((0, 1), math.log(10) - 0.3))
    rows = two_kinds("scaled", [math.nan, 0.9], [0.1, 0.1], depth=1024)
    assert answer("thousand-plain-layers-do-not", rows) == pytest.approx({0: 0.0, 1: 0.1})


def test_accuracy_of_a_thousand_layers_is_each_kinds_own_at_the_greatest_depth():
    deep, other = (
        two_kinds("scaled", [0.9, 0.9], errors, depth=d) for d, errors in ((1024, [0.05, 0.08]), (256, [0.5] * 2))
    )
    assert answer("thousand-layers-train", pd.concat([deep, other])) == pytest.approx({0: 0.95, 1: 0.92})
    rows = two_kinds("zero_init", [0.9, 0.9], [0.25, 0.5], depth=1024)
    assert answer("starting-at-zero-is-slower", rows) == pytest.approx({0: 0.75, 1: 0.5})


def test_shallow_gap_is_plain_minus_residual_and_its_controls_are_the_deep_stacks():
    rows = two_kinds("scaled", [0.3, 0.1], [0.1, 0.1], depth=4)
    assert answer("no-gain-when-shallow", rows) == pytest.approx({0: 0.2, 1: 0.0})
    deep = two_kinds("scaled", [0.9, 0.9], [0.1, 0.2], depth=64)
    assert answer("no-gain-when-shallow", deep, control="never") == pytest.approx({0: 0.8, 1: 0.7})
    assert answer("no-gain-when-shallow", deep, control="against") == pytest.approx({0: -0.8, 1: -0.7})


def test_bare_skips_fail_where_they_end_at_guessing_or_diverge_and_stacks_that_learn_do_not():
    losses = [math.nan, 2.302, 1.0]
    rows = frame(seed=[0, 1, 2], kind="unscaled", depth=64, step=9, train_loss=losses)
    assert answer("bare-skips-fail-deep", rows) == {0: math.inf, 1: 2.302, 2: 1.0}
    assert decide(losses, PREDICTIONS["bare-skips-fail-deep"].region).k == 1  # without a number: not true
    assert decide([math.inf, *losses[1:]], PREDICTIONS["bare-skips-fail-deep"].region).k == 2
    for kind, control in (("zero_init", "never"), ("scaled", "against")):
        learnt = frame(seed=[0], kind=kind, depth=64, step=9, train_loss=[0.3])
        assert answer("bare-skips-fail-deep", learnt, control=control) == {0: 0.3}


def test_steadiness_counts_the_rates_that_learn_in_decades_and_a_stack_is_not_steadier_than_itself():
    rates = STUDY.at("quick")["stability"].factors["learning_rate"].values
    plain, scaled = [0.9, 0.4, math.nan, *[0.9] * 4], [0.1] * 7
    rows = pd.concat(
        frame(seed=0, step=9, kind=kind, learning_rate=rates, train_error=errors)
        for kind, errors in (("plain", plain), ("scaled", scaled))
    )
    half_decades = np.ptp(np.log10(rates)) / (len(rates) - 1)
    assert answer("steadier-over-learning-rates", rows) == {0: pytest.approx(6 * half_decades)}
    assert answer("steadier-over-learning-rates", rows, control="never") == {0: 0.0}
    assert answer("steadier-over-learning-rates", rows, control="against") == {0: pytest.approx(-6 * half_decades)}


def test_gradient_ratio_is_first_over_last_before_training():
    rows = frame(seed=[0] * 4, kind="plain", step=[0, 0, 0, 9], layer=[0, 1, 2, 0], gradient=[1e-8, 1e-4, 1.0, 77.0])
    assert answer("plain-gradient-vanishes", rows) == {0: pytest.approx(-8.0)}
    wide = frame(seed=[0] * 4, width=[8, 8, 64, 64], layer=[0, 2, 0, 2], gradient=[1.0, 10.0, 1.0, 100.0])
    assert answer("wide-plain-gradient-survives", wide) == {0: pytest.approx(-2.0)}
    assert answer("wide-plain-gradient-survives", wide, control="never") == {0: pytest.approx(-1.0)}
    assert answer("wide-plain-gradient-survives", rows, control="against") == {0: pytest.approx(-8.0)}


def test_growth_error_is_nil_on_the_closed_form_and_the_excess_otherwise():
    blocks = np.arange(5)
    rows = pd.concat(
        frame(
            seed=0, variance=v, block=blocks, mean_square=3.0 * (1.0 + (v or 0.25)) ** blocks * math.e ** (0.1 * blocks)
        )
        for v in (0.0, 2.0)
    )
    assert answer("bare-skips-explode-as-predicted", rows) == {0: pytest.approx(0.1)}
    doubled = answer("bare-skips-explode-as-predicted", rows, control="never")
    assert doubled == {0: pytest.approx(0.1 + math.log(1.25 * 3.0 / (1.5 * 5.0)) / 2)}


def test_jacobian_predictions_pick_kind_and_slope():
    rows = frame(
        seed=[0] * 4, kind=["plain", "plain", "residual", "residual"], slope=[0.0, 0.001] * 2,
        distance=[1.0, 2.0, 0.0, 4.0], log10_norm=[-400.0, -190.0, 0.0, 0.01],
    )  # fmt: skip
    assert answer("identity-when-slope-is-zero", rows) == {0: 0.0}
    assert answer("residual-path-with-small-slope", rows) == {0: 0.01}
    assert answer("plain-path-with-small-slope", rows) == {0: -190.0}


def test_convolutional_gaps_split_at_the_depth():
    deep, shallow = (two_kinds("residual", [1.0, 0.5], [0.5, 0.25], depth=d) for d in (56, 8))
    rows = pd.concat([deep, shallow.assign(train_loss=0.0, train_error=[0.2, 0.2, 0.1, 0.3])])
    assert answer("convolutional-degradation", rows, "full") == {0: 0.5, 1: 0.25}
    assert answer("convolutional-shallow", rows, "full") == pytest.approx({0: 0.1, 1: -0.1})


# ---------------------------------------------------------------- the study as a whole


@pytest.mark.parametrize("name", [name for name, prediction in PREDICTIONS.items() if prediction.part != "conv"])
def test_every_prediction_has_an_answer_for_every_seed(smoke, name):
    values = answer(name, recording.part_of(smoke, PREDICTIONS[name].part), "smoke")
    assert sorted(values) == [0, 1, 2, 3]
    assert not any(math.isnan(value) for value in values.values())


JUDGED = [name for name, prediction in PREDICTIONS.items() if prediction.kind != "fact" and prediction.part != "conv"]


@pytest.mark.parametrize("control", NAMES)
@pytest.mark.parametrize("name", JUDGED)
def test_every_control_has_an_answer_for_every_seed(smoke, name, control):
    part = control_of(PREDICTIONS[name], control).part or PREDICTIONS[name].part
    values = answer(name, recording.part_of(smoke, part), "smoke", control)
    assert sorted(values) == [0, 1, 2, 3]


@pytest.mark.parametrize("spec", [spec for spec in STUDY.figures if spec.part != "conv"], ids=lambda spec: spec.id)
def test_every_figure_draws_without_problems(smoke, drawn_well, spec):
    drawn_well(STUDY, spec, smoke)


def test_rates_of_the_very_deep_stacks_are_given_for_every_kind_and_depth():
    every = {(d, k) for d in (256, 1024) for k in residual.KINDS} - {(1024, "unscaled")}
    for scale, cells in (("full", every), ("quick", every - {(1024, "pre_norm"), (256, "unscaled")})):
        runs = design.confirmatory_runs(STUDY.at(scale)["thousand"])
        assert set(zip(runs["depth"], runs["kind"], strict=True)) == cells


@pytest.mark.parametrize(
    ("part", "settings"),
    [("depth", {"steps": 2}), ("gradient", {"steps": 1, "depth": 16})],
)
def test_full_scale_code_path_with_two_seeds(part, settings):
    scaled = STUDY.at("full")[part].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).assign(learning_rate=0.01)
    if "depth" in runs:
        runs = runs[runs["depth"] == runs["depth"].max()]
    function = getattr(RUNS, f"run_{part}")
    found = function(runs.reset_index(drop=True), context_of(part, "full", settings))
    checked = recording.check_outcome(found, runs, scaled, where="test")
    assert set(checked["run"]) == set(runs["run"])


def test_full_scale_code_path_of_very_deep_stacks():
    """At 48 layers, since the path does not look at how deep a stack is."""
    scaled = STUDY.at("full")["thousand"].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).drop_duplicates(["seed", "kind"]).assign(depth=48, learning_rate=0.001)
    found = RUNS.run_thousand(runs, context_of("thousand", "full", {"steps": 1}))
    checked = recording.check_outcome(found, runs, scaled, where="test")
    assert set(checked["kind"]) == {"plain", "unscaled", "scaled", "zero_init", "pre_norm"}


def conv_rows(data_dir, **settings):
    """Records of two seeds of the smallest convolutional networks, each kind, as at full scale but tiny."""
    scaled = STUDY.at("full")["conv"].model_copy(update={"seeds": 2})
    runs = design.confirmatory_runs(scaled).assign(learning_rate=0.1)
    tiny = {"channels": 2, "steps": 2, "batch_size": 8, "evaluated": 32, **settings}
    frames = []
    for _, group in runs[runs["depth"] == 8].groupby("kind"):
        found = RUNS.run_conv(group.reset_index(drop=True), context_of("conv", "full", tiny, data_dir))
        frames.append(recording.check_outcome(found, group, scaled, where="test"))
    return pd.concat(frames)


def test_convolutional_part_with_two_seeds_on_real_images(fashion):
    rows = conv_rows(fashion)
    deep = rows.assign(depth=56, run="deep" + rows["run"])
    assert sorted(answer("convolutional-shallow", rows, "full")) == [0, 1]
    _, problems = figures.draw(FIGURES.plot_convolutional, pd.concat([rows, deep]))
    assert problems == []


def test_convolutional_part_runs_on_a_cifar10_of_the_published_layout(cifar10):
    data = context_of("conv", "full", data_dir=cifar10).dataset("cifar10")
    assert data.x_train.shape == (50, 3, 32, 32)
    assert data.x_test.shape == (10, 3, 32, 32)
    assert sorted(set(data.y_train.tolist())) == list(range(10))
    rows = conv_rows(cifar10, dataset="cifar10")
    assert (rows["status"] == "ok").all()
    assert rows[["train_loss", "test_loss"]].notna().all(axis=None)
    assert sorted(answer("convolutional-shallow", rows, "full")) == [0, 1]


def test_gradient_of_the_smallest_stack_matches_finite_differences():
    """The stream's gradient that the study plots, against a difference quotient."""
    network = RUNS.stack_of(context_of("gradient", settings={"width": 4, "depth": 3}), watched=True)
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
