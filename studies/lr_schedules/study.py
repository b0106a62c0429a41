"""Learning rates: too low, too high, warmed up, annealed, tested with a ramp, and the edge of stability."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import PercentFormatter

from claimcheck.figures import style
from claimcheck.engine import measure, networks, schedules
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.step import losses_and_gradient
from claimcheck.engine.train import classification, train
from claimcheck.results.records import part_of

GUESSING = math.log(10.0)  # loss of ten equally likely classes, nats
FAILED = 0.95 * GUESSING  # a run that ends above it has learnt nothing: dead networks sit within 1 % of GUESSING
RECIPES = {  # name -> schedule of claimcheck.engine.schedules, share of warmup
    "constant": ("constant", 0.0),
    "step": ("step", 0.0),
    "linear": ("linear", 0.0),
    "wsd": ("wsd", 0.0),
    "cosine": ("cosine", 0.0),
    "warmup_cosine": ("cosine", 0.1),
}
NAMES = {
    "constant": "constant",
    "step": "step",
    "linear": "linear",
    "wsd": "constant, then linear",
    "cosine": "cosine",
    "warmup_cosine": "warmup + cosine",
}
REGIMES = {  # name -> optimizer, gain of the initial weights, learning rate at 0 doublings
    "adam": ("adam", 1.0, 2.0**-3),
    "momentum": ("momentum", 1.0, 2.0**-1),
    "momentum_large_init": ("momentum", 1.5, 2.0**-3),
}
CAUTIOUS = -3  # doublings of a learning rate that trains well and is far from failing
REGIME_NAMES = {"adam": "Adam", "momentum": "momentum", "momentum_large_init": "momentum, init × 1.5"}


# ---- training ----


def _splits(context) -> tuple[dict[str, Data], int, int]:
    """Training, validation and test data (validation is cut from the training split), features and classes."""
    images = context.dataset(context.settings.dataset).flat()
    held = context.settings.held_out
    splits = {
        "train": Data({"x": images.x_train[held:], "y": images.y_train[held:]}),
        "valid": Data({"x": images.x_train[:held], "y": images.y_train[:held]}),
        "test": Data({"x": images.x_test, "y": images.y_test}),
    }
    return splits, images.x_train.shape[1], images.classes


def _fit(runs: pd.DataFrame, context, optimizer: str, steps: int, splits=("train", "test"), **how):
    s = context.settings
    data, features, classes = _splits(context)
    return train(
        runs,
        context,
        network=lambda run, g: networks.MLP(
            features, [s.width] * s.depth, classes, generator=g, gain=getattr(run, "gain", 1.0)
        ),
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


run_extremes = run_warmup


def _judged(records: pd.DataFrame) -> pd.DataFrame:
    """With `failed`: 1 where the run is not finite or has learnt nothing."""
    return records.assign(failed=(~(records["train_loss"] <= FAILED)).astype(float))


def run_schedules(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by each schedule; the peak learning rate was chosen on pilot seeds by validation loss."""
    named = runs.assign(
        schedule=[RECIPES[name][0] for name in runs["recipe"]], warmup=[RECIPES[name][1] for name in runs["recipe"]]
    )
    splits = ("train", "valid", "test")
    trained = _fit(named.drop(columns="recipe"), context, "momentum", context.settings.steps, splits)
    return trained.records


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
    ensemble = Ensemble.build(
        runs,
        lambda run, g: networks.MLP(
            images.x_train.shape[1], [s.width] * s.depth, images.classes, generator=g, activation="tanh", init="lecun"
        ),
        lambda seed: context.generator(seed, "init"),
        device=context.device,
    )
    batch, dims = data.whole()
    start = _sharpness(ensemble, data, s.iterations)
    multiple = torch.from_numpy(runs["multiple"].to_numpy("float32", copy=True)).to(context.device)
    rate = multiple * 2.0 / torch.from_numpy(start).float().to(context.device)
    tables, at = [], sorted({round(s.steps * share) for share in (0, 0.1, 0.3, 0.7, 0.85, 1)})
    for done, moment in zip([0, *at], at):
        for _ in context.steps(moment - done):
            _, gradient = losses_and_gradient(ensemble, squared_error, ensemble.parameters, {}, batch, dims)
            ensemble.parameters = ensemble.parameters - rate[:, None] * gradient
        losses = ensemble.map(squared_error, data).double().cpu().numpy()
        stability = _sharpness(ensemble, data, s.iterations) * rate.double().cpu().numpy() / 2.0
        table = pd.DataFrame({"run": ensemble.runs, "step": moment, "loss": losses, "stability": stability})
        tables.append(table.assign(status=np.where(np.isfinite(losses), "ok", "diverged")))
        context.advance(1.0 / len(at))
    return pd.concat(tables, ignore_index=True)


