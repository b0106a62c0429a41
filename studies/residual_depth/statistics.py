"""What no measure can say: the width of a range of learning rates, and the error of a closed form."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.theory.mean_field import block_growth


def stable_decades(records: pd.DataFrame) -> pd.Series:
    """Decades of learning rate at which half the training examples are learnt: scaled residual - plain."""
    grid = np.log10(records["learning_rate"].unique())
    rows = records.assign(learnt=records["train_error"] < 0.5)  # False where a run diverged
    learnt = rows.groupby(["seed", "kind"])["learnt"].sum().unstack("kind")
    return (learnt["scaled"] - learnt["plain"]) * np.ptp(grid) / (len(grid) - 1)


def growth_error(records: pd.DataFrame) -> pd.Series:
    """log E[x^2] gained per block minus log(1 + variance), mean over the variances (0 stands for 1 / blocks)."""
    last = int(records["block"].max())
    table = records.pivot(index=["seed", "variance"], columns="block", values="mean_square")
    theory = [math.log(block_growth(variance or 1.0 / last)) for variance in table.index.get_level_values("variance")]
    return (np.log(table[last] / table[0]) / last - theory).groupby("seed").mean()
