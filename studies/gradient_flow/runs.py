"""Gradients of untrained stacks, and networks trained from where the gradient fades, keeps its size or explodes."""

import pandas as pd
import torch

from claimcheck.engine import depth_profile, measure, networks
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, Trained, train

SLOPES = {
    "relu": lambda x: (x > 0).to(x.dtype),
    "swish": lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
}

LAMBERT = 0.278465
"""W(1/e), the greatest value of x / (1 + exp x)."""

run_slopes = depth_profile.run


def run_saturation(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Slope and saturation of tanh units, layer by layer, in untrained networks whose inputs have unit mean square."""
    width, depth = context.settings.width, context.settings.depth

    def network(run, generator):
        how = {"activation": "tanh", "init": run.weight_variance, "bias": False}
        return networks.MLP(width, width, 10, depth=depth, generator=generator, **how)

    inputs = torch.stack([depth_profile.probes(context, seed)["x"] for seed in runs["seed"]]).to(context.device)
    functions = {
        "pre_activation_sd": lambda before, after: before.square().mean().sqrt(),
        "mean_slope": lambda before, after: (1.0 - after.square()).mean(),
        "saturated": lambda before, after: (after.abs() > 0.9).to(after.dtype).mean(),
    }
    return measure.layerwise(untrained(runs, context, network), Data({}, per_member={"x": inputs}), functions)


def run_exact(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Facts about the functions themselves, from torch's own modules and automatic differentiation in float64.

    `swish_gap` is beta * sup |Swish_beta - ReLU| for the beta at which it is furthest from W(1/e).
    """
    x = torch.linspace(-20.0, 20.0, 400_001, dtype=torch.float64, requires_grad=True)
    relu, tanh, swish = (networks.activation_of(name) for name in ("relu", "tanh", "swish"))
    relu_slope, tanh_slope, swish_slope = (torch.autograd.grad(f(x).sum(), x)[0] for f in (relu, tanh, swish))
    x = x.detach()
    signs = swish_slope[x < 0].sign()
    facts = {
        "tanh_peak": tanh_slope.max(),
        "tanh_tail": tanh_slope[x.abs() >= 10].max(),
        "relu_active": (relu_slope[x > 0] - 1).abs().max() + 1,
        "swish_roots": (signs == 0).sum() + (signs[1:] * signs[:-1] < 0).sum(),
        "swish_right": swish(x[-1]) / x[-1],
        "swish_left": swish(x[0]).abs(),
    }
    gaps = [beta * (swish(beta * x) / beta - relu(x)).abs().max() for beta in context.settings.betas]
    facts["swish_gap"] = max(gaps, key=lambda gap: abs(gap - LAMBERT))
    return pd.DataFrame({"run": runs["run"], **{name: float(value) for name, value in facts.items()}})


@per_run
def run_dead_law(run, context) -> dict[str, float]:
    """Share of random bias-free ReLU networks that are silent for one input, by width and depth."""
    count, generator = context.settings.networks, context.generator(run.seed, "networks")
    h = torch.randn(count, run.width, 1, generator=generator)
    for _ in range(run.depth):
        h = torch.relu(torch.randn(count, run.width, run.width, generator=generator) @ h)
        h = h / h.amax(1, keepdim=True).clamp_min(1e-30)
    return {"dead": float((h == 0).all(1).double().mean())}


def run_training(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train deep plain networks on MNIST-1D; loss on the first `judged` training examples at the end."""
    data = context.dataset("mnist1d")
    judged = Data.training(data, slice(context.settings.judged))
    return _train(runs, context, Data.training(data), {"train": judged}).records


run_map = run_training


def run_dead(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at one learning rate a run, then count the units that pass no gradient for any training example.

    A unit counts as dead when |phi'| < 0.01 on every example: for ReLU that is "never active", for Swish a
    pre-activation that stays below about -6.6 (or on the one root of its slope).
    """
    data, slope = context.dataset("mnist1d"), SLOPES[runs["activation"].iloc[0]]
    examples = Data.training(data)
    trained = _train(runs, context, examples, {"train": examples, "test": Data.testing(data)})
    functions = {"dead": lambda before, after: (slope(before).abs().amax(0) < 0.01).to(before.dtype).mean()}
    dead = measure.layerwise(trained.ensemble, examples, functions).groupby("run")["dead"].mean()
    records = trained.records
    return records.assign(dead=records["run"].map(dead).where(records["status"] == "ok"))


def run_accuracy(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train classifiers; the learning rate is chosen on the last fifth of the training examples, which stay unseen."""
    data = context.dataset(runs["dataset"].iloc[0]).flat()
    seen = int(0.8 * min(len(data.y_train), context.settings.examples))
    examples, unseen = Data.training(data, slice(seen)), Data.training(data, slice(seen, round(seen / 0.8)))
    return _train(runs, context, examples, {"train": examples, "valid": unseen, "test": Data.testing(data)}).records


def run_fit(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Fit a small subset of MNIST-1D, another one for each seed, in full batches."""
    data = context.dataset("mnist1d")
    orders = [torch.randperm(len(data.y_train), generator=context.generator(seed, "subset")) for seed in runs["seed"]]
    subset = torch.stack(orders)[:, : context.settings.examples].to(context.device)
    examples = Data({"x": data.x_train, "y": data.y_train}, subset=subset)
    return _train(runs, context, examples, {"train": examples}).records


def _train(runs: pd.DataFrame, context, examples: Data, evaluate: dict[str, Data]) -> Trained:
    """Train plain networks; without a weight variance, from the initialisation that is their activation's own."""
    settings, inputs = context.settings, examples.shared["x"].shape[1]

    def network(run, generator):
        depth = getattr(run, "depth", settings.get("depth"))
        init = getattr(run, "weight_variance", "he" if run.activation in ("relu", "swish", "gelu") else "xavier")
        how = {"depth": depth, "activation": run.activation, "init": init}
        return networks.MLP(inputs, settings.width, 10, generator=generator, **how)

    return train(runs, context, network=network, data=examples, evaluate=evaluate)
