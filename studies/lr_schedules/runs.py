"""Learning rates: too low, too high, warmed up, annealed, tested with a ramp, and the edge of stability."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from claimcheck.data.draws import draw_each
from claimcheck.engine import measure, schedules
from claimcheck.engine.curves import blown_up
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.networks import MLP
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Trained, train

from .constants import GUESSING, RECIPES, shape_of


def _data(runs: pd.DataFrame, context) -> tuple[int, dict[str, Data]]:
    """Features of an example, and each unit's own examples to train, to choose rates by, and to test.

    Inputs are as they come, or, where the part says `centred`, less each one's mean over one deviation.
    """
    s, name = context.settings, runs["dataset"].iloc[0]
    sizes = s.examples[name]
    own = draw_each(context, name, runs["seed"], train=sizes["train"] + sizes["valid"], test=sizes["test"])
    pool = own.pool.flat()
    x, x_test = pool.x_train, pool.x_test
    if s.get("centred", False):
        mean, deviation = x.mean(0), x.std()
        x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
    learnt = {"x": x, "y": pool.y_train}
    return x.shape[1], {
        "train": Data(learnt, subset=own.train[:, : sizes["train"]]),
        "valid": Data(learnt, subset=own.train[:, sizes["train"] :]),
        "test": Data({"x": x_test, "y": pool.y_test}, subset=own.test),
    }


def _fit(runs: pd.DataFrame, context, splits=("train",), network=None, **how) -> Trained:
    """Train a plain ReLU network, or the one given; a column `gain` multiplies its first weights."""
    s, (inputs, data) = context.settings, _data(runs, context)

    def plain(run, generator):
        return MLP(inputs, [s.width] * s.depth, 10, generator=generator, gain=getattr(run, "gain", 1.0))

    sets = {name: data[name] for name in splits}
    return train(runs, context, network=network or plain, data=data["train"], evaluate=sets, **how)


def run_peaks(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Cosine annealing from each peak rate: from random weights, without and with warmup, and from trained weights.

    A run has failed when it is not finite or has learnt nothing; dead networks sit within 1 % of guessing.
    """
    s, tables = context.settings, []
    regime, dataset = s.regimes[runs["regime"].iloc[0]], runs["dataset"].iloc[0]
    peaks = regime["rates"][dataset] * 2.0 ** runs["octaves"]
    runs = runs.assign(learning_rate=peaks, gain=regime["gain"], warmup=runs["start"].map(s.warmups).fillna(0.0))
    how = {"optimizer": regime["optimizer"], "hyper": {"schedule": "cosine"}}
    for trained, own in runs.groupby(runs["start"].str.startswith("trained")):
        network, own = None, own.reset_index(drop=True)
        if trained:
            seeds = own.drop_duplicates("seed").assign(learning_rate=regime["rates"][dataset] * s.cautious)
            ready = _fit(seeds, context, (), steps=s.trained_steps, **how).ensemble
            modules = {run.seed: ready.network(run.run) for run in seeds.itertuples()}
            network = lambda run, generator: modules[run.seed]  # noqa: B023, E731
        tables.append(
            _fit(own, context, ("train", "test"), network, streams="again/" if trained else "", **how).records
        )
    records = pd.concat(tables, ignore_index=True).merge(runs[["run", "learning_rate"]], on="run")
    return records.assign(failed=(~(records["train_loss"] <= 0.95 * GUESSING)).astype(float))


def _recipes(runs: pd.DataFrame, context, splits, **how) -> pd.DataFrame:
    """Train by the schedule of each run's recipe."""
    s, tables = context.settings, []
    for name, own in runs.groupby("recipe", sort=False):
        (schedule, warmup), (milestones, factor) = RECIPES[name], shape_of(name, s.steps, _epoch(runs, s), s.last)
        hyper = {"schedule": schedule, "warmup": warmup, "decay_factor": factor}
        own = own.reset_index(drop=True)
        tables.append(_fit(own, context, splits, hyper=hyper, milestones=milestones, **how).records)
    return pd.concat(tables, ignore_index=True)


def _epoch(runs: pd.DataFrame, settings) -> int:
    """Steps of an epoch."""
    return settings.examples[runs["dataset"].iloc[0]]["train"] // settings.batch_size


