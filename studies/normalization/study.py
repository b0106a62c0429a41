"""Normalisation: what batch, layer and RMS norm compute, and what that does to signals, speed, initialisation and cost.

Plain ReLU networks on MNIST-1D, and the same with each norm before every ReLU. Timings are in `claimcheck.engine.norm_timing`.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.figures import style
from claimcheck.engine import measure, norm_timing
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import MLP, norm_of
from claimcheck.engine.train import Data, classification, train

CLASSES = 10
CHANCE = math.log(CLASSES)
NORMS = ("none", "batch", "layer", "rms")
LABELS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm", "rms": "RMS norm"}
LOOKS = style.looks(NORMS)
BATCH_NORM_GROWTH = math.log(math.pi / (math.pi - 1.0))
"""Nats per layer by which |delta|^2 grows toward the input of a wide ReLU network with batch norm and large batches.

Examples decorrelate, so a pre-activation's variance over the batch is sigma_w^2 (E relu^2 - (E relu)^2) = sigma_w^2 (1/2 - 1/(2 pi));
the gradient's mean square is multiplied by sigma_w^2 / 2 and divided by that variance (compare Yang et al. 2019).
"""


# ---------------------------------------------------------------- runs


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
        shape = (settings.batch, settings.features)
        scale, offset = (torch.randn(settings.features, generator=draws).double() for _ in range(2))
        x = torch.randn(shape, generator=draws).double() * (2.0 + scale.abs()) + 3.0 + 2.0 * offset
        module = norm_of(run.norm, settings.features).double().train()
        y = module(x).detach()
        facts = {
            "neuron_mean": y.mean(0).abs().max(),
            "neuron_variance": (y.var(0, unbiased=False) - 1.0).abs().max(),
            "sample_mean": y.mean(1).abs().max(),
            "sample_variance": (y.var(1, unbiased=False) - 1.0).abs().max(),
            "sample_square": (y.square().mean(1) - 1.0).abs().max(),
            "least_sample_mean": y.mean(1).abs().mean(),
        }
        rows.append({"run": run.run, **{k: float(v) for k, v in facts.items()}, **at_test_time(module, x, y)})
    return pd.DataFrame(rows)


def at_test_time(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, float]:
    """After one training batch: how far eval mode is from train mode, and from the running statistics' formula."""
    module.eval()
    found = module(x).detach()
    if not isinstance(module, torch.nn.BatchNorm1d):
        return {"eval_change": float((found - y).abs().max()), "running_error": 0.0}
    mean, variance = 0.1 * x.mean(0), 0.9 + 0.1 * x.var(0, unbiased=True)
    expected = (x - mean) / torch.sqrt(variance + module.eps)
    return {
        "eval_change": float((found - y).abs().max()),
        "running_error": float((found - expected).abs().max()),
    }


