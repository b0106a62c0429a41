"""Signals in untrained networks, and networks trained from first weights of every scale, plain and normalised."""

import math

import pandas as pd
import torch

from claimcheck.data.draws import draw_vectors
from claimcheck.engine import depth_profile, networks
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, classification, train

MATCHED = {"relu": 2.0, "tanh": 1.0}
"""He's and Xavier's weight variance."""

SCHEMES = {
    "fan_in": lambda n_in, n_out: 1 / n_in,
    "fan_out": lambda n_in, n_out: 1 / n_out,
    "xavier": lambda n_in, n_out: 2 / (n_in + n_out),
}
"""Variance of one weight of a layer with n_in inputs and n_out outputs."""

run_signal = depth_profile.run


@per_run
def run_law(run, context) -> dict[str, float]:
    """Means over the layers of several untrained square networks, which make one unit.

    `forward`: mean square of a layer's pre-activations over that of the layer before; `backward`: the same of the
    derivatives, on their way back from a random direction.
    """
    settings, generator = context.settings, context.generator(run.seed, "law")
    count, width = settings.networks_per_unit, settings.width
    h = torch.randn(count, settings.examples, width, generator=generator)
    h, weights, slopes, signal = h / h.square().mean(-1, keepdim=True).sqrt(), [], [], []
    for _ in range(settings.depth):
        weights.append(torch.randn(count, width, width, generator=generator) * math.sqrt(run.weight_variance / width))
        before = h @ weights[-1].mT
        h = torch.relu(before) if run.activation == "relu" else torch.tanh(before)
        slopes.append((before > 0).to(h.dtype) if run.activation == "relu" else 1 - h.square())
        signal.append(before.square().mean((1, 2)))
    delta = torch.randn(before.shape, generator=generator) * slopes[-1]
    gradient = [delta.square().mean((1, 2))]
    for weight, slope in zip(reversed(weights[1:]), reversed(slopes[:-1]), strict=True):
        delta = (delta @ weight) * slope
        gradient.append(delta.square().mean((1, 2)))
    forward, backward = torch.stack(signal[settings.left_out :]).double(), torch.stack(gradient).double()
    return {name: float((each[1:] / each[:-1]).mean()) for name, each in (("forward", forward), ("backward", backward))}


@per_run
def run_rectangular(run, context) -> dict[str, float]:
    """Factors per layer, forward and backward, in untrained linear networks whose layers narrow; a unit is several.

    `worst` and `least`: the greater and the smaller of the two logarithms' absolute values.
    """
    settings, generator = context.settings, context.generator(run.seed, "rectangular")
    layers = list(zip(settings.widths, settings.widths[1:]))
    weights = [
        torch.randn(settings.networks_per_unit, n_out, n_in, generator=generator)
        * math.sqrt(SCHEMES[run.scheme](n_in, n_out))
        for n_in, n_out in layers
    ]
    shape = (settings.networks_per_unit, settings.examples)
    ends = [torch.randn(*shape, settings.widths[end], generator=generator) for end in (0, -1)]
    h, delta = ends
    for there, back in zip(weights, reversed(weights), strict=True):
        h, delta = h @ there.mT, delta @ back
    signal, gradient = (
        float(torch.log(after.square().mean() / before.square().mean())) / len(layers)
        for before, after in zip(ends, (h, delta), strict=True)
    )
    sizes = (abs(signal), abs(gradient))
    return {"forward": math.exp(signal), "backward": math.exp(gradient), "worst": max(sizes), "least": min(sizes)}


def run_training(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train plain or normalised networks; without a weight variance it is the activation's matched one.

    The gain multiplies hidden weights only. The loss is that on the training examples, with their own statistics under
    batch norm.
    """
    settings, name = context.settings, runs["dataset"].iloc[0]
    how = {"train": settings.examples, "average_pooling": settings.average_pooling}
    own = draw_vectors(context, name, runs["seed"], **how)
    data, inputs = Data({"x": own.pool.x_train, "y": own.pool.y_train}, subset=own.train), own.pool.x_train.shape[1]

    def network(run, generator) -> networks.MLP:
        variance = getattr(run, "weight_variance", MATCHED.get(run.activation)) * getattr(run, "gain", 1.0) ** 2
        how = {"init": variance, "output_init": settings.output_variance, "norm": getattr(run, "norm", None)}
        depth = getattr(run, "depth", settings.get("depth"))
        return networks.MLP(
            inputs, settings.width, 10, depth=depth, activation=run.activation, generator=generator, **how
        )

    return train(runs, context, network=network, data=data, evaluate={"train": (data, classification, "train")}).records


run_scales = run_normed = run_training
