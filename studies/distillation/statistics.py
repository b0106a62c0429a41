"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

import numpy as np
import pandas as pd

from claimcheck.judging.cross_fitting import best_for_others
from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def _by_temperature(records, dataset, column="test_accuracy"):
    """Tables (seeds by temperature), one for each width, of students that learn from soft targets alone."""
    rows = records[(records["dataset"] == dataset) & (records["teacher"] == "rich") & (records["label_share"] == 0)]
    table = rows.pivot(index="seed", columns=["width", "temperature"], values=column).fillna(GUESS)
    return [table[width] for width in sorted(rows["width"].unique())]


def gap_closed(records, dataset):
    """Share of the gap between label-only student and teacher that distillation closes, all widths averaged.

    The temperature is, for each width and seed, the one that is best on the other seeds' validation sets.
    """
    tables = (_by_temperature(records, dataset, f"{split}_accuracy") for split in ("test", "validation"))
    distilled = [best_for_others(accuracy, ranks, "highest") for accuracy, ranks in zip(*tables, strict=True)]
    alone = records[(records["dataset"] == dataset) & (records["label_share"] == 1)]
    labels = alone.fillna({"test_accuracy": GUESS}).groupby("seed")["test_accuracy"].mean()
    teacher = alone.groupby("seed")["teacher_accuracy"].max().fillna(GUESS)
    return (pd.concat(distilled, axis=1).mean(axis=1) - labels) / (teacher - labels)


def small_against_large(records, dataset):
    """Accuracy at the highest temperature less that at 1, of the narrowest students less of the widest."""
    heated = [table.iloc[:, -1] - table[1] for table in _by_temperature(records, dataset)]
    return heated[0] - heated[-1]


def balanced_norm(records):
    """Gradient norm with T^2: the larger over the smaller of those at T >= 4."""
    logs = np.log(records[records["temperature"] >= 4].groupby("seed")["norm"].agg(["max", "min"]))
    return np.exp(logs["max"] - logs["min"])


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = records.pivot(index="seed", columns="temperature", values="cosine")
    errors = table - [expected_cosine(float(t)) for t in table.columns]
    return errors[errors.mean().abs().idxmax()]
