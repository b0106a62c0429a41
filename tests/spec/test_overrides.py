"""What a scale says of a part is held against the part, and a fault is told of the place where it is said."""

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results.digests import registration_digest
from claimcheck.spec.reading import load_study

TUNED = "scales.smoke.aimed.tune"

OVERRIDES = {
    "a number for the tuning": ("aimed", {"tune": 5}, [TUNED, "not a mapping", "5"]),
    "a list for the tuning": ("aimed", {"tune": [1]}, [TUNED, "not a mapping", "[1]"]),
    "nothing for the tuning": ("aimed", {"tune": None}, [TUNED, "not a mapping"]),
    "a misspelt key of the tuning": ("aimed", {"tune": {"extnd": 1}}, [f"{TUNED}.extnd", "did you mean 'extend'"]),
    "a number for a key of the tuning": ("aimed", {"tune": {1: 2}}, [TUNED, "1", "string"]),
    "a wrong grid": ("aimed", {"tune": {"values": 5}}, [f"{TUNED}.values", "5"]),
    "a level of the grid that is none": ("aimed", {"tune": {"values": [1.0, []]}}, [f"{TUNED}.values.1", "finite"]),
    "two goals": ("aimed", {"tune": {"maximise": "distance"}}, [TUNED, "exactly one of minimise and maximise"]),
    "two numbers of pilots": ("aimed", {"tune": {"seeds": 2, "units": 3}}, [TUNED, "seeds 2 and units 3", "one of"]),
    "a tuning where nothing is tuned": ("walks", {"tune": {"seeds": 2}}, ["scales.smoke.walks.tune", "tunes nothing"]),
    "no tuning where nothing is tuned": ("walks", {"tune": None}, ["scales.smoke.walks.tune", "tunes nothing"]),
    "a list for a part": ("walks", [], ["scales.smoke.walks", "not a mapping", "[]"]),
    "false for a part": ("walks", False, ["scales.smoke.walks", "not a mapping", "False"]),
    "nought for a part": ("walks", 0, ["scales.smoke.walks", "not a mapping", "0"]),
    "a word for a part": ("walks", "", ["scales.smoke.walks", "not a mapping"]),
    "seeds and units": ("walks", {"seeds": 16, "units": 99}, ["scales.smoke.walks", "seeds 16 and units 99", "one of"]),
    "no levels": ("walks", {"drift": []}, ["scales.smoke.walks.drift", "at least 1"]),
    "a level that is none": ("walks", {"drift": [0.0, None]}, ["scales.smoke.walks.drift.1", "finite"]),
    "a number for cells": ("walks", {"exclude": 5}, ["scales.smoke.walks", "exclude", "5"]),
    "numbers for cells": ("walks", {"include": [5]}, ["scales.smoke.walks", "include.0", "5"]),
    "cells of other factors": ("walks", {"exclude": [{"goal": 1.0}]}, ["scales.smoke.walks", "exclude names ['goal']"]),
}


@pytest.fixture
def refused(studies):
    """refused(): the one line that says what is wrong with the study of walks."""

    def told():
        with pytest.raises(ClaimcheckError) as caught:
            load_study(studies, "walk")
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return told


@pytest.mark.parametrize("extended", [False, True], ids=["of the part", "of a part that extends it, first"])
@pytest.mark.parametrize("name", OVERRIDES)
def test_an_override_is_held_against_the_part(edit, refused, name, extended):
    part, said, pieces = OVERRIDES[name]

    def change(raw):
        raw["scales"]["smoke"][part] = said
        if extended:
            levels = {"walks": {"drift": 0.0}, "aimed": {"goal": 1.0}}[part]
            raw["parts"] = {"another": {"extends": part, "only": levels}, **raw["parts"]}

    edit("walk", change)
    told = refused()
    assert [piece for piece in pieces if piece not in told] == [], told


def test_seeds_and_units_of_all_parts_are_not_given_both(edit, refused):
    edit("walk", lambda raw: raw["scales"]["smoke"].update(seeds=16, units=99))
    assert "study.yaml: scales.smoke: two names of one number" in refused()


def test_what_a_part_changes_of_the_tuning_that_it_extends_is_told_of_that_part(edit, refused):
    edit("walk", lambda raw: raw["parts"].update(nearer={"extends": "aimed", "tune": {"extnd": 1}}))
    told = refused()
    assert "parts.nearer.tune.extnd: unknown key" in told
    assert "did you mean 'extend'" in told


def test_what_is_wrong_without_any_scale_is_told_of_the_part(edit, refused):
    more = {"extends": "aimed", "exclude": [{"gaol": 1.0}]}
    edit("walk", lambda raw: raw["parts"].update(nearer=more))
    assert "study.yaml: parts.nearer: exclude names ['gaol']" in refused()


def test_nothing_said_of_a_part_changes_nothing(studies, edit):
    edit("walk", lambda raw: raw["scales"]["smoke"].update(walks=None, aimed={}))
    assert load_study(studies, "walk").at("smoke")["aimed"].tune.seeds == 8


def test_a_scale_that_is_left_empty_takes_the_parts_as_they_are(studies, edit, refused):
    edit("walk", lambda raw: raw["scales"].update(smoke={}))
    bare = load_study(studies, "walk")
    edit("walk", lambda raw: raw["scales"].update(smoke=None))
    assert load_study(studies, "walk").at("smoke") == bare.at("smoke")
    assert registration_digest(load_study(studies, "walk")) == registration_digest(bare)
    edit("walk", lambda raw: raw["scales"].update(smoke=5))
    assert "study.yaml: scales.smoke: Input should be a valid dictionary; found 5" in refused()


def test_a_tuning_that_is_inherited_can_be_changed_and_one_that_is_taken_away_cannot(studies, edit, refused):
    more = {"nearer": {"extends": "aimed"}, "fixed": {"extends": "aimed", "tune": None, "settings": {"push": 1.0}}}
    edit("walk", lambda raw: (raw["parts"].update(more), raw["scales"]["smoke"].update(nearer={"tune": {"units": 2}})))
    code = studies / "walk" / "runs.py"
    assert load_study(studies, "walk").at("smoke")["nearer"].tune.seeds == 2, code
    edit("walk", lambda raw: raw["scales"]["smoke"].update(fixed={"tune": {"units": 2}}))
    assert "scales.smoke.fixed.tune: this part tunes nothing" in refused()


@pytest.mark.parametrize("name", ["literature", "lit", "list_of_words", "literal"])
def test_a_key_that_begins_like_a_kind_is_a_key(edit, refused, name):
    edit("walk", lambda raw: raw["parts"].update({name: {"factors": {"drift": {"values": []}}}}))
    assert f"study.yaml: parts.{name}.factors.drift.values: " in refused()


@pytest.mark.parametrize("said", ["many", -1, 1.5, {"digits": 0}, [3]])
def test_no_kind_of_value_is_taken_for_a_key(edit, refused, said):
    edit("walk", lambda raw: raw["parts"]["walks"].update(seeds=said))
    key = "parts.walks.seeds.digits" if isinstance(said, dict) else "parts.walks.seeds"
    assert f"study.yaml: {key}: " in refused()
