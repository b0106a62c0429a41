"""The judge where a scale leaves out a level: what it cannot ask is not run, and says so; the rest is judged."""

from __future__ import annotations

import pytest

from claimcheck.judging.judge import judge

FEWER = {
    "\nscales:": "\n  fewer: {extends: main}\nscales:",
    "quick: {seeds: 24}": "quick: {seeds: 24, fewer: {arm: [b]}}",
}
"""A part that at quick has one arm of two; smoke has both, so that the study passes every check."""

OF_MAIN = {
    f"statistic: {name}\n": f"statistic: {name}\n        part: main\n" for name in ("moved_up", "moved_down", "exact")
}

ASKED = "part: {}\n        measure: {{difference: same, of: {{arm: b}}, less: {{arm: a}}}}\n        region: [0.0, null]"
DIFFERS = {ASKED.format("main"): ASKED.format("fewer")}


@pytest.fixture
def judged(plant, run_planted):
    """judged(changes, scale): the planted study's verdicts by prediction, with `changes` in its file."""

    def find(changes, scale="quick"):
        entries = judge(run_planted(plant(OF_MAIN | changes), scale=scale))
        return {entry["prediction"]: entry for entry in entries}

    return find


def test_a_prediction_whose_cell_the_scale_leaves_out_is_not_run_and_says_why(judged):
    found = judged(FEWER | DIFFERS)
    assert (found["differs"]["verdict"], found["differs"]["tests"]) == ("not run", [])
    assert found["differs"]["note"] == "its cell {arm: a} is not run at scale quick"
    assert found["better"]["verdict"] == "supported", "the others are judged"
    smoke = judged(FEWER | DIFFERS, "smoke")["differs"]
    assert (len(smoke["tests"]), smoke["note"]) == (1, ""), "where the level is run it is asked"


def test_a_control_whose_cell_the_scale_leaves_out_is_not_asked(judged):
    never = "never: {{part: fewer, measure: {{value: same, of: {{arm: {}}}}}, says: where"
    for arm, asked in (("a", {"against"}), ("b", {"never", "against"})):
        found = judged(FEWER | {"never: {statistic: unmoved, says: where": never.format(arm)})
        (test,) = found["better"]["tests"]
        assert set(test["controls"]) == asked


def test_a_data_set_without_the_cell_is_left_out_and_the_other_is_judged(judged):
    on = "on: [digits, signals]\n        " + ASKED.format("fewer")
    changes = {
        "\nscales:": "\n  fewer: {extends: main, factors: {dataset: {values: [digits, signals]}}}\nscales:",
        ASKED.format("main"): on,
        "quick: {seeds: 24}": "quick: {seeds: 24, fewer: {exclude: [{dataset: signals, arm: a}]}}",
    }
    entry = judged(changes)["differs"]
    assert [(test["data"], test["n"], len(test["controls"])) for test in entry["tests"]] == [("digits", 24, 2)]
    assert entry["note"] == ""
