"""One number per seed where no measure says it: limits of stability, and what compares two parts."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.results.records import part_of

from .constants import GUESSING


def _shift(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    """log2 of the largest stable learning rate with a warmup over that without."""
    return _largest_stable(records, regime, warmup) - _largest_stable(records, regime, 0.0)


def _largest_stable(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    """Doublings of the largest learning rate that did not fail; one less than the smallest where all did."""
    rows = records[(records["regime"] == regime) & (records["warmup"] == warmup)]
    trained = rows["doublings"].where(rows["failed"] == 0, rows["doublings"].min() - 1)
    return trained.groupby(rows["seed"]).max()


shift_adam = partial(_shift, regime="adam", warmup=0.3)
shift_adam_short = partial(_shift, regime="adam", warmup=0.1)
shift_momentum = partial(_shift, regime="momentum", warmup=0.3)
shift_large_init = partial(_shift, regime="momentum_large_init", warmup=0.3)


def _losses(grid: pd.DataFrame) -> pd.DataFrame:
    """Seeds x learning rates of the train loss; not finite or beyond twice that of guessing counts as twice."""
    table = grid.pivot(index="seed", columns="learning_rate", values="train_loss")
    return table.fillna(np.inf).clip(upper=2.0 * GUESSING)


def gap_left(records: pd.DataFrame) -> pd.Series:
    """Share of the loss gap between a low and the best learning rate that ten times the budget leaves."""
    grid = _losses(part_of(records, "grid"))
    best = best_for_others(grid, grid, "lowest")
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
