"""Where a curve peaks, and ratios that no measure can say."""

import numpy as np

from claimcheck.results.tables import by_seed, first_at_most

from .problems import PROBLEMS

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


def peak_to_threshold(records, clean=False):
    """log2 of the width from the dip on where a seed's test error is highest, over that where it fits its noisy labels.

    A seed's network fits from the first width on at which its train error is at most 10 %; else at the widest. With
    `clean` the test error is that of clean labels.
    """
    noise, dip = records["label_noise"].max(), records["units"][records["size"] == "dip"].iloc[0]
    errors = by_seed(records, "test_error", "units", if_diverged=CHANCE, label_noise=0.0 if clean else noise)
    fits = first_at_most(by_seed(records, "train_error", "units", if_diverged=CHANCE, label_noise=noise), 0.1)
    return np.log2(errors.loc[:, dip:].idxmax(axis=1) / fits.clip(upper=records["units"].max()))


def ratio_to_theory(records, model, penalty, theory=None):
    """Measured over expected risk at the gamma where a seed's is farthest from one, gamma within 0.2 of 1 left out.

    `theory` is the penalty of the closed form, that of the measurement unless given.
    """
    table = by_seed(records, "risk", "gamma", model=model, penalty=penalty)
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
