"""Eager steps: layers of all members are each member's layers, and what is lost is put aside as it was."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.func import functional_call

from claimcheck.engine import eager, networks
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.layers import Rectified, know_ensembles
from claimcheck.engine.train import train


class Doubled(networks.MLP):
    """A network of a study's own, whose forward pass is made for one network only."""

    def forward(self, x):
        return 2.0 * super().forward(x.flatten(1))


def test_all_members_at_once_compute_what_each_computes(kind, runs_of, context) -> None:
    """In float64, in both modes, with what the layers keep: statistics and the keys of dropout."""
    if "cnn" in kind.name or kind.name == "resnet":
        pytest.skip("convolutions are mapped over the members")
    ensemble = Ensemble.build(
        runs_of([0, 1, 2]), kind.network, lambda seed: context.generator(seed, "init"), dtype=torch.float64
    )
    assert know_ensembles(ensemble.skeleton)
    buffers = {name: value.clone() for name, value in ensemble.buffers.items()}
    x = kind.data.shared["x"][:75].double().unflatten(0, (3, 25))
    for mode in (True, False):
        modules = [ensemble.network(run).train(mode) for run in ensemble.runs]
        ensemble.skeleton.train(mode)
        together = functional_call(ensemble.skeleton, ({**ensemble.named(), **buffers}), (x,))
        alone = torch.stack([module(each) for module, each in zip(modules, x)])
        torch.testing.assert_close(together, alone)
        if mode:
            ensemble.buffers = buffers
            for name, value in buffers.items():
                torch.testing.assert_close(value, torch.stack([module.get_buffer(name) for module in modules]))


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 4), (2, 3, 3, 3)])
def test_the_order_in_memory_changes_no_number(shape) -> None:
    value = torch.randn(7, *shape)
    copied = eager.in_order(value)
    assert torch.equal(copied, value)
    assert copied.data_ptr() != value.data_ptr()


def test_small_and_large_parameters_are_each_their_own(runs_of, context) -> None:
    ensemble = Ensemble.build(
        runs_of([0, 1]),
        lambda run, g: networks.MLP(20, [17, 32], 10, bias_variance=0.1, generator=g),
        lambda seed: context.generator(seed, "init"),
    )
    pieces, leaves = eager.pieces_of(ensemble.named(), "momentum")
    assert list(leaves) == list(ensemble.named())
    assert all(torch.equal(leaves[name], value) for name, value in ensemble.named().items())
    for piece in pieces:
        piece.numbers.zero_()
    assert all(not leaf.any() for leaf in leaves.values())
    assert sorted(name for piece in pieces for name in piece.names) == sorted(leaves)


def test_a_network_made_for_one_member_is_mapped(runs_of, context, series) -> None:
    runs, how = runs_of([0, 1], learning_rate=[0.01, 0.02]), {"data": series(), "steps": 5, "batch_size": 25}
    made = Doubled(20, [16], 10, generator=context.generator(0, "init"))
    assert not know_ensembles(made)
    assert not know_ensembles(nn.Sequential(nn.Linear(3, 3)))
    trained = train(runs, context, network=lambda run, g: Doubled(20, [16], 10, generator=g), **how)

    def doubled_loss(predict, batch, hyper):
        return nn.functional.cross_entropy(2.0 * predict(batch["x"]), batch["y"])

    plain = train(
        runs, context, network=lambda run, g: networks.MLP(20, [16], 10, generator=g), loss=doubled_loss, **how
    )
    torch.testing.assert_close(trained.ensemble.parameters, plain.ensemble.parameters, rtol=1e-5, atol=1e-7)


def test_a_lost_member_is_as_it_was_before_the_step_that_lost_it(runs_of, context, series) -> None:
    """Parameters and running statistics; the others go on."""
    runs = runs_of([0, 1, 2], learning_rate=[0.01, 1e30, 0.02])

    def trained(steps: int):
        return train(
            runs, context, data=series(), steps=steps, batch_size=25, optimizer="momentum",
            network=lambda run, g: networks.MLP(20, [16, 16], 10, norm="batch", generator=g),
        )  # fmt: skip

    late = trained(12)
    lost_at = int(late.diverged_at[1])
    assert 1 < lost_at < 12
    before = trained(lost_at - 1)
    assert torch.equal(late.ensemble.parameters[1], before.ensemble.parameters[1])
    assert all(torch.equal(value[1], before.ensemble.buffers[name][1]) for name, value in late.ensemble.buffers.items())
    assert not torch.equal(late.ensemble.parameters[0], before.ensemble.parameters[0])


def test_rectified_layers_in_one_function_are_the_layers_one_by_one() -> None:
    draws = torch.Generator().manual_seed(0)
    sizes = [5, 7, 6, 4]
    shapes = [shape for a, b in pairwise(sizes) for shape in ((3, b, a), (3, b))]
    x, *tensors = (
        torch.randn(shape, generator=draws, dtype=torch.float64, requires_grad=True) for shape in [(3, 8, 5), *shapes]
    )
    direction = torch.randn(3, 8, 4, generator=draws, dtype=torch.float64)
    h = x
    for weight, bias in zip(tensors[::2], tensors[1::2]):
        h = torch.relu(h @ weight.mT + bias[:, None])
    together = Rectified.apply(x, *tensors)
    torch.testing.assert_close(together, h)
    found, expected = (torch.autograd.grad((each * direction).sum(), [x, *tensors]) for each in (together, h))
    for mine, reference in zip(found, expected):
        torch.testing.assert_close(mine, reference)
