"""Where a curve peaks, and ratios that no measure can say."""

import numpy as np

from .problems import PROBLEMS

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def _table(records, column, x):
    """A column, seeds by values of `x` in ascending order."""
    return records.pivot(index="seed", columns=x, values=column)


def peak_to_threshold(records, clean=False):
    """log2 of the width from the dip on where a seed's test error is highest, over that where it fits its noisy labels.

    A seed's network fits from the first width on at which its train error is at most 10 %; else at the widest. With
    `clean` the test error is that of clean labels.
    """
    noisy = records[records["label_noise"] == records["label_noise"].max()]
    curve, dip = (
        records[records["label_noise"] == 0] if clean else noisy,
        records["units"][records["size"] == "dip"].iloc[0],
    )
    highest = _table(curve, "test_error", "units").fillna(CHANCE).loc[:, dip:].idxmax(axis=1)
    fits = _table(noisy, "train_error", "units").fillna(CHANCE) <= 0.1
    fits[fits.columns[-1]] = True
    return np.log2(highest / fits.idxmax(axis=1))


def ratio_to_theory(records, model, penalty, theory=None):
    """Measured over expected risk at the gamma where a seed's is farthest from one, gamma within 0.2 of 1 left out.

    `theory` is the penalty of the closed form, that of the measurement unless given.
    """
    table = _table(records[(records["model"] == model) & (records["penalty"] == penalty)], "risk", "gamma")
    table = table[[gamma for gamma in table.columns if abs(gamma - 1) > 0.2 + 1e-9]]
    ratio = table / [PROBLEMS[model].expected(gamma, (theory or penalty) == "optimal") for gamma in table.columns]
    return ratio.apply(lambda found: found.iloc[np.abs(np.log(found)).argmax()], axis=1)


def decomposition_ratio(records, near=0.0):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths.

    Widths `near` the number of examples, as a share of it, are left out; where there are several data sets, their
    means are averaged.
    """
    rows = records[(records["width"] / records["examples"] - 1).abs() >= near] if near else records
    ratio = rows["error"] / (rows["squared_bias"] + rows["variance"] + rows["noise"])
    return np.exp(np.log(ratio).groupby(rows["seed"]).mean())
