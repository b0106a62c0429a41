"""Measured gradients beside mean-field theory, losses and dead units over what decides them."""

import numpy as np
import pandas as pd
from matplotlib import patheffects
from scipy.interpolate import make_interp_spline

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import backward_slope, expected_slope, table

from .statistics import GUESSING

LOOKS = style.looks(["relu", "tanh", "swish", "gelu", "sigmoid"])
OTHER_VARIANCE = {cell: {"marker": "D", "linestyle": ":"} for cell in (("tanh", 4.0), ("gelu", 4.0))}
"""How a second network with an activation differs in looks from the first."""

NAMES = {"relu": "ReLU", "tanh": "tanh", "swish": "Swish", "sigmoid": "sigmoid", "gelu": "GELU"}
DATA = {name: title(name) for name in ("digits", "mnist5k", "mnist1d_pool")}

FAR = 1e6
"""Layers: where a depth scale is infinite, as far beyond the map as is needed to draw the way there."""


def plot_slopes(records):
    """Measured slope against the finite-depth product, on the diagonal."""
    axis, depth = style.axis(height=3.4), int(records["layer"].max())
    cells = records.groupby(["activation", "weight_variance"], sort=False).groups
    measured = {(cell[0], expected_slope(*cell, depth)): backward_slope(table(records, *cell)) for cell in cells}
    slopes = pd.concat(measured, names=["activation", "theory"]).rename("measured").reset_index()
    style.curves(axis, slopes, x="theory", y="measured", by="activation", looks=LOOKS, labels=NAMES, joined=False)
    ends = axis.get_xlim()
    style.theory(axis, ends, ends, label="theory = measured")
    axis.axhline(0, color=style.GREY, linewidth=0.6, zorder=0)
    labels = {"xlabel": "mean-field slope / nats per layer", "ylabel": "measured slope / nats per layer"}
    return style.finish(axis, records, **labels)


def plot_depth_profile(records):
    """ln delta by layer, relative to the last layer, beside theory."""
    axis, depth = style.axis(height=3.2), int(records["layer"].max())
    cells = list(records.groupby(["activation", "weight_variance"], sort=False).groups)
    names = {cell: f"{NAMES[cell[0]]}, σ² = {cell[1]:g}" for cell in cells}
    rows = records.assign(
        log_delta=style.relative(records, "delta", "layer", depth) / np.log(10),
        network=list(map(names.get, zip(records["activation"], records["weight_variance"]))),
    )
    looks = {name: LOOKS[cell[0]] | OTHER_VARIANCE.get(cell, {}) for cell, name in names.items()}
    style.curves(axis, rows, x="layer", y="log_delta", by="network", looks=looks)
    for cell in (cell for cell in cells if names[cell] in style.shown(names.values())):
        style.theory(axis, range(1, depth + 1), mean_field.log_gradients(*cell, depth) / np.log(10))
    labels = {"xlabel": "layer (1 = next to the input)", "ylabel": "squared gradient, relative / log₁₀"}
    return style.finish(axis, records, **labels)


def plot_swept(records):
    """Final loss over learning rates where the gradient vanishes and where it explodes, a panel for each."""
    titles = {"tanh": "tanh, χ₁ = ¼", "relu": "ReLU, χ₁ = 4"}
    records = records.assign(decade=np.log10(records["learning_rate"]), loss=np.log10(records["train_loss"]))
    for axis, _, rows in style.panels(records, "activation", titles, height=2.8, sharey=True):
        how = {"labels": DATA, "looks": style.looks(["digits", "mnist5k"]), "average": "median"}
        style.curves(axis, rows, x="decade", y="loss", by="dataset", lost=7.0, **how)
        style.level(axis, np.log10(GUESSING), "guessing")
    labels = {"xlabel": "log₁₀ of the learning rate", "ylabel": "log₁₀ of the train loss / nats"}
    return style.finish(axis, records, **labels)


def plot_fading(records):
    """Final loss of residual networks by what was done to their gradient, a panel for each data set."""
    names = {
        ("fading", 1.0, 0): "whole", ("fading", 1.0, 10): "whole, ten\nlayers frozen", ("fading", 0.5, 0): "halved",
        ("fading", 0.5, 10): "halved, ten\nlayers frozen", ("growing", 2.0, 0): "doubled",
        ("fading_adam", 1.0, 0): "whole, Adam", ("fading_adam", 0.5, 0): "halved, Adam",
    }  # fmt: skip
    records = records[records["part"].isin(["fading", "fading_adam", "growing"])]
    arms = map(names.get, zip(records["part"], records["factor"].astype(float), records["frozen"].astype(int)))
    records = records.assign(arm=list(arms))
    for axis, _, rows in style.panels(records, "dataset", DATA, height=3.6, sharey=True):
        levels = [name for name in names.values() if (rows["arm"] == name).any()]
        style.points(axis, rows, x="arm", y="train_loss", levels=levels, lost=GUESSING, cut=GUESSING, horizontal=True)
        axis.axvline(GUESSING / 2, color=style.GREY, linewidth=1, linestyle=":", label="half of guessing")
    return style.finish(axis, records, xlabel="train loss / nats", xlim=(0, None))


