"""Shapes of verdicts and the bar of all claims: well-formed, told apart by form."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from claimcheck.report import build as report
from claimcheck.report import pictures

SVG = "{http://www.w3.org/2000/svg}"


def test_every_state_has_a_shape_of_its_own() -> None:
    bodies = [re.sub(r"#[0-9A-Fa-f]{6}|class=\"[^\"]*\"", "", pictures.shape(state)) for state in pictures.STATES]
    assert len(set(bodies)) == len(pictures.STATES)
    for body in bodies:
        ElementTree.fromstring(body)


def test_every_state_has_a_colour_and_facts_come_last() -> None:
    assert set(pictures.COLOURS) == set(pictures.STATES)
    assert pictures.STATES[-2:] == pictures.FACTS


def test_the_bar_of_all_claims_is_as_long_as_their_number() -> None:
    root = ElementTree.fromstring(pictures.share_bar({"supported": 3, "contradicted": 1, "not run": 0}))
    widths = [float(field.get("width")) for field in root.iter(f"{SVG}rect")]
    assert len(widths) == 2
    assert math.isclose((widths[0] + 2) / (widths[1] + 2), 3.0)
    assert root.get("aria-label") == "All claims by outcome: 3 supported; 1 contradicted"


def test_a_page_of_many_pictures_is_told_by_its_bytes(
    project: Path, find: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    written = (project / "reports/quick/report.html").read_bytes()
    for limit, told in ((len(written) - 1, True), (len(written), False)):
        monkeypatch.setattr(report, "SIZE_LIMIT", limit)
        report.build(*find(project), publish=False)
        assert ("report.html is large" in capsys.readouterr().err) == told
