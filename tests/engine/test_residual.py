"""The stack of equal layers: its own backward pass against autograd, each kind against its formula, company."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from claimcheck.engine import residual
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.step import functional_losses_and_gradient, losses_and_gradient
from claimcheck.engine.train import Data, cross_entropy, train

BRANCHES = ("plain", "unscaled", "scaled", "zero_init")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


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
    context = Context("tests", "quick", "stacks", Settings({}), torch.device("cpu"), Path("data"))

    def trained(rows):
        runs, network = stacks(rows)
        found = train(
            runs, context, network=network, data=data, steps=5, batch_size=8, optimizer="momentum", compile=False
        )
        return dict(zip(runs["run"], found.ensemble.parameters, strict=True))

    together = trained(rows)
    for row in rows[2::4]:
        assert torch.equal(trained([row])[row[0]], together[row[0]])
