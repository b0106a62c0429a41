"""Measures on frames made by hand: each form, each option, the order of operations, and a control for each."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from claimcheck.errors import ClaimcheckError
from claimcheck.judging.measures import evaluate
from claimcheck.spec.controls import control_of
from claimcheck.spec.measures import Measure
from claimcheck.spec.models import Prediction
from claimcheck.spec.parts import Factor, Part

SEEDS = 5
FACTORS = {"norm": ["none", "batch"], "width": [4, 16, 64]}
PART = Part(factors={name: Factor(values=values) for name, values in FACTORS.items()})
INDEXED = Part(factors=PART.factors, index=["step"])
NUMBERS = st.floats(0.01, 100)


def frame(loss: Any, steps: tuple[int, ...] = ()) -> pd.DataFrame:
    """A row for each seed, cell and step; `loss` is called with seed, norm, width, step, or gives all rows in order."""
    names = ["seed", *FACTORS, *(["step"] if steps else [])]
    cells = list(itertools.product(range(SEEDS), *FACTORS.values(), *([steps] if steps else [])))
    rows = pd.DataFrame(cells, columns=names)
    values = [loss(*cell) for cell in cells] if callable(loss) else np.ravel(loss)
    return rows.assign(loss=np.asarray(values, dtype=float), status="ok")


def measured(rows: pd.DataFrame, part: Part = PART, **said: Any) -> pd.Series:
    return evaluate(Measure(**said), rows, part)


def told(rows: pd.DataFrame, part: Part = PART, **said: Any) -> str:
    with pytest.raises(ClaimcheckError) as caught:
        measured(rows, part, **said)
    return str(caught.value)


def of(norm: str, width: Any) -> dict[str, Any]:
    return {"norm": norm, "width": width}


RANDOM = np.random.default_rng(0).uniform(0.5, 3.0, (SEEDS, 2, 3))
NONE, BATCH = 0, 1


# --- the five forms ---------------------------------------------------------------------------------------------------


def test_a_value_is_the_column_in_its_cell():
    found = measured(frame(RANDOM), value="loss", of=of("batch", 16))
    assert list(found) == list(RANDOM[:, BATCH, 1])
    assert (found.dtype, found.index.name, list(found.index)) == ("float64", "seed", list(range(SEEDS)))


def test_seeds_come_in_ascending_order_whatever_the_order_of_the_rows():
    shuffled = frame(RANDOM).sample(frac=1, random_state=1)
    found = measured(shuffled, value="loss", of=of("batch", 16))
    assert list(found) == list(RANDOM[:, BATCH, 1])


def test_a_difference_pairs_the_seeds_and_needs_only_what_differs():
    found = measured(frame(RANDOM), difference="loss", of=of("batch", 4), less={"norm": "none"})
    assert list(found) == list(RANDOM[:, BATCH, 0] - RANDOM[:, NONE, 0])


@given(arrays(float, (SEEDS, 2, 3), elements=NUMBERS))
@settings(max_examples=25, deadline=None)
def test_with_the_arms_swapped_a_difference_changes_sign_and_a_ratio_is_inverted(values):
    rows = frame(values)
    one, other = of("batch", 4), of("none", 4)
    assert (
        measured(rows, difference="loss", of=one, less=other) == -measured(rows, difference="loss", of=other, less=one)
    ).all()
    assert measured(rows, ratio="loss", of=one, to=other).tolist() == pytest.approx(
        1 / measured(rows, ratio="loss", of=other, to=one).to_numpy()
    )


def test_an_arm_differs_from_itself_by_nothing():
    assert (measured(frame(RANDOM), difference="loss", of=of("batch", 4), less={}) == 0).all()
    assert (measured(frame(RANDOM), ratio="loss", of=of("batch", 4), to={}) == 1).all()


def test_a_ratio_may_be_logged_to_three_bases():
    for base, log in {True: np.log, 2: np.log2, 10: np.log10}.items():
        found = measured(frame(RANDOM), ratio="loss", of=of("batch", 4), to={"width": 64}, log=base)
        assert list(found) == list(log(RANDOM[:, BATCH, 0] / RANDOM[:, BATCH, 2]))


@given(st.floats(-3, 3), st.floats(-3, 3))
@settings(max_examples=25, deadline=None)
def test_a_slope_finds_the_line_that_was_planted(slope, level):
    rows = frame(lambda seed, norm, width: level + (slope + seed) * width)
    assert measured(rows, slope="loss", over="width", of={"norm": "none"}).tolist() == pytest.approx(
        [slope + seed for seed in range(SEEDS)], abs=1e-9
    )


def test_a_slope_of_logarithms_is_an_exponent():
    rows = frame(lambda seed, norm, width: 3.0 * width ** -(seed + 1.0))
    power = measured(rows, slope="loss", over="width", of={"norm": "none"}, log=["loss", "width"])
    assert list(power) == pytest.approx([-1, -2, -3, -4, -5])
    rows = frame(lambda seed, norm, width: np.exp(0.1 * width))
    for log in (True, ["loss"]):
        assert list(measured(rows, slope="loss", over="width", of={"norm": "none"}, log=log)) == pytest.approx(
            [0.1] * SEEDS
        )
    rows = frame(lambda seed, norm, width: np.log(width))
    assert list(measured(rows, slope="loss", over="width", of={"norm": "none"}, log=["width"])) == pytest.approx(
        [1] * SEEDS
    )


def test_a_run_with_an_infinite_value_has_no_slope_and_spoils_no_other():
    rows = frame(lambda seed, norm, width: 0.5 * width)
    rows.loc[(rows["seed"] == 0) & (rows["width"] == 16), "loss"] = np.inf
    found = measured(rows, slope="loss", over="width", of={"norm": "none"})
    assert np.isnan(found[0])
    assert found[1:].tolist() == pytest.approx([0.5] * (SEEDS - 1))


def test_a_flat_line_has_no_slope():
    assert measured(frame(lambda *_: 2.0), slope="loss", over="width", of={"norm": "none"}).tolist() == pytest.approx(
        [0] * 5
    )


def test_the_ends_left_out_of_a_slope_do_not_count_and_a_short_line_keeps_most_of_itself():
    layers = 12
    rows = pd.DataFrame(itertools.product(range(3), range(1, layers + 1)), columns=["seed", "layer"])
    part = Part(index=["layer"])
    for leave_out, first, last in [((2, 1), 3, 11), ((9, 9), 5, 10)]:
        inside = rows["layer"].between(first, last)
        bent = rows.assign(loss=np.where(inside, 0.5 * rows["layer"], 1e6), status="ok")
        assert list(measured(bent, part, slope="loss", over="layer", leave_out=leave_out)) == pytest.approx([0.5] * 3)
        one_more = rows.assign(loss=np.where(inside & (rows["layer"] != first), 0.5 * rows["layer"], 1e6), status="ok")
        assert abs(measured(one_more, part, slope="loss", over="layer", leave_out=leave_out).iloc[0]) > 1


def test_argbest_is_the_first_of_the_best_levels():
    rows = frame(lambda seed, norm, width: abs(width - (4, 16, 64, 64, 10)[seed]))
    assert list(measured(rows, argbest="loss", over="width", of={"norm": "none"})) == [4, 16, 64, 64, 4]
    assert list(measured(rows, argbest="loss", over="width", of={"norm": "none"}, best="highest")) == [64, 64, 4, 4, 64]


# --- which rows -------------------------------------------------------------------------------------------------------


def test_lowest_and_highest_are_those_of_the_rest_of_the_cell():
    rows = frame(RANDOM)
    rows = rows[~((rows["norm"] == "batch") & (rows["width"] == 64))]
    assert list(measured(rows, value="loss", of=of("batch", "highest"))) == list(RANDOM[:, BATCH, 1])
    assert list(measured(rows, value="loss", of=of("none", "highest"))) == list(RANDOM[:, NONE, 2])
    assert list(measured(rows, value="loss", of=of("none", "lowest"))) == list(RANDOM[:, NONE, 0])


def test_the_other_cell_has_the_level_that_highest_meant_in_the_first():
    rows = frame(RANDOM)
    rows = rows[~((rows["norm"] == "batch") & (rows["width"] == 64))]
    found = measured(rows, difference="loss", of=of("batch", "highest"), less={"norm": "none"})
    assert list(found) == list(RANDOM[:, BATCH, 1] - RANDOM[:, NONE, 1])


def test_levels_in_a_list_that_the_scale_does_not_run_are_left_out():
    rows = frame(RANDOM)
    found = measured(rows, value="loss", of=of("batch", [16, 64, 1024]), mean_over=["width"])
    assert list(found) == list(RANDOM[:, BATCH, 1:].mean(axis=1))


def test_numbers_match_to_a_billionth_and_words_exactly():
    rows = frame(RANDOM).astype({"width": float}).replace({"width": {4.0: 1 / 3}})
    assert list(measured(rows, value="loss", of=of("batch", 0.33333333333))) == list(RANDOM[:, BATCH, 0])
    assert "no run is in the cell" in told(rows, value="loss", of=of("batch", 0.333333))
    assert "found '{norm: Batch, width: 16}'" in told(rows, value="loss", of=of("Batch", 16))


def test_an_index_is_read_at_its_last_row_its_first_or_where_it_is_said():
    rows = frame(lambda seed, norm, width, step: 100 * seed + step, steps=(0, 10, 20))
    for at, step in {"last": 20, "first": 0}.items():
        assert list(measured(rows, INDEXED, value="loss", of=of("none", 4), at=at)) == [
            100 * s + step for s in range(5)
        ]
    there = measured(rows, INDEXED, value="loss", of=of("none", 4), at={"step": 10})
    assert list(there) == [10, 110, 210, 310, 410]
    assert there.equals(measured(rows, INDEXED, value="loss", of={**of("none", 4), "step": 10}))
    assert (
        measured(rows, INDEXED, difference="loss", of={**of("none", 4), "step": "highest"}, less={"step": 0}) == 20
    ).all()
    assert "{norm: none, width: 4, step: 15}" in told(rows, INDEXED, value="loss", of=of("none", 4), at={"step": 15})


def test_a_slope_over_an_index_takes_all_of_its_rows():
    rows = frame(lambda seed, norm, width, step: 0.5 * step, steps=(0, 10, 20))
    assert measured(rows, INDEXED, slope="loss", over="step", of=of("none", 4)).tolist() == pytest.approx([0.5] * 5)


# --- what is done to the column ---------------------------------------------------------------------------------------


def diverged(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The rows with one seed's runs diverged, a number still standing there."""
    return rows.assign(status=np.where(rows["seed"] == seed, "diverged", "ok"))


