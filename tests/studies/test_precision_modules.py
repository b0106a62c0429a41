"""The modules of the study of precision: formats, emulated arithmetic, loss scaling, training, the recall task."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from claimcheck.engine import networks
from claimcheck.engine.context import Context, Settings
from claimcheck.spec.modules import study_module
from claimcheck.theory.number_formats import overflow_at, zero_at

FOLDER = Path(__file__).parents[2] / "studies" / "precision"
formats, mixed_precision, runs_module = (
    study_module(FOLDER, name) for name in ("number_formats", "mixed_precision", "runs")
)
FORMATS, Precision, rounded = formats.FORMATS, mixed_precision.Precision, formats.rounded


def context_of(**settings):
    where = {"device": torch.device("cpu"), "data_dir": Path("data")}
    return Context(study="precision", scale="smoke", part="recipes", settings=Settings(settings), **where)


# ---- formats ----


FORMS = {"fp16": (15, 10), "bf16": (127, 7), "fp32": (127, 23)}
"""Largest exponent and bits of the fraction, as IEEE 754 (for bf16 Intel) has them."""


@pytest.mark.parametrize("name", FORMS)
def test_thresholds_are_half_a_unit_beyond_the_largest_and_half_of_the_smallest_number(name):
    (exponent, fraction), number = FORMS[name], FORMATS[name]
    assert overflow_at(number) == (2.0 - 2.0 ** -(fraction + 1)) * 2.0**exponent
    assert zero_at(number) == 2.0 ** -(exponent + fraction)


def test_fp16_thresholds_are_the_published_ones():
    assert (overflow_at(torch.float16), zero_at(torch.float16)) == (65520.0, 2.0**-25)


@pytest.mark.parametrize("name", ["fp16", "bf16", "fp32"])
def test_measured_thresholds_equal_the_standard(name):
    found = formats.thresholds(name)
    assert found["threshold_error"] == pytest.approx(0.0, abs=1e-4)
    _, bits = FORMS[name]
    assert found["never_lost"] == pytest.approx(-(bits + 1), abs=0.01)
    assert found["always_lost"] == pytest.approx(-(bits + 2), abs=0.01)


def test_swallowed_updates_by_brute_force_in_numpy():
    weights = np.arange(1024, 2048, dtype=np.float64) / 1024
    steps = np.linspace(0.0, 2.0**-9, 2049)[1:]
    lost = np.float16(weights[:, None] + steps) == np.float16(weights)[:, None]
    largest = np.where(lost, steps, 0.0).max(1) / weights
    low, high = formats.lost_updates(torch.float16)
    assert low == pytest.approx(largest.min(), rel=5e-3)
    assert high == pytest.approx(largest.max(), rel=5e-3)


def test_exponential_overflows_where_its_logarithm_says():
    assert formats.thresholds("fp32")["exp_overflows_at"] == pytest.approx(math.log(2.0**128), abs=1e-4)
    assert formats.thresholds("fp16")["exp_overflows_at"] == pytest.approx(math.log(65520.0), abs=0.01)


@pytest.mark.parametrize(("name", "expected"), [("fp16", 8), ("bf16", 41), ("fp32", 46), ("fp64", 324)])
def test_product_of_tenths_dies_where_its_logarithm_says(name, expected):
    assert formats.zero_after(np.full(1000, 0.1), name) == expected
    half_of_smallest = 2.0 * math.log10(2.0**-537.5) if name == "fp64" else math.log10(zero_at(FORMATS[name]))
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
        return formats.RoundedMLP(
            12, [16, 16], 4, generator=torch.Generator().manual_seed(2), number=name, native=native
        )

    x, gradients, outputs = torch.randn(32, 12, generator=torch.Generator().manual_seed(3)), [], []
    for native in (False, True):
        made = network(native)
        outputs.append(made(x))
        F.cross_entropy(outputs[-1], torch.arange(32) % 4).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in made.parameters()]))
    unit = torch.finfo(FORMATS[name]).eps
    assert torch.allclose(*outputs, atol=8 * unit, rtol=0)
    assert torch.allclose(*gradients, atol=2 * unit, rtol=0)


def test_in_fp32_the_rounded_network_is_the_plain_one():
    shape = (12, [16, 16], 4)
    x = torch.randn(8, 12, generator=torch.Generator().manual_seed(4))
    plain = networks.MLP(*shape, generator=torch.Generator().manual_seed(5))
    narrow = formats.RoundedMLP(*shape, generator=torch.Generator().manual_seed(5), number="fp32")
    assert torch.equal(plain(x), narrow(x))


# ---- loss scaling and training ----


def test_dynamic_scale_follows_torchs_scaler():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.0)
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=3)
    scale, steps = torch.tensor([2.0**10]), torch.zeros(1, dtype=torch.int64)
    for good in (True, False, True, True, True, True, False, False, True, True, True, True, True, True):
        theirs.scale((weight * (1.0 if good else float("inf"))).sum()).backward()
        finite = torch.isfinite(weight.grad[None]).all(1)
        theirs.step(optimizer)
        theirs.update()
        optimizer.zero_grad()
        scale, steps = mixed_precision.next_scale(scale, steps, finite, interval=3)
        assert bool(finite) == good
        assert float(scale) == theirs.get_scale()


def tiny_training(recipe, steps=12, **columns):
    """Two members after training on 40 digits each."""
    runs, kept = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "dataset": "digits", **columns}), []

    def measure(training):
        kept.append(training)
        return pd.DataFrame({"run": runs["run"], "step": training.step})

    how = {"width": 8, "depth": 1, "batch_size": 8, "learning_rates": {"digits": 0.05}, "momentum": 0.9, "interval": 4}
    how["examples"] = {"digits": {"train": 40, "test": 10}}
    mixed_precision.train(runs, context_of(**how, steps=steps), recipe, {0, steps}, measure)
    return kept[-1]


@pytest.mark.parametrize("warmup", [0.0, 0.25])
def test_fp32_recipe_is_torchs_momentum_sgd(warmup):
    run = tiny_training(Precision("fp32"), warmup=warmup)
    context, lr = context_of(), torch.optim.lr_scheduler
    network = networks.MLP(64, [8], 10, generator=context.generator(1, "init"))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    own, order, shuffle = run.data.subset[1], [], context.generator(1, "order")
    while len(order) < 12:
        order += torch.randperm(40, generator=shuffle).view(5, 8)
    falling = lr.LinearLR(optimizer, 1.0, 0.0, total_iters=12 if warmup == 0.0 else 9)
    if warmup:
        falling = lr.SequentialLR(optimizer, [lr.LinearLR(optimizer, 1 / 3, total_iters=2), falling], milestones=[3])
    for t in range(12):
        rows = own[order[t]]
        optimizer.zero_grad()
        F.cross_entropy(network(run.data.shared["x"][rows]), run.data.shared["y"][rows]).backward()
        optimizer.step()
        falling.step()
    for name, value in network.named_parameters():
        assert torch.allclose(run.ensemble.named()[name][1], value, atol=1e-5)


def test_a_norm_computes_in_fp32_and_leaves_in_the_format():
    shape = (12, [16, 16], 4)
    x = torch.randn(8, 12, generator=torch.Generator().manual_seed(7))
    plain = networks.MLP(*shape, generator=torch.Generator().manual_seed(8), norm="layer")
    exact, narrow = (
        formats.RoundedMLP(*shape, generator=torch.Generator().manual_seed(8), number=name, norm="layer")
        for name in ("fp32", "fp16")
    )
    assert torch.equal(plain(x), exact(x))
    assert 0 < (plain(x) - narrow(x)).abs().max() < 8 * torch.finfo(torch.float16).eps
    narrow.norms[0].weight.data *= 2.0**17
    assert not torch.isfinite(narrow(x)).all(), "what a norm gives overflows like anything else"


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_the_formats_own_kernels_train_an_ensemble_as_the_emulation_does(name):
    recipe = Precision(name, log2_scale=10, dynamic=True, check=True)
    emulated = tiny_training(recipe)
    native = tiny_training(dataclasses.replace(recipe, native=True))
    start = tiny_training(recipe, steps=0)
    way = (emulated.ensemble.parameters - start.ensemble.parameters).norm()
    apart = (emulated.ensemble.parameters - native.ensemble.parameters).norm()
    assert apart < 16 * torch.finfo(FORMATS[name]).eps * way


def test_units_of_the_loss_change_nothing_in_fp32_and_bf16_and_everything_in_fp16():
    ordinary = tiny_training(Precision("fp32"))
    small = tiny_training(Precision("fp32"), log2_unit=-20.0)
    assert torch.equal(ordinary.ensemble.parameters, small.ensemble.parameters)
    wide, small = (tiny_training(Precision("bf16"), log2_unit=unit) for unit in (0.0, -20.0))
    assert torch.equal(wide.ensemble.parameters, small.ensemble.parameters), "bf16 has fp32's exponents"
    flushed = tiny_training(Precision("fp16"), log2_unit=-30.0)
    start = tiny_training(Precision("fp16"), log2_unit=-30.0, steps=0)
    assert torch.equal(flushed.ensemble.parameters, start.ensemble.parameters), "every entry is flushed"


def test_planted_overflow_is_skipped_or_fatal():
    how = {"number": "fp16", "log2_scale": 10, "planted": 40}
    checked = tiny_training(Precision(**how, dynamic=True, check=True), steps=60)
    assert torch.isfinite(checked.ensemble.parameters).all()
    assert (checked.kept == 1).all()
    assert (checked.recovery >= 40 - 26).all(), "gradients of order 2^-10 and up fit below 2^16 only from 2^26 down"
    assert (checked.recovery <= 30).all()
    ruined = tiny_training(Precision(**how), steps=60)
    assert not torch.isfinite(ruined.ensemble.parameters).all(1).any()


def test_recall_shows_the_class_at_the_first_moment_only():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [3, 3]})
    data = runs_module.recall(runs, context_of(classes=4, examples=50, length=6, noise=0.1), "recall")
    x, y = data.per_member["x"], data.per_member["y"]
    assert x.shape == (2, 50, 6, 4)
    assert torch.equal(x[0], x[1])
    assert torch.equal(x[0, :, 0].argmax(1), y[0])
    assert x[:, :, 1:].abs().max() < 1.0
