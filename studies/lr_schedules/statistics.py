"""One number per seed where no measure says it: limits of stability, and what compares two parts."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.results.records import part_of

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


def edge_sharpness(records: pd.DataFrame, after: float, until: float = 1.0, multiple: float | None = None) -> pd.Series:
    """Sharpness times half the learning rate; infinite where a run diverged.

    Args:
        after, until: mean over the steps from one share of them to the other.
        multiple: of one learning rate, by default the mean of all.
    """
    last = records["step"].max()
    rows = records[records["step"].between(after * last, until * last)]
    rows = rows if multiple is None else rows[rows["multiple"] == multiple]
    return rows["stability"].fillna(np.inf).groupby(rows["seed"]).mean()


def edge_growth(records: pd.DataFrame, from_step: str, to_step: str) -> pd.Series:
    """Loss at the lowest or highest step over that at another, the greatest of the runs beyond 2 / sharpness.

    Infinite where one of them is not finite.
    """
    loss = records.pivot(index=["seed", "multiple"], columns="step", values="loss")
    first, last = (loss.iloc[:, {"lowest": 0, "highest": -1}[each]] for each in (from_step, to_step))
    return (last / first).fillna(np.inf).groupby("seed").max()


def gap_left(records: pd.DataFrame, best: float, budgets: int) -> pd.Series:
    """Share of the gap in train loss between a low and the best learning rate that so many times the budget leave."""
    grid, patience = (part_of(records, name).set_index("seed") for name in ("grid", "patience"))
    best_loss = grid.loc[np.isclose(grid["learning_rate"], best), "train_loss"].fillna(np.inf)
    ordinary = patience["step"].min()
    once, longer = (
        patience.loc[patience["step"] == step, "train_loss"].fillna(2.0 * GUESSING)
        for step in (ordinary, ordinary * budgets)
    )
    return (longer - best_loss) / (once - best_loss)


def range_test(records: pd.DataFrame, rule: str, ramp: int, best: float = 1.0) -> pd.Series:
    """log10 of a suggested learning rate over the best constant one; ramps from 0, the fastest, to 2.

    Suggested is the rate of the steepest fall of the loss, or a tenth of that of its minimum.
    """
    rates = part_of(records, "range_test").pivot(index="seed", columns="ramp", values=rule).iloc[:, ramp]
    return np.log10((rates / 10.0 if rule == "at_minimum" else rates) / best)


def range_test_speed(records: pd.DataFrame, ramp: int, than: int) -> pd.Series:
    """log10 of the rule of the minimum's suggestion at one ramp over that at another."""
    return range_test(records, "at_minimum", ramp) - range_test(records, "at_minimum", than)


def range_test_errors(records: pd.DataFrame, rule: str, than: str, best: float) -> pd.Series:
    """|log10 error| of one rule less that of another, ramps of the middle length."""
    return range_test(records, rule, 1, best).abs() - range_test(records, than, 1, best).abs()
