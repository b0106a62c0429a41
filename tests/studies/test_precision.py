"""The study of precision: formats, emulated arithmetic, loss scaling, statistics, figures, full-scale path."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.spec import design
from claimcheck.results import records
from claimcheck.engine.context import Context, Settings
from claimcheck.engine import mixed_precision, networks
from claimcheck.engine.data import Data
from claimcheck.engine.loss_scaling import LossScale
from claimcheck.engine.number_formats import FORMATS, RoundedMLP, lost_updates, rounded, thresholds, zero_after
from claimcheck.engine.recall import recall
from claimcheck.spec.reading import load_study

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "precision")
precision = STUDY.module


def context_of(part="recipes", data_dir=Path("data"), **settings):
    where = {"device": torch.device("cpu"), "data_dir": data_dir}
    return Context(study="precision", scale="smoke", part=part, settings=Settings(settings), **where)


def run_part(name, scale="smoke", seeds=None, data_dir=Path("data"), fewer=None, **settings):
    """Records of one part as the runner makes them, without files; `fewer` cuts factors' values."""
    part = STUDY.at(scale)[name]
    cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (fewer or {}).items()}
    part = part.model_copy(update={"factors": {**part.factors, **cut}})
    settings = {**part.settings, **settings}
    runs = design._frame(part, design.combinations(part), range(seeds or part.seeds))
    frames = []
    for piece in design.ensembles(part, runs, "confirm"):
        raw = getattr(precision, f"run_{name}")(piece.runs.copy(), context_of(name, data_dir, **settings))
        frames.append(records.check_outcome(raw, piece.runs, part, where=name))
    return records.part_of(pd.concat(frames, ignore_index=True), name)


# ---- formats ----


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_formats_are_those_of_torch(name):
    info, number = torch.finfo(FORMATS[name].dtype), FORMATS[name]
    assert number.largest == info.max
    assert number.smallest_normal == info.tiny
    assert number.epsilon == info.eps
    assert number.smallest == info.smallest_normal * info.eps


def test_fp16_thresholds_are_the_published_ones():
    number = FORMATS["fp16"]
    assert (number.largest, number.overflow_at) == (65504.0, 65520.0)
    assert (number.smallest, number.zero_at) == (2.0**-24, 2.0**-25)


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_measured_thresholds_equal_the_standard(name):
    found = thresholds(name)
    assert found["overflow_error"] == pytest.approx(0.0, abs=1e-6)
    assert found["underflow_error"] == pytest.approx(0.0, abs=1e-4)
    bits = FORMATS[name].fraction
    assert found["never_lost"] == pytest.approx(-(bits + 1), abs=0.01)
    assert found["always_lost"] == pytest.approx(-(bits + 2), abs=0.01)


def test_swallowed_updates_by_brute_force_in_numpy():
    weights = np.arange(1024, 2048, dtype=np.float64) / 1024
    steps = np.linspace(0.0, 2.0**-9, 2049)[1:]
    lost = np.float16(weights[:, None] + steps) == np.float16(weights)[:, None]
    largest = np.where(lost, steps, 0.0).max(1) / weights
    low, high = lost_updates("fp16")
    assert low == pytest.approx(largest.min(), rel=5e-3)
    assert high == pytest.approx(largest.max(), rel=5e-3)


def test_exponential_overflows_where_its_logarithm_says():
    assert thresholds("fp32")["exp_overflows_at"] == pytest.approx(math.log(2.0**128), abs=1e-4)
    assert thresholds("fp16")["exp_overflows_at"] == pytest.approx(math.log(65520.0), abs=0.01)


@pytest.mark.parametrize(("name", "expected"), [("fp16", 8), ("bf16", 41), ("fp32", 46), ("fp64", 324)])
def test_product_of_tenths_dies_where_its_logarithm_says(name, expected):
    assert zero_after(np.full(1000, 0.1), name) == expected
    half_of_smallest = 2.0 * math.log10(2.0**-537.5) if name == "fp64" else math.log10(FORMATS[name].zero_at)
    assert expected == math.ceil(-half_of_smallest)


def test_rounding_is_numpys_and_rounds_the_gradient_too():
    x = torch.cat([torch.randn(500, generator=torch.Generator().manual_seed(0)) * 10.0**k for k in (-8, -4, 0, 4)])
    with np.errstate(over="ignore"):
        assert np.array_equal(rounded(x, "fp16").numpy(), x.numpy().astype(np.float16).astype(np.float32))
    x.requires_grad_()
    (rounded(x, "fp16") * 1e-9).sum().backward()
    assert (x.grad == 0.0).all(), "1e-9 is below fp16's smallest number"
    assert torch.equal(rounded(x, "fp32"), x)


