"""The tuning rule on pilots made by hand: what is chosen, how far a grid extends itself, which arms have failed."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.running.remarks import of_no_effect
from claimcheck.running.tuning import MOST_ADDED, beyond, choose, with_choice
from claimcheck.spec import design
from claimcheck.spec.parts import Factor, ScaledPart, Tune


def part(values, arms=("a", "b"), **changes):
    """A part of which each arm tunes a rate on two pilot units."""
    tune = {"factor": "rate", "values": list(values), "minimise": "loss", "seeds": 2, **changes}
    factors = {"arm": Factor(values=list(arms))}
    return ScaledPart(name="main", seeds=3, factors=factors, tune=Tune.model_validate(tune))


def piloted(one, loss):
    """Pilots of which each has the loss that `loss(arm, rate)` says; NaN is a run that diverged."""
    runs = design.pilot_runs(one)
    values = np.array([loss(run.arm, run.rate) for run in runs.itertuples()], dtype=float)
    return runs.assign(loss=values, status=np.where(np.isnan(values), "diverged", "ok"))


def tuned(one, loss):
    """The table after the grid has extended itself as far as it will, and how often it did."""
    pilots, values, rounds = [], list(one.tune.values), 0
    while values:
        grid = one.model_copy(update={"tune": one.tune.model_copy(update={"values": values})})
        pilots.append(piloted(grid, loss))
        table = choose(pd.concat(pilots, ignore_index=True), one, "here")
        values, rounds = beyond(table, one), rounds + 1
    return table, rounds - 1


def valley(**best):
    """A loss that is least at an arm's best rate."""
    return lambda arm, rate: abs(math.log(rate / best[arm]))


def chosen(table):
    return table[table["chosen"]].set_index("arm")["rate"].to_dict()


@pytest.mark.parametrize(
    ("loss", "remarked"),
    [
        (lambda arm, rate: {"a": 0.5, "b": 0.7}[arm], True),
        (lambda arm, rate: 0.5 if arm == "a" else rate, False),
        (lambda arm, rate: float("nan"), False),
    ],
    ids=["no arm reads it", "one arm does", "all diverged"],
)
def test_a_tuned_factor_that_changes_no_score_is_remarked(loss, remarked):
    one = part([0.1, 0.2, 0.4])
    assert bool(of_no_effect(choose(piloted(one, loss), one, "here"), one)) == remarked


def test_a_choice_inside_extends_nothing():
    table, rounds = tuned(part([0.1, 0.2, 0.4]), valley(a=0.2, b=0.2))
    assert (chosen(table), rounds) == ({"a": 0.2, "b": 0.2}, 0)
    assert not table["at_edge"].any()


