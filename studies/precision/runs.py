"""What fp16 and bf16 do to numbers, gradients and training; gradient clipping; probabilities against their logs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch.utils.benchmark import Timer

from claimcheck.data.draws import draw_each
from claimcheck.engine import networks
from claimcheck.engine.data import Data
from claimcheck.engine.single import per_run
from claimcheck.engine.train import classification, train

from . import mixed_precision
from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO
from .mixed_precision import Precision, Training
from .number_formats import FORMATS, thresholds, zero_after

RECIPES = {
    "fp32": Precision("fp32"),
    "fp16_pure": Precision("fp16", stored="fp16"),
    "fp16_master": Precision("fp16"),
    "fp16_dynamic": Precision("fp16", log2_scale=16, dynamic=True, check=True),
    "bf16_pure": Precision("bf16", stored="bf16"),
    "bf16_master": Precision("bf16"),
    "planted_checked": Precision("fp16", log2_scale=FIRST_SCALE, dynamic=True, check=True, planted=PLANTED_SCALE),
    "planted_unchecked": Precision("fp16", log2_scale=FIRST_SCALE, planted=PLANTED_SCALE),
}


@per_run
def run_formats(run, context) -> dict[str, float]:
    """Thresholds of a format, found by bisection on casts; the same for every seed."""
    return thresholds(run.number)


@per_run
def run_log_space(run, context) -> dict[str, float]:
    """A product of probabilities and the sum of their logarithms in one format; softmax, naive and stable."""
    p = context.numpy_generator(run.seed, "probabilities").uniform(0.01, 0.5, context.settings.length)
    narrow = torch.from_numpy(p).to(FORMATS[run.number])
    logits = torch.linspace(0.0, context.settings.largest_logit, 10).to(narrow.dtype)
    naive, stable = logits.exp() / logits.exp().sum(), torch.softmax(logits, 0)
    return {
        "zero_after": float(zero_after(np.full(1000, 0.1), run.number)),
        "likelihood_zero_after": float(zero_after(p, run.number)),
        "log_error": abs(float(narrow.log().sum()) / math.fsum(np.log(p)) - 1.0),
        "softmax_rescued": float(stable.isfinite().all() and not naive.isfinite().all()),
    }


def _table(training: Training, **columns: torch.Tensor) -> pd.DataFrame:
    """A row per member at this step."""
    found = {name: value.double().cpu().numpy() for name, value in columns.items()}
    return pd.DataFrame({"run": training.ensemble.runs, "step": training.step, **found})


def run_recipes(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by one recipe in three regimes: ordinary, the loss in a small unit, a small learning rate."""
    s, name = context.settings, runs["recipe"].iloc[0]
    recipe = replace(RECIPES[name], native=context.device.type == "cuda" and name != "fp32")
    rate = s.learning_rates[runs["dataset"].iloc[0]]
    runs = runs.assign(
        learning_rate=rate * np.where(runs["regime"] == "small_rate", s.rate_share, 1.0),
        log2_unit=np.where(runs["regime"] == "small_loss", float(s.log2_unit), 0.0),
    )
    judged, half = {s.steps // 4, s.steps}, s.steps // 2
    trace = {half + i for i in (0, 1, 4, 8, 12, 16, 20, 24, 32)} if name.startswith("planted") else set()

    def measure(training: Training) -> pd.DataFrame:
        loss = error = torch.full_like(training.skipped, torch.nan)  # of no interest in the trace of the scale
        if training.step in judged:
            loss = training.ensemble.map(classification, training.data)["loss"]
            error = training.ensemble.map(classification, training.test)["error"]
        found = {"train_loss": loss, "test_error": 100.0 * error, "log2_scale": training.scale.log2()}
        found |= {name: getattr(training, name) for name in ("skipped", "recovery", "kept")}
        table = _table(training, **found, finite=torch.isfinite(training.ensemble.parameters).all(1))
        return table.assign(status=np.where(table["finite"] == 1.0, "ok", "diverged"))

    return mixed_precision.train(runs, context, recipe, {step for step in judged | trace if step <= s.steps}, measure)


def run_scales(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with a static loss scale 2^k and skipped steps; the share of gradient entries flushed, early and late."""

    def measure(training: Training) -> pd.DataFrame:
        there, narrow = training.gradient(exact=True)[1] != 0.0, training.gradient()[1]
        return _table(
            training,
            flushed=(there & (narrow == 0.0)).sum(1) / there.sum(1).clamp_min(1),
            skipped_share=training.skipped / max(training.step, 1),
            test_error=100.0 * training.ensemble.map(classification, training.test)["error"],
        )

    recipe = Precision(runs["number"].iloc[0], check=True)
    return mixed_precision.train(runs, context, recipe, {0, context.settings.steps}, measure)


def run_exponents(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Shares of an fp32 gradient's entries by binary exponent, at initialisation and after training."""

    def measure(training: Training) -> pd.DataFrame:
        views = training.ensemble.layout.views(training.gradient()[1])
        entries = torch.cat([value.flatten(1) for value in views.values()], 1)
        exponents = torch.where(entries == 0.0, float(ZERO), entries.abs().log2().floor())
        shares = {e: (exponents == e).double().mean(1) for e in (ZERO, *EXPONENTS)}
        return pd.concat([_table(training, share=share).assign(exponent=e) for e, share in shares.items()])

    return mixed_precision.train(runs, context, RECIPES["fp32"], {0, context.settings.steps}, measure)


def run_bad_init(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Whether the first loss and gradient of an untrained network are finite in a format."""
    training = Training(runs, context, Precision(runs["number"].iloc[0]))
    losses, gradient = training.gradient()
    finite = torch.isfinite(losses) & torch.isfinite(gradient).all(1)
    return _table(training, overflowed=~finite).drop(columns="step")


def run_remedies(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train in fp16 with a static loss scale and without checks: whether a number that is not finite ever comes up.

    What is not finite reaches the weights at once, and stays. A run has failed when it is lost or has learnt nothing.
    """
    s, remedy = context.settings, runs["remedy"].iloc[0]
    runs = runs.assign(norm=s.norm if remedy == "norm" else None, warmup=s.warmup * (remedy == "warmup"))

    def measure(training: Training) -> pd.DataFrame:
        lost = ~torch.isfinite(training.ensemble.parameters).all(1)
        loss = training.ensemble.map(classification, training.data)["loss"]
        failed = lost | ~(loss <= 0.95 * math.log(10.0))
        return _table(training, lost=lost, failed=failed, train_loss=loss).drop(columns="step")

    recipe = Precision("fp16", log2_scale=s.log2_scale)
    return mixed_precision.train(runs, context, recipe, {s.steps}, measure)


def run_clipping(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Tanh recurrent networks, momentum SGD: images row by row, or the class shown at the first of T moments.

    A run has failed when its loss is not finite or more than 0.1 nats above that of guessing.
    """
    s, dataset = context.settings, runs["dataset"].iloc[0]
    data, test, inputs, classes = (_recall if dataset == "recall" else _rows)(runs, context)
    final = train(
        runs.assign(clip=runs["threshold"].replace(0.0, np.inf)),
        context,
        network=lambda run, g: networks.Rnn(inputs, s.hidden, classes, generator=g, recurrent_gain=s.gain),
        data=data,
        evaluate={"train": data, "test": test},
    ).records
    failed = ~(final["train_loss"] <= math.log(classes) + 0.1)
    return final.assign(failed=failed.astype(float), guessing=1.0 - 1.0 / classes)


run_vanishing = run_clipping


def _rows(runs: pd.DataFrame, context) -> tuple[Data, Data, int, int]:
    """Each unit's images, a row a moment; beside them numbers a moment, and classes."""
    s, dataset = context.settings, runs["dataset"].iloc[0]
    own = draw_each(context, dataset, runs["seed"], train=s.examples, test=s.examples)
    x, test = own.pool.x_train.squeeze(1), own.pool.x_test.squeeze(1)
    training = Data({"x": x, "y": own.pool.y_train}, subset=own.train)
    return training, Data({"x": test, "y": own.pool.y_test}, subset=own.test), x.shape[-1], own.pool.classes


def _recall(runs: pd.DataFrame, context) -> tuple[Data, Data, int, int]:
    s = context.settings
    return recall(runs, context, "recall"), recall(runs, context, "recall/test"), s.classes, s.classes


def recall(runs: pd.DataFrame, context, purpose: str) -> Data:
    """Each run's series ``x`` ``[N, T, classes]``, a one-hot class, then noise, and classes ``y`` ``[N]``.

    To recall the class takes gradients that survive the whole length (after the temporal-order tasks of Hochreiter &
    Schmidhuber 1997 and Pascanu et al. 2013). Runs of one seed have the same data.
    """
    s, sets = context.settings, {}
    for seed in runs["seed"].unique():
        generator = context.generator(int(seed), purpose)
        y = torch.randint(s.classes, (s.examples,), generator=generator)
        x = s.noise * torch.randn(s.examples, s.length, s.classes, generator=generator)
        x[:, 0] = F.one_hot(y, s.classes).float() * math.sqrt(s.classes)
        sets[seed] = {"x": x, "y": y}
    return Data({}, {name: torch.stack([sets[seed][name] for seed in runs["seed"]]) for name in ("x", "y")})


def run_cost(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Median seconds of a step in each format, under torch's automatic mixed precision; formats are taken in turn."""
    s, generator = context.settings, context.generator(0, "cost")
    device = torch.device(s.get("device", context.device))
    network = networks.MLP(s.width, [s.width] * s.depth, 10, generator=generator).to(device)
    x = torch.randn(s.batch_size, s.width, generator=generator).to(device)
    y = torch.randint(10, (s.batch_size,), generator=generator).to(device)

    def step(name: str) -> None:
        with torch.autocast(device.type, dtype=FORMATS[name], enabled=name != "fp32"):
            loss = F.cross_entropy(network(x).float(), y)
        loss.backward()
        network.zero_grad(set_to_none=True)

    def seconds(name: str) -> float:  # after a warm-up; where there is a GPU, its work is waited for
        timer = Timer("step(name)", globals={"step": step, "name": name}, num_threads=torch.get_num_threads())
        return timer.timeit(s.steps).mean

    rows = []
    for run in runs.itertuples():
        turns = pd.DataFrame([{name: seconds(name) for name in ("fp16", "bf16", "fp32")} for _ in range(s.repeats)])
        rows += [{"run": run.run, "number": name, "seconds": taken} for name, taken in turns.median().items()]
    return pd.DataFrame(rows)


run_cost_gpu = run_cost
