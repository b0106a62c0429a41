"""What a job that makes a part asks of its design: how many runs, a goal in numbers, errors that name study and part."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.spec import design
from claimcheck.spec.parts import ScaledPart


def judged_count(part: ScaledPart, shard: tuple[int, int] = (1, 1)) -> int:
    """The judged runs of a part, or of one of its shards."""
    pieces = design.ensembles(part, design.confirmatory_runs(part), "confirm", shard)
    return sum(len(piece.runs) for piece in pieces)


def check_goal(pilots: pd.DataFrame, part: ScaledPart, where: Path) -> None:
    """The column that decides the choice holds numbers; one that is not there is told by `choose`."""
    key = "minimise" if part.tune.minimise else "maximise"
    column = getattr(part.tune, key)
    if column in pilots and not pd.api.types.is_numeric_dtype(pilots[column]):
        raise ClaimcheckError(
            "tune names a column of words",
            where=f"{where}: parts.{part.name}.tune.{key}",
            found=column,
            expected="a column of numbers",
        )


def placed(error: ClaimcheckError, where: str) -> ClaimcheckError:
    """The engine knows neither study nor part: its errors that name no file get them."""
    if isinstance(error.where, Path) or "/" in str(error.where or ""):
        return error
    place = where if error.where is None else f"{where}: {error.where}"
    return ClaimcheckError(error.what, where=place, found=error.found, expected=error.expected, hint=error.hint)
