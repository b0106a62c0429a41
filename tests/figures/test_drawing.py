"""Figures: the same bytes again, readable without colour, faults of layout told."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.figures import drawing, style
from claimcheck.figures.averages import proportion_interval, relative, summary
from claimcheck.figures.look import WIDTH
from claimcheck.results import seals
from claimcheck.spec.models import FigureSpec


@pytest.fixture
def records() -> pd.DataFrame:
    cells = [(arm, seed, step) for arm in "ab" for seed in range(5) for step in range(4)]
    rows = [(f"{arm}{seed}", seed, arm, step, seed + step * (arm == "a")) for arm, seed, step in cells]
    return pd.DataFrame(rows, columns=["run", "seed", "arm", "step", "x"]).astype({"x": float})


def plot(records: pd.DataFrame):
    axis = style.axis()
    style.curves(axis, records, x="step", y="x", by="arm", looks=style.looks("ab"))
    style.theory(axis, [0, 3], [2, 5])
    style.region(axis, None, 3.0)
    return style.finish(axis, records, xlabel="step", ylabel=r"value $\chi_1$ / nats")


def test_a_sound_figure_has_no_problems_and_the_same_bytes_twice(records: pd.DataFrame, tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        figure, problems = drawing.draw(plot, records)
        assert problems == []
        made.append(drawing.save(figure, tmp_path / name))
    for first, second in zip(*made):
        assert first.read_bytes() == second.read_bytes()
    root = ElementTree.parse(made[0][0]).getroot()
    assert root.get("width") == f"{WIDTH * 72:g}pt"
    assert not [path for path in tmp_path.iterdir() if path.suffix not in (".svg", ".csv")]


def test_the_average_is_over_seeds_and_leaves_diverged_ones_out(records: pd.DataFrame) -> None:
    records.loc[(records["arm"] == "a") & (records["seed"] == 4) & (records["step"] == 3), "x"] = np.inf
    table = summary(records, "step", "x", "arm").set_index(["arm", "step"])
    assert table.loc[("a", 2), "centre"] == pytest.approx(4.0)
    assert table.loc[("a", 2), "n"] == 5
    assert tuple(table.loc[("a", 3), ["n", "missing"]]) == (4, 1)
    assert table.loc[("a", 3), "centre"] == pytest.approx(4.5)
    half = 2.776445 * np.std(range(5), ddof=1) / np.sqrt(5)
    assert table.loc[("b", 0), "high"] - table.loc[("b", 0), "low"] == pytest.approx(2 * half, rel=1e-6)


def test_a_column_relative_to_its_start_is_a_logarithm_in_its_own_run():
    rows = pd.DataFrame({"run": list("aabb"), "layer": [1, 2] * 2, "delta": [2.0, 2.0 * np.e, 5.0, 5.0 / np.e]})
    assert relative(rows, "delta", "layer", 1).to_numpy() == pytest.approx([0, 1, 0, -1])
    assert relative(rows, "delta", "layer", 2).to_numpy() == pytest.approx([-1, 0, 1, 0])


def test_the_band_of_a_proportion_is_the_binomial_interval():
    failed = pd.DataFrame({"seed": range(16), "rate": 1.0, "failed": 1.0})
    row = summary(failed, "rate", "failed", average="proportion").iloc[0]
    assert (row["centre"], row["high"]) == (1.0, 1.0)
    assert row["low"] == pytest.approx(0.025 ** (1 / 16)), "sixteen of sixteen, Clopper and Pearson"


def test_the_band_of_fractional_shares_holds_that_of_the_rounded_counts() -> None:
    low, high = proportion_interval(np.array([0.0, 1.0, 1.0, 0.0, 0.0, 1.0]))
    wide = proportion_interval(np.array([0.0, 1.0, 1.0, 0.0, 0.5, 0.5]))
    assert wide[0] < low < 0.5 < high < wide[1]


@pytest.mark.parametrize(("n", "ends"), [(10, (2, 9)), (15, (4, 12)), (20, (6, 15)), (30, (10, 21)), (50, (18, 33))])
def test_the_band_of_a_median_lies_between_the_tabled_order_statistics(n: int, ends: tuple[int, int]) -> None:
    numbers = pd.DataFrame({"seed": range(n), "x": 1, "y": np.random.default_rng(0).permutation(n) + 1.0})
    row = summary(numbers, "x", "y", average="median").iloc[0]
    assert (row["low"], row["high"]) == ends, "of n ordered numbers; the tables of the sign test"
    assert row["centre"] == (n + 1) / 2


def test_five_numbers_have_no_band_of_a_median_and_six_have_their_ends() -> None:
    rows = {n: pd.DataFrame({"seed": range(n), "x": 1, "y": np.arange(n) ** 2.0}) for n in (5, 6)}
    bands = {n: summary(each, "x", "y", average="median").iloc[0] for n, each in rows.items()}
    assert np.isnan([bands[5]["low"], bands[5]["high"]]).all(), "all five lie on one side in 1 of 16 cases"
    assert (bands[6]["low"], bands[6]["high"]) == (0, 25)


@pytest.mark.parametrize("across", ["x", "y"])
def test_a_region_moves_no_end_of_the_axis(across: str) -> None:
    _, axis = style.figure()
    axis.plot([1, 2], [1, 2])
    before = axis.get_xlim(), axis.get_ylim()
    style.region(axis, 0.0, 9.0, across=across)
    style.region(axis, None, 1.5, across=across)
    assert (axis.get_xlim(), axis.get_ylim()) == before
    boxes = [patch.get_extents().transformed(axis.transData.inverted()) for patch in axis.patches]
    ends = [(box.x0, box.x1) if across == "x" else (box.y0, box.y1) for box in boxes]
    assert ends == [pytest.approx((0.0, 9.0)), pytest.approx((before[across == "y"][0], 1.5))]


def test_averages_are_multiplied_and_the_band_with_them(records) -> None:
    _, axis = style.figure()
    how = {"x": "step", "y": "x", "by": "arm", "looks": style.looks("ab")}
    once, percent = (style.curves(axis, records, times=times, **how) for times in (1, 100))
    for name in ("centre", "low", "high"):
        assert percent[name].to_numpy() == pytest.approx(100 * once[name].to_numpy())
    share = style.points(axis, records.assign(yes=1.0), x="arm", y="yes", levels="ab", average="proportion", times=100)
    assert list(share["centre"]) == [100, 100]
    assert 0 < share["low"].min() < 100


def test_a_panel_for_every_level_that_there_is(records) -> None:
    panels = style.panels(records, "step", {0: "none", 2: "two", 9: "nine", 3: "three"}, columns=2)
    assert [panel.axis.get_title() for panel in panels] == ["none", "two", "three"]
    assert [panel.level for panel in panels] == [0, 2, 3]
    assert all(set(panel.rows["step"]) == {panel.level} for panel in panels)
    assert len(panels[0].axis.figure.axes) == 3


def test_columns_are_curves_of_their_own_names(records) -> None:
    _, axis = style.figure()
    style.column_curves(axis, records.assign(z=1.0), x="step", columns={"x": "first", "z": "second"}, times=100)
    assert [name for name in axis.get_legend_handles_labels()[1] if not name.startswith("_")] == ["first", "second"]


def test_categories_may_stand_below_one_another(records) -> None:
    _, axis = style.figure()
    how = {"x": "arm", "y": "x", "levels": "ab", "labels": {"a": "one"}}
    style.points(axis, records, **how, horizontal=True)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "b"]
    assert axis.yaxis_inverted()


def test_a_band_ends_where_the_average_can_go_no_further(records):
    _, axis = style.figure()
    table = style.curves(axis, records, x="step", y="x", by="arm", within=(1.0, 4.0))
    assert table["low"].min() == 1.0
    assert table["high"].max() == 4.0


@pytest.mark.parametrize("draw", [style.curves, style.points])
def test_what_diverged_counts_as_it_is_told_and_nothing_is_above_the_cut(records, draw):
    """Seed 4 of arm a ends at 7; without a word it is left out."""
    records = records[records["step"] == 3]
    lost = records.assign(x=records["x"].mask((records["arm"] == "a") & (records["seed"] == 4)))

    def centre(rows, **how):
        rows = rows.assign(place=rows["arm"].map({"a": 0, "b": 1}))
        return draw(style.axis(), rows, x="place", y="x", **how).set_index("place").loc[0, "centre"]

    assert centre(records) == pytest.approx(np.mean([3, 4, 5, 6, 7]))
    assert centre(lost) == pytest.approx(np.mean([3, 4, 5, 6]))
    assert centre(lost, lost=9.0) == pytest.approx(np.mean([3, 4, 5, 6, 9]))
    assert centre(lost, lost=9.0, cut=5.0, times=10) == pytest.approx(10 * np.mean([3, 4, 5, 5, 5]))


def test_labels_name_levels_and_say_in_which_order_they_have_their_looks(records):
    axis, labels = style.axis(), {"b": "second", "a": "first"}
    style.curves(axis, records, x="step", y="x", by="arm", labels=labels)
    drawn = {line.get_label(): line.get_color() for line in axis.lines if not line.get_label().startswith("_")}
    looks = style.looks(labels)
    assert list(drawn.items()) == [("second", looks["b"]["color"]), ("first", looks["a"]["color"])]


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

    _, problems = drawing.draw(crowded, records)
    assert any("cut off" in problem for problem in problems)
    assert any("tick labels" in problem and "lie on one another" in problem for problem in problems)
    assert any("lyph" in problem for problem in problems)


def test_a_colour_bar_is_no_panel(records: pd.DataFrame) -> None:
    def coloured(records: pd.DataFrame):
        figure, axis = style.figure()
        figure.colorbar(axis.scatter(records["step"], records["x"], c=records["x"]), ax=axis, label="x")
        return style.finish(axis, records, xlabel="step", ylabel="x")

    figure, problems = drawing.draw(coloured, records)
    assert ([axis.get_xlabel() for axis in figure.axes], problems) == (["step", ""], [])


@pytest.mark.parametrize("raised", [False, True])
def test_a_remark_on_a_long_title_is_told(records: pd.DataFrame, raised: bool) -> None:
    def titled(records: pd.DataFrame):
        axis = style.axis()
        axis.set_title("a title that leaves no room for anything else beside it, which it should have left")
        return style.finish(axis, records, raised=raised)

    _, problems = drawing.draw(titled, records)
    assert any("lie on one another" in problem for problem in problems) is not raised


@pytest.fixture
def results(records: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """results(plot_one=function, ..., records=...): a study's results, whose figures.py holds these functions."""

    def of(records: pd.DataFrame = records, **functions) -> SimpleNamespace:
        monkeypatch.setattr(drawing, "study_module", lambda folder, name: SimpleNamespace(**functions))
        table = records.assign(part="main", status="ok") if "part" not in records else records
        table.to_parquet(tmp_path / "records.parquet")
        names = [name.removeprefix("plot_").replace("_", "-") for name in functions]
        specs = [FigureSpec(id=name, caption="c", alt="a", part="main") for name in names]
        return SimpleNamespace(
            study=SimpleNamespace(name="toy", folder=tmp_path / "toy", figures=specs),
            config=SimpleNamespace(scale="smoke"),
            records=tmp_path / "records.parquet",
            read_records=lambda: table,
            figures=tmp_path / "figures",
            figures_ingredients={},
        )

    return of


