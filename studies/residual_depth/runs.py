"""Deep stacks of equal ReLU layers on real digits, signals before training, a convolutional network on images."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure
from claimcheck.engine.ensemble import Ensemble, untrained
from claimcheck.engine.networks import ResNet
from claimcheck.engine.residual import Stack, stack_jacobian
from claimcheck.engine.single import per_run, per_seed
from claimcheck.engine.train import Data, train


def digits(context, count: int | None = None, dtype: torch.dtype = torch.float32) -> Data:
    """Training examples (the first `count`) as vectors, with the training pixels' mean 0 and standard deviation 1."""
    data = context.dataset("digits").flat().rescaled()
    return Data({"x": data.x_train[:count].to(dtype), "y": data.y_train[:count]})


def stack_of(context, watched: bool = False):
    """Maker of a run's network; kind, width and depth are the run's factors or the part's settings."""

    def network(run, generator):
        said = {**context.settings, **run._asdict()}
        return Stack(64, said["width"], 10, said["depth"], said["kind"], generator=generator, watched=watched)

    return network


def run_depth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Stacks of one depth, trained by SGD with momentum and measured on all training examples at the end.

    One kind at a time: layer norm in the blocks is other code, and the weights of fewer networks stay in the cache.
    """
    data, network = digits(context), stack_of(context)
    return pd.concat(
        train(group, context, network=network, data=data, evaluate={"train": data}, compile=False).records
        for _, group in runs.groupby("kind", sort=False)
    )


run_shallow = run_stability = run_thousand = run_depth


def stream_signals(ensemble: Ensemble, data: Data) -> pd.DataFrame:
    """Root mean square of the stream h_l and of the loss's gradient with respect to it, before each block (0 ... L)."""
    found = measure.signals(ensemble, data)
    found = found[found["layer"] % 2 == 1]  # the others are the ReLUs' in the branches
    return pd.DataFrame({
        "run": found["run"],
        "layer": (found["layer"] - 1) // 2,
        "stream": np.sqrt(found["pre_activation"]),
        "gradient": np.sqrt(found["delta"] * len(data)),
    })  # fmt: skip


def run_gradient(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Gradient by layer at initialisation and after some steps, in float64 so that nothing underflows."""
    settings, network, tables = context.settings, stack_of(context, watched=True), []
    probe, data = (digits(context, count, torch.float64) for count in (settings.examples, None))
    for _, group in runs.groupby("kind", sort=False):
        before = stream_signals(untrained(group, context, network, torch.float64), probe)
        trained = train(group, context, network=network, data=data, dtype=torch.float64, compile=False)
        after = stream_signals(trained.ensemble, probe).merge(trained.records, on="run")
        after.loc[after["status"] == "diverged", ["stream", "gradient"]] = np.nan
        tables += [before.assign(step=0, status="ok"), after]
    return pd.concat(tables).assign(width=float(settings.width))


@per_seed
def run_wide(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The plain stack before training at one width, one network at a time (they are large)."""
    probe, network = digits(context, context.settings.examples), stack_of(context, watched=True)
    return stream_signals(untrained(runs, context, network), probe)


@per_seed
def run_growth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """E[x^2] through blocks x + W_2 relu(W_1 x) without normalisation, float64; `variance` 0 means 1 / blocks."""
    settings, width, tables = context.settings, context.settings.width, []
    draws = context.generator(int(runs["seed"].iloc[0]), "growth")
    variance = torch.tensor(runs["variance"].to_numpy(dtype=float))
    deviation = torch.where(variance > 0, variance, 1.0 / settings.blocks).sqrt()[:, None, None]
    x = torch.randn(settings.examples, width, generator=draws, dtype=torch.float64).expand(len(runs), -1, -1)
    for block in range(settings.blocks + 1):
        tables.append(pd.DataFrame({"run": runs["run"], "block": block, "mean_square": x.square().mean((1, 2))}))
        first, second = torch.randn(2, width, width, generator=draws).double() / math.sqrt(width)
        x = x + deviation * (torch.relu(x @ (math.sqrt(2.0) * first).T) @ second.T)
    return pd.concat(tables)


@per_run
def run_jacobian(run, context) -> dict[str, float]:
    """Product of the blocks' Jacobians when the branch's slope is `slope` times that of a random ReLU layer."""
    depth, width, draws = context.settings.depth, context.settings.width, context.generator(run.seed, "jacobian")
    weights = torch.randn(depth, width, width, generator=draws).double() * math.sqrt(2.0 / width)
    active = (torch.rand(depth, width, generator=draws) < 0.5).double()
    product = stack_jacobian(weights, active * run.slope, skip=run.kind == "residual")
    norm, distance = (float(torch.linalg.matrix_norm(each, 2)) for each in (product, product - torch.eye(width)))
    return {"distance": distance, "log10_norm": math.log10(norm) if norm > 0 else -400.0}  # of 0 exactly: finite, too


def run_conv(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The convolutional network of He et al. with and without shortcuts, on images halved in size."""
    settings, data = context.settings, context.dataset(context.settings.dataset)
    mean, deviation, some = data.x_train.mean(), data.x_train.std(), slice(settings.evaluated)

    def images(x, y) -> Data:
        return Data({"x": (torch.nn.functional.avg_pool2d(x, 2) - mean) / deviation, "y": y})

    def network(run, generator):
        return ResNet(
            data.x_train.shape[1], 10, generator=generator, depth=run.depth, channels=settings.channels,
            residual=run.kind == "residual",
        )  # fmt: skip

    sample, test = images(data.x_train[some], data.y_train[some]), images(data.x_test[some], data.y_test[some])
    return train(
        runs, context, network=network, data=images(data.x_train, data.y_train),
        hyper={"schedule": "cosine", "weight_decay": 1e-4}, evaluate={"train": sample, "test": test},
    ).records  # fmt: skip
