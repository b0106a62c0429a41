"""What no measure can say: the data against the other ingredients, lines on logarithmic axes, the largest worth."""

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed

GUESSING = 0.9
"""Test error of a guess among ten classes, which a network that diverged is charged with."""

LEVELS = {
    "activation": ("relu", "tanh"),
    "dropout": (0.5, 0.0),
    "amount": ("many", "few"),
    "size": ("large", "small"),
}
"""Ingredient of the factorial -> its level with it, and without."""

SINGLE = ("activation", "norm", "residual", "init", "optimizer", "schedule", "dropout", "shifts")
"""Ingredients of today's recipe, each of which is left out by itself, and added by itself to the network of 1998."""

ALL_BUT = "all_but_"
"""What names of arms begin with that leave out all ingredients but one."""


def main_effects(records: pd.DataFrame) -> pd.DataFrame:
    """Points of test error with an ingredient of the factorial less without it, mean over the others: seeds by name."""
    rows = records.assign(points=100 * records["test_error"].fillna(GUESSING))
    found = {}
    for name, (with_it, without) in LEVELS.items():
        means = rows.groupby(["seed", name])["points"].mean().unstack()
        found[name] = means[with_it] - means[without]
    return pd.DataFrame(found)


def data_beyond_the_rest(records: pd.DataFrame, of: str = "amount") -> pd.Series:
    """What one ingredient takes off the error, less what the three others do together; harm counts as nothing."""
    gains = -main_effects(records)
    return gains[of] - gains.drop(columns=of).clip(lower=0).sum(axis=1)


def _by_arm(records: pd.DataFrame) -> pd.DataFrame:
    """Points of test error, mean over networks: seeds by what is left out."""
    rows = records.assign(points=100 * records["test_error"].fillna(GUESSING))
    return rows.groupby(["seed", "without"])["points"].mean().unstack()


def worths(records: pd.DataFrame) -> pd.DataFrame:
    """Points of test error without something less with the whole recipe: seeds by what is left out."""
    table = _by_arm(records)
    table = table[[name for name in table if not name.startswith(ALL_BUT)]]
    return table.drop(columns="nothing").sub(table["nothing"], axis=0)


def gains(records: pd.DataFrame) -> pd.DataFrame:
    """Points of test error of the network of 1998 less with one ingredient of today: seeds by the ingredient."""
    table = _by_arm(records)
    alone = table[[name for name in table if name.startswith(ALL_BUT)]]
    return alone.rsub(table["everything"], axis=0).rename(columns=lambda name: name.removeprefix(ALL_BUT))


def largest_worth(records: pd.DataFrame, of: list[str]) -> pd.Series:
    """The largest worth among some single ingredients, less the largest among the others that were left out."""
    table = worths(records)
    return table[of].max(axis=1) - table[[name for name in SINGLE if name in table and name not in of]].max(axis=1)


def _errors(records: pd.DataFrame, noise: float) -> pd.DataFrame:
    """Logarithms of test errors (of at least half an example in a thousand), seeds by number of examples, ascending."""
    table = by_seed(records, "test_error", "examples", if_diverged=GUESSING, noise=noise)
    return np.log(table.clip(lower=0.0005))


def _line(errors: pd.DataFrame, order: list[int] | None = None) -> tuple[pd.Series, pd.Series]:
    """Slope over the logarithm of the number of examples, and R²; with the errors in another order where one is given.

    A line explains nothing of errors that are all the same.
    """
    y = errors.to_numpy() if order is None else errors.to_numpy()[:, order]
    x = np.log(errors.columns.to_numpy(dtype=float))
    x = x - x.mean()
    centred = y - y.mean(axis=1, keepdims=True)
    slope = centred @ x / (x @ x)
    scatter = (centred**2).sum(axis=1)
    explained = slope**2 * (x @ x) / np.where(scatter > 0, scatter, np.inf)
    return pd.Series(slope, errors.index), pd.Series(explained, errors.index)


def exponent(records: pd.DataFrame, backwards: bool = False) -> pd.Series:
    """Slope of log test error over log number of examples, with clean labels."""
    slope, _ = _line(_errors(records, 0.0))
    return -slope if backwards else slope


def line_explains(records: pd.DataFrame, shuffled: bool = False) -> pd.Series:
    """R² of that line; `shuffled` takes the errors of every other size first."""
    errors = _errors(records, 0.0)
    places = list(range(errors.shape[1]))
    return _line(errors, places[1::2] + places[::2] if shuffled else None)[1]


def flatter_with_noise(records: pd.DataFrame, of: float = 0.4, less: float = 0.0) -> pd.Series:
    """The slope with one share of wrong labels, less that with another."""
    return _line(_errors(records, of))[0] - _line(_errors(records, less))[0]
