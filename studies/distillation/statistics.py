"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

from functools import partial

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed
from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def _by_teaching(records, temperature, width):
    """Accuracy of students of one width by what taught them: a teacher, `rich` or `equal`, labels, another unit's labels."""
    column = partial(by_seed, records, "test_accuracy", if_diverged=GUESS, width=width)
    labels = column(label_share=1.0)
    soft = {kind: column(label_share=0.0, temperature=temperature, teacher=kind) for kind in ("rich", "equal")}
    return {**soft, "labels": labels, "other labels": pd.Series(np.roll(labels, 1), labels.index)}


def gap_closed(records, temperature, width, of="rich", less="labels"):
    """Gain of one way of teaching over another as a share of the rich teacher's lead over labels; no lead, no number."""
    taught = _by_teaching(records, temperature, width)
    teacher = by_seed(records, "teacher_accuracy", over="width", teacher="rich", label_share=1.0).max(axis=1)
    lead = teacher - taught["labels"]
    return (taught[of] - taught[less]) / lead.where(lead > 0)


def beyond_half_of_the_gain(records, temperature, width):
    """Gain from an equal teacher over labels, less half of that from the rich one (or less nothing, where that is none)."""
    taught = _by_teaching(records, temperature, width)
    return taught["equal"] - taught["labels"] - (taught["rich"] - taught["labels"]).clip(lower=0) / 2


def small_against_large(records, small="narrowest", large="widest"):
    """Accuracy at the highest temperature less that at 1, of small students less of large ones."""
    cell = {"teacher": "rich", "label_share": 0.0}
    table = by_seed(records, "test_accuracy", ["temperature", "width"], if_diverged=GUESS, **cell)
    heated = table[table.columns.levels[0].max()] - table[1]
    sizes = {"narrowest": heated.columns.min(), "widest": heated.columns.max()}
    return heated[sizes[small]] - heated[sizes[large]]


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = by_seed(records, "cosine", "temperature")
    return (table - [expected_cosine(float(t)) for t in table]).abs().max(axis=1)
