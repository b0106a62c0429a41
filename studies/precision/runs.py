"""What fp16 and bf16 do to numbers, gradients and training; gradient clipping; probabilities against their logs."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.engine import networks
from claimcheck.engine.train import Data, classification, train

from . import mixed_precision
from .constants import EXPONENTS, FIRST_SCALE, PLANTED_SCALE, ZERO
from .mixed_precision import Precision, Task, Training
from .number_formats import FORMATS, dtype_of, thresholds, zero_after
from .recall_task import recall

RECIPES = {
    "fp32": Precision("fp32"),
    "fp16_pure": Precision("fp16", stored="fp16"),
    "fp16_master": Precision("fp16"),
    "fp16_static": Precision("fp16", log2_scale=10, check=True),
    "fp16_dynamic": Precision("fp16", log2_scale=24, dynamic=True, check=True),
    "bf16_pure": Precision("bf16", stored="bf16"),
    "bf16_master": Precision("bf16"),
    "planted_checked": Precision("fp16", log2_scale=FIRST_SCALE, dynamic=True, check=True, planted=PLANTED_SCALE),
    "planted_unchecked": Precision("fp16", log2_scale=FIRST_SCALE, planted=PLANTED_SCALE),
}


# ---- formats: no network ----


def run_formats(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Thresholds of a format, found by bisection on casts; the same for every seed."""
    measured = {name: thresholds(name) for name in runs["number"].unique()}
    return pd.DataFrame([{"run": run.run, **measured[run.number]} for run in runs.itertuples()])


def run_log_space(runs: pd.DataFrame, context) -> pd.DataFrame:
    """A product of probabilities and the sum of their logarithms in one format."""
    rows = []
    for run in runs.itertuples():
        p = context.numpy_generator(run.seed, "probabilities").uniform(0.01, 0.5, context.settings.length)
        narrow = torch.from_numpy(p).to(dtype_of(run.number))
        exact = math.fsum(np.log(p))
        total = float(narrow.log().sum().double())
        logits = torch.linspace(0.0, context.settings.largest_logit, 10).to(narrow.dtype)
        naive, stable = logits.exp() / logits.exp().sum(), torch.softmax(logits, 0)
        rows.append({
            "run": run.run,
            "zero_after": float(zero_after(np.full(1000, 0.1), run.number)),
            "likelihood_zero_after": float(zero_after(p, run.number)),
            "log_error": abs(total / exact - 1.0),
            "naive_finite": float(naive.isfinite().all()),
            "stable_finite": float(stable.isfinite().all()),
        })  # fmt: skip
    return pd.DataFrame(rows)


# ---- training in narrow formats ----


