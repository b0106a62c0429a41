"""One number per seed where no measure says it: limits of stability, and what is chosen on the other seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import cross_fitted
from claimcheck.results.records import part_of

from .constants import GUESSING


def shift_adam(records: pd.DataFrame) -> pd.Series:
    """log2 of the largest stable learning rate with a warmup of 30 % over that without, Adam."""
    return _shift(records, "adam", 0.3)


def shift_adam_short(records: pd.DataFrame) -> pd.Series:
    """The same with a warmup of 10 %."""
    return _shift(records, "adam", 0.1)


def shift_momentum(records: pd.DataFrame) -> pd.Series:
    """The same with 30 % for momentum SGD from a good initialisation."""
    return _shift(records, "momentum", 0.3)


def shift_large_init(records: pd.DataFrame) -> pd.Series:
    """The same with 30 % for momentum SGD from weights 1.5 times too large."""
    return _shift(records, "momentum_large_init", 0.3)


def _shift(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    return _largest_stable(records, regime, warmup) - _largest_stable(records, regime, 0.0)


def _largest_stable(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    """Doublings of the largest learning rate that did not fail; one less than the smallest where all did."""
    rows = records[(records["regime"] == regime) & (records["warmup"] == warmup)]
    trained = rows["doublings"].where(rows["failed"] == 0, rows["doublings"].min() - 1)
    return trained.groupby(rows["seed"]).max()


def warmup_cosine_regret(records: pd.DataFrame) -> pd.Series:
    """Test error of warmup + cosine less that of the best other schedule, chosen on the other seeds, points."""
    error = 100.0 * records.pivot(index="seed", columns="recipe", values="test_error").fillna(0.9)
    return error["warmup_cosine"] - _best(error.drop(columns="warmup_cosine"))


def _best(table: pd.DataFrame) -> pd.Series:
    """Each seed's value in the column that is lowest over the other seeds."""
    chosen = cross_fitted(table, list(table.columns), "idxmin")
    return pd.Series({seed: table.loc[seed, column] for seed, column in chosen.items()})


def _losses(grid: pd.DataFrame) -> pd.DataFrame:
    """Seeds x learning rates of the train loss; not finite or beyond twice that of guessing counts as twice."""
    table = grid.pivot(index="seed", columns="learning_rate", values="train_loss")
    return table.fillna(np.inf).clip(upper=2.0 * GUESSING)


def low_arm(records: pd.DataFrame) -> pd.Series:
    """log2 of the train loss at the lowest learning rate over that at the best."""
    losses = _losses(records)
    return np.log2(losses.iloc[:, 0] / _best(losses))


def high_arm(records: pd.DataFrame) -> pd.Series:
    """The same for the highest."""
    losses = _losses(records)
    return np.log2(losses.iloc[:, -1] / _best(losses))


def gap_left(records: pd.DataFrame) -> pd.Series:
    """Share of the loss gap between a low and the best learning rate that ten times the budget leaves."""
    best = _best(_losses(part_of(records, "grid")))
    loss = part_of(records, "patience").pivot(index="seed", columns="step", values="train_loss").fillna(2.0 * GUESSING)
    return (loss.iloc[:, -1] - best) / (loss.iloc[:, 0] - best)


def best_rate(records: pd.DataFrame) -> float:
    """Learning rate of the grid with the lowest mean train loss."""
    return float(_losses(part_of(records, "grid")).mean().idxmin())


def _suggested(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """log10 of the range test's suggestion over the best learning rate, seeds x ramps from the fastest."""
    rates = part_of(records, "range_test").pivot(index="seed", columns="ramp", values=column)
    rates = (rates / 10.0 if column == "at_minimum" else rates).set_axis(["fast", "ordinary", "slow"], axis=1)
    return np.log10(rates / best_rate(records))


def range_test(records: pd.DataFrame) -> pd.Series:
    """log10 of a tenth of the rate of the smallest loss over the best learning rate, ramp of ordinary length."""
    return _suggested(records, "at_minimum")["ordinary"]


def range_test_slow(records: pd.DataFrame) -> pd.Series:
    """log10 of the suggestion of the slowest ramp over that of the fastest."""
    suggested = _suggested(records, "at_minimum")
    return suggested["slow"] - suggested["fast"]


def range_test_steepest(records: pd.DataFrame) -> pd.Series:
    """|log10 error| of the steepest-descent rule less that of the minimum rule, ramp of ordinary length."""
    return _suggested(records, "steepest")["ordinary"].abs() - range_test(records).abs()


def edge_late(records: pd.DataFrame) -> pd.Series:
    """Sharpness times half the learning rate over the last 30 % of the steps, mean of the learning rates;
    infinite where a run diverged."""
    late = records[records["step"] >= 0.7 * records["step"].max()]
    return late["stability"].fillna(np.inf).groupby(late["seed"]).mean()


def edge_survives(records: pd.DataFrame) -> pd.Series:
    """Share of runs beyond 2 / sharpness at the start that end with a finite and lower loss."""
    loss = records.pivot(index=["seed", "multiple"], columns="step", values="loss")
    return (loss.iloc[:, -1] < loss.iloc[:, 0]).groupby("seed").mean()
