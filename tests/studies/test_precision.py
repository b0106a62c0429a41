"""The study of precision: predictions on records made by hand, figures, small and full-scale runs."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.context import Context, Settings
from claimcheck.judging.measures import evaluate
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "precision")
RUNS, STATISTICS = (study_module(STUDY.folder, name) for name in ("runs", "statistics"))
PREDICTIONS = {prediction.id: prediction for _, prediction in STUDY.predictions()}
CONTROLLED = [name for name, prediction in PREDICTIONS.items() if prediction.kind != "fact"]


def context_of(part, data_dir=Path("data"), **settings):
    where = {"device": torch.device("cpu"), "data_dir": data_dir}
    return Context(study="precision", scale="smoke", part=part, settings=Settings(settings), **where)


def answer(name, rows, scale="quick", control=None):
    """What a prediction, or one of its controls, measures on the records of its part, a number for each seed."""
    prediction = PREDICTIONS[name]
    prediction = applied(prediction, control_of(prediction, control)) if control else prediction
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(rows, **prediction.arguments)
    return evaluate(prediction.measure, rows, STUDY.at(scale)[prediction.part])


def run_part(name, scale="smoke", seeds=None, data_dir=Path("data"), fewer=None, **settings):
    """Records of one part as the runner makes them, without files; `fewer` cuts factors' values."""
    part = STUDY.at(scale)[name]
    cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (fewer or {}).items()}
    part = part.model_copy(update={"factors": {**part.factors, **cut}, "seeds": seeds or part.seeds})
    frames = []
    for piece in design.ensembles(part, design.confirmatory_runs(part), "confirm"):
        context = context_of(name, data_dir, **{**part.settings, **settings})
        raw = getattr(RUNS, STUDY.run_function(name))(piece.runs.copy(), context)
        frames.append(records.check_outcome(raw, piece.runs, part, where=name))
    return records.part_of(pd.concat(frames, ignore_index=True), name)


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
    assert answer("fp16-unscaled-small", table).to_dict() == {0: 77.0, 1: 86.0}
    assert answer("fp16-unscaled-ordinary", table, control="against").to_dict() == {0: 77.0, 1: 86.0}
    lost = table.assign(
        recipe=table["recipe"].replace("fp16_master", "planted_unchecked"), test_error=[3.0, 4.0] + 4 * [np.nan]
    )
    assert answer("fp16-unscaled-ordinary", lost, control="never").to_dict() == {0: 87.0, 1: 86.0}


def test_narrow_weights_are_compared_with_master_weights_and_these_with_fp32():
    table = rows(
        seed=[0] * 3, step=[5] * 3, recipe=["fp32", "bf16_pure", "bf16_master"], regime=["small_rate"] * 3,
        train_loss=[0.4, 0.9, 0.41],
    )  # fmt: skip
    assert answer("bf16-weights-lose-updates", table)[0] == pytest.approx(0.49)
    assert answer("master-weights-repair", table)[0] == pytest.approx(0.01)
    assert answer("master-weights-repair", table, control="against")[0] == pytest.approx(0.5)


def test_flushed_shares_are_compared_over_scales_at_the_start_and_over_time_without_a_scale():
    table = rows(
        number=["fp16"] * 6, seed=[0] * 6, step=[0, 0, 0, 7, 7, 7], log2_scale=[-24, 0, 12] * 2,
        flushed=[0.9, 0.02, 0.03, 0.5, 0.08, 0.0],
    )  # fmt: skip
    assert answer("flushing-falls-with-the-scale", table)[0] == pytest.approx(0.01)
    assert answer("flushing-falls-with-the-scale", table, control="against")[0] == pytest.approx(0.88)
    assert answer("flushing-falls-with-the-scale", table, control="never")[0] == pytest.approx(0.88)
    assert answer("flushing-is-large-at-small-scales", table)[0] == pytest.approx(0.87)
    assert answer("more-underflow-late", table)[0] == pytest.approx(2.0)
    assert answer("bf16-flushes-none", table.assign(number="bf16"))[0] == pytest.approx(0.08)


def clipping_rows(failed, test_error=0.5, train_loss=1.0):
    """Two seeds, two gains, three thresholds, three rates; `failed(threshold, rate)`."""
    rates = (0.0078125, 0.03125, 0.5, 1.0)
    cells = [(s, g, t, r, 9) for s in (0, 1) for g in (1.5, 0.5) for t in (0.0, 0.1, 1.0) for r in rates]
    table = pd.DataFrame(cells, columns=["seed", "gain", "threshold", "learning_rate", "step"])
    return table.assign(
        failed=[failed(t, r) for t, r in zip(table["threshold"], table["learning_rate"])],
        test_error=test_error, train_loss=train_loss, test_loss=1.2, classes=4.0, status="ok",
    )  # fmt: skip


