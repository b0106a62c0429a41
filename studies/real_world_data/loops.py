"""Processes that make the data they next learn from, without a network: two places watched by their counts, refits."""

import numpy as np

RULES = ("proportional", "larger", "corrected")


def watched(draws, rules, rates, start=(1.0, 1.0)):
    """Share of looks at the first of two places in the later half of the rounds, [R] processes at once.

    A round looks at one place, chosen by the counts of what was found there, and counts what it finds. Rules:
    `proportional` to the counts; always at the `larger`; `corrected`, proportional and a find at a place is counted
    with the chance that one had not looked there (Ensign et al. 2018, section 4).

    Args:
        draws: an iterable of rounds, each [3, R] uniform numbers.
        rules: names [R]. rates: chance of a find a look, [2, R].
        start: counts at the beginning.

    Returns:
        share of looks [R], share of the counts at the end [R].
    """
    members = np.arange(len(rules))
    counts = np.repeat(np.array(start, dtype=float)[:, None], len(rules), 1)
    larger, corrected = (np.array([rule == name for rule in rules]) for name in RULES[1:])
    looks = []
    for place, find, kept in draws:
        share = counts[0] / counts.sum(0)
        first = np.where(larger & (share != 0.5), share > 0.5, place < share)
        watched_share = np.where(first, share, 1 - share)
        found = (find < rates[(~first).astype(int), members]) & (~corrected | (kept < 1 - watched_share))
        counts[(~first).astype(int), members] += found
        looks.append(first)
    return np.mean(looks[len(looks) // 2 :], axis=0), counts[0] / counts.sum(0)


def refitted(draw, n, real, generations, chains):
    """Log-variances [generations + 1, chains] of normal fits, each to n draws of the last one, from variance 1.

    Args:
        draw: gives standard normals of a shape.
        real: share of the n draws that come from the first distribution instead.
    """
    kept, mean, variance, found = round(real * n), np.zeros(chains), np.ones(chains), [np.zeros(chains)]
    for _ in range(generations):
        x = draw((n, chains))
        x[kept:] = mean + np.sqrt(variance) * x[kept:]
        mean, variance = x.mean(0), x.var(0)
        found.append(np.log(variance))
    return np.stack(found)
