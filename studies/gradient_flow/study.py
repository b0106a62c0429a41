"""Gradient flow: what a stack of layers does to the gradient, and which activations survive it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from matplotlib import patheffects
from matplotlib.figure import Figure

from claimcheck.figures import style
from claimcheck.engine import depth_profile, measure, networks
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data, classification, train
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import backward_slope, bend, expected_slope, slope, table

ACTIVATIONS = ["relu", "tanh", "swish", "gelu", "sigmoid", "linear"]
LOOKS = style.looks(ACTIVATIONS)
LOG_CLASSES = math.log(10.0)


# --- slopes: gradients of untrained networks -------------------------------------------------------------------------


def run_slopes(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Mean squared delta of every layer of square networks (claimcheck.engine.depth_profile)."""
    return depth_profile.run(runs, context)


def slope_error(activation: str, variances: list[float]) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: measured slope less ln chi_1, mean over `variances` (for ReLU they differ by rounding alone)."""

    def statistic(records: pd.DataFrame) -> pd.Series:
        errors = [
            backward_slope(table(records, activation, variance)) - math.log(mean_field.chi_1(activation, variance))
            for variance in variances
        ]
        return sum(errors) / len(errors)

    return statistic


RELU_VARIANCES = [1 / 3, 1.0, 2.0, 3.0]
slope_error_relu = slope_error("relu", RELU_VARIANCES)
slope_error_tanh_half = slope_error("tanh", [0.5])
slope_error_tanh_2 = slope_error("tanh", [2.0])
slope_error_tanh_4 = slope_error("tanh", [4.0])
slope_error_swish_1 = slope_error("swish", [1.0])
slope_error_swish_2 = slope_error("swish", [2.0])
slope_error_swish_4 = slope_error("swish", [4.0])
slope_error_gelu_4 = slope_error("gelu", [4.0])
slope_error_sigmoid_1 = slope_error("sigmoid", [1.0])
slope_error_sigmoid_4 = slope_error("sigmoid", [4.0])


def slope_at(activation: str, variance: float) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: change of ln delta per layer on its way back."""
    return lambda records: backward_slope(table(records, activation, variance))


def factor_at(activation: str, variance: float, sign: int = 1) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: by what the mean squared delta is multiplied (sign -1: divided) per layer on its way back."""
    return lambda records: np.exp(sign * backward_slope(table(records, activation, variance)))


slope_relu_he = slope_at("relu", 2.0)
slope_tanh_4 = slope_at("tanh", 4.0)
factor_relu_xavier = factor_at("relu", 1.0)
factor_relu_pytorch = factor_at("relu", 1 / 3, -1)
factor_swish_he = factor_at("swish", 2.0, -1)


CONSTANT = {"relu": [2.0], "tanh": [0.5, 2.0, 4.0], "swish": [1.0, 2.0, 4.0], "gelu": [4.0], "sigmoid": [1.0, 4.0]}


def bend_constant_factor(records: pd.DataFrame) -> pd.Series:
    """Bend of ln delta against depth, mean over the cells with a constant factor (ReLU once)."""
    present = set(zip(records["activation"], records["weight_variance"].round(3)))
    cells = [(activation, variance) for activation, variances in CONSTANT.items() for variance in variances]
    bends = [bend(table(records, *cell)) for cell in cells if cell in present]
    return sum(bends) / len(bends)


def bend_tanh_critical(records: pd.DataFrame) -> pd.Series:
    """Bend of ln delta against depth for tanh at sigma_w^2 = 1: below 0 when the decay slows down with depth."""
    return bend(table(records, "tanh", 1.0))


def exponent_tanh_critical(records: pd.DataFrame) -> pd.Series:
    """Exponent a of delta^2 ~ layer^a (layers counted from the input), tanh at sigma_w^2 = 1."""
    logs = table(records, "tanh", 1.0)
    return slope(logs.set_axis(np.log(logs.columns.to_numpy(dtype=float)), axis=1))


# --- saturation, exact facts, dead networks: no training -------------------------------------------------------------


def run_saturation(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Slope and saturation of tanh units, layer by layer, in untrained networks whose inputs have unit mean square."""
    width = context.settings.width

    def network(run, generator):
        return networks.MLP(
            width,
            width,
            10,
            depth=context.settings.depth,
            activation="tanh",
            init=run.weight_variance,
            bias=False,
            generator=generator,
        )

    ensemble = Ensemble.build(runs, network, lambda seed: context.generator(seed, "init"), device=context.device)
    probes = torch.stack([depth_profile.probes(context, seed)["x"] for seed in runs["seed"]])
    functions = {
        "pre_activation_sd": lambda before, after: before.square().mean().sqrt(),
        "mean_slope": lambda before, after: (1.0 - after.square()).mean(),
        "saturated": lambda before, after: (after.abs() > 0.9).to(after.dtype).mean(),
    }
    return measure.layerwise(ensemble, Data({}, per_member={"x": probes.to(context.device)}), functions)


