"""Measurements against the plain definition, computed for one network with ordinary autograd."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine import measure, networks
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.residual import Stack
from claimcheck.errors import ClaimcheckError


def layerwise(ensemble, data):
    return measure.layerwise(ensemble, data, {"mean": lambda entered, left: left.mean()})


MEASURES = [measure.signals, layerwise, measure.outputs, measure.gradient_of, measure.sharpness]


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


@pytest.fixture
def curved(runs_of, context) -> tuple[Ensemble, dict[str, torch.Tensor]]:
    """Networks that are small enough for their Hessians, and data."""
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
    return ensemble, data


def hessians(ensemble, data) -> list[torch.Tensor]:
    """Each member's Hessian, written out."""
    found = []
    for row, run in enumerate(ensemble.runs):
        module = ensemble.network(run)
        values = {name: value[row] for name, value in ensemble.named().items()}

        def loss(values, module=module):
            return F.cross_entropy(torch.func.functional_call(module, values, (data["x"],)), data["y"])

        blocks = torch.func.hessian(loss)(values)
        sizes = [value.numel() for value in values.values()]
        found.append(
            torch.cat([
                torch.cat([blocks[a][b].reshape(n, m) for b, m in zip(values, sizes)], 1)
                for a, n in zip(values, sizes)
            ])
        )  # fmt: skip
    return found


def test_sharpness_is_the_hessians_largest_eigenvalue(curved) -> None:
    found = measure.sharpness(*curved, iterations=400)["sharpness"]
    for value, matrix in zip(found, hessians(*curved), strict=True):
        eigenvalues = torch.linalg.eigvalsh(matrix)
        largest = eigenvalues[eigenvalues.abs().argmax()]
        assert value == pytest.approx(float(largest), rel=1e-4)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_every_iterate_of_sharpness_is_of_a_unit_vector_and_its_residual_relative(curved, iterations) -> None:
    """Power iteration on the Hessian written out, from the same vector."""
    ensemble, data = curved
    start = torch.randn(ensemble.parameters.shape[1], generator=torch.Generator().manual_seed(0)).double()
    start = torch.cat([part.flatten() for part in ensemble.layout.views(start[None]).values()])
    found = measure.sharpness(ensemble, data, iterations=iterations)
    for (value, residual), matrix in zip(found[["sharpness", "residual"]].to_numpy(), hessians(*curved), strict=True):
        vector = torch.linalg.matrix_power(matrix, iterations - 1) @ start
        vector /= vector.norm()
        rayleigh = vector @ matrix @ vector
        assert value == pytest.approx(float(rayleigh), rel=1e-6)
        assert residual == pytest.approx(float((matrix @ vector - rayleigh * vector).norm() / rayleigh.abs()), rel=1e-6)


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.parametrize("measured", MEASURES)
def test_data_of_another_number_of_members_are_refused(measured, members, ensemble, data) -> None:
    """With a row too many those of other members would be measured."""
    own = Data({"x": data["x"]}, per_member={"y": data["y"].expand(members + 1, -1)})
    with pytest.raises(ClaimcheckError, match=f"per-member data; .* {members} rows"):
        measured(ensemble.members(range(members)), own)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("measured", MEASURES)
def test_measuring_leaves_no_trace(measured, training, ensemble, data) -> None:
    before = ensemble.parameters.clone()
    ensemble.skeleton.train(training)
    measured(ensemble, data)
    assert torch.equal(before, ensemble.parameters)
    assert {module.training for module in ensemble.skeleton.modules()} == {training}
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