run_survival = run_edge


def _sharpness(ensemble: Ensemble, data: Data, iterations: int) -> np.ndarray:
    return measure.sharpness(ensemble, data, squared_error, iterations=iterations)["sharpness"].to_numpy(copy=True)


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


# ---- statistics: one number per seed ----


def _warmup(records: pd.DataFrame, regime: str, warmup: float) -> pd.DataFrame:
    """One regime and warmup as seeds x doublings of `failed` (0 or 1)."""
    rows = records[(records["regime"] == regime) & (records["warmup"] == warmup)]
    return rows.pivot(index="seed", columns="doublings", values="failed").sort_index(axis=1)


def _largest_stable(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    """Doublings of the largest learning rate that did not fail; one less than the smallest where all did."""
    failed = _warmup(records, regime, warmup)
    doublings = failed.columns.to_numpy(dtype=float)
    return failed.apply(lambda row: doublings[row.to_numpy() == 0].max(initial=doublings[0] - 1), axis=1)


def _shift(records: pd.DataFrame, regime: str, warmup: float) -> pd.Series:
    return _largest_stable(records, regime, warmup) - _largest_stable(records, regime, 0.0)


def shift_adam(records: pd.DataFrame) -> pd.Series:
    """log2 of the largest stable learning rate with a warmup of 30 % over that without, Adam."""
    return _shift(records, "adam", 0.3)


def shift_adam_short(records: pd.DataFrame) -> pd.Series:
    """The same with a warmup of 10 %."""
    return _shift(records, "adam", 0.1)


def shift_momentum(records: pd.DataFrame) -> pd.Series:
    """The same with 30 % for momentum SGD from a good initialisation."""
    return _shift(records, "momentum", 0.3)


def shift_large_init(records: pd.DataFrame) -> pd.Series:
    """The same with 30 % for momentum SGD from weights 1.5 times too large."""
    return _shift(records, "momentum_large_init", 0.3)


def conservative(records: pd.DataFrame) -> pd.Series:
    """Test error at a cautious learning rate under Adam, warmup less none, points."""
    rows = records[(records["regime"] == "adam") & (records["doublings"] == CAUTIOUS)]
    error = rows.pivot(index="seed", columns="warmup", values="test_error").fillna(0.9)
    return 100.0 * (error[0.3] - error[0.0])


def failed_lowest(records: pd.DataFrame) -> pd.Series:
    """Share of regimes with a good initialisation that fail at the lowest learning rate, without warmup."""
    return _failed_at(records, 0)


def failed_highest(records: pd.DataFrame) -> pd.Series:
    """The same at the highest."""
    return _failed_at(records, -1)


def _failed_at(records: pd.DataFrame, place: int) -> pd.Series:
    return sum(_warmup(records, regime, 0.0).iloc[:, place] for regime in ("adam", "momentum")) / 2.0


def _by_recipe(records: pd.DataFrame, column: str) -> pd.DataFrame:
    """Seeds x schedules; a diverged run counts as guessing."""
    table = records.pivot(index="seed", columns="recipe", values=column)
    return table.fillna(GUESSING if column.endswith("loss") else 0.9)


def constant_less_cosine(records: pd.DataFrame) -> pd.Series:
    """Test loss, nats, each schedule at its own peak learning rate."""
    loss = _by_recipe(records, "test_loss")
    return loss["constant"] - loss["cosine"]


def step_less_cosine(records: pd.DataFrame) -> pd.Series:
    """The same for the step schedule."""
    loss = _by_recipe(records, "test_loss")
    return loss["step"] - loss["cosine"]


def linear_less_cosine(records: pd.DataFrame) -> pd.Series:
    """The same for the linear schedule."""
    loss = _by_recipe(records, "test_loss")
    return loss["linear"] - loss["cosine"]


def warmup_cosine_regret(records: pd.DataFrame) -> pd.Series:
    """Test error of warmup + cosine less that of the best other schedule, chosen on the other seeds, points."""
    error = 100.0 * _by_recipe(records, "test_error")
    others = error.drop(columns="warmup_cosine")
    best = (others.sum() - others).idxmin(axis=1)
    return error["warmup_cosine"] - pd.Series({seed: others.loc[seed, name] for seed, name in best.items()})


def _losses(grid: pd.DataFrame) -> pd.DataFrame:
    """Seeds x learning rates of the train loss; not finite or beyond twice that of guessing counts as twice."""
    table = grid.pivot(index="seed", columns="learning_rate", values="train_loss").sort_index(axis=1)
    return table.fillna(np.inf).clip(upper=2.0 * GUESSING)


def _best(losses: pd.DataFrame) -> pd.Series:
    """Loss of each seed at the learning rate that is best over the other seeds."""
    rate = (losses.sum() - losses).idxmin(axis=1)
    return pd.Series({seed: losses.loc[seed, chosen] for seed, chosen in rate.items()})


def low_arm(records: pd.DataFrame) -> pd.Series:
    """log2 of the train loss at the lowest learning rate over that at the best."""
    losses = _losses(records)
    return np.log2(losses.iloc[:, 0] / _best(losses))


def high_arm(records: pd.DataFrame) -> pd.Series:
    """The same for the highest."""
    losses = _losses(records)
    return np.log2(losses.iloc[:, -1] / _best(losses))


def gap_left(records: pd.DataFrame) -> pd.Series:
    """Share of the loss gap between a low and the best learning rate that ten times the budget leaves."""
    best = _best(_losses(part_of(records, "grid")))
    loss = part_of(records, "patience").pivot(index="seed", columns="step", values="train_loss").sort_index(axis=1)
    loss = loss.fillna(2.0 * GUESSING)
    return (loss.iloc[:, -1] - best) / (loss.iloc[:, 0] - best)


def best_rate(records: pd.DataFrame) -> float:
    """Learning rate of the grid with the lowest mean train loss."""
    return float(_losses(part_of(records, "grid")).mean().idxmin())


def _suggested(records: pd.DataFrame, column: str, ramp: int | None = None) -> pd.Series:
    """log10 of the range test's suggestion over the best learning rate; ramp None is the middle one."""
    rows = part_of(records, "range_test")
    ramps = sorted(rows["ramp"].unique())
    rows = rows[rows["ramp"] == (ramps[len(ramps) // 2] if ramp is None else ramps[ramp])].set_index("seed")
    rate = rows["at_minimum"] / 10.0 if column == "at_minimum" else rows["steepest"]
    return np.log10(rate / best_rate(records))


def range_test(records: pd.DataFrame) -> pd.Series:
    """log10 of a tenth of the rate of the smallest loss over the best learning rate, ramp of ordinary length."""
    return _suggested(records, "at_minimum")


def range_test_slow(records: pd.DataFrame) -> pd.Series:
    """log10 of the suggestion of the slowest ramp over that of the fastest."""
    return _suggested(records, "at_minimum", -1) - _suggested(records, "at_minimum", 0)


def range_test_steepest(records: pd.DataFrame) -> pd.Series:
    """|log10 error| of the steepest-descent rule less that of the minimum rule, ramp of ordinary length."""
    return _suggested(records, "steepest").abs() - _suggested(records, "at_minimum").abs()


def edge_late(records: pd.DataFrame) -> pd.Series:
    """Sharpness times half the learning rate over the last 30 % of the steps, mean of the learning rates;
    infinite where a run diverged."""
    late = records[records["step"] >= 0.7 * records["step"].max()]
    return late.assign(x=late["stability"].fillna(np.inf)).groupby("seed")["x"].mean()


def edge_survives(records: pd.DataFrame) -> pd.Series:
    """Share of runs beyond 2 / sharpness at the start that end with a finite and lower loss."""
    loss = records[records["multiple"] > 1.0].pivot(index=["seed", "multiple"], columns="step", values="loss")
    better = (loss[loss.columns.max()] < loss[loss.columns.min()]).astype(float)
    return better.groupby("seed").mean()


def formula_error(records: pd.DataFrame) -> pd.Series:
    """Largest difference of any schedule from torch's."""
    return records.groupby("seed")["difference"].max()


# ---- figures ----


def plot_warmup(records: pd.DataFrame):
    """Share of failed runs against the peak learning rate, by warmup; a panel per regime."""
    figure, axes = style.figure(1, 3, height=2.7, sharey=True)
    names = {0.0: "no warmup", 0.1: "10 % warmup", 0.3: "30 % warmup"}
    for axis, (regime, title) in zip(axes, REGIME_NAMES.items()):
        rows = records[records["regime"] == regime]
        style.curves(
            axis, rows, x="learning_rate", y="failed", by="warmup", looks=style.looks(names), labels=names,
            average="proportion",
        )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set(xlabel="peak learning rate", title=title, ylim=(-0.03, 1.03))
    axes[0].set_ylabel("failed runs / %")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    style.legend(axes[0], outside=False)
    style.count(axes[0], records)
    return figure


def plot_schedules(records: pd.DataFrame):
    """The schedules' shapes, and the test loss each leads to at its own peak."""
    figure, (left, right) = style.figure(1, 2, height=3.0, width_ratios=[1, 1.3])
    looks = style.looks(RECIPES)
    for name, (schedule, warmup) in RECIPES.items():
        look = {**looks[name], "marker": ""}
        left.plot(np.arange(400) / 4.0, schedules.multipliers(schedule, 400, warmup), label=NAMES[name], **look)
    left.set(xlabel="share of training / %", ylabel="learning rate / peak", ylim=(-0.03, 1.05))
    rows = records.assign(schedule=records["recipe"].map(NAMES))
    short = {NAMES[name]: looks[name] for name in RECIPES}
    order = list(short)
    for place, name in enumerate(order):
        values = rows.loc[rows["schedule"] == name, "test_loss"].fillna(GUESSING).to_numpy()
        colour, marker = short[name]["color"], short[name]["marker"]
        spread = place - 0.15 + np.linspace(-0.1, 0.1, len(values))
        right.scatter(values, spread, s=9, color=colour, alpha=0.4, linewidth=0)
        row = style.summary(rows[rows["schedule"] == name], "recipe", "test_loss").iloc[0]
        bars = [[row["centre"] - row["low"]], [row["high"] - row["centre"]]]
        right.errorbar(row["centre"], place + 0.2, xerr=bars, color=colour, marker=marker, capsize=2.5, linestyle="")
    right.set_yticks(range(len(order)), order)
    right.invert_yaxis()
    right.set(xlabel="test loss / nats")
    style.count(right, records)
    return figure


def plot_plateau(records: pd.DataFrame):
    """Train loss after a fixed budget against a constant learning rate, and the low rate with more patience."""
    figure, axis = style.figure()
    grid, patience = part_of(records, "grid"), part_of(records, "patience")
    grid = grid.assign(loss=grid["train_loss"].fillna(np.inf).clip(upper=2.0 * GUESSING))
    looks = style.looks(["grid", "patience"])
    label = {"loss": "ordinary budget", "train_loss": "× 1, 2, 5, 10 the budget"}
    style.curves(axis, grid, x="learning_rate", y="loss", looks={"loss": looks["grid"]}, labels=label)
    table = patience.groupby("step")["train_loss"].mean()
    rate = np.full(len(table), patience["rate"].iloc[0])
    axis.plot(rate, table, label=label["train_loss"], **{**looks["patience"], "linestyle": ":"})
    style.theory(axis, None, GUESSING, label="guessing")
    axis.set(xlabel="learning rate (constant)", ylabel="train loss / nats", xscale="log", ylim=(0, None))
    style.count(axis, grid)
    style.legend(axis)
    return figure


def plot_range_test(records: pd.DataFrame):
    """What a range test suggests, by rule and speed of the ramp."""
    figure, axis = style.figure()
    rows, best = part_of(records, "range_test"), best_rate(records)
    rules = {"a tenth of the rate of the lowest loss": rows["at_minimum"] / 10.0, "steepest fall": rows["steepest"]}
    looks = style.looks(rules)
    ramps = sorted(rows["ramp"].unique())
    for shift, (rule, rates) in zip((-0.14, 0.14), rules.items()):
        places = rows["ramp"].map(ramps.index) + shift
        axis.scatter(
            places, rates, s=18, color=looks[rule]["color"], marker=looks[rule]["marker"], alpha=0.6, label=rule
        )
    style.theory(axis, None, best, label="best constant rate")
    axis.set(xlabel="steps of the ramp", ylabel="suggested learning rate", yscale="log")
    axis.set_xticks(range(len(ramps)), [str(ramp) for ramp in ramps])
    style.region(axis, best / 3.0, best * 3.0, label="within a factor of 3")
    style.count(axis, rows)
    style.legend(axis)
    return figure


def plot_edge(records: pd.DataFrame):
    """Sharpness times half the learning rate along full-batch gradient descent."""
    figure, (left, right) = style.figure(1, 2, height=2.8)
    levels = sorted(records["multiple"].unique())
    looks, labels = style.looks(levels), {level: rf"$\eta = {level:g} \cdot 2/\lambda_0$" for level in levels}
    for axis, column in ((left, "stability"), (right, "loss")):
        style.curves(axis, records, x="step", y=column, by="multiple", looks=looks, labels=labels)
    style.theory(left, None, 1.0, label=r"$\lambda = 2/\eta$")
    left.set(xlabel="step", ylabel=r"$\lambda_{\max}\,\eta/2$", ylim=(0, None))
    right.set(xlabel="step", ylabel="squared-error loss", yscale="log")
    style.legend(left, outside=False)
    style.count(right, records)
    return figure