def test_a_grid_extends_itself_until_every_choice_is_inside_for_all_arms():
    table, rounds = tuned(part([0.1, 0.2, 0.4]), valley(a=0.05, b=1.6))
    assert chosen(table) == {"a": 0.05, "b": 1.6}
    assert rounds == 3, "0.025 and 0.05 below, 0.8, 1.6 and 3.2 above"
    tried = table.groupby("arm")["rate"].apply(list)
    assert tried["a"] == tried["b"] == [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
    assert not table["at_edge"].any()


@pytest.mark.parametrize("values", [[0.9, 0.99, 0.995, 0.999], [0.1, 0.1001]])
def test_a_grid_whose_values_lie_close_together_comes_to_an_end(values):
    """Rounded to three digits the next value may be one that was tried."""
    table, _ = tuned(part(values), valley(a=1e-9, b=1e9))
    assert table.groupby("arm").size().max() <= len(values) + MOST_ADDED + 1
    assert not table.duplicated(["arm", "rate"]).any()


def test_it_goes_on_by_the_ratio_of_its_last_two_values():
    one = part([0.1, 0.2, 0.8], extend=100)
    assert beyond(choose(piloted(one, valley(a=0.01, b=50)), one, "here"), one) == [0.05, 3.2]


@pytest.mark.parametrize(("extend", "last"), [(10, 3.2), (8, 3.2), (4, 1.6), (1.5, 0.4), (1, 0.4)])
def test_it_extends_no_farther_than_the_bound(extend, last):
    table, _ = tuned(part([0.1, 0.2, 0.4], extend=extend), valley(a=0.2, b=1e9))
    assert table["rate"].max() == last
    edge = table[table["at_edge"]]
    assert (edge["arm"].tolist(), edge["rate"].tolist()) == (["b"], [last])


@pytest.mark.parametrize(
    ("values", "extend", "grid"),
    [
        ([2, 4, 8], 4, [1, 2, 4, 8, 16, 32]),
        ([3, 10], 10, [1, 3, 10, 33]),
        ([1, 2], 2, [1, 2, 4]),
        ([10, 12], 1.5, [8, 10, 12, 14, 16, 18]),
    ],
)
def test_whole_numbers_go_on_by_whole_ones_and_stay_whole(values, extend, grid):
    """Half an epoch is none."""
    one = part(values, extend=extend)
    table, _ = tuned(one, valley(a=1e-9, b=1e9))
    assert table[table["arm"] == "a"]["rate"].tolist() == grid
    offered = beyond(choose(piloted(one, valley(a=1e-9, b=1e9)), one, "here"), one)
    assert {type(value) for value in offered} == {int}
    runs = with_choice(design.confirmatory_runs(one), table, one)
    assert pd.api.types.is_integer_dtype(runs["rate"])


def test_numbers_of_which_one_has_a_point_go_on_by_fractions():
    table, _ = tuned(part([2, 4.0], extend=4), valley(a=1e-9, b=1e9))
    assert table[table["arm"] == "a"]["rate"].tolist() == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0]


def test_an_arm_of_which_all_rates_fail_has_failed_and_asks_for_lower_ones_alone():
    def loss(arm, rate):
        return math.nan if arm == "b" else abs(math.log(rate / 0.2))

    table, _ = tuned(part([0.1, 0.2, 0.4]), loss)
    assert table.groupby("arm")["failed"].all().to_dict() == {"a": False, "b": True}
    assert sorted(table["rate"].unique()) == [0.0125, 0.025, 0.05, 0.1, 0.2, 0.4]
    assert chosen(table) == {"a": 0.2, "b": 0.0125}
    assert np.isinf(table[table["arm"] == "b"]["score"]).all()


def test_an_arm_that_fails_at_the_given_rates_may_work_at_lower_ones():
    def loss(arm, rate):
        return math.nan if rate > 0.06 else abs(math.log(rate / 0.02))

    table, _ = tuned(part([0.1, 0.2], extend=100), loss)
    assert not table["failed"].any()
    assert chosen(table) == {"a": 0.025, "b": 0.025}


@pytest.mark.parametrize("values", [["plain", "cosine"], [0.1], [-1.0, 1.0], [0.0, 0.1]])
def test_words_single_values_and_what_is_not_positive_are_not_extended(values):
    one = part(values)
    losses = {value: place for place, value in enumerate(values)}
    assert beyond(choose(piloted(one, lambda arm, rate: losses[rate]), one, "here"), one) == []


def test_words_are_chosen_too_and_what_is_to_be_large_is_the_largest():
    one = part(["plain", "cosine"], minimise=None, maximise="loss")
    found = choose(piloted(one, lambda arm, rate: (arm == "a") == (rate == "cosine")), one, "here")
    assert chosen(found) == {"a": "cosine", "b": "plain"}


