"""Change of signal and gradient per layer, fitted to records of :mod:`claimcheck.engine.depth_profile` and predicted.

A table has a row per seed and a column per layer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.theory import mean_field

FIRST, LAST = 10, 5
"""Layers left out of a slope: the first ten, where the signal settles, and the last five, next to the readout."""


def table(records: pd.DataFrame, activation: str, weight_variance: float, column: str = "delta") -> pd.DataFrame:
    """Logarithm of `column`, a row per seed and a column per layer that counts."""
    same = np.isclose(records["weight_variance"], weight_variance, rtol=1e-3) & (records["activation"] == activation)
    logs = np.log(records[same].pivot(index="seed", columns="layer", values=column))
    return logs[counted(int(logs.columns.max()))]


def counted(depth: int) -> list[int]:
    """The layers that count in a network of `depth` layers; fewer are left out of a shallow one."""
    return list(range(min(FIRST, depth // 3) + 1, depth - min(LAST, depth // 6) + 1))


def slope(logs: pd.DataFrame) -> pd.Series:
    """Least-squares change per layer, in nats, from input to output, a number per seed; NaN where a layer has none."""
    layers = logs.columns.to_numpy(dtype=float)
    offsets = layers - layers.mean()
    return pd.Series(logs.to_numpy() @ offsets / (offsets @ offsets), index=logs.index)


def backward_slope(logs: pd.DataFrame) -> pd.Series:
    """The same on the way back, from output to input: what ln chi_1 predicts for ln delta."""
    return -slope(logs)


def bend(logs: pd.DataFrame, deeper: pd.DataFrame | None = None) -> pd.Series:
    """Backward slope over the half of the layers nearer to the input, less that over the other half; 0 on a line.

    Args:
        deeper: another table for the other half.
    """
    far, middle = logs if deeper is None else deeper, len(logs.columns) // 2
    return backward_slope(logs.iloc[:, :middle]) - backward_slope(far.iloc[:, middle:])


def expected_slope(activation: str, weight_variance: float, depth: int) -> float:
    """Backward slope over the layers that count of theory's finite-depth product."""
    theory = mean_field.log_gradients(activation, weight_variance, depth)
    layers = counted(depth)
    logs = pd.DataFrame([[theory[layer - 1] for layer in layers]], columns=layers)
    return float(backward_slope(logs).iloc[0])
