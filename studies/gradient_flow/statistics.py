"""What no measure can say: slopes beside theory, losses as shares of that of guessing, learning rates survived."""

import math

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed
from claimcheck.theory.mean_field import chi_1
from claimcheck.theory.slopes import backward_slope, bend, table

GUESSING = math.log(10.0)


def slope_error(records: pd.DataFrame, activation: str, variances: list[float], theory: str | None = None) -> pd.Series:
    """Change of ln delta per layer on its way back, less ln chi_1; in nats, mean over weight variances.

    Args:
        theory: the activation whose chi_1 is subtracted; by default the network's own.
    """
    errors = [
        backward_slope(table(records, activation, v)) - math.log(chi_1(theory or activation, v)) for v in variances
    ]
    return sum(errors) / len(errors)


def factor(records: pd.DataFrame, activation: str, variance: float, sign: int = 1) -> pd.Series:
    """By what the mean squared delta is multiplied (sign -1: divided) per layer on its way back."""
    return np.exp(sign * backward_slope(table(records, activation, variance)))


def mean_bend(
    records: pd.DataFrame, cells: dict[str, list[float]], deeper: dict[str, list[float]] | None = None
) -> pd.Series:
    """Slope of ln delta on its way back over the half of the layers nearer to the input, less that over the other half.

    In nats per layer, below 0 where a decay slows down; mean over activations and their weight variances.

    Args:
        deeper: other networks, as many, for the other half.
    """
    pairs, others = ([(a, v) for a, vs in each.items() for v in vs] for each in (cells, deeper or cells))
    bends = [bend(table(records, *near), table(records, *far)) for near, far in zip(pairs, others, strict=True)]
    return sum(bends) / len(bends)


def saturation_growth(records: pd.DataFrame) -> pd.Series:
    """Least growth of the saturated share from one weight variance to the next, from 1 on, in the last layer."""
    last = by_seed(records, "saturated", "weight_variance", layer=records["layer"].max())
    return last.loc[:, 1:].diff(axis=1).min(axis=1)


def loss_share(records: pd.DataFrame, activation: str, variance: float) -> pd.Series:
    """Final loss over that of guessing, ln 10; infinite where the run diverged."""
    cell = {"activation": activation, "weight_variance": variance}
    return by_seed(records, "train_loss", if_diverged=math.inf, **cell) / GUESSING


def distance_from_guessing(records: pd.DataFrame, cells: dict[str, float]) -> pd.Series:
    """How far that share is from 1, the furthest of several activations with their weight variance."""
    return pd.concat([(loss_share(records, *cell) - 1).abs() for cell in cells.items()], axis=1).max(axis=1)


def dead_where_survived(records: pd.DataFrame, activation: str) -> pd.DataFrame:
    """Dead share by seed and learning rate; NaN where the run diverged or ended above the loss of guessing."""
    dead, loss = (by_seed(records, each, "learning_rate", activation=activation) for each in ("dead", "train_loss"))
    return dead.where(loss < GUESSING)


def dead_near_divergence(records: pd.DataFrame, activation: str = "relu", up_to: float | None = None) -> pd.Series:
    """Dead share at the largest learning rate, of those up to `up_to`, that the seed survived."""
    return dead_where_survived(records, activation).loc[:, :up_to].ffill(axis=1).iloc[:, -1]


def dead_rise(records: pd.DataFrame, up_to: float | None = None, swapped: bool = False) -> pd.Series:
    """Dead share of ReLU near divergence less that at learning rate 0.1 (swapped: the other way round)."""
    rise = dead_near_divergence(records, up_to=up_to) - dead_where_survived(records, "relu")[0.1]
    return -rise if swapped else rise


def less_than_a_tenth(records: pd.DataFrame, activation: str, of: str) -> pd.Series:
    """Dead share of one activation less a tenth of another's, mean over the learning rates that both survived."""
    mine, other = (dead_where_survived(records, name) for name in (activation, of))
    return (mine - 0.1 * other).mean(axis=1)
