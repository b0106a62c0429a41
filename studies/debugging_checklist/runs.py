"""The lecture's debugging checklist: planted bugs, early norms, shallow and deep, spikes, tools for bad numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.backends import mkldnn
from torch.optim import Adam

from claimcheck.checklist import check
from claimcheck.data.draws import draw, draw_each
from claimcheck.engine import measure
from claimcheck.engine.data import Data, Order
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import MLP
from claimcheck.engine.single import per_seed
from claimcheck.engine.train import Trained, classification, train

from .bugs import BUGS, Batch, Case
from .faults import culprit_of, network
from .hosts import HOSTS, host_of
from .statistics import LARGE
from .tools import TOOLS

CHANCE = math.log(10)
"""Loss of guessing among ten classes."""

# ---- planted bugs ----


@per_seed
def run_bench(runs: pd.DataFrame, context) -> list[dict]:
    """Every check of the part's on every planted bug in the unit's host: whether it finds something, and what it costs.

    `cost`: how often the check computes the loss, nearly always with its gradient.
    """
    seed = int(runs["seed"].iloc[0])
    host = host_of(seed)
    how = context.settings.hosts[host]
    train, test = _examples(context, how, seed)
    rows = []
    for run in runs.itertuples(index=False):
        model = HOSTS[host](train[0].shape[1:], how["width"], context.generator(seed, "init")).to(context.device)
        healthy = Case(
            model, train, test, F.cross_entropy, lambda model: Adam(model.parameters(), lr=how["rate"], fused=True)
        )
        case = BUGS[run.bug](healthy, context.generator(seed, run.bug))
        with _plain_convolutions():
            for name in context.settings.checks:
                found, cost = _checked(case, name, context.settings)
                rows.append({"run": run.run, "check": name, "found": found, "cost": cost})
    return rows


@contextmanager
def _plain_convolutions() -> Iterator[None]:
    """Without oneDNN, whose preparations take longer than convolutions of sixteen small images."""
    before, mkldnn.enabled = mkldnn.enabled, False
    try:
        yield
    finally:
        mkldnn.enabled = before


def _examples(context, how: dict, seed: int) -> tuple[Batch, Batch]:
    """A unit's own training and test examples, as images `[N, 1, H, W]` or signals `[N, 40]`."""
    sizes = context.settings.examples
    own = draw(context, how["dataset"], seed, train=sizes["train"], test=sizes["test"])
    shrink = how["shrink"]
    sets = [(own.x_train, own.y_train), (own.x_test, own.y_test)]
    return tuple((x if shrink == 1 else F.avg_pool2d(x, shrink), y) for x, y in sets)


