"""Numbers for a study's notes: what `{{ estimate('id') }}` and its like stand for.

The number is the median over runs (in words where it is infinite: "never reached it"), or a fact's value. Of a
prediction on several data sets every function takes the data set as a second argument; without it all are listed.
`{{ figure('id') }}` leads to one of the study's figures, wherever the report shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from claimcheck.errors import ClaimcheckError
from claimcheck.report import phrases, text
from claimcheck.report.gather import ClaimView, Outcome, PredictionView, StudyView
from claimcheck.spec.models import Study

NOTHING = "(not run)"


def notes_of(study: StudyView) -> str:
    """The study's notes with its numbers filled in; empty where it has none."""
    if not study.spec.notes.strip():
        return ""
    return text.notes(study.spec.notes, functions(study), _file_of(study))


def check(spec: Study) -> None:
    """Whether notes can be filled in: what they name is there.

    Raises:
        ClaimcheckError: the template is broken or names something unknown.
    """
    claims = (
        ClaimView(claim.id, "", "not run", spec, tuple(PredictionView(each, "not run") for each in claim.predictions))
        for claim in spec.claims
    )
    figures = tuple((figure, None) for figure in spec.figures)
    notes_of(StudyView(spec, tuple(claims), (), figures, None, None, ()))


def _file_of(study: StudyView) -> str:
    return str(study.spec.folder / "notes.md")


def functions(study: StudyView) -> dict[str, Callable[..., str]]:
    """The functions that notes may call, by name."""
    where = _file_of(study)
    predictions = {view.spec.id: view for view in study.predictions()}
    states = {**{claim.id: claim.state for claim in study.claims}, **{i: v.state for i, v in predictions.items()}}

    def verdict(identifier: str, data: str | None = None) -> str:
        if data is None:
            return text.known(states, identifier, where, "claim or prediction")
        view = text.known(predictions, identifier, where, "prediction")
        found = _of(view, data, where)
        if found:
            return found[0].verdict
        return "not run" if view.measured else view.state

    def figure(identifier: str) -> str:
        path = text.known({spec.id: path for spec, path in study.figures}, identifier, where, "figure")
        return "figure" if path is None else f"[figure](#figure-{study.spec.name}-{identifier})"

    def shown(say: Callable[[PredictionView, Outcome], str]) -> Callable[..., str]:
        def show(identifier: str, data: str | None = None) -> str:
            view = text.known(predictions, identifier, where, "prediction")
            outcomes = _of(view, data, where)
            pieces = [say(view, outcome) for outcome in outcomes]
            if len(outcomes) > 1:
                pieces = [f"{piece} ({each.on})" for piece, each in zip(pieces, outcomes, strict=True)]
            return ", ".join(pieces) or NOTHING

        return show

    return {
        "runs": shown(_runs),
        "estimate": shown(_estimate),
        "interval": shown(_interval),
        "size": shown(_changed(abs)),
        "percent": shown(_changed(lambda value: 100 * value)),
        "factor": shown(_changed(_exponential)),
        "n": shown(lambda view, outcome: text.number(len(outcome.values), 9)),
        "verdict": verdict,
        "figure": figure,
    }


def _of(view: PredictionView, data: str | None, where: str) -> list[Outcome]:
    """The prediction's outcomes, or the one on `data`."""
    outcomes = list(view.outcomes)
    if data is None:
        return outcomes
    if data not in view.spec.on:
        raise ClaimcheckError(
            "the notes name a data set that the prediction is not asked on",
            where=where,
            found=f"{view.spec.id}, {data}",
            expected=f"one of {', '.join(view.spec.on) or 'none: it names no data set'}",
        )
    return [each for each in outcomes if each.data == data]


def _runs(view: PredictionView, outcome: Outcome) -> str:
    return outcome.verdict if view.is_fact else phrases.runs(outcome)


def _interval(view: PredictionView, outcome: Outcome) -> str:
    return text.interval(outcome.low, outcome.high) or text.estimate(outcome.median, outcome.low, outcome.high)


def _estimate(view: PredictionView, outcome: Outcome) -> str:
    words = phrases.without_end(view, outcome.median)
    return words or _changed(lambda value: value)(view, outcome)


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _changed(change: Callable[[float], float]) -> Callable[[PredictionView, Outcome], str]:
    """The median after `change`, with as many decimals as its changed interval deserves."""

    def say(view: PredictionView, outcome: Outcome) -> str:
        if outcome.median is None:
            return "no number"
        ends = [change(end) for end in (outcome.low, outcome.high) if end is not None]
        low, high = (min(ends), max(ends)) if len(ends) == 2 else (None, None)
        return text.estimate(change(outcome.median), low, high)

    return say