def test_of_equals_the_first_is_taken_and_a_lost_run_is_the_worst():
    one = part([0.1, 0.2, 0.4])
    assert chosen(choose(piloted(one, lambda arm, rate: 1.0), one, "here")) == {"a": 0.1, "b": 0.1}
    pilots = piloted(one, lambda arm, rate: rate)
    first = pilots["seed"].min()
    lost = pilots.assign(status=np.where((pilots["rate"] == 0.1) & (pilots["seed"] == first), "diverged", "ok"))
    table = choose(lost, one, "here")
    assert chosen(table) == {"a": 0.2, "b": 0.2}
    assert table[table["rate"] == 0.1]["diverged"].tolist() == [0.5, 0.5]


def losing(one, shares):
    """Pilots of eight seeds that lose, at each rate, that number of them."""
    one = one.model_copy(update={"tune": one.tune.model_copy(update={"seeds": 8})})
    pilots = piloted(one, lambda arm, rate: rate)
    lost = pilots["seed"] - pilots["seed"].min() < pilots["rate"].map(shares)
    return choose(pilots.assign(status=np.where(lost, "diverged", "ok")), one, "here")


@pytest.mark.parametrize(
    ("shares", "best"),
    [
        ({0.1: 8, 0.2: 3, 0.4: 1}, 0.4),
        ({0.1: 8, 0.2: 1, 0.4: 3}, 0.2),
        ({0.1: 1, 0.2: 1, 0.4: 1}, 0.1),
        ({0.1: 8, 0.2: 8, 0.4: 8}, 0.1),
        ({0.1: 1, 0.2: 8, 0.4: 0}, 0.4),
    ],
)
@pytest.mark.parametrize("goal", ["minimise", "maximise"])
def test_where_every_rate_lost_a_pilot_the_one_that_lost_least_is_taken(shares, best, goal):
    """A lost run is worse than any number, so all scores are alike; the grid then goes on towards what trains."""
    one = part([0.1, 0.2, 0.4], **({"minimise": None} | {goal: "loss"}))
    table = losing(one, shares)
    assert chosen(table) == {"a": best, "b": best}
    assert table["failed"].all() == (set(shares.values()) == {8})
    assert beyond(table, one) == {0.1: [0.05], 0.2: [], 0.4: [0.8]}[best]


def test_a_run_of_several_rows_needs_an_index():
    """An outcome may hold whole numbers that nothing declares; which row is the last nobody knows then."""
    one = part([0.1, 0.2])
    pilots = pd.concat([piloted(one, lambda arm, rate: rate).assign(step=step) for step in (0, 5, 9)])
    with pytest.raises(ClaimcheckError, match=r"^here: parts.main: a run has several rows.*`index`; found '3 rows"):
        choose(pilots, one, "here")


def test_the_last_row_of_a_run_counts():
    one = part([0.1, 0.2]).model_copy(update={"index": ["step"]})
    early = piloted(one, lambda arm, rate: rate).assign(step=0)
    late = piloted(one, lambda arm, rate: -rate).assign(step=9)
    assert chosen(choose(pd.concat([late, early]), one, "here")) == {"a": 0.2, "b": 0.2}


def test_an_arm_may_span_factors():
    one = part([0.1, 0.2, 0.4], within=[])
    found = choose(piloted(one, valley(a=0.1, b=0.4)), one, "here")
    assert found["chosen"].sum() == 1
    runs = with_choice(design.confirmatory_runs(one), found, one)
    assert runs["rate"].nunique() == 1


def test_judged_runs_get_their_arms_choice():
    one = part([0.1, 0.2, 0.4])
    runs = with_choice(design.confirmatory_runs(one), choose(piloted(one, valley(a=0.1, b=0.4)), one, "here"), one)
    assert runs.groupby("arm")["rate"].unique().map(list).to_dict() == {"a": [0.1], "b": [0.4]}
    assert len(runs) == 6


def test_a_column_that_pilots_lack_is_told():
    one = part([0.1, 0.2])
    with pytest.raises(ClaimcheckError, match=r"tune names a column that the runs do not return.*'loss'"):
        choose(piloted(one, valley(a=1, b=1)).drop(columns="loss"), one, "here")
