"""What goes on inside the networks of an ensemble: signals, gradients, curvature.

Every function takes an ensemble and data, changes neither, and returns a tidy frame with a row per run (and layer).
Layers are found by hooks on the activation modules during the call only, so training pays nothing for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import ACTIVATIONS
from claimcheck.engine.step import Loss, losses_and_gradient
from claimcheck.engine.train import cross_entropy

Batch = Data | Mapping[str, Tensor]
_KINDS = tuple(ACTIVATIONS.values())


def _paired(function: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """Measure a lone member as two twins, and report one: see :func:`claimcheck.engine.ensemble.twins`."""

    @wraps(function)
    def measured(ensemble: Ensemble, data: Batch, *rest: Any, **options: Any) -> pd.DataFrame:
        if len(ensemble) > 1:
            return function(ensemble, data, *rest, **options)
        data = data if isinstance(data, Data) else Data(data)
        data.check(1)
        table = function(ensemble.members([0, 0]), data.members([0, 0]), *rest, **options)
        named = [name for name in ("run", "layer") if name in table]
        return table.drop_duplicates(named, ignore_index=True)

    return measured


@_paired
def signals(ensemble: Ensemble, data: Batch, loss: Loss = cross_entropy) -> pd.DataFrame:
    """What each layer carries forward and backward, in train mode; columns run, layer and

    - ``pre_activation``: mean square of what enters the layer's activation, over examples and units;
    - ``activation``: mean square of what leaves it;
    - ``delta``: mean over units of the sum over examples of the square of d(loss)/d(pre-activation). Where the loss is
      a mean over B examples, multiply by B for the mean square of one example's own gradient;
    - ``delta_zeros``: share of those gradients that are exactly zero.

    Layer 1 is the first activation that the network applies.
    """

    def collect(predict, batch, hyper, probes):
        forward: dict[str, list[Tensor]] = {"pre_activation": [], "activation": []}

        def enter(inputs: Tensor) -> Tensor:
            forward["pre_activation"].append(inputs.square().mean())
            number = len(forward["pre_activation"]) - 1
            return inputs + probes[number] if probes else inputs

        def leave(outputs: Tensor) -> None:
            forward["activation"].append(outputs.square().mean())
            shapes.append(outputs.shape)

        with _watching(ensemble, enter, leave):
            value = loss(predict, batch, hyper)
        return value, {name: torch.stack(values) for name, values in forward.items()}

    shapes: list[torch.Size] = []
    with torch.no_grad():
        _apply(ensemble, collect, data, "train", [])
    like = ensemble.parameters
    probes = [
        torch.zeros(len(ensemble), *shape, dtype=like.dtype, device=like.device, requires_grad=True) for shape in shapes
    ]
    losses, found = _apply(ensemble, collect, data, "train", probes)
    deltas = torch.autograd.grad(losses.sum(), probes)
    found = {name: value.detach() for name, value in found.items()}
    found["delta"] = torch.stack([d.double().square().sum(1).flatten(1).mean(1) for d in deltas], 1)
    found["delta_zeros"] = torch.stack([(d == 0).flatten(1).double().mean(1) for d in deltas], 1)
    return _frame(ensemble, found)


def layerwise(
    ensemble: Ensemble, data: Batch, functions: Mapping[str, Callable[[Tensor, Tensor], Tensor]]
) -> pd.DataFrame:
    """A study's own functions of each layer, in eval mode; columns run, layer and one for each of ``functions``.

    A function gets what enters and what leaves a layer's activation, each ``[B, units, ...]`` of one network, and
    returns a scalar.
    """

    def collect(predict, batch, hyper):
        found: dict[str, list[Tensor]] = {name: [] for name in functions}
        entered: list[Tensor] = []

        def leave(outputs: Tensor) -> None:
            for name, function in functions.items():
                found[name].append(function(entered[-1], outputs))

        with _watching(ensemble, entered.append, leave):
            predict(batch["x"])
        return {name: torch.stack(values) for name, values in found.items()}

    with torch.no_grad():
        return _frame(ensemble, _apply(ensemble, collect, data, "eval"))


def outputs(ensemble: Ensemble, data: Batch) -> Tensor:
    """What each network gives for the inputs ``x``, in eval mode, ``[R, N, ...]``."""
    return ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), data)


def gradient_of(ensemble: Ensemble, data: Batch, loss: Loss = cross_entropy) -> Tensor:
    """Gradient of each member's loss on the data in train mode, ``[R, P]`` in the ensemble's layout."""
    batch, dims = _whole(ensemble, data)
    with _mode(ensemble, "train"):
        return losses_and_gradient(ensemble, loss, ensemble.parameters, _copies(ensemble), batch, dims)[1]


@_paired
def sharpness(ensemble: Ensemble, data: Batch, loss: Loss = cross_entropy, *, iterations: int = 50) -> pd.DataFrame:
    """Largest eigenvalue, by magnitude, of the Hessian of each member's loss; columns run, sharpness, residual.

    In eval mode. Power iteration with Hessian-vector products (the gradient, differentiated again along the vector).
    ``residual`` is ``|H v - lambda v| / |lambda|``: how far from an eigenvector the last iterate is. All members start
    from the same fixed random vector.
    """
    batch, dims = _whole(ensemble, data)
    parameters = ensemble.parameters.detach().requires_grad_()
    start = torch.randn(parameters.shape[1], generator=torch.Generator().manual_seed(0))
    start = start.to(parameters).expand_as(parameters)
    vector = ensemble.layout.flatten(ensemble.layout.views(start))
    vector = vector / vector.norm(dim=1, keepdim=True)
    with _mode(ensemble, "eval"):
        losses = ensemble.apply(loss, ensemble.layout.views(parameters), _copies(ensemble), batch, dims)
        (gradient,) = torch.autograd.grad(losses.sum(), parameters, create_graph=True)
        for _ in range(iterations):
            (product,) = torch.autograd.grad(gradient, parameters, vector, retain_graph=True)
            value = (vector * product).sum(1, keepdim=True)
            residual = (product - value * vector).norm(dim=1) / value[:, 0].abs()
            vector = product / product.norm(dim=1, keepdim=True).clamp_min(1e-30)
    return pd.DataFrame(
        {
            "run": ensemble.runs,
            "sharpness": value[:, 0].double().cpu().numpy(),
            "residual": residual.double().cpu().numpy(),
        }
    )


def _whole(ensemble: Ensemble, data: Batch) -> tuple[dict[str, Tensor], dict[str, int | None]]:
    data = data if isinstance(data, Data) else Data(data)
    data.check(len(ensemble))
    return data.whole()


def _copies(ensemble: Ensemble) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in ensemble.buffers.items()}


def _apply(ensemble: Ensemble, function: Callable[..., Any], data: Batch, mode: str, *extra: Any) -> Any:
    batch, dims = _whole(ensemble, data)
    with _mode(ensemble, mode):
        return ensemble.apply(function, ensemble.named(), _copies(ensemble), batch, dims, *extra)


@contextmanager
def _mode(ensemble: Ensemble, mode: str) -> Iterator[None]:
    was = ensemble.skeleton.training
    ensemble.skeleton.train(mode == "train")
    try:
        yield
    finally:
        ensemble.skeleton.train(was)


@contextmanager
def _watching(ensemble: Ensemble, enter: Callable[[Tensor], Any], leave: Callable[[Tensor], None]) -> Iterator[None]:
    """Call ``enter`` before and ``leave`` after each activation module."""
    handles = []
    for module in ensemble.skeleton.modules():
        if type(module) in _KINDS:
            handles.append(module.register_forward_pre_hook(lambda module, inputs: enter(inputs[0])))
            handles.append(module.register_forward_hook(lambda module, inputs, output: leave(output)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _frame(ensemble: Ensemble, found: Mapping[str, Tensor]) -> pd.DataFrame:
    """Rows run x layer of tensors ``[R, layers]``; layers are counted from 1."""
    layers = next(iter(found.values())).shape[1]
    table = pd.DataFrame(
        {
            "run": [run for run in ensemble.runs for _ in range(layers)],
            "layer": [layer for _ in ensemble.runs for layer in range(1, layers + 1)],
        }
    )
    for name, value in found.items():
        table[name] = value.double().reshape(-1).cpu().numpy()
    return table
