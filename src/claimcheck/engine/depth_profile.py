"""Signal and gradient by layer in untrained square networks, as tables whose slope mean-field theory predicts.

Measured through the ensemble engine on plain networks, `sigma_w^2` scaling one draw of the weights per seed; the
theory is :mod:`claimcheck.theory.mean_field`. A table has a row per seed and a column per layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import Ensemble, hyper_of
from claimcheck.theory import mean_field

FIRST, LAST = 10, 5
"""Layers left out of a slope: the first ten, where the signal settles, and the last five, next to the readout."""


def run(runs: pd.DataFrame, context: Any) -> pd.DataFrame:
    """Mean squares of every layer's signals; columns run, layer, pre_activation, delta.

    Needs the factors activation and weight_variance and the settings width, depth, examples, dtype. Networks have
    `depth` square bias-free layers and a square readout. Inputs are Gaussian, scaled to a mean square of exactly 1;
    what is differentiated is a random linear functional of the outputs, its own for each example, so that the
    examples average out as much of the finite-width fluctuation as one network can.
    """
    dtype, frames = getattr(torch, context.settings.dtype), []
    for done, (seed, group) in enumerate(runs.groupby("seed", sort=False), start=1):
        unit = Ensemble.build(
            group.iloc[:1],
            lambda run, generator: _square(context.settings, run, generator),
            lambda seed: context.generator(seed, "init"),
            {},
            context.device,
            dtype,
        )
        scale = torch.as_tensor(group["weight_variance"].to_numpy(copy=True) ** 0.5).to(unit.parameters)
        hyper = hyper_of(group, device=context.device, dtype=dtype)
        ensemble = Ensemble(unit.skeleton, unit.layout, unit.parameters * scale[:, None], {}, {}, hyper, group["run"])
        probe = {name: value.to(context.device, dtype) for name, value in probes(context, seed).items()}
        frames.append(measure.signals(ensemble, probe, _functional))
        context.advance(done / runs["seed"].nunique())
    return pd.concat(frames, ignore_index=True)[["run", "layer", "pre_activation", "delta"]]


def _square(settings: Any, run: Any, generator: torch.Generator) -> networks.MLP:
    width = settings.width
    return networks.MLP(
        width, width, width, depth=settings.depth, activation=run.activation, init=1.0, bias=False, generator=generator
    )


def probes(context: Any, seed: int) -> dict[str, torch.Tensor]:
    """Gaussian inputs `x` of mean square 1 and a `direction` to differentiate along, each `[examples, width]`."""
    generator = context.generator(seed, "probe")
    shape = (context.settings.examples, context.settings.width)
    x = torch.randn(shape, generator=generator)
    return {"x": x / x.square().mean(1, keepdim=True).sqrt(), "direction": torch.randn(shape, generator=generator)}


def _functional(predict, batch, hyper) -> torch.Tensor:
    return (predict(batch["x"]) * batch["direction"]).sum()


def table(records: pd.DataFrame, activation: str, weight_variance: float, column: str = "delta") -> pd.DataFrame:
    """Logarithm of `column`, a row per seed and a column per layer that counts."""
    same = np.isclose(records["weight_variance"], weight_variance, rtol=1e-3) & (records["activation"] == activation)
    logs = np.log(records[same].pivot(index="seed", columns="layer", values=column))
    return logs[counted(int(logs.columns.max()))]


def counted(depth: int) -> list[int]:
    """The layers that count in a network of `depth` layers; fewer are left out of a shallow one."""
    return list(range(min(FIRST, depth // 3) + 1, depth - min(LAST, depth // 6) + 1))


def slope(logs: pd.DataFrame) -> pd.Series:
    """Least-squares change per layer, in nats, from input to output, a number per seed."""
    layers = logs.columns.to_numpy(dtype=float)
    return pd.Series(np.polyfit(layers, logs.to_numpy().T, 1)[0], index=logs.index)


def backward_slope(logs: pd.DataFrame) -> pd.Series:
    """The same on the way back, from output to input: what ln chi_1 predicts for ln delta."""
    return -slope(logs)


def bend(logs: pd.DataFrame) -> pd.Series:
    """Backward slope over the half of the layers nearer to the input, less that over the other half; 0 on a line."""
    middle = len(logs.columns) // 2
    return backward_slope(logs.iloc[:, :middle]) - backward_slope(logs.iloc[:, middle:])


def expected_slope(activation: str, weight_variance: float, depth: int) -> float:
    """Backward slope over the layers that count of theory's finite-depth product."""
    theory = mean_field.log_gradients(activation, weight_variance, depth)
    layers = counted(depth)
    logs = pd.DataFrame([[theory[layer - 1] for layer in layers]], columns=layers)
    return float(backward_slope(logs).iloc[0])
