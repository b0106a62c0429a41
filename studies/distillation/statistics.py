"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

from functools import partial

import numpy as np

from claimcheck.results.tables import by_seed
from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def gap_closed(records, dataset, temperature, of="soft", less="labels"):
    """Gain of one way of teaching (`soft`, `labels`) over another as a share of the teacher's lead over labels.

    All widths are averaged. Without a lead there is no number.
    """
    column = partial(by_seed, records, over="width", if_diverged=GUESS, dataset=dataset, teacher="rich")
    soft = column("test_accuracy", label_share=0.0, temperature=temperature).mean(axis=1)
    taught = {"soft": soft, "labels": column("test_accuracy", label_share=1.0).mean(axis=1)}
    lead = column("teacher_accuracy", label_share=1.0).max(axis=1) - taught["labels"]
    return (taught[of] - taught[less]) / lead.where(lead > 0)


def small_against_large(records, dataset, small="narrowest", large="widest"):
    """Accuracy at the highest temperature less that at 1, of small students less of large ones."""
    cell = {"dataset": dataset, "teacher": "rich", "label_share": 0.0}
    table = by_seed(records, "test_accuracy", ["temperature", "width"], if_diverged=GUESS, **cell)
    heated = table[table.columns.levels[0].max()] - table[1]
    sizes = {"narrowest": heated.columns.min(), "widest": heated.columns.max()}
    return heated[sizes[small]] - heated[sizes[large]]


def _hot(records, column):
    """Logarithms of a column at temperatures of 4 and more, seeds by temperature."""
    return np.log(by_seed(records, column, "temperature").loc[:, 4:])


def range_when_hot(records, column):
    """The largest over the smallest of a gradient's norms at T >= 4."""
    logs = _hot(records, column)
    return np.exp(logs.max(axis=1) - logs.min(axis=1))


def exponent_when_hot(records, column):
    """The power of T, at T >= 4, that a gradient's norm goes with (least squares on logarithms)."""
    logs = _hot(records, column)
    at = np.log(logs.columns.to_numpy(dtype=float))
    return logs.sub(logs.mean(axis=1), axis=0) @ (at - at.mean()) / ((at - at.mean()) ** 2).sum()


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = by_seed(records, "cosine", "temperature")
    return (table - [expected_cosine(float(t)) for t in table]).abs().max(axis=1)
