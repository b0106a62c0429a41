"""Signals in untrained networks, and networks trained from first weights of every scale, plain and normalised."""

import pandas as pd

from claimcheck.engine import depth_profile, networks
from claimcheck.engine.train import Data, classification, train

MATCHED = {"relu": 2.0, "tanh": 1.0}
"""He's and Xavier's weight variance."""

run_signal = depth_profile.run


def run_training(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train plain or normalised networks on MNIST-1D; without a weight variance it is the activation's matched one."""
    settings, data = context.settings, context.dataset("mnist1d")

    def network(run, generator) -> networks.MLP:
        how = {
            "depth": getattr(run, "depth", settings.get("depth")),
            "norm": getattr(run, "norm", None),
            "init": getattr(run, "weight_variance", MATCHED[run.activation]),
            "gain": getattr(run, "gain", 1.0),
        }
        return networks.MLP(40, settings.width, 10, activation=run.activation, generator=generator, **how)

    evaluate = {"train": (Data.training(data, slice(settings.judged)), classification, "train")}
    return train(runs, context, network=network, data=Data.training(data), evaluate=evaluate).records


run_normed = run_training
