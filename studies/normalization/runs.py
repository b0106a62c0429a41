"""ReLU networks and convolutional ones without a norm and with each norm before every ReLU; the norms by themselves."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.data.draws import draw_each
from claimcheck.engine import measure
from claimcheck.engine.curves import loss_curves
from claimcheck.engine.ensemble import Ensemble, untrained
from claimcheck.engine.networks import MLP, Cnn2d, norm_of
from claimcheck.engine.single import per_run, per_seed
from claimcheck.engine.train import Data, Trained, train

from .norm_timing import run_timing


def drawn(runs: pd.DataFrame, context, purpose: str = "data", images: bool = False) -> tuple[Data, Data]:
    """Each unit's own training and test examples, as vectors or images of mean 0 and deviation 1 over the pool.

    Images larger than 8 x 8 are halved in size.
    """
    name = str(runs["dataset"].iloc[0])
    sizes = context.settings.examples[name]
    own = draw_each(context, name, runs["seed"], train=sizes["train"], test=sizes["test"], purpose=purpose)
    mean, deviation = own.pool.x_train.mean(), own.pool.x_train.std()

    def prepared(x: torch.Tensor, y: torch.Tensor, subset: torch.Tensor) -> Data:
        x = (x - mean) / deviation
        if images:
            x = x.reshape(len(x), 1, *x.shape[-2:])
            x = F.avg_pool2d(x, 2) if x.shape[-1] > 8 else x
        return Data({"x": x if images else x.flatten(1), "y": y}, subset=subset)

    pool = own.pool
    return prepared(pool.x_train, pool.y_train, own.train), prepared(pool.x_test, pool.y_test, own.test)


def network_of(context, inputs: int):
    """Maker of a run's network; what it is like is said by the run's factors or the part's settings.

    A gain multiplies the weights before every norm, not those of the output layer, which no norm follows. Runs of one
    seed that differ in their learning rate alone start from one network, which is made once.
    """
    known: dict[tuple, MLP] = {}

    def network(run, generator):
        said = {"gain": 1.0, "architecture": "plain", "init_variance": 2.0, **context.settings, **run._asdict()}
        start = tuple(said[name] for name in ("seed", "norm", "gain", "architecture", "init_variance"))
        if start not in known:
            known[start] = made(said, generator)
        # An ensemble takes the first of its networks along to its device; what is kept stays where networks are made.
        return known[start] if str(context.device) == "cpu" else copy.deepcopy(known[start])

    def made(said, generator):
        residual = {"plain": None, "residual": "unscaled" if said["norm"] == "none" else "pre_norm"}
        network = MLP(
            inputs, said["width"], 10, depth=said["depth"], norm=said["norm"], gain=said["gain"],
            init=float(said["init_variance"]), residual=residual[said["architecture"]], generator=generator,
        )  # fmt: skip
        with torch.no_grad():
            network.output.weight /= said["gain"]
        return network

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


def probed(data: Data, count: int) -> Data:
    """The first training examples of every unit, in float64."""
    rows = data.subset[:, :count]
    return Data({}, {"x": data.shared["x"][rows].double(), "y": data.shared["y"][rows]})


@per_seed
def run_signal(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Scale of activations and of gradients by layer before training, in float64, a seed at a time."""
    data, _ = drawn(runs, context)
    network = network_of(context, data.shared["x"].shape[1])
    ensemble = untrained(runs, context, network, torch.float64)
    found = measure.signals(ensemble, probed(data, context.settings.probe))
    scales = {"log_activation": np.log(found["activation"]) / 2, "log_gradient": np.log(found["delta"])}
    return found[["run", "layer"]].assign(**scales)


def trained(runs: pd.DataFrame, context, data: Data, **how) -> Trained:
    """Networks trained on their own data; `batch_loss` is the mean over the last `window` minibatches, in train mode."""
    network = network_of(context, data.shared["x"].shape[1])
    usual = {"network": network, "batch_loss_window": context.settings.window}
    return train(runs, context, data=data, **{**usual, **how})


