"""Tosses of a coin: the smallest study that has everything."""

import time

import pandas as pd
from matplotlib.figure import Figure


def run(runs, context):
    """One row a run: the share of heads."""
    time.sleep(context.settings.seconds)
    shares = [
        context.numpy_generator(seed, "tosses").binomial(context.settings.tosses, bias) / context.settings.tosses
        for seed, bias in zip(runs["seed"], runs["bias"], strict=True)
    ]
    return pd.DataFrame({"run": runs["run"], "heads": shares})


def heads(records):
    """Share of heads of the fair coin, by seed."""
    fair = records[records["bias"] == 0.5]
    return fair.set_index("seed")["heads"]


def plot_shares(records):
    """Dots, one a run."""
    figure = Figure(figsize=(4, 3), layout="constrained")
    axes = figure.subplots()
    axes.scatter(records["bias"], records["heads"])
    axes.set(xlabel="bias", ylabel="share of heads")
    return figure
