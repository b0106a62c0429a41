"""What no measure can say: slopes beside theory, losses as shares of that of guessing, learning rates survived."""

import math

import numpy as np
import pandas as pd

from claimcheck.theory.mean_field import chi_1
from claimcheck.theory.slopes import backward_slope, bend, table

GUESSING = math.log(10.0)


def slope_error(records: pd.DataFrame, activation: str, variances: list[float]) -> pd.Series:
    """Change of ln delta per layer on its way back, less ln chi_1; in nats, mean over weight variances."""
    errors = [backward_slope(table(records, activation, v)) - math.log(chi_1(activation, v)) for v in variances]
    return sum(errors) / len(errors)


def factor(records: pd.DataFrame, activation: str, variance: float, sign: int = 1) -> pd.Series:
    """By what the mean squared delta is multiplied (sign -1: divided) per layer on its way back."""
    return np.exp(sign * backward_slope(table(records, activation, variance)))


def mean_bend(records: pd.DataFrame, cells: dict[str, list[float]]) -> pd.Series:
    """Bend of ln delta over depth, below 0 where a decay slows down; mean over each activation's weight variances."""
    bends = [bend(table(records, activation, v)) for activation, variances in cells.items() for v in variances]
    return sum(bends) / len(bends)


def saturation_growth(records: pd.DataFrame) -> pd.Series:
    """Least growth of the saturated share from one weight variance to the next, from 1 on, in the last layer."""
    last = records[(records["layer"] == records["layer"].max()) & (records["weight_variance"] >= 1)]
    return last.pivot(index="seed", columns="weight_variance", values="saturated").diff(axis=1).min(axis=1)


def swish_gap(records: pd.DataFrame) -> pd.Series:
    """beta * sup |Swish_beta - ReLU| for the beta at which it is furthest from 0.2785."""
    gaps = records.set_index("seed").filter(like="swish_gap_")
    return gaps.apply(lambda own: own[(own - 0.2785).abs().idxmax()], axis=1)


def loss_share(records: pd.DataFrame, activation: str, variance: float) -> pd.Series:
    """Final loss over that of guessing, ln 10; infinite where the run diverged."""
    mine = records.query("activation == @activation & weight_variance == @variance")
    return mine.set_index("seed")["train_loss"].fillna(math.inf) / GUESSING


def distance_from_guessing(records: pd.DataFrame, cells: dict[str, float]) -> pd.Series:
    """How far that share is from 1, the furthest of several activations with their weight variance."""
    return pd.concat([(loss_share(records, *cell) - 1).abs() for cell in cells.items()], axis=1).max(axis=1)


def dead_by_rate(records: pd.DataFrame, activation: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Dead share (1 where diverged), and whether the loss ended below ln 10, by seed and learning rate.

    The lowest rate counts as survived, so that every seed has one.
    """
    runs = records[records["activation"] == activation].set_index(["seed", "learning_rate"])
    survived = (runs["train_loss"] < GUESSING).unstack()
    survived.iloc[:, 0] = True
    return runs["dead"].fillna(1.0).unstack(), survived


def dead_near_divergence(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU at the largest learning rate that the seed survived."""
    dead, survived = dead_by_rate(records, "relu")
    return dead.where(survived).ffill(axis=1).iloc[:, -1]


def dead_rise(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU near divergence less that at learning rate 0.1."""
    return dead_near_divergence(records) - dead_by_rate(records, "relu")[0][0.1]


def swish_less_tenth_of_relu(records: pd.DataFrame) -> pd.Series:
    """Dead share of Swish less a tenth of ReLU's, mean over the learning rates that both survived."""
    (swish, swish_survived), (relu, relu_survived) = (dead_by_rate(records, name) for name in ("swish", "relu"))
    return (swish - 0.1 * relu).where(swish_survived & relu_survived).mean(axis=1)