def test_failures_count_at_high_rates_and_clipping_is_held_against_a_fifth_of_them():
    table = clipping_rows(lambda t, r: float(t == 0.0 and r == 1.0))
    assert answer("blow-ups-without-clipping", table).to_dict() == {0: 0.5, 1: 0.5}
    for name in ("clipping-prevents-them", "clipping-at-a-loose-threshold"):
        assert answer(name, table)[0] == pytest.approx(-0.1)
        assert answer(name, table, control="never")[0] == pytest.approx(0.4)
        assert answer(name, table, control="against")[0] == 0.5
    table = clipping_rows(lambda t, r: float(t == 0.0))
    assert answer("blow-ups-without-clipping", table)[0] == 1.0
    table = clipping_rows(lambda t, r: float(r < 0.01))
    assert answer("blow-ups-without-clipping", table, control="against")[0] == 0.5


def test_a_run_that_never_fails_is_none_that_clipping_saves():
    values = answer("clipping-prevents-them", clipping_rows(lambda t, r: 0.0))
    assert values[0] == 0.0, "on the edge of the region, not inside it"


def test_vanishing_networks_are_compared_clipped_less_unclipped_each_at_its_own_rate():
    table = clipping_rows(lambda t, r: 0.0)
    table.loc[(table["threshold"] == 0.1) & (table["learning_rate"] == 1.0), "test_error"] = 0.2
    table.loc[(table["threshold"] == 0.0) & (table["learning_rate"] == 1.0), "test_error"] = np.nan
    assert answer("clipping-best-rate-vanishing", table)[0] == pytest.approx(-30.0)
    assert answer("clipping-best-rate-vanishing", table, control="never")[0] == pytest.approx(37.5)
    assert answer("clipping-best-rate-vanishing", table, control="against")[0] == pytest.approx(-30.0)
    table.loc[table["threshold"] == 0.1, "test_loss"] = 1.5
    assert answer("clipping-same-rate-vanishing", table)[0] == pytest.approx(0.3)


def test_a_planted_overflow_is_recovered_from_or_ruins_the_weights():
    table = rows(
        seed=[0, 0], step=[5, 5], recipe=["planted_checked", "planted_unchecked"], regime=["ordinary"] * 2,
        recovery=[12.0, 0.0], kept=[1.0, 1.0], finite=[1.0, 0.0],
    )  # fmt: skip
    table.loc[1, "status"] = "diverged"
    assert answer("scaler-recovers", table)[0] == 12.0
    assert answer("no-weights-lost", table)[0] == 1.0
    assert answer("unchecked-overflow-ruins", table)[0] == 0.0
    assert answer("unchecked-overflow-ruins", table, control="never")[0] == 1.0
    assert np.isnan(answer("scaler-recovers", table, control="never")[0]), "the weights are lost: no number"
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


def test_every_prediction_gives_each_seed_a_number(smoke):
    for _, prediction in STUDY.predictions():
        found = records.part_of(smoke, prediction.part)
        if len(found):
            values = answer(prediction.id, found, "smoke")
            assert sorted(values.index) == list(STUDY.at("smoke")[prediction.part].judged_seeds), prediction.id
            assert values.notna().all(), prediction.id


@pytest.mark.parametrize("control", NAMES)
@pytest.mark.parametrize("name", CONTROLLED)
def test_every_control_has_an_answer_for_every_seed(smoke, name, control):
    found = records.part_of(smoke, control_of(PREDICTIONS[name], control).part or PREDICTIONS[name].part)
    if len(found):
        assert sorted(answer(name, found, "smoke", control).index) == [0, 1, 2, 3]


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
    whole = RUNS.run_scales(runs, context_of("scales", **part.settings))
    small = dataclasses.replace(context_of("scales", **part.settings), memory_limit=2 * 2**20)
    tiled = RUNS.run_scales(runs, small)
    assert small.notes["tiles"] > 1
    order = ["run", "step"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), tiled.sort_values(order, ignore_index=True), check_exact=True
    )


def test_full_scale_clipping_runs():
    fewer = {"gain": [1.5], "threshold": [0.1], "learning_rate": [0.5]}
    found = run_part("clipping", "full", seeds=2, fewer=fewer, steps=2, examples=32)
    assert found["seed"].tolist() == [0, 1]
