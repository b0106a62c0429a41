"""Stacks of which the blocks, or all but the input layer, keep their start; skips that pass no gradient."""

import math

import pandas as pd
import pytest
import torch

from claimcheck.engine.train import train

from .asking import ROOT, Asked
from .test_residual_depth import kinds

ASKED = Asked("residual_depth")
FROZEN, RUNS = (ASKED.module(name) for name in ("frozen", "runs"))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def stack(kind, depth=4, variance=0.02, input_only=True):
    return FROZEN.stack(
        5, 6, 3, depth, kind=kind, generator=generator(1), weight_variance=variance, input_only=input_only
    )


X, Y = torch.randn(16, 5, generator=generator(2)), torch.arange(16) % 3


def loss_of(network):
    return torch.nn.functional.cross_entropy(network(X), Y)


def gradient_of(network):
    return torch.autograd.grad(loss_of(network), network.input.weight)[0]


@pytest.mark.parametrize("kind", ["plain", "scaled", "unscaled"])
def test_an_input_layer_below_frozen_blocks_has_the_gradient_that_it_has_below_trained_ones(kind):
    whole, frozen = stack(kind, input_only=False), stack(kind)
    assert loss_of(frozen).item() == pytest.approx(loss_of(whole).item(), rel=1e-6)
    torch.testing.assert_close(gradient_of(frozen), gradient_of(whole))
    assert loss_of(frozen.eval()).item() == pytest.approx(loss_of(whole).item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["detached", "magnified"])
def test_a_skip_that_passes_no_gradient_changes_nothing_that_is_computed(kind):
    assert torch.equal(stack(kind)(X), stack("unscaled")(X))


def test_past_a_detached_skip_the_gradient_is_the_branches_alone_and_magnified_it_is_as_with_he_weights():
    """Against the chain rule written out: the product of W_l diag(relu') at the stream of the bare skips."""
    bare, factor = stack("unscaled"), math.sqrt(2.0 / 0.02)
    h = bare.input(X)
    stream = [h]
    for weight in bare.blocks:
        stream.append(stream[-1] + torch.relu(stream[-1]) @ weight.T)
    last = stream[-1].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(bare.output(torch.relu(last)), Y), last)
    for before, weight in zip(reversed(stream[:-1]), reversed(bare.blocks), strict=True):
        gradient = gradient @ weight * (before > 0)
    detached, magnified = gradient_of(stack("detached")), gradient_of(stack("magnified"))
    torch.testing.assert_close(detached, (gradient.T @ X).detach())
    torch.testing.assert_close(magnified, detached * factor ** len(bare.blocks), rtol=1e-4, atol=1e-7)
    assert gradient_of(bare).norm() > 100 * detached.norm()


@pytest.mark.parametrize(
    ("part", "kind", "moves"),
    [
        ("depth", "scaled_frozen", {"input.weight", "input.bias", "output.weight", "output.bias"}),
        ("depth", "zero_init_frozen", {"input.weight", "input.bias", "output.weight", "output.bias"}),
        ("small_slope", "unscaled", {"input.weight", "input.bias"}),
        ("depth", "scaled", {"input.weight", "input.bias", "blocks", "output.weight", "output.bias"}),
    ],
)
def test_training_moves_what_the_part_says_that_it_trains(part, kind, moves):
    settings = {**ASKED.study.at("smoke")[part].settings, "steps": 2}
    context = ASKED.context(part, "smoke", ROOT / "data", **settings)
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "kind": kind, "depth": 4, "learning_rate": 0.1})
    data = RUNS.vectors(RUNS.drawn(runs.assign(dataset="digits"), context, context.settings.examples))
    network = RUNS.stack_of(context, data.shared["x"].shape[1])
    found = train(runs, context, network=network, data=data, compile=False)
    start = network(next(runs.itertuples(index=False)), context.generator(0, "init")).state_dict()
    after = found.ensemble.network("a").state_dict()
    assert {name for name, value in after.items() if not torch.equal(value, start[name])} == moves


# ---------------------------------------------------------------- what the predictions measure


def test_the_input_layer_is_asked_of_bare_skips_and_its_controls_are_the_skips_that_pass_no_gradient():
    name = "input-layer-learns-through-skips"
    rows = kinds({"plain": [2.3, 2.3], "unscaled": [0.3, math.nan], "detached": [2.6, 2.5], "magnified": [3.0, 4.0]})
    assert ASKED.numbers(name, rows) == {0: 0.3, 1: math.inf}
    assert ASKED.numbers(name, rows, control="never") == {0: 2.6, 1: 2.5}
    assert ASKED.numbers(name, rows, control="against") == {0: 3.0, 1: 4.0}
    assert ASKED.predictions[name].region == (None, pytest.approx(math.log(10) - 0.25))


def test_what_trained_blocks_are_worth_is_the_frozen_stacks_loss_less_theirs_averaged_over_two_kinds():
    trained = {"scaled": [0.5, 9.0], "zero_init": [0.25, 0.5]}
    rows = kinds({**trained, "scaled_frozen": [1.0, 1.0], "zero_init_frozen": [0.75, 0.75], "plain": [2, 2]}, depth=64)
    found = ASKED.numbers("trained-blocks-lower-the-loss", rows)
    assert found == pytest.approx({0: 0.5, 1: 0.875 - (math.log(10) + 0.5) / 2})


def test_steadiness_of_frozen_blocks_is_that_of_the_residual_stack_less_the_plain_ones():
    rates = ASKED.study.at("quick")["stability"].factors["learning_rate"].values
    rows = pd.concat(
        kinds({"plain": [plain] * 2, "scaled": [0.9] * 2, "scaled_frozen": [0.1] * 2}, learning_rate=rate)
        for rate, plain in zip(rates, [0.9, 0.4, math.nan, *[0.9] * 3], strict=True)
    )
    for control, decades in ((None, 2.5), ("never", 0.0), ("against", -2.5)):
        found = ASKED.numbers("frozen-blocks-are-steadier-too", rows, control=control)
        assert found == pytest.approx({0: decades, 1: decades})


def test_frozen_thousand_layers_are_held_against_trained_ones_and_against_themselves_before_training():
    after = kinds({"scaled": [0.05, 0.08], "scaled_frozen": [0.04, 0.12]}).assign(step=100)
    before = kinds({"scaled": [0.9, 0.9], "scaled_frozen": [0.9, 0.9]}).assign(step=0)
    rows, name = pd.concat([after, before]), "frozen-thousand-layers-learn-as-much"
    assert ASKED.numbers(name, rows) == pytest.approx({0: -0.01, 1: 0.04})
    assert ASKED.numbers(name, rows, control="never") == pytest.approx({0: -0.86, 1: -0.78})
    assert ASKED.numbers(name, rows, control="against") == pytest.approx({0: 0.86, 1: 0.78})
