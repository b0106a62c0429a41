"""One number per seed where no measure says it: sides of the best rate, and the edge of stability."""

from __future__ import annotations

import numpy as np
import pandas as pd


def share_below(records: pd.DataFrame, what: str, optimizer: str) -> pd.Series:
    """Of the runs of the grid that end in a plateau or blown up, those whose rate is below the best one; a share.

    A run at the best rate itself counts on neither side; NaN where no run of the seed is counted.

    Args:
        what: plateau or blown_up.
    """
    rows = records[(records["optimizer"] == optimizer) & (records["half_decades"] != 0)]
    below = (rows[what] * (rows["half_decades"] < 0)).groupby(rows["seed"]).sum()
    return below / rows[what].groupby(rows["seed"]).sum()


def share_above(records: pd.DataFrame, what: str, optimizer: str) -> pd.Series:
    """The same, above the best rate."""
    return 1.0 - share_below(records, what, optimizer)


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
