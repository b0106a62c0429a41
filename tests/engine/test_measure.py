"""Measurements against the plain definition, computed for one network with ordinary autograd."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.residual import Stack


@pytest.fixture
def ensemble(runs_of, context) -> Ensemble:
    return Ensemble.build(
        runs_of([0, 1, 2]),
        lambda run, g: networks.MLP(20, 12, 10, depth=3, activation="relu", bias_variance=0.1, generator=g),
        lambda seed: context.generator(seed, "init"),
        dtype=torch.float64,
    )


@pytest.fixture
def data(series):
    data = series(40)
    return {"x": data.shared["x"].double(), "y": data.shared["y"]}


def test_signals_are_the_layers_own(ensemble, data) -> None:
    found = measure.signals(ensemble, data).set_index(["run", "layer"])
    for run in ensemble.runs:
        module = ensemble.network(run)
        h, pre = data["x"], []
        for layer in module.hidden:
            pre.append(layer(h))
            h = pre[-1].relu()
        deltas = torch.autograd.grad(F.cross_entropy(module.output(h), data["y"]), pre)
        for layer, (z, delta) in enumerate(zip(pre, deltas), start=1):
            row = found.loc[(run, layer)]
            expected = [
                z.square().mean(),
                z.relu().square().mean(),
                delta.square().sum(0).mean(),
                (delta == 0).double().mean(),
            ]
            values = row[["pre_activation", "activation", "delta", "delta_zeros"]].to_numpy()
            torch.testing.assert_close(torch.tensor(values), torch.stack(expected).detach(), rtol=1e-10, atol=0)


def test_sharpness_is_the_hessians_largest_eigenvalue(runs_of, context, series) -> None:
    ensemble = Ensemble.build(
        runs_of([0, 1]),
        lambda run, g: networks.MLP(6, [5], 3, activation="tanh", generator=g),
        lambda seed: context.generator(seed, "init"),
        dtype=torch.float64,
    )
    generator = torch.Generator().manual_seed(1)
    data = {
        "x": torch.randn(30, 6, generator=generator, dtype=torch.float64),
        "y": torch.randint(3, (30,), generator=generator),
    }
    found = measure.sharpness(ensemble, data, iterations=400).set_index("run")
    for row, run in enumerate(ensemble.runs):
        module = ensemble.network(run)
        values = {name: value[row] for name, value in ensemble.named().items()}

        def loss(values, module=module):
            return F.cross_entropy(torch.func.functional_call(module, values, (data["x"],)), data["y"])

        blocks = torch.func.hessian(loss)(values)
        sizes = [value.numel() for value in values.values()]
        matrix = torch.cat(
            [torch.cat([blocks[a][b].reshape(n, m) for b, m in zip(values, sizes)], 1) for a, n in zip(values, sizes)]
        )
        eigenvalues = torch.linalg.eigvalsh(matrix)
        largest = eigenvalues[eigenvalues.abs().argmax()]
        assert found.loc[run, "sharpness"] == pytest.approx(float(largest), rel=1e-4)


def test_measuring_leaves_no_trace(ensemble, data) -> None:
    before = ensemble.parameters.clone()
    for measured in (measure.signals, measure.sharpness):
        measured(ensemble, data)
    assert torch.equal(before, ensemble.parameters)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in ensemble.skeleton.modules())


def test_convolutions_and_batch_statistics_are_measured_too(runs_of, context, images) -> None:
    ensemble = Ensemble.build(
        runs_of([0, 1]),
        lambda run, g: networks.ResNet(1, 10, channels=4, generator=g),
        lambda seed: context.generator(seed, "init"),
    )
    before = {name: value.clone() for name, value in ensemble.buffers.items()}
    found = measure.signals(ensemble, images())
    assert len(found) == 2 * 7
    assert found.notna().all(axis=None)
    assert all(torch.equal(before[name], value) for name, value in ensemble.buffers.items())


@pytest.mark.parametrize("measured", [measure.signals, measure.sharpness])
def test_a_members_measurements_do_not_depend_on_its_company(measured, runs_of, context, images) -> None:
    ensemble = Ensemble.build(
        runs_of([0, 1, 2]),
        lambda run, g: networks.ResNet(1, 10, channels=4, generator=g),
        lambda seed: context.generator(seed, "init"),
    )
    together = measured(ensemble, images())
    alone = [measured(ensemble.members([row]), images()) for row in range(3)]
    order = [name for name in ("run", "layer") if name in together]
    expected = together.sort_values(order, ignore_index=True)
    pd.testing.assert_frame_equal(expected, pd.concat(alone).sort_values(order, ignore_index=True), check_exact=True)


def test_outputs_are_the_networks_own(ensemble, data) -> None:
    found = measure.outputs(ensemble, data)
    for run, own in zip(ensemble.runs, found, strict=True):
        torch.testing.assert_close(own, ensemble.network(run)(data["x"]))


def test_sharpness_of_a_stack_is_the_same_whether_its_blocks_are_watched_or_not(runs_of, context) -> None:
    """Unwatched blocks have a gradient by hand, which can be differentiated once only."""
    generator = torch.Generator().manual_seed(1)
    data = {
        "x": torch.randn(20, 5, generator=generator, dtype=torch.float64),
        "y": torch.randint(3, (20,), generator=generator),
    }
    found = [
        measure.sharpness(
            Ensemble.build(
                runs_of([0, 1]),
                lambda run, g, watched=watched: Stack(5, 6, 3, 4, "scaled", generator=g, watched=watched),
                lambda seed: context.generator(seed, "init"),
                dtype=torch.float64,
            ),
            data,
            iterations=200,
        )["sharpness"].to_numpy()
        for watched in (True, False)
    ]
    assert found[0] == pytest.approx(found[1], rel=1e-9)
