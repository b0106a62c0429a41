"""What students gain beyond what a measure can say: shares of the teacher's lead, differences of differences, theory."""

from claimcheck.theory.logit_matching import expected_cosine

GUESS = 0.1
"""Accuracy of a guess among ten classes: what a student that diverged is charged with."""


def _accuracies(records, teacher="rich", labels=False):
    """Test accuracy, seeds by width and temperature, of students that learn from soft targets alone, or from labels."""
    rows = records[(records["teacher"] == teacher) & (records["label_share"] == float(labels))]
    return rows.pivot(index="seed", columns=["width", "temperature"], values="test_accuracy").fillna(GUESS)


def gap_closed(records, temperature, of="soft", less="labels"):
    """Gain of one way of teaching (`soft`, `labels`) over another as a share of the teacher's lead over labels.

    All widths are averaged. Without a lead there is no number.
    """
    soft = _accuracies(records).xs(temperature, axis=1, level="temperature").mean(axis=1)
    taught = {"soft": soft, "labels": _accuracies(records, labels=True).mean(axis=1)}
    alone = records[records["label_share"] == 1]
    lead = alone.groupby("seed")["teacher_accuracy"].max().fillna(GUESS) - taught["labels"]
    return (taught[of] - taught[less]) / lead.where(lead > 0)


def beyond_half_of_the_gain(records, temperature, teacher):
    """What a teacher gives the widest students beyond labels, less half of what the one that knows more gives."""
    widest = records["width"].max()
    labels = _accuracies(records, labels=True)[widest].iloc[:, 0]
    gain, whole = (_accuracies(records, kind)[widest, temperature] - labels for kind in (teacher, "rich"))
    return gain - whole / 2


def small_against_large(records, small="narrowest", large="widest"):
    """Accuracy at the highest temperature less that at 1, of small students less of large ones."""
    table = _accuracies(records)
    heated = table.xs(table.columns.levels[1].max(), axis=1, level=1) - table.xs(1, axis=1, level=1)
    sizes = {"narrowest": heated.columns.min(), "widest": heated.columns.max()}
    return heated[sizes[small]] - heated[sizes[large]]


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = records.pivot(index="seed", columns="temperature", values="cosine")
    errors = table - [expected_cosine(float(t)) for t in table.columns]
    return errors.abs().max(axis=1)
