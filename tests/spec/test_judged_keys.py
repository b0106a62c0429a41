"""What a study says of how it is judged: shares, facts, data sets, controls, registrations, numbers of units."""

from __future__ import annotations

import resource
import time

import pytest
import yaml

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.controls import applied, control_of, missing
from claimcheck.spec.models import Prediction
from claimcheck.spec.parts import BLOCK
from claimcheck.spec.reading import load_config, load_study

HUGE = 100_000_000_000_000


def first(raw):
    """The first prediction of a parsed study.yaml."""
    return raw["claims"][0]["predictions"][0]


def refused(call, *pieces):
    """The call is refused in one line that holds every piece."""
    with pytest.raises(ClaimcheckError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    for piece in pieces:
        assert piece in message, message


FAULTS = {
    "a share of its own": (lambda raw: first(raw).update(share=0.8), ["predictions.0.share", "0.5", "0.9", "0.8"]),
    "a share in words": (lambda raw: first(raw).update(share="mostly"), ["predictions.0.share", "mostly"]),
    "a fact without a tolerance": (lambda raw: first(raw).update(kind="fact"), ["predictions.0", "needs a tolerance"]),
    "a tolerance of what is judged": (lambda raw: first(raw).update(tolerance=1e-9), ["tolerance is a fact's"]),
    "a tolerance below 0": (
        lambda raw: first(raw).update(kind="fact", tolerance=-1), ["predictions.0.tolerance", "-1"],
    ),
    "an unknown data set": (
        lambda raw: (raw["parts"]["tosses"]["factors"].update(dataset={"values": ["cents", "dimes"]}),
                     first(raw).update(on=["cents", "dime"])),
        ["half.on", "'dime'", "did you mean 'dimes'"],
    ),
    "data sets of a part that has none": (lambda raw: first(raw).update(on=["cents"]), ["half.on", "unknown data set"]),
    "data sets of no part": (
        lambda raw: (first(raw).update(on=["cents"], statistic="heads"), first(raw).pop("measure"),
                     first(raw).pop("part")),
        ["predictions.0", "give `part`"],
    ),
    "no controls": (lambda raw: first(raw).pop("controls"), ["half.controls", "never and against", "the reason"]),
    "one control": (lambda raw: first(raw)["controls"].pop("never"), ["half.controls", "missing: never"]),
    "controls of a part that is not there": (
        lambda raw: first(raw)["controls"]["never"].update(part="toses"), ["half.controls.never", "'toses'", "'tosses'"],
    ),
    "a control that asks a part without the data set": (
        lambda raw: (raw["parts"].update(other={"factors": dict(raw["parts"]["tosses"]["factors"]),
                                                "settings": dict(raw["parts"]["tosses"]["settings"])}),
                     raw["parts"]["tosses"]["factors"].update(dataset={"values": ["cents"]}),
                     first(raw).update(on=["cents"]), first(raw)["controls"]["never"].update(part="other")),
        ["half.controls.never.part", "'cents'", "of part other: it has none"],
    ),
    "a factor's values alone": (
        lambda raw: raw["parts"]["tosses"]["factors"].update(bias=[0.5, 0.7]),
        ["parts.tosses.factors.bias", "must be a mapping, of the keys values, static", "[0.5, 0.7]"],
    ),
    "controls and a reason for none": (
        lambda raw: first(raw)["controls"].update(none="Nothing."), ["predictions.0.controls", "none stands in place of"],
    ),
    "a control without words": (lambda raw: first(raw)["controls"]["never"].pop("says"), ["controls.never.says"]),
    "a control by a function that is not there": (
        lambda raw: first(raw)["controls"].update(never={"statistic": "peak", "says": "Another."}), ["statistics.py", "no function peak", "control of half"],
    ),
    "an average": (lambda raw: first(raw).update(average="median"), ["predictions.0.average", "unknown key"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line_with_file_key_and_cause(studies, edit, fault):
    change, pieces = FAULTS[fault]
    edit("coin", change)
    refused(lambda: load_study(studies, "coin"), "studies/coin/", *pieces)


def test_on_is_a_word_and_not_true(studies, edit):
    def two(raw):
        raw["parts"]["tosses"]["factors"]["dataset"] = {"values": ["cents", "dimes"]}
        first(raw).update(on=["cents", "dimes"])

    path = edit("coin", two)
    path.write_text(path.read_text().replace("'on':", "on:"))
    assert "  on:" in path.read_text()
    assert load_study(studies, "coin").claims[0].predictions[0].on == ["cents", "dimes"]


# ------------------------------------------------------------------------------------------------ controls


def prediction(**changes):
    said = {"id": "it", "says": "It.", "part": "main", "region": [0.1, None], "why": "So."}
    measure = {"difference": "loss", "of": {"arm": "b", "size": 4}, "less": {"arm": "a"}}
    return Prediction(**{**said, "measure": measure, **changes})


def asked(one, name):
    measure = applied(one, control_of(one, name)).measure
    return measure.of, measure.second


def test_a_difference_and_a_ratio_have_both_controls_by_themselves():
    one = prediction()
    assert missing(one) == []
    assert asked(one, "never") == ({"arm": "b", "size": 4}, {"arm": "b", "size": 4})
    assert asked(one, "against") == ({"arm": "a", "size": 4}, {"arm": "b", "size": 4})
    ratio = {"ratio": "loss", "of": {"arm": "b"}, "to": {"arm": "a"}}
    assert asked(prediction(measure=ratio, region=[1.5, None]), "against") == ({"arm": "a"}, {"arm": "b"})


@pytest.mark.parametrize(
    ("measure", "region"),
    [
        ({}, [-0.1, 0.1]),
        ({"plus": 1.0}, [0.9, None]),
        ({"absolute": True}, [None, 0.1]),
        ({"difference": None, "less": None, "ratio": "loss", "to": {"arm": "a"}}, [0.9, 1.1]),
        ({"difference": None, "less": None, "ratio": "loss", "to": {"arm": "a"}, "log": True}, [-0.1, 0.1]),
    ],
)
def test_one_whose_region_holds_what_an_arm_and_itself_come_to_has_none(measure, region):
    said = {"difference": "loss", "of": {"arm": "b", "size": 4}, "less": {"arm": "a"}, **measure}
    said = {key: value for key, value in said.items() if value is not None}
    assert missing(prediction(measure=said, region=region)) == ["never", "against"]


def test_other_forms_and_statistics_have_none_by_themselves_and_facts_need_none():
    assert missing(prediction(measure={"value": "loss"})) == ["never", "against"]
    assert missing(prediction(measure=None, statistic="peak")) == ["never", "against"]
    assert missing(prediction(measure={"value": "loss"}, controls={"none": "There is none."})) == []
    assert missing(prediction(measure={"value": "loss"}, kind="fact", tolerance=1e-9)) == []


def test_a_control_is_laid_over_the_question():
    one = prediction(
        measure=None, statistic="peak", arguments={"labels": "noisy", "top": 3},
        controls={"never": {"arguments": {"labels": "clean"}, "says": "no peak"},
                  "against": {"statistic": "valley", "part": "other", "says": "a valley"}},
    )  # fmt: skip
    never, against = (applied(one, control_of(one, name)) for name in ("never", "against"))
    assert (never.statistic, never.arguments) == ("peak", {"labels": "clean", "top": 3})
    assert (against.statistic, against.part) == ("valley", "other")


# ------------------------------------------------------------------------------------------------ registrations


def entry(number, seed, **changes):
    said = {"number": number, "date": "2026-12-01", "first_seed": seed, "says": "What was fixed."}
    return {**said, "superseded": "It was wrong.", **changes}


REGISTRATIONS = {
    "out of order": ([entry(2, 0), entry(1, 100_000)], ["registrations.yaml: 1", "found 2", "expected 1"]),
    "a number left out": ([entry(1, 0), entry(3, 100_000)], ["registrations.yaml: 2", "found 3", "expected 2"]),
    "blocks that overlap": (
        [entry(1, 0), entry(2, 100_000), entry(3, 104_999)],
        ["3.first_seed", "104999", "100000 of registration 2", "5000 seeds that nothing has used"],
    ),
    "the same block": ([entry(1, 100_000), entry(2, 100_000)], ["2.first_seed", "100000 of registration 1"]),
    "seeds of pilots": ([entry(1, 12_000)], ["1.first_seed", "10000 of pilots", "from 100000 on"]),
    "seeds that reach into the pilots'": ([entry(1, 5_001)], ["1.first_seed", "10000 of pilots"]),
    "seeds of the pilots for power": ([entry(1, 20_000)], ["1.first_seed", "20000 of pilots for power"]),
    "a standing one that another follows": (
        [entry(1, 0, superseded=None), entry(2, 100_000)], ["registrations.yaml: 1.superseded", "another follows"],
    ),
    "a seed below 0": ([entry(1, -1)], ["registrations.yaml: 1: first_seed", "-1"]),
    "a seed beyond all columns": ([entry(1, 2**63 - 1)], ["registrations.yaml: 1: first_seed", str(2**63 - 1)]),
    "true for a number": ([entry(True, 0)], ["registrations.yaml: 1: number", "true or false"]),
    "a day in words": ([entry(1, 0, date="yesterday")], ["1: date", "yesterday", "must be a day, such as 2026-01-31"]),
    "fewer verdicts than none": ([entry(1, 0, verdicts={"supported": -3})], ["1: verdicts.supported", "-3"]),
    "a count of no verdict": ([entry(1, 0, verdicts={"suported": 3})], ["1: verdicts.suported", "'suported'"]),
    "a word that is no verdict": ([entry(1, 0, predictions={"fair": "true"})], ["1: predictions.fair", "'true'"]),
    "no words": ([entry(1, 0, says=" ")], ["registrations.yaml: 1: says", "empty"]),
    "a misspelt key": ([entry(1, 0, digset="0")], ["registrations.yaml: 1: digset", "did you mean 'digest'"]),
    "no list": ({"number": 1}, ["registrations.yaml", "not a list"]),
    "an empty list": ([], ["registrations.yaml", "not a list"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", REGISTRATIONS)
def test_registrations_that_are_at_fault_are_one_line(studies, fault):
    said, pieces = REGISTRATIONS[fault]
    (studies / "coin" / "registrations.yaml").write_text(yaml.safe_dump(said))
    refused(lambda: load_study(studies, "coin"), *pieces)


def test_the_latest_registration_that_is_not_superseded_stands(studies):
    path = studies / "coin" / "registrations.yaml"
    path.write_text(yaml.safe_dump([entry(1, 0), entry(2, 100_000, superseded=None)]))
    study = load_study(studies, "coin")
    assert (study.registration.number, study.first_seed(), study.first_seed(1)) == (2, 100_000, 105_000)
    assert study.at("smoke")["tosses"].judged_seeds == range(100_000, 100_014)
    path.write_text(yaml.safe_dump([entry(1, 0), entry(2, 100_000)]))
    study = load_study(studies, "coin")
    assert (study.registration, study.first_seed()) == (None, 0), "a draft"


def test_a_block_that_pilots_used_is_not_judged(studies):
    study = load_study(studies, "coin")
    assert study.first_seed(1) == BLOCK
    refused(lambda: study.first_seed(2), "coin: registration_offset", "pilots", "found 2")
    refused(lambda: load_config(None, {"registration_offset": 10}), "registration_offset", "less than 10")


# ------------------------------------------------------------------------------------------------ huge numbers


TUNE = {"factor": "push", "values": [1.0, 2.0], "minimise": "heads"}
HUGE_UNITS = {
    "in a scale": (lambda raw, n: raw["scales"]["smoke"].update(seeds=n), "scales.smoke.seeds"),
    "in a scale's part": (lambda raw, n: raw["scales"]["smoke"]["tosses"].update(units=n), "scales.smoke.tosses.units"),
    "in a part": (lambda raw, n: raw["parts"]["tosses"].update(units=n), "parts.tosses.units"),
    "of pilots": (lambda raw, n: raw["parts"]["tosses"].update(tune={**TUNE, "seeds": n}), "parts.tosses.tune.seeds"),
    "of pilots in a scale": (
        lambda raw, n: (raw["parts"]["tosses"].update(tune=TUNE), raw["scales"]["smoke"]["tosses"].update(tune={"seeds": n})),
        "scales.smoke.tosses",
    ),
}  # fmt: skip


@pytest.mark.parametrize("number", [HUGE, "1e14", 5001])
@pytest.mark.parametrize("place", HUGE_UNITS)
def test_a_huge_number_of_units_is_refused_at_once_with_the_number_that_would_do(studies, edit, place, number):
    change, key = HUGE_UNITS[place]
    path = edit("coin", lambda raw: change(raw, HUGE if number == "1e14" else number))
    if number == "1e14":
        path.write_text(path.read_text().replace(str(HUGE), "1e14"))
    before, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    refused(lambda: load_study(studies, "coin"), "coin/study.yaml", key, str(BLOCK))
    assert time.process_time() - clock < 1.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"


def test_a_huge_number_of_seeds_on_the_command_line_is_refused():
    refused(lambda: load_config(None, {"seeds": HUGE}), "seeds", str(HUGE), str(BLOCK))
