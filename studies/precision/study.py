"""What fp16 and bf16 do to numbers, gradients and training; gradient clipping; probabilities against their logs."""

from __future__ import annotations

import math
import time

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from matplotlib.ticker import PercentFormatter

from claimcheck.figures import style
from claimcheck.engine import mixed_precision, networks
from claimcheck.engine.mixed_precision import Recipe
from claimcheck.engine.number_formats import FORMATS, dtype_of, thresholds, zero_after
from claimcheck.engine.recall import recall
from claimcheck.engine.train import Data, classification, train

FIRST_SCALE, PLANTED_SCALE = 10, 40  # log2 of the loss scale at the start, and of the one that is planted
RECIPES = {
    "fp32": Recipe("fp32"),
    "fp16_pure": Recipe("fp16", stored="fp16"),
    "fp16_master": Recipe("fp16"),
    "fp16_static": Recipe("fp16", log2_scale=10, check=True),
    "fp16_dynamic": Recipe("fp16", log2_scale=24, dynamic=True, check=True),
    "bf16_pure": Recipe("bf16", stored="bf16"),
    "bf16_master": Recipe("bf16"),
    "planted_checked": Recipe("fp16", log2_scale=FIRST_SCALE, dynamic=True, check=True, planted=PLANTED_SCALE),
    "planted_unchecked": Recipe("fp16", log2_scale=FIRST_SCALE, planted=PLANTED_SCALE),
}
CHANCE = 90.0  # error of guessing among ten classes, per cent: what a run counts with that is no longer finite
EXPONENTS = range(-45, 6)
ZERO = -99  # stands for the exponent of an entry that is exactly zero


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

    half = s.steps // 2
    trace = {half + i for i in (0, 1, 4, 8, 12, 16, 20, 24, 32)} if name.startswith("planted") else set()
    judged = {s.steps // 4, s.steps}

    def measure(run: mixed_precision.Run) -> pd.DataFrame:
        finite = torch.isfinite(run.ensemble.parameters).all(1)
        loss = error = torch.full_like(run.skipped, torch.nan)  # of no interest in the trace of the scale
        if run.step in judged:
            loss = run.ensemble.map(classification, data)["loss"]
            error = run.ensemble.map(classification, test)["error"]
        return _table(run, {
            "train_loss": loss,
            "test_error": 100.0 * error,
            "log2_scale": run.scale.scale.log2(),
            "skipped": run.skipped,
            "recovery": run.recovery,
            "kept": run.kept,
            "finite": finite,
        }, ~finite)  # fmt: skip

    at = {step for step in judged | trace if step <= s.steps}
    return _fitted(runs, context, RECIPES[name], at, measure, native=context.device.type == "cuda" and name != "fp32")


run_overflow = run_recipes


def run_scales(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Train with a static loss scale 2^k and skipped steps; the share of gradient entries flushed, early and late."""
    _, test, _ = _digits(context)
    number, runs = runs["number"].iloc[0], runs.assign(learning_rate=context.settings.learning_rate)

    def measure(run: mixed_precision.Run) -> pd.DataFrame:
        _, narrow = mixed_precision.gradient(run.ensemble, run.batch, run.scale.scale)
        with mixed_precision.computed_in(run.ensemble, "fp32"):
            _, exact = mixed_precision.gradient(run.ensemble, run.batch, torch.ones_like(run.scale.scale))
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


# ---- statistics: one number per seed ----


def _value(records: pd.DataFrame, column: str, missing: float | None = None, **where) -> pd.Series:
    """`column` by seed in the rows that match; a value that is not finite counts as `missing`."""
    rows = records[np.logical_and.reduce([records[key] == wanted for key, wanted in where.items()])]
    values = rows.set_index("seed")[column].astype(float)
    return values if missing is None else values.where(np.isfinite(values), missing)


def _last(records: pd.DataFrame) -> pd.DataFrame:
    return records[records["step"] == records["step"].max()]


def threshold_error(records: pd.DataFrame) -> pd.Series:
    """Largest |log2(measured / standard)| of any overflow or underflow threshold."""
    return records.groupby("seed")[["overflow_error", "underflow_error"]].agg(lambda x: x.abs().max()).max(axis=1)


def swallowed_fp16(records: pd.DataFrame) -> pd.Series:
    """log2 of the relative update below which an fp16 weight never moves."""
    return _value(records, "always_lost", number="fp16")


def swallowed_bf16(records: pd.DataFrame) -> pd.Series:
    """The same for bf16."""
    return _value(records, "always_lost", number="bf16")


def exp_overflow(records: pd.DataFrame) -> pd.Series:
    """Smallest x whose fp32 exponential is infinite."""
    return _value(records, "exp_overflows_at", number="fp32")


def product_fp32(records: pd.DataFrame) -> pd.Series:
    """Factors of 0.1 after which an fp32 product is zero."""
    return _value(records, "zero_after", number="fp32")


def product_fp64(records: pd.DataFrame) -> pd.Series:
    """Factors of 0.1 after which an fp64 product is zero."""
    return _value(records, "zero_after", number="fp64")


def log_sum_error(records: pd.DataFrame) -> pd.Series:
    """Relative error of the fp32 sum of log-probabilities."""
    return _value(records, "log_error", number="fp32")


def log_sum_error_fp16(records: pd.DataFrame) -> pd.Series:
    """The same for fp16, log10."""
    return np.log10(_value(records, "log_error", number="fp16").clip(lower=1e-12))


def softmax_rescued(records: pd.DataFrame) -> pd.Series:
    """1 where the naive fp32 softmax is not finite and the stable one is."""
    stable, naive = (_value(records, name, number="fp32") for name in ("stable_finite", "naive_finite"))
    return stable * (1.0 - naive)


def flushed_rise(records: pd.DataFrame) -> pd.Series:
    """Largest rise of the early flushed share from one loss scale to the next larger one, up to the first overflows."""
    rows = records[(records["number"] == "fp16") & (records["step"] == 0) & (records["log2_scale"] <= 12)]
    table = rows.pivot(index="seed", columns="log2_scale", values="flushed").sort_index(axis=1)
    return table.diff(axis=1).max(axis=1)


def flushed_span(records: pd.DataFrame) -> pd.Series:
    """Early flushed share at the smallest scale less that at 2^12."""
    early = records[(records["number"] == "fp16") & (records["step"] == 0)]
    low = early["log2_scale"].min()
    return _value(early, "flushed", log2_scale=low) - _value(early, "flushed", log2_scale=12)


def flushed_bf16(records: pd.DataFrame) -> pd.Series:
    """Share of gradient entries flushed in bf16 without a loss scale, the larger of early and late."""
    rows = records[(records["number"] == "bf16") & (records["log2_scale"] == 0)]
    return rows.groupby("seed")["flushed"].max()


def late_over_early(records: pd.DataFrame) -> pd.Series:
    """log2 of the unscaled fp16 flushed share late over early; shares below 1e-4 count as 1e-4."""
    rows = records[(records["number"] == "fp16") & (records["log2_scale"] == 0)]
    table = rows.pivot(index="seed", columns="step", values="flushed").clip(lower=1e-4)
    return np.log2(table[table.columns.max()] / table[table.columns.min()])


def skipping(records: pd.DataFrame) -> pd.Series:
    """Share of steps skipped at a static scale of 2^24 less that at 2^0."""
    last = _last(records[records["number"] == "fp16"])
    return _value(last, "skipped_share", log2_scale=24) - _value(last, "skipped_share", log2_scale=0)


def overflow_at_init(records: pd.DataFrame) -> pd.Series:
    """1 where the first fp16 step of the badly initialised network is not finite."""
    return _value(records, "overflowed", number="fp16", gain=records["gain"].max())


def overflow_at_init_bf16(records: pd.DataFrame) -> pd.Series:
    """The same for bf16."""
    return _value(records, "overflowed", number="bf16", gain=records["gain"].max())


def _excess_error(records: pd.DataFrame, recipe: str, regime: str) -> pd.Series:
    """Final test error of a recipe less fp32's, points; in the small unit fp32 is what it is in the ordinary one."""
    last = _last(records)
    like = "ordinary" if regime == "small_loss" else regime
    error = _value(last, "test_error", CHANCE, recipe=recipe, regime=regime)
    return error - _value(last, "test_error", CHANCE, recipe="fp32", regime=like)


def unscaled_small(records: pd.DataFrame) -> pd.Series:
    """fp16 without scaling, loss in the small unit."""
    return _excess_error(records, "fp16_master", "small_loss")


def scaled_small(records: pd.DataFrame) -> pd.Series:
    """fp16 with a dynamic scale, loss in the small unit."""
    return _excess_error(records, "fp16_dynamic", "small_loss")


def bf16_small(records: pd.DataFrame) -> pd.Series:
    """bf16 without scaling, loss in the small unit."""
    return _excess_error(records, "bf16_master", "small_loss")


def unscaled_ordinary(records: pd.DataFrame) -> pd.Series:
    """fp16 without scaling, ordinary loss."""
    return _excess_error(records, "fp16_master", "ordinary")


def mixed_fp16(records: pd.DataFrame) -> pd.Series:
    """fp16 with a dynamic scale, ordinary loss."""
    return _excess_error(records, "fp16_dynamic", "ordinary")


def mixed_bf16(records: pd.DataFrame) -> pd.Series:
    """bf16 with fp32 weights, ordinary loss."""
    return _excess_error(records, "bf16_master", "ordinary")


def recovered_quality(records: pd.DataFrame) -> pd.Series:
    """The run with the planted overflow, ordinary loss."""
    return _excess_error(records, "planted_checked", "ordinary")


def recovery_steps(records: pd.DataFrame) -> pd.Series:
    """Steps skipped in a row from the planted overflow on."""
    return _value(_last(records), "recovery", recipe="planted_checked")


def weights_kept(records: pd.DataFrame) -> pd.Series:
    """1 where every skipped step left every weight as it was and all are finite at the end."""
    last = _last(records)
    return _value(last, "kept", recipe="planted_checked") * _value(last, "finite", recipe="planted_checked")


def unchecked_ruined(records: pd.DataFrame) -> pd.Series:
    """1 where the same overflow without the check left weights that are not finite."""
    return 1.0 - _value(_last(records), "finite", recipe="planted_unchecked")


def first_skips(records: pd.DataFrame) -> pd.Series:
    """Steps skipped in the first quarter by a dynamic scale that starts at 2^24."""
    early = records[records["step"] == records.loc[records["step"] > 0, "step"].min()]
    return _value(early, "skipped", recipe="fp16_dynamic", regime="ordinary")


def _excess_loss(records: pd.DataFrame, recipe: str, other: str) -> pd.Series:
    last = _last(records)
    at_chance = math.log(10.0)
    loss = [_value(last, "train_loss", at_chance, recipe=r, regime="small_rate") for r in (recipe, other)]
    return loss[0] - loss[1]


def pure_bf16_loss(records: pd.DataFrame) -> pd.Series:
    """Train loss with bf16 weights less that with fp32 master weights, small learning rate, nats."""
    return _excess_loss(records, "bf16_pure", "bf16_master")


def pure_fp16_loss(records: pd.DataFrame) -> pd.Series:
    """The same for fp16."""
    return _excess_loss(records, "fp16_pure", "fp16_master")


def master_loss(records: pd.DataFrame) -> pd.Series:
    """Train loss with bf16 arithmetic and fp32 master weights less that in fp32, small learning rate, nats."""
    return _excess_loss(records, "bf16_master", "fp32")


HIGH_RATES = (0.5, 1.0)
EXPLODING, VANISHING, THRESHOLD = 1.5, 0.5, 0.1


def _failed(records: pd.DataFrame, threshold: float, gain: float = EXPLODING) -> pd.Series:
    """Share of a seed's runs at the high learning rates that failed."""
    rows = records[records["learning_rate"].isin(HIGH_RATES) & (records["gain"] == gain)]
    return rows[rows["threshold"] == threshold].groupby("seed")["failed"].mean()


def failed_without(records: pd.DataFrame) -> pd.Series:
    """Share of runs at the high learning rates that fail without clipping."""
    return _failed(records, 0.0)


def failed_with(records: pd.DataFrame) -> pd.Series:
    """Share of failed runs with clipping less a fifth of the share without: negative where the ratio is below 0.2."""
    return _failed(records, THRESHOLD) - 0.2 * _failed(records, 0.0)


def failed_loose(records: pd.DataFrame) -> pd.Series:
    """The same for a ten times larger threshold."""
    return _failed(records, 10 * THRESHOLD) - 0.2 * _failed(records, 0.0)


def vanishing_same_rate(records: pd.DataFrame) -> pd.Series:
    """Vanishing network, smallest learning rate: loss on fresh series with clipping less that without, nats."""
    rows = records[(records["gain"] == VANISHING) & (records["learning_rate"] == records["learning_rate"].min())]
    chance = math.log(records["classes"].iloc[0])
    return _value(rows, "test_loss", chance, threshold=THRESHOLD) - _value(rows, "test_loss", chance, threshold=0.0)


def vanishing_best_rate(records: pd.DataFrame) -> pd.Series:
    """Vanishing network: error on fresh series with clipping less that without, each at its own rate, points."""
    rows = records[records["gain"] == VANISHING]
    return 100.0 * (_at_own_rate(rows, THRESHOLD) - _at_own_rate(rows, 0.0))


def _at_own_rate(rows: pd.DataFrame, threshold: float) -> pd.Series:
    """Test error by seed at the rate with the lowest train loss over the OTHER seeds; a diverged run is worst."""
    arm = rows[rows["threshold"] == threshold]
    worst = 1.0 - 1.0 / arm["classes"].iloc[0]
    loss = arm.pivot(index="seed", columns="learning_rate", values="train_loss").fillna(1e3)
    error = arm.pivot(index="seed", columns="learning_rate", values="test_error").fillna(worst)
    best = (loss.sum() - loss).idxmin(axis=1)
    return pd.Series({seed: error.loc[seed, rate] for seed, rate in best.items()}, name="test_error")


def fp16_slower(records: pd.DataFrame) -> pd.Series:
    """log2 of the time of an fp16 step over that of an fp32 step."""
    rows = records.set_index("seed")
    return np.log2(rows["seconds_fp16"] / rows["seconds_fp32"])


def bf16_slower(records: pd.DataFrame) -> pd.Series:
    """The same for bf16."""
    rows = records.set_index("seed")
    return np.log2(rows["seconds_bf16"] / rows["seconds_fp32"])


# ---- figures ----

FORMAT_LOOKS = ["fp32", "fp16", "bf16", "fp64"]
RECIPE_NAMES = {
    "fp32": "fp32",
    "fp16_pure": "fp16, all of it",
    "fp16_master": "fp16, fp32 weights",
    "fp16_static": "… static scale",
    "fp16_dynamic": "… dynamic scale",
    "bf16_pure": "bf16, all of it",
    "bf16_master": "bf16, fp32 weights",
}
REGIME_NAMES = {"ordinary": "ordinary", "small_loss": "loss in small units", "small_rate": "small learning rate"}


def plot_exponents(records: pd.DataFrame):
    """Histogram of gradient exponents, early and late, over the ranges of fp16 and bf16."""
    figure, axis = style.figure()
    rows = records[records["exponent"] != ZERO].assign(percent=100.0 * records["share"])
    names = {0: "at initialisation", int(rows["step"].max()): "after training"}
    style.curves(axis, rows, x="exponent", y="percent", by="step", looks=style.looks(names), labels=names)
    top, first, last = 1.05 * rows.groupby(["step", "exponent"])["percent"].mean().max(), EXPONENTS[0], EXPONENTS[-1]
    for height, low, normal, name in ((1.4, -25, -14, "fp16"), (1.2, first, first, "bf16")):
        axis.plot([normal, last], [height * top] * 2, color="black", linewidth=4, linestyle="-", marker="")
        axis.plot([low, normal], [height * top] * 2, color="black", linewidth=1.2, linestyle="-", marker="")
        axis.text(low - 0.7, height * top, name, ha="right", va="center", fontsize=8)
    axis.axvline(-25, color="black", linewidth=1.0, linestyle=":")
    axis.set(xlabel=r"exponent of the gradient entry, $\lfloor\log_2|g|\rfloor$", ylabel="share of entries / %")
    axis.set(ylim=(0, 1.5 * top), xlim=(first - 5, last + 1))
    style.note(axis, "bars: the formats' ranges, thin where precision is lost", place="left")
    style.count(axis, records)
    style.legend(axis)
    return figure


def plot_flushed(records: pd.DataFrame):
    """Flushed share against the loss scale, early and late; beside it skipped steps and test error."""
    figure, (left, right) = style.figure(1, 2, height=2.8)
    rows = records[records["number"] == "fp16"]
    names = {0: "at initialisation", int(rows["step"].max()): "after training"}
    looks = style.looks([*names, "skipped", "error"])
    trained = _last(rows).groupby("log2_scale")["test_error"].mean() < 50.0
    shown = rows[(rows["step"] == 0) | rows["log2_scale"].map(trained)]
    shown = shown.assign(percent=100 * shown["flushed"])
    style.curves(left, shown, x="log2_scale", y="percent", by="step", looks=looks, labels=names)
    left.set(xlabel=r"exponent $k$ of the loss scale $2^k$", ylabel="gradient entries flushed to 0 / %", ylim=(-3, 103))
    style.legend(left, outside=False)
    last = _last(rows)
    for column, look, label in (("skipped", "skipped", "steps skipped"), ("test_error", "error", "test error")):
        share = last["test_error"] if column == "test_error" else 100 * last["skipped_share"]
        style.curves(right, last.assign(y=share), x="log2_scale", y="y", looks={"y": looks[look]}, labels={"y": label})
    right.set(xlabel=r"exponent $k$ of the loss scale $2^k$", ylabel="share / %", ylim=(-3, 103))
    style.legend(right, outside=False)
    style.count(right, records)
    return figure


def plot_recipes(records: pd.DataFrame):
    """Final train loss by recipe, a panel per regime."""
    figure, axes = style.figure(1, 3, height=3.2, sharey=True, sharex=True)
    rows = _last(records)
    rows = rows.assign(log_loss=np.log10(rows["train_loss"].where(rows["status"] == "ok", math.log(10.0)).clip(1e-6)))
    looks = style.looks(RECIPE_NAMES)
    for axis, (regime, title) in zip(axes, REGIME_NAMES.items()):
        part = rows[rows["regime"] == regime]
        for place, recipe in enumerate(RECIPE_NAMES):
            values = part.loc[part["recipe"] == recipe, "log_loss"]
            if len(values):
                colour, places = looks[recipe]["color"], np.full(len(values), place - 0.15)
                axis.scatter(values, places, s=8, alpha=0.35, linewidth=0, color=colour)
                axis.plot(values.mean(), place + 0.12, color=colour, marker=looks[recipe]["marker"])
        axis.set(xlabel="train loss / nats", title=title)
        axis.set_xticks([-3, -2, -1, 0], ["0.001", "0.01", "0.1", "1"])
        style.theory(axis, [math.log10(math.log(10.0))] * 2, [-0.5, len(RECIPE_NAMES) - 0.5], label="guessing")
    axes[0].set_yticks(range(len(RECIPE_NAMES)), list(RECIPE_NAMES.values()))
    axes[0].invert_yaxis()
    style.count(axes[0], records)
    return figure


def plot_recovery(records: pd.DataFrame):
    """The loss scale around the planted overflow."""
    figure, axis = style.figure()
    rows = records[records["recipe"] == "planted_checked"]
    style.curves(
        axis, rows, x="step", y="log2_scale", looks=style.looks(["log2_scale"]), labels={"log2_scale": "dynamic scale"}
    )
    style.theory(axis, None, PLANTED_SCALE, label="planted scale")
    style.theory(axis, None, FIRST_SCALE, label="scale at the start", linestyle=":")
    axis.set(xlabel="step", ylabel=r"exponent $k$ of the loss scale $2^k$")
    style.count(axis, rows)
    style.legend(axis)
    return figure


def plot_clipping(records: pd.DataFrame):
    """Share of failed runs against the learning rate, with and without clipping; two initial recurrent gains."""
    figure, axes = style.figure(1, 2, height=2.8, sharey=True)
    names = {0.0: "no clipping", 1.0: "clipped at norm 1", THRESHOLD: f"clipped at norm {THRESHOLD}"}
    for axis, gain, title in zip(axes, (EXPLODING, VANISHING), ("exploding", "vanishing")):
        rows = records[records["gain"] == gain]
        y, average = ("failed", "proportion") if gain == EXPLODING else ("test_error", "mean")
        style.curves(
            axis, rows, x="learning_rate", y=y, by="threshold", looks=style.looks(names), labels=names, average=average
        )
        axis.set_xscale("log", base=2)
        axis.set(xlabel="learning rate", title=f"{title} (gain {gain})", ylim=(-0.03, 1.03))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
    axes[0].set_ylabel("failed runs / %")
    axes[1].set_ylabel("test error / %")
    axes[1].tick_params(labelleft=True)
    style.theory(axes[1], None, 1.0 - 1.0 / records["classes"].iloc[0], label="guessing")
    style.legend(axes[0], outside=False)
    style.count(axes[1], records)
    return figure


def plot_log_space(records: pd.DataFrame):
    """How many factors a product of probabilities survives, by format."""
    figure, axis = style.figure(height=2.6)
    looks, places = style.looks(FORMAT_LOOKS), ["fp16", "bf16", "fp32", "fp64"]
    for place, name in enumerate(places):
        rows = records[records["number"] == name]
        spread, look = place + np.linspace(-0.2, 0.2, len(rows)), {k: looks[name][k] for k in ("color", "marker")}
        axis.scatter(rows["likelihood_zero_after"], spread, s=10, color=look["color"], alpha=0.5, linewidth=0)
        axis.plot(rows["zero_after"].iloc[0], place, markersize=8, linestyle="", markeredgecolor="black", **look)
    axis.set_yticks(range(len(places)), places)
    axis.set(xlabel="factors after which the product is exactly 0", xscale="log", ylabel="format")
    axis.set_xticks([10, 30, 100, 300], ["10", "30", "100", "300"])
    axis.minorticks_off()
    style.note(axis, "large mark: every factor 0.1; dots: random factors, one a seed", place="left")
    style.count(axis, records)
    return figure