def test_a_diverged_run_is_nan_unless_it_is_said_what_it_is_worth():
    rows = diverged(frame(RANDOM))
    assert list(measured(rows, value="loss", of=of("none", 4)).isna()) == [True, False, False, False, False]
    worth = measured(rows, value="loss", of=of("none", 4), if_diverged=9.0)
    assert list(worth) == [9.0, *RANDOM[1:, NONE, 0]]
    assert measured(rows, value="loss", of=of("none", 4), if_diverged=float("inf"))[0] == np.inf


@pytest.mark.parametrize(
    "said",
    [
        {"difference": "loss", "of": of("none", 4), "less": {"norm": "batch"}},
        {"value": "loss", "of": {"norm": "none"}, "mean_over": ["width"]},
        {"value": "loss", "of": {"norm": "none"}, "max_over": ["width"]},
        {"value": "loss", "of": of("none", 4), "above": 1.0},
        {"value": "loss", "of": of("none", 4), "at_most": 1.0},
        {"slope": "loss", "of": {"norm": "none"}, "over": "width"},
        {"argbest": "loss", "of": {"norm": "none"}, "over": "width"},
    ],
)
def test_no_form_and_no_option_hides_a_diverged_run(said):
    rows = diverged(frame(RANDOM))
    rows.loc[(rows["seed"] == 0) & (rows["width"] != 4), "status"] = "ok"
    assert list(measured(rows, **said).isna()) == [True, False, False, False, False]


