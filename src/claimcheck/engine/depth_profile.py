"""Signal and gradient by layer in untrained square networks, `sigma_w^2` scaling one draw of the weights per seed.

Their slopes over depth, and what theory says of them, are in :mod:`claimcheck.theory.slopes`.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import Ensemble, hyper_of


def run(runs: pd.DataFrame, context: Any) -> pd.DataFrame:
    """Mean squares of every layer's signals; columns run, layer, pre_activation, delta.

    Needs the factors activation and weight_variance and the settings width, depth, examples, dtype. Networks have
    `depth` square bias-free layers and a square readout. Inputs are Gaussian, scaled to a mean square of exactly 1;
    what is differentiated is a random linear functional of the outputs, its own for each example, so that the
    examples average out as much of the finite-width fluctuation as one network can.
    """
    frames = []
    for done, (seed, group) in enumerate(runs.groupby("seed", sort=False), start=1):
        frames.append(_of_seed(seed, group, context))
        context.advance(done / runs["seed"].nunique())
    return pd.concat(frames, ignore_index=True)[["run", "layer", "pre_activation", "delta"]]


def _of_seed(seed: int, group: pd.DataFrame, context: Any) -> pd.DataFrame:
    """The arms of one seed: the same draws, scaled by each arm's standard deviation. Returning frees their memory."""
    dtype = getattr(torch, context.settings.dtype)
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
    return measure.signals(ensemble, probe, _functional)


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
