"""From records to figure files: calls a study's `plot_<id>` and writes SVG (report), its table, and PNG (slides).

The same records give the same bytes. A glyph that the font lacks, text beyond the figure's edge and labels that overlap
are reported as problems. Nothing here computes a result.
"""

from __future__ import annotations

import io
import itertools
import math
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
import pandas as pd
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.image import imsave
from matplotlib.text import Text

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.figures import projection, style, tables
from claimcheck.figures.compact import compact
from claimcheck.figures.look import projected as is_projected
from claimcheck.files import make_folder, sha256, write_atomically, write_text
from claimcheck.results import records as recording
from claimcheck.results.seals import FIGURES, write_figure_list
from claimcheck.spec.modules import place_in, study_module

if TYPE_CHECKING:
    from claimcheck.results.state import Results

_COMPLAINTS = re.compile(r"glyph|constrained_layout|tight_layout|font family", re.IGNORECASE)


def plot_study(results: Results) -> list[Path]:
    """Draw every figure of a study from its records into the store, with their checksums.

    Every figure is tried before an error is raised, so that one bad figure does not hide the others. Problems of layout
    are written to standard error.

    Returns:
        the files written.

    Raises:
        ClaimcheckError: no records, no such function, or an error inside it.
    """
    study, scale = results.study, results.config.scale
    records = results.read_records()
    target = make_folder(results.figures)
    (target / FIGURES).unlink(missing_ok=True)  # until all are whole; what was drawn before is overwritten one by one
    written, failed = [], []
    for spec in study.figures:
        rows = recording.part_of(records, spec.part)
        if rows.empty:
            print(f"{study.name}: figure {spec.id!r}: part {spec.part} was not run at {scale}", file=sys.stderr)
            continue
        try:
            plot = getattr(study_module(study.folder, "figures"), spec.function)
            figure, problems = draw(plot, rows)
            drawn, table = save(figure, target / spec.id)
            written += [drawn, table]
            if table.read_text(encoding="utf-8").count("\n") == 1:
                problems.append("shows no number: are its rows there?")
            figure, others = draw(plot, rows, projected=True)
            problems += [f"on a slide, {problem}" for problem in others]
            written.append(save_projected(figure, target / spec.id))
        except (Exception, SystemExit) as error:
            place = place_in(study.folder, error)
            name = "" if isinstance(error, ClaimcheckError) else f"{type(error).__name__}: "
            near = closest(error.args[0], rows.columns) if isinstance(error, KeyError) and error.args else None
            failed.append(f"figure {spec.id!r}{place}: {name}{error}{f'; {near}' if near else ''}")
            continue
        for problem in problems:
            print(f"{study.name}: figure {spec.id!r}: {problem}", file=sys.stderr)
    if failed:
        raise ClaimcheckError(" | ".join(failed), where=study.folder / "figures.py")
    for old in set(filter(Path.is_file, target.iterdir())) - set(written):
        if not old.name.startswith("."):  # what another process is just writing
            old.unlink(missing_ok=True)
    write_figure_list(target, written, sha256(results.records), results.figures_ingredients)
    return written


def draw(
    plot: Callable[[pd.DataFrame], Figure], records: pd.DataFrame, *, projected: bool = False
) -> tuple[Figure, list[str]]:
    """Call `plot` in the project's style, lay the figure out, draw it once, and collect the faults of its layout.

    What is checked is what is saved: the layout is fixed from here on, and the canvas keeps the picture for the PNG. Where
    every run diverged, the figure says so; it says that alone where `plot` cannot do with columns without a number.

    Args:
        projected: for a slide instead of a page.
    """
    lost = _all_diverged(records)
    with style.applied(projected=projected), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reason = None
        try:
            figure, canvas = _drawn(_saying_so(plot) if lost else plot, records)
        except Exception as error:
            if not lost:
                raise
            reason = f"every run diverged, and so its function fails ({type(error).__name__}: {error})"
            figure, canvas = _drawn(_saying_so(lambda records: style.figure()[0]), records)
        problems = _layout_problems(figure, canvas.get_renderer())
        figure.set_layout_engine("none")
    complaints = [str(entry.message) for entry in caught if _COMPLAINTS.search(str(entry.message))]
    return figure, list(dict.fromkeys([*complaints, *problems, *filter(None, [reason])]))