def test_a_missing_number_of_a_run_that_ended_well_counts_as_diverged():
    rows = frame(RANDOM)
    rows.loc[rows["seed"] == 0, "loss"] = np.nan
    assert measured(rows, value="loss", of=of("none", 4), if_diverged=7.0)[0] == 7.0


def test_clipping_comes_after_what_a_diverged_run_is_worth():
    rows = diverged(frame(lambda seed, *_: seed))
    found = measured(rows, value="loss", of=of("none", 4), if_diverged=100.0, at_least=1.5, at_most=3.0)
    assert list(found) == [3.0, 1.5, 2.0, 3.0, 3.0]


def test_the_logarithm_comes_after_clipping_and_before_the_mean():
    rows = frame(lambda seed, norm, width: {4: 0.0, 16: 10.0, 64: 1000.0}[width])
    found = measured(rows, value="loss", of={"norm": "none"}, at_least=0.1, log=10, mean_over=["width"])
    assert list(found) == pytest.approx([(-1 + 1 + 3) / 3] * SEEDS)


def test_above_and_below_are_strict_and_come_before_the_mean():
    rows = frame(lambda seed, norm, width: width)
    for side, share in {"above": 1 / 3, "below": 1 / 3}.items():
        assert (
            list(measured(rows, value="loss", of={"norm": "none"}, mean_over=["width"], **{side: 16}))
            == [share] * SEEDS
        )


