"""What study.yaml may give as a setting or a level: it works from the first run to the report, or one line says why not."""

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results.sources import reach
from claimcheck.spec.config import Config
from claimcheck.spec.reading import load_study
from claimcheck.spec.validation import validated

SETTING, LEVELS = "seconds: 0.0", "[0.5, 0.7]"


@pytest.fixture
def load(studies):
    """load(old, new): the study `coin` with one text of its study.yaml replaced."""

    def changed(old, new):
        path = studies / "coin" / "study.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")
        return load_study(studies, "coin")

    return changed


@pytest.mark.parametrize(("shards", "said"), [(1, "(1 more fault)"), (0, "(2 more faults)")])
def test_of_several_faults_one_is_told_and_the_others_are_counted(shards, said):
    with pytest.raises(ClaimcheckError, match=r"config: scale: ") as caught:
        validated(Config, {"scale": "large", "seeds": 0, "shards": shards}, "config")
    assert str(caught.value).endswith(said)


def refused(load, old, new):
    with pytest.raises(ClaimcheckError) as caught:
        load(old, new)
    message = str(caught.value)
    assert "\n" not in message
    assert "coin/study.yaml: " in message
    return message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-11-26", "2026-11-26"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("1" + "0" * 23, 10**23),
        ("-.inf", float("-inf")),
        ("[{rate: 0.1}, {rate: .inf}]", [{"rate": 0.1}, {"rate": float("inf")}]),
        ("{8: 0.1, 16: {deep: null}}", {8: 0.1, 16: {"deep": None}}),
    ],
)
def test_a_setting_arrives_as_it_was_meant(load, text, value):
    assert load(SETTING, f"{SETTING}, extra: {text}").parts["tosses"].settings["extra"] == value


SETTINGS = {
    ".nan": "settings.extra: must be a number, and .nan is none",
    "[1, {deep: .nan}]": "settings.extra: must be a number, and .nan is none",
    "{1: a, '1': b}": "settings.extra: has two keys that are written alike",
    "{null: 1}": "settings.extra: must have words or numbers for keys, not None",
    "!!timestamp 2026-11-26": "!!timestamp is not known here",
    "!!set {a, b}": "!!set is not known here",
    "!!binary aGVhZHM=": "!!binary is not known here",
    "!!omap [a: 1]": "!!omap is not known here",
    "!!float 12:30": "'12:30' is no !!float",
    "!!bool no": "'no' is no !!bool",
    "!coin 3": "!coin is not known here",
    "&itself [1, *itself]": "recursive",
}


@pytest.mark.parametrize("text", SETTINGS)
def test_a_setting_that_is_no_plain_value_is_refused_before_anything_runs(load, text):
    assert SETTINGS[text] in refused(load, SETTING, f"{SETTING}, extra: {text}")


LEVEL_FAULTS = {
    f"[0.5, 1{'0' * 23}]": "whole numbers must be below 2^63; write larger ones with a point",
    f"[0.5, -{2**63}]": "whole numbers must be below 2^63",
    "[0.5, .nan]": "values.1: must be a word, a finite number, true or false",
    "[0.5, 1e999]": "values.1: must be a word, a finite number, true or false",
    "[0.5, null]": "values.1: must be a word",
    "[0.5, {a: 1}]": "values.1: must be a word",
    "[0.5, '0.5']": "values must be of one kind, these are numbers and words",
    "[0.5, no]": "values must be of one kind, these are numbers and words",
    "[true, no]": "values must be of one kind, these are true or false and words",
}


@pytest.mark.parametrize("text", LEVEL_FAULTS)
def test_a_level_that_no_column_can_hold_is_refused_before_anything_runs(load, text):
    message = refused(load, LEVELS, text)
    assert "parts.tosses.factors.bias.values" in message
    assert LEVEL_FAULTS[text] in message
    assert "bool" not in message


ELSEWHERE = {
    "a scale": ("tosses: {tosses: 200}", "tosses: {bias: [0.5, half]}"),
    "included cells": ("settings: {tosses", "include: [{bias: half}]\n    settings: {tosses"),
    "tuning": ("settings: {tosses", "tune: {factor: rate, values: [1, fast], minimise: heads}\n    settings: {tosses"),
}


@pytest.mark.parametrize("place", ELSEWHERE)
def test_levels_are_checked_wherever_they_are_given(load, place):
    assert "of one kind" in refused(load, *ELSEWHERE[place])


@pytest.mark.parametrize("large", ["1.0e+23", str(2**63 - 1)])
def test_a_large_level_is_a_number(load, large):
    assert load(LEVELS, f"[0.5, 0.7, {large}]").parts["tosses"].factors["bias"].values[2:] == [
        float(large) if "e" in large else int(large)
    ]


@pytest.mark.parametrize(
    "written",
    [b"\xef\xbb\xbf", b"\xef\xbb\xbf# -*- coding: utf-8 -*-\n", b"# -*- coding: latin-1 -*-\nKNUT = '\xf8'\n"],
)
def test_code_is_read_in_any_encoding_that_python_reads(studies, written):
    path = studies / "coin" / "runs.py"
    path.write_bytes(written + path.read_bytes())
    study = load_study(studies, "coin")
    assert study.run_function("tosses") == "run_tosses"
    assert "runs.py" in reach(study.folder, "runs", ["run_tosses"]).hashes


@pytest.mark.parametrize("name", ["study.yaml", "notes.md"])
def test_a_byte_order_mark_before_a_text_is_no_part_of_it(studies, name):
    path = studies / "coin" / name
    before = load_study(studies, "coin")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    after = load_study(studies, "coin")
    assert (after.title, after.notes) == (before.title, before.notes)
