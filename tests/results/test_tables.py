"""Tables of units by levels, which studies' own statistics are computed from."""

import math

import numpy as np
import pandas as pd
import pytest

from claimcheck.results.tables import by_seed, first_at_most

RECORDS = pd.DataFrame(
    [
        (seed, norm, step, (seed + 1) * step if (seed, step) != (1, 20) else math.nan)
        for seed in (1, 0)
        for norm in ("none", "batch")
        for step in (20, 10)
    ],
    columns=["seed", "norm", "step", "loss"],
)


def test_a_table_has_a_row_per_seed_and_its_levels_in_order():
    table = by_seed(RECORDS, "loss", "step", norm="none")
    assert (list(table.index), list(table.columns)) == ([0, 1], [10, 20])
    assert table.loc[0].tolist() == [10, 20]
    assert np.isnan(table.loc[1, 20]), "a run that diverged has no number unless it is said what it counts as"


def test_missing_numbers_and_those_above_the_most_count_as_is_said():
    table = by_seed(RECORDS, "loss", "step", if_diverged=100.0, at_most=15.0, norm="none")
    assert table.to_numpy().tolist() == [[10, 15], [15, 15]]
    assert by_seed(RECORDS, "loss", "step", if_diverged=math.inf, norm="none").loc[1, 20] == math.inf


def test_the_first_of_several_factors_chooses_and_a_cell_takes_lists():
    table = by_seed(RECORDS, "loss", ["norm", "step"], norm=["none", "batch"], step=[10])
    pd.testing.assert_frame_equal(table["none"], table["batch"])
    assert list(table["none"].columns) == [10]


def test_without_levels_it_is_a_series():
    found = by_seed(RECORDS, "loss", norm="batch", step=10)
    assert found.to_dict() == {0: 10, 1: 20}


def test_several_numbers_for_one_level_are_refused():
    with pytest.raises(ValueError, match="duplicate"):
        by_seed(RECORDS, "loss", "step")


def test_records_stay_as_they_were():
    before = RECORDS.copy()
    by_seed(RECORDS, "loss", "step", at_most=1.0, norm="none")
    pd.testing.assert_frame_equal(RECORDS, before)


def test_the_first_level_at_most_a_target_is_told_and_infinite_where_there_is_none():
    curves = pd.DataFrame([[3.0, 1.0, 2.0], [3.0, 3.0, math.nan]], index=[0, 1], columns=[10, 20, 30])
    assert first_at_most(curves, 2.0).to_dict() == {0: 20, 1: math.inf}
    assert first_at_most(curves, pd.Series({0: 3.0, 1: 3.0})).to_dict() == {0: 10, 1: 10}