def test_an_infinitely_bad_run_counts_as_failed():
    found = measured(diverged(frame(RANDOM)), value="loss", of=of("none", 4), if_diverged=float("inf"), above=100)
    assert list(found) == [1, 0, 0, 0, 0]


@pytest.mark.parametrize(("option", "function"), [("mean_over", np.mean), ("max_over", np.max), ("min_over", np.min)])
def test_levels_are_averaged_or_their_extreme_taken(option, function):
    found = measured(frame(RANDOM), value="loss", of={"norm": "batch"}, **{option: ["width"]})
    assert list(found) == pytest.approx(function(RANDOM[:, BATCH], axis=1))


def test_several_reductions_go_in_the_order_mean_max_min():
    found = measured(frame(RANDOM), value="loss", max_over=["norm"], mean_over=["width"])
    assert list(found) == pytest.approx(RANDOM.mean(axis=2).max(axis=1))
    both = measured(frame(RANDOM), value="loss", mean_over=["norm", "width"])
    assert list(both) == pytest.approx(RANDOM.mean(axis=(1, 2)))


def test_means_come_before_the_form_and_keep_levels_of_over():
    difference = measured(
        frame(RANDOM), difference="loss", of={"norm": "batch"}, less={"norm": "none"}, max_over=["width"]
    )
    assert list(difference) == list(RANDOM[:, BATCH].max(axis=1) - RANDOM[:, NONE].max(axis=1))
    slope = measured(frame(RANDOM), slope="loss", over="width", mean_over=["norm"])
    assert list(slope) == pytest.approx(np.polyfit([4, 16, 64], RANDOM.mean(axis=1).T, 1)[0])


def test_the_worst_of_several_may_be_compared_with_one():
    found = measured(
        frame(RANDOM), ratio="loss", of=of("none", [16, 64]), to={"norm": "batch", "width": 4}, max_over=["width"]
    )
    assert list(found) == list(RANDOM[:, NONE, 1:].max(axis=1) / RANDOM[:, BATCH, 0])


def test_times_plus_and_absolute_come_last_in_this_order():
    rows = frame(lambda seed, *_: seed / 4)
    assert list(measured(rows, value="loss", of=of("none", 4), times=-1, plus=1)) == [1, 0.75, 0.5, 0.25, 0]
    assert list(measured(rows, value="loss", of=of("none", 4), times=100, plus=-50, absolute=True)) == [
        50,
        25,
        0,
        25,
        50,
    ]


