"""Initialisation: the scale of the first weights, what it does to signals and to training, what normalisation forgives."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from claimcheck.figures import style
from claimcheck.engine import depth_profile, networks
from claimcheck.engine.train import Data, classification, train
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import bend, slope, table

GUESSING = math.log(10.0)
CAP = 2.0 * GUESSING
LOOKS = style.looks(["relu", "tanh"])
NORMS = ["none", "batch", "layer"]
MATCHED = {"relu": 2.0, "tanh": 1.0}
DEPTH, SHALLOW = 10, 3


def run_signal(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Mean squares of pre-activations and of gradients, by layer, of untrained networks."""
    return depth_profile.run(runs, context)


def run_training(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train plain or normalised networks on MNIST-1D; columns run, step, train_loss, train_error, status.

    Factors depth, norm and gain may be settings or absent; without a weight variance it is the activation's matched one.
    """
    settings, data = context.settings, context.dataset("mnist1d")
    first = runs.iloc[0]
    depth = int(first["depth"]) if "depth" in runs else settings.depth
    norm = first["norm"] if "norm" in runs else "none"

    def network(run, generator) -> networks.MLP:
        variance = getattr(run, "weight_variance", MATCHED[run.activation])
        return networks.MLP(
            40,
            settings.width,
            10,
            depth=depth,
            activation=run.activation,
            norm=None if norm == "none" else norm,
            init=variance,
            gain=getattr(run, "gain", 1.0),
            generator=generator,
        )

    judged = Data({"x": data.x_train[: settings.judged], "y": data.y_train[: settings.judged]})
    return train(
        runs,
        context,
        network=network,
        data=Data({"x": data.x_train, "y": data.y_train}),
        steps=settings.steps,
        batch_size=settings.batch_size,
        optimizer="momentum",
        evaluate={"train": (judged, classification, "train")},
    ).records


run_failures = run_normed = run_normed_failures = run_training


# --- signals against theory ------------------------------------------------------------------------------------------


def _layers(records: pd.DataFrame, activation: str, variance: float, column: str) -> pd.DataFrame:
    """Mean squares, a row per seed and a column per layer that counts."""
    return np.exp(table(records, activation, variance, column))


def _mean_factor(values: pd.DataFrame) -> pd.Series:
    """Mean over layers of the factor from one layer to the next, by seed."""
    return (values.iloc[:, 1:].to_numpy() / values.iloc[:, :-1]).mean(axis=1)


def _relu_variances(records: pd.DataFrame) -> list[float]:
    return sorted(records.loc[records["activation"] == "relu", "weight_variance"].unique())


def forward_ratio_relu(records: pd.DataFrame) -> pd.Series:
    """Measured over predicted factor of the signal's variance per layer, mean over the weight variances, ReLU."""
    ratios = [_mean_factor(_layers(records, "relu", v, "pre_activation")) / (v / 2) for v in _relu_variances(records)]
    return sum(ratios) / len(ratios)


def backward_ratio_relu(records: pd.DataFrame) -> pd.Series:
    """Measured over predicted factor of the squared gradient per layer on its way back, mean over variances, ReLU."""
    ratios = [
        _mean_factor(_layers(records, "relu", v, "delta").iloc[:, ::-1]) / (v / 2) for v in _relu_variances(records)
    ]
    return sum(ratios) / len(ratios)


def level_tanh_4(records: pd.DataFrame) -> pd.Series:
    """Signal's variance over theory's, mean over layers, tanh at sigma_w^2 = 4."""
    measured = _layers(records, "tanh", 4.0, "pre_activation")
    theory = mean_field.variances("tanh", 4.0, int(max(measured.columns)))
    return (measured / [theory[layer - 1] for layer in measured.columns]).mean(axis=1)


def _factor_relu(variance: float) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: factor of the signal's variance per layer, ReLU."""
    return lambda records: _mean_factor(_layers(records, "relu", variance, "pre_activation"))


factor_relu_xavier = _factor_relu(1.0)
factor_relu_he = _factor_relu(2.0)


def exponent_tanh_xavier(records: pd.DataFrame) -> pd.Series:
    """Exponent a of variance ~ layer^a, tanh at Xavier's variance."""
    logs = table(records, "tanh", 1.0, "pre_activation")
    return slope(logs.set_axis(np.log(logs.columns.to_numpy(dtype=float)), axis=1))


def bend_tanh_xavier(records: pd.DataFrame) -> pd.Series:
    """Slope of ln variance per layer over the deeper half of the layers less that over the first half."""
    return bend(table(records, "tanh", 1.0, "pre_activation"))


# --- training --------------------------------------------------------------------------------------------------------


def _losses(records: pd.DataFrame) -> pd.DataFrame:
    """Final rows with `loss`: capped at 2 ln 10, which is also what a diverged run counts as."""
    last = records[records["step"] == records["step"].max()]
    loss = last["train_loss"].where(last["status"] == "ok", np.inf).fillna(np.inf).clip(upper=CAP)
    return last.assign(loss=loss)


def _loss(records: pd.DataFrame, activation: str, variance: float) -> pd.Series:
    rows = _losses(records)
    rows = rows[(rows["activation"] == activation) & np.isclose(rows["weight_variance"], variance)]
    return rows.set_index("seed")["loss"].sort_index()


def _failed(*cells: tuple[str, float]) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: share of the cells' runs whose final loss is not at least 1 % below that of guessing."""
    return lambda records: sum((_loss(records, *cell) > 0.99 * GUESSING).astype(float) for cell in cells) / len(cells)


failed_relu_small = _failed(("relu", 0.125))
failed_relu_large = _failed(("relu", 32.0))
failed_tanh_small = _failed(("tanh", 0.0625))
failed_tanh_large = _failed(("tanh", 16.0))
failed_matched = _failed(("relu", 2.0), ("tanh", 1.0))


def mismatch_relu(records: pd.DataFrame) -> pd.Series:
    """Loss from Xavier's variance less that from He's, ReLU."""
    return _loss(records, "relu", 1.0) - _loss(records, "relu", 2.0)


def mismatch_tanh(records: pd.DataFrame) -> pd.Series:
    """Loss from He's variance less that from Xavier's, tanh."""
    return _loss(records, "tanh", 2.0) - _loss(records, "tanh", 1.0)


def gain_range(records: pd.DataFrame, activation: str, depth: int, norm: str) -> pd.Series:
    """A seed's loss at the gain that is worst for the other seeds less that at the gain best for them."""
    rows = _losses(records)
    rows = rows[(rows["activation"] == activation) & (rows["depth"] == depth) & (rows["norm"] == norm)]
    losses = rows.pivot(index="seed", columns="gain", values="loss").sort_index()
    others = losses.sum() - losses
    values, ranks = losses.to_numpy(), others.to_numpy()
    here = np.arange(len(losses))
    return pd.Series(values[here, ranks.argmax(1)] - values[here, ranks.argmin(1)], index=losses.index)


def _halved(norm: str, activation: str = "relu") -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: half the range over gains without normalisation less the range with it, depth 10."""
    return lambda records: (
        gain_range(records, activation, DEPTH, "none") / 2 - gain_range(records, activation, DEPTH, norm)
    )


halved_batch = _halved("batch")
halved_layer = _halved("layer")
halved_batch_tanh = _halved("batch", "tanh")


def _failed_at_any_gain(norm: str) -> Callable[[pd.DataFrame], pd.Series]:
    """Statistic: share of the gains at which the run's loss is not at least 1 % below guessing, ReLU."""

    def statistic(records: pd.DataFrame) -> pd.Series:
        rows = _losses(records)
        rows = rows[(rows["activation"] == "relu") & (rows["depth"] == DEPTH) & (rows["norm"] == norm)]
        return (rows["loss"] > 0.99 * GUESSING).astype(float).groupby(rows["seed"]).mean()

    return statistic


failed_batch = _failed_at_any_gain("batch")
failed_layer = _failed_at_any_gain("layer")


def left_batch(records: pd.DataFrame) -> pd.Series:
    """Range over gains that batch norm leaves, ReLU, depth 10."""
    return gain_range(records, "relu", DEPTH, "batch")


def left_layer(records: pd.DataFrame) -> pd.Series:
    """Range over gains that layer norm leaves, ReLU, depth 10."""
    return gain_range(records, "relu", DEPTH, "layer")


def shallow_range(records: pd.DataFrame) -> pd.Series:
    """Range over gains without normalisation at depth 3 less half of that at depth 10, ReLU."""
    return gain_range(records, "relu", SHALLOW, "none") - gain_range(records, "relu", DEPTH, "none") / 2


# --- figures ---------------------------------------------------------------------------------------------------------

CELLS = [("relu", 1.0), ("relu", 2.0), ("relu", 4.0), ("tanh", 1.0), ("tanh", 4.0)]
NAMES = {"relu": "ReLU", "tanh": "tanh"}


def plot_variance(records: pd.DataFrame) -> Figure:
    """Forward and backward mean squares by layer with theory."""
    figure, axes = style.figure(1, 2, height=3.0)
    depth = int(records["layer"].max())
    cells = [
        cell for cell in CELLS if ((records["activation"] == cell[0]) & (records["weight_variance"] == cell[1])).any()
    ]
    names = [f"{NAMES[a]}, {v:g}" for a, v in cells]
    looks = style.looks(names)
    for axis, column, origin in ((axes[0], "pre_activation", 1), (axes[1], "delta", depth)):
        rows = []
        for (activation, variance), name in zip(cells, names):
            mine = records[(records["activation"] == activation) & (records["weight_variance"] == variance)]
            base = mine[mine["layer"] == origin].set_index("seed")[column]
            rows.append(mine.assign(cell=name, value=np.log10(mine[column] / mine["seed"].map(base))))
        thinned = pd.concat(rows, ignore_index=True)
        thinned = thinned[thinned["layer"].isin(np.unique(np.linspace(1, depth, 9).round()))]
        style.curves(axis, thinned, x="layer", y="value", by="cell", looks=looks)
        for number, (activation, variance) in enumerate(cells):
            q = np.log(mean_field.variances(activation, variance, depth))
            theory = q - q[0] if column == "pre_activation" else mean_field.log_gradients(activation, variance, depth)
            style.theory(axis, np.arange(1, depth + 1), theory / math.log(10), label=None if number else "mean field")
    axes[0].set(xlabel="layer", ylabel="mean square, relative / log₁₀", title="signal, forward")
    axes[1].set(xlabel="layer", ylabel="mean square, relative / log₁₀", title="gradient, backward")
    style.count(axes[0], records)
    style.legend(axes[1], title="activation, σ²")
    return figure


def plot_training(records: pd.DataFrame) -> Figure:
    """Final loss by weight variance, a panel per activation."""
    figure, axes = style.figure(1, 2, height=2.8, sharey=True)
    rows = _losses(records)
    for axis, activation in zip(axes, ("relu", "tanh")):
        mine = rows[rows["activation"] == activation]
        levels = sorted(mine["weight_variance"].unique())
        labelled = mine.assign(level=mine["weight_variance"].map("{:g}".format))
        names = [f"{level:g}" for level in levels]
        style.points(axis, labelled, x="level", y="loss", levels=names, looks=dict.fromkeys(names, LOOKS[activation]))
        for level in (1.0, 2.0):
            axis.axvline(levels.index(level), color="0.85", linewidth=6, zorder=0)
        style.theory(axis, None, GUESSING, label="guessing")
        axis.set(xlabel="weight variance σ² (times fan-in)", title=NAMES[activation])
    axes[0].set(ylabel="final training loss / nats")
    style.count(axes[0], records)
    style.legend(axes[1])
    return figure


def plot_normalisation(records: pd.DataFrame) -> Figure:
    """Final loss over gains by normalisation, a panel per activation and depth."""
    rows = _losses(records)
    cells = [("relu", SHALLOW), ("relu", DEPTH), ("tanh", DEPTH)]
    figure, axes = style.figure(1, 3, height=2.8, sharey=True)
    for axis, (activation, depth) in zip(axes, cells):
        mine = rows[(rows["activation"] == activation) & (rows["depth"] == depth)].drop(columns="step")
        style.curves(axis, mine, x="gain", y="loss", by="norm", looks=style.looks(NORMS))
        style.theory(axis, None, GUESSING, label="guessing")
        axis.set(xlabel="gain of initial weights", xscale="log", title=f"{NAMES[activation]}, depth {depth}")
        axis.set_xticks([0.25, 1, 4], ["¼", "1", "4"])
        axis.minorticks_off()
    axes[0].set(ylabel="final training loss / nats")
    style.count(axes[-1], records, raised=True)
    style.legend(axes[-1], title="norm")
    return figure
