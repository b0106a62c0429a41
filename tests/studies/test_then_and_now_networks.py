"""Then and now: its networks against torch's own layers, against their formula, and in company."""

import math

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine.ensemble import Ensemble, for_ensembles
from claimcheck.spec.modules import study_module

from .asking import STUDIES

networks = study_module(STUDIES / "then_and_now", "networks")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("shape", "kernel", "stride"), [((14, 14), 5, 2), ((7, 5), 3, 1), ((40,), 5, 3)])
def test_a_convolution_is_torch_s(shape, kernel, stride):
    grid = networks.grid_of(shape)
    layer = networks.Convolution(3, 4, grid, kernel, stride)
    torch.nn.init.normal_(layer.weight, generator=generator())
    torch.nn.init.normal_(layer.bias, generator=generator(1))
    x = torch.randn(2, 3, *grid, generator=generator(2))
    found = layer(x.flatten(1)).unflatten(1, (4, *layer.places))
    weight, padding = layer.weight.unflatten(1, (3, *layer.kernel)), tuple(side // 2 for side in layer.kernel)
    torch.testing.assert_close(found, F.conv2d(x, weight, layer.bias, stride=stride, padding=padding))


@pytest.mark.parametrize("members", [[0], [3], [1, 2, 4]])
def test_a_convolution_has_the_same_bits_in_any_company(members):
    x, weight, bias = (torch.randn(*size, generator=generator(9)) for size in ((20, 5, 200), (5, 8, 72), (5, 8)))

    def both_ways(rows):
        given = [x[:, rows], weight[rows], bias[rows]]
        given = [each.clone().requires_grad_() for each in given]
        y = networks.convolved(*given, (5, 5), (3, 3))
        return y, *torch.autograd.grad(y.square().sum(), given)

    whole, own = both_ways(list(range(5))), both_ways(members)
    for place, (all_of_them, some) in enumerate(zip(whole, own)):
        assert torch.equal(all_of_them[members] if place > 1 else all_of_them[:, members], some)


def test_layer_norm_of_a_map_is_of_all_its_channels_and_places():
    network = deep(None, generator(), kind="cnn")
    assert network.norm.normalized_shape == (6 * 5 * 5,)
    assert network.output.in_features == 6 * 5 * 5
    x = torch.randn(4, 14, 14, generator=generator(1))
    z = network.first(x.flatten(1))
    for weight, bias in zip(network.weights, network.biases):
        h = F.layer_norm(z, z.shape[1:]).relu().unflatten(1, (6, 5, 5))
        z = z + F.conv2d(h, weight.unflatten(1, (6, 3, 3)), bias, padding=1).flatten(1) / math.sqrt(3)
    torch.testing.assert_close(network(x), network.output(F.layer_norm(z, z.shape[1:]).relu()))


def deep(run, generator, shape=(14, 14), **changes):
    said = {"depth": 3, "kind": "mlp", "activation": "relu", "norm": "layer", "residual": True, "init": "he"}
    return networks.Deep(shape, 6, 10, generator=generator, **{**said, "dropout": 0.0, **changes})


def shallow(run, generator, shape=(14, 14)):
    how = {"activation": "tanh", "init": "xavier", "dropout": 0.0}
    return networks.Convolutional(shape, 2, 10, generator=generator, **how)


MADE = {
    "shallow": shallow,
    "mlp": deep,
    "cnn": lambda run, generator: deep(run, generator, kind="cnn"),
    "plain": lambda run, generator: deep(run, generator, residual=False, norm="none", activation="tanh"),
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("shape", [(14, 14), (40,)])
def test_stacked_networks_compute_what_each_does_alone(kind, shape):
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1]})
    made = {
        "shallow": lambda run, generator: shallow(run, generator, shape),
        "mlp": lambda run, generator: deep(run, generator, shape),
        "cnn": lambda run, generator: deep(run, generator, shape, kind="cnn"),
        "plain": lambda run, generator: deep(run, generator, shape, residual=False, norm="none"),
    }[kind]
    ensemble = Ensemble.build(runs, made, generator)
    x = torch.randn(5, *shape, generator=generator(3))
    assert networks.Deep.for_ensembles is networks.Deep
    together = ensemble.map(for_ensembles(lambda predict, batch, hyper: predict(batch["x"])), {"x": x})
    for place, run in enumerate(runs["run"]):
        torch.testing.assert_close(together[place], ensemble.network(run)(x))


