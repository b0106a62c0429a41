"""What no measure can say: ranges and losses over gains, slopes over layers, highest rates, scales, gaps, times."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed

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


def progress_lost(records: pd.DataFrame, norms: Sequence[str], than: Sequence[str] = ("none",)) -> pd.Series:
    """Share of the progress at gain 1 that the worst other gain loses, the largest among some norms / among others.

    Progress is the loss below guessing; of none at all, all is lost. 1 where neither norms nor others lose anything.
    """
    table = losses(records, "norm", "gain")

    def most(names: Sequence[str]) -> pd.Series:
        right = table.xs(1.0, axis=1, level="gain")[[*names]]
        worst = table.drop(columns=1.0, level="gain").T.groupby(level="norm").max().T[[*names]]
        return ((worst - right).clip(lower=0.0) / (CHANCE - right)).fillna(1.0).max(axis=1)

    return (most(norms) / most(than)).fillna(1.0)


def stable_rate(records: pd.DataFrame, norm: str, architecture: str, than: str = "none") -> pd.Series:
    """log10 of the highest learning rate at which the loss ends below guessing with a norm / with another.

    A norm that learns at no rate counts with a tenth of the lowest.
    """
    table = losses(records, "norm", "learning_rate", architecture=architecture)
    rates = {each: table[each].lt(CHANCE) * table[each].columns.to_numpy() for each in (norm, than)}
    highest = {each: rate.max(axis=1).clip(lower=records["learning_rate"].min() / 10) for each, rate in rates.items()}
    return np.log10(highest[norm] / highest[than])


def scale_kept(records: pd.DataFrame, norm: str, least: float, untrained: bool = False) -> pd.Series:
    """Decades by which training moves the scale of plain networks without norm, less those with one.

    From the highest initial variance. A network whose loss is not `least` nats below guessing has learnt nothing and
    counts as moving without end. `untrained` gives the norm's network its first loss and a scale that has not moved.
    """
    cell = {"architecture": "plain", "init_variance": records["init_variance"].max()}
    step = records["step"].agg(["min", "max"])
    moved = by_seed(records, "shift", "norm", step=step["max"], **cell)
    loss = losses(records, "norm", "step", **cell)[norm, step["min" if untrained else "max"]]
    own = moved[norm] * (0.0 if untrained else 1.0)
    return moved["none"] - own.where(loss < CHANCE - least, np.inf)


def early_gap(
    records: pd.DataFrame, norms: Sequence[str], init_variance: float, margin: float, frozen: bool = False
) -> pd.Series:
    """The gap in loss after a tenth of the updates less `margin`, or less the gap at the end, whichever is less.

    The gap is the loss without norm less the norms' mean, in residual networks; no loss counts for more than guessing.

    Args:
        norms: `next` stands for the next unit's network without norm, which differs by its draws alone.
        frozen: the network without norm is always at guessing.
    """
    table = losses(records, "norm", "step", architecture="residual", init_variance=init_variance)
    steps = records["step"].unique()

    def gap(step: int) -> pd.Series:
        at = table.xs(step, axis=1, level="step")
        at = at.assign(next=np.roll(at["none"], -1))
        return (CHANCE if frozen else at["none"]) - at[[*norms]].mean(axis=1)

    early, late = gap(steps[np.abs(steps - steps.max() / 10).argmin()]), gap(steps.max())
    return np.minimum(early - margin, early - late)


def handicap(records: pd.DataFrame, column: str, worst: float, norm: str, than: str) -> pd.DataFrame:
    """A norm minus another in a column, per seed and batch size; a diverged run, or more, counts as `worst`."""
    table = by_seed(records, column, ["norm", "batch_size"], if_diverged=worst, at_most=worst)
    return table[norm] - table[than]


def handicap_fall(records: pd.DataFrame, norm: str = "batch", than: str = "layer") -> pd.Series:
    """Half of the handicap in test error at a batch size of 2, less that at 4."""
    table = handicap(records, "test_error", 1.0, norm, than)
    return table[2] / 2 - table[4]


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