def run_exact(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Facts about the functions themselves, from torch's own modules and automatic differentiation in float64."""
    x = torch.linspace(-20.0, 20.0, 400_001, dtype=torch.float64, requires_grad=True)
    slopes = {name: torch.autograd.grad(networks.activation_of(name)(x).sum(), x)[0] for name in ACTIVATIONS[:3]}
    swish, ramp = networks.activation_of("swish"), networks.activation_of("relu")
    here, flat = x.detach(), slopes["swish"][x < 0]
    facts = {
        "tanh_peak": float(slopes["tanh"].max()),
        "tanh_tail": float(slopes["tanh"][here.abs() >= 10].max()),
        "relu_active": float((slopes["relu"][here > 0] - 1).abs().max() + 1),
        "swish_zero_slopes": float((flat == 0).double().mean()),
        "swish_right": float(swish(here[-1]) / here[-1]),
        "swish_left": float(swish(here[0]).abs()),
    }
    facts |= {
        f"swish_gap_{number}": float(beta * (swish(beta * here) / beta - ramp(here)).abs().max())
        for number, beta in enumerate(context.settings.betas)
    }
    return pd.DataFrame({"run": runs["run"], **facts})


def run_dead_law(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Share of random bias-free ReLU networks that are silent for one input, by width and depth."""
    shares = []
    for run in runs.itertuples():
        generator, count = context.generator(run.seed, "networks"), context.settings.networks
        h = torch.randn(count, run.width, 1, generator=generator)
        for _ in range(run.depth):
            weights = torch.randn(count, run.width, run.width, generator=generator)
            h = torch.relu(weights @ h)
            h = h / h.amax(1, keepdim=True).clamp_min(1e-30)
        shares.append(float((h == 0).all(1).double().mean()))
    return pd.DataFrame({"run": runs["run"], "dead": shares})


def _column(name: str, **cell) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: a column of the rows that match, by seed."""

    def statistic(records: pd.DataFrame) -> pd.Series:
        return _cell(records, **cell).set_index("seed")[name].sort_index()

    return statistic


def _cell(records: pd.DataFrame, **cell) -> pd.DataFrame:
    for name, value in cell.items():
        same = records[name] == value if isinstance(value, str) else np.isclose(records[name], value, rtol=1e-3)
        records = records[same]
    return records


tanh_peak = _column("tanh_peak")
tanh_tail = _column("tanh_tail")
relu_active = _column("relu_active")
swish_zero_slopes = _column("swish_zero_slopes")
swish_right = _column("swish_right")
swish_left = _column("swish_left")
tanh_slope_sd_3 = _column("mean_slope", layer=1, weight_variance=9.0)
dead_law_2_5 = _column("dead", width=2, depth=5)
dead_law_4_10 = _column("dead", width=4, depth=10)
dead_law_wide = _column("dead", width=16, depth=20)


def swish_gap(records: pd.DataFrame) -> pd.Series:
    """beta * sup |Swish_beta - ReLU| for the beta at which it is furthest from 0.2785."""
    gaps = records.set_index("seed")[[name for name in records if name.startswith("swish_gap_")]]
    furthest = (gaps - 0.2785).abs().to_numpy().argmax(1)
    return pd.Series(gaps.to_numpy()[np.arange(len(gaps)), furthest], index=gaps.index)


def saturation_growth(records: pd.DataFrame) -> pd.Series:
    """Least growth of the saturated share from one weight variance to the next, from 1 on, in the last layer."""
    last = records[(records["layer"] == records["layer"].max()) & (records["weight_variance"] >= 1)]
    return last.pivot(index="seed", columns="weight_variance", values="saturated").diff(axis=1).min(axis=1)


# --- training --------------------------------------------------------------------------------------------------------


def run_training(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train deep plain networks on MNIST-1D; loss on the first `judged` training examples at the end."""
    settings, data = context.settings, context.dataset("mnist1d")
    train_data = Data({"x": data.x_train, "y": data.y_train})
    judged = Data({"x": data.x_train[: settings.judged], "y": data.y_train[: settings.judged]})
    depth = int(runs["depth"].iloc[0]) if "depth" in runs else settings.depth

    def network(run, generator):
        return networks.MLP(
            40,
            settings.width,
            10,
            depth=depth,
            activation=run.activation,
            init=run.weight_variance,
            generator=generator,
        )

    fixed = {"learning_rate": settings["learning_rate"]} if "learning_rate" in settings else {}
    return train(
        runs,
        context,
        network=network,
        data=train_data,
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        hyper=fixed,
        evaluate={"train": (judged, classification)},
    ).records


run_explosion = run_adaptive = run_map = run_training


def run_dead(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by SGD at one learning rate a run, then count the units that pass no gradient for any training example.

    A unit counts as dead when |phi'| < 0.01 on every example: for ReLU that is "never active", for Swish a
    pre-activation that stays below about -6.6 (or on the one root of its slope).
    """
    settings, data = context.settings, context.dataset("mnist1d")
    train_data, test_data = Data({"x": data.x_train, "y": data.y_train}), Data({"x": data.x_test, "y": data.y_test})
    trained = train(
        runs,
        context,
        network=_shallow(settings, 40),
        data=train_data,
        steps=settings.steps,
        batch_size=settings.batch_size,
        evaluate={"train": (train_data, classification), "test": (test_data, classification)},
    )
    flat = {"relu": lambda x: (x > 0).to(x.dtype), "swish": lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x))}
    derivative = flat[runs["activation"].iloc[0]]
    dead_share = {"dead": lambda before, after: (derivative(before).abs().amax(0) < 0.01).to(before.dtype).mean()}
    dead = measure.layerwise(trained.ensemble, train_data, dead_share)
    records = trained.records.merge(dead.groupby("run", as_index=False)["dead"].mean(), on="run")
    return records.assign(dead=records["dead"].where(records["status"] == "ok"))


def _shallow(settings, inputs: int) -> Callable:
    def network(run, generator):
        init = "he" if run.activation in ("relu", "swish", "gelu") else "xavier"
        return networks.MLP(
            inputs, settings.width, 10, depth=settings.depth, activation=run.activation, init=init, generator=generator
        )

    return network


def run_accuracy(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with Adam; the learning rate is chosen on the last fifth of the training examples, which stay unseen."""
    settings, data = context.settings, context.dataset(runs["dataset"].iloc[0]).flat()
    seen = int(0.8 * min(len(data.y_train), settings.examples))
    rows = {"train": slice(0, seen), "valid": slice(seen, round(seen / 0.8))}
    pools = {name: Data({"x": data.x_train[cut], "y": data.y_train[cut]}) for name, cut in rows.items()}
    pools["test"] = Data({"x": data.x_test, "y": data.y_test})
    return train(
        runs,
        context,
        network=_shallow(settings, data.x_train.shape[1]),
        data=pools["train"],
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer="adam",
        evaluate={name: (pool, classification) for name, pool in pools.items()},
    ).records


def run_fit(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Fit a small subset of MNIST-1D, another one for each seed, by full-batch Adam."""
    settings, data = context.settings, context.dataset("mnist1d")
    picks = [
        torch.randperm(len(data.y_train), generator=context.generator(seed, "subset"))[: settings.examples]
        for seed in runs["seed"]
    ]
    pool = Data({"x": data.x_train, "y": data.y_train}, subset=torch.stack(picks).to(context.device))
    return train(
        runs,
        context,
        network=_shallow(settings, 40),
        data=pool,
        steps=settings.steps,
        optimizer="adam",
        evaluate={"train": (pool, classification)},
    ).records


run_images = run_accuracy


def _relative_loss(activation: str, variance: float) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: final loss over ln 10; infinite where the run diverged."""

    def statistic(records: pd.DataFrame) -> pd.Series:
        rows = _cell(records, activation=activation, weight_variance=variance).set_index("seed").sort_index()
        return (rows["train_loss"] / LOG_CLASSES).where(rows["status"] == "ok", np.inf).fillna(np.inf)

    return statistic


loss_tanh_critical = _relative_loss("tanh", 1.0)
loss_tanh_fading = _relative_loss("tanh", 0.7)
loss_tanh_exploding = _relative_loss("tanh", 16.0)


def distance_from_chance(records: pd.DataFrame) -> pd.Series:
    """Largest |loss / ln 10 - 1| over the cells with chi_1 = 1/4."""
    cells = [_relative_loss(*cell)(records) for cell in (("relu", 0.5), ("tanh", 0.25))]
    return pd.concat([(cell - 1).abs() for cell in cells], axis=1).max(axis=1)


def distance_tanh_fading(records: pd.DataFrame) -> pd.Series:
    """|loss / ln 10 - 1| with chi_1 = 0.7 (tanh)."""
    return (loss_tanh_fading(records) - 1).abs()


def failed_relu(records: pd.DataFrame) -> pd.Series:
    """1 where the run with chi_1 = 2 (ReLU) ended non-finite or above ln 10."""
    return (_relative_loss("relu", 4.0)(records) > 1).astype(float)


ORDINARY = 0.1


def _dead_table(records: pd.DataFrame, activation: str) -> pd.DataFrame:
    """Dead share by seed and learning rate; 1 for a run that diverged."""
    rows = _cell(records, activation=activation)
    return rows.fillna({"dead": 1.0}).pivot(index="seed", columns="learning_rate", values="dead").sort_index(axis=1)


def _works(records: pd.DataFrame, activation: str) -> pd.DataFrame:
    """Whether a run ended finite and below ln 10, by seed and learning rate; the lowest rate counts as working."""
    rows = _cell(records, activation=activation)
    rows = rows.assign(works=(rows["status"] == "ok") & (rows["train_loss"] < LOG_CLASSES))
    works = rows.pivot(index="seed", columns="learning_rate", values="works").sort_index(axis=1)
    works.iloc[:, 0] = True
    return works


def dead_near_divergence(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU at the largest learning rate at which the seed did not fail."""
    return _dead_table(records, "relu").where(_works(records, "relu")).ffill(axis=1).iloc[:, -1]


def dead_ordinary(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU at learning rate 0.1."""
    return _dead_table(records, "relu")[ORDINARY]


def dead_rise(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU near divergence less that at learning rate 0.1."""
    return dead_near_divergence(records) - dead_ordinary(records)


def swish_less_tenth_of_relu(records: pd.DataFrame) -> pd.Series:
    """Dead share of Swish less a tenth of ReLU's, mean over the learning rates at which neither run failed."""
    difference = _dead_table(records, "swish") - 0.1 * _dead_table(records, "relu")
    return difference.where(_works(records, "swish") & _works(records, "relu")).mean(axis=1)


def _accuracy_gain(dataset: str) -> Callable[[pd.DataFrame], pd.Series]:
    def statistic(records: pd.DataFrame) -> pd.Series:
        error = _cell(records, dataset=dataset).pivot(index="seed", columns="activation", values="test_error")
        return 100 * (error["relu"] - error["swish"])

    return statistic


gain_digits = _accuracy_gain("digits")
gain_mnist1d = _accuracy_gain("mnist1d")
gain_fashion = _accuracy_gain("fashion_mnist")


def worst_fit(records: pd.DataFrame) -> pd.Series:
    """Lowest training accuracy over the nonlinear activations."""
    accuracy = 1 - records.pivot(index="seed", columns="activation", values="train_error").fillna(1.0)
    return accuracy.drop(columns="linear").min(axis=1)


def linear_fit(records: pd.DataFrame) -> pd.Series:
    """Training accuracy of the network without a nonlinearity."""
    rows = _cell(records, activation="linear").set_index("seed").sort_index()
    return 1 - rows["train_error"].fillna(1.0)


# --- figures ---------------------------------------------------------------------------------------------------------


def plot_slopes(records: pd.DataFrame) -> Figure:
    """Measured slope against the finite-depth product, on the diagonal."""
    figure, axis = style.figure(height=3.4)
    depth = int(records["layer"].max())
    for activation in ACTIVATIONS[:5]:
        cells = sorted(records.loc[records["activation"] == activation, "weight_variance"].unique())
        slopes = [backward_slope(table(records, activation, variance)) for variance in cells]
        if cells:
            x = [expected_slope(activation, variance, depth) for variance in cells]
            error = [1.96 * values.std() / math.sqrt(len(values)) for values in slopes]
            look = {**LOOKS[activation], "linestyle": ""}
            axis.errorbar(x, [values.mean() for values in slopes], error, capsize=2, label=activation, **look)
    ends = np.array(axis.get_xlim())
    style.theory(axis, ends, ends, label="theory = measured")
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    style.legend(axis)
    style.count(axis, records)
    axis.set(xlabel="mean-field slope / nats per layer", ylabel="measured slope / nats per layer")
    return figure


def plot_depth_profile(records: pd.DataFrame) -> Figure:
    """ln delta by layer, relative to the last layer, beside theory."""
    figure, axes = style.figure(1, 2, height=3.2, sharey=True)
    depth = int(records["layer"].max())
    logs = records.assign(log_delta=np.log(records["delta"]))
    last = logs[logs["layer"] == depth].set_index("run")["log_delta"]
    logs["log_delta"] -= logs["run"].map(last)
    he = logs[np.isclose(logs["weight_variance"], 2.0)]
    tanh = logs[logs["activation"] == "tanh"]
    shades = style.looks(sorted(tanh["weight_variance"].unique()))
    for axis, rows, by, looks in ((axes[0], he, "activation", LOOKS), (axes[1], tanh, "weight_variance", shades)):
        style.curves(axis, rows, x="layer", y="log_delta", by=by, looks=looks)
        for activation, variance in rows[["activation", "weight_variance"]].drop_duplicates().itertuples(index=False):
            style.theory(axis, range(1, depth + 1), mean_field.log_gradients(activation, variance, depth))
        style.legend(axis, outside=False, fontsize=7.5)
        axis.set(xlabel="layer (1 = next to the input)")
    axes[0].set(title=r"at $\sigma_w^2 = 2$", ylabel="ln of squared gradient, relative / nats")
    axes[1].set(title=r"tanh, by $\sigma_w^2$")
    style.count(axes[1], records)
    return figure


def plot_training(records: pd.DataFrame) -> Figure:
    """Final loss of every run, by network."""
    rows = records.assign(loss=records["train_loss"].clip(upper=3.0).where(records["status"] == "ok", 3.0))
    names = {}
    for activation, variance in rows[["activation", "weight_variance"]].drop_duplicates().itertuples(index=False):
        names[activation, variance] = mean_field.chi_1(activation, variance)
    order = sorted(names, key=lambda cell: names[cell])
    label = {cell: f"{cell[0]} {cell[1]:g}\nχ₁ = {names[cell]:.2f}" for cell in order}
    rows["network"] = [label[cell] for cell in zip(rows["activation"], rows["weight_variance"])]
    figure, axis = style.figure(height=2.8)
    levels = [label[cell] for cell in order]
    looks = {label[cell]: LOOKS[cell[0]] for cell in order}
    style.points(axis, rows, x="network", y="loss", levels=levels, looks=looks)
    style.theory(axis, None, LOG_CLASSES, label="guessing, ln 10")
    style.legend(axis, outside=False, loc="upper left")
    style.count(axis, records, place="right")
    axis.set(ylabel="training loss / nats (cut at 3)", ylim=(None, 3.05))
    return figure


def plot_map(records: pd.DataFrame) -> Figure:
    """Final loss over depth and weight variance, with theory's depth scale."""
    names = [name for name in ACTIVATIONS if name in set(records["activation"])]
    figure, axes = style.figure(1, len(names), height=3.0, squeeze=False)
    capped = records.assign(loss=records["train_loss"].clip(upper=1.05 * LOG_CLASSES).fillna(1.05 * LOG_CLASSES))
    for axis, name in zip(axes[0], names):
        grid = capped[capped["activation"] == name].pivot_table(index="depth", columns="weight_variance", values="loss")
        image = axis.imshow(
            grid, origin="lower", aspect="auto", cmap="viridis_r", vmin=capped["loss"].min(), vmax=1.05 * LOG_CLASSES
        )
        axis.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
        axis.set_yticks(range(grid.shape[0]), [f"{value:g}" for value in grid.index])
        scales = [min(6 * mean_field.depth_scale(name, value), 1e6) for value in grid.columns]
        rows = range(grid.shape[0])
        heights = np.interp(np.log(scales), np.log(grid.index), rows, left=-0.5, right=rows[-1] + 0.5)
        style.theory(
            axis,
            range(grid.shape[1]),
            heights,
            color="white",
            path_effects=[patheffects.withStroke(linewidth=2.5, foreground="black")],
        )
        axis.grid(False)
        axis.set(xlabel=r"weight variance $\sigma_w^2$ (dashed: 6 depth scales)", ylabel="depth / layers", title=name)
        style.count(axis, records)
    figure.colorbar(image, ax=axes[0].tolist(), label="training loss / nats")
    return figure


def plot_saturation(records: pd.DataFrame) -> Figure:
    """Mean slope and saturated share against the standard deviation of the pre-activations, first layer."""
    figure, axes = style.figure(1, 2, height=2.6)
    first = records[records["layer"] == 1].assign(sd=lambda rows: rows["weight_variance"] ** 0.5)
    x = np.linspace(first["sd"].min(), first["sd"].max(), 60)
    theories = {
        "mean_slope": lambda z: 1 - np.tanh(z) ** 2,
        "saturated": lambda z: (np.abs(np.tanh(z)) > 0.9).astype(float),
    }
    for axis, (column, function) in zip(axes, theories.items()):
        means = style.summary(first, "sd", column)
        axis.plot(means["sd"], means["centre"], **{**LOOKS["tanh"], "linestyle": ""}, label="measured")
        style.theory(axis, x, [mean_field.expectation(function, sd**2) for sd in x])
        axis.set(xlabel="standard deviation of pre-activations")
        style.legend(axis, outside=False)
    axes[0].set(ylabel="mean slope of tanh", ylim=(0, 1))
    axes[1].set(ylabel="share with |tanh| > 0.9", ylim=(0, 1))
    style.count(axes[1], records)
    return figure


def plot_dead_units(records: pd.DataFrame) -> Figure:
    """Dead share and loss against the learning rate."""
    figure, axes = style.figure(1, 2, height=2.8)
    rows = records.assign(train_loss=records["train_loss"].clip(upper=4.0), dead=100 * records["dead"])
    style.curves(axes[0], rows, x="learning_rate", y="dead", by="activation", looks=LOOKS, within=(0, 100))
    style.curves(axes[1], rows, x="learning_rate", y="train_loss", by="activation", looks=LOOKS)
    style.theory(axes[1], None, LOG_CLASSES, label="guessing, ln 10")
    axes[0].set(xlabel="learning rate", ylabel="dead units / %", xscale="log")
    axes[1].set(xlabel="learning rate", ylabel="training loss / nats", xscale="log")
    style.legend(axes[1])
    style.count(axes[1], records)
    return figure


def plot_dead_law(records: pd.DataFrame) -> Figure:
    """Share of silent networks by width, a curve for each depth."""
    figure, axis = style.figure(height=2.8)
    depths, widths = sorted(records["depth"].unique()), np.linspace(records["width"].min(), records["width"].max(), 80)
    means = style.summary(records, "width", "dead", "depth")
    for depth, look in style.looks(depths).items():
        rows = means[means["depth"] == depth]
        error = [rows["centre"] - rows["low"], rows["high"] - rows["centre"]]
        axis.errorbar(rows["width"], rows["centre"], error, **{**look, "linestyle": ""}, label=f"depth {depth:g}")
        style.theory(axis, widths, [mean_field.dead_network(width, depth) for width in widths])
    style.legend(axis)
    style.count(axis, records)
    axis.set(xlabel="width / units", ylabel="share of silent networks")
    return figure
