"""Axes and marks that the figures of several studies share."""

import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.figures import style

RECORDS = pd.DataFrame({"arm": list("aabb"), "seed": [1, 2] * 2, "step": [1, 1, 8, 8], "x": [0.0, 2.0, 1.0, 3.0]})


def test_log_axis_has_plain_numbers_at_its_ticks_and_nowhere_else():
    figure, axis = style.figure()
    axis.plot([1, 1024], [0, 1])
    style.log_axis(axis, [4, 64, 1024])
    figure.canvas.draw()
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["4", "64", "1024"]
    assert list(axis.get_xticks(minor=True)) == []


def test_curves_that_are_not_joined_have_intervals_and_no_line_or_band():
    axis = style.axis()
    table = style.curves(axis, RECORDS, x="step", y="x", joined=False)
    (bars,) = axis.containers
    line, _, (ends,) = bars
    assert line.get_linestyle() == "None"
    assert list(line.get_ydata()) == [1.0, 2.0]
    drawn = [[low, high] for (_, low), (_, high) in ends.get_segments()]
    assert drawn == [pytest.approx([low, high]) for low, high in zip(table["low"], table["high"], strict=True)]
    assert list(axis.collections) == [ends]


@pytest.mark.parametrize(("steps", "whole"), [([1, 2], True), ([1.0, 1.5], False), ([0.5, 1.5], False)])
def test_what_is_counted_has_ticks_at_whole_numbers_alone(steps, whole):
    axis = style.axis()
    style.curves(axis, RECORDS.assign(step=[steps[0]] * 2 + [steps[1]] * 2), x="step", y="x")
    axis.figure.canvas.draw()
    assert all(tick % 1 == 0 for tick in axis.get_xticks()) is whole, axis.get_xticks()


@pytest.mark.parametrize("horizontal", [False, True])
def test_panels_that_share_an_axis_of_categories_have_the_same_ones_or_are_refused(horizontal):
    def draw(levels, **shared):
        _, panels = style.figure(1, 2, **shared)
        for panel, names, there in zip(panels, levels, ("ab", "b"), strict=True):
            rows = RECORDS[RECORDS["arm"].isin(list(there))]
            style.points(panel, rows, x="arm", y="x", levels=list(names), horizontal=horizontal)
        marks = [[bar.lines[0].get_xydata()[0] for bar in panel.containers] for panel in panels]
        return [[int(each[int(horizontal)]) for each in own] for own in marks]

    shared = {"sharey" if horizontal else "sharex": True}
    assert draw(["ab", "ab"], **shared) == [[0, 1], [1]], "a row is left empty where a panel has no runs"
    assert draw(["ab", "b"]) == [[0, 1], [0]]
    with pytest.raises(ClaimcheckError, match=r"other categories already.*found 'b beside a, b'; give every panel"):
        draw(["ab", "b"], **shared)


def test_two_series_may_share_a_row_of_categories():
    axis = style.axis()
    for aside in (-0.1, 0.1):
        style.points(axis, RECORDS, x="arm", y="x", aside=aside)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b"]


def test_a_threshold_stands_below_the_data_and_in_the_legend():
    axis = style.axis()
    (curve,) = axis.plot([0, 1], [0, 1])
    style.threshold(axis, 0.5, "features = examples")
    line = axis.lines[-1]
    assert list(line.get_xdata()) == [0.5, 0.5]
    assert line.get_zorder() < curve.get_zorder()
    assert line.get_label() == "features = examples"


def test_a_level_crosses_the_axis_over_the_data():
    axis = style.axis()
    (curve,) = axis.plot([0, 1], [0, 1])
    style.level(axis, 0.5, "guessing")
    line = axis.lines[-1]
    assert (list(line.get_ydata()), list(line.get_xdata())) == ([0.5, 0.5], [0, 1])
    assert line.get_zorder() > curve.get_zorder()
    assert line.get_label() == "guessing"


def test_outer_panels_are_labelled_and_every_one_has_the_settings():
    """Three panels in two columns: the second column's lowest is in the first row."""
    rows = pd.concat([RECORDS, RECORDS.assign(arm="c")])
    panels = style.panels(rows, "arm", dict(zip("abc", "ABC")), columns=2)
    style.finish(panels[-1].axis, rows, xlabel="step", ylabel="loss", ylim=(0, 5), log_ticks=[1, 8])
    axes = [panel.axis for panel in panels]
    assert [axis.get_xlabel() for axis in axes] == ["", "step", "step"]
    assert [axis.get_ylabel() for axis in axes] == ["loss", "", "loss"]
    assert all(axis.get_ylim() == (0, 5) and list(axis.get_xticks()) == [1, 8] for axis in axes)


def test_one_legend_names_what_is_in_any_panel_once_and_runs_are_counted_beside_it():
    panels = style.panels(RECORDS, "arm", {"a": "A", "b": "B"})
    for axis, level, rows in panels:
        style.curves(axis, rows, x="step", y="x", by="arm")
        style.level(axis, 1.0, "guessing")
        style.level(axis, 2.0, f"_without a name {level}")
    figure = style.finish(axis, RECORDS, "median", title="arm")
    (legend,) = [axis.get_legend() for axis in figure.axes if axis.get_legend()]
    assert [text.get_text() for text in legend.get_texts()] == ["a", "guessing", "b"]
    assert (legend.axes, legend.get_title().get_text()) == (panels[-1].axis, "arm")
    assert [axis.get_title(loc="right") for axis in figure.axes] == ["", "n = 2 runs, median"]


def test_the_panel_with_most_curves_gives_the_order_of_the_legend():
    rows = pd.concat([RECORDS.assign(panel="full"), RECORDS[RECORDS["arm"] == "b"].assign(panel="lacking")])
    for axis, _, own in style.panels(rows, "panel", {"lacking": "1", "full": "2"}):
        style.curves(axis, own, x="step", y="x", by="arm", labels={"a": "first", "b": "second"})
        style.level(axis, 1.0, "guessing")
    style.finish(axis, rows)
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["first", "second", "guessing"]


def test_a_panel_with_a_legend_of_its_own_is_left_alone_and_one_run_is_no_runs():
    left, right = style.side_by_side("loss", "error")
    style.curves(left, RECORDS, x="step", y="x", by="arm")
    style.curves(right, RECORDS, x="step", y="x")
    left.legend()
    style.finish(right, RECORDS[RECORDS["seed"] == 1], xlabel="step")
    assert left.get_legend() is not None
    assert right.get_legend() is None
    assert right.get_title(loc="right") == "n = 1 run"
    assert [axis.get_ylabel() for axis in (left, right)] == ["loss", "error"]
    assert [axis.get_xlabel() for axis in (left, right)] == ["step", "step"]


@pytest.mark.parametrize("apart", ["dataset", "part"])
def test_data_sets_and_parts_with_other_numbers_of_runs_are_told_apart(apart):
    records = pd.DataFrame({apart: ["a"] * 3 + ["b"] * 5, "seed": [0, 1, 2, 0, 1, 2, 3, 4]})
    nowhere = records.assign(dataset=None if apart == "part" else records["dataset"])
    few = records[records["seed"] < 3]
    for rows, said in ((records, "n = 3 to 5 runs"), (nowhere, "n = 3 to 5 runs"), (few, "n = 3 runs")):
        figure = style.finish(style.axis(), rows)
        assert figure.axes[0].get_title(loc="right") == said
