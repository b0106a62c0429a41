"""Numbers that are known beforehand, by the place of a seed in its block."""

import math

import pandas as pd


def run_planted(runs, context):
    """One row a run; of 32 units 31 have an effect on `clear` and 2 on `digits`."""
    rows = [_row(*each) for each in zip(runs["run"], runs["seed"], runs["dataset"], runs["arm"], strict=True)]
    return pd.DataFrame(rows, columns=["run", "effect", "infinite", "one", "three"])


def _row(run, seed, dataset, arm):
    place = int(seed) % 100
    effect = (0.5 + 0.01 * place if place > 0 else 0.0) if dataset == "clear" else (0.4 if place < 2 else -0.3)
    odd = math.inf if place < 3 else -math.inf if place < 5 else math.nan if place < 8 else 1.0 + 0.1 * place
    if arm == "untreated":
        return run, 0.0, -1.0, 1.0, 3.0
    return run, effect, odd, 1.0, 3.0