def run_schedules(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by each schedule; the peak learning rate was chosen on pilot seeds by validation loss."""
    return _recipes(runs, context, ("train", "valid", "test"))


def run_drops(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Schedules of one mean rate: test loss, and what the half of the way does to the loss of the minibatches.

    `jump`: their mean loss over the `window` updates from half-way on, where steps fall to a tenth, less that over as
    many before.
    """
    s, dataset = context.settings, runs["dataset"].iloc[0]

    def mean_of(name: str) -> float:
        (schedule, warmup), (milestones, factor) = RECIPES[name], shape_of(name, s.steps, _epoch(runs, s), s.last)
        return float(schedules.multipliers(schedule, s.steps, warmup, milestones, factor).mean())

    runs = runs.assign(learning_rate=[s.mean_rates[dataset] / mean_of(name) for name in runs["recipe"]])
    half = s.steps // 2
    at = {"evaluate_at": [half, half + s.window, s.steps], "batch_loss_window": s.window}
    records = _recipes(runs, context, ("test",), **at)
    losses = records.pivot(index="run", columns="step", values="batch_loss")
    last = records[records["step"] == s.steps]
    return last.drop(columns=["step", "batch_loss"]).assign(
        jump=last["run"].map(losses[half + s.window] - losses[half])
    )


def run_grid(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at constant rates, by half decades around the best one, from weights of three sizes.

    Flat: in the end less than half-way from guessing to zero, and over the last quarter of the steps the loss falls by
    less than 1 % from the quarter before. A plateau never blew up; `flat` counts what ends near guessing or below,
    whatever came before. A run has learnt that never blew up and ends below the level that the settings name.
    """
    s, dataset, optimizer = context.settings, runs["dataset"].iloc[0], runs["optimizer"].iloc[0]
    runs = runs.assign(learning_rate=s.best_rates[optimizer][dataset] * 10.0 ** (runs["half_decades"] / 2.0))
    trained, quarter = _fit(runs, context, optimizer=optimizer, batch_loss_window=s.steps), s.steps // 4
    records, (before, late) = trained.records, np.array_split(trained.batch_losses[:, -2 * quarter :], 2, axis=1)
    high = blown_up(trained, records["train_loss"].to_numpy(), GUESSING)
    still = late.mean(1) > 0.99 * before.mean(1)
    flat = still & (records["train_loss"] > 0.5 * GUESSING)
    plateau, low = flat & ~high, records["train_loss"] < 1.05 * GUESSING
    return (
        records[["run", "train_loss"]]
        .fillna(np.inf)
        .assign(
            learning_rate=runs["learning_rate"].to_numpy(),
            plateau=plateau.astype(float),
            flat=(flat & low).astype(float),
            blown_up=high.astype(float),
            learnt=((records["train_loss"] < s.learnt[dataset]) & ~high).astype(float),
        )
    )


def run_patience(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train at the best rate, and at a low one with more of the budget: the gap between them that is left."""
    s = context.settings
    best = s.best_rates[s.optimizer][runs["dataset"].iloc[0]]
    goal = _fit(runs.assign(learning_rate=best), context).records.set_index("run")["train_loss"].fillna(np.inf)
    how = {"steps": s.steps * max(s.budgets), "evaluate_at": [s.steps * each for each in s.budgets]}
    records = _fit(runs.assign(learning_rate=best * s.low), context, **how).records
    records = records.assign(budget=records["step"] // s.steps, rate=best * s.low).drop(columns="step")
    gap = records["train_loss"] - records["run"].map(goal)
    return records.assign(
        gap_left=gap / gap[records["budget"] == 1].set_axis(runs["run"]).loc[records["run"]].to_numpy()
    )


def run_range_test(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Raise the rate geometrically while training once, read two rates off the loss, and train anew at each of them.

    Regret: train loss above that of the best constant rate of the unit's own grid, as a share of what the best one has
    gained on guessing; of the grid's lowest rate, too, and of the optimiser's default, taken without a test and trained
    for longer by what the shorter test takes. `ahead`: the regret of that default less another.
    """
    s, optimizer = context.settings, runs["optimizer"].iloc[0]
    best, units = s.best_rates[optimizer][runs["dataset"].iloc[0]], runs.drop_duplicates("seed")
    grid = units.merge(pd.DataFrame({"place": s.half_decades}), how="cross")
    grid["run"] = grid["run"] + grid["place"].map(" at {}".format)
    grid["loss"] = _losses(grid, context, best * 10.0 ** (grid["place"] / 2.0))
    by_rate = grid.pivot(index="seed", columns="place", values="loss")
    usual = _losses(units, context, s.defaults[optimizer], steps=round((1.0 + s.longer) * s.steps))
    found = pd.concat([_ramped(own, context, ramp) for ramp, own in runs.groupby("ramp")], ignore_index=True)
    losses = {
        "at_minimum": _losses(found, context, found["at_minimum"] / s.divided_by),
        "steepest": _losses(found, context, found["steepest"]),
        "lowest": found["seed"].map(by_rate.iloc[:, 0]),
        "default": found["seed"].map(usual.set_axis(units["seed"])),
    }
    least = found["seed"].map(by_rate.min(axis=1))
    regrets = {f"regret_{name}": (loss - least) / (GUESSING - least) for name, loss in losses.items()}
    ahead = {
        f"ahead_{name}": regrets["regret_default"] - regrets[f"regret_{name}"] for name in ("at_minimum", "lowest")
    }
    return found[["run", "at_minimum", "steepest"]].assign(**regrets, **ahead)


def _losses(runs: pd.DataFrame, context, rate: pd.Series | float, **how) -> pd.Series:
    """Train loss of each run at its constant rate, infinite where it diverged; in the order of the runs."""
    runs, how = runs.assign(learning_rate=rate), {"optimizer": runs["optimizer"].iloc[0], **how}
    return runs["run"].map(_fit(runs, context, **how).records.set_index("run")["train_loss"]).fillna(np.inf)


def _ramped(runs: pd.DataFrame, context, length: float) -> pd.DataFrame:
    """The runs with what a range test suggests whose length is a multiple of the training's."""
    s = context.settings
    steps = round(length * s.steps)
    ramp = {"schedule": "exponential", "learning_rate": s.lowest, "decay_factor": s.highest / s.lowest}
    every_step = {"evaluate_at": range(1, steps + 1), "batch_loss_window": 1, "optimizer": runs["optimizer"].iloc[0]}
    records = _fit(runs, context, splits=(), steps=steps, hyper=ramp, **every_step).records
    rates = s.lowest * ramp["decay_factor"] ** (np.arange(steps) / steps)
    rows = [
        (run, *suggestions(rates, losses.to_numpy(), s.smoothing))
        for run, losses in records.groupby("run")["batch_loss"]
    ]
    return runs.merge(pd.DataFrame(rows, columns=["run", "at_minimum", "steepest"]), on="run")


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
    s, (inputs, data) = context.settings, _data(runs, context)
    x, y = (data["train"].shared[name][data["train"].subset] for name in ("x", "y"))
    data = Data({}, per_member={"x": x, "target": torch.nn.functional.one_hot(y, 10).float()})
    shape, how = (inputs, [s.width] * s.depth, 10), {"activation": "tanh", "init": "lecun"}
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
        context.advance(moment / at[-1])
    records = pd.concat(tables, ignore_index=True)
    return records.assign(status=np.where(np.isfinite(records["loss"]), "ok", "diverged"))


@per_run
def run_formulas(run, context) -> dict[str, float]:
    """How far each schedule is from torch's; the same for every seed."""
    s = context.settings
    return {"difference": formula_error(run.formula, s.steps, s.epoch, s.last)}


def formula_error(name: str, steps: int, epoch: int, last: float) -> float:
    """Largest difference between a schedule's multipliers, warmup over 10 %, and those of torch's scheduler."""
    lr, warm = torch.optim.lr_scheduler, round(0.1 * steps)
    milestones, factor = shape_of(name, steps, epoch, last)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=1.0)

    def rising():
        return lr.LinearLR(optimizer, start_factor=1.0 / warm, total_iters=warm - 1)

    scheduler = {
        "warmup": rising,
        "step": lambda: lr.MultiStepLR(optimizer, [steps // 2, 3 * steps // 4], gamma=0.1),
        "epoch_step": lambda: lr.StepLR(optimizer, epoch, gamma=factor),
        "cosine": lambda: lr.CosineAnnealingLR(optimizer, T_max=steps),
        "linear": lambda: lr.LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=steps),
        "exponential": lambda: lr.ExponentialLR(optimizer, gamma=last ** (1.0 / steps)),
        "warmup_cosine": lambda: lr.SequentialLR(
            optimizer, [rising(), lr.CosineAnnealingLR(optimizer, T_max=steps - warm)], milestones=[warm]
        ),
    }[name]()
    theirs = []
    for _ in range(steps):
        theirs.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    schedule, warmup = ("constant", 0.1) if name == "warmup" else RECIPES[name]
    ours = schedules.multipliers(schedule, steps, warmup, milestones, factor)
    return float(np.abs(np.array(theirs) - ours).max())
