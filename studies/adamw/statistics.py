"""One number per seed where no measure says it: regrets of default rates, widths of good ranges, best of k trials.

Every statistic is a mean over the networks of one data set. A loss is never counted as more than that of guessing.
"""

import numpy as np
import pandas as pd

from claimcheck.results.tables import by_seed

CLASSES = {"spellings": 29, "phonemes": 42}
"""Symbols that a network on words guesses among: letters or phonemes, begin, end and padding; elsewhere ten classes."""


GUESS = 0.9
"""Test error of a guess among ten classes."""


def guessing(network):
    """The loss of guessing of a network's kind, in nats."""
    return float(np.log(CLASSES.get(network, 10)))


def losses(records, optimizer):
    """Test losses of each network of the data set: name -> seeds by learning rates, in ascending order."""
    rows, found = records[records["optimizer"] == optimizer], {}
    for network, own in rows.groupby("network"):
        worst = guessing(network)
        found[network] = by_seed(own, "test_loss", "learning_rate", if_diverged=worst, at_most=worst)
    return found


def _mean(numbers):
    return pd.concat(numbers, axis=1).mean(axis=1)


def regret(records, optimizer, rate):
    """Loss at one rate less that at the best rate of the grid, in nats."""
    return _mean([table[rate] - table.min(axis=1) for table in losses(records, optimizer).values()])


def regret_difference(records, ours, theirs):
    """Regret of one optimiser's default less that of another's; each gives `optimizer` and `rate`."""
    return regret(records, **ours) - regret(records, **theirs)


def regret_in_longer_runs(records, ours, theirs):
    """Regret of AdamW's default rate in one part less that in another, on the task that they share."""
    rows = records[(records["dataset"] == "mnist1d_pool") & (records["network"] == "mlp")]
    return regret(rows[rows["part"] == ours], "adamw", 0.001) - regret(rows[rows["part"] == theirs], "adamw", 0.001)


def good_range(records, optimizer, tolerance):
    """How many decades of rates end within `tolerance` nats of the best, between rates by straight lines."""
    return _mean([
        pd.Series([_width(row, tolerance) for row in table.to_numpy()], table.index) * _step(table)
        for table in losses(records, optimizer).values()
    ])  # fmt: skip


def _step(table):
    """Decades from one rate of a grid to the next."""
    return float(np.log10(table.columns[-1] / table.columns[0]) / (len(table.columns) - 1))


def _width(row, tolerance):
    """How much of a polygon over 0, 1, 2, ... lies at or below its lowest corner plus the tolerance."""
    top = row.min() + tolerance
    low, high = np.minimum(row[:-1], row[1:]), np.maximum(row[:-1], row[1:])
    rise = np.where(high > low, high - low, 1.0)
    return float(np.where(high <= top, 1.0, np.clip((top - low) / rise, 0.0, 1.0)).sum())


def range_difference(records, tolerance, ours, theirs):
    """Decades of good rates of one optimiser less those of another."""
    return good_range(records, ours, tolerance) - good_range(records, theirs, tolerance)


def best_of(values, trials):
    """Expected lowest of `trials` draws, with replacement, from each row of values `[n, m]`, `[n]`.

    The k-th lowest of m is the lowest drawn with probability ((m - k + 1) / m)^trials - ((m - k) / m)^trials.
    """
    ordered, count = np.sort(values, axis=1), values.shape[1]
    left = (np.arange(count, -1, -1) / count) ** trials
    return ordered @ (left[:-1] - left[1:])


def budget_difference(records, trials, ours, theirs):
    """What few trials cost in nats, one optimiser's less another's.

    The expected loss of the best of so many rates, drawn evenly from the grid, above that of the own best rate.
    """

    def expected(optimizer):
        tables = losses(records, optimizer).values()
        return _mean([best_of(table.to_numpy(), trials) - table.min(axis=1) for table in tables])

    return expected(ours) - expected(theirs)


def area(records, optimizer, tolerance):
    """Share of the cells of learning rate by weight decay that end within `tolerance` of the best test error."""
    how = {"if_diverged": GUESS, "optimizer": optimizer}
    table = by_seed(records, "test_error", ["weight_decay", "learning_rate"], **how)
    return table.le(table.min(axis=1) + tolerance, axis=0).mean(axis=1)


def area_difference(records, ours, theirs):
    """The same, of one optimiser less another; each gives `optimizer` and `tolerance`."""
    return area(records, **ours) - area(records, **theirs)


def farthest_variant(records, variants):
    """By how much the worst of these variants of AdamW ends above the default, in nats."""
    worst = guessing("")
    loss = by_seed(records, "test_loss", "variant", if_diverged=worst, at_most=worst)
    return loss[variants].max(axis=1) - loss["default"]