def test_one_bad_figure_does_not_hide_the_others(results) -> None:
    def bad(records):
        raise KeyError("nowhere")

    toy = results(plot_bad_one=bad, plot_good=plot, plot_none=lambda records: None)
    with pytest.raises(ClaimcheckError, match=r"'bad-one'.*nowhere.*'none'.*did not return a Figure"):
        drawing.plot_study(toy)
    assert sorted(path.name for path in toy.figures.iterdir()) == ["good.csv", "good.png", "good.svg"]


def test_a_column_that_is_not_there_is_told_with_one_that_is_near(results) -> None:
    with pytest.raises(ClaimcheckError, match=r"figure 'one'.*'stepp'; did you mean 'step'"):
        drawing.plot_study(results(plot_one=lambda records: records["stepp"]))


def test_a_figure_that_shows_nothing_is_told(records, results, capsys) -> None:
    def plot_some(records):
        axis = style.axis()
        style.curves(axis, records, x="step", y="x")
        return style.finish(axis, records)

    drawing.plot_study(results(plot_some=plot_some, plot_none=lambda records: plot_some(records[records["step"] > 99])))
    said = capsys.readouterr().err.splitlines()
    assert said == ["toy: figure 'none': shows no number: are its rows there?"]


def test_only_what_was_drawn_last_is_left(results) -> None:
    toy = results(plot_first=plot, plot_second=plot)
    drawing.plot_study(toy)
    toy.study.figures.pop()
    writing = toy.figures / ".first.1234.tmp.svg"
    writing.touch()
    drawing.plot_study(toy)
    assert writing.exists(), "another process is writing it"
    assert seals.figure_files(toy.figures, "claimcheck plot") == [
        toy.figures / f"first.{end}" for end in ("svg", "csv", "png")
    ]
    assert not list(toy.figures.glob("second.*"))


