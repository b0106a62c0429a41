"""A prediction's measure on the records of its part: one number for each seed.

The order of operations is the one of `claimcheck.spec.measures.Measure`. Every seed of the part keeps its number: a seed
that lacks rows is an error, a diverged run without `if_diverged` is NaN, and what NaN means is for the judge to say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.measures import EXTREMES, Cell, Level, Measure, same_level
from claimcheck.spec.models import Part

LOGARITHMS = {True: np.log, 2: np.log2, 10: np.log10}


def evaluate(measure: Measure, rows: pd.DataFrame, part: Part, where: object = "measure") -> pd.Series:
    """The measure of every seed, float64, indexed by seed in ascending order.

    Args:
        rows: the part's records (`claimcheck.results.records.part_of`).
        part: its design; factors and index say what has levels.
        where: what an error names as its place.

    Raises:
        ClaimcheckError: a column or level is not there, a seed lacks rows, or more than one number a seed is left.
    """
    question = _Question(measure, rows, part, where)
    cell = _resolved(question, measure.of)
    with np.errstate(all="ignore"):
        table = _table(question, cell)
        if measure.form == "slope":
            result = _slope(question, _reduced(measure, table))
        elif measure.form == "argbest":
            result = _argbest(question, _reduced(measure, table))
        elif measure.form == "value":
            result = _reduced(measure, table).iloc[:, 0]
        else:
            result = _compared(question, cell, table)
    if measure.times is not None:
        result = result * measure.times
    if measure.plus is not None:
        result = result + measure.plus
    return (result.abs() if measure.absolute else result).astype("float64").rename(None)


@dataclass(frozen=True)
class _Question:
    """A measure with the rows that it is asked of."""

    measure: Measure
    rows: pd.DataFrame
    part: Part
    where: object

    @property
    def kept(self) -> list[str]:
        """Factors and indices that keep their levels until they are averaged, fitted or searched."""
        return [*self.measure.reduced, *([self.measure.over] if self.measure.over else [])]

    def column(self, name: str) -> pd.Series:
        """A column of the part's records."""
        if name not in self.rows:
            raise self.error("the part's records have no such column", name, closest(name, self.rows))
        return self.rows[name]

    def error(self, what: str, found: object, hint: str | None = None) -> ClaimcheckError:
        """An error that names the measure's place."""
        return ClaimcheckError(what, where=self.where, found=found, hint=hint)


# --- which rows -------------------------------------------------------------------------------------------------------


def _resolved(question: _Question, cell: Cell) -> dict[str, list[Level]]:
    """The cell as lists of levels that its rows have: extremes found, levels that this scale does not run left out."""
    levels = {name: wanted if isinstance(wanted, list) else [wanted] for name, wanted in cell.items()}
    extremes = {name for name in levels if set(levels[name]) & set(EXTREMES) and _numeric(question.column(name))}
    rows = _selected(question, {name: wanted for name, wanted in levels.items() if name not in extremes})
    for name, wanted in levels.items():
        ends = {"lowest": rows[name].min(), "highest": rows[name].max()} if name in extremes else {}
        levels[name] = _present(rows[name], [ends.get(level, level) for level in wanted])
    return levels


def _selected(question: _Question, cell: dict[str, list[Level]]) -> pd.DataFrame:
    """The rows whose levels are among the cell's."""
    keep = np.ones(len(question.rows), dtype=bool)
    for name, levels in cell.items():
        column = question.column(name)
        keep &= column.isin(_present(column, levels)).to_numpy()
    if not keep.any():
        shown = ", ".join(f"{name}: {wanted[0] if len(wanted) == 1 else wanted}" for name, wanted in cell.items())
        raise question.error("no run is in the cell", f"{{{shown}}}")
    return question.rows[keep]


def _at(question: _Question, rows: pd.DataFrame, cell: dict[str, list[Level]]) -> pd.DataFrame:
    """The rows at the place `at` of every index that nothing else names."""
    at = question.measure.at
    for name in question.part.index:
        if name in cell or name in question.kept or name not in rows:
            continue
        chosen = at.get(name, "last") if isinstance(at, dict) else at
        place = {"first": rows[name].min(), "last": rows[name].max()}.get(chosen, chosen)
        rows = rows[rows[name].isin(_present(rows[name], [place]))]
        if rows.empty:
            raise question.error("no rows there", f"at: {{{name}: {place}}}")
    return rows


def _present(column: pd.Series, levels: list[Any]) -> list[Level]:
    """The column's values that are among the levels, in their order in the column."""
    values, levels = ([_plain(value) for value in several] for several in (column.unique(), levels))
    return [value for value in values if any(same_level(level, value) for level in levels)]


def _plain(value: Any) -> Level:
    return value.item() if isinstance(value, np.generic) else value


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


# --- the column in a cell ---------------------------------------------------------------------------------------------


