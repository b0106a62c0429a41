"""What a figure for a slide needs once it has been laid out: a legend that lies on no curve, labels that fit.

Nothing here knows what is drawn; places are measured on the canvas.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Bbox

CORNERS = ("upper right", "upper left", "lower left", "lower right")


def settle(figure: Figure, renderer: Any) -> bool:
    """Put right what does not fit; whether there was anything, so that the figure is drawn again."""
    moved = [_move_legend(axes, renderer) for axes in figure.axes]
    moved += [_thin_ticks(axes, renderer) for axes in figure.axes]
    return any([*moved, _share_label(figure, renderer), _break_labels(figure, renderer), _fit_labels(figure, renderer)])


def _move_legend(axes: Axes, renderer: Any) -> bool:
    """Put a legend that lies on what the panel draws into a corner where it does not, or else into rows above all panels;
    whether it lay so.
    """
    legend = axes.get_legend()
    if legend is None or not covers(axes, legend.get_window_extent(renderer)):
        return False
    for corner in CORNERS:
        legend.set_loc(corner)
        if not covers(axes, legend.get_window_extent(renderer)):
            return True
    names = [text.get_text() for text in legend.get_texts()]
    found: dict[str, Any] = {}
    for one in axes.figure.axes:
        for handle, name in zip(*one.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    handles = [found[name] for name in names if name in found]
    if len(handles) < len(names):
        return False
    across = columns(legend, axes.figure.bbox.width, renderer)
    title = legend.get_title().get_text() or None
    legend.remove()
    look = {"ncols": across, "title": title, "handlelength": 2.6, "columnspacing": 1.6, "frameon": False}
    axes.figure.legend(handles, names, loc="outside upper center", **look)
    return True


def covers(axes: Axes, box: Bbox) -> bool:
    """Whether a box of the canvas lies on a curve, a level, a band, a run's mark, a bar or a word of the panel."""
    for line in axes.lines:
        if line.get_visible():
            path = line.get_transform().transform_path(line.get_path())
            numbers = path.vertices[np.isfinite(path.vertices).all(axis=1)]
            marked, pixels = line.get_linestyle() in ("None", "", " "), axes.figure.dpi / 72
            radius = line.get_markersize() / 2 * pixels if line.get_marker() not in ("None", "", " ", None) else 0.0
            if len(numbers) and (
                box.padded(radius).count_contains(numbers) or (not marked and path.intersects_bbox(box, filled=False))
            ):
                return True
    for marks in axes.collections:
        if isinstance(marks, LineCollection | PolyCollection):
            filled = isinstance(marks, PolyCollection)
            pieces = (marks.get_transform().transform_path(path) for path in marks.get_paths())
            if any(piece.intersects_bbox(box, filled=filled) for piece in pieces):
                return True
        places = np.ma.filled(marks.get_offsets(), np.nan) if len(marks.get_offsets()) > 1 else np.empty((0, 2))
        if len(places) and box.count_contains(marks.get_offset_transform().transform(places)):
            return True
    solid = (patch for patch in axes.patches if patch.get_alpha() in (None, 1))
    return any(box.overlaps(each.get_window_extent()) for each in (*solid, *axes.texts))


def _thin_ticks(axes: Axes, renderer: Any) -> bool:
    """Have fewer numbers below a panel where they come within half a letter of one another; whether they did."""
    ticks, across = axes.xaxis.get_major_locator(), axes.get_window_extent(renderer)
    boxes = [label.get_window_extent(renderer) for label in axes.xaxis.get_majorticklabels() if label.get_text()]
    boxes = [box for box in boxes if across.x0 - 1 <= (box.x0 + box.x1) / 2 <= across.x1 + 1]
    near = any(right.x0 - left.x1 < 0.5 * left.height for left, right in pairwise(boxes))
    if not isinstance(ticks, MaxNLocator) or not near:
        return False
    ticks.set_params(nbins=max(2, len(boxes) // 2))
    return True


def columns(legend: Legend, width: float, renderer: Any) -> int:
    """How many of a legend's entries go side by side across so many pixels, filled column by column."""
    texts = [text.get_window_extent(renderer).width for text in legend.get_texts()]
    letter = legend.get_texts()[0].get_fontsize() * legend.figure.dpi / 72
    for across in range(len(texts), 1, -1):
        widest = [max(column) for column in np.array_split(texts, across)]  # the first ones longer, as matplotlib does
        if sum(widest) + len(widest) * 5.2 * letter < 0.97 * width:
            return across
    return 1


def _share_label(figure: Figure, renderer: Any) -> bool:
    """Say once beside all rows what the first panel of each says and is too low for; whether there was such a label."""
    said = [axes.yaxis.label for axes in figure.axes if axes.get_ylabel()]
    low = any(
        axes.yaxis.label.get_window_extent(renderer).height > axes.get_window_extent(renderer).height
        for axes in figure.axes
    )
    if len(said) < 2 or len({label.get_text() for label in said}) > 1 or not low:
        return False
    places = [axes.get_subplotspec() for axes in figure.axes if axes.get_ylabel()]
    if not all(place is not None and place.is_first_col() for place in places):
        return False
    figure.supylabel(said[0].get_text(), fontsize=said[0].get_fontsize(), color=said[0].get_color())
    for label in said:
        label.set_text("")
    return True


def _break_labels(figure: Figure, renderer: Any) -> bool:
    """Set labels of panels in rows on two lines where they are longer than their panel is high."""
    broken = False
    for axes in figure.axes:
        place, label = axes.get_subplotspec(), axes.yaxis.label
        too_long = label.get_window_extent(renderer).height > axes.get_window_extent(renderer).height
        if place is None or place.get_gridspec().nrows < 2 or not too_long or " " not in label.get_text():
            continue
        words = label.get_text()
        middle = min((at for at, letter in enumerate(words) if letter == " "), key=lambda at: abs(at - len(words) / 2))
        label.set_text(f"{words[:middle]}\n{words[middle + 1 :]}")
        broken = True
    return broken


def _fit_labels(figure: Figure, renderer: Any) -> bool:
    """Make labels of axes smaller that are longer than the figure; whether there were any."""
    found = False
    for axes in figure.axes:
        for label, across in ((axes.xaxis.label, True), (axes.yaxis.label, False)):
            box, edge = label.get_window_extent(renderer), figure.bbox
            ends, whole = ((box.x0, box.x1), edge.width) if across else ((box.y0, box.y1), edge.height)
            room = whole - abs(sum(ends) - whole)  # of a label that is centred on its axes
            if ends[1] - ends[0] > 0.97 * room:
                label.set_fontsize(label.get_fontsize() * 0.97 * room / (ends[1] - ends[0]))
                found = True
    return found
