"""What fp16 and bf16 do to numbers, gradients and training; clipping; products of probabilities against sums of logs."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck import mixed_precision, networks, style
from claimcheck.mixed_precision import Recipe
from claimcheck.number_formats import FORMATS, rounded
from claimcheck.train import Data, classification, train

RECIPES = {
    "fp32": Recipe("fp32"),
    "fp16_pure": Recipe("fp16", stored="fp16"),
    "fp16_master": Recipe("fp16"),
    "fp16_static": Recipe("fp16", log2_scale=10, check=True),
    "fp16_dynamic": Recipe("fp16", log2_scale=16, dynamic=True, check=True),
    "bf16_pure": Recipe("bf16", stored="bf16"),
    "bf16_master": Recipe("bf16"),
    "planted_checked": Recipe("fp16", log2_scale=10, dynamic=True, check=True, planted=24),
    "planted_unchecked": Recipe("fp16", log2_scale=10, planted=24),
}
CHANCE = 90.0  # error of guessing among ten classes, per cent: what a run counts with that is no longer finite
EXPONENTS = range(-45, 6)
ZERO = -99  # stands for the exponent of an entry that is exactly zero


# ---- formats: no network ----


def run_formats(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Thresholds of a format, found by bisection on casts; the same for every seed."""
    measured = {name: _thresholds(name) for name in runs["number"].unique()}
    return pd.DataFrame([{"run": run.run, **measured[run.number]} for run in runs.itertuples()])


def _thresholds(name: str) -> dict[str, float]:
    """Where casting overflows, underflows and swallows: log2 of measured over predicted, and the numbers themselves."""
    number = FORMATS[name]

    def cast(value: float) -> float:
        return float(torch.tensor(value, dtype=torch.float64).to(number.dtype).double())

    overflow = _first(lambda e: math.isinf(cast(2.0**e)), 0.0, 200.0)
    survives = _first(lambda e: cast(2.0**e) > 0.0, -200.0, 0.0)
    lost = _lost_updates(name)
    one = torch.ones((), dtype=torch.float32)
    exp = _first(lambda x: math.isinf(float(rounded((one * x).double().exp().float(), name))), 0.0, 120.0)
    return {
        "overflow_error": overflow - math.log2(number.overflow_at),
        "underflow_error": survives - math.log2(number.zero_at),
        "always_lost": math.log2(lost[0]),
        "never_lost": math.log2(lost[1]),
        "exp_overflows_at": exp,
    }


def _first(reached, low: float, high: float) -> float:
    """Smallest number at which a condition that stays true becomes true, by bisection."""
    for _ in range(80):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _lost_updates(name: str) -> tuple[float, float]:
    """Smallest and largest relative update that is rounded away, over all weights in [1, 2) (a sample for fp32)."""
    number = FORMATS[name]
    places = np.unique(np.linspace(0, 2**number.fraction - 1, 4096).round())
    weights = torch.from_numpy(1.0 + places * number.epsilon)
    low, high = torch.zeros_like(weights), torch.full_like(weights, number.epsilon)
    for _ in range(40):  # bisection on w + d, which float64 holds exactly
        middle = 0.5 * (low + high)
        lost = (weights + middle).to(number.dtype).double() == weights
        low, high = torch.where(lost, middle, low), torch.where(lost, high, middle)
    relative = low / weights
    return float(relative.min()), float(relative.max())


def run_log_space(runs: pd.DataFrame, context) -> pd.DataFrame:
    """A product of probabilities and the sum of their logarithms in one format."""
    rows = []
    for run in runs.itertuples():
        p = context.numpy_generator(run.seed, "probabilities").uniform(0.01, 0.5, context.settings.length)
        narrow = torch.from_numpy(p).to(_dtype(run.number))
        exact = math.fsum(np.log(p))
        total = float(narrow.log().sum().double())
        logits = torch.linspace(0.0, context.settings.largest_logit, 10).to(narrow.dtype)
        naive, stable = logits.exp() / logits.exp().sum(), torch.softmax(logits, 0)
        rows.append({
            "run": run.run,
            "zero_after": float(_zero_after(np.full(1000, 0.1), run.number)),
            "likelihood_zero_after": float(_zero_after(p, run.number)),
            "log_error": abs(total / exact - 1.0),
            "naive_finite": float(naive.isfinite().all()),
            "stable_finite": float(stable.isfinite().all()),
        })  # fmt: skip
    return pd.DataFrame(rows)


