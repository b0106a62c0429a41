"""Low-rank adaptation: no change at the start, what is trained is counted, what was adapted stays."""

import pytest
import torch

from claimcheck.engine import lora
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.layers import Linear, know_ensembles
from claimcheck.engine.networks import MLP
from claimcheck.engine.train import train
from claimcheck.errors import ClaimcheckError


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def mlp(norm=None, **how):
    return MLP(20, [17, 32], 10, norm=norm, generator=generator(), **how)


def moved(network):
    """The same with every trained number drawn anew, so that nothing is zero any more."""
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=generator(1)))
    return network


X = torch.randn(30, 20, generator=generator(2))


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
def test_an_adapted_network_begins_as_the_one_it_was_made_of(norm):
    whole = mlp(norm).eval()
    assert torch.equal(lora.adapted(whole, 4, generator=generator()).eval()(X), whole(X))


def test_what_is_trained_is_rank_times_both_sides_of_each_matrix_and_no_bias():
    whole = mlp()
    assert lora.trained(whole) == 20 * 17 + 17 + 17 * 32 + 32 + 32 * 10 + 10
    assert lora.trained(lora.adapted(whole, 3, generator=generator())) == 3 * (20 + 17 + 17 + 32 + 32 + 10)
    assert lora.trained(lora.frozen(whole)) == 0
    assert lora.trained(whole) == 20 * 17 + 17 + 17 * 32 + 32 + 32 * 10 + 10


def test_a_rank_above_a_matrix_s_smaller_side_is_cut_to_it_by_adapted_and_refused_by_the_layer():
    assert lora.adapted(mlp(), 12, generator=generator()).output.down.weight.shape == (10, 32)
    for rank in (0, 18):
        with pytest.raises(ClaimcheckError, match="rank"):
            lora.LowRank(mlp().hidden[0], rank, generator=generator())


def test_the_change_is_alpha_over_rank_times_the_product():
    layer = moved(lora.LowRank(mlp().hidden[0], 2, generator=generator(), alpha=6.0))
    change = layer.weight - layer.kept.weight
    assert torch.allclose(change, 3.0 * layer.up.weight @ layer.down.weight, atol=1e-6)
    assert torch.linalg.matrix_rank(change) == 2
    assert torch.allclose(layer(X), X @ layer.weight.T + layer.bias, atol=1e-4)


def test_the_network_that_is_adapted_stays_as_it_was():
    whole = mlp()
    before = {name: value.clone() for name, value in whole.state_dict().items()}
    moved(lora.adapted(whole, 4, generator=generator()))
    assert all(torch.equal(before[name], value) for name, value in whole.state_dict().items())
    assert all(value.requires_grad for value in whole.parameters())


def test_all_but_one_module_can_be_kept():
    whole = mlp()
    head = lora.frozen(whole, but="output")
    assert {name for name, _ in head.named_parameters()} == {"output.weight", "output.bias"}
    assert torch.equal(head(X), whole(X))
    assert head.state_dict().keys() == whole.state_dict().keys()


def test_the_last_layer_can_be_trained_whole_beside_products_in_the_others():
    found = lora.adapted(mlp(), 3, generator=generator(), whole="output")
    assert type(found.output) is Linear
    assert lora.trained(found) == 3 * (20 + 17 + 17 + 32) + 32 * 10 + 10
    assert torch.equal(found(X), mlp()(X))


def test_an_ensemble_trains_every_product_of_every_member_and_nothing_else(runs_of, context, series):
    """However the network is called: also where a shorter way through plain layers reads their weights."""

    def network(run, draws):
        return lora.adapted(MLP(20, [17, 32], 10, generator=generator(int(run.seed))), 2, generator=draws)

    runs = runs_of([0, 1, 2], learning_rate=0.05)
    assert know_ensembles(network(runs.iloc[0], generator()))
    found = train(runs, context, network=network, data=series(), steps=3, batch_size=50, optimizer="adam").ensemble
    start = Ensemble.build(runs, network, lambda seed: context.generator(seed, "init"))
    for name, value in found.named().items():
        assert name.endswith(("down.weight", "up.weight"))
        assert ((value - start.named()[name]).flatten(1).abs().amax(1) > 0).all(), name
    assert all(torch.equal(value, start.buffers[name]) for name, value in found.buffers.items())
    assert not torch.equal(found.buffers["hidden.0.kept.weight"][0], found.buffers["hidden.0.kept.weight"][1])
