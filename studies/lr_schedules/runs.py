"""Learning rates: too low, too high, warmed up, annealed, tested with a ramp, and the edge of stability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, schedules
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.networks import MLP
from claimcheck.engine.single import per_run
from claimcheck.engine.train import train

from .constants import GUESSING, RECIPES


def _fit(runs: pd.DataFrame, context, splits=("train",), gain: float = 1.0, **how) -> pd.DataFrame:
    """Records of training; the first `held_out` training images are kept for validation."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    data = {
        "train": Data.training(images, slice(s.held_out, None)),
        "valid": Data.training(images, slice(s.held_out)),
        "test": Data.testing(images),
    }
    shape = (images.x_train.shape[1], [s.width] * s.depth, images.classes)
    return train(
        runs,
        context,
        network=lambda run, generator: MLP(*shape, generator=generator, gain=gain),
        data=data["train"],
        evaluate={name: data[name] for name in splits},
        **how,
    ).records


def _judged(records: pd.DataFrame) -> pd.DataFrame:
    """With `failed`: 1 where a run is not finite or has learnt nothing; dead networks sit within 1 % of guessing."""
    return records.assign(failed=(~(records["train_loss"] <= 0.95 * GUESSING)).astype(float))


def run_warmup(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with cosine annealing from each peak learning rate, with and without warmup."""
    regime = context.settings.regimes[runs["regime"].iloc[0]]
    runs = runs.assign(learning_rate=regime["learning_rate"] * 2.0 ** runs["doublings"])
    how = {"optimizer": regime["optimizer"], "gain": regime["gain"], "hyper": {"schedule": "cosine"}}
    return _judged(_fit(runs, context, ("train", "test"), **how)).merge(runs[["run", "learning_rate"]], on="run")


def run_schedules(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by each schedule; the peak learning rate was chosen on pilot seeds by validation loss."""
    chosen = pd.DataFrame([RECIPES[name] for name in runs["recipe"]], runs.index, ["schedule", "warmup"])
    return _fit(runs.join(chosen), context, ("train", "valid", "test"))


def run_grid(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at a constant learning rate with the ordinary budget."""
    return _judged(_fit(runs, context))


def run_patience(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at a low constant learning rate, measured along the way to ten times the budget."""
    s = context.settings
    records = _fit(runs, context, steps=10 * s.steps, evaluate_at=[s.steps * times for times in (1, 2, 5, 10)])
    return records.assign(rate=s.learning_rate)


def run_range_test(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Raise the learning rate geometrically while training once, and read a learning rate off the loss."""
    s, steps = context.settings, int(runs["ramp"].iloc[0])
    ramp = {"schedule": "exponential", "learning_rate": s.lowest, "decay_factor": s.highest / s.lowest}
    every_step = {"evaluate_at": range(1, steps + 1), "batch_loss_window": 1}
    records = _fit(runs, context, splits=(), steps=steps, hyper=ramp, **every_step)
    rates = s.lowest * ramp["decay_factor"] ** (np.arange(steps) / steps)
    rows = [
        (run, *suggestions(rates, losses.to_numpy(), s.smoothing))
        for run, losses in records.groupby("run")["batch_loss"]
    ]
    return pd.DataFrame(rows, columns=["run", "at_minimum", "steepest"])


def suggestions(rates: np.ndarray, losses: np.ndarray, smoothing: float) -> tuple[float, float]:
    """Learning rate of the smallest smoothed loss, and of its steepest fall per decade before that.

    Losses, at most 1,000, are smoothed by an exponential mean whose weight is multiplied by `smoothing` at each step.
    """
    finite = pd.Series(losses).clip(upper=1e3).fillna(1e3)
    smooth = finite.ewm(alpha=1.0 - smoothing).mean().to_numpy()
    first = len(rates) // 20  # the first few means rest on too few losses
    lowest = first + int(np.argmin(smooth[first:]))
    slope = np.diff(smooth[first : lowest + 1])
    steepest = first + int(np.argmin(slope)) if len(slope) else lowest
    return float(rates[lowest]), float(rates[steepest])


def squared_error(predict, batch, hyper) -> torch.Tensor:
    """Half the squared distance to the one-hot label, averaged over examples."""
    return 0.5 * (predict(batch["x"]) - batch["target"]).square().sum(1).mean()


def run_edge(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Full-batch gradient descent, learning rate `multiple` * 2 / (sharpness at the start); sharpness along the way."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    x, y = images.x_train[: s.examples], images.y_train[: s.examples]
    data = Data({"x": x, "target": torch.nn.functional.one_hot(y, images.classes).float()})
    shape, how = (x.shape[1], [s.width] * s.depth, images.classes), {"activation": "tanh", "init": "lecun"}
    ensemble = untrained(runs, context, lambda run, generator: MLP(*shape, generator=generator, **how))

    def sharpness() -> torch.Tensor:
        found = measure.sharpness(ensemble, data, squared_error, iterations=s.iterations)["sharpness"]
        return torch.tensor(found.to_numpy(), device=context.device)

    rate = ensemble.hyper["multiple"] * 2.0 / sharpness().float()
    tables, at = [], sorted({round(s.steps * share) for share in (0, 0.1, 0.3, 0.7, 0.85, 1)})
    for done, moment in zip([0, *at], at):
        for _ in context.steps(moment - done):
            gradient = measure.gradient_of(ensemble, data, squared_error)
            ensemble.parameters = ensemble.parameters - rate[:, None] * gradient
        found = {"loss": ensemble.map(squared_error, data), "stability": sharpness() * rate.double() / 2.0}
        columns = {name: value.double().cpu().numpy() for name, value in found.items()}
        tables.append(pd.DataFrame({"run": ensemble.runs, "step": moment, **columns}))
        context.advance(1.0 / len(at))
    records = pd.concat(tables, ignore_index=True)
    return records.assign(status=np.where(np.isfinite(records["loss"]), "ok", "diverged"))


@per_run
def run_formulas(run, context) -> dict[str, float]:
    """How far each schedule is from torch's; the same for every seed."""
    return {"difference": formula_error(run.formula, context.settings.steps)}


def formula_error(name: str, steps: int) -> float:
    """Largest difference between a schedule's multipliers, warmup over 10 %, and those of torch's scheduler."""
    lr, warm = torch.optim.lr_scheduler, round(0.1 * steps)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)

    def rising():
        return lr.LinearLR(optimizer, start_factor=1.0 / warm, total_iters=warm - 1)

    scheduler = {
        "warmup": rising,
        "step": lambda: lr.MultiStepLR(optimizer, [steps // 2, 3 * steps // 4], gamma=0.1),
        "cosine": lambda: lr.CosineAnnealingLR(optimizer, T_max=steps),
        "linear": lambda: lr.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps),
        "exponential": lambda: lr.ExponentialLR(optimizer, gamma=0.1 ** (1.0 / steps)),
        "warmup_cosine": lambda: lr.SequentialLR(
            optimizer, [rising(), lr.CosineAnnealingLR(optimizer, T_max=steps - warm)], milestones=[warm]
        ),
    }[name]()
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule, warmup = {"warmup": ("constant", 0.1), "exponential": ("exponential", 0.0), **RECIPES}[name]
    return float(np.abs(np.array(theirs) - schedules.multipliers(schedule, steps, warmup)).max())
