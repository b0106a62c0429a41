"""What no measure can say: factors per layer beside theory, and how far losses range over gains."""

import math

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import bend, table

GUESSING = math.log(10.0)


def factor(records: pd.DataFrame, activation: str, variance: float, column: str = "pre_activation") -> pd.Series:
    """Factor of the mean square of signals from layer to layer, or of `delta` on its way back; mean over layers."""
    squares = np.exp(table(records, activation, variance, column)).iloc[:, :: -1 if column == "delta" else 1]
    return (squares.iloc[:, 1:].to_numpy() / squares.iloc[:, :-1]).mean(axis=1)


def factor_over_theory(records: pd.DataFrame, activation: str, column: str, passed: float = 0.5) -> pd.Series:
    """The same over sigma_w^2 times the share of a mean square that is passed on; mean over weight variances."""
    variances = sorted(records.loc[records["activation"] == activation, "weight_variance"].unique())
    ratios = [factor(records, activation, value, column) / (value * passed) for value in variances]
    return sum(ratios) / len(ratios)


def level_over_theory_tanh(records: pd.DataFrame, variance: float, theory: float | None = None) -> pd.Series:
    """Signal's mean square over theory's at the same weight variance, or at `theory`; mean over layers."""
    squares = np.exp(table(records, "tanh", variance, "pre_activation"))
    expected = mean_field.variances("tanh", theory or variance, max(squares.columns))
    return (squares / expected[squares.columns - 1]).mean(axis=1)


def bend_tanh(records: pd.DataFrame, variance: float, swapped: bool = False) -> pd.Series:
    """Slope of the signal's ln mean square over the deeper half of the layers less that over the first half."""
    return bend(table(records, "tanh", variance, "pre_activation")) * (-1 if swapped else 1)


def capped_loss(records: pd.DataFrame) -> pd.Series:
    """Final loss, at most 2 ln 10, which is also what a diverged run counts as."""
    return records["train_loss"].fillna(2.0 * GUESSING).clip(upper=2.0 * GUESSING)


def halved(records: pd.DataFrame, cell: dict, beside: dict) -> pd.Series:
    """Half the loss range over gains in another cell less the range in this one.

    The other's is its loss at gain 4 less that at gain 1; this one's is the greatest less the least, which noise widens.

    Args:
        cell: levels of activation, depth and norm.
        beside: what differs in the other cell.
    """
    capped = records.assign(loss=capped_loss)
    losses, others = (by_seed(capped, "loss", "gain", **each) for each in (cell, {**cell, **beside}))
    return (others[4.0] - others[1.0]) / 2 - (losses.max(axis=1) - losses.min(axis=1))
