"""What no measure can say: factors per layer beside theory, and how far losses range over gains."""

import math

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.theory import mean_field
from claimcheck.theory.slopes import bend, table

GUESSING = math.log(10.0)


def factor_relu(records: pd.DataFrame, variance: float, column: str = "pre_activation") -> pd.Series:
    """Factor of the mean square of signals from layer to layer, or of `delta` on its way back; mean over layers."""
    squares = np.exp(table(records, "relu", variance, column)).iloc[:, :: -1 if column == "delta" else 1]
    return (squares.iloc[:, 1:].to_numpy() / squares.iloc[:, :-1]).mean(axis=1)


def factor_over_theory_relu(records: pd.DataFrame, column: str) -> pd.Series:
    """The same over theory's factor, mean over weight variances."""
    variances = sorted(records.loc[records["activation"] == "relu", "weight_variance"].unique())
    return sum(factor_relu(records, value, column) / (value / 2) for value in variances) / len(variances)


def level_over_theory_tanh(records: pd.DataFrame, variance: float) -> pd.Series:
    """Signal's mean square over theory's, mean over layers."""
    squares = np.exp(table(records, "tanh", variance, "pre_activation"))
    theory = mean_field.variances("tanh", variance, max(squares.columns))
    return (squares / theory[squares.columns - 1]).mean(axis=1)


def bend_tanh(records: pd.DataFrame, variance: float) -> pd.Series:
    """Slope of the signal's ln mean square over the deeper half of the layers less that over the first half."""
    return bend(table(records, "tanh", variance, "pre_activation"))


def capped_loss(records: pd.DataFrame) -> pd.Series:
    """Final loss, at most 2 ln 10, which is also what a diverged run counts as."""
    return records["train_loss"].fillna(2.0 * GUESSING).clip(upper=2.0 * GUESSING)


def gain_range(records: pd.DataFrame, norm: str, activation: str = "relu", depth: int = 10) -> pd.Series:
    """A seed's loss at the gain that is worst for the other seeds less that at the gain best for them."""
    rows = records.assign(loss=capped_loss(records))
    rows = rows.query("activation == @activation & norm == @norm & depth == @depth")
    losses = rows.pivot(index="seed", columns="gain", values="loss")
    return best_for_others(losses, losses, "highest") - best_for_others(losses, losses, "lowest")


def halved(records: pd.DataFrame, norm: str, activation: str = "relu") -> pd.Series:
    """Half the range over gains without normalisation less the range with it, at depth 10."""
    return gain_range(records, "none", activation) / 2 - gain_range(records, norm, activation)


def shallow_range(records: pd.DataFrame) -> pd.Series:
    """Range over gains without normalisation at depth 3 less half of that at depth 10, ReLU."""
    return gain_range(records, "none", depth=3) - gain_range(records, "none") / 2