def test_rounding_under_vmap_is_rounding():
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    assert torch.equal(torch.vmap(lambda row: rounded(row, "bf16"))(x), rounded(x, "bf16"))


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_emulated_arithmetic_agrees_with_the_formats_own_kernels(name):
    def network(native):
        return RoundedMLP(12, [16, 16], 4, generator=torch.Generator().manual_seed(2), number=name, native=native)

    x, gradients, outputs = torch.randn(32, 12, generator=torch.Generator().manual_seed(3)), [], []
    for native in (False, True):
        made = network(native)
        outputs.append(made(x))
        F.cross_entropy(outputs[-1], torch.arange(32) % 4).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in made.parameters()]))
    unit = FORMATS[name].epsilon
    assert torch.allclose(*outputs, atol=8 * unit, rtol=0)
    assert torch.allclose(*gradients, atol=2 * unit, rtol=0)


def test_in_fp32_the_rounded_network_is_the_plain_one():
    shape = (12, [16, 16], 4)
    x = torch.randn(8, 12, generator=torch.Generator().manual_seed(4))
    plain = networks.MLP(*shape, generator=torch.Generator().manual_seed(5))
    narrow = RoundedMLP(*shape, generator=torch.Generator().manual_seed(5), number="fp32")
    assert torch.equal(plain(x), narrow(x))


# ---- loss scaling and training ----


def test_dynamic_scale_follows_torchs_scaler():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    ours = LossScale.start(torch.tensor([2.0**10]), dynamic=True, interval=3)
    for good in (True, False, True, True, True, True, False, False, True, True, True, True, True, True):
        theirs.scale((weight * (1.0 if good else float("inf"))).sum()).backward()
        _, finite = ours.unscale(weight.grad[None])
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        ours = ours.after(finite)
        assert bool(finite) == good
        assert float(ours.scale) == theirs.get_scale()


def tiny_training(recipe, log2_unit=0.0, steps=12, native=False):
    """Final parameters of two members on made-up data."""
    g = torch.Generator().manual_seed(6)
    data = Data({"x": torch.randn(40, 6, generator=g), "y": torch.randint(3, (40,), generator=g)})
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "learning_rate": 0.05, "log2_unit": log2_unit})
    kept = []

    def measure(run):
        kept.append(run)
        return pd.DataFrame({"run": runs["run"], "step": run.step})

    how = {"at": (0, steps), "steps": steps, "batch_size": 8, "interval": 4, "measure": measure}
    how["native"] = native
    mixed_precision.train(runs, context_of(), recipe, data, (6, [8], 3), **how)
    return kept[-1], data


def test_fp32_recipe_is_torchs_momentum_sgd():
    run, data = tiny_training(mixed_precision.Recipe("fp32"))
    context = context_of()
    network = networks.MLP(6, [8], 3, generator=context.generator(1, "init"))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    order, shuffle = [], context.generator(1, "order")
    while len(order) < 12:
        order += torch.randperm(40, generator=shuffle).view(5, 8)
    for t in range(12):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - t / 12)
        optimizer.zero_grad()
        F.cross_entropy(network(data.shared["x"][order[t]]), data.shared["y"][order[t]]).backward()
        optimizer.step()
    for name, value in network.named_parameters():
        assert torch.allclose(run.ensemble.named()[name][1], value, atol=1e-5)


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_the_formats_own_kernels_train_an_ensemble_as_the_emulation_does(name):
    recipe = mixed_precision.Recipe(name, log2_scale=10, dynamic=True, check=True)
    emulated, _ = tiny_training(recipe)
    native, _ = tiny_training(recipe, native=True)
    start, _ = tiny_training(recipe, steps=0)
    way = (emulated.ensemble.parameters - start.ensemble.parameters).norm()
    apart = (emulated.ensemble.parameters - native.ensemble.parameters).norm()
    assert apart < 16 * FORMATS[name].epsilon * way


