"""What no measure can say: ranges over gains, slopes over layers, shares of a grid, updates to a target, gaps of gaps."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd

CHANCE = math.log(10)
"""Loss of guessing among ten classes."""


def largest(records: pd.DataFrame, norm: str, columns: list[str]) -> pd.Series:
    """Largest of some columns for one norm."""
    return records[records["norm"] == norm].set_index("seed")[columns].max(axis=1)


batch_norm_error = partial(largest, norm="batch", columns=["neuron_mean", "neuron_variance"])
layer_norm_error = partial(largest, norm="layer", columns=["sample_mean", "sample_variance"])


def spread(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """Range over initial gains of a column, per seed (rows) and norm (columns)."""
    return records.groupby(["seed", "norm"])[column].agg(np.ptp).unstack("norm")


def worst_over_none(spreads: pd.DataFrame) -> pd.Series:
    """Largest spread among the norms relative to that without one."""
    return spreads.drop(columns="none").max(axis=1) / spreads["none"]


def activation_spread(records: pd.DataFrame) -> pd.Series:
    """Spread over gains of the last layer's log activation scale, worst norm / none."""
    return worst_over_none(spread(records[records["layer"] == records["layer"].max()], "log_activation"))


def gradient_slopes(records: pd.DataFrame) -> pd.DataFrame:
    """Nats per layer by which |delta|^2 grows toward the input, between the outer fifths; one row per run."""
    last = int(records["layer"].max())
    first = 1 + last // 5
    table = records.pivot(index=["seed", "norm", "gain"], columns="layer", values="log_gradient")
    return ((table[first] - table[last]) / (last - first)).rename("slope").reset_index()


def gradient_spread(records: pd.DataFrame) -> pd.Series:
    """Spread over gains of the log gradient's slope, worst norm / none."""
    return worst_over_none(spread(gradient_slopes(records), "slope"))


def batch_norm_explosion(records: pd.DataFrame) -> pd.Series:
    """Slope of log |delta|^2 toward the input with batch norm at gain 1."""
    slopes = gradient_slopes(records)
    return slopes[(slopes["norm"] == "batch") & (slopes["gain"] == 1)].set_index("seed")["slope"]


def with_final_loss(records: pd.DataFrame) -> pd.DataFrame:
    """The records with `loss`, the train loss, at most that of guessing; a diverged run is worth guessing."""
    return records.assign(loss=records["batch_loss"].fillna(CHANCE).clip(upper=CHANCE))


def wider_basin(records: pd.DataFrame, norm: str) -> pd.Series:
    """Share of the cells (learning rate x gain) within 0.2 nats of a norm's own best, minus the share without norm."""
    table = with_final_loss(records)
    best = table.groupby(["seed", "norm"])["loss"].transform("min")
    near = (table["loss"] <= best + 0.2) & (table["loss"] < CHANCE - 0.2)
    shares = near.groupby([table["seed"], table["norm"]]).mean().unstack("norm")
    return shares[norm] - shares["none"]


wider_basin_batch = partial(wider_basin, norm="batch")
wider_basin_layer = partial(wider_basin, norm="layer")
wider_basin_rms = partial(wider_basin, norm="rms")


def gain_range(records: pd.DataFrame, norm: str) -> pd.Series:
    """Range of the final loss over initial gains, with a norm / without."""
    ranges = spread(with_final_loss(records), "loss")
    same = (ranges[norm] == 0) & (ranges["none"] == 0)  # nothing learns at any gain, or all alike: nothing gained
    return (ranges[norm] / ranges["none"]).mask(same, 1.0)


gain_range_batch = partial(gain_range, norm="batch")
gain_range_layer = partial(gain_range, norm="layer")
gain_range_rms = partial(gain_range, norm="rms")


def updates_ratio(records: pd.DataFrame, norm: str, shallow: bool = False) -> pd.Series:
    """Updates to the loss at which the network without norm ends, relative to all its updates; infinite if never.

    The target is each seed's own; the loss is a mean over `window` updates.
    """
    depth = records["depth"].min() if shallow else records["depth"].max()
    rows = with_final_loss(records[records["depth"] == depth])
    table = rows.pivot(index=["seed", "norm"], columns="step", values="loss")
    target = table.xs("none", level="norm").iloc[:, -1]
    reached = table.xs(norm, level="norm").le(target, axis=0)
    return (reached.idxmax(axis=1) / table.columns[-1]).where(reached.any(axis=1), np.inf)


updates_ratio_batch = partial(updates_ratio, norm="batch")
updates_ratio_layer = partial(updates_ratio, norm="layer")
updates_ratio_rms = partial(updates_ratio, norm="rms")
updates_ratio_shallow = partial(updates_ratio, norm="batch", shallow=True)


def handicap(records: pd.DataFrame, column: str, worst: float) -> pd.DataFrame:
    """Batch norm minus layer norm of a column, per seed and batch size; a diverged run counts as `worst`."""
    table = records.assign(value=records[column].fillna(worst).clip(upper=worst))
    table = table.pivot(index="seed", columns=["norm", "batch_size"], values="value")
    return (table["batch"] - table["layer"]).sort_index(axis=1)


def handicap_change(records: pd.DataFrame) -> pd.Series:
    """Handicap in test error, mean over batch sizes of 4 and less, minus that at the largest size."""
    table = handicap(records, "test_error", 1.0)
    return table.loc[:, :4].mean(axis=1) - table.iloc[:, -1]


def eval_beyond_train_mode(records: pd.DataFrame) -> pd.Series:
    """Handicap in train loss at the smallest batch: eval mode minus twice that in train mode."""
    evaluated, trained = (handicap(records, column, 2 * CHANCE) for column in ("train_loss", "batch_loss"))
    return (evaluated - 2.0 * trained).iloc[:, 0]
