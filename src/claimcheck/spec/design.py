"""Factors x seeds -> one row per run, grouped into ensembles, cut into shards.

The design is a function of the study's spec and the scale alone; it never looks at the machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from claimcheck.spec.parts import ScaledPart
from claimcheck.streams import PILOT_SEED


@dataclass(frozen=True)
class EnsembleDesign:
    """Runs that share the static factors' values and are trained as one.

    Attributes:
        part: name of the part.
        phase: "pilot" (tuning, seeds from 10,000) or "confirm" (judged, seeds of the registered block).
        static: the static factors' values.
        runs: one row per run: `run`, `seed`, the factors (and tuned columns).
        design_runs: rows of the whole ensemble in the design, however shards cut it.
    """

    part: str
    phase: str
    static: dict[str, Any]
    runs: pd.DataFrame
    design_runs: int

    @property
    def name(self) -> str:
        """A name for files and logs, unique within a study."""
        values = ",".join(f"{key}={value}" for key, value in self.static.items())
        return f"{self.part}/{self.phase}" + (f"/{values}" if values else "")


def confirmatory_runs(part: ScaledPart) -> pd.DataFrame:
    """One row per judged run (the judged seeds): `run`, `seed` and the factors."""
    return _frame(part, part.judged_runs)


def pilot_runs(part: ScaledPart) -> pd.DataFrame:
    """One row per tuning run: combinations x tuned values x pilot seeds (from 10,000)."""
    assert part.tune is not None
    tune = part.tune
    cells = [{**cell, tune.factor: value} for cell in part.pilot_cells() for value in tune.values]
    return _frame(part, [(cell, PILOT_SEED + number) for cell in cells for number in range(tune.seeds)])


def _frame(part: ScaledPart, runs: list[tuple[dict[str, Any], int]]) -> pd.DataFrame:
    rows = [{"run": _run_name(part.name, cell, seed), "seed": seed, **cell} for cell, seed in runs]
    names = list(part.factors) + ([part.tune.factor] if part.tune and rows and part.tune.factor in rows[0] else [])
    frame = pd.DataFrame(rows, columns=["run", "seed", *names])
    for name in names:
        if frame[name].map(lambda value: isinstance(value, int | float) and not isinstance(value, bool)).all():
            frame[name] = pd.to_numeric(frame[name])
    return frame


def _run_name(part: str, cell: dict[str, Any], seed: int) -> str:
    return f"{part}:{','.join(f'{key}={value}' for key, value in cell.items())}:{seed}"


def ensembles(
    part: ScaledPart, runs: pd.DataFrame, phase: str, shard: tuple[int, int] = (1, 1)
) -> Iterator[EnsembleDesign]:
    """Group `runs` by the static factors; shard (i, n) keeps every n-th run of each ensemble, starting with the i-th."""
    static = [name for name, factor in part.factors.items() if factor.static]
    groups = runs.groupby(static, sort=False, dropna=False) if static else [((), runs)]
    for values, group in groups:
        piece = group.iloc[shard[0] - 1 :: shard[1]].reset_index(drop=True)
        if len(piece):
            yield EnsembleDesign(part.name, phase, dict(zip(static, values, strict=True)), piece, len(group))