def test_units_of_the_loss_change_nothing_in_fp32_and_everything_in_fp16():
    ordinary, _ = tiny_training(mixed_precision.Recipe("fp32"))
    small, _ = tiny_training(mixed_precision.Recipe("fp32"), log2_unit=-20.0)
    assert torch.equal(ordinary.ensemble.parameters, small.ensemble.parameters)
    flushed, _ = tiny_training(mixed_precision.Recipe("fp16"), log2_unit=-30.0)
    start, _ = tiny_training(mixed_precision.Recipe("fp16"), log2_unit=-30.0, steps=0)
    assert torch.equal(flushed.ensemble.parameters, start.ensemble.parameters), "every entry is flushed"


def test_planted_overflow_is_skipped_or_fatal():
    how = {"number": "fp16", "log2_scale": 10, "planted": 40}
    checked, _ = tiny_training(mixed_precision.Recipe(**how, dynamic=True, check=True), steps=60)
    assert torch.isfinite(checked.ensemble.parameters).all()
    assert (checked.kept == 1).all()
    assert (checked.recovery >= 40 - 26).all(), "gradients of order 2^-10 and up fit below 2^16 only from 2^26 down"
    assert (checked.recovery <= 30).all()
    ruined, _ = tiny_training(mixed_precision.Recipe(**how), steps=60)
    assert not torch.isfinite(ruined.ensemble.parameters).all(1).any()


def test_recall_shows_the_class_at_the_first_moment_only():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [3, 3]})
    data = recall(runs, context_of("clipping", classes=4, examples=50, length=6, noise=0.1), "recall")
    x, y = data.per_member["x"], data.per_member["y"]
    assert x.shape == (2, 50, 6, 4)
    assert torch.equal(x[0], x[1])
    assert torch.equal(x[0, :, 0].argmax(1), y[0])
    assert x[:, :, 1:].abs().max() < 1.0


# ---- statistics ----


def rows(**columns):
    return pd.DataFrame(columns)


def test_excess_error_is_recipe_less_fp32_and_a_lost_run_counts_as_guessing():
    table = rows(
        seed=[0, 1] * 3, step=[9] * 6, recipe=["fp32"] * 2 + ["fp16_master"] * 4,
        regime=["ordinary"] * 4 + ["small_loss"] * 2,
        test_error=[3.0, 4.0, 3.5, 3.0, 80.0, np.nan],
    )  # fmt: skip
    assert precision.unscaled_ordinary(table).to_dict() == {0: 0.5, 1: -1.0}
    assert precision.unscaled_small(table).to_dict() == {0: 77.0, 1: 86.0}


def test_master_weights_statistics_are_signed_as_they_say():
    table = rows(
        seed=[0] * 3, step=[5] * 3, recipe=["fp32", "bf16_pure", "bf16_master"], regime=["small_rate"] * 3,
        train_loss=[0.4, 0.9, 0.41],
    )  # fmt: skip
    assert precision.pure_bf16_loss(table)[0] == pytest.approx(0.49)
    assert precision.master_loss(table)[0] == pytest.approx(0.01)


def test_flushed_statistics():
    table = rows(
        number=["fp16"] * 6, seed=[0] * 6, step=[0, 0, 0, 7, 7, 7], log2_scale=[-24, 0, 12] * 2,
        flushed=[0.9, 0.02, 0.03, 0.5, 0.08, 0.0],
    )  # fmt: skip
    assert precision.flushed_rise(table)[0] == pytest.approx(0.01)
    assert precision.flushed_span(table)[0] == pytest.approx(0.87)
    assert precision.late_over_early(table)[0] == pytest.approx(2.0)
    bf16 = table.assign(number="bf16")
    assert precision.flushed_bf16(bf16)[0] == pytest.approx(0.08)


def test_skipping_is_large_scale_less_one():
    table = rows(
        number=["fp16"] * 2, seed=[0, 0], step=[7, 7], log2_scale=[0, 24], skipped_share=[0.1, 0.9], flushed=[0.0, 0.0]
    )  # fmt: skip
    assert precision.skipping(table)[0] == pytest.approx(0.8)


def clipping_rows(failed, test_error=0.5, train_loss=1.0):
    """Two seeds, two gains, three thresholds, three rates; `failed(threshold, rate)`."""
    cells = [(s, g, t, r) for s in (0, 1) for g in (1.5, 0.5) for t in (0.0, 0.1, 1.0) for r in (0.01, 0.5, 1.0)]
    table = pd.DataFrame(cells, columns=["seed", "gain", "threshold", "learning_rate"])
    return table.assign(
        failed=[failed(t, r) for t, r in zip(table["threshold"], table["learning_rate"])],
        test_error=test_error, train_loss=train_loss, test_loss=1.2, classes=4.0,
    )  # fmt: skip


