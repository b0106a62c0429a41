"""What no measure can say: slopes beside theory, losses as shares of that of guessing, learning rates survived."""

import math
from functools import partial

import numpy as np
import pandas as pd

from claimcheck.theory.mean_field import chi_1
from claimcheck.theory.slopes import backward_slope, bend, table

GUESSING = math.log(10.0)


def backward(records: pd.DataFrame, activation: str, variance: float) -> pd.Series:
    """Change of ln delta per layer on its way back, in nats."""
    return backward_slope(table(records, activation, variance))


def factor(records: pd.DataFrame, activation: str, variance: float, sign: int = 1) -> pd.Series:
    """By what the mean squared delta is multiplied (sign -1: divided) per layer on its way back."""
    return np.exp(sign * backward(records, activation, variance))


def error(records: pd.DataFrame, activation: str, variances: list[float]) -> pd.Series:
    """Change of ln delta less ln chi_1, mean over weight variances."""
    errors = [backward(records, activation, value) - math.log(chi_1(activation, value)) for value in variances]
    return sum(errors) / len(errors)


factor_relu_xavier = partial(factor, activation="relu", variance=1.0)
factor_relu_pytorch = partial(factor, activation="relu", variance=1 / 3, sign=-1)
factor_swish_he = partial(factor, activation="swish", variance=2.0, sign=-1)
slope_error_relu = partial(error, activation="relu", variances=[1 / 3, 1.0, 2.0, 3.0])
slope_error_tanh_half = partial(error, activation="tanh", variances=[0.5])
slope_error_tanh_2 = partial(error, activation="tanh", variances=[2.0])
slope_error_tanh_4 = partial(error, activation="tanh", variances=[4.0])
slope_error_swish_1 = partial(error, activation="swish", variances=[1.0])
slope_error_swish_2 = partial(error, activation="swish", variances=[2.0])
slope_error_swish_4 = partial(error, activation="swish", variances=[4.0])
slope_error_gelu_4 = partial(error, activation="gelu", variances=[4.0])
slope_error_sigmoid_1 = partial(error, activation="sigmoid", variances=[1.0])
slope_error_sigmoid_4 = partial(error, activation="sigmoid", variances=[4.0])


def mean_bend(records: pd.DataFrame, variances: dict[str, list[float]]) -> pd.Series:
    """Bend of ln delta against depth, mean over weight variances: below 0 when a decay slows down."""
    bends = [bend(table(records, activation, value)) for activation, values in variances.items() for value in values]
    return sum(bends) / len(bends)


# Where theory's factor is the same in every layer; for ReLU it is at every variance, so one will do.
CONSTANT = {"relu": [2.0], "tanh": [0.5, 2.0, 4.0], "swish": [1.0, 2.0, 4.0], "gelu": [4.0], "sigmoid": [1.0, 4.0]}
bend_constant_factor = partial(mean_bend, variances=CONSTANT)
bend_tanh_critical = partial(mean_bend, variances={"tanh": [1.0]})


def saturation_growth(records: pd.DataFrame) -> pd.Series:
    """Least growth of the saturated share from one weight variance to the next, from 1 on, in the last layer."""
    last = records[(records["layer"] == records["layer"].max()) & (records["weight_variance"] >= 1)]
    return last.pivot(index="seed", columns="weight_variance", values="saturated").diff(axis=1).min(axis=1)


def swish_gap(records: pd.DataFrame) -> pd.Series:
    """beta * sup |Swish_beta - ReLU| for the beta at which it is furthest from 0.2785."""
    gaps = records.set_index("seed").filter(like="swish_gap_")
    furthest = (gaps - 0.2785).abs().to_numpy().argmax(axis=1)
    return pd.Series(gaps.to_numpy()[np.arange(len(gaps)), furthest], index=gaps.index)


def loss_share(records: pd.DataFrame, activation: str, variance: float) -> pd.Series:
    """Final loss over that of guessing, ln 10; infinite where the run diverged."""
    mine = (records["activation"] == activation) & np.isclose(records["weight_variance"], variance)
    rows = records[mine].set_index("seed").sort_index()
    return (rows["train_loss"] / GUESSING).where(rows["status"] == "ok", np.inf).fillna(np.inf)


loss_tanh_critical = partial(loss_share, activation="tanh", variance=1.0)
loss_tanh_fading = partial(loss_share, activation="tanh", variance=0.7)
loss_tanh_exploding = partial(loss_share, activation="tanh", variance=16.0)


def distance(records: pd.DataFrame, cells: list[tuple[str, float]]) -> pd.Series:
    """How far that share is from 1, the furthest of several activations with their weight variances."""
    return pd.concat([(loss_share(records, *cell) - 1).abs() for cell in cells], axis=1).max(axis=1)


distance_tanh_fading = partial(distance, cells=[("tanh", 0.7)])
distance_from_chance = partial(distance, cells=[("relu", 0.5), ("tanh", 0.25)])


def dead_by_rate(records: pd.DataFrame, activation: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Dead share (1 where diverged), and whether the run ended finite and below ln 10, by seed and learning rate.

    The lowest rate counts as survived, so that every seed has one.
    """
    rows = records[records["activation"] == activation]
    rows = rows.assign(survived=(rows["status"] == "ok") & (rows["train_loss"] < GUESSING))
    dead = rows.fillna({"dead": 1.0}).pivot(index="seed", columns="learning_rate", values="dead")
    survived = rows.pivot(index="seed", columns="learning_rate", values="survived")
    survived[survived.columns.min()] = True
    return dead, survived


def dead_near_divergence(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU at the largest learning rate that the seed survived."""
    dead, survived = dead_by_rate(records, "relu")
    return dead.where(survived).ffill(axis=1).iloc[:, -1]


def dead_rise(records: pd.DataFrame) -> pd.Series:
    """Dead share of ReLU near divergence less that at learning rate 0.1."""
    dead, _ = dead_by_rate(records, "relu")
    return dead_near_divergence(records) - dead[0.1]


def swish_less_tenth_of_relu(records: pd.DataFrame) -> pd.Series:
    """Dead share of Swish less a tenth of ReLU's, mean over the learning rates that both survived."""
    (swish, swish_survived), (relu, relu_survived) = (dead_by_rate(records, name) for name in ("swish", "relu"))
    return (swish - 0.1 * relu).where(swish_survived & relu_survived).mean(axis=1)
