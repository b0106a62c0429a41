"""Gradients of untrained stacks, and networks trained from where the gradient fades, keeps its size or explodes."""

import math

import pandas as pd
import torch

from claimcheck.data.draws import Draws, draw_vectors
from claimcheck.engine import depth_profile, measure, networks
from claimcheck.engine.ensemble import Ensemble, untrained
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, Trained, train

from .fading import Fading
from .steep import Steep

SLOPES = {
    "relu": lambda x: (x > 0).to(x.dtype),
    "swish": lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
}

LAMBERT = 0.278465
"""W(1/e), the greatest value of x / (1 + exp x)."""

run_slopes = depth_profile.run
run_scales = depth_profile.run


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
    negative, signs = x[x < 0], swish_slope[x < 0].sign()
    facts = {
        "tanh_peak": tanh_slope.max(),
        "tanh_tail": tanh_slope[x.abs() >= 10].max(),
        "relu_active": (relu_slope[x > 0] - 1).abs().max() + 1,
        "swish_roots": (signs == 0).sum() + (signs[1:] * signs[:-1] < 0).sum(),
        "swish_root": negative[swish_slope[x < 0].abs().where(negative > -5, math.inf).argmin()],
        "swish_right": swish(x[-1]) / x[-1],
        "swish_left": swish(x[0]).abs(),
        **_chains(),
    }
    gaps = [beta * (swish(beta * x) / beta - relu(x)).abs().max() for beta in context.settings.betas]
    facts["swish_gap"] = max(gaps, key=lambda gap: abs(gap - LAMBERT))
    return pd.DataFrame({"run": runs["run"], **{name: float(value) for name, value in facts.items()}})


