"""What a figure shows of many seeds: an average at each place, and an interval around it.

These intervals show how far seeds scatter; they decide nothing. Verdicts come from :mod:`claimcheck.judging`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.special import bdtr, betaincinv, stdtrit  # scipy.stats takes a second to load

LEVEL = 0.95
"""Of the intervals."""


def summary(records: pd.DataFrame, x: str, y: str, by: str | None = None, *, average: str = "mean") -> pd.DataFrame:
    """Mean, median or proportion over seeds of column `y` at each `x` (and `by`), with an interval.

    Rows of one seed are averaged first, since seeds are the only replicates. A seed with a value that is not finite
    (a diverged run) is left out of the average and counted in `missing`.

    Returns:
        columns: by (if given), x, centre, low, high (Student's t interval for the mean, order statistics for the
        median, the binomial interval for a proportion of 0 to 1; NaN with one seed), n (seeds with finite values),
        missing (seeds without).
    """
    keys = [by, x] if by else [x]
    table = records[[*keys, "seed", y]].copy()
    table[y] = table[y].astype(float).where(np.isfinite(table[y].astype(float)))
    grouped = table.groupby([*keys, "seed"], sort=True, observed=True)[y]
    per_seed = grouped.mean().where(grouped.count() == grouped.size())
    rows = []
    for key, values in per_seed.groupby(level=keys, sort=True, observed=True):
        key, numbers = key if isinstance(key, tuple) else (key,), values.to_numpy()
        finite = numbers[~np.isnan(numbers)]
        rows.append([*key, *_average(finite, average), len(finite), len(numbers) - len(finite)])
    numbers = dict.fromkeys(("centre", "low", "high"), float)
    return pd.DataFrame(rows, columns=[*keys, *numbers, "n", "missing"]).astype(numbers)  # also where there are no rows


def _average(values: np.ndarray, average: str) -> tuple[float, float, float]:
    """Centre of the values [n] and the ends of its interval."""
    if len(values) == 0:
        return np.nan, np.nan, np.nan
    if average == "median":
        centre, ordered = float(np.median(values)), np.sort(values)
        rank = int(np.searchsorted(bdtr(np.arange(len(values)), len(values), 0.5), (1 - LEVEL) / 2))
        return (centre, *((ordered[rank - 1], ordered[-rank]) if rank > 0 else (np.nan, np.nan)))
    centre = float(values.mean())
    if len(values) == 1:
        return centre, np.nan, np.nan
    if average == "proportion":
        return centre, *proportion_interval(values)
    half = stdtrit(len(values) - 1, (1 + LEVEL) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return centre, centre - half, centre + half


def proportion_interval(shares: np.ndarray) -> tuple[float, float]:
    """Clopper and Pearson's interval (1934) of the mean of values [n], each 0 or 1.

    Seeds that are shares of several runs lie in between: their sum's tail is at most e times the binomial one
    (Hoeffding 1956, Bentkus 2004), so the interval is that of the rounded counts at a level raised accordingly.
    """
    yes, no = (math.floor(float(part.sum()) + 1e-9) for part in (shares, 1 - shares))
    level = LEVEL if np.isin(shares, (0, 1)).all() else 1 - (1 - LEVEL) / math.e
    tail, n = (1 - level) / 2, len(shares)
    low = betaincinv(yes, n - yes + 1, tail) if yes else 0.0
    high = betaincinv(n - no + 1, no, 1 - tail) if no else 1.0
    return float(low), float(high)


def relative(records: pd.DataFrame, column: str, x: str, at: float) -> pd.Series:
    """Natural logarithm of a column over its value in the same run where `x` is `at`: one number for each row."""
    start = records[records[x] == at].set_index("run")[column]
    return np.log(records[column] / records["run"].map(start))
