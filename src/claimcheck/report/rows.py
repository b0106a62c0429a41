"""What the pictures of a prediction show, as rows for `dots` and in words."""

from __future__ import annotations

import math

from claimcheck.report import dots, phrases
from claimcheck.report.gather import PredictionView


def picture_rows(view: PredictionView) -> list[dots.Row]:
    """What the pictures of a prediction show: a row for each data set, a mark a run; of a fact one for each value."""
    rows = []
    for outcome in view.outcomes:
        marks = list(zip(outcome.values, view.truths(outcome), strict=True))
        if view.is_fact:
            marks = list({str(value): (value, true) for value, true in marks}.values())
        name = f"{outcome.on}: " if outcome.data else ""
        told = f"{name}{outcome.verdict if view.is_fact else phrases.runs(outcome)}"
        number = f"{'value' if view.is_fact else 'median'} {phrases.number_of(view, outcome)}"
        interval = outcome.median, outcome.low, outcome.high
        values, true = zip(*marks, strict=True) if marks else ((), ())
        rows.append(dots.Row(values, true, outcome.verdict, (told, number), interval))
    return rows


def band(view: PredictionView) -> dots.Ends:
    """From where to where the pictures shade: the region, and of a fact as far beyond as its tolerance."""
    low, high = view.spec.region
    beyond = view.spec.tolerance or 0.0
    return None if low is None else low - beyond, None if high is None else high + beyond


def picture_alt(view: PredictionView) -> str:
    """The picture of a prediction in words."""
    told = [f"Region {phrases.plain_region(view.spec)}"]
    for outcome, row in zip(view.outcomes, picture_rows(view), strict=True):
        without = sum(math.isnan(value) for value in outcome.values)
        told.append(f"{row.told[0]}, {row.told[1]}{f', {without} without a number' if without else ''}")
    return "; ".join(told)
