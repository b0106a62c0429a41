"""What a run remarks of its pilots beside what it chose; it chooses nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.running.tuning import arm_columns
from claimcheck.spec.parts import ScaledPart


def of_no_effect(table: pd.DataFrame, part: ScaledPart) -> list[str]:
    """A line where every value of the tuned factor gave each arm the very same score: then the runs hardly read it.

    Args:
        table: what `tuning.choose` gave.
    """
    assert part.tune is not None
    factor = part.tune.factor
    arms = arm_columns(part)
    alike = table.groupby(arms, dropna=False)["score"].nunique() if arms else pd.Series(table["score"].nunique())
    if table[factor].nunique() < 2 or not np.isfinite(table["score"]).all() or (alike > 1).any():
        return []
    return [f"every value of the tuned factor {factor} gave the same score: does the run read runs[{factor!r}]?"]
