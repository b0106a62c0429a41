"""What no measure can say: ranges over gains, slopes over layers, highest rates, gaps early and late, times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

CHANCE = math.log(10)
"""Loss of guessing among ten classes."""

NORMS = ("batch", "layer", "rms")


def capped(records: pd.DataFrame) -> pd.DataFrame:
    """The records with a train loss of at most that of guessing; a diverged run is worth as much as guessing."""
    return records.assign(batch_loss=records["batch_loss"].fillna(CHANCE).clip(upper=CHANCE))


def largest(records: pd.DataFrame, norm: str, columns: list[str]) -> pd.Series:
    """Largest of some columns for one norm."""
    return records[records["norm"] == norm].set_index("seed")[columns].max(axis=1)


def ranges(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """Range of a column over initial gains, per seed (rows) and norm (columns)."""
    return records.groupby(["seed", "norm"])[column].agg(np.ptp).unstack("norm")


def last_and_slope(records: pd.DataFrame) -> pd.DataFrame:
    """A row per run: `last`, the last layer's log activation scale; `slope`, nats per layer of |delta|^2 to the input.

    The slope leaves out the first fifth of the layers.
    """
    final = int(records["layer"].max())
    first = 1 + final // 5
    table = records.pivot(index=["seed", "norm", "gain"], columns="layer", values=["log_activation", "log_gradient"])
    slope = (table["log_gradient", first] - table["log_gradient", final]) / (final - first)
    return pd.DataFrame({"last": table["log_activation", final], "slope": slope}).reset_index()


def worst_range(records: pd.DataFrame, column: str, norms: Sequence[str] = NORMS, than=("none",)) -> pd.Series:
    """Range of `last` or `slope` over initial gains, the largest among some norms / the largest among others."""
    table = ranges(last_and_slope(records), column)
    return table[[*norms]].max(axis=1) / table[[*than]].max(axis=1)


def gradient_growth(records: pd.DataFrame, norm: str) -> pd.Series:
    """Slope of log |delta|^2 toward the input with one norm at gain 1."""
    runs = last_and_slope(records)
    return runs[(runs["norm"] == norm) & (runs["gain"] == 1)].set_index("seed")["slope"]


def gain_range(records: pd.DataFrame, norm: str, than: str = "none") -> pd.Series:
    """Range of the final loss over initial gains, with a norm / with another; 1 where neither learns at any gain."""
    table = ranges(capped(records), "batch_loss")
    return (table[norm] / table[than]).fillna(1.0)


def stable_rate(records: pd.DataFrame, norm: str, than: str = "none") -> pd.Series:
    """log10 of the highest learning rate at which the loss ends below guessing with a norm / with another.

    A norm that learns at no rate counts with a tenth of the lowest.
    """
    learning = records[records["batch_loss"] < CHANCE]
    highest = learning.groupby(["seed", "norm"])["learning_rate"].max().unstack("norm")
    highest = highest.reindex(index=np.sort(records["seed"].unique()), columns=["none", *NORMS])
    rates = np.log10(highest.fillna(records["learning_rate"].min() / 10))
    return rates[norm] - rates[than]


def early_gap(records: pd.DataFrame, norms: Sequence[str] = NORMS, times: float = 1.0) -> pd.Series:
    """Loss without norm less the norms' mean, after a quarter of the updates less at the end.

    Of residual networks from the highest initial variance.
    """
    cell = (records["architecture"] == "residual") & (records["init_variance"] == records["init_variance"].max())
    rows = capped(records[cell])
    steps = np.sort(rows["step"].unique())
    moments = rows[rows["step"].isin([steps[len(steps) // 4 - 1], steps[-1]])]
    losses = moments.pivot(index=["seed", "step"], columns="norm", values="batch_loss")
    gaps = (losses["none"] - losses[[*norms]].mean(axis=1)).unstack("step")
    return times * (gaps.iloc[:, 0] - gaps.iloc[:, -1])


def handicap(records: pd.DataFrame, column: str, worst: float, norm: str, than: str) -> pd.DataFrame:
    """A norm minus another in a column, per seed and batch size; a diverged run, or more, counts as `worst`."""
    rows = records.assign(value=records[column].fillna(worst).clip(upper=worst))
    table = rows.pivot(index=["seed", "batch_size"], columns="norm", values="value")
    return (table[norm] - table[than]).unstack("batch_size")


def eval_beyond_train_mode(records: pd.DataFrame, norm: str = "batch", than: str = "layer") -> pd.Series:
    """Handicap in train loss at the smallest batch: that in eval mode, or less twice that in train mode if it is less.

    So it is above 0 only where there is a handicap in eval mode, more than twice that in train mode.
    """
    evaluated, trained = (
        handicap(records, column, 2 * CHANCE, norm, than).iloc[:, 0] for column in ("train_loss", "batch_loss")
    )
    return np.minimum(evaluated, evaluated - 2.0 * trained)


def log_time(records: pd.DataFrame, kernel: str, norm: str = "rms", than: str = "layer") -> pd.Series:
    """log(time of a norm / of another) with one kind of kernel, mean over widths."""
    direction = (norm == "rms") - (than == "rms")  # of `log_ratio`, which is RMS norm's to layer norm's
    return direction * records[records["kernel"] == kernel].groupby("seed")["log_ratio"].mean()
