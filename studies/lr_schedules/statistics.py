"""One number per seed where no measure says it: limits of stability, and what compares two parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed

from .constants import GUESSING


def shift(records: pd.DataFrame, regime: str, warmup: float, than: float, up_to: float | None = None) -> pd.Series:
    """log2 of the largest learning rate that did not fail with one warmup, over that with another (0: none).

    Where all failed, one doubling less than the smallest stands for it.

    Args:
        up_to: of the first, only rates up to so many doublings count.
    """
    rows = records[records["regime"] == regime]
    trained = rows["doublings"].where(rows["failed"] == 0, rows["doublings"].min() - 1)

    def largest(share: float, most: float | None) -> pd.Series:
        own = (rows["warmup"] == share) & (True if most is None else rows["doublings"] <= most)
        return trained[own].groupby(rows["seed"]).max()

    return largest(warmup, up_to) - largest(than, None)


def edge_growth(records: pd.DataFrame, from_step: str, to_step: str) -> pd.Series:
    """Loss at the lowest or highest step over that at another, the greatest of the runs beyond 2 / sharpness.

    Infinite where one of them is not finite.
    """
    loss = by_seed(records, "loss", ["step", "multiple"])
    steps = {"lowest": records["step"].min(), "highest": records["step"].max()}
    return (loss[steps[to_step]] / loss[steps[from_step]]).fillna(np.inf).max(axis=1)


def gap_left(records: pd.DataFrame, best: float, budgets: int) -> pd.Series:
    """Share of the gap in train loss between a low and the best learning rate that so many times the budget leave."""
    best_loss = by_seed(records, "train_loss", if_diverged=np.inf, part="grid", learning_rate=best)
    patience = by_seed(records, "train_loss", "step", if_diverged=2.0 * GUESSING, part="patience")
    once, longer = (patience[patience.columns[0] * times] for times in (1, budgets))
    return (longer - best_loss) / (once - best_loss)


def range_test(records: pd.DataFrame, rule: str, ramp: int, best: float = 1.0) -> pd.Series:
    """log10 of a suggested learning rate over the best constant one; ramps from 0, the fastest, to 2.

    Suggested is the rate of the steepest fall of the loss, or a tenth of that of its minimum.
    """
    rates = by_seed(records, rule, "ramp", part="range_test").iloc[:, ramp]
    return np.log10((rates / 10.0 if rule == "at_minimum" else rates) / best)


def range_test_speed(records: pd.DataFrame, ramp: int, than: int) -> pd.Series:
    """log10 of the rule of the minimum's suggestion at one ramp over that at another."""
    return range_test(records, "at_minimum", ramp) - range_test(records, "at_minimum", than)


def range_test_errors(records: pd.DataFrame, rule: str, than: str, best: float) -> pd.Series:
    """|log10 error| of one rule less that of another, ramps of the middle length."""
    return range_test(records, rule, 1, best).abs() - range_test(records, than, 1, best).abs()