def _drawn(plot: Callable[[pd.DataFrame], Figure], records: pd.DataFrame) -> tuple[Figure, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = plot(records)
    if not isinstance(figure, Figure):
        raise ClaimcheckError("did not return a Figure", found=type(figure).__name__, expected="return figure")
    for axes in figure.axes:
        _make_room(axes)
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(matplotlib.rcParams["savefig.dpi"])
    canvas.draw()
    for _ in range(3 if is_projected() else 0):  # what is put right in one drawing may be too near in the next
        if not projection.settle(figure, canvas.get_renderer()):
            break
        canvas.draw()
    return figure, canvas


def _make_room(axes: Any) -> None:
    """Ends for a logarithmic axis on which there is nothing: matplotlib would find none."""
    for axis, ends, smallest in (
        (axes.xaxis, axes.set_xlim, axes.dataLim.minposx),
        (axes.yaxis, axes.set_ylim, axes.dataLim.minposy),
    ):
        if axis.get_scale() == "log" and not (min(axis.get_view_interval()) > 0 or math.isfinite(smallest)):
            ends(0.1, 1.0)


def _all_diverged(records: pd.DataFrame) -> bool:
    """Whether not one run came to its end."""
    if "status" not in records:
        return False
    return bool(records["run"].isin(records.loc[records["status"] == "diverged", "run"]).all())


def _saying_so(plot: Callable[[pd.DataFrame], Figure]) -> Callable[[pd.DataFrame], Figure]:
    """The figure of `plot` with a word in each of its panels that no run came to its end."""

    def plot_and_say(records: pd.DataFrame) -> Figure:
        figure = plot(records)
        for axes in figure.axes if isinstance(figure, Figure) else ():
            axes.text(0.5, 0.5, "every run diverged", transform=axes.transAxes, ha="center", va="center")
        return figure

    return plot_and_say


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write a figure that `draw` made as `stem`.svg and its numbers as `stem`.csv, whole or not at all, undated; close it."""
    svg, table = (stem.with_name(f"{stem.name}.{ending}") for ending in ("svg", "csv"))
    with style.applied(), write_atomically(svg) as temporary:
        written = io.StringIO()
        # Not `savefig`, which draws everything once more before it writes.
        FigureCanvasSVG(figure).print_svg(written, metadata={"Date": None, "Creator": None})
        temporary.write_text(compact(written.getvalue()), encoding="utf-8")
    write_text(table, tables.table_of(figure))
    _close(figure)
    return [svg, table]


def save_projected(figure: Figure, stem: Path) -> Path:
    """Write a figure that `draw` made for a slide as `stem`.png, whole or not at all, undated, and close it."""
    png = stem.with_name(f"{stem.name}.png")
    with write_atomically(png) as temporary:
        picture = figure.canvas.buffer_rgba()
        imsave(temporary, picture, format="png", dpi=figure.dpi, metadata={"Software": None})
    _close(figure)
    return png


def _close(figure: Figure) -> None:
    if "matplotlib.pyplot" in sys.modules:
        matplotlib.pyplot.close(figure)
    figure.clear()


def _layout_problems(figure: Figure, renderer: Any) -> list[str]:
    """Text beyond the figure's edge (by more than a point), texts on one another, and tick labels of one axis too."""
    problems, boxes = [], []
    slack = figure.dpi / 72
    edge = figure.bbox
    ticks = {id(text) for axes in figure.axes for text in _tick_texts(axes)}
    for text in figure.findobj(Text):
        if id(text) in ticks or not text.get_visible() or not text.get_text().strip():
            continue
        box = text.get_window_extent(renderer)
        if box.x0 < -slack or box.y0 < -slack or box.x1 > edge.width + slack or box.y1 > edge.height + slack:
            problems.append(f"text {text.get_text()!r} is cut off at the figure's edge")
        boxes.append((text.get_text(), box.padded(-slack)))
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        if a.overlaps(b):
            problems.append(f"texts {one!r} and {other!r} lie on one another")
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label.get_window_extent(renderer) for label in _shown_labels(axis)]
            if any(a.overlaps(b) for a, b in itertools.pairwise(labels)):
                problems.append(f"tick labels of the {axis.axis_name} axis {axes.get_title()!r} lie on one another")
    return problems


def _tick_texts(axes: Any) -> list[Text]:
    """Every tick label that matplotlib keeps, spare ones outside the view included."""
    ticks = [t for axis in (axes.xaxis, axes.yaxis) for t in (*axis.majorTicks, *axis.minorTicks)]
    return [text for tick in ticks for text in (tick.label1, tick.label2)]


def _shown_labels(axis: Any) -> list[Text]:
    low, high = sorted(axis.get_view_interval())
    ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=False)
    slack = 1e-9 * (abs(low) + abs(high))
    return [t for at, t in ticks if low - slack <= at <= high + slack and t.get_text().strip() and t.get_visible()]