@pytest.mark.parametrize("residual", [True, False])
def test_a_deep_network_follows_its_formula(residual):
    network = deep(None, generator(), residual=residual)
    torch.nn.init.normal_(network.biases, generator=generator(2))
    x = torch.randn(4, 14, 14, generator=generator(1))
    h = network.first(x.flatten(1))
    h = h if residual else F.layer_norm(h, (6,)).relu()
    for weight, bias in zip(network.weights, network.biases):
        if residual:
            h = h + F.linear(F.layer_norm(h, (6,)).relu(), weight, bias) / math.sqrt(3)
        else:
            h = F.layer_norm(F.linear(h, weight, bias), (6,)).relu()
    h = F.layer_norm(h, (6,)).relu() if residual else h
    torch.testing.assert_close(network(x), network.output(h))


def test_equal_layers_are_drawn_as_single_ones_would_be():
    """In the order of the layers, each with a variance by its own fan-in."""
    network, draws = deep(None, generator(), kind="cnn", init="lecun"), generator()
    for inputs, own in [(25, network.first.weight), *((54, each) for each in network.weights)]:
        torch.testing.assert_close(own, torch.randn(6, inputs, generator=draws) / math.sqrt(inputs))


VARIANCES = {"he": lambda n, m: 2 / n, "xavier": lambda n, m: 2 / (n + m), "lecun": lambda n, m: 1 / n}
"""Of weights between n inputs that an output sees and m outputs that see an input (He, Glorot, LeCun)."""

# A network's layers in their order: channels (or units) before and after, places of the kernel.
LAYERS = {
    ("shallow", (14, 14)): [(1, 20, 9), (20, 40, 9), (40 * 4 * 4, 80, 1), (80, 10, 1)],
    ("shallow", (40,)): [(1, 20, 5), (20, 40, 5), (40 * 10, 80, 1), (80, 10, 1)],
    ("mlp", (14, 14)): [(196, 20, 1), *[(20, 20, 1)] * 3, (20, 10, 1)],
    ("mlp", (40,)): [(40, 20, 1), *[(20, 20, 1)] * 3, (20, 10, 1)],
    ("cnn", (14, 14)): [(1, 20, 25), *[(20, 20, 9)] * 3, (20 * 5 * 5, 10, 1)],
    ("cnn", (40,)): [(1, 20, 5), *[(20, 20, 3)] * 3, (20 * 14, 10, 1)],
}


def weights_of(kind, shape, init, seed):
    how = {"generator": generator(seed), "init": init, "dropout": 0.0, "activation": "tanh"}
    if kind == "shallow":
        network = networks.Convolutional(shape, 20, 10, **how)
        return [layer.weight for layer in (*network.convolutions, network.hidden, network.output)]
    network = networks.Deep(shape, 20, 10, depth=3, kind=kind, norm="none", residual=False, **how)
    return [network.first.weight, *network.weights, network.output.weight]


@pytest.mark.parametrize("init", VARIANCES)
@pytest.mark.parametrize(("kind", "shape"), LAYERS)
def test_weights_have_the_variance_of_their_initialisation(kind, shape, init):
    """An input of a convolution is seen from as many places as its kernel has, which counts where outputs count."""
    drawn = zip(*(weights_of(kind, shape, init, seed) for seed in range(60)), strict=True)
    for own, (before, after, places) in zip(drawn, LAYERS[kind, shape], strict=True):
        weights = torch.cat([weight.detach().flatten() for weight in own])
        assert weights.numel() == 60 * before * after * places
        assert weights.square().mean().item() == pytest.approx(
            VARIANCES[init](before * places, after * places), rel=0.06
        )
