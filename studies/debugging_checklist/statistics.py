"""One number per seed where no measure says it: what several checks find together, ROC areas, remedies, best rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from claimcheck.results.tables import by_seed

LECTURE = ("gradient", "data", "overfit", "learning_rate", "gradient_norms")
"""The lecture's five checks."""

LARGE = 100.0
"""Norm of the gradient, in nats, that counts as large in these networks, which begin with norms of a few nats."""


def found_by_any(records: pd.DataFrame, checks: list[str], bugs: list[str]) -> pd.Series:
    """Share of these bugs that at least one of the checks finds."""
    rows = records[records["check"].isin(checks) & records["bug"].isin(bugs)]
    return rows.groupby(["seed", "bug"])["found"].max().groupby("seed").mean()


def found_by_lecture(records: pd.DataFrame, healthy: bool = False) -> pd.Series:
    """Share of the planted bugs (or of the healthy hosts) at which at least one of the lecture's five checks cries."""
    bugs = [bug for bug in records["bug"].unique() if (bug == "none") == healthy]
    return found_by_any(records, list(LECTURE), bugs)


def area(scores: np.ndarray, failed: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a failure scores above a success, ties counting one half.

    Mann and Whitney's statistic by ranks; NaN where either is missing.
    """
    positives, negatives = int(failed.sum()), int((~failed).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[failed].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc(records: pd.DataFrame, optimizer: str, score: str = "norm") -> pd.Series:
    """Area under the ROC curve of failure by a norm over a unit's plain trials, the mean over data sets.

    Args:
        score: norm (the largest of the first steps, before a run is lost), order (the trials' numbers, which know
            nothing), or trained (success itself).
    """
    plain = records[records["optimizer"] == optimizer]
    plain = plain.assign(order=plain["trial"].astype(float))
    areas = {
        key: area(own[score].to_numpy(), own["trained"].to_numpy() < 0.5)
        for key, own in plain.groupby(["seed", "dataset"])
    }
    return pd.Series(areas).groupby(level=0).agg(lambda values: values.mean(skipna=False)).rename_axis("seed")


def failures_where_large(records: pd.DataFrame, by: str = "norm") -> pd.Series:
    """Share of a unit's plain trials with a large early norm that fail, less that of the others; 0 at most if not most.

    A trial that is lost before its norm is large is one of the others. NaN where no trial of the unit has a large norm,
    or all have.

    Args:
        by: norm; next, that of the unit's next trial, which knows nothing; or small, where norms up to the threshold
            change places with those above.
    """
    plain = records.sort_values(["seed", "trial"])
    following = plain.groupby("seed")["norm"].transform(lambda norms: np.roll(norms, -1))
    plain = plain.assign(next=following, small=LARGE**2 / plain["norm"])
    failed, large = plain["trained"] < 0.5, plain[by] > LARGE
    high, low = (failed[rows].groupby(plain["seed"]).mean() for rows in (large, ~large))
    excess = (high - low).reindex(plain["seed"].unique())
    return excess.where(~(high <= 0.5), excess.clip(upper=0.0))


def rescued(records: pd.DataFrame, remedy: str) -> pd.Series:
    """Of the trials of all data sets that fail with a large early norm, the share that a remedy trains.

    NaN where no trial of the unit is one.
    """
    large_and_failed = (records["trained"] < 0.5) & (records["norm"] > LARGE)
    return records[f"trained_{remedy}"].where(large_and_failed).groupby(records["seed"]).mean()


def _lead(records: pd.DataFrame, remedy: str) -> pd.Series:
    """Share of trials that train, shallow less deep, the mean over data sets."""
    rows = records[records["remedy"] == remedy].groupby(["seed", "shape"])["trained"].mean().unstack()
    return rows["shallow"] - rows["deep"]


def lead_narrowed(records: pd.DataFrame, of: str = "none", less: str = "norm_residual") -> pd.Series:
    """The shallow networks' lead without a remedy less their lead with it."""
    return _lead(records, of) - _lead(records, less)


def _by_rate(records: pd.DataFrame, remedy: str) -> dict[str, pd.DataFrame]:
    """Training losses of the shallow and of the deep network, by seed and rate."""
    return {shape: by_seed(records, "train_loss", "rate", remedy=remedy, shape=shape) for shape in ("shallow", "deep")}


def rate_steps(records: pd.DataFrame, remedy: str, of: str = "shallow", less: str = "deep") -> pd.Series:
    """Steps of the grid of rates, a factor of 3.2 each, from the deep network's best rate up to the shallow one's."""
    tables = _by_rate(records, remedy)
    best = {shape: pd.Series(table.to_numpy().argmin(axis=1), table.index) for shape, table in tables.items()}
    return (best[of] - best[less]).astype(float)


def lost_by_carrying_over(records: pd.DataFrame, remedy: str) -> pd.Series:
    """What the deep network loses at the shallow one's best rate, over the fall of its loss, from guessing, at its own.

    NaN where it learns nothing at any rate.
    """
    tables = _by_rate(records, remedy)
    deep, places = tables["deep"].to_numpy(), tables["shallow"].to_numpy().argmin(axis=1)
    best = pd.Series(deep.min(axis=1), tables["deep"].index)
    fall = (np.log(10.0) - best).where(best < np.log(10.0))
    return (deep[np.arange(len(deep)), places] - best) / fall


def spikes_without_bad_numbers(records: pd.DataFrame, speed: str = "high", fault: str = "none") -> pd.Series:
    """Spikes of the runs on all data sets, where they meet no NaN and no infinity; -1 where one does."""
    rows = records[(records["fault"] == fault) & (records["speed"] == speed)].groupby("seed")
    return rows["spikes"].sum().where(rows["bad"].max() == 0, -1.0)
