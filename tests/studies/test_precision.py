"""The study of precision: predictions on records made by hand, figures, small and full-scale runs."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest

from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of

from .asking import Asked

ASKED = Asked("precision")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part, context_of = ASKED.answer, ASKED.run_part, ASKED.context
RUNS = ASKED.module("runs")


# ---- predictions on records made by hand ----


def rows(**columns):
    return pd.DataFrame(columns).assign(status="ok")


def test_a_recipe_is_compared_with_fp32_in_the_ordinary_unit_and_a_lost_run_counts_as_guessing():
    table = rows(
        seed=[0, 1] * 3, step=[9] * 6, recipe=["fp32"] * 2 + ["fp16_master"] * 4,
        regime=["ordinary"] * 4 + ["small_loss"] * 2,
        test_error=[3.0, 4.0, 3.5, 3.0, 80.0, np.nan],
    )  # fmt: skip
    assert answer("fp16-unscaled-ordinary", table).to_dict() == {0: 0.5, 1: -1.0}
    assert answer("fp16-unscaled-ordinary", table, control="against").to_dict() == {0: -0.5, 1: 1.0}
    assert answer("fp16-unscaled-small", table).to_dict() == {0: 77.0, 1: 86.0}
    assert answer("fp16-scaled-small", table, control="never").to_dict() == {0: 77.0, 1: 86.0}, "unscaled"
    lost = table.iloc[:4].assign(recipe=["fp32"] * 2 + ["planted_unchecked"] * 2, test_error=[3.0, 4.0, np.nan, np.nan])
    assert answer("recovered-run-is-as-good", lost, control="never").to_dict() == {0: 87.0, 1: 86.0}
    scaled = table.iloc[:4].assign(recipe=["fp16_master"] * 2 + ["fp16_dynamic"] * 2)
    assert answer("scaling-on-the-ordinary-loss", scaled).to_dict() == {0: -0.5, 1: 1.0}


def test_early_overflow_is_that_of_the_first_rows_and_of_the_worst_network():
    table = rows(
        seed=[0] * 4, step=[37, 37, 150, 150], recipe=["fp16_dynamic"] * 4, regime=["ordinary"] * 4,
        network=[0, 1] * 2, skipped=[0.0, 1.0, 0.0, 3.0],
    )  # fmt: skip
    assert answer("ordinary-overflow-early", table)[0] == 1.0
    start = table[table["network"] == 0].assign(recipe="planted_checked", skipped=[0.0, 22.0])
    assert answer("ordinary-overflow-early", start, control="against")[0] == 0.0


def test_mixed_precision_is_compared_with_fp32_in_the_mean_of_several_networks():
    table = rows(
        seed=[0] * 4, step=[9] * 4, recipe=["fp32", "fp32", "fp16_dynamic", "fp16_dynamic"], regime=["ordinary"] * 4,
        network=[0, 1, 0, 1], test_error=[3.0, 5.0, 6.0, 3.0],
    )  # fmt: skip
    assert answer("fp16-mixed-equals-fp32", table)[0] == 0.5


def test_narrow_weights_are_compared_with_master_weights_and_these_with_fp32():
    table = rows(
        seed=[0] * 3, step=[5] * 3, recipe=["fp32", "bf16_pure", "bf16_master"], regime=["small_rate"] * 3,
        train_loss=[0.4, 0.9, 0.41],
    )  # fmt: skip
    assert answer("bf16-weights-lose-updates", table)[0] == pytest.approx(0.49)
    assert answer("master-weights-repair", table)[0] == pytest.approx(0.01)
    assert answer("master-weights-repair", table, control="against")[0] == pytest.approx(0.5)


def test_flushed_shares_are_compared_over_scales_at_the_start_and_over_time_where_both_are_above_zero():
    table = rows(
        number=["fp16"] * 6, seed=[0] * 6, step=[0, 0, 0, 7, 7, 7], log2_scale=[-24, -12, 12] * 2,
        flushed=[0.9, 0.02, 0.03, 0.5, 0.08, 0.0],
    )  # fmt: skip
    assert answer("flushing-falls-with-the-scale", table)[0] == pytest.approx(0.01)
    assert answer("more-underflow-late", table)[0] == pytest.approx(2.0)
    assert answer("more-underflow-late", table, control="never")[0] == 0.0
    assert answer("bf16-flushes-none", table.assign(number="bf16", log2_scale=0).iloc[[1, 4]])[0] == pytest.approx(0.08)


def clipping_rows(failed):
    """Two seeds, three thresholds, two rates; `failed(threshold, rate)`."""
    cells = [(s, t, r, 9) for s in (0, 1) for t in (0.0, 0.1, 1.0) for r in (0.5, 1.0)]
    table = pd.DataFrame(cells, columns=["seed", "threshold", "learning_rate", "step"])
    return table.assign(failed=[failed(t, r) for t, r in zip(table["threshold"], table["learning_rate"])], status="ok")


def test_clipping_is_held_against_a_fifth_of_the_failures():
    table = clipping_rows(lambda t, r: float(t == 0.0 and r == 1.0))
    for name in ("clipping-prevents-them", "clipping-at-a-loose-threshold"):
        assert answer(name, table)[0] == pytest.approx(-0.1)
        assert answer(name, table, control="never")[0] == pytest.approx(0.4)
        assert answer(name, table, control="against")[0] == 0.5
    never = answer("clipping-prevents-them", clipping_rows(lambda t, r: 0.0))
    assert never[0] == 0.0, "a run that never fails is none that clipping saves: outside the region"


def test_vanishing_networks_are_compared_clipped_less_unclipped_each_at_its_own_rate():
    table = rows(seed=[0, 0], step=[9, 9], threshold=[0.0, 0.1], learning_rate=[0.1, 1.0], test_error=[np.nan, 0.2])
    assert answer("clipping-does-nothing-for-vanishing", table)[0] == pytest.approx(-70.0)


def test_remedies_are_counted_over_rates_with_usual_weights_and_apart_with_large_ones():
    cells = [(r, g, lr) for r in ("none", "warmup", "norm") for g in (1.0, 2.0, 4.0) for lr in (0.1, 1.6)]
    table = pd.DataFrame(cells, columns=["remedy", "gain", "learning_rate"]).assign(seed=0, status="ok")
    lost = (table["remedy"] == "none") | ((table["remedy"] == "warmup") & (table["gain"] == 4.0))
    table = table.assign(lost=lost.astype(float), failed=(table["remedy"] != "norm").astype(float))
    usual, large = table[table["gain"] == 1.0], table[table["gain"] > 1.0]
    assert answer("warmup-prevents-overflow", usual)[0] == 1.0
    assert answer("norm-prevents-overflow", usual)[0] == 1.0
    assert answer("warmup-with-large-weights", large)[0] == 0.5
    assert answer("norm-with-large-weights", large)[0] == 1.0
    assert answer("warmup-saves-training", usual)[0] == 0.0
    assert answer("norm-saves-training", usual)[0] == 1.0
    assert answer("norm-prevents-overflow", usual, control="against")[0] == -1.0


def test_without_checks_what_overflows_is_lost_and_a_norm_keeps_it():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [0, 1], "dataset": "digits", "gain": 4.0, "learning_rate": 0.2})
    part = STUDY.at("quick")["remedies"]
    settings = {**part.settings, "examples": {"digits": {"train": 200, "test": 50}}, "steps": 40}
    lost = {
        remedy: RUNS.run_remedies(runs.assign(remedy=remedy), context_of("remedies", **settings))["lost"].mean()
        for remedy in ("none", "norm")
    }
    assert lost == {"none": 1.0, "norm": 0.0}


def test_a_planted_overflow_is_recovered_from_or_ruins_the_weights():
    table = rows(
        seed=[0, 0], step=[5, 5], recipe=["planted_checked", "planted_unchecked"], regime=["ordinary"] * 2,
        recovery=[12.0, 0.0], kept=[1.0, 1.0], finite=[1.0, 0.0],
    )  # fmt: skip
    table.loc[1, "status"] = "diverged"
    assert answer("scaler-recovers", table)[0] == 12.0
    assert answer("no-weights-lost", table)[0] == 1.0
    assert answer("unchecked-overflow-ruins", table)[0] == 0.0
    lost = table.assign(finite=[0.0, 1.0], status=["diverged", "ok"])
    assert answer("no-weights-lost", lost)[0] == 0.0
    assert answer("unchecked-overflow-ruins", lost)[0] == 1.0


def test_times_are_compared_with_fp32_in_doublings():
    times = rows(seed=[0, 0, 0], number=["fp32", "fp16", "bf16"], seconds=[1.0, 4.0, 0.5])
    assert answer("fp16-on-a-cpu", times)[0] == 2.0
    assert answer("bf16-on-a-cpu", times)[0] == -1.0
    assert answer("fp16-on-a-cpu", times, control="against")[0] == -2.0
    assert answer("bf16-on-a-cpu", times, control="never")[0] == 0.0


# ---- the whole of it, small ----


def on(rows, prediction, data):
    """The rows of the prediction's part, on one data set."""
    found = records.part_of(rows, prediction.part)
    return found if data is None else found[found["dataset"] == data].reset_index(drop=True)


