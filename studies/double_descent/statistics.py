"""Error between sizes that are fixed beforehand, where a curve peaks, and ratios that no measure can say."""

import numpy as np

from claimcheck.results.tables import by_seed, first_at_most

from .problems import PROBLEMS

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def between(records, of, less, column="test_error", log=False, **cell):
    """A column of random features at a size less that at another; of several sizes the one with the highest value.

    A size is a number of features per training example (the nearest on the grid is meant), `narrowest` or `widest`.

    Args:
        log: the difference of logarithms.
        cell: levels of what else the part varies.
    """
    table = by_seed(records, column, "width", **cell)
    per_example = table.columns.to_numpy(dtype=float) / records["examples"].iloc[0]
    ends = {"narrowest": per_example[0], "widest": per_example[-1]}

    def highest(sizes):
        wanted = [ends.get(size, size) for size in (sizes if isinstance(sizes, list) else [sizes])]
        return table.iloc[:, [np.abs(np.log(per_example / size)).argmin() for size in wanted]].max(axis=1)

    return np.log(highest(of) / highest(less)) if log else highest(of) - highest(less)


def peak_to_threshold(records, dip, clean=False):
    """log2 of the width from `dip` on where a seed's test error is highest, over that where it fits its noisy labels.

    A seed's network fits from the first width on at which its train error is at most 10 %; else at the widest. With
    `clean` the test error is that of clean labels.
    """
    noisy = records["label_noise"].max()
    curve = by_seed(records, "test_error", "width", if_diverged=CHANCE, label_noise=0.0 if clean else noisy)
    fits = first_at_most(by_seed(records, "train_error", "width", label_noise=noisy), 0.1)
    return np.log2(curve.loc[:, dip:].idxmax(axis=1) / fits.clip(upper=records["width"].max()))


def ratio_to_theory(records, model, penalty, theory=None):
    """Measured over expected risk at the gamma where a seed's is farthest from one, gamma within 0.1 of 1 left out.

    `theory` is the penalty of the closed form, that of the measurement unless given.
    """
    table = by_seed(records, "risk", "gamma", model=model, penalty=penalty)
    table = table[[gamma for gamma in table if abs(gamma - 1) > 0.1 + 1e-9]]
    ratio = table / [PROBLEMS[model].expected(gamma, (theory or penalty) == "optimal") for gamma in table]
    return ratio.apply(lambda found: found.iloc[np.abs(np.log(found)).argmax()], axis=1)


def second_descent(records, model, penalty, dip=0.2, end=4.0):
    """Fall of risk from gamma = `dip` to `end`, or the rise between them, from `dip` to 1, where that is less."""
    table = by_seed(records, "risk", "gamma", model=model, penalty=penalty)
    return np.minimum(table[dip] - table[end], table[1.0] - table[dip])


def decomposition_ratio(records, near=0.0):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths.

    Widths `near` the number of examples, as a share of it, are left out.
    """
    rows = records[(records["width"] / records["examples"] - 1).abs() >= near]
    ratio = rows["error"] / (rows["squared_bias"] + rows["variance"] + rows["noise"])
    return np.exp(np.log(ratio).groupby(rows["seed"]).mean())
