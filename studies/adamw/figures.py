"""Figures of AdamW: its update printed and published, decay, and how much its learning rate matters beside SGD's."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style

from .statistics import GUESS, best_of, guessing, losses

DATA = {name: title(name) for name in ("mnist1d_pool", "mnist5k", "cmudict")}
NETWORKS = {"mlp": "MLP", "cnn": "CNN", "spellings": "spellings", "phonemes": "phonemes"}
TASKS = {
    f"{data}/{network}": f"{DATA[data]}, {NETWORKS[network]}"
    for data, network in (
        ("mnist1d_pool", "mlp"), ("mnist5k", "mlp"), ("cmudict", "spellings"),
        ("mnist1d_pool", "cnn"), ("mnist5k", "cnn"), ("cmudict", "phonemes"),
    )
}  # fmt: skip
OPTIMIZERS = {"adamw": "AdamW", "momentum": "SGD, momentum"}
DEFAULTS = {"adamw": (0.001,), "momentum": (0.01, 0.1)}
FORMS = {"published": "published", "printed": "as printed"}
ARMS = {"none": "no decay", "adamw": "AdamW", "l2": "Adam + L2"}
VARIANTS = {
    "default": "default",
    "eps_large": "ε = 0.001",
    "eps_huge": "ε = 0.1",
    "beta2_low": "β₂ = 0.9",
    "beta2_high": "β₂ = 0.9999",
    "beta1_none": "β₁ = 0",
    "beta1_high": "β₁ = 0.99",
}


def _capped(records):
    """The records with a `loss` that is nowhere above that of guessing."""
    worst = records["network"].map(guessing) if "network" in records else guessing("")
    return records.assign(loss=records["test_loss"].fillna(np.inf).clip(upper=worst))


def plot_rates(records):
    """Test loss over the learning rate, AdamW and SGD with momentum, a panel a task; default rates as dotted lines."""
    rows = _capped(records).assign(panel=records["dataset"] + "/" + records["network"])
    looks = style.looks(OPTIMIZERS)
    for axis, _, own in style.panels(rows, "panel", TASKS, columns=3, sharex=True):
        style.curves(axis, own, x="learning_rate", y="loss", by="optimizer", labels=OPTIMIZERS)
        for optimizer, rates in DEFAULTS.items():
            for rate in rates:
                axis.axvline(rate, color=looks[optimizer]["color"], linestyle=":", linewidth=1.2, zorder=1)
        axis.set_xscale("log")
    labels = {"xlabel": "learning rate", "ylabel": "test loss / nats"}
    return style.finish(axis, records, raised=True, **labels)


def plot_budget(records):
    """Expected loss of the best of so many rates drawn evenly from each optimiser's grid, a panel a data set."""
    rows = []
    for data, of_data in records.groupby("dataset"):
        for optimizer in OPTIMIZERS:
            for network, table in losses(of_data, optimizer).items():
                for trials in (1, 2, 3, 4, 6, 8, 12, 16):
                    found = best_of(table.to_numpy(), trials)
                    rows.append(pd.DataFrame({
                        "seed": table.index, "dataset": data, "optimizer": optimizer, "network": network,
                        "trials": trials, "loss": found,
                    }))  # fmt: skip
    budget = pd.concat(rows)
    for axis, _, own in style.panels(budget, "dataset", DATA, height=2.8):
        style.curves(axis, own, x="trials", y="loss", by="optimizer", labels=OPTIMIZERS)
        style.log_axis(axis, [1, 2, 4, 8, 16])
        low, high = axis.get_ylim()
        axis.set_ylim(low, high + 0.3 * (high - low))  # room for a slide's legend
    return style.finish(axis, records, xlabel="rates tried", ylabel="expected test loss / nats", raised=True)


def plot_map(records):
    """Mean test error over learning rate and weight decay, a row for each data set, a column for each optimiser."""
    rows = records.assign(
        error=records["test_error"].fillna(GUESS), panel=records["dataset"] + "/" + records["optimizer"]
    )
    titles = {
        f"{data}/{optimizer}": f"{OPTIMIZERS[optimizer]}, {DATA[data]}" for data in DATA for optimizer in OPTIMIZERS
    }
    images = {}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        grid = 100 * own.pivot_table(index="weight_decay", columns="learning_rate", values="error")
        same = rows[rows["dataset"] == own["dataset"].iloc[0]].groupby(["optimizer", "learning_rate", "weight_decay"])
        span = 100 * same["error"].mean()
        images[axis] = axis.imshow(
            grid, origin="lower", aspect="auto", cmap="viridis_r", vmin=span.min(), vmax=span.max()
        )
        axis.set_xticks(range(grid.shape[1]), [f"{value:g}" for value in grid.columns])
        axis.set_yticks(range(grid.shape[0]), [f"{value:g}" for value in grid.index])
        axis.grid(False)
    figure = style.finish(axis, records, xlabel="learning rate", ylabel="weight decay", raised=True)
    for axis, image in images.items():
        figure.colorbar(image, ax=axis, label="test error / %")
    return figure


def plot_decay(records):
    """Test error with few examples: no decay, AdamW's, an L2 penalty under Adam."""
    for axis, _, own in style.panels(records, "dataset", DATA, height=2.8):
        style.points(axis, own, x="arm", y="test_error", labels=ARMS, times=100, lost=GUESS)
    return style.finish(axis, records, ylabel="test error / %")


def plot_printed(records):
    """What the printed update multiplies the rate by, and the training loss it leads to over the learning rate."""
    sets = [name for name in DATA if (records["dataset"] == name).any()]
    left, *rest = style.side_by_side("step / published step", *[""] * len(sets), height=2.8)
    steps = np.unique(np.geomspace(1, 10000, 60).round())
    style.theory(left, steps, 1 / np.sqrt(1 - 0.999**steps), label="_theory")
    left.set(xscale="log", yscale="log", xlabel="step t", title="1 / √(1 − β₂ᵗ)")
    style.log_axis(left, [1, 3, 10, 30], across="y")
    for axis, name in zip(rest, sets):
        own = records[records["dataset"] == name]
        own = own.assign(loss=own["training_loss"].fillna(np.inf).clip(upper=np.log(10)))
        style.curves(axis, own, x="learning_rate", y="loss", by="form", labels=FORMS)
        axis.set(xscale="log", xlabel="learning rate", title=DATA[name])
    rest[0].set_ylabel("train loss / nats")
    return style.finish(axis, records, raised=True)


def plot_variants(records):
    """Test loss at the default rate by what else is changed."""
    rows = _capped(records)
    for axis, _, own in style.panels(rows, "dataset", DATA, height=3.2):
        style.points(axis, own, x="variant", y="loss", labels=VARIANTS, horizontal=True)
        axis.tick_params(labelleft=axis.get_subplotspec().is_first_col())
    return style.finish(axis, records, xlabel="test loss / nats", raised=True)
