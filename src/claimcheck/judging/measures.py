"""A prediction's measure on the records of its part: one number for each seed.

The order of operations is the one of `claimcheck.spec.measures.Measure`. Every seed of the part keeps its number: one
that lacks rows is an error; a diverged run without `if_diverged` is NaN, and what NaN means is for the judge to say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.cells import among, in_words, resolved, several
from claimcheck.spec.measures import Measure
from claimcheck.spec.parts import Cell, Design, Scalar

LOGARITHMS = {True: np.log, 2: np.log2, 10: np.log10}


def evaluate(measure: Measure, rows: pd.DataFrame, part: Design, where: object = "measure") -> pd.Series:
    """The measure of every seed, float64, indexed by seed in ascending order.

    Args:
        rows: the part's records (`claimcheck.results.records.part_of`).
        part: its design; factors and index say what has levels.
        where: what an error names as its place: of a column or level that is not there, of more than one number a seed.
    """
    question = _Question(measure, rows, part, where)
    cell = _resolved(question, measure.cell)
    with np.errstate(all="ignore"):
        table = _reduced(question, _table(question, cell))
        if measure.form == "value":
            result = table.iloc[:, 0]
        elif measure.form == "slope":
            result = _slope(question, table)
        elif measure.form == "argbest":
            result = _argbest(question, table)
        else:
            result = _compared(question, cell, table.iloc[:, 0])
    result = result if measure.times is None else result * measure.times
    result = result if measure.plus is None else result + measure.plus
    return (result.abs() if measure.absolute else result).astype("float64").rename(None)


@dataclass(frozen=True)
class _Question:
    """A measure and what it is asked of."""

    measure: Measure
    rows: pd.DataFrame
    part: Design
    where: object

    def column(self, name: str) -> pd.Series:
        """A column of the part's records."""
        if name not in self.rows:
            raise self.error("the part's records have no such column", name, closest(name, self.rows))
        return self.rows[name]

    def error(self, what: str, found: object, hint: str | None = None) -> ClaimcheckError:
        """An error that names the measure's place."""
        return ClaimcheckError(what, where=self.where, found=found, hint=hint)


def _resolved(question: _Question, cell: Cell) -> dict[str, list[Scalar]]:
    """The cell as lists of levels that its rows have."""
    for name in cell:
        question.column(name)
    return resolved(cell, question.rows[list(cell)].drop_duplicates().to_dict("records"))


def _selected(question: _Question, cell: dict[str, list[Scalar]]) -> pd.DataFrame:
    """The rows whose levels are among the cell's."""
    keep = np.ones(len(question.rows), dtype=bool)
    for name, levels in cell.items():
        values = question.rows[name].drop_duplicates().tolist()
        same = [value for value in values if among(value, levels)]
        keep &= question.rows[name].isin(same).to_numpy()
    if not keep.any():
        raise question.error("no run is in the cell", in_words(cell))
    return question.rows[keep]


def _at(question: _Question, rows: pd.DataFrame, cell: dict[str, list[Scalar]]) -> pd.DataFrame:
    """The first or last rows of every index that nothing else names."""
    for name in question.part.index:
        if name in rows and name not in cell and name not in question.measure.kept:
            place = rows[name].min() if question.measure.at == "first" else rows[name].max()
            rows = rows[rows[name] == place]
    return rows


def _table(question: _Question, cell: dict[str, list[Scalar]]) -> pd.DataFrame:
    """The column in a cell: seeds by combinations of the levels that are kept."""
    measure, rows = question.measure, _at(question, _selected(question, cell), cell)
    by = ["seed", *(question.column(name).name for name in measure.kept)]
    if rows.duplicated(by).any():
        raise question.error("more than one number a seed", None, _several(question, rows))
    seeds = pd.Index(np.sort(question.rows["seed"].unique()), name="seed")
    combinations = len(rows[by[1:]].drop_duplicates()) if by[1:] else 1
    there = rows.groupby("seed").size().reindex(seeds, fill_value=0)
    if (there < combinations).any():
        seed = there.idxmin()
        raise question.error("a seed lacks rows in the cell", f"seed {seed}: {there[seed]} of {combinations}")
    values = rows[by].assign(value=_prepared(question, rows)).set_index(by)["value"]
    return (values.unstack(by[1:]).sort_index(axis=1) if by[1:] else values.to_frame()).reindex(seeds)