def _checked(case: Case, name: str, settings) -> tuple[float, float]:
    """Whether a check finds anything, and how many losses it computes for that."""
    calls = 0

    def counted(outputs: Tensor, targets: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return case.loss(outputs, targets)

    batch = case.train[0][: settings.batch_size], case.train[1][: settings.batch_size]
    how = {"optimizer": case.optimizer, "train": case.train, "test": case.test, "steps": settings.steps}
    found = check(case.model, batch, counted, checks=[name], **how)
    return float(bool(found)), float(calls)


run_often = run_bench


# ---- early gradient norms, shallow and deep ----


def _data(runs: pd.DataFrame, context) -> tuple[int, Data]:
    """Features of an example, and each unit's own training examples; images of mnist5k are shrunk."""
    s, name = context.settings, runs["dataset"].iloc[0]
    own = draw_each(context, name, runs["seed"], train=s.examples, test=1)
    x = own.pool.x_train
    x = F.avg_pool2d(x, s.shrink[name]) if s.shrink[name] > 1 else x
    x = x.flatten(1)
    return x.shape[1], Data({"x": x, "y": own.pool.y_train}, subset=own.train)


def run_trials(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Networks at random gains and rates, the same for each shape: do they train, and what did first gradients say?

    `norm`: of the gradient on `watched` examples, the largest of the early steps at which the run is not lost yet.
    `trained_again`, `trained_both`, where the part asks for these remedies: whether the trial trains from other weights
    (and in another order), or with layer norm and clipping. They are tried where the trial fails with a large norm, and
    in the first trials of a unit, of a number set for each; elsewhere they have no number.
    """
    s = context.settings
    remedy = runs["remedy"].iloc[0] if "remedy" in runs else "none"
    inputs, data = _data(runs, context)
    runs = runs.assign(**_drawn(runs, context, s.rates[runs["optimizer"].iloc[0]]))
    watched = replace(data, subset=data.subset[:, : s.watched]), _watch, "ensemble"
    fit = _fit(runs, context, inputs, data, remedy, evaluate={"watched": watched}, evaluate_at=s.early)
    norms, losses = (
        fit.records.pivot(index="run", columns="step", values=f"watched_{each}").loc[runs["run"]].to_numpy()
        for each in ("norm", "loss")
    )
    norm, loss = largest_before_lost(norms, losses, s.lost), _loss(fit, data)
    found = {"norm": norm, "train_loss": np.minimum(loss, 1e30), "trained": _has_trained(loss)}
    large_and_failed = (norm > LARGE) & (found["trained"] < 0.5)
    for name, first in s.remedies.items():
        places = np.flatnonzero(large_and_failed | (runs["trial"] < first))
        outcome = np.full(len(runs), np.nan)
        if len(places):
            own = data.members(places.tolist())
            outcome[places] = _has_trained(_loss(_fit(runs.iloc[places], context, inputs, own, name), own))
        found[f"trained_{name}"] = outcome
    return runs[["run"]].assign(gain=runs["gain"], rate=runs["learning_rate"], **found)


def _fit(runs: pd.DataFrame, context, inputs: int, data: Data, remedy: str, **how) -> Trained:
    """Networks of the runs' gains and rates, trained with a remedy."""
    s = context.settings
    depth, width = s.shapes[runs["shape"].iloc[0]]
    style = {"both": {"norm": "layer"}, "norm_residual": {"residual": "pre_norm"}}.get(remedy, {})

    def network(run, generator):
        readout = 2.0 / run.gain**2  # which keeps its usual size
        return MLP(inputs, width, 10, depth=depth, generator=generator, gain=run.gain, output_init=readout, **style)

    runs = runs.assign(clip=s.clip if remedy == "both" else math.inf)
    streams = "again " if remedy == "again" else ""  # other weights and another order
    how = {"evaluate": {}, "optimizer": runs["optimizer"].iloc[0], "streams": streams, **how}
    return train(runs, context, network=network, data=data, **how)


def _loss(fit: Trained, data: Data) -> np.ndarray:
    """Each run's training loss, infinite where it diverged."""
    loss = fit.ensemble.map(classification, data)["loss"].double().cpu().numpy()
    return np.where((fit.diverged_at < 0) & np.isfinite(loss), loss, np.inf)


def _has_trained(loss: np.ndarray) -> np.ndarray:
    return (loss < 0.5 * CHANCE).astype(float)


def _watch(ensemble: Ensemble, data: Data) -> dict[str, Tensor]:
    norm = measure.gradient_of(ensemble, data).double().norm(dim=1)
    return {"norm": norm, "loss": ensemble.map(classification, data)["loss"].double()}


def largest_before_lost(norms: np.ndarray, losses: np.ndarray, lost: float) -> np.ndarray:
    """The largest norm of each run at the steps before it is lost, of both by runs and steps, the first one untrained.

    A run is lost from the step on at which its loss is above `lost` times its first one, or above as many times that of
    guessing where this is more; or is no number. Its norm is then large because it has blown up, and foretells nothing.
    """
    least = lost * np.maximum(losses[:, :1], CHANCE)
    kept = np.logical_and.accumulate((losses <= least) & np.isfinite(norms), axis=1)
    return np.where(kept, norms, 0.0).max(axis=1)


def _drawn(runs: pd.DataFrame, context, rates: list[float]) -> dict[str, list[float]]:
    """Each trial's gain and rate, drawn evenly on logarithmic scales: the same for all shapes and remedies."""
    gains, columns = context.settings.gains, {"gain": [], "learning_rate": []}
    for run in runs.itertuples(index=False):
        draws = context.numpy_generator(run.seed, f"trial {run.trial}").random(2)
        for column, (low, high), share in zip(columns.values(), (gains, rates), draws):
            column.append(low * (high / low) ** share)
    return columns


run_depths = run_trials_adam = run_trials


def run_transfer(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train losses over a grid of rates, for each shape with and without normalisation and residual connections."""
    s = context.settings
    (depth, width), (inputs, data) = s.shapes[runs["shape"].iloc[0]], _data(runs, context)
    style = {"residual": "pre_norm"} if runs["remedy"].iloc[0] == "norm_residual" else {}
    runs = runs.assign(learning_rate=runs["rate"])
    network = partial(_plain, inputs, width, depth, style)
    trained = train(runs, context, network=network, data=data, evaluate={"train": data}).records
    loss = trained["train_loss"].fillna(np.inf).clip(upper=10.0)
    return trained[["run"]].assign(train_loss=loss)


def _plain(inputs: int, width: int, depth: int, style: dict, run, generator) -> MLP:
    return MLP(inputs, width, 10, depth=depth, generator=generator, **style)


# ---- spikes ----


def _read(x: Tensor, fault: str, tiny: float = 0.0) -> Tensor:
    """Inputs `[..., B, features]` as they are, less the mean image over their own norm, or less their log brightness.

    `tiny` is added to what is divided by or put into the logarithm.
    """
    if fault == "divisor":
        return (x - x.mean(-2, keepdim=True)) / (x.norm(dim=-1, keepdim=True) + tiny)
    return x - (x.mean(-1, keepdim=True) + tiny).log() if fault == "log" else x


def run_spikes(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Losses of every minibatch: how many are spikes, when the first one or a bad number comes, and whether one comes.

    A few training images are blank. The faults divide by their norm or take the logarithm of their brightness, both
    zero, or nearly so where guarded. A spike: a loss above 1.5 times the median of the 20 before, plus half a nat.
    `epochs`: until a spike or a bad number. `at_blank`, `at_others`: share of the spikes at updates that see a blank
    image, or one of as many others; 0 where there are none.
    """
    s, fault = context.settings, runs["fault"].iloc[0]
    inputs, data = _data(runs, context)
    x, y = (data.shared[name][data.subset] for name in ("x", "y"))
    x[:, : s.blank] = 0.0
    tiny = s.guard if fault.startswith("guarded") else 0.0
    data = Data({}, per_member={"x": _read(x, fault.removeprefix("guarded "), tiny), "y": y})
    runs = runs.assign(learning_rate=runs["speed"].map(s.rates))
    network = partial(_plain, inputs, s.width, s.depth, {})
    trained = train(runs, context, network=network, data=data, batch_loss_window=s.steps, evaluate={})
    losses = trained.batch_losses
    usual = pd.DataFrame(losses).T.rolling(s.window).median().shift().T.to_numpy()
    spikes = losses > 1.5 * usual + 0.5
    bad = np.where(trained.diverged_at >= 0, trained.diverged_at, np.inf)
    first = np.where(spikes.any(1), spikes.argmax(1) + 1.0, np.inf)
    epoch = len(data) // s.batch_size
    found = {
        "spikes": spikes.sum(1),
        "bad": np.isfinite(bad),
        "epochs": np.minimum(np.minimum(bad, first) / epoch, 1e6),
    }
    seen = _seen(runs, context, len(data), updates=spikes.shape[1])
    for name, image in (("at_blank", 0), ("at_others", s.blank)):
        hit = ((seen >= image) & (seen < image + s.blank)).any(-1)
        found[name] = (spikes & hit).sum(1) / np.maximum(spikes.sum(1), 1)
    return runs[["run"]].assign(**{name: np.asarray(value, dtype=float) for name, value in found.items()})


def _seen(runs: pd.DataFrame, context, examples: int, updates: int) -> np.ndarray:
    """Images that each update sees, `[R, updates, B]`: the order in which `train` takes them, drawn once more."""
    generator = partial(context.generator, purpose="order")
    order = iter(Order(list(runs["seed"]), generator, examples, context.settings.batch_size, context.device))
    return torch.stack([next(order) for _ in range(updates)], 1).cpu().numpy()


# ---- tools ----


@per_seed
def run_tools(runs: pd.DataFrame, context) -> list[dict]:
    """Whether each tool names the planted operation, or the module that holds nothing else."""
    s, seed = context.settings, int(runs["seed"].iloc[0])
    (x, y), rows = _one_batch(context, runs["dataset"].iloc[0], seed), []
    for run in runs.itertuples(index=False):
        place = 1 + int(context.numpy_generator(seed, f"place {run.fault}").integers(s.depth))
        for tool, function in TOOLS.items():
            model = network(x.shape[1], s.width, s.depth, run.fault, place, context.generator(seed, "init"))
            named = function(model.to(context.device), (x, y))
            right = _is_right(tool, named, culprit_of(run.fault), place)
            rows.append({"run": run.run, "tool": tool, "named": float(right)})
    return rows


def _is_right(tool: str, named: tuple[str | None, str | None], culprit: str, place: int) -> bool:
    """The operation, where the tool says one; else its module; without tools, the layer right before it."""
    operation, module = named
    if tool in ("symptom", "last"):
        return module == f"linear{place}"
    return operation == culprit and module in (None, "fault") if operation else module == "fault"


def _one_batch(context, name: str, seed: int) -> Batch:
    s = context.settings
    own = draw(context, name, seed, train=s.examples, test=1)
    x = F.avg_pool2d(own.x_train, s.shrink[name]) if s.shrink[name] > 1 else own.x_train
    return x.flatten(1), own.y_train


@per_seed
def run_slowdown(runs: pd.DataFrame, context) -> list[dict]:
    """How many times as long a step takes with each tool; the median of several turns, in which all take theirs."""
    s, seed = context.settings, int(runs["seed"].iloc[0])
    batch = _one_batch(context, runs["dataset"].iloc[0], seed)

    def healthy():
        return network(batch[0].shape[1], s.width, s.depth, "none", 0, context.generator(seed, "init"))

    model, names = healthy(), list(runs["tool"])
    steps = [
        lambda model, batch: F.cross_entropy(model(batch[0]), batch[1]).backward(),
        *(TOOLS[name] for name in names),
    ]
    turns = [[_seconds(partial(step, model, batch)) for step in steps] for _ in range(s.turns)]
    times = np.median(np.array(turns), 0)
    return [{"run": run, "slowdown": time / times[0]} for run, time in zip(runs["run"], times[1:])]


def _seconds(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return time.perf_counter() - begun
