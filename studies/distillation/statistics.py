"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""

USUAL = 4
"""Temperature of arms that do not vary it."""


def _students(records, dataset):
    """Students that learn from soft targets alone, by temperature, and students that learn from labels alone."""
    rows = records[(records["dataset"] == dataset) & (records["teacher"] == "rich")]
    return rows[rows["label_share"] == 0], rows[rows["label_share"] == 1]


def _by_temperature(rows, column="test_accuracy"):
    return rows.pivot(index="seed", columns="temperature", values=column).fillna(GUESS)


def _gap_closed(dataset):
    """A statistic: share of the gap between label-only student and teacher that distillation closes, all widths averaged.

    The temperature is, for each width and seed, the one that is best on the other seeds' validation sets.
    """

    def statistic(records):
        soft, alone = _students(records, dataset)
        distilled = [
            best_for_others(_by_temperature(rows), _by_temperature(rows, "validation_accuracy"), "highest")
            for _, rows in soft.groupby("width")
        ]
        labels = [rows.set_index("seed")["test_accuracy"].fillna(GUESS) for _, rows in alone.groupby("width")]
        distilled, labels = (pd.concat(widths, axis=1).mean(axis=1) for widths in (distilled, labels))
        teacher = alone.groupby("seed")["teacher_accuracy"].first().fillna(GUESS)
        return (distilled - labels) / (teacher - labels)

    return statistic


def _small_against_large(dataset):
    """A statistic: accuracy at the highest temperature less that at 1, of the narrowest students less of the widest."""

    def statistic(records):
        soft, _ = _students(records, dataset)
        tables = [_by_temperature(rows) for _, rows in soft.groupby("width")]
        heated = [table.iloc[:, -1] - table[1] for table in tables]
        return heated[0] - heated[-1]

    return statistic


digits_gap_closed = _gap_closed("digits")
signals_gap_closed = _gap_closed("mnist1d")
digits_small_against_large = _small_against_large("digits")
images_small_against_large = _small_against_large("fashion_mnist")


def balanced_norm(records):
    """Gradient norm with T^2: the larger over the smaller of those at T >= 4."""
    logs = np.log(records.pivot(index="seed", columns="temperature", values="norm"))
    logs = logs[[t for t in logs.columns if t >= USUAL]]
    return np.exp(logs.max(axis=1) - logs.min(axis=1))


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = records.pivot(index="seed", columns="temperature", values="cosine")
    errors = table - [expected_cosine(float(t)) for t in table.columns]
    return errors[errors.mean().abs().idxmax()]
