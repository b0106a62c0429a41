"""Networks against their formulas, written out: residual streams, recurrence, a published size, initial variances."""

import math

import pytest
import torch

from claimcheck.engine.networks import MLP, ResNet, Rnn
from claimcheck.errors import ClaimcheckError


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def weights_of(network):
    return sum(value.numel() for value in network.parameters())


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("residual", ["none", "unscaled", "scaled", "zero_init", "pre_norm"])
def test_a_residual_stream_is_its_formula(residual, depth):
    network = MLP(7, 6, 3, depth=depth, residual=residual, generator=draws())
    x = torch.randn(9, 7, generator=draws(1))
    first, *others = ((layer.weight, layer.bias) for layer in network.hidden)

    def activated(h):
        return torch.relu(torch.nn.functional.layer_norm(h, (6,)) if residual == "pre_norm" else h)

    h = x @ first[0].T + first[1]
    for weight, bias in others:
        if residual == "none":
            h = activated(h) @ weight.T + bias
        else:
            scale = 1 / math.sqrt(depth - 1) if residual == "scaled" else 1.0
            assert residual != "zero_init" or not weight.any()
            h = h + scale * (activated(h) @ weight.T + bias)
    torch.testing.assert_close(network(x), activated(h) @ network.output.weight.T + network.output.bias)


@pytest.mark.parametrize(("widths", "residual"), [([6, 5], "scaled"), ([6, 6], "scald")])
def test_a_stream_of_two_widths_and_an_unknown_one_are_told(widths, residual):
    with pytest.raises(ClaimcheckError, match=r"residual; found .*; expected one of .* and equal widths"):
        MLP(7, widths, 3, residual=residual, generator=draws())
    assert MLP(7, [6, 5], 3, generator=draws())(torch.ones(2, 7)).shape == (2, 3)


def test_a_recurrent_network_is_its_formula_and_starts_at_its_gain():
    network, series = Rnn(2, 400, 3, generator=draws()), torch.randn(5, 4, 2, generator=draws(1))
    h = torch.zeros(5, 400)
    for moment in series.unbind(1):
        h = torch.tanh(moment @ network.input.weight.T + network.input.bias + h @ network.recurrent.weight.T)
    torch.testing.assert_close(network(series), h @ network.output.weight.T + network.output.bias)
    radii = [
        torch.linalg.eigvals(each.recurrent.weight).abs().max().item()
        for each in (network, Rnn(2, 400, 3, generator=draws(), recurrent_gain=1.5))
    ]
    assert radii == pytest.approx([1.0, 1.5], rel=0.1), "Girko's circular law"


def test_a_residual_network_has_the_size_that_was_published():
    resnet = ResNet(3, 10, depth=20, generator=draws())
    assert weights_of(resnet) == 269_722, "He et al. 2016, table 6: 0.27 million"
    assert resnet(torch.ones(2, 3, 32, 32)).shape == (2, 10)
