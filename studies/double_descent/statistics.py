"""Where a curve of error over size has its best point, its peak and its ends, and what else no measure can say.

An extreme that is chosen and judged on the same numbers comes out too extreme. Here the best and the highest width are
chosen, for each seed, on the mean of the other seeds (cross-fitting), so that a flat curve has no rise on average. The
price: where two widths nearly tie, a seed is judged at the one that suits the others, which pulls differences towards none.
"""

from functools import partial

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import cross_fitted

from .problems import PROBLEMS

INTERPOLATION = 0.1
"""Train error below which a network counts as interpolating (the epsilon of Nakkiran et al. 2019)."""

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def _table(records, column, x="width"):
    """A column, seeds by values of `x` in ascending order."""
    return records.pivot(index="seed", columns=x, values=column)


def _only(records, **where):
    for column, value in where.items():
        records = records[records[column] == value]
    return records


def _at(table, columns):
    """Each seed's value in a column of its own."""
    return pd.Series({seed: table.loc[seed, column] for seed, column in columns.items()}).rename_axis("seed")


def landmarks(error, threshold):
    """Landmarks of a curve for each seed, from test error (seeds by widths) and the width at which interpolation begins.

    Returns:
        by seed: the error at the `narrowest` width, at the `best` up to the threshold, at the `peak` (the highest from
        that best on) and at the `widest`; the widths `peak_at` and `threshold`.
    """
    widths = list(error.columns)
    best = cross_fitted(error, [width for width in widths if width <= threshold] or widths[:1], "idxmin")
    beyond = {seed: [width for width in widths if width >= best[seed]] for seed in error.index}
    peak = pd.Series({seed: cross_fitted(error, beyond[seed], "idxmax")[seed] for seed in error.index})
    ends = {"narrowest": error[widths[0]], "widest": error[widths[-1]]}
    found = {**ends, "best": _at(error, best), "peak": _at(error, peak), "peak_at": peak, "threshold": threshold}
    return pd.DataFrame(found)


def interpolation_width(rows):
    """The first width of networks whose mean train error is at most INTERPOLATION; the widest where there is none."""
    error = _table(rows, "train_error").fillna(CHANCE).mean()
    return (error <= INTERPOLATION).idxmax() if error.min() <= INTERPOLATION else error.index[-1]


def _landmarks(records, clean=False, **where):
    """Landmarks on clean labels or on those of which most are wrong; random features are those without a penalty."""
    rows = _only(records, label_noise=0.0 if clean else records["label_noise"].max(), **where)
    if "ridge" in rows:  # random features of least norm interpolate from as many as examples on
        rows, threshold = _only(rows, ridge=0.0), rows["examples"].iloc[0]
    else:
        threshold = interpolation_width(rows)
    return landmarks(_table(rows, "test_error").fillna(CHANCE), threshold)


def _difference(first, second, **which):
    """A statistic: test error at one landmark less that at another."""

    def statistic(records):
        marks = _landmarks(records, **which)
        return marks[first] - marks[second]

    return statistic


rise = _difference("peak", "best")
left_arm = _difference("narrowest", "best")
descent = _difference("peak", "widest")
excess_at_end = _difference("widest", "best")
rise_clean = _difference("peak", "best", clean=True)
digits_rise = _difference("peak", "best", dataset="digits")
digits_left_arm = _difference("narrowest", "best", dataset="digits")
digits_descent = _difference("peak", "widest", dataset="digits")
digits_excess_at_end = _difference("widest", "best", dataset="digits")
digits_rise_clean = _difference("peak", "best", clean=True, dataset="digits")
signals_rise = _difference("peak", "best", dataset="mnist1d")
signals_left_arm = _difference("narrowest", "best", dataset="mnist1d")
signals_descent = _difference("peak", "widest", dataset="mnist1d")
signals_excess_at_end = _difference("widest", "best", dataset="mnist1d")


def peak_to_threshold(records):
    """log2 of the width of the peak over the width at which interpolation begins."""
    marks = _landmarks(records)
    return np.log2(marks["peak_at"] / marks["threshold"])


def _ratio_to_theory(records, model, penalty):
    """Measured over expected risk at the gamma whose mean ratio is farthest from one, gamma within 0.1 of 1 left out.

    Taking the worst cell makes it harder, never easier, to lie within a tolerance around one.
    """
    table = _table(_only(records, model=model, penalty=penalty), "risk", "gamma")
    table = table[[gamma for gamma in table.columns if abs(gamma - 1) > 0.1 + 1e-9]]
    ratio = table / [PROBLEMS[model].expected(gamma, penalty == "optimal") for gamma in table.columns]
    return ratio[(ratio.mean() - 1).abs().idxmax()]


ridgeless_ratio = partial(_ratio_to_theory, model="isotropic", penalty="none")
misspecified_ratio = partial(_ratio_to_theory, model="misspecified", penalty="none")
ridge_ratio = partial(_ratio_to_theory, model="misspecified", penalty="optimal")


def network_decomposition_ratio(records):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths."""
    parts = records["squared_bias"] + records["variance"] + records["noise"]
    rows = records.assign(log_ratio=np.log(records["error"] / parts))
    return np.exp(rows.groupby("seed")["log_ratio"].mean())


def decomposition_ratio(records):
    """The same of random features, without widths within a fifth of the number of examples: there error has no mean."""
    near = (records["width"] / records["examples"] - 1).abs() < 0.2
    return network_decomposition_ratio(records[~near])


def variance_rises(records):
    """Log of the variance at as many random features as examples over that at the fewest."""
    table, examples = _table(records, "variance"), int(records["examples"].iloc[0])
    return np.log(table[examples] / table.iloc[:, 0])


def variance_falls_again(records):
    """Log of the variance at the most random features over that at as many as examples."""
    table, examples = _table(records, "variance"), int(records["examples"].iloc[0])
    return np.log(table.iloc[:, -1] / table[examples])


def network_gap_ratio(records):
    """Generalisation gap (same noise in training and test labels) at the most examples over that at the fewest."""
    gap = (records["noisy_test_error"] - records["train_error"]).fillna(CHANCE)
    table = _table(records.assign(gap=gap), "gap", "examples")
    return table.iloc[:, -1] / table.iloc[:, 0]