def test_a_peak_stands_above_both_ends_and_all_means_all():
    peaks = measured(
        frame(RANDOM), difference="loss", of=of("none", 16), less={"width": ["lowest", "highest"]}, max_over=["width"]
    )
    assert list(peaks) == list(RANDOM[:, NONE, 1] - RANDOM[:, NONE, [0, 2]].max(axis=1))
    found = measured(frame(RANDOM), difference="loss", of=of("none", 4), less={"width": "all"}, max_over=["width"])
    assert list(found) == list(RANDOM[:, NONE, 0] - RANDOM[:, NONE].max(axis=1))


# --- errors -----------------------------------------------------------------------------------------------------------


def test_more_than_one_number_a_seed_names_the_factor_and_its_levels():
    assert "several levels of width (4, 16, 64) are left" in told(frame(RANDOM), value="loss", of={"norm": "none"})
    assert "several levels of norm (none, batch) and of width (4, 16, 64) are left" in told(frame(RANDOM), value="loss")


def test_a_seed_without_rows_is_named():
    rows = frame(RANDOM)
    lacking = rows[~((rows["seed"] == 3) & (rows["norm"] == "batch"))]
    assert "a seed lacks rows in the cell; found 'seed 3: 0 of 1'" in told(lacking, value="loss", of=of("batch", 4))
    assert "'seed 3: 0 of 3'" in told(lacking, value="loss", of={"norm": "batch"}, mean_over=["width"])


def test_two_cells_are_not_averaged_over_different_levels():
    rows = frame(RANDOM)
    rows = rows[~((rows["norm"] == "batch") & (rows["width"] == 64))]
    said = {"difference": "loss", "of": {"norm": "batch"}, "less": {"norm": "none"}, "mean_over": ["width"]}
    assert "differ in their levels of width; found '[4, 16] and [4, 16, 64]'" in told(rows, **said)
    listed = {"of": of("batch", [4, 16]), "less": {"norm": "none"}, "mean_over": ["width"]}
    assert list(measured(rows, difference="loss", **listed)) == pytest.approx(
        RANDOM[:, BATCH, :2].mean(axis=1) - RANDOM[:, NONE, :2].mean(axis=1)
    )


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"value": "los", "of": of("none", 4)}, "no such column; found 'los'; did you mean 'loss'?"),
        ({"value": "loss", "of": {"nrom": "none"}}, "no such column; found 'nrom'; did you mean 'norm'?"),
        ({"value": "loss", "of": of("none", 4), "mean_over": ["depth"]}, "no such column; found 'depth'"),
        ({"slope": "loss", "over": "norm", "of": {"width": 4}}, "its levels are no numbers; found 'norm'"),
        ({"slope": "loss", "over": "width", "of": of("none", 4)}, "a slope needs two levels that count"),
    ],
)
def test_an_error_says_what_is_wrong(said, message):
    assert message in told(frame(RANDOM), **said)


def test_an_error_names_the_place_it_was_given():
    with pytest.raises(ClaimcheckError, match=r"norm-helps\.measure: the part's records have no such column"):
        evaluate(Measure(value="los", of=of("none", 4)), frame(RANDOM), PART, where="study.yaml: norm-helps.measure")


def test_arms_that_the_first_cell_does_not_name_are_not_swapped_by_themselves():
    """Laid over the first cell, what the second alone names would stay in both: an arm against itself."""
    said = {"id": "one", "says": "so", "part": "main", "region": [0, None], "why": "so"}
    named = Prediction(**said, measure={"difference": "loss", "of": of("batch", 4), "less": {"norm": "none"}})
    assert control_of(named, "against") is not None
    at = Prediction(
        **said, measure={"difference": "loss", "of": of("batch", 4), "at": {"step": 1}, "less": {"step": 3}}
    )
    assert (control_of(at, "never") is None, control_of(at, "against")) == (False, None)
