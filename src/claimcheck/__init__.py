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

    Raises:
        ClaimcheckError: not there, not as the run wrote them, or without such a part.
    """
    from pathlib import Path

    from claimcheck.errors import ClaimcheckError
    from claimcheck.files import sha256
    from claimcheck.results import records
    from claimcheck.results.provenance import read_provenance

    path, remedy = Path(folder) / "records.parquet", "run the study again"
    if Path(folder).is_file():
        raise ClaimcheckError("is a file", where=folder, expected=f"a study's results: {Path(folder).parent}")
    frame = records.read(path)
    if read_provenance(Path(folder) / "provenance.json", remedy).files.get(path.name) != sha256(path):
        raise ClaimcheckError("was changed after the run", where=path, hint=remedy)
    if part is not None and part not in set(frame["part"]):
        raise ClaimcheckError("no such part", where=path, found=part, expected=", ".join(frame["part"].unique()))
    return records.part_of(frame, part)
