"""`power --times`: the predictions asked of pilot units at, say, twice the width; what is judged stays what it was."""

import re

import pandas as pd
import pytest

from claimcheck.spec.parts import ScaledPart, Tune
from claimcheck.spec.reading import load_study
from claimcheck.spec.scaling import multiplied, settings_in


def part_with(settings, pilots=None):
    tune = pilots and Tune(factor="rate", values=[0.1, 0.3], minimise="loss", seeds=8, settings=pilots)
    factors = {"size": {"values": [8, 64]}}
    return ScaledPart(name="main", seeds=16, factors=factors, settings=settings, tune=tune)


@pytest.mark.parametrize(
    ("settings", "times", "found"),
    [
        ({"width": 32, "depth": 2}, {"width": 2}, {"width": 64, "depth": 2}),
        ({"width": 5}, {"width": 1.5}, {"width": 8}),
        ({"width": 5, "start": 0}, {"width": 0.01, "start": 2}, {"width": 1, "start": 0}),
        ({"epochs": 0.5}, {"epochs": 2}, {"epochs": 1.0}),
        ({"widths": {"mlp": 32, "cnn": 8}}, {"widths": 2}, {"widths": {"mlp": 64, "cnn": 16}}),
        ({"hosts": {"mlp": {"width": 32, "rate": 0.1}}}, {"width": 2}, {"hosts": {"mlp": {"width": 64, "rate": 0.1}}}),
        ({"shapes": {"deep": [8, 24]}}, {"shapes": 2}, {"shapes": {"deep": [16, 48]}}),
        ({"width": 32, "steps": 10}, {"width": 2, "steps": 3}, {"width": 64, "steps": 30}),
        ({"width": {"a": 3, "norm": "batch", "bias": True, "gain": None}}, {"width": 2},
         {"width": {"a": 6, "norm": "batch", "bias": True, "gain": None}}),
        ({"hidden": 7}, {"size": 2}, {"hidden": 7}),  # a factor's levels stay, since predictions name them
    ],
)  # fmt: skip
def test_numbers_below_a_name_are_multiplied_and_nothing_else(settings, times, found):
    changed = multiplied(part_with(settings), times)
    assert changed.settings == found
    assert repr(changed.settings) == repr(found)  # whole numbers and truth stay what they are
    assert changed.factors == part_with(settings).factors


def test_pilots_of_half_the_steps_stay_pilots_of_half_the_steps():
    changed = multiplied(part_with({"steps": 200}, {"steps": 100}), {"steps": 2})
    assert (changed.settings["steps"], changed.tune.settings["steps"]) == (400, 200)


def test_a_part_without_the_setting_is_the_same_part():
    part = part_with({"depth": 2, "width": "narrow"})
    assert multiplied(part, {"width": 2}) is part


def test_settings_are_those_that_hold_numbers():
    part = part_with({"depth": 2, "norm": "batch", "hosts": {"mlp": {"width": 3, "kind": "mlp"}}, "bias": True})
    assert settings_in([part]) == {"depth", "hosts", "mlp", "width"}


def ends(tmp_path):
    """Mean end of the walks with a drift, over the root of their length: half of that root."""
    found = (tmp_path / "results" / "smoke" / "walk" / "parts").glob("walks-*.records.parquet")
    tables = [pd.read_parquet(path) for path in found]
    return sorted(round(float(table.loc[table["drift"] == 0.5, "end"].mean())) for table in tables)


def test_the_setting_reaches_the_runs_and_other_parts_are_left_out(command, edit, tmp_path):
    edit("walk", lambda raw: raw["parts"]["walks"]["settings"].update(length=1))
    assert command("power", "walk", "--units", "4", "--scale", "smoke")[0] == 0
    plain = ends(tmp_path)
    status, output, errors = command("power", "walk", "--units", "4", "--scale", "smoke", "--times", "steps=4")
    assert status == 0, errors
    assert ends(tmp_path) == sorted([*plain, 2 * plain[0]])
    assert "root" in output
    assert "goal-is-near" in output
    status, output, _ = command("power", "walk", "--units", "4", "--scale", "smoke", "--times", "length=3")
    assert status == 0
    assert "root" in output
    assert "goal-is-near" not in output
    aimed = (tmp_path / "results" / "smoke" / "walk" / "parts").glob("aimed-*.records.parquet")
    assert len(list(aimed)) == 2


def test_what_is_judged_does_not_change(command, studies, locate):
    before = {name: files.digest for name, files in locate("walk").parts.items()}
    assert command("power", "walk", "--units", "4", "--scale", "smoke", "--times", "steps=4")[0] == 0
    assert {name: files.digest for name, files in locate("walk").parts.items()} == before
    assert load_study(studies, "walk").at("smoke")["walks"].settings["steps"] == 200


def test_what_was_judged_stands_beside_the_pilots(command):
    assert command("run", "walk", "--scale", "smoke")[0] == 0
    assert command("judge", "walk", "--scale", "smoke")[0] == 0
    _, output, _ = command("power", "walk", "--units", "4", "--scale", "smoke", "--times", "steps=2")
    assert re.search(r"root +4 of 4 +0\.5 +\d+ +\d+ s +14 of 14 +14 +\d+%", output), output


def test_what_cannot_be_asked_of_a_longer_run_is_left_out_and_told(command, edit):
    def with_places(raw):
        raw["parts"]["walks"]["index"] = ["step"]
        raw["claims"][0]["predictions"][0] |= {"measure": {"value": "end", "of": {"drift": 0.0}, "at": {"step": 200}}}
        del raw["claims"][0]["predictions"][0]["statistic"]
        raw["claims"][0]["predictions"][0]["controls"] = {"none": "A test."}

    runs = edit("walk", with_places).with_name("runs.py")
    runs.write_text(runs.read_text().replace('"end": ends}', '"end": ends, "step": steps}'))
    status, output, errors = command("power", "walk", "--units", "4", "--scale", "smoke")
    assert status == 0, errors
    assert "root" in output
    status, output, errors = command("power", "walk", "--units", "4", "--scale", "smoke", "--times", "steps=2")
    assert status == 0, errors
    assert "root is left out" in errors
    assert "root" not in output
    assert "goal-is-near" in output