def plot_simplification(records):
    """Updates to half the loss of guessing by depth and activation, a panel for each data set."""
    records = records[records["part"].isin(["training", "signals"])]
    budget = records["part"].map({"training": 180.0, "signals": 400.0})
    records = records.assign(reached=records["updates"].where(np.isfinite(records["updates"]), budget))
    how = {"x": "depth", "y": "reached", "by": "activation", "looks": LOOKS, "labels": NAMES, "average": "median"}
    for axis, _, rows in style.panels(records, "dataset", DATA, height=2.8):
        drawn = style.curves(axis, rows, joined=rows["depth"].nunique() > 1, **how)
        top = drawn[["centre", "high"]].max(axis=None)  # a few runs have no interval
        depths = sorted(rows["depth"].unique())
        axis.set(xticks=depths, xlim=(depths[0] - 2, depths[-1] + 2), ylim=(0, 1.1 * top if top > 0 else None))
    labels = {"xlabel": "hidden layers", "ylabel": "updates to half the\nloss of guessing"}
    return style.finish(axis, records, raised=True, **labels)


def plot_map(records):
    """Final loss over depth and weight variance, with theory's depth scale."""
    top = 1.05 * GUESSING
    records = records.assign(loss=records["train_loss"].fillna(top).clip(upper=top))
    for axis, activation, rows in style.panels(records, "activation", {"relu": "ReLU", "tanh": "tanh"}):
        grid = rows.pivot_table(index="depth", columns="weight_variance", values="loss")
        look = {"cmap": "viridis_r", "vmin": records["loss"].min(), "vmax": top}
        image = axis.imshow(grid, origin="lower", aspect="auto", **look)
        axis.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
        axis.set_yticks(range(grid.shape[0]), grid.index)
        places = np.linspace(0, grid.shape[1] - 1, 8 * grid.shape[1] - 7)
        variances = np.interp(places, range(grid.shape[1]), grid.columns)
        scales = np.minimum([6 * mean_field.depth_scale(activation, value) for value in variances], FAR)
        heights = make_interp_spline(np.log(grid.index), range(len(grid)), k=1)(np.log(scales))
        rim = [patheffects.withStroke(linewidth=2.5, foreground="black")]
        style.theory(axis, places, heights, label="_", color="white", path_effects=rim)
        axis.set_ylim(-0.5, len(grid) - 0.5)
        axis.grid(False)
    labels = {"xlabel": r"weight variance $\sigma_w^2$ (dashed: 6 depth scales)", "ylabel": "depth / layers"}
    figure = style.finish(axis, records, **labels)
    figure.colorbar(image, ax=figure.axes, label="train loss / nats")
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
    """Dead share and loss against the learning rate, a row for each data set."""
    _, axes = style.figure(2, 2, sharex=True)
    how = {"x": "learning_rate", "by": "activation", "looks": LOOKS, "labels": NAMES}
    for (dead, loss), name in zip(axes, ("digits", "mnist1d_pool")):
        rows = records[records["dataset"] == name]
        style.curves(dead, rows, y="dead", times=100, within=(0, 100), **how)
        style.curves(loss, rows, y="train_loss", cut=3.0, **how)
        style.level(loss, GUESSING, "guessing")
        dead.set(title=DATA[name], ylabel="dead units / %")
        loss.set(title=DATA[name], ylabel="train loss / nats")
    return style.finish(axes[0][1], records, log_ticks=[0.3, 0.5, 1.0, 2.0], xlabel="learning rate")


def plot_dead_law(records):
    """Share of silent networks by width, a curve for each depth."""
    axis = style.axis(height=2.8)
    labels = {depth: f"depth {depth}" for depth in sorted(records["depth"].unique())}
    style.curves(axis, records, x="width", y="dead", by="depth", labels=labels, joined=False)
    widths = np.linspace(records["width"].min(), records["width"].max(), 80)
    for depth in labels:
        style.theory(axis, widths, [mean_field.dead_network(width, depth) for width in widths])
    return style.finish(axis, records, xlabel="width / units", ylabel="share of silent networks")


def plot_fit(records):
    """Training error by activation, a panel for each data set; the dotted line is what a fit is allowed."""
    names = {**NAMES, "linear": "none"}
    for axis, _, rows in style.panels(records, "dataset", DATA, height=2.5, sharey=True):
        how = {"levels": list(names), "labels": names, "times": 100, "lost": 1.0, "horizontal": True}
        style.points(axis, rows, x="activation", y="train_error", **how)
        axis.axvline(1, color=style.GREY, linewidth=1, linestyle=":", label="one in a hundred")
    return style.finish(axis, records, xlabel="train error / %")
