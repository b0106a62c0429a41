"""claimcheck: a deep-learning lecture's claims, put to the test over many seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

__all__ = ["load_records"]


def load_records(folder: str | Path, part: str | None = None) -> pd.DataFrame:
    """A study's records as a tidy frame.

    Args:
        folder: a study's results, such as "results/quick/gradient_flow".
        part: one experiment of the study; None gives all rows with all columns.
    """
    from pathlib import Path

    from claimcheck.results import records

    return records.part_of(records.read(Path(folder) / "records.parquet"), part)
