"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

from functools import partial

from claimcheck.results.tables import by_seed
from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def gap_closed(records, temperature, of="soft", less="labels"):
    """Gain of one way of teaching (`soft`, `labels`) over another as a share of the teacher's lead over labels.

    All widths are averaged. Without a lead there is no number.
    """
    column = partial(by_seed, records, over="width", if_diverged=GUESS, teacher="rich")
    soft = column("test_accuracy", label_share=0.0, temperature=temperature).mean(axis=1)
    taught = {"soft": soft, "labels": column("test_accuracy", label_share=1.0).mean(axis=1)}
    lead = column("teacher_accuracy", label_share=1.0).max(axis=1) - taught["labels"]
    return (taught[of] - taught[less]) / lead.where(lead > 0)


def beyond_half_of_the_gain(records, temperature, teacher):
    """Gain of the widest students from a teacher (or `labels`) over labels, less half of that from the rich teacher."""
    column = partial(by_seed, records, "test_accuracy", if_diverged=GUESS, width=records["width"].max())
    labels = column(label_share=1.0)
    soft = partial(column, label_share=0.0, temperature=temperature)
    gain = 0.0 * labels if teacher == "labels" else soft(teacher=teacher) - labels
    return gain - (soft(teacher="rich") - labels) / 2


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
