"""Random walks: a second study beside the coin, so that one can change and the other stay."""

import time

import pandas as pd
from matplotlib.figure import Figure


def run(runs, context):
    """One row a run: the end of the walk over the root of its length."""
    time.sleep(context.settings.seconds)
    steps = context.settings.steps
    ends = [
        float((context.numpy_generator(seed, "steps").normal(size=steps) + drift).sum() / steps**0.5)
        for seed, drift in zip(runs["seed"], runs["drift"], strict=True)
    ]
    return pd.DataFrame({"run": runs["run"], "end": ends})


def spread(records):
    """End of the walk without drift, by seed."""
    return records[records["drift"] == 0.0].set_index("seed")["end"]


def plot_ends(records):
    """Dots, one a run."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.scatter(records["drift"], records["end"])
    axes.set(xlabel="drift", ylabel="end of the walk")
    return figure