def _several(question: _Question, rows: pd.DataFrame) -> str:
    """Which factors and indices still have several levels, in words."""
    names = [name for name in (*question.part.factors, *question.part.index) if name not in question.measure.kept]
    levels = {
        name: rows[name].drop_duplicates().tolist() for name in names if name in rows and rows[name].nunique() > 1
    }
    return several(levels) if levels else "a run has several rows: the part needs `index`"


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


def _reduced(question: _Question, table: pd.DataFrame) -> pd.DataFrame:
    """The table with the levels of the factors that the measure names averaged, or their extreme taken."""
    measure = question.measure
    for names, how in ((measure.mean_over, "mean"), (measure.max_over, "max"), (measure.min_over, "min")):
        if names:
            rest = table.columns.to_frame(index=False).drop(columns=names)
            groups = rest.groupby(list(rest)).indices if len(rest.columns) else {0: slice(None)}
            columns = {key: getattr(table.iloc[:, at], how)(axis=1, skipna=False) for key, at in groups.items()}
            table = pd.concat(columns, axis=1)
            table.columns = table.columns.set_names(list(rest) or [None])
    return table


def _compared(question: _Question, cell: dict[str, list[Scalar]], first: pd.Series) -> pd.Series:
    """Difference or ratio of two cells; what both average, they average over the same levels."""
    measure = question.measure
    other = _resolved(question, {**cell, **measure.second})
    for name in set(measure.kept) - set(measure.second):
        ours, theirs = ({*_selected(question, each)[name]} for each in (cell, other))
        if ours != theirs:
            found = " and ".join(str(sorted(levels)) for levels in (ours, theirs))
            raise question.error(
                f"the two cells differ in their levels of {name}", found, f"list them for {name} in `of`"
            )
    second = _reduced(question, _table(question, other)).iloc[:, 0]
    if measure.form == "difference":
        return first - second
    return LOGARITHMS[measure.log](first / second) if measure.log else first / second


def _slope(question: _Question, table: pd.DataFrame) -> pd.Series:
    """Least-squares slope over the levels of `over` that count; NaN for a seed that has one, or an infinity, among them."""
    measure, count = question.measure, table.shape[1]
    first, last = min(measure.leave_out[0], count // 3), min(measure.leave_out[1], count // 6)
    table = table.iloc[:, first : count - last]
    if table.shape[1] < 2:
        raise question.error("a slope needs two levels that count", f"{measure.over}: {table.shape[1]}")
    x = _levels(question, table)
    x = np.log(x) if isinstance(measure.log, list) and measure.over in measure.log else x
    whole = np.isfinite(table).all(axis=1)  # one that is not would spoil the fit of all
    slopes = pd.Series(np.nan, index=table.index)
    slopes[whole] = np.polyfit(x, table[whole].to_numpy().T, 1)[0]
    return slopes


def _argbest(question: _Question, table: pd.DataFrame) -> pd.Series:
    """The level at which each seed's column is best, the first of equals; NaN for a seed that has one."""
    values = table.to_numpy()
    best = values.argmin(axis=1) if question.measure.best == "lowest" else values.argmax(axis=1)
    return pd.Series(_levels(question, table)[best], index=table.index).where(table.notna().all(axis=1))


def _levels(question: _Question, table: pd.DataFrame) -> np.ndarray:
    over = question.measure.over
    levels = table.columns.get_level_values(over)
    if not pd.api.types.is_numeric_dtype(levels) or pd.api.types.is_bool_dtype(levels):
        raise question.error("its levels are no numbers", over)
    return levels.to_numpy(dtype=float)
