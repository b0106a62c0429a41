"""A study's page beside its claims: its design, published values next to measured ones, what it took, how to run it again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from claimcheck.data.names import TITLES, title
from claimcheck.report import phrases, text
from claimcheck.report.gather import ClaimView, Outcome, PartView, PredictionView, ReportView, StudyView
from claimcheck.results.commands import options as typed
from claimcheck.spec.models import FigureSpec

MOST_FIGURES = 2
"""Of a study's spread; the others stand with the detail."""

LONG, LONGEST = 60, 400
"""Letters of a setting that the table of designs shows once alone, and of one of which it only names where it stands."""


def best_figures(study: StudyView, but: FigureSpec | None = None) -> list[tuple[FigureSpec, Path]]:
    """The figures that together illustrate most of what a reader asks for, one after the other, in the study's order.

    Contradicted claims count for more than mixed ones and these for more than the others; what draws the runs that
    decided a claim counts for more than what does not.

    Args:
        but: a figure that stands elsewhere.
    """
    drawn = [(figure, path) for figure, path in study.figures if path is not None and figure is not but]
    best: list[tuple[FigureSpec, Path]] = []
    shown: set[str] = set()
    while len(best) < MOST_FIGURES and len(best) < len(drawn):
        rest = [each for each in drawn if each not in best]
        best.append(max(rest, key=lambda each: _worth(each[0], study, shown)))  # the first of those that add alike
        shown.update(best[-1][0].claims)
    return [each for each in drawn if each in best]


_WORTH = {"contradicted": 100, "does not hold": 100, "mixed": 10}
"""How much a claim's state counts; any other counts 1."""


def _worth(figure: FigureSpec, study: StudyView, shown: set[str]) -> int:
    """What a figure adds to those that illustrate the claims `shown`."""
    new = [claim for claim in study.claims if claim.id in figure.claims and claim.id not in shown]
    return sum(_WORTH.get(claim.state, 1) * (2 if _draws_what_decided(figure, claim) else 1) for claim in new)


def _draws_what_decided(figure: FigureSpec, claim: ClaimView) -> bool:
    return figure.part is not None and claim.deciding is not None and figure.part == claim.deciding.spec.part


def more_figures(study: StudyView) -> list[tuple[FigureSpec, Path]]:
    """The figures that have been drawn, less the best."""
    best = best_figures(study)
    return [(figure, path) for figure, path in study.figures if path is not None and (figure, path) not in best]


def published(study: StudyView, works: text.Links = text.NO_LINKS) -> list[dict[str, str]]:
    """Rows of the table of measured against published values."""
    return [
        {
            "what": text.inline(reference.says),
            "measured": "; ".join(_measured(view, outcome) for outcome in view.outcomes if reference.comparable) or "–",
            "published": text.escape(text.number(reference.value, 6)) if reference.value is not None else "–",
            "source": text.citation(reference.source, works),
        }
        for view in study.predictions()
        for reference in view.spec.reference
    ]


def _measured(view: PredictionView, outcome: Outcome) -> str:
    size = phrases.size_of(view, outcome)
    return f"{phrases.data_of(outcome)}: {size}" if outcome.data else size


def part_name(part: PartView) -> str:
    """A part's name, and what it is for."""
    name = text.escape(part.part.name.replace("_", " "))
    return f"**{name}** {text.inline(part.part.describes)}" if part.part.describes else f"**{name}**"


def varied(part: PartView) -> str:
    """The factors with their values, and what is tuned."""
    factors = {name: factor.values for name, factor in part.part.factors.items()}
    if "dataset" in factors:
        factors["dataset"] = [title(str(level)) for level in factors["dataset"]]
    pieces = [f"{_name(name)}: {_values(values)}" for name, values in factors.items()]
    tune = part.part.tune
    if tune:
        arms = part.facts.arms if part.facts else 0
        told = [
            f"; {count} of {arms} arms {what}"
            for count, what in (
                (part.facts.arms_at_edge if part.facts else 0, "chose an end of the grid"),
                (part.facts.arms_failed if part.facts else 0, "failed at every value"),
            )
            if count
        ]
        runs = f"{tune.seeds} other run{'s' if tune.seeds != 1 else ''}"
        pieces.append(f"{_name(tune.factor)} (tuned on {runs}{''.join(told)}): {_values(tune.values)}")
    return "; ".join(pieces) or "–"


