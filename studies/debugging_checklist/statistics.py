"""One number per seed where no measure says it: what several checks find together, ROC areas, remedies, best rates."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from claimcheck.results.tables import by_seed

LECTURE = ("gradient", "data", "overfit", "learning_rate", "gradient_norms")
"""The lecture's five checks."""

LARGE = 30.0
"""Norm of the gradient above which `claimcheck.checklist` calls it large."""


def found_by_any(records: pd.DataFrame, checks: list[str], bugs: list[str]) -> pd.Series:
    """Share of these bugs that at least one of the checks finds."""
    rows = records[records["check"].isin(checks) & records["bug"].isin(bugs)]
    return rows.groupby(["seed", "bug"])["found"].max().groupby("seed").mean()


def found_by_lecture(records: pd.DataFrame, healthy: bool = False) -> pd.Series:
    """Share of the planted bugs (or of the healthy hosts) at which at least one of the lecture's five checks cries."""
    bugs = [bug for bug in records["bug"].unique() if (bug == "none") == healthy]
    return found_by_any(records, list(LECTURE), bugs)


def _trials(records: pd.DataFrame, column: str, **cell) -> pd.DataFrame:
    """A column of the trials, units by trials."""
    return by_seed(records, column, "trial", **cell)


def area(scores: np.ndarray, failed: np.ndarray) -> float:
    """Area under the ROC curve: the chance that a failure scores above a success, ties counting one half.

    Mann and Whitney's statistic by ranks; NaN where either is missing.
    """
    positives, negatives = int(failed.sum()), int((~failed).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[failed].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def auc(records: pd.DataFrame, optimizer: str, shape: str = "deep", score: str = "norm") -> pd.Series:
    """Area under the ROC curve of failure by a norm, over a unit's trials without a remedy.

    Args:
        score: norm (the largest of the first steps), first_norm, or order (the trials' numbers, which know nothing).
    """
    cell = {"optimizer": optimizer, "shape": shape, "remedy": "none"}
    trained = _trials(records, "trained", **cell)
    scores = trained * 0.0 + np.array(trained.columns, dtype=float) if score == "order" else _trials(records, score, **cell)
    return pd.Series(
        [area(scores.loc[seed].to_numpy(), trained.loc[seed].to_numpy() < 0.5) for seed in trained.index], trained.index
    )


def auc_difference(records: pd.DataFrame, of: str, less: str) -> pd.Series:
    """Area with one optimiser less that with another."""
    return auc(records, of) - auc(records, less)


def rescued(records: pd.DataFrame, remedy: str) -> pd.Series:
    """Of the deep trials that fail under momentum with a large early norm, the share that trains with a remedy.

    NaN where no trial of the unit is one.
    """
    cell = {"optimizer": "momentum", "shape": "deep"}
    bare = {name: _trials(records, name, remedy="none", **cell) for name in ("trained", "norm")}
    flagged = (bare["trained"] < 0.5) & (bare["norm"] > LARGE)
    return _trials(records, "trained", remedy=remedy, **cell).where(flagged).mean(axis=1)


def best_rate_apart(records: pd.DataFrame, remedy: str) -> pd.Series:
    """Steps of the grid of rates, a factor of about 3 each, between the best for the shallow and for the deep network."""
    best = {}
    for shape in ("wide", "deep"):
        table = by_seed(records, "train_loss", "rate", remedy=remedy, shape=shape)
        best[shape] = pd.Series(table.to_numpy().argmin(axis=1), table.index)
    return (best["wide"] - best["deep"]).abs().astype(float)


def spikes_without_bad_numbers(records: pd.DataFrame, speed: str = "high", fault: str = "none") -> pd.Series:
    """Spikes of a run that meets no NaN and no infinity; -1 where it meets one."""
    cell = {"fault": fault, "speed": speed}
    spikes, bad = (by_seed(records, column, **cell) for column in ("spikes", "bad"))
    return spikes.where(bad == 0, -1.0)