def run_init(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The final loss of one norm at one initial gain."""
    return trained(runs, context, drawn(runs, context)[0]).records


def run_early(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The loss after the first few updates, over a grid of learning rates."""
    return run_init(runs, context)


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train loss by update, and by the last row `updates`: how many a run took to the loss that is its data's target.

    A run that does not get there is given all updates of the part, which is too few; a run that diverges has no number.
    Also, on some training examples, what training has made of the signal (`spread`).
    """
    settings = context.settings
    data, _ = drawn(runs, context)
    network = network_of(context, data.shared["x"].shape[1])
    found = trained(runs, context, data, network=network, batch_loss_window=settings.steps)
    records = loss_curves(found, settings.window, settings.every)
    target = settings.targets[str(runs["dataset"].iloc[0])]
    there = records[records["batch_loss"] <= target].groupby("run")["step"].min()
    records = records.assign(updates=records["run"].map(there).fillna(settings.steps).astype(float))
    if settings.probe:
        start = untrained(runs, context, network)
        probe = Data(data.shared, subset=data.subset[:, : settings.probe])
        records = records.merge(spread(start, found.ensemble, probe), on="run")
    return records.assign(updates=records["updates"].where(records["status"] == "ok"))


def entering(ensemble: Ensemble, data: Data) -> pd.DataFrame:
    """Root mean square of what enters each layer's norm, or its ReLU without one, in train mode: runs by layers.

    In residual networks this is the stream.
    """
    layers = ensemble.skeleton.norms or ensemble.skeleton.activations

    def scales(predict, batch, hyper):
        found = []
        seen = lambda _, inputs: found.append(inputs[0].square().mean().sqrt())  # noqa: E731
        handles = [layer.register_forward_pre_hook(seen) for layer in layers]
        try:
            predict(batch["x"])
        finally:
            for handle in handles:
                handle.remove()
        return torch.stack(found)

    return pd.DataFrame(ensemble.map(scales, data, mode="train").cpu().numpy(), index=ensemble.runs)


def spread(before: Ensemble, after: Ensemble, probe: Data) -> pd.DataFrame:
    """Decades by which root mean squares differ, per run.

    - ``activation_decades``: after training, between the layer that has most and the one that has least of what enters
      the norm (the ReLU, where there is none);
    - ``gradient_decades``: the same of the loss's gradient with respect to what enters the ReLUs;
    - ``shift``: between after and before training, of what enters the norm or the ReLU, mean over layers, either way.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        start, end = (np.log10(entering(each, probe)) for each in (before, after))
        gradients = np.log10(measure.signals(after, probe).pivot(index="run", columns="layer", values="delta")) / 2
        decades = {
            f"{name}_decades": each.max(axis=1) - each.min(axis=1)
            for name, each in (("activation", end), ("gradient", gradients))
        }
        return pd.DataFrame({**decades, "shift": (end - start).abs().mean(axis=1)}).rename_axis("run").reset_index()


def run_batch(runs: pd.DataFrame, context) -> pd.DataFrame:
    """One norm at one batch size, for a fixed number of updates: loss and error on all training and test examples."""
    data, test = drawn(runs, context)
    sets = {"train": data, "test": test}
    return trained(runs, context, data, evaluate=sets, batch_size=int(runs["batch_size"].iloc[0])).records


def run_cnn(runs: pd.DataFrame, context) -> pd.DataFrame:
    """One norm in a convolutional network on images: error on all test examples."""
    data, test = drawn(runs, context, images=True)

    def network(run, generator):
        return Cnn2d(1, 10, generator=generator, channels=context.settings.channels, norm=run.norm)

    how = {"evaluate": {"test": test}, "batch_loss_window": context.settings.window}
    return train(runs, context, network=network, data=data, **how).records


def run_quality(runs: pd.DataFrame, context) -> pd.DataFrame:
    """One norm in plain or in pre-norm residual networks; a unit's numbers are means over its networks.

    Each network of a unit has data, weights and an order of its own; a unit of which one diverges has diverged.
    """
    tables = []
    for number in range(context.settings.networks_per_unit[str(runs["dataset"].iloc[0])]):
        data, test = drawn(runs, context, purpose=f"data {number}")
        sets, streams = {"train": data, "test": test}, f"network {number} "
        tables.append(trained(runs, context, data, evaluate=sets, streams=streams).records)
    found = pd.concat(tables)
    runs_of = found.assign(diverged=found["status"] != "ok").groupby("run", sort=False)
    columns = ["train_loss", "train_error", "test_loss", "test_error"]
    means = runs_of[columns].agg(lambda each: each.mean(skipna=False))
    status = np.where(runs_of["diverged"].any(), "diverged", "ok")
    return means.assign(status=status, step=context.settings.steps).reset_index()


run_timing_compiled = run_timing_gpu = run_timing
