"""Differences of the two arms, as functions that a test may break."""

import numpy as np  # noqa: F401  (for what tests put in)


def _difference(records, column):
    table = records.pivot(index="seed", columns="arm", values=column)
    return table["b"] - table["a"]


def moved_up(records):
    """The effect that is there."""
    return _difference(records, "up")


def unmoved(records):
    """The effect that is not."""
    return _difference(records, "same")


def moved_down(records):
    """The effect the wrong way round."""
    return _difference(records, "down")


def moved_far(records):
    """An effect beyond every margin."""
    return _difference(records, "up") + 10


def exact(records):
    """A number without noise."""
    return records.groupby("seed")["two"].mean()