def _dtype(name: str) -> torch.dtype:
    return torch.float64 if name == "fp64" else FORMATS[name].dtype


def _zero_after(p: np.ndarray, name: str) -> int:
    """Factors after which a running product in the format is exactly zero (its length + 1 where it never is)."""
    factors, product = torch.from_numpy(p).to(_dtype(name)), torch.ones((), dtype=_dtype(name))
    for n, factor in enumerate(factors, start=1):
        product = product * factor
        if float(product) == 0.0:
            return n
    return len(p) + 1


# ---- training in narrow formats ----


def _digits(context) -> tuple[Data, dict[str, torch.Tensor], tuple]:
    """Training data, test data and the network's shape."""
    s, images = context.settings, context.dataset(context.settings.dataset).flat()
    shape = (images.x_train.shape[1], [s.width] * s.depth, images.classes)
    return Data({"x": images.x_train, "y": images.y_train}), {"x": images.x_test, "y": images.y_test}, shape


def _fitted(runs, context, recipe: Recipe, at, measure, native=False):
    s = context.settings
    data, _, shape = _digits(context)
    return mixed_precision.train(
        runs, context, recipe, data, shape, at=at, steps=s.steps, batch_size=s.batch_size, interval=s.interval,
        measure=measure, native=native,
    )  # fmt: skip


