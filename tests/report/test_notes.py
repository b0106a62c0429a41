"""What a study's notes ask for: numbers of its predictions, told as they stand; anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claimcheck.report import notes
from claimcheck.report.gather import PredictionView, ReportView, gather


@pytest.fixture(scope="module")
def seen(project: Path, find: Callable[..., Any]) -> ReportView:
    return gather(*find(project))


def test_notes_that_name_a_data_set_that_is_not_asked_are_refused(seen: ReportView) -> None:
    study = next(each for each in seen.studies if each.spec.name == "planted")
    functions = notes.functions(study)
    assert functions["verdict"]("effect", "digits") == "contradicted"
    assert functions["verdict"]("depends-on-data") == "mixed"
    with pytest.raises(notes.ClaimcheckError, match=r"a data set that the prediction is not asked on.*mnist"):
        functions["runs"]("effect", "mnist")


def test_notes_on_a_data_set_that_was_not_run_say_so(seen: ReportView) -> None:
    study = next(each for each in seen.studies if each.spec.name == "planted")
    effect = next(view for view in seen.predictions() if view.spec.id == "effect")
    row = {**effect.row, "tests": [test for test in effect.row["tests"] if test["data"] == "clear"]}

    def said(view: PredictionView) -> dict[str, str]:
        claim = replace(study.claims[0], predictions=(view,))
        functions = notes.functions(replace(study, claims=(claim,)))
        return {name: function("effect", "digits") for name, function in functions.items() if name != "figure"}

    numbers = ("runs", "estimate", "interval", "size", "percent", "factor", "n")
    assert said(replace(effect, row=row)) == {**dict.fromkeys(numbers, notes.NOTHING), "verdict": "not run"}
    for state in ("not run", "out of date", "failed"):
        assert said(replace(effect, row={}, state=state))["verdict"] == state


@pytest.mark.parametrize("name", ["runs", "estimate", "interval", "size", "percent", "factor", "n", "verdict"])
def test_notes_that_ask_a_claim_for_what_only_a_prediction_has_are_refused(seen: ReportView, name: str) -> None:
    study = next(each for each in seen.studies if each.spec.name == "planted")
    function = notes.functions(study)[name]
    with pytest.raises(notes.ClaimcheckError, match=r"planted/notes\.md: the notes name an unknown prediction.*'dep"):
        function("depends-on-data", "digits")
