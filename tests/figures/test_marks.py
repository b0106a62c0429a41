"""Marks that the figures of several studies share."""

from claimcheck.figures import style


def test_log_axis_has_plain_numbers_at_its_ticks_and_nowhere_else():
    figure, axis = style.figure()
    axis.plot([1, 1024], [0, 1])
    style.log_axis(axis, [4, 64, 1024])
    figure.canvas.draw()
    assert axis.get_xscale() == "log"
    assert [label.get_text() for label in axis.get_xticklabels()] == ["4", "64", "1024"]
    assert list(axis.get_xticks(minor=True)) == []


def test_only_the_named_curves_lose_their_line():
    _, axis = style.figure()
    for name in ("measured", "other"):
        axis.plot([0, 1], [0, 1], label=name, marker="o")
    style.unjoined(axis, ["measured"])
    assert [line.get_linestyle() for line in axis.lines] == ["None", "-"]


def test_a_threshold_stands_below_the_data_and_in_the_legend():
    _, axis = style.figure()
    (curve,) = axis.plot([0, 1], [0, 1])
    style.threshold(axis, 0.5, "features = examples")
    line = axis.lines[-1]
    assert list(line.get_xdata()) == [0.5, 0.5]
    assert line.get_zorder() < curve.get_zorder()
    assert line.get_label() == "features = examples"