def _table(question: _Question, cell: dict[str, list[Level]]) -> pd.DataFrame:
    """The column in a cell: a row for each seed, a column for each combination of the levels that are kept."""
    rows, keys = _at(question, _selected(question, cell), cell), question.kept
    by = ["seed", *(question.column(name).name for name in keys)]
    if rows.duplicated(by).any():
        raise question.error(
            "more than one number a seed is left",
            _several(question, rows),
            "choose a level under `of`, or name the factor under mean_over, max_over or min_over",
        )
    values = rows[by].assign(value=_prepared(question, rows))
    seeds = np.sort(question.rows["seed"].unique())
    if keys:
        table = values.set_index(by)["value"].unstack(keys).sort_index(axis=1)
        there = rows.groupby("seed").size().reindex(seeds, fill_value=0)
    else:
        table = values.set_index("seed")[["value"]]
        there = table["value"].groupby("seed").size().reindex(seeds, fill_value=0)
    if (there < table.shape[1]).any():
        seed = there.index[there < table.shape[1]][0]
        raise question.error("a seed lacks rows in the cell", f"seed {seed}: {there[seed]} of {table.shape[1]}")
    return table.reindex(seeds).rename_axis("seed")


def _several(question: _Question, rows: pd.DataFrame) -> str:
    """Which factors and indices still have several levels, in words."""
    names = [
        name for name in (*question.part.factors, *question.part.index) if name in rows and name not in question.kept
    ]
    told = [f"{name} ({', '.join(map(str, rows[name].unique()))})" for name in names if rows[name].nunique() > 1]
    return f"several levels of {' and of '.join(told)}" if told else "several rows a run"


def _prepared(question: _Question, rows: pd.DataFrame) -> pd.Series:
    """The column of these rows: filled in, clipped, logged and cut in two as the measure says."""
    measure = question.measure
    values = rows[question.column(measure.column).name].astype("float64")
    worth = np.nan if measure.if_diverged is None else measure.if_diverged
    values = values.where((rows["status"] == "ok") & values.notna(), worth)
    values = values.clip(lower=measure.at_least, upper=measure.at_most)
    if isinstance(measure.log, list):
        values = np.log(values) if measure.column in measure.log else values
    elif measure.log and measure.form != "ratio":
        values = LOGARITHMS[measure.log](values)
    if measure.above is not None:
        values = (values > measure.above).astype("float64").where(values.notna())
    if measure.below is not None:
        values = (values < measure.below).astype("float64").where(values.notna())
    return values


def _reduced(measure: Measure, table: pd.DataFrame) -> pd.DataFrame:
    """The table averaged, then its extremes taken, over the levels that the measure names."""
    for names, how in ((measure.mean_over, "mean"), (measure.max_over, "max"), (measure.min_over, "min")):
        if names:
            rest = [name for name in table.columns.names if name not in names]
            groups = (
                table.columns.to_frame(index=False).groupby(rest, sort=False).indices
                if rest
                else {"value": slice(None)}
            )
            table = pd.DataFrame(
                {key: getattr(table.iloc[:, at], how)(axis=1, skipna=False) for key, at in groups.items()}
            )
            table.columns = table.columns.set_names(rest) if rest else table.columns
    return table


# --- the forms --------------------------------------------------------------------------------------------------------


def _compared(question: _Question, cell: dict[str, list[Level]], table: pd.DataFrame) -> pd.Series:
    """Difference or ratio of two cells; what both average, they average over the same levels."""
    measure = question.measure
    second = measure.less if measure.form == "difference" else measure.to
    other = _table(question, _resolved(question, {**cell, **second}))
    for name in measure.reduced:
        ours, theirs = (list(each.columns.unique(name)) for each in (table, other))
        if name not in second and ours != theirs:
            raise question.error(
                f"the two cells have other levels of {name}", f"{ours} and {theirs}", f"list {name} under `of`"
            )
    first, other = (_reduced(measure, each).iloc[:, 0] for each in (table, other))
    if measure.form == "difference":
        return first - other
    return LOGARITHMS[measure.log](first / other) if measure.log else first / other


def _slope(question: _Question, table: pd.DataFrame) -> pd.Series:
    """Least-squares slope over the levels of `over`, seed by seed; NaN for a seed that has one."""
    measure, levels = question.measure, _levels(question, table)
    if len(levels) < 2:
        raise question.error("a slope needs two levels", f"{measure.over}: {levels[0]:g}")
    x = np.log(levels) if isinstance(measure.log, list) and measure.over in measure.log else levels
    whole = table.notna().all(axis=1)
    slopes = pd.Series(np.nan, index=table.index)
    slopes[whole] = np.polyfit(x, table[whole].to_numpy().T, 1)[0]
    return slopes


def _argbest(question: _Question, table: pd.DataFrame) -> pd.Series:
    """The level at which each seed's column is best, the first of equals; NaN for a seed that has one."""
    levels = _levels(question, table)
    values = table.to_numpy()
    best = values.argmin(axis=1) if question.measure.best == "lowest" else values.argmax(axis=1)
    return pd.Series(levels[best], index=table.index).where(table.notna().all(axis=1))


def _levels(question: _Question, table: pd.DataFrame) -> np.ndarray:
    over = question.measure.over
    if not _numeric(question.column(over)):
        raise question.error("its levels are no numbers", over)
    return table.columns.get_level_values(over).to_numpy(dtype=float)
