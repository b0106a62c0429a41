"""One number per seed where no measure says it: several columns count, or unequal shares of two cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

HIGH_RATES = (0.5, 1.0)
EXPLODING, VANISHING = 1.5, 0.5  # initial recurrent gains
THRESHOLD = 0.1  # of clipping, chosen on pilot seeds


def threshold_error(records: pd.DataFrame) -> pd.Series:
    """Largest |log2(measured / standard)| of any overflow or underflow threshold."""
    return records.groupby("seed")[["overflow_error", "underflow_error"]].agg(lambda x: x.abs().max()).max(axis=1)


def softmax_rescued(records: pd.DataFrame) -> pd.Series:
    """1 where the naive fp32 softmax is not finite and the stable one is."""
    rows = records[records["number"] == "fp32"].set_index("seed")
    return rows["stable_finite"] * (1.0 - rows["naive_finite"])


def flushed_rise(records: pd.DataFrame) -> pd.Series:
    """Largest rise of the early flushed share from one loss scale to the next larger one, up to the first overflows."""
    rows = records[(records["number"] == "fp16") & (records["step"] == 0) & (records["log2_scale"] <= 12)]
    return rows.pivot(index="seed", columns="log2_scale", values="flushed").diff(axis=1).max(axis=1)


def failed_with(records: pd.DataFrame) -> pd.Series:
    """Share of failed runs with clipping less a fifth of the share without: negative where the ratio is below 0.2."""
    return _failed(records, THRESHOLD) - 0.2 * _failed(records, 0.0)


def failed_loose(records: pd.DataFrame) -> pd.Series:
    """The same for a ten times larger threshold."""
    return _failed(records, 10 * THRESHOLD) - 0.2 * _failed(records, 0.0)


def _failed(records: pd.DataFrame, threshold: float) -> pd.Series:
    """Share of a seed's exploding networks at the high learning rates that failed."""
    rows = records[records["learning_rate"].isin(HIGH_RATES) & (records["gain"] == EXPLODING)]
    return rows[rows["threshold"] == threshold].groupby("seed")["failed"].mean()


def fp16_slower(records: pd.DataFrame) -> pd.Series:
    """log2 of the time of an fp16 step over that of an fp32 step."""
    return _slower(records, "seconds_fp16")


def bf16_slower(records: pd.DataFrame) -> pd.Series:
    """The same for bf16."""
    return _slower(records, "seconds_bf16")


def _slower(records: pd.DataFrame, seconds: str) -> pd.Series:
    rows = records.set_index("seed")
    return np.log2(rows[seconds] / rows["seconds_fp32"])
