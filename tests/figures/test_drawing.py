"""Figures: the same bytes again, readable without colour, faults of layout told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from claimcheck.figures import drawing as figures
from claimcheck.results import seals as integrity
from claimcheck.figures import style
from claimcheck.errors import ClaimcheckError


@pytest.fixture
def records() -> pd.DataFrame:
    cells = [(arm, seed, step) for arm in "ab" for seed in range(5) for step in range(4)]
    rows = [(f"{arm}{seed}", seed, arm, step, seed + step * (arm == "a")) for arm, seed, step in cells]
    return pd.DataFrame(rows, columns=["run", "seed", "arm", "step", "x"]).astype({"x": float})


def plot(records: pd.DataFrame):
    figure, axis = style.figure()
    style.curves(axis, records, x="step", y="x", by="arm", looks=style.looks("ab"))
    style.theory(axis, [0, 3], [2, 5])
    style.region(axis, None, 3.0)
    style.legend(axis)
    style.count(axis, records)
    axis.set(xlabel="step", ylabel=r"value $\chi_1$ / nats")
    return figure


def test_a_sound_figure_has_no_problems_and_the_same_bytes_twice(records: pd.DataFrame, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        figure, problems = figures.draw(plot, records)
        assert problems == []
        made.append(figures.save(figure, tmp_path / name))
    for first, second in zip(*made):
        assert first.read_bytes() == second.read_bytes()
    root = ElementTree.parse(made[0][0]).getroot()
    assert root.get("width") == f"{style.WIDTH * 72:g}pt"
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".svg", ".png")]


def test_the_average_is_over_seeds_and_leaves_diverged_ones_out(records: pd.DataFrame) -> None:
    records.loc[(records["arm"] == "a") & (records["seed"] == 4) & (records["step"] == 3), "x"] = np.inf
    table = style.summary(records, "step", "x", "arm").set_index(["arm", "step"])
    assert table.loc[("a", 2), "centre"] == pytest.approx(4.0)
    assert table.loc[("a", 2), "n"] == 5
    assert tuple(table.loc[("a", 3), ["n", "missing"]]) == (4, 1)
    assert table.loc[("a", 3), "centre"] == pytest.approx(4.5)
    half = 2.776445 * np.std(range(5), ddof=1) / np.sqrt(5)
    assert table.loc[("b", 0), "high"] - table.loc[("b", 0), "low"] == pytest.approx(2 * half, rel=1e-6)


def test_the_band_of_a_proportion_is_the_binomial_interval():
    failed = pd.DataFrame({"seed": range(16), "rate": 1.0, "failed": 1.0})
    row = style.summary(failed, "rate", "failed", average="proportion").iloc[0]
    assert (row["centre"], row["high"]) == (1.0, 1.0)
    assert row["low"] == pytest.approx(0.025 ** (1 / 16)), "sixteen of sixteen, Clopper and Pearson"


def test_a_band_ends_where_the_average_can_go_no_further(records):
    _, axis = style.figure()
    table = style.curves(axis, records, x="step", y="x", by="arm", within=(1.0, 4.0))
    assert table["low"].min() == 1.0
    assert table["high"].max() == 4.0


def test_levels_differ_in_colour_marker_and_line() -> None:
    table = style.looks(range(8))
    for key in ("color", "marker", "linestyle"):
        assert len({str(look[key]) for look in table.values()}) == 8
    assert len({str(look) for look in style.looks(range(16)).values()}) == 16
    assert style.looks(["x", "y"])["x"] == style.looks(["x"])["x"]


def test_faults_of_layout_are_told(records: pd.DataFrame) -> None:
    def crowded(records: pd.DataFrame):
        figure, axis = style.figure()
        axis.set_xticks(range(40), [f"a long label {i}" for i in range(40)])
        axis.text(-0.4, 0.5, "far to the left of everything", transform=axis.transAxes)
        axis.set_title("missing \N{CJK UNIFIED IDEOGRAPH-4E00}")
        figure.set_layout_engine("none")
        return figure

    _, problems = figures.draw(crowded, records)
    assert any("cut off" in problem for problem in problems)
    assert any("tick labels" in problem and "lie on one another" in problem for problem in problems)
    assert any("lyph" in problem for problem in problems)


@pytest.mark.parametrize("raised", [False, True])
def test_a_remark_on_a_long_title_is_told(records: pd.DataFrame, raised: bool) -> None:
    def titled(records: pd.DataFrame):
        figure, axis = style.figure()
        axis.set_title("a title that leaves no room for anything else beside it, which it should have left")
        style.count(axis, records, raised=raised)
        return figure

    _, problems = figures.draw(titled, records)
    assert any("lie on one another" in problem for problem in problems) is not raised


def study(tmp_path: Path, records: pd.DataFrame, **functions) -> SimpleNamespace:
    folder = tmp_path / "smoke" / "toy"
    folder.mkdir(parents=True)
    records.assign(part="main").to_parquet(folder / "records.parquet")
    specs = [SimpleNamespace(id=name.removeprefix("plot_").replace("_", "-"), part="main") for name in functions]
    return SimpleNamespace(name="toy", figures=specs, code=lambda step: SimpleNamespace(**functions))


def test_one_bad_figure_does_not_hide_the_others(records: pd.DataFrame, tmp_path: Path) -> None:
    def bad(records):
        raise KeyError("nowhere")

    toy = study(tmp_path, records, plot_bad_one=bad, plot_good=plot, plot_none=lambda records: None)
    with pytest.raises(ClaimcheckError, match=r"'bad-one'.*nowhere.*'none'.*did not return a Figure"):
        figures.plot_study(toy, "smoke", tmp_path)
    made = sorted(path.name for path in (tmp_path / "smoke/toy/figures").iterdir())
    assert made == ["checksums.json", "good.png", "good.svg"]


def test_only_what_was_drawn_last_is_left(records: pd.DataFrame, tmp_path: Path) -> None:
    toy = study(tmp_path, records, plot_first=plot, plot_second=plot)
    figures.plot_study(toy, "smoke", tmp_path)
    toy.figures.pop()
    figures.plot_study(toy, "smoke", tmp_path)
    integrity.check_results(tmp_path, "smoke")
    assert not list((tmp_path / "smoke/toy/figures").glob("second.*"))


def test_missing_records_and_functions_are_one_line(records: pd.DataFrame, tmp_path: Path) -> None:
    toy = study(tmp_path, records, plot_good=plot)
    with pytest.raises(ClaimcheckError, match="claimcheck run toy"):
        figures.plot_study(toy, "quick", tmp_path)
    toy.figures[0].id = "other"
    with pytest.raises(ClaimcheckError, match="plot_other"):
        figures.plot_study(toy, "smoke", tmp_path)


def test_the_folder_is_there_even_where_nothing_is_drawn(records: pd.DataFrame, tmp_path: Path) -> None:
    toy = study(tmp_path, records, plot_good=plot)
    toy.figures[0].part = "another"
    assert figures.plot_study(toy, "smoke", tmp_path) == []
    assert (tmp_path / "smoke/toy/figures").is_dir()