def test_a_missing_function_is_named(results) -> None:
    toy = results(plot_good=plot)
    toy.study.figures[0] = toy.study.figures[0].model_copy(update={"id": "other"})
    with pytest.raises(ClaimcheckError, match="plot_other"):
        drawing.plot_study(toy)


def test_the_folder_is_there_even_where_nothing_is_drawn(results) -> None:
    toy = results(plot_good=plot)
    toy.study.figures[0] = toy.study.figures[0].model_copy(update={"part": "another"})
    assert drawing.plot_study(toy) == []
    assert toy.figures.is_dir()


def test_a_part_of_which_every_run_diverged_is_drawn(records, results) -> None:
    """It is judged, too: its metrics are there, and hold no number."""
    lost = records.assign(part="main", status="diverged", x=np.nan)
    other = records.assign(part="other", status="ok", only_there=1.0)
    toy = results(records=pd.concat([lost, other], ignore_index=True), plot_lost=plot)
    assert [path.name for path in drawing.plot_study(toy)] == ["lost.svg", "lost.csv", "lost.png"]


def on_log_axes(records):
    figure, axis = style.figure()
    axis.plot(records["step"], records["x"])
    axis.set(xlabel="step", ylabel="x", xscale="log", yscale="log")
    return figure


def to_its_largest(records):
    figure, axis = style.figure()
    axis.plot(records["step"], records["x"])
    axis.set_ylim(0, records["x"].max())
    return figure


