"""One number per seed where no measure says it: several columns count, or unequal shares of two cells."""

from __future__ import annotations

import numpy as np
import pandas as pd


def threshold_error(records: pd.DataFrame) -> pd.Series:
    """Largest |log2(measured / standard)| of any overflow or underflow threshold."""
    return records.groupby("seed")[["overflow_error", "underflow_error"]].agg(lambda x: x.abs().max()).max(axis=1)


def softmax_rescued(records: pd.DataFrame) -> pd.Series:
    """1 where the naive fp32 softmax is not finite and the stable one is."""
    rows = records[records["number"] == "fp32"].set_index("seed")
    return rows["stable_finite"] * (1.0 - rows["naive_finite"])


def flushed_rise(records: pd.DataFrame, log2_scales: list[float]) -> pd.Series:
    """Largest rise of the early flushed share in fp16 from one loss scale to the next, in the order given.

    Scales that were not run are left out.
    """
    rows = records[(records["number"] == "fp16") & (records["step"] == 0)]
    shares = rows.pivot(index="seed", columns="log2_scale", values="flushed")
    return shares[[scale for scale in log2_scales if scale in shares]].diff(axis=1).max(axis=1)


def slower(records: pd.DataFrame, number: str, than: str) -> pd.Series:
    """log2 of the time of a step in one format over that in another."""
    rows = records.set_index("seed")
    return np.log2(rows[f"seconds_{number}"] / rows[f"seconds_{than}"])
