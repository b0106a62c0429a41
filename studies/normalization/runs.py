"""Plain ReLU networks on MNIST-1D without a norm and with each norm before every ReLU, and the norms by themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure
from claimcheck.engine.context import Settings
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import MLP, norm_of
from claimcheck.engine.train import Data, classification, train

from .norm_timing import measured

CLASSES = 10


def mnist1d(context) -> tuple[Data, Data]:
    """Training and test examples."""
    data = context.dataset("mnist1d")
    return Data({"x": data.x_train, "y": data.y_train}), Data({"x": data.x_test, "y": data.y_test})


def network_of(width: int, depth: int, residual: str | None = None):
    """Maker of a run's network; `run.norm` and, where there is one, `run.gain` are the run's own."""

    def network(run, generator):
        gain = float(getattr(run, "gain", 1.0))
        return MLP(40, width, CLASSES, depth=depth, norm=run.norm, residual=residual, gain=gain, generator=generator)

    return network


def run_facts(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Statistics of each norm's output before its affine part, in float64, on inputs of arbitrary scale and offset."""
    settings, rows = context.settings, []
    for run in runs.itertuples(index=False):
        draws = context.generator(run.seed, "facts")
        scale, offset = (torch.randn(settings.features, generator=draws).double() for _ in range(2))
        x = torch.randn((settings.batch, settings.features), generator=draws).double()
        x = x * (2.0 + scale.abs()) + 3.0 + 2.0 * offset
        module = norm_of(run.norm, settings.features).double().train()
        y = module(x).detach()
        facts = {
            "neuron_mean": y.mean(0).abs().max(),
            "neuron_variance": (y.var(0, unbiased=False) - 1.0).abs().max(),
            "sample_mean": y.mean(1).abs().max(),
            "sample_variance": (y.var(1, unbiased=False) - 1.0).abs().max(),
            "sample_square": (y.square().mean(1) - 1.0).abs().max(),
            "least_sample_mean": y.mean(1).abs().mean(),
            **at_test_time(module, x, y),
        }
        rows.append({"run": run.run, **{name: float(value) for name, value in facts.items()}})
    return pd.DataFrame(rows)


def at_test_time(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor | float]:
    """After one training batch: how far eval mode is from train mode, and from the running statistics' formula."""
    found = module.eval()(x).detach()
    change = (found - y).abs().max()
    if not isinstance(module, torch.nn.BatchNorm1d):
        return {"eval_change": change, "running_error": 0.0}
    mean, variance = 0.1 * x.mean(0), 0.9 + 0.1 * x.var(0, unbiased=True)
    expected = (x - mean) / torch.sqrt(variance + module.eps)
    return {"eval_change": change, "running_error": (found - expected).abs().max()}


def run_signal(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Scale of activations and of gradients by layer before training, in float64."""
    settings, (data, _) = context.settings, mnist1d(context)
    probe = Data({"x": data.shared["x"][: settings.examples].double(), "y": data.shared["y"][: settings.examples]})
    network, tables = network_of(settings.width, settings.depth), []
    for _, group in runs.groupby("seed"):
        fresh = Ensemble.build(
            group, network, lambda seed: context.generator(seed, "init"), device=context.device, dtype=torch.float64
        )
        found = measure.signals(fresh, probe)
        tables.append(found[["run", "layer"]].assign(
            log_activation=np.log(found["activation"]) / 2, log_gradient=np.log(found["delta"])
        ))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def trained(runs: pd.DataFrame, context, residual: str | None = None, evaluated: bool = False, **how) -> pd.DataFrame:
    """Records of training by SGD; where `evaluated`, loss and error on all training and on all test examples are added.

    Depth and batch size are the part's settings or, where they vary, its static factors.
    """
    said, (data, test) = Settings({**context.settings, **runs.iloc[0]}), mnist1d(context)
    sets = {"train": (data, classification), "test": (test, classification)}
    return train(
        runs, context, network=network_of(said.width, int(said.depth), residual), data=data, steps=said.steps,
        batch_size=int(said.batch_size), batch_loss_window=said.get("window", 0), evaluate=sets if evaluated else {},
        **how,
    ).records  # fmt: skip


def run_grid(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Final train loss for one norm, over initial gains and learning rates."""
    return trained(runs, context)


run_init = run_grid


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train loss by update at one depth, each norm at its own learning rate."""
    window, steps = context.settings.window, context.settings.steps
    return trained(runs, context, evaluate_at=range(window, steps + 1, window))


def run_batch(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train and test at one batch size, for a fixed number of updates; `batch_loss` is the loss in train mode."""
    return trained(runs, context, evaluated=True, hyper={"schedule": "linear"})


def run_quality(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Layer norm against RMS norm in plain and in pre-norm residual networks, trained longer."""
    residual = {"plain": None, "residual": "pre_norm"}[runs["architecture"].iloc[0]]
    return trained(runs, context, residual, evaluated=True, hyper={"schedule": "linear"})


def run_timing(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Time of forward and backward passes of both norms on the CPU, measured in turn."""
    return measured(runs, context, torch.device("cpu"))


run_timing_compiled = run_timing


def run_timing_gpu(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same on a GPU."""
    return measured(runs, context, context.device)
