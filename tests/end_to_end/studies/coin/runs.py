"""Tosses of a coin: the smallest study that has everything."""

import time

import pandas as pd


def run_tosses(runs, context):
    """One row a run: the share of heads."""
    time.sleep(context.settings.seconds)
    shares = [
        context.numpy_generator(seed, "tosses").binomial(context.settings.tosses, bias) / context.settings.tosses
        for seed, bias in zip(runs["seed"], runs["bias"], strict=True)
    ]
    return pd.DataFrame({"run": runs["run"], "heads": shares})
