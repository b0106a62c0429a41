"""Compact SVG: the same picture, on paper and on the screen, in fewer bytes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from claimcheck.figures import compact, style
from claimcheck.figures.axes import figure as figure_of

number = st.floats(-5000, 5000, allow_nan=False).map(lambda value: round(value, 6))


def points(data: str) -> list[tuple[float, float]]:
    """The corners of a path of M, m, l, h, v and z, followed from one to the next."""
    x = y = first_x = first_y = 0.0
    found = []
    for letter, rest in re.findall(r"([Mmlhvz])([^Mmlhvz]*)", data):
        values = [float(each) for each in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", rest)]
        if letter == "z":
            x, y = first_x, first_y
            continue
        pairs = [(each, 0.0) if letter == "h" else (0.0, each) for each in values]
        pairs = list(zip(values[::2], values[1::2])) if letter in "Mml" else pairs
        for place, (across, up) in enumerate(pairs):
            x, y = (across, up) if letter == "M" and place == 0 else (x + across, y + up)
            if letter in "Mm" and place == 0:
                first_x, first_y = x, y
            found.append((x, y))
    return found


@given(st.lists(st.tuples(number, number), min_size=2, max_size=40))
def test_every_corner_stays_within_half_a_hundredth_of_a_point(corners: list[tuple[float, float]]) -> None:
    said = " ".join(f"{'L' if place else 'M'} {x:f} {y:f}" for place, (x, y) in enumerate(corners))
    shown = re.search(r'd="([^"]*)"', compact.compact(f'<svg><path d="{said} z"/></svg>'))[1]
    assert np.allclose(points(shown), corners, rtol=0, atol=0.0051)


@pytest.fixture
def drawn(tmp_path: Path) -> tuple[Path, Path]:
    """A figure with curves, bands, points, a legend and formulas, as matplotlib writes it and compact."""
    with style.applied():
        figure, (left, right) = figure_of(1, 2)
        across = np.linspace(0, 7, 60)
        left.plot(across, np.sin(across), marker="o", markevery=6, label="$\\sin x$")
        left.fill_between(across, np.sin(across) - 0.2, np.sin(across) + 0.2, alpha=0.2)
        left.legend()
        right.scatter(across, across**2 % 3, s=9, alpha=0.4)
        right.set(xlabel="time / s", xscale="log", title="Punkte")
        figure.savefig(tmp_path / "whole.svg", metadata={"Date": None, "Creator": None})
    whole = tmp_path / "whole.svg"
    short = tmp_path / "short.svg"
    short.write_text(compact.compact(whole.read_text(encoding="utf-8")), encoding="utf-8")
    return whole, short


def test_it_is_much_shorter_and_well_formed(drawn: tuple[Path, Path]) -> None:
    whole, short = drawn
    assert short.stat().st_size < 0.6 * whole.stat().st_size
    root = ElementTree.parse(short).getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = short.read_text(encoding="utf-8")
    named = set(re.findall(r' id="([^"]+)"', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) | set(re.findall(r"url\(#([^)]+)\)", text)) <= named
    assert compact.compact(whole.read_text(encoding="utf-8")) == text


def test_it_looks_the_same(drawn: tuple[Path, Path], tmp_path: Path) -> None:
    """Set by typst, which sets the report's, and drawn by poppler."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("no pdftoppm on this machine (poppler-utils)")
    import typst

    pictures = []
    for path in drawn:
        page = tmp_path / f"{path.stem}.typ"
        page.write_text(f'#set page(width: auto, height: auto, margin: 0pt)\n#image("{path.name}")\n', encoding="utf-8")
        page.with_suffix(".pdf").write_bytes(typst.compile(page, root=tmp_path))
        command = ["pdftoppm", "-png", "-r", "400", "-singlefile", page.with_suffix(".pdf"), tmp_path / path.stem]
        subprocess.run(command, check=True)
        fine = imread(tmp_path / f"{path.stem}.png")
        high, wide = fine.shape[0] // 8, fine.shape[1] // 8  # a line may be set a fine pixel aside
        pictures.append(fine[: 8 * high, : 8 * wide].reshape(high, 8, wide, 8, 3).mean(axis=(1, 3)))
    whole, short = pictures
    assert whole.shape == short.shape
    assert np.abs(whole - short).max() < 0.1
    assert np.abs(whole - short).mean() < 5e-4
    assert whole.std() > 0.05