def _name(identifier: str) -> str:
    return f"*{text.escape(identifier.replace('_', ' '))}*"


def _values(values: list[Any]) -> str:
    if len(values) > 12 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return text.escape(f"{len(values)} values from {text.value(min(values))} to {text.value(max(values))}")
    return text.escape(", ".join(_plain(each, set()) for each in values))


def fixed(part: PartView, above: Sequence[PartView] = ()) -> str:
    """The settings that all runs share, of data sets that are used.

    Args:
        above: rows that stand above; a long setting that one of them shows is not repeated.
    """
    shown = [(row.part.name, _settings(row)) for row in above]
    pieces = []
    for name, words in _settings(part).items():
        place = next((other for other, settings in shown if settings.get(name) == words), None)
        if len(words) > LONGEST:
            words = "as in study.yaml"
        elif len(words) > LONG and place is not None:
            words = f"as for {place.replace('_', ' ')}"
        pieces.append(f"*{text.escape(_word(name))}* {text.escape(words)}")
    return "; ".join(pieces) or "–"


def _settings(part: PartView) -> dict[str, str]:
    """The settings in words, but for data sets that the part does not use."""
    factor = part.part.factors.get("dataset")
    unused = set(TITLES) - set(factor.values) if factor else set()
    return {name: _plain(setting, unused) for name, setting in part.part.settings.items() if name not in unused}


def _word(name: str) -> str:
    """A key or level as a word; a data set by its title."""
    return title(name) if name in TITLES else name.replace("_", " ")


def _plain(setting: Any, unused: set[str]) -> str:
    """A setting as words, levels below it in brackets."""
    if isinstance(setting, str):
        return _word(setting)
    if isinstance(setting, list | tuple):
        return ", ".join(_plain(each, unused) for each in setting) or "none"
    if not isinstance(setting, dict):
        return text.value(setting)
    kept = {name: each for name, each in setting.items() if name not in unused}
    return (
        ", ".join(
            f"{_word(name)} ({_plain(each, unused)})"
            if isinstance(each, dict | list)
            else f"{_word(name)} {_plain(each, unused)}"
            for name, each in kept.items()
        )
        or "none"
    )


def cost(study: StudyView) -> str:
    """What the study took, and on what."""
    facts = study.provenance
    if not facts and study.changed:
        return "What it took is not known of the present sources. These commands run it:"
    if not facts:
        return "It has not been run here. These commands do:"
    parts = list(facts.parts.values())
    machines = [part.machine.get("accelerator") or part.machine.get("processor") for part in parts]
    device = " and ".join(dict.fromkeys(str(each or "an unknown processor") for each in machines))
    models, memory = sum(entry.runs for entry in facts.ensembles), facts.peak_memory_mib
    most = max(part.threads for part in parts)
    threads = f"{most} thread{'s' if most != 1 else ''}"
    return (
        f"{text.number(models, 9)} models (pilots included) in {text.duration(facts.seconds)} on "
        f"{text.escape(device)}, {threads}, {text.number(memory, 3) if memory else '–'} MiB of memory at most. "
        "These commands run this study alone again:"
    )


def commands(study: StudyView, view: ReportView) -> str:
    """The commands that rerun just this study and renew the report."""
    options = typed({"scale": view.scale, "seeds": view.seeds, "registration_offset": view.offset})
    steps = [f"claimcheck {step} {study.spec.name} {options}" for step in ("run", "judge", "plot")]
    return "\n".join([*steps, f"claimcheck report {options}"])
