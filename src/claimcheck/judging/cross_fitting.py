"""Choosing a level, such as a learning rate or a temperature, on the mean of the other seeds (cross-fitting).

An extreme that is chosen and judged on the same numbers comes out too extreme. Where a seed is judged at the level that
is best for the others, a flat curve has no best on average. The price: where two levels nearly tie, a seed is judged at
the one that suits the others, which pulls differences toward none.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd


def best_for_others(values: pd.DataFrame, ranks: pd.DataFrame, best: Literal["lowest", "highest"]) -> pd.Series:
    """For each seed (row) its value in the column that ranks lowest or highest on the mean of the other seeds.

    An infinite rank makes its column the last choice of the other seeds; of equals the first is taken.
    """
    lost = np.isinf(ranks.to_numpy())
    finite = np.where(lost, 0.0, ranks.to_numpy())
    others = finite.sum(axis=0) - finite
    others[lost.sum(axis=0) > lost] = np.inf if best == "lowest" else -np.inf
    chosen = others.argmin(axis=1) if best == "lowest" else others.argmax(axis=1)
    return pd.Series(values.to_numpy()[np.arange(len(values)), chosen], index=values.index)
