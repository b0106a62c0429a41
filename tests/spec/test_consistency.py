"""What would be run or judged otherwise than it is written is refused, in one line with its place."""

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.reading import load_study


def half(raw):
    """The coin's first prediction."""
    return raw["claims"][0]["predictions"][0]


def never(raw):
    return half(raw)["controls"]["never"]


def tosses(raw):
    return raw["parts"]["tosses"]


def aimed(raw):
    return raw["parts"]["aimed"]


def root(raw):
    """The walk's first prediction, by a statistic."""
    return raw["claims"][0]["predictions"][0]


COIN = {
    "a level left out that is none": (
        lambda raw: tosses(raw).update(exclude=[{"bias": 0.6}]),
        ["parts.tosses.exclude.bias", "0.6", "0.5, 0.7"],
    ),
    "a level left out in quotes": (
        lambda raw: tosses(raw).update(exclude=[{"bias": "0.7"}]),
        ["parts.tosses.exclude.bias", "'0.7'"],
    ),
    "a level left out at a scale that is none": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(exclude=[{"bias": [0.7, 0.8]}]),
        ["scales.smoke.tosses.exclude.bias", "0.8"],
    ),
    "an index that every record has": (
        lambda raw: tosses(raw).update(index=["seed"]),
        ["parts.tosses.index", "a column of every record", "'seed'"],
    ),
    "an index that is a factor": (lambda raw: tosses(raw).update(index=["bias"]), ["parts.tosses.index", "a factor"]),
    "an index twice": (lambda raw: tosses(raw).update(index=["step", "step"]), ["tosses.index", "given twice"]),
    "a setting in quotes at a scale": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(tosses="200"),
        ["scales.smoke.tosses.tosses", "another kind", "'200'", "a number"],
    ),
    "a truth for a number at a scale": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(tosses=True),
        ["scales.smoke.tosses.tosses", "True", "a number"],
    ),
    "levels in quotes at a scale": (
        lambda raw: raw["scales"]["smoke"]["tosses"].update(bias=["0.5"]),
        ["scales.smoke.tosses.bias", "'0.5'", "a number"],
    ),
    "true for a number of seeds": (lambda raw: tosses(raw).update(seeds=True), ["parts.tosses.seeds", "true"]),
    "true for a region's end": (lambda raw: half(raw).update(region=[True, None]), ["region", "true or false"]),
    "true for a factor of the result": (
        lambda raw: half(raw)["measure"].update(times=True),
        ["measure.times", "true or false"],
    ),
    "a column of the design measured": (
        lambda raw: half(raw)["measure"].update(value="seed"),
        ["half.measure", "'seed'", "the design sets"],
    ),
    "a factor measured": (lambda raw: half(raw)["measure"].update(value="bias"), ["half.measure", "'bias'"]),
    "a place that the cell names, too": (
        lambda raw: half(raw)["measure"].update(at={"bias": 0.7}),
        ["half.measure", "bias is named under `at` and in the cell"],
    ),
    "a place that is no index": (
        lambda raw: half(raw)["measure"].update(of={}, at={"bias": 0.7}),
        ["half.measure", "bias under `at` is no index", "under `of`"],
    ),
    "bounds without room": (
        lambda raw: half(raw)["measure"].update(at_least=2, at_most=1),
        ["half.measure", "at_least is not below at_most"],
    ),
    "nought for a factor of the result": (
        lambda raw: half(raw)["measure"].update(times=0),
        ["half.measure", "times is 0"],
    ),
    "a data set twice": (
        lambda raw: (tosses(raw)["factors"].update(dataset={"values": ["a", "b"]}), half(raw).update(on=["a", "a"])),
        ["predictions.0.on", "given twice"],
    ),
    "a control with a measure and a cell": (
        lambda raw: never(raw).update(measure={"value": "heads"}),
        ["half.controls.never", "give one of measure, of"],
    ),
    "a control with a cell that its form has not": (
        lambda raw: never(raw).update(less={"bias": 0.5}),
        ["half.controls.never", "less does not belong to the form value"],
    ),
    "a control with arguments of no statistic": (
        lambda raw: never(raw).update(arguments={"bias": 0.7}),
        ["half.controls.never", "arguments are a statistic's"],
    ),
    "a control that asks the same": (
        lambda raw: never(raw).update(of={"bias": 0.5}),
        ["half.controls.never", "asks what the prediction asks"],
    ),
    "a control that measures the design": (
        lambda raw: half(raw)["controls"].update(never={"measure": {"value": "seed", "of": {"bias": 0.5}}, "says": "The seed."}),
        ["half.controls.never", "'seed'"],
    ),
}  # fmt: skip

WALK = {
    "an index that is tuned": (lambda raw: aimed(raw).update(index=["push"]), ["aimed.index", "the tuned factor"]),
    "a pilot's level that is none": (
        lambda raw: aimed(raw)["tune"].update(within=[], only={"goal": [1.0, 3.0]}),
        ["parts.aimed.tune.only.goal", "3.0"],
    ),
    "a control with a cell for a statistic": (
        lambda raw: root(raw)["controls"].update(never={"of": {"drift": 0.5}, "says": "The walk with a drift."}),
        ["root.controls.never", "the prediction has a statistic"],
    ),
}


@pytest.mark.parametrize("fault", [*COIN, *WALK])
def test_what_would_be_asked_otherwise_than_written_is_refused(studies, edit, fault):
    name, (change, pieces) = ("coin", COIN[fault]) if fault in COIN else ("walk", WALK[fault])
    edit(name, change)
    with pytest.raises(ClaimcheckError) as told:
        load_study(studies, name)
    assert "\n" not in str(told.value)
    assert [piece for piece in ("study.yaml", *pieces) if piece not in str(told.value)] == [], str(told.value)


def test_a_level_may_be_left_out_that_another_scale_or_the_part_extended_has(studies, edit):
    def change(raw):
        raw["scales"]["full"]["tosses"].update(bias=[0.5, 0.6, 0.7], exclude=[{"bias": 0.6}])
        tosses(raw).update(exclude=[{"bias": 0.6}])
        raw["parts"]["fair"] = {"extends": "tosses", "only": {"bias": 0.5}, "exclude": [{"bias": [0.6, 0.7]}]}

    edit("coin", change)
    assert [cell["bias"] for cell in load_study(studies, "coin").at("full")["tosses"].cells()] == [0.5, 0.7]


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: tosses(raw)["settings"].update(rate=None) or raw["scales"]["smoke"]["tosses"].update(rate=0.1),
        lambda raw: raw["scales"]["smoke"]["tosses"].update(seconds=1),
        lambda raw: tosses(raw)["settings"].update(sizes=[1, 2]) or raw["scales"]["smoke"]["tosses"].update(sizes=3),
    ],
    ids=["a number for nothing", "a whole number for another", "one for several"],
)
def test_a_scale_may_give_a_value_of_the_parts_kind(studies, edit, change):
    edit("coin", change)
    load_study(studies, "coin")
