"""Figures for a slide: a legend never lies on what is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from claimcheck.figures import drawing, projection, style

RECORDS = pd.DataFrame({"seed": [0], "run": ["a"]})


def waves(records: pd.DataFrame):
    """Two panels that curves fill from corner to corner."""
    axes = style.side_by_side("up", "down")
    across = np.linspace(0, 1, 400)
    for axis in axes:
        for place in range(4):
            axis.plot(across, np.sin(40 * across + place) * (1 + place), label=f"a wave of the {place}th kind")
    return style.finish(axes[0], records, xlabel="time")


def low(records: pd.DataFrame):
    """A curve that leaves the upper half of its panel alone."""
    axis = style.axis()
    axis.plot([0, 1, 2], [0, 0.1, 0.2], label="low")
    return style.finish(axis, records, ylim=(0, 1))


def dots(records: pd.DataFrame):
    """Marks of runs everywhere, and no curve."""
    axis = style.axis()
    places = np.stack(np.meshgrid(np.linspace(0, 1, 40), np.linspace(0, 1, 40)), axis=-1).reshape(-1, 2)
    axis.scatter(*places.T, s=9, label="runs")
    return style.finish(axis, records)


@pytest.mark.parametrize("plot", [waves, dots])
def test_a_legend_that_would_lie_on_what_is_drawn_is_a_row_above_all_panels(plot) -> None:
    figure, problems = drawing.draw(plot, RECORDS, projected=True)
    (row,) = figure.legends
    box = row.get_window_extent()
    assert not any(axes.get_legend() for axes in figure.axes)
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)
    assert figure.bbox.x0 <= box.x0
    assert box.x1 <= figure.bbox.x1, "as many entries side by side as fit"
    assert problems == []


@pytest.mark.parametrize("entries", [5, 9, 12, 14])
def test_a_row_of_many_short_entries_fits_whatever_their_number(entries) -> None:
    def classes(records: pd.DataFrame):
        axis = style.axis()
        for place in range(entries):
            axis.plot(np.linspace(0, 1, 50), np.full(50, place), label="long name" if place == 0 else str(place))
        return style.finish(axis, records, ylim=(0, entries - 1))

    figure, problems = drawing.draw(classes, RECORDS, projected=True)
    (row,) = figure.legends
    assert [text.get_text() for text in row.get_texts()] == ["long name", *map(str, range(1, entries))]
    assert figure.bbox.x0 <= row.get_window_extent().x0
    assert row.get_window_extent().x1 <= figure.bbox.x1
    assert problems == []


def test_a_legend_with_room_stays_inside() -> None:
    figure, _ = drawing.draw(low, RECORDS, projected=True)
    (axes,) = figure.axes
    assert figure.legends == []
    assert not projection.covers(axes, axes.get_legend().get_window_extent())


def test_a_curve_between_two_distant_points_is_seen_to_pass_below_a_box() -> None:
    figure, axes = style.figure()
    axes.plot([0, 1], [0, 1])
    figure.draw_without_rendering()
    middle = axes.transData.transform([(0.45, 0.45), (0.55, 0.55)])
    aside = axes.transData.transform([(0.75, 0.1), (0.85, 0.3)])
    assert projection.covers(axes, projection.Bbox(middle))
    assert not projection.covers(axes, projection.Bbox(aside))


@pytest.mark.parametrize(
    "draw",
    [
        lambda axes: axes.axhline(0.2),
        lambda axes: axes.axvline(0.8),
        lambda axes: axes.fill_between([0, 1], [0, 0], [0.9, 0.9]),
        lambda axes: axes.text(0.8, 0.2, "fp16"),
    ],
    ids=["level", "threshold", "band", "word"],
)
def test_levels_thresholds_bands_and_words_are_seen(draw) -> None:
    figure, axes = style.figure()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    draw(axes)
    figure.draw_without_rendering()
    on_it = axes.transData.transform([(0.75, 0.1), (0.85, 0.3)])
    above = axes.transData.transform([(0.1, 0.92), (0.3, 0.98)])
    assert projection.covers(axes, projection.Bbox(on_it))
    assert not projection.covers(axes, projection.Bbox(above))


def test_a_legend_on_a_level_goes_to_a_corner_that_is_free() -> None:
    def waves_and_level(records: pd.DataFrame):
        axis = style.axis()
        axis.plot([0, 1], [0.1, 0.1], label="low")
        axis.fill_between([0.6, 1], [0.5, 0.5], [1, 1], label="_band")
        figure = style.finish(axis, records, xlim=(0, 1), ylim=(0, 1))
        axis.get_legend().set_loc("upper right")
        return figure

    figure, _ = drawing.draw(waves_and_level, RECORDS, projected=True)
    (axes,) = figure.axes
    assert figure.legends == []
    assert not projection.covers(axes, axes.get_legend().get_window_extent())


def test_lines_drawn_as_a_collection_are_seen() -> None:
    figure, axes = style.figure()
    axes.hlines([0.2, 0.8], [0.0, 0.0], [0.4, 0.4])
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.draw_without_rendering()
    on_one = axes.transData.transform([(0.1, 0.7), (0.3, 0.9)])
    between = axes.transData.transform([(0.1, 0.3), (0.3, 0.7)])
    assert projection.covers(axes, projection.Bbox(on_one))
    assert not projection.covers(axes, projection.Bbox(between))


def test_a_label_that_is_too_long_for_low_panels_is_said_once() -> None:
    def stacked(records: pd.DataFrame):
        words = "gradient (root mean square), log10"
        _, axes = style.figure(2, 2)
        for axis in axes.flat:
            axis.plot([0, 1], [0, 1])
        return style.finish(axes[0, 0], records, ylabel=words)

    figure, problems = drawing.draw(stacked, RECORDS, projected=True)
    assert figure.get_supylabel().startswith("gradient")
    assert not any(axes.get_ylabel() for axes in figure.axes)
    assert problems == []


def test_labels_that_differ_are_set_on_two_lines() -> None:
    def stacked(records: pd.DataFrame):
        _, axes = style.figure(2, 2)
        for axis, name in zip(axes[:, 0], ("digits", "signals")):
            axis.set_ylabel(f"{name}: share of dead units / %")
        return style.finish(axes[0, 0], records)

    figure, problems = drawing.draw(stacked, RECORDS, projected=True)
    assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == [
        "digits: share of\ndead units / %",
        "signals: share of\ndead units / %",
    ]
    assert problems == []


@pytest.mark.parametrize("linestyle", ["", "-"])
def test_the_edge_of_a_mark_is_seen(linestyle) -> None:
    figure, axes = style.figure()
    axes.plot([0.5], [0.5], marker="o", markersize=20, linestyle=linestyle)
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.draw_without_rendering()
    (x, y), pixels = axes.transData.transform((0.5, 0.5)), figure.dpi / 72
    assert projection.covers(axes, projection.Bbox([(x - 50, y + 9 * pixels), (x + 50, y + 99 * pixels)]))
    assert not projection.covers(axes, projection.Bbox([(x - 50, y + 11 * pixels), (x + 50, y + 99 * pixels)]))


def test_what_comes_too_near_once_the_rest_was_put_right_is_put_right_too() -> None:
    def plane(records: pd.DataFrame):
        _, axes = style.figure(1, 2, height=3.4)
        for one, name in zip(axes, ("before", "after")):
            one.scatter(np.linspace(-0.7, 0.85, 40), np.linspace(-0.7, 0.7, 40))
            one.plot(np.linspace(-0.7, 0.85, 40), np.linspace(-0.7, 0.7, 40), "x")
            for entry in range(12):
                one.plot([], [], "s", label=f"entry {entry}")
            one.set_title(name)
        return style.finish(axes[0], records, xlabel="first component", ylabel="second component")

    figure, _ = drawing.draw(plane, RECORDS, projected=True)
    assert not projection.settle(figure, figure.canvas.get_renderer())