CASES = [(name, data) for name, each in PREDICTIONS.items() for data in each.on or [None] if data != "fashion_mnist"]


@pytest.mark.parametrize(("name", "data"), CASES)
def test_every_prediction_and_control_gives_each_seed_a_number(smoke, name, data):
    prediction = PREDICTIONS[name]
    if records.part_of(smoke, prediction.part).empty:
        pytest.skip(f"part {prediction.part} is not run here")
    seeds = sorted(records.part_of(smoke, prediction.part)["seed"].unique())
    assert sorted(answer(name, on(smoke, prediction, data), "smoke").index) == seeds
    for control in NAMES if prediction.kind != "fact" else ():
        asked = applied(prediction, control_of(prediction, control))
        assert sorted(answer(name, on(smoke, asked, data), "smoke", control=control).index) == sorted(
            smoke["seed"].unique()
        )


def test_networks_of_a_unit_share_its_data_and_nothing_else(smoke):
    errors = records.part_of(smoke, "equality").query("recipe == 'fp32' and dataset == 'digits'")
    assert (errors.groupby(["seed", "step"])["train_loss"].nunique() == 2).all()


def test_margins_lie_between_the_steps_of_the_test_error():
    """It moves in steps of one example, its mean over six networks in sixths of that."""
    parts = STUDY.at("full")
    for prediction in PREDICTIONS.values():
        if prediction.kind == "fact" or prediction.unit != "points of test error":
            continue
        examples = parts[prediction.part].settings["examples"]  # of each data set, or one number for all of them
        sizes = [each["test"] for each in examples.values()] if isinstance(examples, dict) else [examples]
        for edge, size in itertools.product(filter(None, prediction.region), sizes):
            steps = edge * size * 6 / 100
            assert abs(steps - round(steps)) > 0.01, (prediction.id, size)


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_shares_of_exponents_add_up_to_one(smoke):
    total = records.part_of(smoke, "exponents").groupby(["run", "step"])["share"].sum()
    assert np.allclose(total, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    ("part", "fewer"),
    [
        ("recipes", {"recipe": ["fp32", "fp16_dynamic"], "regime": ["ordinary"]}),
        ("equality", {"recipe": ["fp16_dynamic"], "network": [0, 1]}),
        ("scales", {"number": ["fp16"], "log2_scale": [0]}),
        ("remedies", {"remedy": ["norm"], "gain": [1.0], "learning_rate": [0.1]}),
        ("exponents", {}),
        ("bad_init", {}),
    ],
)
def test_full_scale_code_runs_on_fashion_mnist(part, fewer, fashion):
    examples = {"fashion_mnist": {"train": 100, "test": 30}}
    small = {"width": 16, "depth": 1, "batch_size": 16, "steps": 2, "interval": 1, "examples": examples}
    found = run_part(part, "full", seeds=2, data_dir=fashion, factors={**fewer, "dataset": ["fashion_mnist"]}, **small)
    assert found["seed"].unique().tolist() == [STUDY.first_seed(), STUDY.first_seed() + 1]
    assert not found.empty


def test_training_in_tiles_changes_no_bit():
    part = STUDY.at("smoke")["scales"]
    runs = design.confirmatory_runs(part)
    runs = runs[(runs["number"] == "fp16") & (runs["dataset"] == "digits")].reset_index(drop=True)
    whole = RUNS.run_scales(runs, context_of("scales", **part.settings))
    small = dataclasses.replace(context_of("scales", **part.settings), memory_limit=2**18)
    tiled = RUNS.run_scales(runs, small)
    assert small.notes["tiles"] > 1
    order = ["run", "step"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), tiled.sort_values(order, ignore_index=True), check_exact=True
    )


def test_full_scale_clipping_runs():
    fewer = {"threshold": [0.1], "learning_rate": [0.5]}
    found = run_part("clipping", "full", seeds=2, factors=fewer, steps=2, examples=32)
    assert found["seed"].tolist() == [STUDY.first_seed(), STUDY.first_seed() + 1] * 2


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
