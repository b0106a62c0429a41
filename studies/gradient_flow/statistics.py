"""What no measure can say: slopes beside theory, learning rates survived."""

import math

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed
from claimcheck.theory.mean_field import chi_1
from claimcheck.theory.slopes import backward_slope, table

GUESSING = math.log(10.0)


def slope_error(records: pd.DataFrame, activation: str, variance: float, theory: str | None = None) -> pd.Series:
    """Change of ln delta per layer on its way back, less ln chi_1, in nats.

    Args:
        theory: the activation whose chi_1 is subtracted; by default the network's own.
    """
    return backward_slope(table(records, activation, variance)) - math.log(chi_1(theory or activation, variance))


def slope_difference(records: pd.DataFrame, first: list, second: list) -> pd.Series:
    """The same slope in one network, an activation and its weight variance, less that in another."""
    return backward_slope(table(records, *first)) - backward_slope(table(records, *second))


def factor(records: pd.DataFrame, activation: str, variance: float, sign: int = 1) -> pd.Series:
    """By what the mean squared delta is multiplied (sign -1: divided) per layer on its way back."""
    return np.exp(sign * backward_slope(table(records, activation, variance)))


def bend(records: pd.DataFrame, cells: dict[str, float]) -> pd.Series:
    """Slope over the half of the layers nearer to the input divided by that over the other half; 1 on a straight line.

    Of several activations with their weight variance, the ratio that is furthest from 1.
    """
    ratios = []
    for cell in cells.items():
        logs = table(records, *cell)
        middle = len(logs.columns) // 2
        ratios.append(backward_slope(logs.iloc[:, :middle]) / backward_slope(logs.iloc[:, middle:]))
    return pd.concat(ratios, axis=1).apply(lambda own: own[(own - 1).abs().idxmax()], axis=1)


def saturation_growth(records: pd.DataFrame) -> pd.Series:
    """Least growth of the saturated share from one weight variance to the next, from 1 on, in the last layer."""
    last = by_seed(records, "saturated", "weight_variance", layer=records["layer"].max())
    return last.loc[:, 1:].diff(axis=1).min(axis=1)


def where_survived(records: pd.DataFrame, activation: str, column: str = "dead") -> pd.DataFrame:
    """The column by seed and learning rate; NaN where the run diverged or ended less than 1 % below guessing."""
    values, loss = (by_seed(records, each, "learning_rate", activation=activation) for each in (column, "train_loss"))
    return values.where(loss < 0.99 * GUESSING)


def near_divergence(
    records: pd.DataFrame, column: str = "dead", activation: str = "relu", up_to: float | None = None
) -> pd.Series:
    """The column at the largest learning rate, of those up to `up_to`, that the seed survived."""
    return where_survived(records, activation, column).loc[:, :up_to].ffill(axis=1).iloc[:, -1]


def less_than_a_tenth(records: pd.DataFrame, activation: str, of: str, both: bool = False) -> pd.Series:
    """Dead share of one activation less a tenth of another's, mean over the learning rates that the other survived.

    What the one does there counts, whether it learns or not, and a network that diverged has lost all its units; with
    `both`, only rates that both survived count.
    """
    mine = by_seed(records, "dead", "learning_rate", activation=activation, if_diverged=1.0)
    mine = where_survived(records, activation) if both else mine
    return (mine - 0.1 * where_survived(records, of)).mean(axis=1)


def factor_beside_he(records: pd.DataFrame, variance: float) -> pd.Series:
    """Factor of the mean squared delta of ReLU per layer on its way back over that of He's variance, 2."""
    return factor(records, "relu", variance) / factor(records, "relu", 2.0)
