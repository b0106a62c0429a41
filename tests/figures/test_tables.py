"""A figure's table holds the numbers that are drawn; figures for slides have larger type and fewer curves."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from claimcheck.figures import drawing, look, style, tables
from claimcheck.figures.averages import summary


@pytest.fixture
def records() -> pd.DataFrame:
    cells = [(arm, seed, step) for arm in range(6) for seed in range(5) for step in range(4)]
    rows = [(f"{arm}{seed}", seed, arm, step, (1 + arm) * seed + step) for arm, seed, step in cells]
    return pd.DataFrame(rows, columns=["run", "seed", "arm", "step", "x"]).astype({"x": float})


def plot(records: pd.DataFrame):
    axis = style.axis()
    style.curves(axis, records, x="step", y="x", by="arm")
    style.level(axis, 2.0, "expected")
    return style.finish(axis, records, xlabel="step", ylabel="value / nats")


def table(figure) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(tables.table_of(figure))))


def test_curves_stand_in_the_table_with_their_intervals(records: pd.DataFrame) -> None:
    rows = table(drawing.draw(plot, records)[0])
    expected = summary(records, "step", "x", "arm").set_index(["arm", "step"])
    lines = [row for row in rows if row["mark"] == "line"]
    assert len(lines) == len(expected) == 24
    for row in lines:
        found = expected.loc[(int(row["series"]), float(row["x"]))]
        for name, column in (("y", "centre"), ("low", "low"), ("high", "high")):
            assert float(row[name]) == pytest.approx(found[column], rel=1e-6)
        assert (row["horizontal"], row["vertical"], row["panel"]) == ("step", "value / nats", "1")
    (level,) = [row for row in rows if row["mark"] == "level"]
    assert (level["series"], level["x"], level["y"]) == ("expected", "", "2")


def test_runs_by_category_stand_under_its_name_every_one(records: pd.DataFrame) -> None:
    def plot_points(rows: pd.DataFrame):
        axis = style.axis()
        style.points(axis, rows, x="arm", y="x", levels=[0, 5], labels={0: "none", 5: "all"})
        return style.finish(axis, rows)

    rows = table(drawing.draw(plot_points, records)[0])
    for level, name in ((0, "none"), (5, "all")):
        own = records[records["arm"] == level].groupby("seed")["x"].mean()
        dots = [float(row["y"]) for row in rows if row["mark"] == "run" and row["x"] == name]
        assert sorted(dots) == pytest.approx(sorted(own))
        (mean,) = [row for row in rows if row["mark"] == "markers" and row["x"] == name]
        assert float(mean["y"]) == pytest.approx(own.mean())
        assert float(mean["low"]) < float(mean["y"]) < float(mean["high"])
        assert mean["series"] == name


def test_a_map_is_a_row_for_each_cell() -> None:
    def plot_map(rows: pd.DataFrame):
        axis = style.axis()
        axis.imshow(np.array([[1.0, 2.0], [3.0, np.nan]]))
        axis.set_xticks(range(2), ["left", "right"])
        axis.set_yticks(range(2), ["top", "bottom"])
        return axis.figure

    rows = table(drawing.draw(plot_map, pd.DataFrame({"seed": [0]}))[0])
    assert [(row["x"], row["y"], row["value"]) for row in rows] == [
        ("left", "top", "1"),
        ("right", "top", "2"),
        ("left", "bottom", "3"),
        ("right", "bottom", "nan"),
    ]


def test_an_area_between_curves_keeps_both_ends() -> None:
    def plot_area(rows: pd.DataFrame):
        axis = style.axis()
        axis.fill_between([1.0, 2.0, 3.0], [0.0, 0.5, 0.0], [1.0, 2.0, 3.0], label="share")
        return axis.figure

    rows = table(drawing.draw(plot_area, pd.DataFrame({"seed": [0]}))[0])
    assert [(row["mark"], row["x"], row["low"], row["high"]) for row in rows] == [
        ("area", "1", "0", "1"),
        ("area", "2", "0.5", "2"),
        ("area", "3", "0", "3"),
    ]


def test_a_slide_has_at_most_four_curves_larger_type_and_no_legend_beside_the_axes(records: pd.DataFrame) -> None:
    page, slide = (drawing.draw(plot, records, projected=projected)[0] for projected in (False, True))
    named = [
        [name for name in figure.axes[0].get_legend_handles_labels()[1] if name != "expected"]
        for figure in (page, slide)
    ]
    assert named == [["0", "1", "2", "3", "4", "5"], ["0", "2", "3", "5"]], "numbers: both ends, and evenly between"
    assert slide.axes[0].get_title(loc="right") == "4 of 6 curves", "what is left out is said"
    assert page.axes[0].get_title(loc="right") == "n = 5 runs"
    sizes = [figure.axes[0].xaxis.label.get_fontsize() / figure.get_figwidth() for figure in (page, slide)]
    assert sizes[1] > 1.1 * sizes[0]
    renderer = slide.canvas.get_renderer()
    legend = (slide.axes[0].get_legend() or slide.legends[0]).get_window_extent(renderer)
    axes = slide.axes[0].get_window_extent(renderer)
    assert legend.x1 <= axes.x1 + 1 or legend.y0 >= axes.y1, "inside, or in a row above"
    assert not look.projected(), "and what is drawn next is a page again"


def test_of_names_the_first_are_kept() -> None:
    with style.applied(projected=True):
        assert look.shown("abcdef") == list("abcd")
        assert look.shown([3, 10]) == [3, 10]
    assert look.shown("abcdef") == list("abcdef")


def test_a_label_longer_than_a_slide_is_made_to_fit(records: pd.DataFrame) -> None:
    def plot_long(rows: pd.DataFrame):
        figure = plot(rows)
        figure.axes[0].set_ylabel("a label that is much longer than the figure is tall, in nats per layer")
        return figure

    figure, problems = drawing.draw(plot_long, records, projected=True)
    assert not [problem for problem in problems if "cut off" in problem]
    box = figure.axes[0].yaxis.label.get_window_extent(figure.canvas.get_renderer())
    assert box.height <= figure.bbox.height


def test_one_run_stands_in_the_table_without_an_interval(records: pd.DataFrame) -> None:
    def plot_marks(rows: pd.DataFrame):
        axis = style.axis()
        style.curves(axis, rows, x="step", y="x", by="arm", joined=False)
        return style.finish(axis, rows)

    rows = table(drawing.draw(plot_marks, records[(records["seed"] == 0) & (records["arm"] < 2)])[0])
    marks = [row for row in rows if row["mark"] == "markers"]
    assert [(row["low"], row["high"]) for row in marks] == [("", "")] * 8
