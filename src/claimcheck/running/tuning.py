"""The tuning rule: a nuisance factor's value for each arm, chosen on pilot runs. Every change here is a change of records.

Pilot seeds are never judged (see `streams.PILOT_SEED`), so a choice cannot leak into what is judged.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.parts import ScaledPart


def arm_columns(part: ScaledPart) -> list[str]:
    """The factors that make an arm of the part's tuning."""
    assert part.tune is not None
    return list(part.factors) if part.tune.within is None else list(part.tune.within)


def choose(pilots: pd.DataFrame, part: ScaledPart, where: object) -> pd.DataFrame:
    """Choose the tuned factor's value per arm from pilot records.

    The column to optimise is read at each pilot run's last row (largest index), averaged over pilot seeds and, where an
    arm spans other factors, over these; a diverged or non-finite run counts as worst. The first of equals is taken.

    Returns:
        One row per arm and value: arm columns, the value, `score`, `diverged` (share), `chosen`, `at_edge` (the choice
        is the first or last of the grid, so the best may lie outside).
    """
    tune = part.tune
    assert tune is not None
    column, sign = (tune.minimise, 1.0) if tune.minimise else (tune.maximise, -1.0)
    if column not in pilots:
        raise ClaimcheckError("tune names a column that the runs do not return", where=where, found=column)
    index = [name for name in part.index if name in pilots]
    last = pilots.sort_values(index, kind="stable").groupby("run", sort=False).tail(1) if index else pilots
    lost = (last["status"] != "ok") | ~np.isfinite(last[column])
    last = last.assign(_score=np.where(lost, np.inf, sign * last[column]), _lost=lost.astype(float))
    arm = arm_columns(part)
    table = (
        last.groupby([*arm, tune.factor], sort=False, dropna=False)
        .agg(score=("_score", "mean"), diverged=("_lost", "mean"))
        .reset_index()
    )
    groups = table.groupby(arm, sort=False, dropna=False) if arm else [((), table)]
    best = {group["score"].idxmin() for _, group in groups}
    table["chosen"] = table.index.isin(best)
    table["at_edge"] = table["chosen"] & table[tune.factor].isin([tune.values[0], tune.values[-1]])
    table["score"] *= sign
    return table


def chosen_in_words(table: pd.DataFrame, part: ScaledPart) -> list[str]:
    """What was chosen for each arm, a line each."""
    assert part.tune is not None
    lines = []
    for row in table[table["chosen"]].to_dict("records"):
        arm = ", ".join(f"{name}={row[name]}" for name in arm_columns(part)) or "all runs"
        end = " (an end of the grid)" if row["at_edge"] else ""
        lines.append(f"{arm}: {part.tune.factor} {row[part.tune.factor]}{end}")
    return lines


def with_choice(runs: pd.DataFrame, table: pd.DataFrame, part: ScaledPart) -> pd.DataFrame:
    """The part's judged runs with the tuned factor's value that `table` (what `choose` gave) chose for their arm."""
    assert part.tune is not None
    arm = arm_columns(part)
    chosen = table[table["chosen"]][[*arm, part.tune.factor]]
    if not arm:
        return runs.assign(**{part.tune.factor: chosen[part.tune.factor].iloc[0]})
    return runs.merge(chosen, on=arm, how="left", validate="many_to_one")
