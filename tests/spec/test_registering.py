"""`claimcheck register`: an entry a registration, a block of seeds each, words and comments kept."""

from __future__ import annotations

import re

import pytest
import yaml

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_yaml
from claimcheck.results.digests import registration_digest
from claimcheck.results.registration import check_registration
from claimcheck.spec.parts import BLOCK, ROOM
from claimcheck.spec.reading import load_study
from claimcheck.spec.registering import note_verdicts, register
from claimcheck.streams import FIRST_BLOCK

OLD = """\
# Registration 1 was entered from the results of an earlier version.
# Nobody fixed it beforehand.
- {number: 1, date: 2026-11-20, first_seed: 0, says: "As it came: µ, “quoted”.", superseded: Chosen after the results.}
"""


@pytest.fixture
def coin(studies):
    """coin(): the coin as its files stand now."""
    return lambda: load_study(studies, "coin")


def registered(coin, says="What is fixed.", superseded=None):
    """The coin after one more registration, and its entries."""
    path = register(coin(), registration_digest(coin()), says, superseded)
    return coin(), read_yaml(path)


def test_the_first_registration_of_a_draft(coin):
    study, (entry,) = registered(coin)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry["date"])
    assert entry | {"date": ""} == {
        "number": 1, "date": "", "first_seed": FIRST_BLOCK, "digest": registration_digest(study), "says": "What is fixed."
    }  # fmt: skip
    assert study.registration.number == 1
    assert study.first_seed() == FIRST_BLOCK


def test_a_digest_does_not_follow_the_block_that_it_is_registered_with(coin):
    before = registration_digest(coin())
    study, _ = registered(coin)
    assert registration_digest(study) == before


def test_comments_words_and_earlier_entries_are_kept(coin, studies):
    path = studies / "coin" / "registrations.yaml"
    path.write_text(OLD)
    before = coin().registrations[0]
    study, _ = registered(coin, "Fixed: µ ≤ 1.")
    assert path.read_text().startswith("".join(f"{line}\n" for line in OLD.splitlines()[:2]))
    assert study.registrations[0] == before
    assert (study.registration.number, study.registration.says) == (2, "Fixed: µ ≤ 1.")
    assert study.registration.first_seed == FIRST_BLOCK, "the first was judged on seeds from 0"


def test_where_one_stands_another_is_refused_until_it_is_said_what_was_wrong(coin, studies):
    registered(coin)
    path = studies / "coin" / "registrations.yaml"
    before = path.read_bytes()
    with pytest.raises(
        ClaimcheckError, match=r"registrations\.yaml: registration 1 stands; say what was .*--superseded"
    ):
        registered(coin)
    assert path.read_bytes() == before
    study, entries = registered(coin, "Fixed anew.", "The region was too wide.")
    assert [entry.get("superseded") for entry in entries] == ["The region was too wide.", None]
    assert study.registration.number == 2


def test_the_next_block_leaves_room_for_checks_on_fresh_seeds(coin):
    study, _ = registered(coin)
    used = {seed for offset in range(ROOM) for seed in (study.first_seed(offset), study.first_seed(offset) + BLOCK - 1)}
    study, entries = registered(coin, "Fixed anew.", "It was wrong.")
    assert entries[1]["first_seed"] == FIRST_BLOCK + ROOM * BLOCK > max(used)


def test_what_a_judged_run_came_to_is_noted_in_the_one_that_stands(coin, studies):
    with pytest.raises(ClaimcheckError, match=r"no registration stands; register first what is judged: --says TEXT"):
        note_verdicts(coin(), {"heads": "supported"}, {"asked": 2, "passed": []}, "AVX2")
    assert not (studies / "coin" / "registrations.yaml").exists()
    registered(coin)
    each = {"heads": "supported", "tails": "mixed", "edge": "supported"}
    note_verdicts(coin(), each, {"asked": 8, "passed": ["heads (never)"]}, "AVX2")
    assert coin().registration.machine == "AVX2"
    assert (coin().registration.verdicts, coin().registration.predictions) == ({"supported": 2, "mixed": 1}, each)
    assert coin().registration.controls.model_dump() == {"asked": 8, "passed": ["heads (never)"]}
    study, entries = registered(coin, "Fixed anew.", "It was wrong.")
    assert (entries[0]["verdicts"], entries[0]["predictions"]) == ({"supported": 2, "mixed": 1}, each)
    assert (study.registration.verdicts, study.registration.predictions) == ({}, {})


def test_other_verdicts_than_those_that_are_noted_are_refused_and_the_same_are_not(coin, studies):
    registered(coin)
    path, controls = studies / "coin" / "registrations.yaml", {"asked": 8, "passed": []}
    for machine in ("AVX512", "AVX2"):
        note_verdicts(coin(), {"heads": "supported", "tails": "mixed"}, controls, machine)
    before = path.read_text()
    told = r"1\.verdicts: .* came to other verdicts.*'heads': 'mixed'.*\(AVX512 there, AVX2 here\)"
    with pytest.raises(ClaimcheckError, match=told):  # as many of each kind
        note_verdicts(coin(), {"heads": "mixed", "tails": "supported"}, controls, "AVX2")
    assert path.read_text() == before
    del (entries := read_yaml(path))[-1]["predictions"]  # as earlier versions noted them
    path.write_text(yaml.safe_dump(entries))
    note_verdicts(coin(), {"heads": "mixed", "tails": "supported"}, controls, "AVX2")
    with pytest.raises(ClaimcheckError, match=r"came to other verdicts.*'supported': 2"):
        note_verdicts(coin(), {"heads": "supported", "tails": "supported"}, controls, "AVX2")
    assert coin().registration.verdicts == {"supported": 1, "mixed": 1}


@pytest.mark.parametrize(("says", "superseded"), [("", None), (" ", None), ("So.", "")])
def test_an_empty_text_is_refused_before_anything_is_written(coin, says, superseded):
    registered(coin)
    before = (coin().folder / "registrations.yaml").read_text()
    with pytest.raises(ClaimcheckError, match="must not be empty"):
        registered(coin, says, superseded)
    assert (coin().folder / "registrations.yaml").read_text() == before


def test_who_changed_what_is_registered_is_told_the_command_that_finds_the_study(coin, studies, locate):
    study, _ = registered(coin)
    text = study.yaml_path.read_text()
    study.yaml_path.write_text(text.replace("[0.4, 0.6]", "[0.4, 0.7]"))
    with pytest.raises(ClaimcheckError) as caught:
        check_registration(coin(), locate("coin").config)
    assert f"claimcheck register coin --studies-dir {studies} --says ... --superseded ..." in str(caught.value)


def test_what_was_wrong_with_none_is_refused_and_not_dropped(coin, studies):
    path = studies / "coin" / "registrations.yaml"
    with pytest.raises(ClaimcheckError, match=r"registrations\.yaml: no registration stands .*leave out --superseded"):
        registered(coin, superseded="It was wrong.")
    assert not path.exists()
    path.write_text(OLD)  # the last one is superseded by hand
    with pytest.raises(ClaimcheckError, match="no registration stands"):
        registered(coin, superseded="It was wrong.")
    assert path.read_text() == OLD
