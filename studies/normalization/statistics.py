"""What no measure can say: ranges over gains, slopes over layers, shares of a grid, updates to a target, times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed, first_at_most

CHANCE = math.log(10)
"""Loss of guessing among ten classes."""

NORMS = ("batch", "layer", "rms")


def losses(records: pd.DataFrame, *over: str, **cell) -> pd.DataFrame:
    """Train losses of at most that of guessing, which a diverged run counts as too: a table of units by levels."""
    return by_seed(records, "batch_loss", [*over], if_diverged=CHANCE, at_most=CHANCE, **cell)


def ranges(table: pd.DataFrame) -> pd.DataFrame:
    """Range over initial gains, seeds by norm, of what is given by norm and gain."""
    by_norm = table.T.groupby(level="norm")
    return (by_norm.max() - by_norm.min()).T


def last_or_slope(records: pd.DataFrame, which: str) -> pd.DataFrame:
    """`last`: the last layer's log activation scale; `slope`: nats per layer of |delta|^2 to the input; by norm and gain.

    The slope leaves out the first fifth of the layers.
    """
    final = records["layer"].max()
    if which == "last":
        return by_seed(records, "log_activation", ["norm", "gain"], layer=final)
    first, logs = 1 + final // 5, by_seed(records, "log_gradient", ["layer", "norm", "gain"])
    return (logs[first] - logs[final]) / (final - first)


def worst_range(records: pd.DataFrame, column: str, norms: Sequence[str] = NORMS, than=("none",)) -> pd.Series:
    """Range of `last` or `slope` over initial gains, the largest among some norms / the largest among others."""
    table = ranges(last_or_slope(records, column))
    return table[[*norms]].max(axis=1) / table[[*than]].max(axis=1)


def gradient_growth(records: pd.DataFrame, norm: str) -> pd.Series:
    """Slope of log |delta|^2 toward the input with one norm at gain 1."""
    return last_or_slope(records, "slope")[norm, 1]


def gain_range(records: pd.DataFrame, norm: str, than: str = "none") -> pd.Series:
    """Range of the final loss over initial gains, with a norm / with another; 1 where neither learns at any gain."""
    table = ranges(losses(records, "norm", "gain"))
    return (table[norm] / table[than]).fillna(1.0)


def wider_basin(records: pd.DataFrame, norm: str, than: str = "none") -> pd.Series:
    """Share of the cells (learning rate x gain) within 0.2 nats of a norm's own best, minus the share with another."""
    table = losses(records, "norm", "learning_rate", "gain")
    best = {each: table[each].min(axis=1) + 0.2 for each in (norm, than)}
    near = {each: table[each].le(best[each], axis=0) & (table[each] < CHANCE - 0.2) for each in best}
    return near[norm].mean(axis=1) - near[than].mean(axis=1)


def updates_ratio(
    records: pd.DataFrame, norm: str, than: str = "none", shallow: bool = False, target_at: float = 1.0
) -> pd.Series:
    """Updates of a norm to the loss at which the network with another ends / updates of that network to it.

    Both count to the first time, so that a network against itself gives 1 however noisy its losses; infinite where the
    norm never reaches it. The loss is each seed's own, a mean over `window` updates.

    Args:
        target_at: share of its updates after which the other network's loss is what the norm must reach, for controls.
    """
    depth = records["depth"].min() if shallow else records["depth"].max()
    curves = losses(records, "norm", "step", depth=depth)
    ours, theirs = curves[norm], curves[than]
    target = theirs.iloc[:, round(target_at * theirs.shape[1]) - 1]
    needed, given = (first_at_most(*each) for each in ((ours, target), (theirs, theirs.iloc[:, -1])))
    return needed / given


def handicap(records: pd.DataFrame, column: str, worst: float, norm: str, than: str) -> pd.DataFrame:
    """A norm minus another in a column, per seed and batch size; a diverged run, or more, counts as `worst`."""
    table = by_seed(records, column, ["norm", "batch_size"], if_diverged=worst, at_most=worst)
    return table[norm] - table[than]


def handicap_change(records: pd.DataFrame, norm: str = "batch", than: str = "layer") -> pd.Series:
    """Handicap in test error, mean over batch sizes of 4 and less, minus that at the largest size."""
    table = handicap(records, "test_error", 1.0, norm, than)
    return table.loc[:, :4].mean(axis=1) - table.iloc[:, -1]


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