def test_clipping_statistics_weigh_failures_at_high_rates():
    table = clipping_rows(lambda t, r: float(t == 0.0 and r == 1.0))
    assert precision.failed_without(table).to_dict() == {0: 0.5, 1: 0.5}
    assert precision.failed_with(table)[0] == pytest.approx(-0.1)
    assert precision.failed_loose(table)[0] == pytest.approx(-0.1)


def test_vanishing_statistics_compare_clipped_less_unclipped_each_at_its_own_rate():
    table = clipping_rows(lambda t, r: 0.0)
    table.loc[(table["threshold"] == 0.1) & (table["learning_rate"] == 0.5), ["train_loss", "test_error"]] = (0.1, 0.2)
    table.loc[(table["threshold"] == 0.0) & (table["learning_rate"] == 0.5), ["train_loss", "test_error"]] = (
        np.nan,
        np.nan,
    )
    assert precision.vanishing_best_rate(table)[0] == pytest.approx(-30.0)
    table.loc[table["threshold"] == 0.1, "test_loss"] = 1.5
    assert precision.vanishing_same_rate(table)[0] == pytest.approx(0.3)


def test_planted_and_speed_statistics():
    table = rows(
        seed=[0, 0, 0], step=[5] * 3, recipe=["planted_checked", "planted_unchecked", "fp16_dynamic"],
        regime=["ordinary"] * 3,
        recovery=[12.0, 0.0, 0.0], kept=[1.0, 1.0, 1.0], finite=[1.0, 0.0, 1.0], skipped=[13.0, 0.0, 4.0],
    )  # fmt: skip
    assert precision.recovery_steps(table)[0] == 12.0
    assert precision.weights_kept(table)[0] == 1.0
    assert precision.unchecked_ruined(table)[0] == 1.0
    assert precision.first_skips(table)[0] == 4.0
    times = rows(seed=[0], seconds_fp32=[1.0], seconds_fp16=[4.0], seconds_bf16=[0.5])
    assert precision.fp16_slower(times)[0] == 2.0
    assert precision.bf16_slower(times)[0] == -1.0


# ---- the whole of it, small ----


def test_every_statistic_gives_each_seed_once(smoke):
    for _, prediction in STUDY.predictions():
        rows = records.part_of(smoke, prediction.part)
        if len(rows):
            values = getattr(precision, prediction.statistic)(rows)
            assert sorted(values.index) == [0, 1, 2, 3], prediction.id
            assert values.notna().all(), prediction.id


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(smoke, drawn_well, figure):
    drawn_well(STUDY, figure, smoke)


def test_shares_of_exponents_add_up_to_one(smoke):
    total = records.part_of(smoke, "exponents").groupby(["run", "step"])["share"].sum()
    assert np.allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("part", "fewer"),
    [
        ("recipes", {"recipe": ["fp32", "fp16_dynamic"], "regime": ["ordinary"]}),
        ("scales", {"number": ["fp16"], "log2_scale": [0]}),
        ("exponents", {}),
        ("bad_init", {}),
    ],
)
def test_full_scale_code_runs_on_fashion_mnist(part, fewer, fashion):
    small = {"width": 16, "depth": 1, "batch_size": 16, "steps": 2, "interval": 1}
    found = run_part(part, "full", seeds=2, data_dir=fashion, fewer=fewer, **small)
    assert found["seed"].unique().tolist() == [0, 1]
    assert not found.empty


def test_training_in_tiles_changes_no_bit():
    part = STUDY.at("smoke")["scales"]
    runs = design.confirmatory_runs(part)
    runs = runs[runs["number"] == "fp16"].reset_index(drop=True)
    whole = precision.run_scales(runs, context_of("scales", **part.settings))
    small = dataclasses.replace(context_of("scales", **part.settings), memory_limit=2 * 2**20)
    tiled = precision.run_scales(runs, small)
    assert small.notes["tiles"] > 1
    order = ["run", "step"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), tiled.sort_values(order, ignore_index=True), check_exact=True
    )


def test_full_scale_clipping_runs():
    fewer = {"gain": [1.5], "threshold": [0.1], "learning_rate": [0.5]}
    found = run_part("clipping", "full", seeds=2, fewer=fewer, steps=2, examples=32)
    assert found["seed"].tolist() == [0, 1]
