"""What no measure can say: factors per layer beside theory, and how far losses range over gains."""

import math
from functools import partial

import numpy as np
import pandas as pd

from claimcheck.theory import mean_field
from claimcheck.theory.slopes import bend, table

GUESSING = math.log(10.0)
DEPTH, SHALLOW = 10, 3


def layers(records: pd.DataFrame, activation: str, variance: float, column: str = "pre_activation") -> pd.DataFrame:
    """Mean squares, a row per seed and a column per layer that counts."""
    return np.exp(table(records, activation, variance, column))


def mean_factor(values: pd.DataFrame) -> pd.Series:
    """Mean over layers of the factor from one layer to the next, by seed."""
    return (values.iloc[:, 1:].to_numpy() / values.iloc[:, :-1]).mean(axis=1)


def ratio_relu(records: pd.DataFrame, column: str, step: int) -> pd.Series:
    """Measured over predicted factor per layer, mean over weight variances; step -1 goes back through the layers."""
    variances = sorted(records.loc[records["activation"] == "relu", "weight_variance"].unique())
    factors = [mean_factor(layers(records, "relu", value, column).iloc[:, ::step]) / (value / 2) for value in variances]
    return sum(factors) / len(factors)


def factor_relu(records: pd.DataFrame, variance: float) -> pd.Series:
    """Factor of the signal's variance per layer."""
    return mean_factor(layers(records, "relu", variance))


forward_ratio_relu = partial(ratio_relu, column="pre_activation", step=1)
backward_ratio_relu = partial(ratio_relu, column="delta", step=-1)
factor_relu_xavier = partial(factor_relu, variance=1.0)
factor_relu_he = partial(factor_relu, variance=2.0)


def level_tanh_4(records: pd.DataFrame) -> pd.Series:
    """Signal's variance over theory's, mean over layers, tanh at sigma_w^2 = 4."""
    measured = layers(records, "tanh", 4.0)
    theory = mean_field.variances("tanh", 4.0, max(measured.columns))
    return (measured / theory[measured.columns - 1]).mean(axis=1)


def bend_tanh_xavier(records: pd.DataFrame) -> pd.Series:
    """Slope of ln variance per layer over the deeper half of the layers less that over the first half."""
    return bend(table(records, "tanh", 1.0, "pre_activation"))


def final_losses(records: pd.DataFrame) -> pd.DataFrame:
    """Final rows with `loss`: capped at 2 ln 10, which is also what a diverged run counts as."""
    last = records[records["step"] == records["step"].max()]
    return last.assign(loss=last["train_loss"].where(last["status"] == "ok").fillna(np.inf).clip(upper=2.0 * GUESSING))


def gain_range(records: pd.DataFrame, norm: str, activation: str = "relu", depth: int = DEPTH) -> pd.Series:
    """A seed's loss at the gain that is worst for the other seeds less that at the gain best for them."""
    rows = final_losses(records)
    rows = rows[(rows["activation"] == activation) & (rows["depth"] == depth) & (rows["norm"] == norm)]
    losses = rows.pivot(index="seed", columns="gain", values="loss")
    others = (losses.sum() - losses).to_numpy()
    here, values = np.arange(len(losses)), losses.to_numpy()
    return pd.Series(values[here, others.argmax(1)] - values[here, others.argmin(1)], index=losses.index)


def halved(records: pd.DataFrame, norm: str, activation: str = "relu") -> pd.Series:
    """Half the range over gains without normalisation less the range with it."""
    return gain_range(records, "none", activation) / 2 - gain_range(records, norm, activation)


halved_batch = partial(halved, norm="batch")
halved_layer = partial(halved, norm="layer")
halved_batch_tanh = partial(halved, norm="batch", activation="tanh")
left_batch = partial(gain_range, norm="batch")
left_layer = partial(gain_range, norm="layer")


def shallow_range(records: pd.DataFrame) -> pd.Series:
    """Range over gains without normalisation at depth 3 less half of that at depth 10, ReLU."""
    return gain_range(records, "none", depth=SHALLOW) - gain_range(records, "none") / 2
