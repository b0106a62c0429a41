"""Measured gradients beside mean-field theory, losses and dead units over what decides them."""

import numpy as np
import pandas as pd
from matplotlib import patheffects

from claimcheck.figures import style
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import backward_slope, expected_slope, table

from .statistics import GUESSING

LOOKS = style.looks(["relu", "tanh", "swish", "gelu", "sigmoid"])


def plot_slopes(records):
    """Measured slope against the finite-depth product, on the diagonal."""
    axis, depth = style.axis(height=3.4), int(records["layer"].max())
    cells = records.groupby(["activation", "weight_variance"], sort=False).groups
    measured = {(cell[0], expected_slope(*cell, depth)): backward_slope(table(records, *cell)) for cell in cells}
    slopes = pd.concat(measured, names=["activation", "theory"]).rename("measured").reset_index()
    style.curves(axis, slopes, x="theory", y="measured", by="activation", looks=LOOKS, joined=False)
    ends = axis.get_xlim()
    style.theory(axis, ends, ends, label="theory = measured")
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    labels = {"xlabel": "mean-field slope / nats per layer", "ylabel": "measured slope / nats per layer"}
    return style.finish(axis, records, **labels)


def plot_depth_profile(records):
    """ln delta by layer, relative to the last layer, beside theory."""
    depth = int(records["layer"].max())
    records = records.assign(log_delta=style.relative(records, "delta", "layer", depth))
    he, tanh = records[records["weight_variance"] == 2.0], records[records["activation"] == "tanh"]
    left, right = style.side_by_side("ln of squared gradient, relative / nats", "", height=3.2, sharey=True)
    style.curves(left, he, x="layer", y="log_delta", by="activation", looks=LOOKS)
    style.curves(right, tanh, x="layer", y="log_delta", by="weight_variance")
    for axis, rows in ((left, he), (right, tanh)):
        for cell in rows.groupby(["activation", "weight_variance"]).groups:
            style.theory(axis, range(1, depth + 1), mean_field.log_gradients(*cell, depth))
        style.legend(axis, outside=False, fontsize=7.5)
    left.set_title(r"at $\sigma_w^2 = 2$")
    right.set_title(r"tanh, by $\sigma_w^2$")
    return style.finish(right, records, xlabel="layer (1 = next to the input)")


def plot_training(records):
    """Final loss of every run, by network."""
    axis = style.axis(height=2.8)
    factors = {cell: mean_field.chi_1(*cell) for cell in records.groupby(["activation", "weight_variance"]).groups}
    names = {cell: f"{cell[0]} {cell[1]:g}\nχ₁ = {factors[cell]:.2f}" for cell in sorted(factors, key=factors.get)}
    network = [names[cell] for cell in zip(records["activation"], records["weight_variance"])]
    looks = {name: LOOKS[activation] for (activation, _), name in names.items()}
    rows, how = records.assign(network=network), {"levels": list(looks), "looks": looks}
    style.points(axis, rows, x="network", y="train_loss", lost=3.0, cut=3.0, **how)
    style.level(axis, GUESSING, "guessing, ln 10")
    return style.finish(axis, records, ylabel="training loss / nats (cut at 3)", ylim=(None, 3.05))


def plot_map(records):
    """Final loss over depth and weight variance, with theory's depth scale."""
    top = 1.05 * GUESSING
    records = records.assign(loss=records["train_loss"].fillna(top).clip(upper=top))
    for axis, activation, rows in style.panels(records, "activation", {"relu": "relu", "tanh": "tanh"}):
        grid = rows.pivot_table(index="depth", columns="weight_variance", values="loss")
        look = {"cmap": "viridis_r", "vmin": records["loss"].min(), "vmax": top}
        image = axis.imshow(grid, origin="lower", aspect="auto", **look)
        axis.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
        axis.set_yticks(range(grid.shape[0]), grid.index)
        scales = np.log([6 * mean_field.depth_scale(activation, value) for value in grid.columns])
        heights = np.interp(scales, np.log(grid.index), range(len(grid)), left=-0.5, right=len(grid) - 0.5)
        rim = [patheffects.withStroke(linewidth=2.5, foreground="black")]
        style.theory(axis, range(grid.shape[1]), heights, label="_", color="white", path_effects=rim)
        axis.grid(False)
    labels = {"xlabel": r"weight variance $\sigma_w^2$ (dashed: 6 depth scales)", "ylabel": "depth / layers"}
    figure = style.finish(axis, records, **labels)
    figure.colorbar(image, ax=figure.axes, label="training loss / nats")
    return figure


def plot_saturation(records):
    """Mean slope and saturated share against the standard deviation of the pre-activations, first layer."""
    first = records[records["layer"] == 1].assign(sd=lambda rows: rows["weight_variance"] ** 0.5)
    grid = np.linspace(first["sd"].min(), first["sd"].max(), 60)
    slope, share = style.side_by_side("mean slope of tanh", "share with |tanh| > 0.9", height=2.6)
    for axis, column, function in (
        (slope, "mean_slope", lambda z: 1 - np.tanh(z) ** 2),
        (share, "saturated", lambda z: np.abs(np.tanh(z)) > 0.9),
    ):
        style.column_curves(axis, first, x="sd", columns={column: "measured"}, joined=False)
        style.theory(axis, grid, [mean_field.expectation(function, sd**2) for sd in grid])
    return style.finish(share, records, xlabel="st. dev. of pre-activations", ylim=(0, 1))


def plot_dead_units(records):
    """Dead share and loss against the learning rate."""
    dead, loss = style.side_by_side("dead units / %", "training loss / nats", height=2.8)
    how = {"x": "learning_rate", "by": "activation", "looks": LOOKS}
    style.curves(dead, records, y="dead", times=100, within=(0, 100), **how)
    style.curves(loss, records, y="train_loss", cut=4.0, **how)
    style.level(loss, GUESSING, "guessing, ln 10")
    return style.finish(loss, records, xlabel="learning rate", xscale="log")


def plot_dead_law(records):
    """Share of silent networks by width, a curve for each depth."""
    axis = style.axis(height=2.8)
    labels = {depth: f"depth {depth}" for depth in sorted(records["depth"].unique())}
    style.curves(axis, records, x="width", y="dead", by="depth", labels=labels, joined=False)
    widths = np.linspace(records["width"].min(), records["width"].max(), 80)
    for depth in labels:
        style.theory(axis, widths, [mean_field.dead_network(width, depth) for width in widths])
    return style.finish(axis, records, xlabel="width / units", ylabel="share of silent networks")
