"""Error between sizes that are fixed beforehand, where a curve peaks, and ratios that no measure can say."""

import numpy as np

from .problems import PROBLEMS

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def _table(records, column, x="width"):
    """A column, seeds by values of `x` in ascending order."""
    return records.pivot(index="seed", columns=x, values=column)


def _listed(sizes):
    return sizes if isinstance(sizes, list) else [sizes]


def features_between(records, dataset, of, less, clean=False, ridge=False):
    """Test error of random features at a size less that at another; of several sizes the highest error counts.

    A size is a number of features per training example (the nearest on the grid is meant), `narrowest` or `widest`.
    Labels are the noisy ones, or clean; the solution is that of least norm, or with the ridge penalty.
    """
    noise = 0.0 if clean else records["label_noise"].max()
    rows = records[(records["dataset"] == dataset) & (records["label_noise"] == noise)]
    rows = rows[rows["ridge"] == (rows["ridge"].max() if ridge else 0)]
    table = _table(rows, "test_error").fillna(CHANCE)
    widths = table.columns.to_numpy(dtype=float)

    def worst(sizes):
        ends = {"narrowest": widths[0], "widest": widths[-1]}
        wanted = [ends[size] if size in ends else size * rows["examples"].iloc[0] for size in _listed(sizes)]
        return table.iloc[:, [np.abs(np.log(widths / width)).argmin() for width in wanted]].max(axis=1)

    return worst(of) - worst(less)


def peak_to_threshold(records, dip, clean=False):
    """log2 of the width from `dip` on where a seed's test error is highest, over that where it fits its noisy labels.

    A seed's network fits from the first width on at which its train error is at most 10 %; else at the widest. With
    `clean` the test error is that of clean labels.
    """
    noisy = records[records["label_noise"] == records["label_noise"].max()]
    curve = records[records["label_noise"] == 0] if clean else noisy
    highest = _table(curve, "test_error").fillna(CHANCE).loc[:, dip:].idxmax(axis=1)
    fits = _table(noisy, "train_error").fillna(CHANCE) <= 0.1
    fits[fits.columns[-1]] = True
    return np.log2(highest / fits.idxmax(axis=1))


def ratio_to_theory(records, model, penalty, theory=None):
    """Measured over expected risk at the gamma where a seed's is farthest from one, gamma within 0.1 of 1 left out.

    `theory` is the penalty of the closed form, that of the measurement unless given.
    """
    table = _table(records[(records["model"] == model) & (records["penalty"] == penalty)], "risk", "gamma")
    table = table[[gamma for gamma in table.columns if abs(gamma - 1) > 0.1 + 1e-9]]
    ratio = table / [PROBLEMS[model].expected(gamma, (theory or penalty) == "optimal") for gamma in table.columns]
    return ratio.apply(lambda found: found.iloc[np.abs(np.log(found)).argmax()], axis=1)


def second_descent(records, model, penalty, dip=0.2, end=4.0):
    """Fall of risk from gamma = `dip` to `end`, or the rise between them, from `dip` to 1, where that is less."""
    table = _table(records[(records["model"] == model) & (records["penalty"] == penalty)], "risk", "gamma")
    return (table[dip] - table[end]).combine(table[1.0] - table[dip], min)


def decomposition_ratio(records, near=0.0):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths.

    Widths `near` the number of examples, as a share of it, are left out.
    """
    rows = records[(records["width"] / records["examples"] - 1).abs() >= near]
    ratio = rows["error"] / (rows["squared_bias"] + rows["variance"] + rows["noise"])
    return np.exp(np.log(ratio).groupby(rows["seed"]).mean())


def log_ratio(records, of, to, column="variance"):
    """Log of a column's ratio between two widths; of several widths the one with the highest value counts.

    A width is a number, `narrowest`, `widest`, or `threshold`: as many random features as examples.
    """
    table = _table(records, column)
    names = {"narrowest": table.columns[0], "threshold": records["examples"].iloc[0], "widest": table.columns[-1]}
    of, to = (table[[names.get(width, width) for width in _listed(widths)]].max(axis=1) for widths in (of, to))
    return np.log(of / to)


def gap_ratio(records, of="most", to="fewest"):
    """Gap of test to train error (the same noise in both labels) at the most examples over that at the fewest."""
    gap = records["noisy_test_error"] - records["train_error"]
    table = _table(records.assign(gap=gap.fillna(CHANCE)), "gap", "examples")
    ends = {"most": table.iloc[:, -1], "fewest": table.iloc[:, 0]}
    return ends[of] / ends[to]
