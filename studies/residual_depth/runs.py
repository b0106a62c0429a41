"""Deep stacks of equal ReLU layers that train, and the same before training; a convolutional network on images."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.data.draws import Draws, draw_each
from claimcheck.engine import measure
from claimcheck.engine.ensemble import Ensemble, untrained
from claimcheck.engine.networks import ResNet
from claimcheck.engine.residual import Stack, stack_jacobian
from claimcheck.engine.single import per_run, per_seed
from claimcheck.engine.train import Data, train

from . import frozen


def drawn(runs: pd.DataFrame, context, count: int, **how) -> Draws:
    """Each unit's own training examples of the data set that the runs, or the part's settings, name."""
    name = runs["dataset"].iloc[0] if "dataset" in runs else context.settings.dataset
    return draw_each(context, name, runs["seed"], train=count, **how)


def vectors(own: Draws, dtype: torch.dtype = torch.float32) -> Data:
    """Training examples as vectors, with mean 0 and standard deviation 1 over all values of the pool."""
    x = own.pool.x_train.flatten(1)
    return Data({"x": ((x - x.mean()) / x.std()).to(dtype), "y": own.pool.y_train}, subset=own.train)


def stack_of(context, inputs: int, watched: bool = False):
    """Maker of a run's network; kind, width and depth are the run's factors or the part's settings."""

    def network(run, generator):
        said = {"weight_variance": 2.0, "input_only": False, **context.settings, **run._asdict()}
        return frozen.stack(
            inputs, said["width"], 10, said["depth"], kind=said["kind"], generator=generator,
            weight_variance=said["weight_variance"], input_only=said["input_only"], watched=watched,
        )  # fmt: skip

    return network


def run_depth(runs: pd.DataFrame, context, evaluate_at=None) -> pd.DataFrame:
    """Stacks of one depth, trained by SGD with momentum, measured on all of their training examples at the end.

    One kind at a time, so that the weights of fewer networks stay in the cache. With a setting `probe`, trained stacks
    are also looked into, on so many of their examples, unless their kind is one with frozen blocks.
    """
    settings, tables = context.settings, []
    for kind, group in runs.groupby("kind", sort=False):
        data = vectors(drawn(group, context, settings.examples))
        network = stack_of(context, data.shared["x"].shape[1])
        sets = {"train": data}
        found = train(group, context, network=network, data=data, evaluate=sets, evaluate_at=evaluate_at, compile=False)
        tables.append(found.records)
        if settings.get("probe") and kind not in frozen.KINDS:
            tables[-1] = found.records.merge(insides(found.ensemble, data, settings), on="run")
    return pd.concat(tables)


run_bare = run_small_slope = run_shallow = run_stability = run_depth


def run_thousand(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same, also measured before training."""
    return run_depth(runs, context, evaluate_at=(0, context.settings.steps))


def insides(ensemble: Ensemble, data: Data, settings) -> pd.DataFrame:
    """A row per trained stack, with what `inside` finds; in float64, where little underflows."""
    rows = []
    for run, subset in zip(ensemble.runs, data.subset[:, : settings.probe], strict=True):
        x, y = data.shared["x"][subset].double(), data.shared["y"][subset]
        rows.append({"run": run, **inside(ensemble.network(run).double(), x, y, settings.get("left_out", 0))})
    return pd.DataFrame(rows)


def inside(stack: Stack, x: torch.Tensor, y: torch.Tensor, left_out: int) -> dict[str, float]:
    """What one stack without norm does to its stream h_0 ... h_L, on some examples.

    - ``gradient_decades``: log10 of the norm of the loss's gradient with respect to h_0, relative to that for h_L;
    - ``change``: norm of h_{l+1} - h_l relative to that of h_l, over examples and units, mean over blocks;
    - ``left_out``: loss with a block left out less that with all, mean over so many evenly spaced blocks;
    - ``all_left_out``: the same with all blocks left out at once;
    - ``left_out_share``: the first of these over the second; missing where the second is not above zero.
    """
    weights = (stack.blocks * stack.scale).detach()

    def stream(h: torch.Tensor, weights: torch.Tensor) -> list[torch.Tensor]:
        found = [h]
        for weight in weights:
            found.append(stack.skip * found[-1] + torch.relu(found[-1]) @ weight.T)
        return found

    def logits(h: torch.Tensor) -> torch.Tensor:
        return stack.output(torch.relu(h))

    all_h = stream(stack.input(x), weights)
    first, last = torch.autograd.grad(F.cross_entropy(logits(all_h[-1]), y), [all_h[0], all_h[-1]])
    changes = [((after - h).norm() / h.norm()).item() for h, after in pairwise(all_h)]
    found = {
        "gradient_decades": (first.norm() / last.norm()).log10().item(),
        "change": float(np.mean(changes)),
    }
    if left_out:
        blocks = np.linspace(0, len(weights) - 1, left_out + 2).round().astype(int)[1:-1]
        without = [stream(all_h[block], weights[block + 1 :])[-1] for block in blocks]
        whole, none, *others = (F.cross_entropy(logits(h), y).item() for h in (all_h[-1], all_h[0], *without))
        one, every = float(np.mean(others)) - whole, none - whole
        found |= {"left_out": one, "all_left_out": every, "left_out_share": one / every if every > 0 else math.nan}
    return found


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
    """Gradient by layer at initialisation, in float64 so that nothing underflows, a kind at a time."""
    tables = []
    for _, group in runs.groupby("kind", sort=False):
        probe = vectors(drawn(group, context, context.settings.examples), torch.float64)
        network = stack_of(context, probe.shared["x"].shape[1], watched=True)
        tables.append(stream_signals(untrained(group, context, network, torch.float64), probe))
    return pd.concat(tables).assign(width=float(context.settings.width))


@per_seed
def run_wide(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The plain stack before training at one width, one network at a time (they are large)."""
    probe = vectors(drawn(runs, context, context.settings.examples))
    network = stack_of(context, probe.shared["x"].shape[1], watched=True)
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
    settings = context.settings
    own = drawn(runs, context, settings.examples)
    mean, deviation = own.pool.x_train.mean(), own.pool.x_train.std()

    def images(x: torch.Tensor, y: torch.Tensor, subset: torch.Tensor) -> Data:
        halved = F.avg_pool2d(x.reshape(len(x), -1, *x.shape[-2:]), 2)
        return Data({"x": (halved - mean) / deviation, "y": y}, subset=subset)

    def network(run, generator):
        return ResNet(
            data.shared["x"].shape[1], 10, generator=generator, depth=run.depth, channels=settings.channels,
            residual=run.kind == "residual",
        )  # fmt: skip

    data = images(own.pool.x_train, own.pool.y_train, own.train)
    sample = Data(data.shared, subset=own.train[:, : settings.evaluated])
    test = images(own.pool.x_test, own.pool.y_test, own.test[..., : settings.evaluated])
    hyper = {"schedule": settings.schedule, "weight_decay": settings.weight_decay}
    sets = {"train": sample, "test": test}
    return train(runs, context, network=network, data=data, hyper=hyper, evaluate=sets).records