def _chains() -> dict[str, torch.Tensor]:
    """Two products for the gradient of a two-layer network's first weight, over that gradient: the chain rule's, of
    activations by activations, and one of weights by weights."""
    w1, w2 = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.8, -1.3))
    h1 = torch.tanh(0.5 * w1)
    h2 = torch.tanh(w2 * h1)
    loss = (h2 - 0.3) ** 2

    def by(what: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(what, where, retain_graph=True, allow_unused=True)
        return torch.zeros_like(where) if found is None else found

    gradient = by(loss, w1)
    return {
        "activation_product": by(loss, h2) * by(h2, h1) * by(h1, w1) / gradient,
        "weight_product": by(loss, w2) * by(w2, w1) / gradient,
    }


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
    """Train plain networks and follow the mean loss of the last ten minibatches, every other step.

    Columns: `train_loss`, the last of these losses; `course`, their mean (what the rate is tuned for); `updates`, after
    how many steps they were first at most half the loss of guessing (infinite: never); `relative_gradient`.
    """
    data, inputs = _training_set(runs, context)
    network, steps = _plain(context.settings, inputs), context.settings.steps
    first = _relative_gradient(runs, context, network, data)
    course = train(
        runs, context, network=network, data=data, evaluate_at=range(2, steps + 1, 2), batch_loss_window=10
    ).records
    there = course["batch_loss"] <= 0.5 * math.log(10.0)
    last = course[course["step"] == steps].reset_index(drop=True)
    mean = course.groupby("run")["batch_loss"].agg(lambda losses: losses.mean(skipna=False))
    return pd.DataFrame({
        "run": last["run"],
        "train_loss": last["batch_loss"],
        "course": last["run"].map(mean),
        "updates": last["run"].map(course[there].groupby("run")["step"].min()).astype("float64").fillna(math.inf),
        "relative_gradient": last["run"].map(first),
        "status": last["status"],
    })  # fmt: skip


def run_swept(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train plain networks at one learning rate a run; loss of the last ten minibatches, error on all the examples."""
    data, inputs = _training_set(runs, context)
    network = _plain(context.settings, inputs)
    first = _relative_gradient(runs, context, network, data)
    records = train(
        runs, context, network=network, data=data, evaluate={"train": data}, batch_loss_window=10
    ).records.drop(columns=["step", "train_loss"])
    records["relative_gradient"] = records["run"].map(first)
    return records.rename(columns={"batch_loss": "train_loss"})


def run_map(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train plain networks; final loss on their training examples."""
    data, inputs = _training_set(runs, context)
    return train(runs, context, network=_plain(context.settings, inputs), data=data, evaluate={"train": data}).records


run_fit = run_map


def run_fading(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train residual networks whose gradient alone fades, or stops at an early block; final loss on their examples."""
    data, inputs = _training_set(runs, context)
    settings = context.settings

    def network(run, generator) -> Fading:
        how = {"depth": settings.depth, "output_init": settings.output_variance, "generator": generator}
        return Fading(inputs, settings.width, 10, factor=run.factor, frozen=run.frozen, **how)

    return train(runs, context, network=network, data=data, evaluate={"train": data}).records


def run_dead(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at one learning rate a run, then count the units that pass no gradient for any training example.

    A unit counts as dead when |phi'| < 0.01 on every example: for ReLU that is "never active", for Swish a
    pre-activation that stays below about -6.6 (or on the one root of its slope). Of ReLU networks also `revived`, the
    share of the last layer's units dead after half of the steps that are not dead at the end, and `kept`, that of its
    units not dead then. (A dead unit of the first layer stays so: its inputs do not change.)
    """
    data, inputs = _training_set(runs, context)
    activation, network = runs["activation"].iloc[0], _plain(context.settings, inputs)
    trained = train(runs, context, network=network, data=data, evaluate={"train": data})
    fine = (trained.records["status"] == "ok").to_numpy()
    dead = _dead(trained, data, activation)
    found = {"dead": dead.double().mean((1, 2))}
    if activation == "relu":
        half = context.settings.steps // 2  # the same steps as the first half of the above, from the same streams
        before = _dead(train(runs, context, network=network, data=data, steps=half), data, activation)
        before, after = before[:, -1], dead[:, -1]
        found["revived"] = (before & ~after).sum(1) / before.sum(1)
        found["kept"] = (~before & ~after).sum(1) / (~before).sum(1)
    return trained.records.assign(
        **{name: pd.Series(value.double().cpu().numpy()).where(fine) for name, value in found.items()}
    )


def run_accuracy(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train classifiers; the learning rate is chosen on the last fifth of the training examples, which stay unseen."""
    own = _examples(runs, context)
    seen = int(0.8 * own.train.shape[1])
    columns = {"x": own.pool.x_train, "y": own.pool.y_train}
    sets = {
        "train": Data(columns, subset=own.train[:, :seen]),
        "valid": Data(columns, subset=own.train[:, seen:]),
        "test": Data({"x": own.pool.x_test, "y": own.pool.y_test}, subset=own.test),
    }
    network = _plain(context.settings, own.pool.x_train.shape[1])
    return train(runs, context, network=network, data=sets["train"], evaluate=sets).records


def _examples(runs: pd.DataFrame, context) -> Draws:
    settings, name = context.settings, runs["dataset"].iloc[0]
    how = {"train": settings.examples, "average_pooling": settings.get("average_pooling", 1)}
    return draw_vectors(context, name, runs["seed"], **how)


def _training_set(runs: pd.DataFrame, context) -> tuple[Data, int]:
    """The training examples of every run, and how many numbers one has."""
    own = _examples(runs, context)
    return Data({"x": own.pool.x_train, "y": own.pool.y_train}, subset=own.train), own.pool.x_train.shape[1]


def _plain(settings, inputs: int):
    """Makes plain networks; without a weight variance, from the initialisation that is their activation's own."""

    def network(run, generator) -> networks.MLP:
        init = getattr(run, "weight_variance", "he" if run.activation in ("relu", "swish", "gelu") else "xavier")
        how = {"activation": run.activation, "init": init, "output_init": settings.output_variance}
        how |= {"depth": getattr(run, "depth", settings.get("depth")), "generator": generator}
        if hasattr(run, "multiplier"):
            return Steep(inputs, settings.width, 10, multiplier=run.multiplier, **how)
        return networks.MLP(inputs, settings.width, 10, **how)

    return network


def _relative_gradient(runs: pd.DataFrame, context, network, data: Data) -> pd.Series:
    """By run, the length of the first gradient over that of all weights, on a hundred examples."""
    ensemble = untrained(runs, context, network)
    gradient = measure.gradient_of(ensemble, Data(data.shared, subset=data.subset[:, :100])).norm(dim=1)
    return pd.Series((gradient / ensemble.parameters.norm(dim=1)).double().cpu().numpy(), index=runs["run"])


def _dead(trained: Trained, data: Data, activation: str) -> torch.Tensor:
    """Which units of an ensemble of plain networks pass no gradient, bool ``[R, layers, units]``."""
    ensemble: Ensemble = trained.ensemble
    named, h, dead = ensemble.named(), data.whole()[0]["x"], []
    with torch.no_grad():
        for layer, phi in enumerate(ensemble.skeleton.activations):
            weight, bias = (named[f"hidden.{layer}.{name}"] for name in ("weight", "bias"))
            before = torch.baddbmm(bias[:, None], h, weight.mT)
            dead.append(SLOPES[activation](before).abs().amax(1) < 0.01)
            h = phi(before)
    return torch.stack(dead, 1)
