"""Shapes and region pictures: well-formed, told apart by form, numbers where they belong."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from claimcheck.report import pictures

SVG = "{http://www.w3.org/2000/svg}"


def test_every_state_has_a_shape_of_its_own() -> None:
    bodies = [re.sub(r"#[0-9A-Fa-f]{6}|class=\"[^\"]*\"", "", pictures.shape(state)) for state in pictures.STATES]
    assert len(set(bodies)) == len(pictures.STATES)
    for body in bodies:
        ElementTree.fromstring(body)


@pytest.mark.parametrize("ends", [(0.0, 1.0), (None, 1.0), (0.0, None), (0.999999, 1.000001)])
@pytest.mark.parametrize(
    ("estimate", "interval"), [(0.5, (0.4, 0.6)), (1.0, (1.0, 1.0)), (math.inf, (3.0, math.inf)), (-40.0, (None, None))]
)
def test_a_region_picture_is_well_formed_and_stays_inside(estimate, interval, ends) -> None:
    root = ElementTree.fromstring(pictures.region(estimate, interval, ends, "supported", "nats & <b>"))
    width = float(root.get("width"))
    assert root.get("role") == "img"
    assert root.get("aria-label")
    dot = root.find(f"{SVG}circle")
    assert 0 <= float(dot.get("cx")) <= width
    band = root.find(f"{SVG}rect")
    assert float(band.get("x")) >= 0
    assert float(band.get("x")) + float(band.get("width")) <= width


def test_the_small_picture_is_decoration_without_words() -> None:
    root = ElementTree.fromstring(pictures.strip(0.5, (0.4, 0.6), (0.0, None), "inconclusive"))
    assert root.get("aria-hidden") == "true"
    assert root.find(f"{SVG}text") is None
    assert root.find(f"{SVG}circle") is not None


def test_an_estimate_inside_its_region_is_drawn_inside_it() -> None:
    for estimate, inside in [(0.5, True), (1.5, False), (-0.5, False)]:
        drawn = pictures.region(estimate, (estimate - 0.1, estimate + 0.1), (0.0, 1.0), "supported")
        root = ElementTree.fromstring(drawn)
        band, dot = root.find(f"{SVG}rect"), root.find(f"{SVG}circle")
        left = float(band.get("x"))
        assert (left < float(dot.get("cx")) < left + float(band.get("width"))) is inside


def test_the_bar_of_all_claims_is_as_long_as_their_number() -> None:
    root = ElementTree.fromstring(pictures.share_bar({"supported": 3, "contradicted": 1, "not run": 0}))
    widths = [float(field.get("width")) for field in root.iter(f"{SVG}rect")]
    assert len(widths) == 2
    assert math.isclose((widths[0] + 2) / (widths[1] + 2), 3.0)
    assert root.get("aria-label") == "All claims by outcome: 3 supported; 1 contradicted"
