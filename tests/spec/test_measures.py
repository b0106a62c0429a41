"""What a measure may say: one form, keys that belong to it, and names and levels that its part has."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from claimcheck.spec.cells import resolved, same_level
from claimcheck.spec.measures import Measure, faults
from claimcheck.spec.parts import Factor, Part, Tune

PART = Part(
    factors={"norm": Factor(values=["none", "batch"]), "gain": Factor(values=[1.0, 4.0])},
    tune=Tune(factor="learning_rate", values=[0.1], minimise="train_loss"),
    index=["step"],
)
SMALL = PART.model_copy(update={"factors": {**PART.factors, "gain": Factor(values=[1.0])}})


def fault_of(**said) -> str:
    with pytest.raises(ValidationError) as caught:
        Measure(**said)
    return caught.value.errors()[0]["msg"]


def test_a_measure_has_one_form_with_its_column():
    measure = Measure(difference="train_loss", of={"norm": "batch"}, less={"norm": "none"})
    assert (measure.form, measure.column, measure.second) == ("difference", "train_loss", {"norm": "none"})


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({}, "give one of value, difference, ratio, slope, argbest, with the column that is measured"),
        ({"value": "a", "ratio": "b", "to": {}}, "give one form, not value and ratio"),
        ({"difference": "a"}, "the form difference needs less"),
        ({"ratio": "a", "less": {"norm": "none"}}, "less does not belong to the form ratio"),
        ({"slope": "a"}, "the form slope needs over"),
        ({"argbest": "a", "over": "gain", "leave_out": [1, 1]}, "leave_out does not belong to the form argbest"),
        ({"value": "a", "over": "gain"}, "over does not belong to the form value"),
        ({"value": "a", "best": "highest"}, "best belongs to argbest"),
        ({"value": "a", "above": 1.0, "below": 2.0}, "give above or below, not both"),
        ({"value": "a", "mean_over": ["gain"], "max_over": ["gain"]}, "gain is given more than once"),
        ({"value": "a", "log": 3}, "must be true (natural), 2 or 10"),
        ({"value": "a", "log": ["a"]}, "a list under log belongs to a slope"),
        ({"slope": "a", "over": "gain", "log": ["b"]}, "a list under log belongs to a slope and names its column"),
        ({"value": "a", "at": "end"}, "must be last, first, or an index with its value"),
        ({"value": "a", "times": float("inf")}, "Input should be a finite number"),
        ({"value": "a", "if_diverged": float("nan")}, "must be a number"),
    ],
)
def test_each_fault_is_one_sentence(said, told):
    assert told in fault_of(**said)


def test_a_misspelt_key_is_told_as_such_even_when_it_is_the_form():
    with pytest.raises(ValidationError) as caught:
        Measure(diference="train_loss", of={"gain": 1})
    assert [fault["type"] for fault in caught.value.errors()] == ["extra_forbidden"]


def test_what_a_diverged_run_is_worth_may_be_infinite():
    assert Measure(value="a", if_diverged=float("inf")).if_diverged == float("inf")


def test_a_measure_that_fits_its_part_has_no_faults():
    said = {
        "of": {"norm": "batch", "gain": "highest", "learning_rate": 0.1},
        "less": {"norm": "none"},
        "at": {"step": 5},
    }
    assert faults(Measure(difference="train_loss", **said), PART, SMALL) == []


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (
            {"nrom": "batch"},
            "nrom is no factor or index of the part, which has norm, gain, learning_rate, step; did you",
        ),
        ({"norm": "layer"}, "norm does not have the level layer, only none, batch"),
        ({"norm": "highest"}, "norm does not have the level highest"),
        ({"gain": 2}, "gain does not have the level 2, only 1.0, 4.0"),
        ({"gain": [1.0, 2.0]}, "gain does not have the level 2.0"),
        ({"gain": True}, "gain does not have the level True"),
    ],
)
def test_names_and_levels_are_held_against_the_part(of, told):
    found = faults(Measure(value="train_loss", of=of), PART)
    assert len(found) == 1
    assert told in found[0]


def test_what_one_scale_does_not_run_is_no_fault_where_another_does():
    assert faults(Measure(value="a", of={"norm": "none", "gain": 4.0}), PART, SMALL) == []
    assert faults(Measure(value="a", of={"norm": "none", "gain": [1.0, 4.0]}, mean_over=["gain"]), SMALL, PART) == []
    assert faults(Measure(value="a", of={"norm": "none", "gain": 4.0}), SMALL) == [
        "gain does not have the level 4.0, only 1.0"
    ]


def test_a_factor_that_goes_with_another_needs_no_level_of_its_own():
    tied = [{"depth": 2, "rate": 0.1}, {"depth": 64, "rate": 0.01}]
    part = Part(factors={"depth": Factor(values=[2]), "rate": Factor(values=[0.1])}, include=tied)
    assert faults(Measure(value="a", mean_over=["depth"]), part) == []
    assert faults(Measure(value="a", of={"depth": 64}), part) == []
    assert "depth (2, 64) and of rate (0.1, 0.01)" in faults(Measure(value="a"), part)[0]


def test_a_level_of_an_included_cell_counts():
    part = Part(factors={"depth": Factor(values=[2])}, include=[{"depth": 64}])
    assert faults(Measure(value="a", of={"depth": 64}), part) == []


def test_levels_are_the_same_to_a_billionth_and_never_across_kinds():
    assert same_level(1 / 3, 0.3333333333333)
    assert same_level(4, 4.0)
    assert not same_level(1 / 3, 0.333333)
    assert not same_level(1, True)
    assert not same_level("1", 1)
    assert not same_level(0, 1e-300)


def test_a_cell_without_runs_is_told_before_any_training():
    part = PART.model_copy(update={"exclude": [{"norm": "batch", "gain": 4.0}]})
    assert faults(Measure(value="a", of={"norm": "batch", "gain": 4.0}), part) == [
        "no run is in the cell {norm: batch, gain: 4.0}"
    ]
    assert faults(Measure(difference="a", of={"norm": "none", "gain": 4.0}, less={"norm": "batch"}), part) != []
    assert faults(Measure(value="a", of={"norm": "batch", "gain": "highest"}), part) == []


@pytest.mark.parametrize("form", [{"value": "a"}, {"slope": "a", "over": "gain"}, {"value": "a", "max_over": ["gain"]}])
def test_several_levels_that_are_left_are_told_before_any_training(form):
    (told,) = faults(Measure(**form), PART)
    assert "norm (none, batch)" in told
    assert ("gain (1.0, 4.0)" in told) == (form == {"value": "a"})
    one = {"norm": "none", "gain": 1.0} if form == {"value": "a"} else {"norm": "none"}
    assert faults(Measure(**form, of=one), PART) == []


def test_words_become_levels_and_lists_lose_what_is_not_there():
    cells = [{"norm": "none", "gain": 1.0}, {"norm": "none", "gain": 4.0}, {"norm": "batch", "gain": 1.0}]
    assert resolved({"norm": "batch", "gain": "highest"}, cells) == {"norm": ["batch"], "gain": [1.0]}
    assert resolved({"norm": "none", "gain": "all"}, cells) == {"norm": ["none"], "gain": [1.0, 4.0]}
    assert resolved({"norm": "none", "gain": [4, 16, "lowest"]}, cells) == {"norm": ["none"], "gain": [1.0, 4.0]}
    assert resolved({"norm": "all", "gain": 1}, cells) == {"norm": ["none", "batch"], "gain": [1]}


def test_a_level_that_is_called_like_a_word_is_itself():
    cells = [{"which": "all"}, {"which": "highest"}, {"which": "some"}]
    assert resolved({"which": "all"}, cells) == {"which": ["all"]}
    assert resolved({"which": "highest"}, cells) == {"which": ["highest"]}
