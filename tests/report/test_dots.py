"""Units as dots: every unit is drawn once, in its place, and k of n can be counted off the picture."""

from __future__ import annotations

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from claimcheck.judging import rule
from claimcheck.report import dots

SVG = "{http://www.w3.org/2000/svg}"
REGIONS = [(0.0, 1.0), (None, 1.0), (0.0, None), (0.999999, 1.000001)]
MIXTURE = [0.5, 2.0, -1.0, 1.0, 0.0, math.inf, -math.inf, math.nan, 1e9, 0.5]


def row(values: list[float], ends: tuple[float | None, float | None], **told: object) -> dots.Row:
    """A row of which the rule itself says what is true."""
    true = [bool(each) for each in rule.inside(np.array(values, dtype=np.float64), ends)]
    return dots.Row(values, true, "supported", **told)


def marks(picture: str) -> dict[tuple[str, bool], list[tuple[float, float]]]:
    """Where the marks of each kind begin, by kind (dot, cross, hollow) and truth."""
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for path in ElementTree.fromstring(picture).iter(f"{SVG}path"):
        if "unit" in path.get("class").split():
            drawn = path.get("d")
            kind = "dot" if "h.01" in drawn else "hollow" if "a" in drawn else "cross"
            places = [tuple(map(float, each)) for each in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", drawn)]
            found[kind, "true" in path.get("class").split()] = places
    return found


def band(picture: str) -> tuple[float, float]:
    """The ends of the region's band."""
    rect = ElementTree.fromstring(picture).find(f"{SVG}rect")
    left = float(rect.get("x"))
    return left, left + float(rect.get("width"))


@pytest.mark.parametrize("ends", REGIONS)
@pytest.mark.parametrize(
    "values", [[], [0.5], [1.0] * 40, [math.nan] * 9, [math.inf] * 9, MIXTURE, list(np.linspace(-3, 3, 128))]
)
def test_every_unit_is_drawn_once_and_inside_the_picture(values, ends) -> None:
    one = row(values, ends)
    for drawn in (dots.strip([one], ends), dots.region([one], ends, "told")):
        root, found = ElementTree.fromstring(drawn), marks(drawn)
        assert sum(map(len, found.values())) == len(values)
        assert sum(len(places) for (_, true), places in found.items() if true) == sum(one.true)
        for x, y in [place for places in found.values() for place in places]:
            assert 0 <= x <= float(root.get("width"))
            assert 0 <= y <= float(root.get("height"))
        left, right = band(drawn)
        assert 0 <= left < right <= float(root.get("width"))


def test_the_page_leaves_to_the_style_sheet_how_its_pictures_look(project: Path) -> None:
    page = (project / "reports/quick/report.html").read_text(encoding="utf-8")
    drawn = re.findall(r'<svg [^>]*class="(?:region|strip)".*?</svg>', page, re.DOTALL)
    assert drawn
    looks = re.compile(r' (?:fill|stroke)(?:-\w+)?="')
    for tag in re.findall(r"<(?:rect|path|text)[^>]*>", "".join(drawn)):
        assert bool(looks.search(tag)) == ('class="unit ' in tag), tag
    for name in ("band", "wall", "axis", "median", "value"):
        assert re.search(rf"\.region \.{name}\b[^}}]*(?:fill|stroke):", page), "the sheet says it"


@given(st.lists(st.floats(), max_size=40), st.sampled_from(REGIONS))
@example([-1.7e308, 1.7e308] * 5, (0.0, 1.0))
def test_no_number_upsets_a_picture(values, ends) -> None:
    one = row(values, ends)
    for drawn in (dots.strip([one], ends), dots.region([one], ends, "told")):
        assert "nan" not in drawn
        assert "inf" not in drawn
        assert sum(map(len, marks(drawn).values())) == len(values)


@pytest.mark.parametrize("values", [[-0.5, 0.4, 0.6, 1.5], list(np.linspace(-1, 2, 50)), [0.25] * 30, [1.25] * 30])
def test_true_units_lie_in_the_band_and_no_others(values) -> None:
    drawn = dots.region([row(values, (0.0, 1.0))], (0.0, 1.0), "told")
    left, right = band(drawn)
    found = marks(drawn)
    assert all(left <= x <= right for x, _ in found.get(("dot", True), []))
    middle = [x + (4.2 / 2 - 0.3) for x, _ in found.get(("cross", False), [])]
    assert all(x < left + 0.1 or x > right - 0.1 for x in middle)


def test_units_without_a_place_are_hollow_at_the_edge_and_those_without_a_number_apart() -> None:
    ends = (0.0, None)
    values = [*np.linspace(0.1, 1.0, 20), math.inf, -math.inf, math.nan]
    drawn = dots.region([row(values, ends)], ends, "told")
    found, (left, right) = marks(drawn), band(drawn)
    (infinite,) = found["hollow", True]
    assert left < infinite[0] < right
    below, missing = sorted(found["hollow", False])
    assert below[0] < left
    assert missing[0] > right
    assert ">none<" in drawn
    assert ">none<" not in dots.region([row([1.0], ends)], ends, "told")


def test_one_number_far_out_does_not_squeeze_the_others() -> None:
    ends = (0.0, 1.0)
    drawn = dots.strip([row([*np.linspace(0.1, 0.9, 20), 1e6], ends)], ends)
    found = marks(drawn)
    places = [x for x, _ in found["dot", True]]
    assert max(places) - min(places) > 60
    assert len(found["hollow", False]) == 1


def test_data_sets_share_one_axis_and_stand_below_one_another() -> None:
    ends = (0.1, None)
    rows = [
        row([0.5] * 3, ends, told=("clear: 3 of 3 runs", "0.5")),
        row([0.0] * 3, ends, told=("digits: 0 of 3", "0")),
    ]
    drawn = dots.region(rows, ends, "told")
    root = ElementTree.fromstring(drawn)
    assert len({(rect.get("x"), rect.get("width")) for rect in root.iter(f"{SVG}rect")}) == 1
    words = [each.text for each in root.iter(f"{SVG}text")]
    assert words == ["clear: 3 of 3 runs", "0.5", "digits: 0 of 3", "0", "0.1"]
    assert float(ElementTree.fromstring(dots.strip(rows, ends)).get("height")) == 36


def test_the_small_picture_is_decoration_without_words_and_the_larger_one_is_told() -> None:
    one = row([0.5], (0.0, None), told=("<b> & 1 of 1 runs", ""))
    root = ElementTree.fromstring(dots.strip([one], (0.0, None)))
    assert root.get("aria-hidden") == "true"
    assert root.find(f"{SVG}text") is None
    large = ElementTree.fromstring(dots.region([one], (0.0, None), 'Region "above" 0 & <more>'))
    assert large.get("role") == "img"
    assert large.get("aria-label") == 'Region "above" 0 & <more>'


def test_the_median_stands_below_with_its_interval() -> None:
    ends = (0.0, 1.0)
    drawn = dots.region([row([0.2, 0.4, 0.6], ends, interval=(0.4, 0.2, 0.6))], ends, "told")
    path = next(each for each in ElementTree.fromstring(drawn).iter(f"{SVG}path") if each.get("class") == "median")
    tick, bar = re.fullmatch(r"M([\d.]+) [\d.]+v8M([\d.]+) [\d.]+H([\d.]+)", path.get("d")).group(1, 2), path.get("d")
    left, right = band(drawn)
    assert float(tick[0]) == pytest.approx(left + 0.4 * (right - left), abs=0.1)
    assert float(tick[1]) < float(tick[0]) < float(bar.rpartition("H")[2])


def test_a_region_whose_ends_round_alike_is_told_by_its_middle_and_half_its_width() -> None:
    for ends, told in (((59999.9999, 60000.0001), "60,000 ± 10⁻⁴"), ((0.4, 0.6), None), ((2.0, 2.0), "2")):
        root = ElementTree.fromstring(dots.region([row([sum(ends) / 2] * 3, ends)], ends, "told"))
        words = [each.text for each in root.iter(f"{SVG}text") if each.text]
        assert words == ([told] if told else ["0.4", "0.6"])
