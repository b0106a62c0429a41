"""One number per seed where no measure says it: gains compared, what augmentation is worth, widths against each other."""

import numpy as np

from claimcheck.results.tables import by_seed

GUESS = 0.9
"""Test error of a guess among ten classes: what a network that diverged is charged with."""


def gain_difference(records, few, plenty):
    """What regularisation takes off the test error in one cell, less what it does in another.

    Args:
        few, plenty: the two cells, each a `method` and a number of `examples`, or `highest`.
    """
    error = by_seed(records, "test_error", ["method", "examples"], if_diverged=GUESS)
    most = records["examples"].max()

    def gain(method, examples):
        examples = most if examples == "highest" else examples
        return error["none"][examples] - error[method][examples]

    return gain(**few) - gain(**plenty)


def added_error(records, more, less):
    """What one method adds to the test error of another, both with the most examples.

    Args:
        more, less: each a list of methods, of which the first that the data set has is taken: where a rate of a half is
            that of `dropout`, there is no second arm of it.
    """
    rows = records[records["examples"] == records["examples"].max()]
    error = by_seed(rows, "test_error", "method", if_diverged=GUESS)
    of, to = (next(method for method in methods if method in error) for methods in (more, less))
    return error[of] - error[to]


def useful_narrowing(records, method, examples):
    """What a method takes off the gap between training and test error, or off the test error, whichever is less."""
    gains = []
    for column in ("gap", "test_error"):
        values = by_seed(records, column, ["method", "examples"], if_diverged=GUESS)
        gains.append(values["none"][examples] - values[method][examples])
    return np.minimum(*gains)


def worth_of_data(records, method, examples, than="none"):
    """How many times as many examples another method would need for the error that `method` has with `examples`.

    By the straight line through that method's errors over the logarithm of the number of examples, at `examples` and at
    the highest number there is.
    """
    most = records["examples"].max()
    error = by_seed(records, "test_error", ["method", "examples"], if_diverged=GUESS)
    slope = (error[than][examples] - error[than][most]) / np.log(most / examples)
    return np.exp((error[than][examples] - error[method][examples]) / slope)


def beyond_best_width(records, strength=1.0):
    """Test error of the widest network at one strength of decay less that of the plain width best in the same run."""
    error = by_seed(records, "test_error", ["strength", "width"], if_diverged=GUESS)
    return error[strength][records["width"].max()] - error[0.0].min(axis=1)


def range_ratio(records, ours, theirs):
    """The range of the test error over widths at one strength of decay, relative to that at another."""
    error = by_seed(records, "test_error", ["strength", "width"], if_diverged=GUESS)
    highest, lowest = error.T.groupby("strength").max().T, error.T.groupby("strength").min().T
    ranges = highest - lowest
    return ranges[ours] / ranges[theirs]
