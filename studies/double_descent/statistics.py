"""Where a curve of error over size has its best point, its peak and its ends, and ratios that no measure can say."""

import numpy as np
import pandas as pd

from .problems import PROBLEMS

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def _table(records, column, x="width"):
    """A column, seeds by values of `x` in ascending order."""
    return records.pivot(index="seed", columns=x, values=column)


def landmarks(error, threshold):
    """Landmarks of each seed's curve, from test error (seeds by widths) and the width at which interpolation begins.

    Best and peak are chosen on the other seeds, so that a flat curve has no rise on average. The price: where
    two widths nearly tie, a seed is judged at the one that suits the others, which pulls differences towards none.

    Returns:
        by seed: the error at the `narrowest` width, at the `best` up to the threshold, at the `peak` (the highest from
        that best on) and at the `widest`; the widths `peak_at` and `threshold`.
    """
    found = {}
    for seed, own in error.iterrows():
        others = error.sum() - own
        best = others.loc[:threshold].idxmin()
        peak = others.loc[best:].idxmax()
        errors = {"narrowest": own.iloc[0], "best": own[best], "peak": own[peak], "widest": own.iloc[-1]}
        found[seed] = errors | {"peak_at": peak, "threshold": threshold}
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("seed")


def interpolation_width(rows):
    """The first width with a mean train error of at most 10 % (epsilon of Nakkiran et al. 2020); else the widest."""
    error = _table(rows, "train_error").fillna(CHANCE).mean()
    return min(error.index[error <= 0.1], default=error.index[-1])


def _landmarks(records, dataset=None, clean=False):
    """Landmarks on clean labels or where most are wrong; of random features those of one data set without a penalty."""
    rows = records[records["label_noise"] == (0.0 if clean else records["label_noise"].max())]
    if dataset:  # random features of least norm interpolate from as many as examples on
        rows = rows[(rows["dataset"] == dataset) & (rows["ridge"] == 0)]
    threshold = rows["examples"].iloc[0] if dataset else interpolation_width(rows)
    return landmarks(_table(rows, "test_error").fillna(CHANCE), threshold)


def error_between(records, of, less, **which):
    """Test error at one landmark less that at another."""
    marks = _landmarks(records, **which)
    return marks[of] - marks[less]


def peak_to_threshold(records):
    """log2 of the width of the peak over the width at which interpolation begins."""
    marks = _landmarks(records)
    return np.log2(marks["peak_at"] / marks["threshold"])


def ratio_to_theory(records, model, penalty):
    """Measured over expected risk at the gamma whose mean ratio is farthest from one, gamma within 0.1 of 1 left out.

    Taking the worst cell makes it harder, never easier, to lie within a tolerance around one.
    """
    table = _table(records[(records["model"] == model) & (records["penalty"] == penalty)], "risk", "gamma")
    table = table[[gamma for gamma in table.columns if abs(gamma - 1) > 0.1 + 1e-9]]
    ratio = table / [PROBLEMS[model].expected(gamma, penalty == "optimal") for gamma in table.columns]
    return ratio[(ratio.mean() - 1).abs().idxmax()]


def decomposition_ratio(records, near=0.0):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths.

    Widths `near` the number of examples, as a share of it, are left out.
    """
    rows = records[(records["width"] / records["examples"] - 1).abs() >= near]
    ratio = rows["error"] / (rows["squared_bias"] + rows["variance"] + rows["noise"])
    return np.exp(np.log(ratio).groupby(rows["seed"]).mean())


def variance_ratio(records, of, to):
    """Log ratio of variances at two of: `fewest` random features, as many as examples (`threshold`), `most`."""
    table = _table(records, "variance")
    widths = {"fewest": table.columns[0], "threshold": records["examples"].iloc[0], "most": table.columns[-1]}
    return np.log(table[widths[of]] / table[widths[to]])


def gap_ratio(records):
    """Gap of test to train error (the same noise in both labels) at the most examples over that at the fewest."""
    gap = records["noisy_test_error"] - records["train_error"]
    table = _table(records.assign(gap=gap.fillna(CHANCE)), "gap", "examples")
    return table.iloc[:, -1] / table.iloc[:, 0]
