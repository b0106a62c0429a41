"""One number per seed where no measure says it: limits of stability, and what compares two parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.results.records import part_of

from .constants import GUESSING


def shift(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    """log2 of the largest learning rate that did not fail with a warmup, over that without.

    Where all failed, one doubling less than the smallest stands for it.
    """
    rows = records[records["regime"] == regime]
    trained = rows["doublings"].where(rows["failed"] == 0, rows["doublings"].min() - 1)
    largest = trained.groupby([rows["warmup"], rows["seed"]]).max()
    return largest[warmup] - largest[0.0]


def edge_late(records: pd.DataFrame) -> pd.Series:
    """Sharpness times half the learning rate, mean of the last 30 % of the steps; infinite where a run diverged."""
    late = records[records["step"] >= 0.7 * records["step"].max()]
    return late["stability"].fillna(np.inf).groupby(late["seed"]).mean()


def edge_survives(records: pd.DataFrame) -> pd.Series:
    """Share of runs beyond 2 / sharpness at the start that end with a finite and lower loss."""
    loss = records.pivot(index=["seed", "multiple"], columns="step", values="loss")
    return (loss.iloc[:, -1] < loss.iloc[:, 0]).groupby("seed").mean()


def _losses(records: pd.DataFrame) -> pd.DataFrame:
    """Seeds x constant learning rates of the train loss; twice that of guessing at most, or where not finite."""
    table = part_of(records, "grid").pivot(index="seed", columns="learning_rate", values="train_loss")
    return table.fillna(np.inf).clip(upper=2.0 * GUESSING)


def gap_left(records: pd.DataFrame) -> pd.Series:
    """Share of the loss gap between a low and the best learning rate that ten times the budget leaves."""
    losses = _losses(records)
    best = best_for_others(losses, losses, "lowest")
    loss = part_of(records, "patience").pivot(index="seed", columns="step", values="train_loss").fillna(2.0 * GUESSING)
    return (loss.iloc[:, -1] - best) / (loss.iloc[:, 0] - best)


def best_rate(records: pd.DataFrame) -> float:
    """Constant learning rate with the lowest mean train loss."""
    return float(_losses(records).mean().idxmin())


def range_test(records: pd.DataFrame, rule: str = "at_minimum", ramp: int = 1) -> pd.Series:
    """log10 of a suggested learning rate over the best constant one; ramps from 0, the fastest, to 2.

    Suggested is the rate of the steepest fall of the loss, or a tenth of that of its minimum.
    """
    rates = part_of(records, "range_test").pivot(index="seed", columns="ramp", values=rule).iloc[:, ramp]
    return np.log10((rates / 10.0 if rule == "at_minimum" else rates) / best_rate(records))


def range_test_slow(records: pd.DataFrame) -> pd.Series:
    """log10 of the suggestion of the slowest ramp over that of the fastest."""
    return range_test(records, ramp=2) - range_test(records, ramp=0)


def range_test_steepest(records: pd.DataFrame) -> pd.Series:
    """|log10 error| of the rule of the steepest fall less that of the rule of the minimum."""
    return range_test(records, "steepest").abs() - range_test(records).abs()
