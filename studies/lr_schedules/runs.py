"""Learning rates: too low, too high, warmed up, annealed, tested with a ramp, and the edge of stability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, networks, schedules
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble, hyper_of
from claimcheck.engine.step import losses_and_gradient
from claimcheck.engine.train import classification, train

from .constants import GUESSING, RECIPES

FAILED = 0.95 * GUESSING  # a run that ends above it has learnt nothing: dead networks sit within 1 % of GUESSING
REGIMES = {  # name -> optimizer, gain of the initial weights, learning rate at 0 doublings
    "adam": ("adam", 1.0, 2.0**-3),
    "momentum": ("momentum", 1.0, 2.0**-1),
    "momentum_large_init": ("momentum", 1.5, 2.0**-3),
}


# ---- training ----


def _fit(runs: pd.DataFrame, context, optimizer: str, steps: int, splits=("train", "test"), **how):
    """Train on the part's data; validation data are cut from the training split."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    x, y, held = images.x_train, images.y_train, context.settings.held_out
    data = {
        "train": Data({"x": x[held:], "y": y[held:]}),
        "valid": Data({"x": x[:held], "y": y[:held]}),
        "test": Data({"x": images.x_test, "y": images.y_test}),
    }
    shape = (x.shape[1], [s.width] * s.depth, images.classes)
    return train(
        runs,
        context,
        network=lambda run, g: networks.MLP(*shape, generator=g, gain=getattr(run, "gain", 1.0)),
        data=data["train"],
        steps=steps,
        batch_size=s.batch_size,
        optimizer=optimizer,
        evaluate={name: (data[name], classification) for name in splits},
        **how,
    )


