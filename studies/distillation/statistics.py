"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

import numpy as np

from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def _accuracies(records, dataset, labels=False):
    """Test accuracy, seeds by width and temperature, of students that learn from soft targets alone, or from labels."""
    rows = records[(records["dataset"] == dataset) & (records["teacher"] == "rich")]
    rows = rows[rows["label_share"] == float(labels)]
    return rows.pivot(index="seed", columns=["width", "temperature"], values="test_accuracy").fillna(GUESS)


def gap_closed(records, dataset, temperature, of="soft", less="labels"):
    """Gain of one way of teaching (`soft`, `labels`) over another as a share of the teacher's lead over labels.

    All widths are averaged. Without a lead there is no number.
    """
    soft = _accuracies(records, dataset).xs(temperature, axis=1, level="temperature").mean(axis=1)
    taught = {"soft": soft, "labels": _accuracies(records, dataset, labels=True).mean(axis=1)}
    alone = records[(records["dataset"] == dataset) & (records["label_share"] == 1)]
    lead = alone.groupby("seed")["teacher_accuracy"].max().fillna(GUESS) - taught["labels"]
    return (taught[of] - taught[less]) / lead.where(lead > 0)


def small_against_large(records, dataset, small="narrowest", large="widest"):
    """Accuracy at the highest temperature less that at 1, of small students less of large ones."""
    table = _accuracies(records, dataset)
    heated = table.xs(table.columns.levels[1].max(), axis=1, level=1) - table.xs(1, axis=1, level=1)
    sizes = {"narrowest": heated.columns.min(), "widest": heated.columns.max()}
    return heated[sizes[small]] - heated[sizes[large]]


def _hot(records, column):
    """Logarithms of a column at temperatures of 4 and more, seeds by temperature."""
    return np.log(records[records["temperature"] >= 4].pivot(index="seed", columns="temperature", values=column))


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
    table = records.pivot(index="seed", columns="temperature", values="cosine")
    errors = table - [expected_cosine(float(t)) for t in table.columns]
    return errors.abs().max(axis=1)
