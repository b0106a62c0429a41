"""Random walks: a second study beside the coin, so that one can change and the other stay."""

import time

import pandas as pd


def run_walks(runs, context):
    """One row a run: the end of the walk over the root of its length."""
    time.sleep(context.settings.seconds)
    steps = context.settings.steps
    ends = [
        float((context.numpy_generator(seed, "steps").normal(size=steps) + drift).sum() / steps**0.5)
        for seed, drift in zip(runs["seed"], runs["drift"], strict=True)
    ]
    return pd.DataFrame({"run": runs["run"], "end": ends})


def run_aimed(runs, context):
    """One row a run: how far from its goal a pushed walk ends, over the root of its length."""
    time.sleep(context.settings.seconds)
    steps, distances = context.settings.steps, []
    for run in runs.itertuples():
        end = context.numpy_generator(run.seed, "pushed").normal(size=steps).sum() / steps**0.5 + run.push
        distances.append(abs(float(end) - run.goal))
    return pd.DataFrame({"run": runs["run"], "distance": distances})
