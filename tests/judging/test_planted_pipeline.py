"""The planted study through the whole pipeline: run, judge, controls, plot, report."""

from __future__ import annotations

import html
import math
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from claimcheck.judging.rule import LEVEL


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory, status_of):
    """The folder in which every step was run by the command, each with exit status 0."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copytree(Path(__file__).parent / "studies", folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for words in ("run planted", "judge planted", "controls planted", "plot planted", "report"):
            assert status_of(*words.split()) == 0, words
        yield folder


def test_the_table_of_verdicts_has_what_was_planted(pipeline):
    table = pd.read_csv(pipeline / "results" / "quick" / "verdicts.csv").set_index("prediction")
    assert table["verdict"].to_dict() == {
        "better": "supported",
        "sum-is-fixed": "holds",
        "differs": "inconclusive",
        "alike": "supported",
        "wins": "contradicted",
    }
    assert table["controls_passed"].sum() == 0
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


def test_the_report_prints_counts_the_level_and_the_bound(pipeline):
    page = (pipeline / "reports" / "quick" / "report.html").read_text()
    text = html.unescape(re.sub(r"<[^>]*>", "", page)).replace("\N{NO-BREAK SPACE}", " ")
    assert "24 of 24 runs" in text
    assert "binomial" in text
    assert f"binomial test at level {LEVEL:.2%}".replace("%", " %") in text
    attained = 4 * sum(math.comb(24, true) for true in (22, 23, 24)) / 2**24  # four judged predictions
    assert f"wrong by chance is at most {100 * attained:.3g} %: the sum" in text
    assert "at most 0.04 % (4 × 0.01 %)" in text
