"""What the runs of gradient flow measure: gradients by hand, networks whose gradient alone fades, units that die."""

import math

import pandas as pd
import pytest
import torch

from claimcheck.engine import depth_profile, measure, networks
from claimcheck.engine.context import Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data, train

from .asking import Asked

ASKED = Asked("gradient_flow")
RUNS, FADING, context = ASKED.module("runs"), ASKED.module("fading"), ASKED.context
GUESS = math.log(10)


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


def test_each_network_of_an_ensemble_gets_its_own_factors():
    runs = pd.DataFrame({"run": ["a", "b", "c"], "seed": 1, "factor": [1.0, 0.5, 0.5], "frozen": [0, 0, 2]})

    def network(run, generator):
        return FADING.Fading(5, 6, 3, depth=4, generator=generator, factor=run.factor, frozen=run.frozen)

    ensemble = Ensemble.build(runs, network, torch.Generator().manual_seed)
    x, y = torch.randn(4, 5, generator=torch.Generator().manual_seed(2)), torch.tensor([0, 1, 2, 0])
    together = ensemble.layout.views(measure.gradient_of(ensemble, Data({"x": x, "y": y})))
    for member, run in enumerate(runs.itertuples()):
        alone = gradients(network(run, torch.Generator().manual_seed(1)), x)[1]
        for layer, gradient in enumerate(alone):
            assert torch.allclose(together[f"hidden.{layer}.weight"][member], gradient, rtol=1e-4, atol=1e-8)


# --- what the runs measure --------------------------------------------------------------------------------------------


PLAIN = {"width": 16, "depth": 2, "batch_size": 20, "examples": 100, "output_variance": 1.0, "average_pooling": 2}


def test_half_of_the_steps_are_the_first_half_of_all_of_them():
    """What `revived` rests on: a shorter run from the same streams is the beginning of the longer one."""
    runs = pd.DataFrame(
        {"run": ["a", "b"], "seed": [1, 2], "dataset": "digits", "activation": "relu", "learning_rate": 0.5}
    )
    here = context("dead", steps=40, optimizer="sgd", **PLAIN)
    data, inputs = RUNS._training_set(runs, here)
    how = {"network": RUNS._plain(here.settings, inputs), "data": data, "evaluate": {"train": data}}
    half = train(runs, here, steps=20, **how).records
    whole = train(runs, here, evaluate_at=[20, 40], **how).records.query("step == 20")
    assert half["train_loss"].to_list() == whole["train_loss"].to_list()
    found = RUNS.run_dead(runs, here)
    assert set(found) >= {"dead", "revived", "kept", "train_loss"}
    assert found["dead"].between(0, 1).all()


def test_revival_is_counted_among_the_last_layers_units_alone(monkeypatch):
    """Half-way one unit of the first layer and two of the second are dead; the first and one of the others come back."""
    after, before = torch.zeros(1, 2, 4, dtype=torch.bool), torch.zeros(1, 2, 4, dtype=torch.bool)
    before[0, 0, 0] = before[0, 1, 0] = before[0, 1, 1] = True
    after[0, 1, 1] = after[0, 1, 2] = True
    counted = iter([after, before])
    monkeypatch.setattr(RUNS, "_dead", lambda trained, data, activation: next(counted))
    runs = pd.DataFrame({"run": ["a"], "seed": 1, "dataset": "digits", "activation": "relu", "learning_rate": [0.1]})
    found = RUNS.run_dead(runs, context("dead", steps=2, optimizer="sgd", **PLAIN)).iloc[0]
    assert (found["dead"], found["revived"], found["kept"]) == (0.25, 0.5, 0.5)


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
    assert found["relative_gradient"]["a"] == found["relative_gradient"]["b"] > 0


def test_a_multiplier_saturates_as_much_as_weights_that_are_as_much_larger():
    """A network's function is that of the product of multiplier and weights; at 8 most units saturate, at 1 few."""
    x = torch.randn(200, 64, generator=torch.Generator().manual_seed(2))

    def network(multiplier, variance):
        runs = pd.DataFrame({
            "run": ["a"], "activation": "tanh", "depth": 2, "weight_variance": variance, "multiplier": multiplier,
        })  # fmt: skip
        make = RUNS._plain(Settings({"width": 32, "output_variance": 1.0}), 64)
        return make(next(runs.itertuples()), torch.Generator().manual_seed(1))

    usual, large = (network(1.0, variance) for variance in (1.0, 64.0))
    plain = networks.MLP(
        64, 32, 10, depth=2, activation="tanh", init=1.0, output_init=1.0, generator=torch.Generator().manual_seed(1)
    )
    assert torch.equal(usual(x), plain(x))
    for same, steep in ((usual, network(8.0, 1 / 64)), (usual, network(0.125, 64.0)), (large, network(8.0, 1.0))):
        assert torch.allclose(same(x), steep(x), atol=1e-5)
    saturated = [float((each.features(x).abs() > 0.9).double().mean()) for each in (usual, large)]
    assert saturated[0] < 0.1
    assert saturated[1] > 0.7