def of_a_lost_column(records):
    figure, axis = style.figure()
    axis.plot(records["step"], records.groupby("run")["peak"].first())
    return figure


def in_panels(records):
    for axis, _, rows in style.panels(records, "arm", {"a": "one", "b": "other"}):
        style.curves(axis, rows, x="step", y="x", by="arm", looks=style.looks("ab"))
    return style.finish(axis, records)


LOST = {
    "on logarithmic axes": on_log_axes,
    "to its largest number": to_its_largest,
    "without its column": of_a_lost_column,
}


@pytest.mark.parametrize("drawn", [plot, in_panels, *LOST.values()])
def test_a_figure_of_which_every_run_diverged_says_so(records, results, drawn, capsys) -> None:
    toy = results(records=records.assign(part="main", status="diverged", x=np.nan), plot_lost=drawn)
    assert [path.name for path in drawing.plot_study(toy)] == ["lost.svg", "lost.csv", "lost.png"]
    figure, _ = drawing.draw(drawn, toy.read_records())
    assert [text.get_text() for axes in figure.axes for text in axes.texts].count("every run diverged") == len(
        figure.axes
    )
    told = "figure 'lost': every run diverged, and so its function fails" in capsys.readouterr().err
    assert told is (drawn in (to_its_largest, of_a_lost_column))


def test_a_panel_of_which_every_run_diverged_stays_empty_beside_the_others(records) -> None:
    def panels(records):
        for axis, _, rows in style.panels(records, "arm", {"a": "one", "b": "other"}):
            style.curves(axis, rows, x="step", y="x", by="arm", looks=style.looks("ab"))
        return style.finish(axis, records, yscale="log")

    status = np.where(records["arm"] == "a", "diverged", "ok")
    figure, _ = drawing.draw(panels, records.assign(status=status, x=(records["x"] + 1).where(records["arm"] == "b")))
    assert not [text for axes in figure.axes for text in axes.texts if "diverged" in text.get_text()]


def test_a_function_that_fails_where_runs_came_to_their_end_is_an_error(records, results) -> None:
    lost = records.assign(part="main", status=np.where(records["run"] == "a0", "ok", "diverged"))
    with pytest.raises(ClaimcheckError, match=r"'lost'.*peak"):
        drawing.plot_study(results(records=lost, plot_lost=of_a_lost_column))


def test_drawing_that_is_stopped_keeps_the_figures_that_were_there_but_not_as_whole(results, monkeypatch) -> None:
    toy = results(plot_good=plot)
    before = drawing.plot_study(toy)

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "draw", stop)
    with pytest.raises(KeyboardInterrupt):
        drawing.plot_study(toy)
    assert all(path.is_file() for path in before)
    assert not (toy.figures / seals.FIGURES).exists()
