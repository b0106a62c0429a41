"""Records as tables of units by levels: what a study's own statistics are computed from. Judges nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd


def by_seed(
    records: pd.DataFrame,
    column: str,
    over: str | list[str] | None = None,
    *,
    if_diverged: float = math.nan,
    at_most: float = math.inf,
    **cell: Any,
) -> Any:
    """A column in a cell of the design, a row per seed.

    Args:
        over: a factor or an index whose levels, in ascending order, are the columns, or several of them (the first
            then chooses: ``table[level]``). Without it the result is a series instead of a frame.
        if_diverged: what a number that is missing counts as.
        at_most: higher values count as this.
        cell: levels of other factors, the part among them, each one or a list.

    Raises:
        ValueError: the cell has several numbers for a seed and level.
    """
    rows = records
    for name, wanted in cell.items():
        rows = rows[rows[name].isin(wanted if isinstance(wanted, list) else [wanted])]
    rows = rows.assign(**{column: rows[column].fillna(if_diverged).clip(upper=at_most)})
    if over is None:
        return rows.set_index("seed")[column]
    return rows.pivot(index="seed", columns=over, values=column)


def first_at_most(table: pd.DataFrame, target: pd.Series | float) -> pd.Series:
    """The first level at which each seed's row is at or below its target, such as updates to a loss; infinite if never."""
    reached = table.le(target, axis=0)
    return reached.idxmax(axis=1).where(reached.any(axis=1), np.inf)
