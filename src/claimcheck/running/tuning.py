"""The tuning rule: a nuisance factor's value for each arm, chosen on pilot runs. Every change here is a change of records.

Pilot seeds are never judged (see `streams.PILOT_SEED`), so a choice cannot leak into what is judged.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.parts import Scalar, ScaledPart

MOST_ADDED = 16
"""Values by which a grid may grow, however close its own lie together."""


def arm_columns(part: ScaledPart) -> list[str]:
    """The factors that make an arm of the part's tuning."""
    assert part.tune is not None
    return list(part.factors) if part.tune.within is None else list(part.tune.within)


def choose(pilots: pd.DataFrame, part: ScaledPart, where: object) -> pd.DataFrame:
    """Choose the tuned factor's value per arm from pilot records.

    The column to optimise is read at each pilot run's last row (largest index), averaged over pilot seeds and, where an
    arm spans other factors, over these; a diverged or non-finite run counts as worst. Where every value lost a run, the
    one that lost the smallest share is taken. The first of equals is taken.

    Raises:
        ClaimcheckError: the runs do not return the column, or have several rows and no index that tells the last one.

    Returns:
        One row per arm and value, in ascending order: arm columns, the value, `score`, `diverged` (share), `chosen`,
        `at_edge` (the choice is the first or last of the grid, so the best may lie outside), `failed` (every pilot
        run of the arm was lost at every value).
    """
    tune = part.tune
    assert tune is not None
    column, sign = (tune.minimise, 1.0) if tune.minimise else (tune.maximise, -1.0)
    if column not in pilots:
        raise ClaimcheckError("tune names a column that the runs do not return", where=where, found=column)
    index = [name for name in part.index if name in pilots]
    last = pilots.sort_values(index, kind="stable").groupby("run", sort=False).tail(1) if index else pilots
    if last["run"].duplicated().any():
        raise ClaimcheckError(
            "a run has several rows: the part needs `index`",
            where=f"{where}: parts.{part.name}",
            found=f"{last['run'].value_counts().max()} rows of one pilot run",
            hint=f"{'minimise' if tune.minimise else 'maximise'} reads the last one",
        )
    lost = (last["status"] != "ok") | ~np.isfinite(last[column])
    last = last.assign(_score=np.where(lost, np.inf, sign * last[column]), _lost=lost.astype(float))
    arm = arm_columns(part)
    tried = _grid(last[tune.factor])
    table = (
        last.groupby([*arm, tune.factor], sort=False, dropna=False)
        .agg(score=("_score", "mean"), diverged=("_lost", "mean"))
        .reset_index()
    )
    place = table[tune.factor].map({value: number for number, value in enumerate(tried)})
    arms = table.groupby(arm, sort=False, dropna=False).ngroup() if arm else pd.Series(0, index=table.index)
    table = table.assign(_arm=arms, _place=place).sort_values(["_arm", "_place"], kind="stable", ignore_index=True)
    groups = table.groupby("_arm", sort=False)
    best = table.sort_values(["_arm", "score", "diverged", "_place"]).drop_duplicates("_arm")
    table["chosen"] = table.index.isin(best.index)
    table["at_edge"] = table["chosen"] & table[tune.factor].isin([tried[0], tried[-1]])
    table["failed"] = groups["diverged"].transform("min") == 1.0
    table["score"] *= sign
    return table.drop(columns=["_arm", "_place"])


def _grid(values: pd.Series) -> list[Scalar]:
    """The values tried, numbers in ascending order, words as they came."""
    tried = list(values.unique())
    return sorted(tried) if pd.api.types.is_numeric_dtype(values) else tried


def beyond(table: pd.DataFrame, part: ScaledPart) -> list[float]:
    """Values to try next, one for each end of the grid at which an arm's choice sits; empty where there is none.

    The grid goes on by the ratio of its last two values, as far as `tune.extend` times beyond the end that was given;
    whole numbers go on by whole ones. All arms get the new value, so that they have the same number of pilot runs. An
    arm that failed throughout asks for lower values alone.
    """
    tune = part.tune
    assert tune is not None
    tried = _grid(table[tune.factor])
    if len(tried) < 2 or not all(isinstance(v, int | float | np.number) and v > 0 for v in tried):
        return []
    found, chosen = [], table[table["chosen"]]
    for end, neighbour, given, asking in (
        (tried[0], tried[1], min(tune.values), chosen[tune.factor] == tried[0]),
        (tried[-1], tried[-2], max(tune.values), (chosen[tune.factor] == tried[-1]) & ~chosen["failed"]),
    ):
        value = float(f"{end * (end / neighbour):.3g}")
        if all(isinstance(each, int) for each in tune.values):
            value = round(value)  # half an epoch is none
        if (
            asking.any()
            and value not in tried
            and len(tried) < len(tune.values) + MOST_ADDED
            and 1 / tune.extend * 0.999 <= value / given <= tune.extend * 1.001
        ):
            found.append(value)
    return found


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