def run_recipes(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train by one recipe in three regimes: ordinary, the loss in a small unit, a small learning rate."""
    s, name = context.settings, runs["recipe"].iloc[0]
    data, test, _ = _digits(context)
    runs = runs.assign(
        learning_rate=s.learning_rate * np.where(runs["regime"] == "small_rate", s.rate_share, 1.0),
        log2_unit=np.where(runs["regime"] == "small_loss", float(s.log2_unit), 0.0),
    )

    def measure(run: mixed_precision.Run) -> pd.DataFrame:
        finite = torch.isfinite(run.ensemble.parameters).all(1)
        train_metrics = run.ensemble.map(classification, data)
        test_metrics = run.ensemble.map(classification, test)
        return _table(run, {
            "train_loss": train_metrics["loss"],
            "test_error": 100.0 * test_metrics["error"],
            "log2_scale": run.scale.scale.log2(),
            "skipped": run.skipped,
            "recovery": run.recovery,
            "kept": run.kept,
            "finite": finite,
        }, ~finite)  # fmt: skip

    half = s.steps // 2
    trace = {half + i for i in (-20, -10, 0, 1, 2, 4, 8, 12, 16, 20)} if name.startswith("planted") else set()
    at = {step for step in {0, s.steps // 4, half, 3 * s.steps // 4, s.steps} | trace if 0 <= step <= s.steps}
    return _fitted(runs, context, RECIPES[name], at, measure, native=context.device.type == "cuda" and name != "fp32")


def run_scales(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with a static loss scale 2^k and skipped steps; the share of gradient entries flushed, early and late."""
    _, test, shape = _digits(context)
    number, runs = runs["number"].iloc[0], runs.assign(learning_rate=context.settings.learning_rate)
    reference = mixed_precision.build(runs, context, "fp32", shape, native=False)

    def measure(run: mixed_precision.Run) -> pd.DataFrame:
        _, narrow = mixed_precision.gradient(run.ensemble, run.batch, run.scale.scale)
        reference.parameters = run.ensemble.parameters
        _, exact = mixed_precision.gradient(reference, run.batch, torch.ones_like(run.scale.scale))
        there = exact != 0.0
        return _table(run, {
            "flushed": (there & (narrow == 0.0)).sum(1) / there.sum(1).clamp_min(1),
            "skipped_share": run.skipped / max(run.step, 1),
            "test_error": 100.0 * run.ensemble.map(classification, test)["error"],
        }, torch.zeros_like(run.kept, dtype=torch.bool))  # fmt: skip

    return _fitted(runs, context, Recipe(number, check=True), {0, context.settings.steps}, measure)


def run_exponents(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Shares of an fp32 gradient's entries by binary exponent, at initialisation and after training."""
    runs = runs.assign(learning_rate=context.settings.learning_rate)

    def measure(run: mixed_precision.Run) -> pd.DataFrame:
        _, exact = mixed_precision.gradient(run.ensemble, run.batch, torch.ones_like(run.scale.scale))
        flat = run.ensemble.layout.views(exact)
        entries = torch.cat([value.flatten(1) for value in flat.values()], 1)
        exponents = torch.where(entries == 0.0, float(ZERO), entries.abs().log2().floor())
        tables = [
            _table(run, {"share": (exponents == e).double().mean(1)}).assign(exponent=e) for e in (ZERO, *EXPONENTS)
        ]
        return pd.concat(tables)

    return _fitted(runs, context, Recipe("fp32"), {0, context.settings.steps}, measure)


def run_bad_init(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Whether the first loss and gradient of an untrained network are finite in a format."""
    data, _, shape = _digits(context)
    ensemble = mixed_precision.build(runs, context, runs["number"].iloc[0], shape, native=False)
    rows = torch.arange(context.settings.batch_size, device=context.device).expand(len(runs), -1)
    losses, gradient = mixed_precision.gradient(ensemble, data.rows(rows), torch.ones(len(runs), device=context.device))
    finite = torch.isfinite(losses) & torch.isfinite(gradient).all(1)
    return pd.DataFrame({"run": runs["run"], "overflowed": (~finite).double().cpu().numpy()})


def _table(run: mixed_precision.Run, columns: dict[str, torch.Tensor], diverged=None) -> pd.DataFrame:
    """A row per member at this step."""
    table = pd.DataFrame({"run": run.ensemble.runs, "step": run.step})
    for name, value in columns.items():
        table[name] = value.double().cpu().numpy()
    if diverged is not None:
        table["status"] = np.where(diverged.cpu().numpy(), "diverged", "ok")
    return table


# ---- clipping on a recurrent network ----


def run_clipping(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Recall the class shown at the first of T moments, noise at the others; a tanh network, momentum SGD."""
    s = context.settings
    sets = {seed: _recall(seed, context) for seed in runs["seed"].unique()}
    data = Data({}, {k: torch.stack([sets[seed][k] for seed in runs["seed"]]).to(context.device) for k in ("x", "y")})
    trained = train(
        runs.assign(clip=np.where(runs["threshold"] > 0, runs["threshold"], np.inf)),
        context,
        network=lambda run, g: networks.Rnn(s.classes, s.hidden, s.classes, generator=g, recurrent_gain=run.gain),
        data=data,
        steps=s.steps,
        batch_size=s.batch_size,
        optimizer="momentum",
        evaluate={"train": (data, classification)},
    )
    final = trained.records.assign(diverged=(trained.diverged_at >= 0).astype(float))
    failed = (final["status"] == "diverged") | ~(final["train_loss"] <= math.log(s.classes))
    return final.assign(failed=failed.astype(float))


def _recall(seed: int, context) -> dict[str, torch.Tensor]:
    """Series ``[N, T, classes]``: a one-hot class, then noise."""
    s, generator = context.settings, context.generator(seed, "recall")
    y = torch.randint(s.classes, (s.examples,), generator=generator)
    x = s.noise * torch.randn(s.examples, s.length, s.classes, generator=generator)
    x[:, 0] = F.one_hot(y, s.classes).float() * math.sqrt(s.classes)
    return {"x": x, "y": y}


# ---- cost ----


def run_cost(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Seconds of a training step under torch's automatic mixed precision, formats taken in turn."""
    network, x, y = _timed_network(context)
    rows = []
    for run in runs.itertuples():
        taken = {name: [] for name in FORMATS}
        for _ in range(context.settings.repeats):
            for name in FORMATS:
                taken[name].append(_seconds(network, x, y, name, context))
        rows.append({"run": run.run, **{f"seconds_{name}": float(np.median(found)) for name, found in taken.items()}})
    return pd.DataFrame(rows)


run_cost_gpu = run_cost


def _timed_network(context):
    s, generator = context.settings, context.generator(0, "cost")
    network = networks.MLP(s.width, [s.width] * s.depth, 10, generator=generator).to(context.device)
    x = torch.randn(s.batch_size, s.width, generator=generator).to(context.device)
    return network, x, torch.randint(10, (s.batch_size,), generator=generator).to(context.device)


def _seconds(network, x, y, name: str, context) -> float:
    device, dtype = context.device.type, FORMATS[name].dtype
    best = math.inf
    for _ in range(2):  # the second has warm caches
        start = time.perf_counter()
        for _ in range(context.settings.steps):
            with torch.autocast(device, dtype=dtype if name != "fp32" else None, enabled=name != "fp32"):
                loss = F.cross_entropy(network(x).float(), y)
            loss.backward()
            network.zero_grad(set_to_none=True)
        if device == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best / context.settings.steps
