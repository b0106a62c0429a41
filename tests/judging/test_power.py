"""Power from pilots made by hand: how often each prediction is true of them, and how many units that would take."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from claimcheck.judging import rule
from claimcheck.judging.evidence import Evidence
from claimcheck.judging.power import powers, undecidable
from claimcheck.streams import POWER_SEED

DATA = "    factors:\n      dataset: {values: [digits, signals]}\n"
ON_TWO = {
    "    factors:\n": DATA,
    "measure: {difference: same, of: {arm: b}, less: {arm: a}}\n        region: [0.0, null]":
        "on: [digits, signals]\n        measure: {difference: same, of: {arm: b}, less: {arm: a}}\n        region: [0.0, null]",
    "        kind: limit\n        part: main\n        measure: {difference: same,":
        "        kind: limit\n        part: main\n        measure: {difference: same, mean_over: [dataset],",
}  # fmt: skip

FULL = "  quick: {seeds: 24}\n  full: {seeds: 24, main: {dataset: [digits, signals, clouds]}}\n"


def pilots(true, n=16, column="up", datasets=(None,)):
    """Records of `n` pilot units in which arm b exceeds arm a in `column` in the first `true` of them."""
    rows = []
    for data in datasets:
        for number in range(n):
            for arm in ("a", "b"):
                row = {"part": "main", "run": f"{data}{number}{arm}", "seed": POWER_SEED + number, "arm": arm}
                row |= {"dataset": data} if data else {}
                shift = (1.0 if number < true[data] else -1.0) if arm == "b" else 0.0
                rows.append({**row, "up": 0.0, "same": 0.0, "down": 0.0, "two": 2.0, "status": "ok", column: shift})
    return pd.DataFrame(rows)


def powered(study, records, planned=24, seconds=2.0, scale="quick"):
    """Rows of `powers`, by prediction and data set."""
    parts = study.at(scale, records["seed"].nunique(), POWER_SEED)
    judged = {name: part.model_copy(update={"seeds": planned}) for name, part in parts.items()}
    rows = powers(Evidence(study, scale, parts, {}, records), judged, {"main": seconds})
    return {(row.prediction, row.data): row for row in rows}


@pytest.mark.parametrize(("true", "planned"), [(16, 24), (15, 24), (12, 64)])
def test_units_are_the_fewest_that_show_what_pilots_show(plant, true, planned):
    row = powered(plant(), pilots({None: true}), planned)["better", None]
    share = (true + 0.5) / 17
    assert (row.k, row.n, row.share) == (true, 16, 0.5)
    assert row.units == rule.units_for(0.5, share)
    assert rule.power(row.units, 0.5, share) >= 0.9 > rule.power(row.units - 1, 0.5, share)
    assert row.seconds == row.units * 2.0
    assert (row.planned, row.reached) == (planned, rule.power(planned, 0.5, share))


def test_facts_are_not_asked_and_nothing_else_is_left_out(plant):
    found = powered(plant(), pilots({None: 16}))
    assert list(found) == [("better", None), ("differs", None), ("alike", None), ("wins", None)]


def test_what_pilots_do_not_show_no_number_of_units_will(plant):
    row = powered(plant(), pilots({None: 16}))["differs", None]
    assert (row.k, row.units, row.seconds) == (0, None, None)
    assert row.reached < 1e-6


def test_a_pilot_without_a_number_is_not_true(plant):
    records = pilots({None: 16})
    records.loc[records["seed"] < POWER_SEED + 4, "up"] = np.nan
    assert (powered(plant(), records)["better", None].k, powered(plant(), records)["better", None].n) == (12, 16)


def test_each_data_set_has_a_row_of_its_own(plant):
    records = pilots({"digits": 16, "signals": 3}, column="same", datasets=("digits", "signals"))
    statistics = {'table = records.pivot(index="seed"': 'table = records.pivot_table(index="seed"'}
    found = powered(plant(ON_TWO, statistics=statistics), records)
    assert [(data, row.k) for (name, data), row in found.items() if name == "differs"] == [
        ("digits", 16),
        ("signals", 3),
    ]


def test_a_data_set_that_the_scale_does_not_run_has_no_row(plant):
    records = pilots({"digits": 16, "signals": 3}, column="same", datasets=("digits", "signals"))
    statistics = {'table = records.pivot(index="seed"': 'table = records.pivot_table(index="seed"'}
    asked = {old: new.replace("on: [digits, signals]", "on: [digits, signals, clouds]") for old, new in ON_TWO.items()}
    study = plant({**asked, "  quick: {seeds: 24}\n": FULL}, statistics=statistics)
    assert [data for name, data in powered(study, records) if name == "differs"] == ["digits", "signals"]


def test_nearly_always_takes_more(plant):
    often = {"says: B exceeds A.": "says: B exceeds A.\n        share: 0.9"}
    row = powered(plant(often), pilots({None: 64}, n=64), planned=96)["better", None]
    assert row.share == 0.9
    assert row.units == rule.units_for(0.9, 64.5 / 65) > 88


def test_units_that_could_not_support_are_named_unless_it_is_said_why(plant):
    assert undecidable(plant(), "quick") == []
    few = plant({"quick: {seeds: 24}": "quick: {seeds: 13}"})
    assert [fault.split(":")[0] for fault in undecidable(few, "quick")] == ["better", "differs", "alike", "wins"]
    assert "better: 13 units could not support it at share 0.5" in undecidable(few, "quick")[0]
    excused = plant({"quick: {seeds: 24}": "quick: {seeds: 87}",
                     "says: B exceeds A.": "share: 0.9\n        undecidable: Too dear.\n        says: B exceeds A.",
                     "says: B exceeds A elsewhere.": "says: B exceeds A elsewhere.\n        share: 0.9"})  # fmt: skip
    some = plant({"\nscales:": "\n  formula: {extends: main, seeds: 1}\nscales:"})
    assert undecidable(some, "quick") == [], "of several parts one has enough"
    assert undecidable(excused, "quick") == [
        "differs: 87 units could not support it at share 0.9, whatever comes of them"
    ]
