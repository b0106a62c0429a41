"""The planted study through the whole pipeline: run, judge, plot, calibrate, report."""

from __future__ import annotations

import html
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

from claimcheck import cli


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """The folder in which every step was run by the command, each with exit status 0."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(Path(__file__).parent / "studies", folder / "studies")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    for words in ("run planted", "judge planted", "plot planted", "calibrate", "report"):
        patch.setattr(sys, "argv", ["claimcheck", *words.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, words
    yield folder
    patch.undo()


def test_the_table_of_verdicts_has_what_was_planted(pipeline):
    table = pd.read_csv(pipeline / "results" / "quick" / "verdicts.csv").set_index("prediction")
    assert table["verdict"].to_dict() == {
        "better": "supported",
        "sum-is-fixed": "supported",
        "differs": "inconclusive",
        "alike": "supported",
        "wins": "contradicted",
    }
    claims = table.groupby("claim")["claim_verdict"].first().to_dict()
    assert claims == {"b-is-better": "supported", "b-differs": "inconclusive", "b-wins-again": "contradicted"}


def test_the_report_says_so(pipeline):
    page = (pipeline / "reports" / "quick" / "report.html").read_text()
    for claim, state in [
        ("b-is-better", "supported"),
        ("b-differs", "inconclusive"),
        ("b-wins-again", "contradicted"),
    ]:
        assert re.search(rf'<section id="claim-{claim}" class="[^"]*\bclaim {state}"', page), claim
    assert (pipeline / "reports" / "quick" / "report.pdf").read_bytes().startswith(b"%PDF")


def test_the_report_prints_the_rule_the_bound_the_null_run_and_the_calibration(pipeline):
    page = (pipeline / "reports" / "quick" / "report.html").read_text()
    text = html.unescape(re.sub(r"<[^>]*>", "", page))
    assert "sign-flip permutation tests" in text
    assert "0.0005" in text
    assert "0.25\N{NO-BREAK SPACE}%" in text, "five predictions at 0.0005 each"
    assert "shuffled" in text.lower()
    assert "simulated reports" in text
    assert "two-valued" in text
