"""What no measure can say: a change beside another one, costs at equal accuracy, and distances from theory."""

import numpy as np

from claimcheck.results.tables import by_seed
from claimcheck.theory import feedback
from claimcheck.theory.selection import leaked_accuracy

GUESS = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""

EXAMPLES, KEPT = 100, 20
"""Of the part `noise`: examples, and features kept (settings `examples` and `kept`)."""


def change_beside_the_group(records, tested, low, high):
    """Change of the error of `tested` from one share of the group to another, over that of the group, without signs."""
    errors = by_seed(records, "error", ["tested", "share"], if_diverged=GUESS)
    changes = {name: (errors[name][high] - errors[name][low]).abs() for name in (tested, "minority")}
    return changes[tested] / changes["minority"]


def loss_beside_that_of_decisions(records, column):
    """Loss of `column` (auc, or accuracy) from even classes to one in fifty, over that of the balanced accuracy."""
    rows = records[records["tested"] == "plain"].assign(accuracy=1 - records["error"])
    losses = {}
    for name in (column, "accuracy"):
        table = by_seed(rows, name, "arm", if_diverged=0.5)
        losses[name] = table["even"] - table["fiftieth"]
    return losses[column] / losses["accuracy"]


def spread_at_equal_accuracy(records, column, within):
    """Largest less smallest `column` among thresholds whose error is at most `within` from that at 1/2."""
    errors, values = (by_seed(records, name, "threshold", sharpened=1) for name in ("error", column))
    near = errors.sub(errors[0.5], axis=0).abs() <= within + 1e-9
    return values.where(near).max(axis=1) - values.where(near).min(axis=1)


def off_theory(records):
    """Measured less expected accuracy on noise at the number of candidates where they differ most."""
    table = by_seed(records, "accuracy", "candidates", chosen_on="all")
    expected = [leaked_accuracy(EXAMPLES, int(candidates), KEPT) for candidates in table]
    return (table - expected).abs().max(axis=1)


def off_the_beta_law(records):
    """Probability by the beta law less the quantile's own, where they differ most, from one find at each place."""
    names = [name for name in records if name.startswith("quantile_")]
    table = records[records["rule"] == "proportional"].set_index("seed")[names]
    levels = np.array([int(name.removeprefix("quantile_")) / 100 for name in names])
    return (feedback.urn_share_cdf(table, (1, 1)) - levels + 0 * table).abs().max(axis=1)


def off_the_lock_in(records):
    """Share of processes in which the poorer place has all looks, less theory's."""
    return by_seed(records, "wrong", rule="larger", rates="unequal") - feedback.lock_in((0.3, 0.2))


def off_the_drift(records):
    """Measured drift of the log-variance over theory's, less one, at the n where it is farthest from 0."""
    table = by_seed(records, "drift", "n")
    return (table / [feedback.log_variance_drift(int(n)) for n in table] - 1).abs().max(axis=1)


def off_the_mean_variance(records):
    """Mean variance at the end over theory's, less one, at the n where it is farthest from 0."""
    table = by_seed(records, "mean_variance", "n")
    generations = int(records["rounds"].iloc[0])
    return (table / [feedback.mean_variance(int(n), generations) for n in table] - 1).abs().max(axis=1)
