"""One number per seed where no measure says it: rises along a grid, unequal shares of two cells."""

from __future__ import annotations

import pandas as pd

from claimcheck.results.tables import by_seed


def flushed_rise(records: pd.DataFrame, log2_scales: list[float]) -> pd.Series:
    """Largest rise of the early flushed share in fp16 from one loss scale to the next, in the order given.

    Scales that were not run are left out.
    """
    shares = by_seed(records, "flushed", "log2_scale", number="fp16", step=0)
    return shares[[scale for scale in log2_scales if scale in shares]].diff(axis=1).max(axis=1)


def failed_with(records: pd.DataFrame, threshold: float, than: float) -> pd.Series:
    """Share of failed runs clipped at `threshold`, less a fifth of the share clipped at `than` (0: not clipped).

    Negative below a ratio of 0.2.
    """
    failed = by_seed(records, "failed", ["threshold", "learning_rate"])
    return failed[threshold].mean(axis=1) - 0.2 * failed[than].mean(axis=1)
