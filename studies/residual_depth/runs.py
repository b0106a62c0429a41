"""Deep stacks of equal ReLU layers on real digits, signals before training, a convolutional network on images."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import ResNet
from claimcheck.engine.residual import Stack, stack_jacobian
from claimcheck.engine.train import Data, classification, train

PIXELS, CLASSES = 64, 10


def digits(context, count: int | None = None, dtype: torch.dtype = torch.float32) -> Data:
    """Training examples (the first `count`) as vectors, with the training pixels' mean 0 and standard deviation 1."""
    data = context.dataset("digits").flat()
    x = (data.x_train - data.x_train.mean()) / data.x_train.std()
    return Data({"x": x[:count].to(dtype), "y": data.y_train[:count]})


def by_code(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs that can be one ensemble: layer norm in the blocks is other code, the other kinds differ in numbers."""
    return [group for _, group in runs.groupby(runs["kind"] == "pre_norm", sort=True)]


def stack_of(width: int, depth: int, watched: bool = False):
    """Maker of a run's network, for `train` and `Ensemble.build`."""

    def network(run, generator):
        return Stack(PIXELS, width, CLASSES, depth, run.kind, generator=generator, watched=watched)

    return network


def run_depth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Stacks of one depth, trained by SGD with momentum and measured on all training examples at the end."""
    settings, data = context.settings, digits(context)
    network = stack_of(settings.width, int(runs["depth"].iloc[0]))
    return pd.concat(
        train(
            group, context, network=network, data=data, steps=settings.steps, batch_size=settings.batch_size,
            optimizer="momentum", compile=False, evaluate={"train": (data, classification)},
        ).records
        for group in by_code(runs)
    )  # fmt: skip


run_shallow = run_stability = run_depth


def run_thousand(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Very deep stacks, one kind at a time: a third of the memory, and the weights of fewer stay in the cache."""
    return pd.concat(run_depth(group, context) for _, group in runs.groupby("kind"))


def untrained(runs: pd.DataFrame, network, context, dtype: torch.dtype) -> Ensemble:
    """The runs' networks before their first update."""
    draws = partial(context.generator, purpose="init")
    return Ensemble.build(runs, network, draws, device=context.device, dtype=dtype)


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
    settings, tables = context.settings, []
    probe, data = (digits(context, count, torch.float64) for count in (settings.examples, None))
    network = stack_of(settings.width, settings.depth, watched=True)
    for group in by_code(runs):
        before = stream_signals(untrained(group, network, context, torch.float64), probe)
        trained = train(
            group, context, network=network, data=data, steps=settings.steps, batch_size=settings.batch_size,
            optimizer="momentum", hyper={"learning_rate": settings.learning_rate}, dtype=torch.float64, compile=False,
        )  # fmt: skip
        after = stream_signals(trained.ensemble, probe)
        lost = after["run"].isin(np.array(trained.ensemble.runs)[trained.diverged_at >= 0])
        after[["stream", "gradient"]] = after[["stream", "gradient"]].mask(lost)
        tables.append(before.assign(step=0, status="ok"))
        tables.append(after.assign(step=settings.steps, status=np.where(lost, "diverged", "ok")))
    return pd.concat(tables, ignore_index=True).assign(width=float(settings.width))


def run_wide(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The plain stack before training at one width, one network at a time (they are large)."""
    probe = digits(context, context.settings.examples)
    network = stack_of(int(runs["width"].iloc[0]), context.settings.depth, watched=True)
    alone = (runs.iloc[[row]].assign(kind="plain") for row in range(len(runs)))
    return pd.concat(stream_signals(untrained(run, network, context, torch.float32), probe) for run in alone)


def run_growth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """E[x^2] through blocks x + W_2 relu(W_1 x) without normalisation, float64; `variance` 0 means 1 / blocks."""
    settings, width, tables = context.settings, context.settings.width, []
    for seed, group in runs.groupby("seed"):
        draws = context.generator(int(seed), "growth")
        variance = torch.tensor(group["variance"].to_numpy(dtype=float))
        deviation = torch.where(variance > 0, variance, 1.0 / settings.blocks).sqrt()[:, None, None]
        x = torch.randn(settings.examples, width, generator=draws, dtype=torch.float64).expand(len(group), -1, -1)
        squares = [x.square().mean((1, 2))]
        for _ in range(settings.blocks):
            first, second = torch.randn(2, width, width, generator=draws).double() / math.sqrt(width)
            x = x + deviation * (torch.relu(x @ (math.sqrt(2.0) * first).T) @ second.T)
            squares.append(x.square().mean((1, 2)))
        table = pd.DataFrame(torch.stack(squares, 1).numpy(), index=group["run"]).stack()
        tables.append(table.rename_axis(["run", "block"]).rename("mean_square").reset_index())
    return pd.concat(tables, ignore_index=True)


def run_jacobian(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Product of the blocks' Jacobians when the branch's slope is `slope` times that of a random ReLU layer."""
    settings, rows = context.settings, []
    shape = (settings.depth, settings.width, settings.width)
    identity = torch.eye(settings.width).double()
    for run in runs.itertuples(index=False):
        draws = context.generator(run.seed, "jacobian")
        weights = torch.randn(shape, generator=draws).double() * math.sqrt(2.0 / settings.width)
        active = (torch.rand(shape[:2], generator=draws) < 0.5).double()
        product = stack_jacobian(weights, active * run.slope, skip=run.kind != "plain")
        norm, distance = (float(torch.linalg.matrix_norm(each, 2)) for each in (product, product - identity))
        decades = max(math.log10(norm), -400.0) if norm > 0 else -400.0  # a norm of exactly 0 stays finite
        rows.append({"run": run.run, "distance": distance, "log10_norm": decades})
    return pd.DataFrame(rows)


def run_conv(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The convolutional network of He et al. with and without shortcuts, on images halved in size."""
    settings, kind = context.settings, runs["kind"].iloc[0]
    data = context.dataset(settings.dataset)

    def images(x):
        return (torch.nn.functional.avg_pool2d(x, 2) - data.x_train.mean()) / data.x_train.std()

    def network(run, generator):
        return ResNet(
            data.x_train.shape[1], CLASSES, generator=generator, depth=int(runs["depth"].iloc[0]),
            channels=settings.channels, residual=kind != "plain",
        )  # fmt: skip

    x, y, count = images(data.x_train), data.y_train, settings.evaluated
    sample = Data({"x": x[:count], "y": y[:count]})
    test = Data({"x": images(data.x_test)[:count], "y": data.y_test[:count]})
    return train(
        runs, context, network=network, data=Data({"x": x, "y": y}), steps=settings.steps,
        batch_size=settings.batch_size, optimizer="momentum", hyper={"schedule": "cosine", "weight_decay": 1e-4},
        evaluate={"train": (sample, classification), "test": (test, classification)},
    ).records  # fmt: skip