def run_warmup(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with cosine annealing from each peak learning rate, with and without warmup."""
    optimizer, gain, base = REGIMES[runs["regime"].iloc[0]]
    named = runs.drop(columns="regime").assign(learning_rate=base * 2.0 ** runs["doublings"], gain=gain)
    trained = _fit(named, context, optimizer, context.settings.steps, hyper={"schedule": "cosine"})
    return _judged(trained.records).merge(named[["run", "learning_rate"]], on="run")


def _judged(records: pd.DataFrame) -> pd.DataFrame:
    """With `failed`: 1 where the run is not finite or has learnt nothing."""
    return records.assign(failed=(~(records["train_loss"] <= FAILED)).astype(float))


def run_schedules(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by each schedule; the peak learning rate was chosen on pilot seeds by validation loss."""
    schedules_of = pd.DataFrame([RECIPES[name] for name in runs["recipe"]], runs.index, ["schedule", "warmup"])
    named = runs.drop(columns="recipe").join(schedules_of)
    return _fit(named, context, "momentum", context.settings.steps, ("train", "valid", "test")).records


def run_grid(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at a constant learning rate with the ordinary budget."""
    return _judged(_fit(runs, context, "momentum", context.settings.steps, ("train",)).records)


def run_patience(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at a low constant learning rate, measured along the way to ten times the budget."""
    s = context.settings
    at = [round(s.steps * share) for share in (1, 2, 5, 10)]
    runs = runs.assign(learning_rate=s.learning_rate)
    trained = _fit(runs, context, "momentum", 10 * s.steps, ("train",), evaluate_at=at)
    return trained.records.assign(rate=s.learning_rate)


def run_range_test(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Raise the learning rate geometrically while training once, and read a learning rate off the loss."""
    s, steps = context.settings, int(runs["ramp"].iloc[0])
    factor = s.highest / s.lowest
    hyper = {"schedule": "exponential", "decay_factor": factor, "learning_rate": s.lowest}
    trained = _fit(
        runs.drop(columns="ramp"), context, "momentum", steps, (),
        hyper=hyper, batch_loss_window=1, evaluate_at=range(1, steps + 1),
    )  # fmt: skip
    rates = s.lowest * factor ** (np.arange(steps) / steps)
    rows = []
    for name, losses in trained.records.groupby("run", sort=False)["batch_loss"]:
        at_minimum, steepest = suggestions(rates, losses.to_numpy(), s.smoothing)
        rows.append({"run": name, "at_minimum": at_minimum, "steepest": steepest})
    return pd.DataFrame(rows)


def suggestions(rates: np.ndarray, losses: np.ndarray, smoothing: float) -> tuple[float, float]:
    """Learning rate of the smallest smoothed loss, and of its steepest fall per decade before that.

    Losses are smoothed by an exponential mean whose weight `smoothing` is per step, corrected for its start at zero.
    """
    losses = np.where(np.isfinite(losses), losses, np.inf)
    mean, smooth = 0.0, []
    for t, loss in enumerate(losses, start=1):
        mean = smoothing * mean + (1.0 - smoothing) * min(loss, 1e3)
        smooth.append(mean / (1.0 - smoothing**t))
    first = len(rates) // 20  # the first few means rest on too few losses
    lowest = first + int(np.argmin(smooth[first:]))
    slope = np.diff(smooth[first : lowest + 1])
    steepest = first + int(np.argmin(slope)) if len(slope) else lowest
    return float(rates[lowest]), float(rates[steepest])


# ---- the edge of stability ----


def squared_error(predict, batch, hyper) -> torch.Tensor:
    """Half the squared distance to the one-hot label, averaged over examples."""
    return 0.5 * (predict(batch["x"]) - batch["target"]).square().sum(1).mean()


def run_edge(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Full-batch gradient descent, learning rate `multiple` * 2 / (sharpness at the start); sharpness along the way."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    target = torch.nn.functional.one_hot(images.y_train[: s.examples], images.classes).float()
    data = Data({"x": images.x_train[: s.examples], "target": target})
    shape, how = (images.x_train.shape[1], [s.width] * s.depth, images.classes), {"activation": "tanh", "init": "lecun"}
    ensemble = Ensemble.build(
        runs,
        lambda run, g: networks.MLP(*shape, generator=g, **how),
        lambda seed: context.generator(seed, "init"),
        hyper_of(runs, device=context.device),
        context.device,
    )

    def sharpness() -> torch.Tensor:
        found = measure.sharpness(ensemble, data, squared_error, iterations=s.iterations)["sharpness"]
        return torch.tensor(found.to_numpy(), device=context.device)

    batch, dims = data.whole()
    rate = ensemble.hyper["multiple"] * 2.0 / sharpness().float()
    tables, at = [], sorted({round(s.steps * share) for share in (0, 0.1, 0.3, 0.7, 0.85, 1)})
    for done, moment in zip([0, *at], at):
        for _ in context.steps(moment - done):
            _, gradient = losses_and_gradient(ensemble, squared_error, ensemble.parameters, {}, batch, dims)
            ensemble.parameters = ensemble.parameters - rate[:, None] * gradient
        losses = ensemble.map(squared_error, data).double().cpu().numpy()
        stability = (sharpness() * rate.double() / 2.0).cpu().numpy()
        table = pd.DataFrame({"run": ensemble.runs, "step": moment, "loss": losses, "stability": stability})
        tables.append(table.assign(status=np.where(np.isfinite(losses), "ok", "diverged")))
        context.advance(1.0 / len(at))
    return pd.concat(tables, ignore_index=True)


# ---- formulas ----


def run_formulas(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Largest difference between a schedule's table and torch's scheduler; the same for every seed."""
    steps, warm = context.settings.steps, round(0.1 * context.settings.steps)
    found = {name: _difference(name, steps, warm) for name in runs["formula"].unique()}
    return pd.DataFrame([{"run": run.run, "difference": found[run.formula]} for run in runs.itertuples()])


def _difference(name: str, steps: int, warm: int) -> float:
    """Against torch: LinearLR for warmup and linear, MultiStepLR, CosineAnnealingLR, ExponentialLR, SequentialLR."""
    lr = torch.optim.lr_scheduler
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)

    def rising():
        return lr.LinearLR(optimizer, start_factor=1.0 / warm, total_iters=warm - 1)

    share = warm / steps if name in ("warmup", "warmup_cosine") else 0.0
    ours = schedules.multipliers({"warmup": "constant", "warmup_cosine": "cosine"}.get(name, name), steps, share)
    theirs = {
        "warmup": rising,
        "step": lambda: lr.MultiStepLR(optimizer, [steps // 2, 3 * steps // 4], gamma=0.1),
        "cosine": lambda: lr.CosineAnnealingLR(optimizer, T_max=steps),
        "linear": lambda: lr.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps),
        "exponential": lambda: lr.ExponentialLR(optimizer, gamma=0.1 ** (1.0 / steps)),
        "warmup_cosine": lambda: lr.SequentialLR(
            optimizer, [rising(), lr.CosineAnnealingLR(optimizer, T_max=steps - warm)], milestones=[warm]
        ),
    }[name]()
    table = []
    for _ in range(steps):
        table.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    return float(np.abs(np.array(table) - ours).max())
