"""Verdicts that are whole and sealed, but of another shape than is read: refused in one line, or read to the end."""

from __future__ import annotations

import copy
import shutil

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.report import explain, summary
from claimcheck.report.gather import gather
from claimcheck.results import compare
from claimcheck.results.seals import sealed
from claimcheck.results.verdicts import table, write_verdicts

PLACES = {
    "an entry": lambda entry: entry,
    "a test": lambda entry: entry["tests"][0],
    "a control": lambda entry: entry["tests"][0]["controls"]["never"],
    "the registration": lambda entry: entry["registration"],
}
GONE = object()
OTHERS = {"is gone": GONE, "is nothing": None, "is a word": "two", "is a number": 2, "is a list": [], "is a table": {}}
READ = {
    "an entry": {"claim", "prediction", "kind", "verdict", "region", "registration", "tests"},
    "a test": {"data", "verdict", "seeds", "values", "median", "controls"},
    "a control": {"says", "verdict", "k", "n", "passed"},
    "the registration": {"number", "of", "offset", "first_seed"},
}


@pytest.fixture
def coin(locate, make):
    return make(locate("coin"))


def _read_everywhere(coin, elsewhere):
    """All that reads verdicts."""
    entries = coin.read_verdicts()
    table({"coin": entries})
    seen = gather(coin.config, {"coin": coin})
    for study in seen.studies:
        for view in study.predictions():
            explain.lines(explain.explained(study, view, seen, "results/smoke"))
    summary.registrations(seen)
    summary.registration_line(seen)
    summary.controls(seen)
    shutil.copy(coin.verdicts, coin.view / "verdicts.json")
    compare.compare(coin.view, elsewhere)
    compare.compare(elsewhere, coin.view)


@pytest.mark.parametrize("place", PLACES)
def test_verdicts_of_another_shape_are_refused_or_read_to_the_end(coin, place, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "coin"
    shutil.copytree(coin.view, elsewhere)
    entries = [{k: v for k, v in each.items() if k != "checksum"} for each in read_json(coin.verdicts)]
    for key in PLACES[place](entries[0]):
        for how, other in OTHERS.items():
            harmed = copy.deepcopy(entries)
            harmed_place = PLACES[place](harmed[0])
            harmed_place.update({key: other})
            if other is GONE:
                del harmed_place[key]
            write_verdicts(coin.verdicts, harmed)
            told = None
            try:
                _read_everywhere(coin, elsewhere)
            except ClaimcheckError as fault:
                told = str(fault)
            except Exception as error:
                pytest.fail(f"{place}: {key} {how}: {type(error).__name__}: {error}")
            if told is None:
                assert how != "is gone" or key not in READ[place], f"{place}: {key} {how}"
            else:
                assert "\n" not in told
                assert "claimcheck judge coin" in told


@pytest.mark.parametrize("key", ["asked", "passed"])
def test_what_came_of_the_controls_of_another_shape_is_refused(coin, key):
    found = {name: value for name, value in read_json(coin.controls).items() if name not in (key, "checksum")}
    for harmed in (found, {**found, key: None}, {**found, key: {}}):
        write_json(coin.controls, sealed(harmed))
        with pytest.raises(ClaimcheckError, match=f"{key}: is not what this version.*claimcheck judge coin"):
            coin.read_controls()
    write_json(coin.controls, sealed({**found, "asked": 2, "passed": ["half (never)"]}))
    assert coin.read_controls()["asked"] == 2


def test_the_number_and_place_of_what_is_wrong_are_told(coin):
    entries = [{k: v for k, v in each.items() if k != "checksum"} for each in read_json(coin.verdicts)]
    entries[0]["tests"][0]["values"].append(0.5)
    write_verdicts(coin.verdicts, entries)
    with pytest.raises(ClaimcheckError, match=r"half\.tests\.0: is not what this version.*a value for every seed"):
        coin.read_verdicts()
