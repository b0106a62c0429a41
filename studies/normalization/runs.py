"""Plain ReLU networks on MNIST-1D without a norm and with each norm before every ReLU, and the norms by themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.networks import MLP, norm_of
from claimcheck.engine.single import per_run, per_seed
from claimcheck.engine.train import Data, train

from .norm_timing import run_timing


def network_of(context):
    """Maker of a run's network; what it is like is said by the run's factors or the part's settings."""

    def network(run, generator):
        said = {"gain": 1.0, "architecture": "plain", **context.settings, **run._asdict()}
        return MLP(
            40, said["width"], 10, depth=said["depth"], norm=said["norm"], gain=said["gain"], generator=generator,
            residual="pre_norm" if said["architecture"] == "residual" else None,
        )  # fmt: skip

    return network


@per_run
def run_facts(run, context) -> dict[str, float]:
    """Statistics of each norm's output before its affine part, in float64, on inputs of arbitrary scale and offset.

    `neuron` and `sample` are how far means are from 0 and variances from 1, over the batch and over the features.
    At test time, after one training batch, batch norm is compared with the formula of its running statistics.
    """
    batch, features, draws = context.settings.batch, context.settings.features, context.generator(run.seed, "facts")
    scale, offset, x = (torch.randn(n, features, generator=draws).double() for n in (1, 1, batch))
    x = x * (2.0 + scale.abs()) + 3.0 + 2.0 * offset
    norm = norm_of(run.norm, features).double().train()
    y = norm(x).detach()
    later = expected = norm.eval()(x).detach()
    if run.norm == "batch":
        expected = (x - 0.1 * x.mean(0)) / (0.9 + 0.1 * x.var(0) + norm.eps).sqrt()
    found = {
        "neuron": torch.cat([y.mean(0), y.var(0, unbiased=False) - 1.0]),
        "sample": torch.cat([y.mean(1), y.var(1, unbiased=False) - 1.0]),
        "sample_square": y.square().mean(1) - 1.0,
        "least_sample_mean": y.mean(1).abs().mean(),
        "eval_change": later - y,
        "running_error": later - expected,
    }
    return {name: float(each.abs().max()) for name, each in found.items()}


@per_seed
def run_signal(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Scale of activations and of gradients by layer before training, in float64, a seed at a time."""
    data, some = context.dataset("mnist1d"), slice(context.settings.examples)
    probe = Data({"x": data.x_train[some].double(), "y": data.y_train[some]})
    found = measure.signals(untrained(runs, context, network_of(context), torch.float64), probe)
    scales = {"log_activation": np.log(found["activation"]) / 2, "log_gradient": np.log(found["delta"])}
    return found[["run", "layer"]].assign(**scales)


def trained(runs: pd.DataFrame, context, **how) -> pd.DataFrame:
    """Records of training by SGD; `batch_loss` is the mean over the last `window` minibatches, in train mode."""
    data, window = Data.training(context.dataset("mnist1d")), context.settings.window
    network = network_of(context)
    return train(runs, context, network=network, data=data, batch_loss_window=window, **how).records


run_grid = run_init = trained


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train loss by update at one depth, each norm at its own learning rate."""
    window, steps = context.settings.window, context.settings.steps
    return trained(runs, context, evaluate_at=range(window, steps + 1, window))


def run_quality(runs: pd.DataFrame, context, **how) -> pd.DataFrame:
    """One norm in plain or in pre-norm residual networks: loss and error on all training and all test examples."""
    data = context.dataset("mnist1d")
    sets = {"train": Data.training(data), "test": Data.testing(data)}
    return trained(runs, context, evaluate=sets, hyper={"schedule": "linear"}, **how)


def run_batch(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same at one batch size, for a fixed number of updates."""
    return run_quality(runs, context, batch_size=int(runs["batch_size"].iloc[0]))


run_timing_compiled = run_timing_gpu = run_timing
