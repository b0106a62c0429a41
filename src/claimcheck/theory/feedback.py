"""Loops in which a process makes the data that it next learns from: what theory says of urns and of refitting.

Urns: two places, looks at one of them a round, and what is found there is added to its count. With proportional looks
and equal rates that is Pólya's urn (Eggenberger and Pólya 1923), whose share tends to a beta variable; Ensign et al. 2018
(Runaway feedback loops in predictive policing, FAT*, arXiv:1706.09847) put predictive policing into this form.

Refitting: a normal distribution is estimated from n draws of the one before, again and again (Shumailov et al. 2024, AI
models collapse when trained on recursively generated data, Nature 631). Draws no random number; knows no study.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betainc, digamma


def urn_share_cdf(share: np.ndarray | float, start: Sequence[float]) -> np.ndarray:
    """P(limit of the first place's share <= share) with proportional looks and equal rates.

    Args:
        share: between 0 and 1, any shape.
        start: the counts (a, b) at the beginning; each find adds one. The law is Beta(a, b).
    """
    return betainc(start[0], start[1], np.asarray(share, dtype=float))


def lock_in(rates: Sequence[float]) -> float:
    """Probability that the second place gets all looks in the end, where looks go to the larger count, from a tie.

    While counts are equal each place is looked at with probability 1/2, so the first find is at the second place with
    probability r2 / (r1 + r2); after it nobody looks at the other one.

    Args:
        rates: chance (r1, r2) of a find a look.
    """
    return rates[1] / (rates[0] + rates[1])


def log_variance_drift(n: int) -> float:
    """Expected change of the log-variance in one refit to n draws, variance over n: psi((n - 1) / 2) + ln(2 / n).

    The estimate is the old variance times chi-square with n - 1 degrees of freedom over n.
    """
    return float(digamma((n - 1) / 2) + math.log(2 / n))


def mean_variance(n: int, generations: int) -> float:
    """Expected variance after refits to n draws, over the first one: (1 - 1/n)^generations.

    It falls half as fast as the typical variance, exp of the mean log: few chains carry it.
    """
    return (1 - 1 / n) ** generations