def run_signal(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Scale of activations and of gradients by layer before training, in float64."""
    settings, (data, _) = context.settings, mnist1d(context)
    probe = {"x": data.shared["x"][: settings.examples].double(), "y": data.shared["y"][: settings.examples]}
    network, tables = network_of(settings.width, settings.depth), []
    for _, group in runs.groupby("seed"):
        fresh = Ensemble.build(
            group, network, lambda seed: context.generator(seed, "init"), device=context.device, dtype=torch.float64
        )
        found = measure.signals(fresh, Data(probe))
        tables.append(found[["run", "layer"]].assign(
            log_activation=np.log(found["activation"]) / 2, log_gradient=np.log(found["delta"])
        ))  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def run_grid(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Final train loss on the grid of learning rates and initial gains, for one norm."""
    settings, (data, _) = context.settings, mnist1d(context)
    return train(
        runs, context, network=network_of(settings.width, settings.depth), data=data, steps=settings.steps,
        batch_size=settings.batch_size, batch_loss_window=settings.window,
    ).records  # fmt: skip


run_init = run_grid


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train loss by update at one depth, each norm at its own learning rate."""
    settings, (data, _) = context.settings, mnist1d(context)
    return train(
        runs, context, network=network_of(settings.width, int(runs["depth"].iloc[0])), data=data,
        steps=settings.steps, batch_size=settings.batch_size, batch_loss_window=settings.window,
        evaluate_at=range(settings.window, settings.steps + 1, settings.window),
    ).records  # fmt: skip


def run_batch(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train and test at one batch size, for a fixed number of updates; `batch_loss` is the loss in train mode."""
    settings, (data, test) = context.settings, mnist1d(context)
    return train(
        runs, context, network=network_of(settings.width, settings.depth), data=data, steps=settings.steps,
        batch_size=int(runs["batch_size"].iloc[0]), hyper={"schedule": "linear"}, batch_loss_window=settings.window,
        evaluate={"train": (data, classification), "test": (test, classification)},
    ).records  # fmt: skip


def run_quality(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Layer norm against RMS norm in plain and in pre-norm residual networks, trained longer."""
    settings, (data, test) = context.settings, mnist1d(context)
    residual = {"plain": None, "residual": "pre_norm"}[runs["architecture"].iloc[0]]
    return train(
        runs, context, network=network_of(settings.width, settings.depth, residual), data=data, steps=settings.steps,
        batch_size=settings.batch_size, hyper={"schedule": "linear"},
        evaluate={"train": (data, classification), "test": (test, classification)},
    ).records  # fmt: skip


def run_timing(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Time of forward and backward passes of both norms on the CPU, measured in turn."""
    return norm_timing.measured(runs, context, torch.device("cpu"))


run_timing_compiled = run_timing


def run_timing_gpu(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same on a GPU."""
    return norm_timing.measured(runs, context, context.device)


# ---------------------------------------------------------------- statistics: records -> one number per seed


def fact(records: pd.DataFrame, norm: str, columns: tuple[str, ...]) -> pd.Series:
    """Largest of some columns for one norm."""
    return records[records["norm"] == norm].set_index("seed")[list(columns)].max(axis=1)


batch_norm_error = partial(fact, norm="batch", columns=("neuron_mean", "neuron_variance"))
layer_norm_error = partial(fact, norm="layer", columns=("sample_mean", "sample_variance"))
rms_norm_error = partial(fact, norm="rms", columns=("sample_square",))
batch_norm_running_error = partial(fact, norm="batch", columns=("running_error",))
batch_norm_eval_change = partial(fact, norm="batch", columns=("eval_change",))
rms_norm_mean = partial(fact, norm="rms", columns=("least_sample_mean",))


def spread(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """Range over initial gains of a column, per seed (rows) and norm (columns)."""
    return records.groupby(["seed", "norm"])[column].agg(np.ptp).unstack("norm")


def shrinkage(spreads: pd.DataFrame) -> pd.Series:
    """Largest spread among the norms relative to that without one."""
    return spreads[[norm for norm in NORMS[1:] if norm in spreads]].max(axis=1) / spreads["none"]


def activation_spread(records: pd.DataFrame) -> pd.Series:
    """Spread over gains of the last layer's log activation scale, worst norm / none."""
    return shrinkage(spread(records[records["layer"] == records["layer"].max()], "log_activation"))


def gradient_slopes(records: pd.DataFrame) -> pd.DataFrame:
    """Nats per layer by which |delta|^2 grows toward the input, between the outer fifths; one row per run."""
    last = int(records["layer"].max())
    first = 1 + last // 5
    table = records.pivot(index="run", columns="layer", values="log_gradient")
    slopes = (table[first] - table[last]) / (last - first)
    return records.drop_duplicates("run")[["run", "seed", "norm", "gain"]].assign(
        slope=lambda runs: runs["run"].map(slopes)
    )


def gradient_spread(records: pd.DataFrame) -> pd.Series:
    """Spread over gains of the log gradient's slope, worst norm / none."""
    return shrinkage(spread(gradient_slopes(records), "slope"))


def batch_norm_explosion(records: pd.DataFrame) -> pd.Series:
    """Slope of log |delta|^2 toward the input with batch norm at gain 1."""
    slopes = gradient_slopes(records)
    return slopes[(slopes["norm"] == "batch") & (slopes["gain"] == 1)].set_index("seed")["slope"]


def final_loss(records: pd.DataFrame) -> pd.Series:
    """Train loss at the end, at most that of guessing; a diverged run is worth guessing."""
    return records["batch_loss"].fillna(CHANCE).clip(upper=CHANCE)


def basin_share(records: pd.DataFrame) -> pd.DataFrame:
    """Share of the cells (learning rate x gain) within 0.2 nats of the norm's best, per seed and norm."""
    table = records.assign(loss=final_loss(records))
    best = table.groupby(["seed", "norm"])["loss"].transform("min")
    near = (table["loss"] <= best + 0.2) & (table["loss"] < CHANCE - 0.2)
    return near.groupby([table["seed"], table["norm"]]).mean().unstack("norm")


def wider_basin(records: pd.DataFrame, norm: str) -> pd.Series:
    """Share of good cells with a norm minus that without."""
    shares = basin_share(records)
    return shares[norm] - shares["none"]


wider_basin_batch = partial(wider_basin, norm="batch")
wider_basin_layer = partial(wider_basin, norm="layer")
wider_basin_rms = partial(wider_basin, norm="rms")


def gain_range(records: pd.DataFrame, norm: str) -> pd.Series:
    """Range of the final loss over initial gains, with a norm / without."""
    ranges = spread(records.assign(loss=final_loss(records)), "loss")
    same = (ranges[norm] == 0) & (ranges["none"] == 0)  # nothing learns at any gain, or all alike: nothing gained
    return (ranges[norm] / ranges["none"]).mask(same, 1.0)


gain_range_batch = partial(gain_range, norm="batch")
gain_range_layer = partial(gain_range, norm="layer")
gain_range_rms = partial(gain_range, norm="rms")


def updates_ratio(records: pd.DataFrame, norm: str, depth: str = "deep") -> pd.Series:
    """Updates to the loss at which the network without norm ends, relative to all its updates; infinite if never.

    The target is each seed's own; the loss is a mean over `window` updates.
    """
    chosen = records["depth"].max() if depth == "deep" else records["depth"].min()
    rows = records[records["depth"] == chosen].assign(loss=lambda table: final_loss(table))
    table = rows.pivot(index=["seed", "norm"], columns="step", values="loss").sort_index(axis=1)
    target = table.xs("none", level="norm").iloc[:, -1]
    reached = table.xs(norm, level="norm").le(target, axis=0)
    return (reached.idxmax(axis=1) / table.columns[-1]).where(reached.any(axis=1), np.inf)


updates_ratio_batch = partial(updates_ratio, norm="batch")
updates_ratio_layer = partial(updates_ratio, norm="layer")
updates_ratio_rms = partial(updates_ratio, norm="rms")
updates_ratio_shallow = partial(updates_ratio, norm="batch", depth="shallow")


def handicap(records: pd.DataFrame, column: str, worst: float) -> pd.DataFrame:
    """Batch norm minus layer norm of a column, per seed and batch size; a diverged run counts as `worst`."""
    table = records.assign(value=records[column].fillna(worst).clip(upper=worst))
    table = table.pivot(index="seed", columns=["norm", "batch_size"], values="value")
    return table["batch"] - table["layer"]


def small_batch_handicap(records: pd.DataFrame) -> pd.Series:
    """Test error batch norm - layer norm, mean over batch sizes of 4 and less."""
    table = handicap(records, "test_error", 1.0)
    return table.loc[:, table.columns <= 4].mean(axis=1)


def large_batch_handicap(records: pd.DataFrame) -> pd.Series:
    """Test error batch norm - layer norm at the largest batch size."""
    table = handicap(records, "test_error", 1.0)
    return table[table.columns.max()]


def handicap_change(records: pd.DataFrame) -> pd.Series:
    """How much larger batch norm's handicap is at small batches than at the largest."""
    return small_batch_handicap(records) - large_batch_handicap(records)


def eval_beyond_train_mode(records: pd.DataFrame) -> pd.Series:
    """Handicap in train loss at the smallest batch: eval mode minus twice that in train mode."""
    evaluated, trained = (handicap(records, column, 2 * CHANCE) for column in ("train_loss", "batch_loss"))
    return (evaluated - 2.0 * trained)[evaluated.columns.min()]


def rms_quality(records: pd.DataFrame) -> pd.Series:
    """Test error RMS norm - layer norm, mean over architectures."""
    table = records.assign(error=records["test_error"].fillna(1.0))
    table = table.groupby(["seed", "norm"])["error"].mean().unstack("norm")
    return table["rms"] - table["layer"]


def log_time_ratio(records: pd.DataFrame, kernel: str) -> pd.Series:
    """log of the time of RMS norm / layer norm, mean over shapes, for one way to compute them."""
    return records[records["kernel"] == kernel].groupby("seed")["log_ratio"].mean()


time_ratio_primitives = partial(log_time_ratio, kernel="primitives")
time_ratio_fused = partial(log_time_ratio, kernel="fused")
time_ratio_compiled = partial(log_time_ratio, kernel="compiled")


# ---------------------------------------------------------------- figures


def plot_signal(records: pd.DataFrame):
    """Gradient by layer before training at every gain, one panel per norm."""
    figure, axes = style.figure(2, 2, height=4.4, sharex=True, sharey=True)
    gains = sorted(records["gain"].unique())
    looks, last = style.looks(gains), int(records["layer"].max())
    rows = records.assign(decades=records["log_gradient"] / 2 / math.log(10))
    for axis, norm in zip(axes.flat, NORMS, strict=True):
        own = rows[rows["norm"] == norm]
        labels = {gain: f"gain {gain:g}" for gain in gains}
        style.curves(axis, own, x="layer", y="decades", by="gain", looks=looks, labels=labels, marks=5)
        axis.set_title(LABELS[norm])
        if norm == "batch":
            end = own[(own["layer"] == last) & (own["gain"] == 1)]["decades"].mean()
            layers = np.arange(1, last + 1)
            theory = end + BATCH_NORM_GROWTH / 2 / math.log(10) * (last - layers)
            style.theory(axis, layers, theory, label="theory, gain 1")
            style.legend(axis)
            style.count(axis, records)
    for axis in axes[1]:
        axis.set(xlabel="layer")
    for axis in axes[:, 0]:
        axis.set(ylabel="gradient (RMS), log10")
    return figure


def plot_basins(records: pd.DataFrame):
    """Final train loss against learning rate, a panel per initial gain."""
    gains = sorted(records["gain"].unique())
    figure, axes = style.figure(1, len(gains), height=2.9, sharey=True, squeeze=False)
    rows = records.assign(loss=final_loss(records))
    for axis, gain in zip(axes[0], gains, strict=True):
        style.curves(
            axis, rows[rows["gain"] == gain], x="learning_rate", y="loss", by="norm", looks=LOOKS, labels=LABELS
        )
        axis.set(xscale="log", xlabel="learning rate")
        axis.set_title(f"gain {gain:g}")
        style.theory(axis, None, CHANCE, label="guessing")
    axes[0, 0].set(ylabel="final train loss / nats")
    style.legend(axes[0, -1])
    style.count(axes[0, -1], records)
    return figure


def plot_speed(records: pd.DataFrame):
    """Train loss by update, a panel per depth, each norm at its own learning rate."""
    depths = sorted(records["depth"].unique())
    figure, axes = style.figure(1, len(depths), height=2.9, sharey=True, squeeze=False)
    rows = records.assign(loss=final_loss(records))
    for axis, depth in zip(axes[0], depths, strict=True):
        style.curves(axis, rows[rows["depth"] == depth], x="step", y="loss", by="norm", looks=LOOKS, labels=LABELS)
        axis.set(xlabel="updates")
        axis.set_title(f"{depth:.0f} layers")
    axes[0, 0].set(ylabel="train loss / nats")
    style.legend(axes[0, -1])
    style.count(axes[0, -1], records)
    return figure


def plot_batch_size(records: pd.DataFrame):
    """Test error against batch size (left), and batch norm's train loss in train and in eval mode (right)."""
    figure, axes = style.figure(1, 2, height=3.0, width_ratios=[1, 1])
    rows = records.assign(error=100.0 * records["test_error"].fillna(1.0))
    style.curves(axes[0], rows, x="batch_size", y="error", by="norm", looks=LOOKS, labels=LABELS)
    modes = {"batch_loss": "train mode", "train_loss": "eval mode"}
    looks = style.looks([(norm, mode) for norm in ("batch", "layer") for mode in modes])
    for norm in ("batch", "layer"):
        for column, mode in modes.items():
            own = rows[rows["norm"] == norm].assign(loss=rows[column].fillna(CHANCE), level=mode)
            label = {mode: f"{LABELS[norm]}, {mode}"}
            style.curves(
                axes[1], own, x="batch_size", y="loss", by="level", looks={mode: looks[norm, column]}, labels=label
            )
    sizes = sorted(records["batch_size"].unique())
    for axis in axes:
        axis.set(xscale="log", xlabel="batch size")
        axis.set_xticks(sizes, [str(size) for size in sizes])
        axis.minorticks_off()
        style.legend(axis, outside=False)
    axes[0].set(ylabel="test error / %")
    axes[1].set(ylabel="train loss / nats")
    style.count(axes[1], records)
    return figure


def plot_timing(records: pd.DataFrame):
    """Time of RMS norm relative to layer norm for every way to compute them, every repetition a dot."""
    figure, axis = style.figure(height=2.8)
    rows = records[records["part"].isin(["timing", "timing_compiled", "timing_gpu"])]
    device = {"timing": "CPU", "timing_compiled": "CPU", "timing_gpu": "GPU"}
    rows = rows.assign(
        ratio=np.exp(rows["log_ratio"].astype(float)),
        level=[f"{kernel},\n{device[part]}" for kernel, part in zip(rows["kernel"], rows["part"], strict=True)],
    )
    levels = list(dict.fromkeys(rows["level"]))
    style.points(axis, rows, x="level", y="ratio", levels=levels, average="median")
    style.theory(axis, None, 1.0, label="equal")
    axis.set(ylabel="time RMS norm / layer norm", yscale="log")
    axis.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["¼", "½", "1", "2", "4", "8"])
    axis.minorticks_off()
    style.legend(axis)
    style.count(axis, rows, "median")
    return figure