def _task(context, recipe: Precision, native: bool = False) -> Task:
    """Learning the part's images by a recipe."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    data, test = Data({"x": images.x_train, "y": images.y_train}), Data({"x": images.x_test, "y": images.y_test})
    shape = (images.x_train.shape[1], [s.width] * s.depth, images.classes)
    return Task(recipe, data, test, shape, s.steps, s.batch_size, s.learning_rate, s.interval, native)


def run_recipes(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by one recipe in three regimes: ordinary, the loss in a small unit, a small learning rate."""
    s, name = context.settings, runs["recipe"].iloc[0]
    task = _task(context, RECIPES[name], native=context.device.type == "cuda" and name != "fp32")
    runs = runs.assign(
        learning_rate=s.learning_rate * np.where(runs["regime"] == "small_rate", s.rate_share, 1.0),
        log2_unit=np.where(runs["regime"] == "small_loss", float(s.log2_unit), 0.0),
    )
    judged, half = {s.steps // 4, s.steps}, s.steps // 2
    trace = {half + i for i in (0, 1, 4, 8, 12, 16, 20, 24, 32)} if name.startswith("planted") else set()

    def measure(training: Training) -> pd.DataFrame:
        finite = torch.isfinite(training.ensemble.parameters).all(1)
        loss = error = torch.full_like(training.skipped, torch.nan)  # of no interest in the trace of the scale
        if training.step in judged:
            loss = training.ensemble.map(classification, task.data)["loss"]
            error = training.ensemble.map(classification, task.test)["error"]
        table = _table(
            training,
            train_loss=loss,
            test_error=100.0 * error,
            log2_scale=training.scale.log2(),
            skipped=training.skipped,
            recovery=training.recovery,
            kept=training.kept,
            finite=finite,
        )
        return table.assign(status=np.where(table["finite"] == 1.0, "ok", "diverged"))

    at = {step for step in judged | trace if step <= s.steps}
    return mixed_precision.train(runs, context, task, at, measure)


def run_scales(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with a static loss scale 2^k and skipped steps; the share of gradient entries flushed, early and late."""
    task = _task(context, Precision(runs["number"].iloc[0], check=True))

    def measure(training: Training) -> pd.DataFrame:
        _, narrow = mixed_precision.gradient(training.ensemble, training.batch, training.scale)
        there = mixed_precision.exact_gradient(training) != 0.0
        return _table(
            training,
            flushed=(there & (narrow == 0.0)).sum(1) / there.sum(1).clamp_min(1),
            skipped_share=training.skipped / max(training.step, 1),
            test_error=100.0 * training.ensemble.map(classification, task.test)["error"],
        )

    return mixed_precision.train(runs, context, task, {0, task.steps}, measure)


def run_exponents(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Shares of an fp32 gradient's entries by binary exponent, at initialisation and after training."""
    task = _task(context, RECIPES["fp32"])

    def measure(training: Training) -> pd.DataFrame:
        views = training.ensemble.layout.views(mixed_precision.exact_gradient(training))
        entries = torch.cat([value.flatten(1) for value in views.values()], 1)
        exponents = torch.where(entries == 0.0, float(ZERO), entries.abs().log2().floor())
        shares = {e: (exponents == e).double().mean(1) for e in (ZERO, *EXPONENTS)}
        return pd.concat([_table(training, share=share).assign(exponent=e) for e, share in shares.items()])

    return mixed_precision.train(runs, context, task, {0, task.steps}, measure)


def _table(training: Training, **columns: torch.Tensor) -> pd.DataFrame:
    """A row per member at this step."""
    found = {name: value.double().cpu().numpy() for name, value in columns.items()}
    return pd.DataFrame({"run": training.ensemble.runs, "step": training.step, **found})


def run_bad_init(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Whether the first loss and gradient of an untrained network are finite in a format."""
    task = _task(context, Precision(runs["number"].iloc[0]))
    ensemble = mixed_precision.build(runs, context, task)
    rows = torch.arange(task.batch_size, device=context.device).expand(len(runs), -1)
    one = torch.ones(len(runs), device=context.device)
    losses, gradient = mixed_precision.gradient(ensemble, task.data.rows(rows), one)
    finite = torch.isfinite(losses) & torch.isfinite(gradient).all(1)
    return pd.DataFrame({"run": runs["run"], "overflowed": (~finite).double().cpu().numpy()})


# ---- clipping on a recurrent network ----


def run_clipping(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Recall the class shown at the first of T moments, noise at the others; a tanh network, momentum SGD."""
    s = context.settings
    data, fresh = recall(runs, context, "recall"), recall(runs, context, "recall/test")
    trained = train(
        runs.assign(clip=np.where(runs["threshold"] > 0, runs["threshold"], np.inf)),
        context,
        network=lambda run, g: networks.Rnn(s.classes, s.hidden, s.classes, generator=g, recurrent_gain=run.gain),
        data=data,
        steps=s.steps,
        batch_size=s.batch_size,
        optimizer="momentum",
        evaluate={"train": (data, classification), "test": (fresh, classification)},
    )
    final = trained.records.assign(diverged=(trained.diverged_at >= 0).astype(float))
    failed = (final["status"] == "diverged") | ~(final["train_loss"] <= math.log(s.classes))
    return final.assign(failed=failed.astype(float), classes=float(s.classes))


# ---- cost ----


def run_cost(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Seconds of a training step on the CPU."""
    return _timed(runs, context, torch.device("cpu"))


def run_cost_gpu(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same on the GPU."""
    return _timed(runs, context, context.device)


def _timed(runs: pd.DataFrame, context, device: torch.device) -> pd.DataFrame:
    """Median seconds of a step under torch's automatic mixed precision; formats are taken in turn."""
    s, generator = context.settings, context.generator(0, "cost")
    network = networks.MLP(s.width, [s.width] * s.depth, 10, generator=generator).to(device)
    x = torch.randn(s.batch_size, s.width, generator=generator).to(device)
    y = torch.randint(10, (s.batch_size,), generator=generator).to(device)
    rows = []
    for run in runs.itertuples():
        taken = {name: [] for name in FORMATS}
        for _ in range(s.repeats):
            for name in FORMATS:
                taken[name].append(_seconds(network, x, y, name, s.steps))
        rows.append({"run": run.run, **{f"seconds_{name}": float(np.median(found)) for name, found in taken.items()}})
    return pd.DataFrame(rows)


def _seconds(network, x, y, name: str, steps: int) -> float:
    """Seconds per step, the better of two tries: the second has warm caches."""
    narrow, best = name != "fp32", math.inf
    for _ in range(2):
        start = time.perf_counter()
        for _ in range(steps):
            with torch.autocast(x.device.type, dtype=FORMATS[name].dtype if narrow else None, enabled=narrow):
                loss = F.cross_entropy(network(x).float(), y)
            loss.backward()
            network.zero_grad(set_to_none=True)
        if x.device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best / steps
