"""Measured gradients beside mean-field theory, losses and dead units over what decides them."""

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.figure import Figure

from claimcheck.figures import style
from claimcheck.figures.averages import summary
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import backward_slope, expected_slope, table

from .statistics import GUESSING

LOOKS = style.looks(["relu", "tanh", "swish", "gelu", "sigmoid"])


def plot_slopes(records: pd.DataFrame) -> Figure:
    """Measured slope against the finite-depth product, on the diagonal."""
    _, axis = style.figure(height=3.4)
    depth = int(records["layer"].max())
    for activation, rows in records.groupby("activation", sort=False):
        measured = {
            expected_slope(activation, variance, depth): backward_slope(table(rows, activation, variance))
            for variance in rows["weight_variance"].unique()
        }
        slopes = pd.concat(measured, names=["theory"]).rename("measured").reset_index()
        _marks(axis, slopes, "theory", "measured", activation, LOOKS[activation])
    ends = axis.get_xlim()
    style.theory(axis, ends, ends, label="theory = measured")
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    return style.finish(
        axis, records, xlabel="mean-field slope / nats per layer", ylabel="measured slope / nats per layer"
    )


def plot_depth_profile(records: pd.DataFrame) -> Figure:
    """ln delta by layer, relative to the last layer, beside theory."""
    figure, axes = style.figure(1, 2, height=3.2, sharey=True)
    depth = int(records["layer"].max())
    last = records[records["layer"] == depth].set_index("run")["delta"]
    records = records.assign(log_delta=np.log(records["delta"] / records["run"].map(last)))
    he, tanh = records[records["weight_variance"] == 2.0], records[records["activation"] == "tanh"]
    shades = style.looks(sorted(tanh["weight_variance"].unique()))
    for axis, rows, by, looks in ((axes[0], he, "activation", LOOKS), (axes[1], tanh, "weight_variance", shades)):
        style.curves(axis, rows, x="layer", y="log_delta", by=by, looks=looks)
        for cell in rows.groupby(["activation", "weight_variance"]).groups:
            style.theory(axis, range(1, depth + 1), mean_field.log_gradients(*cell, depth))
        style.legend(axis, outside=False, fontsize=7.5)
        axis.set(xlabel="layer (1 = next to the input)")
    axes[0].set(title=r"at $\sigma_w^2 = 2$", ylabel="ln of squared gradient, relative / nats")
    axes[1].set(title=r"tanh, by $\sigma_w^2$")
    style.count(axes[1], records)
    return figure


def plot_training(records: pd.DataFrame) -> Figure:
    """Final loss of every run, by network."""
    _, axis = style.figure(height=2.8)
    factors = {cell: mean_field.chi_1(*cell) for cell in records.groupby(["activation", "weight_variance"]).groups}
    names = {cell: f"{cell[0]} {cell[1]:g}\nχ₁ = {factors[cell]:.2f}" for cell in sorted(factors, key=factors.get)}
    looks = {name: LOOKS[activation] for (activation, _), name in names.items()}
    rows = records.assign(
        loss=records["train_loss"].fillna(3.0).clip(upper=3.0),
        network=[names[cell] for cell in zip(records["activation"], records["weight_variance"])],
    )
    style.points(axis, rows, x="network", y="loss", levels=list(looks), looks=looks)
    style.theory(axis, None, GUESSING, label="guessing, ln 10")
    return style.finish(axis, records, ylabel="training loss / nats (cut at 3)", ylim=(None, 3.05))


def plot_map(records: pd.DataFrame) -> Figure:
    """Final loss over depth and weight variance, with theory's depth scale."""
    top = 1.05 * GUESSING
    records = records.assign(loss=records["train_loss"].fillna(top).clip(upper=top))
    figure, panels = style.panels(records, "activation", {"relu": "relu", "tanh": "tanh"})
    for axis, activation, rows in panels:
        grid = rows.pivot_table(index="depth", columns="weight_variance", values="loss")
        look = {"cmap": "viridis_r", "vmin": records["loss"].min(), "vmax": top}
        image = axis.imshow(grid, origin="lower", aspect="auto", **look)
        axis.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
        axis.set_yticks(range(grid.shape[0]), grid.index)
        scales = np.log([6 * mean_field.depth_scale(activation, value) for value in grid.columns])
        heights = np.interp(scales, np.log(grid.index), range(len(grid)), left=-0.5, right=len(grid) - 0.5)
        rim = [patheffects.withStroke(linewidth=2.5, foreground="black")]
        style.theory(axis, range(grid.shape[1]), heights, color="white", path_effects=rim)
        axis.grid(False)
        axis.set(xlabel=r"weight variance $\sigma_w^2$ (dashed: 6 depth scales)", ylabel="depth / layers")
        style.count(axis, records)
    figure.colorbar(image, ax=figure.axes, label="training loss / nats")
    return figure


def plot_saturation(records: pd.DataFrame) -> Figure:
    """Mean slope and saturated share against the standard deviation of the pre-activations, first layer."""
    figure, axes = style.figure(1, 2, height=2.6)
    first = records[records["layer"] == 1].assign(sd=lambda rows: rows["weight_variance"] ** 0.5)
    x = np.linspace(first["sd"].min(), first["sd"].max(), 60)
    panels = (
        ("mean_slope", "mean slope of tanh", lambda z: 1 - np.tanh(z) ** 2),
        ("saturated", "share with |tanh| > 0.9", lambda z: np.abs(np.tanh(z)) > 0.9),
    )
    for axis, (column, name, function) in zip(axes, panels):
        _marks(axis, first, "sd", column, "measured", LOOKS["tanh"])
        style.theory(axis, x, [mean_field.expectation(function, sd**2) for sd in x])
        style.legend(axis, outside=False)
        axis.set(xlabel="standard deviation of pre-activations", ylabel=name, ylim=(0, 1))
    style.count(axes[1], records)
    return figure


def plot_dead_units(records: pd.DataFrame) -> Figure:
    """Dead share and loss against the learning rate."""
    _, axes = style.figure(1, 2, height=2.8)
    rows, how = records.assign(train_loss=records["train_loss"].clip(upper=4.0)), {"by": "activation", "looks": LOOKS}
    style.curves(axes[0], rows, x="learning_rate", y="dead", times=100, within=(0, 100), **how)
    style.curves(axes[1], rows, x="learning_rate", y="train_loss", **how)
    style.theory(axes[1], None, GUESSING, label="guessing, ln 10")
    axes[0].set(xlabel="learning rate", ylabel="dead units / %", xscale="log")
    return style.finish(axes[1], records, xlabel="learning rate", ylabel="training loss / nats", xscale="log")


def plot_dead_law(records: pd.DataFrame) -> Figure:
    """Share of silent networks by width, a curve for each depth."""
    _, axis = style.figure(height=2.8)
    widths = np.linspace(records["width"].min(), records["width"].max(), 80)
    for depth, look in style.looks(sorted(records["depth"].unique())).items():
        _marks(axis, records[records["depth"] == depth], "width", "dead", f"depth {depth}", look)
        style.theory(axis, widths, [mean_field.dead_network(width, depth) for width in widths])
    return style.finish(axis, records, xlabel="width / units", ylabel="share of silent networks")


def _marks(axis, records: pd.DataFrame, x: str, y: str, label: str, look: dict) -> None:
    """Averages over seeds with their 95 % intervals, not joined: theory does that."""
    table = summary(records, x, y)
    error = [table["centre"] - table["low"], table["high"] - table["centre"]]
    axis.errorbar(table[x], table["centre"], error, label=label, **{**look, "linestyle": ""})
