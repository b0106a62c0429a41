"""What no measure can say: the error of a closed form."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from claimcheck.theory.mean_field import block_growth


def growth_error(records: pd.DataFrame, times: float = 1.0) -> pd.Series:
    """log E[x^2] gained per block minus log(1 + variance), mean over the variances (0 stands for 1 / blocks).

    Args:
        times: what the closed form multiplies the variance by; anything but 1 is a wrong one, for controls.
    """
    last = int(records["block"].max())
    table = records.pivot(index=["seed", "variance"], columns="block", values="mean_square")
    variances = [variance or 1.0 / last for variance in table.index.get_level_values("variance")]
    theory = [math.log(block_growth(times * variance)) for variance in variances]
    return (np.log(table[last] / table[0]) / last - theory).groupby("seed").mean()
