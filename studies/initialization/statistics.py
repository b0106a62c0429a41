"""What no measure can say: factors beside He's, best variances in order, and how far losses range over gains."""

import math

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed
from claimcheck.theory.slopes import bend, table

GUESSING = math.log(10.0)


def factor_beside_he(records: pd.DataFrame, variance: float) -> pd.Series:
    """Mean factor of ReLU's signal from layer to layer over that at He's variance, 2."""
    factors = []
    for value in (variance, 2.0):
        squares = np.exp(table(records, "relu", value, "pre_activation"))
        factors.append((squares.iloc[:, 1:].to_numpy() / squares.iloc[:, :-1]).mean(axis=1))
    return factors[0] / factors[1]


def bend_of(records: pd.DataFrame, activation: str, variance: float, swapped: bool = False) -> pd.Series:
    """Slope of the signal's ln mean square over the deeper half of the layers less that over the first half."""
    return bend(table(records, activation, variance, "pre_activation")) * (-1 if swapped else 1)


def capped_loss(records: pd.DataFrame, most: float = GUESSING) -> pd.Series:
    """Final loss, at most that of guessing (or `most`), which is also what a diverged run counts as."""
    return records["train_loss"].fillna(most).clip(upper=most)


def rise_of_best(records: pd.DataFrame, order: list[str]) -> pd.Series:
    """Best weight variance of the last of three activations less that of the first; NaN where the second's is outside."""
    losses = by_seed(records.assign(loss=capped_loss), "loss", ["activation", "weight_variance"])
    first, second, third = (losses[name].idxmin(axis=1) for name in order)
    return (third - first).where((first <= second) & (second <= third))


def gain_beside(records: pd.DataFrame, activation: str, beside: str) -> pd.Series:
    """Loss from Xavier's variance (1) less that from He's (2), of one activation less the same of another."""
    losses = by_seed(records.assign(loss=capped_loss), "loss", ["activation", "weight_variance"])
    gains = [losses[name][1.0] - losses[name][2.0] for name in (activation, beside)]
    return gains[0] - gains[1]


def halved(records: pd.DataFrame, cell: dict, beside: dict) -> pd.Series:
    """Half the loss range over gains in another cell less the range in this one.

    The other's is its loss at gain 4 less that at gain 1; this one's is the greatest less the least, which noise widens.

    Args:
        cell: levels of depth and norm.
        beside: what differs in the other cell.
    """
    capped = records.assign(loss=capped_loss)
    losses, others = (by_seed(capped, "loss", "gain", **each) for each in (cell, {**cell, **beside}))
    return (others[4.0] - others[1.0]) / 2 - (losses.max(axis=1) - losses.min(axis=1))
