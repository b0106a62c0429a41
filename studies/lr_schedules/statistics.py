"""One number per seed where no measure says it: where runs go wrong, which rate would mend them, growth of the loss."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed


def share_below(records: pd.DataFrame, what: str, optimizer: str) -> pd.Series:
    """Of the runs of the grid that end in a plateau or blown up, those whose rate is below the best one; a share.

    A run at the best rate itself counts on neither side; NaN where no run of the seed is counted.

    Args:
        what: plateau, flat or blown_up.
    """
    found = by_seed(records, what, ["half_decades", "gain"], optimizer=optimizer)
    places = found.columns.get_level_values("half_decades")
    below, above = (found.loc[:, side].sum(axis=1) for side in (places < 0, places > 0))
    return below / (below + above)


def share_above(records: pd.DataFrame, what: str, optimizer: str) -> pd.Series:
    """The same, above the best rate."""
    return 1.0 - share_below(records, what, optimizer)


def learnt_elsewhere(records: pd.DataFrame, what: str, optimizer: str, rates: str) -> pd.Series:
    """Of the runs of the grid that end in a plateau or blown up, those that learn at another rate; a share.

    Nothing but the rate is another: weights, examples and their order are those of the run. NaN where no run of the
    seed is counted.

    Args:
        what: plateau, flat or blown_up.
        rates: which other rates of the grid are asked, all that are lower or all that are higher.
    """
    found, learnt = (by_seed(records, each, ["gain", "half_decades"], optimizer=optimizer) for each in (what, "learnt"))
    counted = cured = 0.0
    for gain in found.columns.unique("gain"):
        ascending = rates == "lower"
        lost, well = (table[gain].sort_index(axis=1, ascending=ascending) for table in (found, learnt))
        before = well.cummax(axis=1).shift(axis=1, fill_value=0.0)  # any that comes sooner in this order has learnt
        counted, cured = counted + lost.sum(axis=1), cured + (lost * before).sum(axis=1)
    return cured / counted


def edge_growth(records: pd.DataFrame, from_step: str, to_step: str) -> pd.Series:
    """Loss at the lowest or highest step over that at another, the greatest of the runs beyond 2 / sharpness.

    Infinite where one of them is not finite.
    """
    loss = by_seed(records, "loss", ["step", "multiple"])
    steps = {"lowest": records["step"].min(), "highest": records["step"].max()}
    return (loss[steps[to_step]] / loss[steps[from_step]]).fillna(np.inf).max(axis=1)
