"""Sentences and cells of the report, made from what `gather` collected. Every number goes through `text`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from claimcheck.judging.statistics import CONFIDENCE
from claimcheck.report import text
from claimcheck.report.gather import ClaimView, PartView, PredictionView, StudyView
from claimcheck.report.pictures import slug
from claimcheck.spec.models import Amendment, Reference


def mark(state: str) -> str:
    """A state as Markdown: the word, which the filter gives its shape."""
    return f"[{state}]{{.verdict .{slug(state)}}}"


def prediction_mark(view: PredictionView) -> str:
    """The state of one prediction; a limit that was looked for is *found* or *not found*."""
    words = {"supported": "limit found", "contradicted": "limit not found"} if view.spec.kind == "limit" else {}
    shown = mark(view.state).replace(f"[{view.state}]", f"[{words.get(view.state, view.state)}]")
    return shown + (f" [was: {view.was}]{{.aside}}" if view.was else "")


def attribute(value: Any) -> str:
    """Text as the value of a Markdown attribute in double quotes."""
    return " ".join(str(value).split()).replace("\\", "\\\\").replace('"', '\\"')


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{text.number(100 * value, 3)}\N{NO-BREAK SPACE}%"


def outline_claim(claim: ClaimView) -> str:
    """A claim in the first table: a link to its card where there is one, and the reason where it cannot be tested."""
    says = text.inline(claim.says)
    if claim.study is not None:
        return f"[{says}](#{claim.anchor})"
    reason = claim.lecture.not_testable if claim.lecture else None
    return f"{says} [{text.inline(reason)}]{{.below}}" if reason else says


def outline_strip(claim: ClaimView) -> str:
    """The deciding prediction's picture, small."""
    view = claim.deciding
    if view is None or not view.measured or claim.study is None:
        return ""
    return f"![](pictures/{claim.study.name}.{view.spec.id}.strip.svg){{.strip}}"


def outline_measured(claim: ClaimView) -> str:
    """The deciding prediction's number, what was wanted, and how many of the claim's tests agree with its verdict."""
    view = claim.deciding
    if view is None or not view.measured:
        return ""
    unit = f" {text.inline(view.spec.unit)}" if view.spec.unit else ""
    number = f"**{text.escape(text.estimate(view.estimate, *view.ends))}**{unit}"
    agree = sum(other.state == claim.state for other in claim.main)
    fragile = sum(other.row.get("robust") == "fragile" for other in claim.main)
    word = {"supported": "support it", "contradicted": "contradict it"}.get(claim.state, "are undecided")
    tests = f"; {agree} of {len(claim.main)} tests {word}" if len(claim.main) > 1 else ""
    if fragile:
        tests += f", {fragile} fragile" if tests else "; fragile"
    wanted = f"wanted {text.escape(text.region(view.spec.region))}; n = {view.row['n']}{tests}"
    return f"{number} {text.escape(text.interval(*view.ends))} [{wanted}]{{.below}}"


def contradiction(claim: ClaimView) -> str:
    """What was tested, measured and wanted where a claim was contradicted."""
    view = claim.deciding
    if view is None:
        return ""
    wanted = f"wanted {text.escape(text.region(view.spec.region))}"
    name = view.spec.id if claim.study is None else f"[{view.spec.id}](#prediction-{claim.study.name}-{view.spec.id})"
    return f"[{name}: {text.inline(view.spec.says)} Measured {_with_interval(view)}, {wanted}.]{{.below}}"


def outline_limits(claim: ClaimView) -> str:
    """How many of a claim's limits were found."""
    if not claim.limits:
        return ""
    decided = [view for view in claim.limits if view.decided]
    found, open_ones = sum(view.state == "supported" for view in decided), len(claim.limits) - len(decided)
    pieces = [f"{found} of {len(decided)} found"] if decided else []
    return "; ".join([*pieces, f"{open_ones} not run"] if open_ones else pieces)


def measured(view: PredictionView) -> str:
    """A prediction's estimate with interval, unit and number of seeds."""
    if view.state == "out of date":
        return "not with the study as it stands now; run it again."
    if view.estimate is None:
        note = f": {text.escape(view.row['note'])}" if view.row.get("note") else ""
        return f"not at this scale{note}."
    unit = f" {text.inline(view.spec.unit)}" if view.spec.unit else ""
    limits = text.escape(text.interval(*view.ends))
    kind = view.row.get("average", view.spec.average)
    rest = f", {percent(CONFIDENCE)} interval {limits}" if limits else ""
    number = text.escape(text.estimate(view.estimate, *view.ends))
    return f"**{number}**{unit}{rest}; {kind} over {view.row['n']} seeds."


def test_line(view: PredictionView) -> str:
    """p-value, robustness with the analyses that were tried, and the judge's remark."""
    pieces = []
    if view.row.get("p") is not None:
        pieces.append(f"p = {text.escape(text.number(view.row['p'], 2))}")
    if view.row.get("robust"):
        pieces.append(f"[{view.row['robust']}]{{.{view.row['robust']}}}{_alternatives(view)}")
    if view.row.get("note"):
        pieces.append(text.escape(view.row["note"]))
    return "; ".join(pieces) + "." if pieces else "none."


def _alternatives(view: PredictionView) -> str:
    tried = {name: verdict for name, verdict in (view.row.get("sensitivity") or {}).items() if verdict is not None}
    other = [f"{name}: {verdict}" for name, verdict in tried.items() if verdict != view.state]
    if not tried:
        return ""
    same = len(tried) - len(other)
    told = f"{text.escape('; '.join(other))}" if other else ""
    agreeing = f"the same under {same} of {len(tried)} other analyses"
    return f" ({agreeing}{'; ' + told if told else ''})"


def hash_of(view: PredictionView) -> str:
    """The hash of what fixes a prediction (statistic, region, rule, design), as the verdict carries it."""
    return f" [hash {view.row['spec_hash']}]{{.aside}}" if view.row.get("spec_hash") else ""


def region_alt(view: PredictionView) -> str:
    """The picture of a region in words."""
    unit = f" {view.spec.unit}" if view.spec.unit else ""
    estimate = f"{text.estimate(view.estimate, *view.ends)} {text.interval(*view.ends)}".strip()
    return f"Region {text.region(view.spec.region)}{unit}; estimate {estimate}"


def reference_line(view: PredictionView, reference: Reference) -> str:
    """A published value beside the measurement."""
    value = f"**{text.escape(text.number(reference.value, 6))}**, " if reference.value is not None else ""
    return f"{value}{text.inline(reference.says)} ({text.citation(reference.source)})"


def amendment(change: Amendment) -> str:
    """A change of a region, as a sentence."""
    return (
        f"on {text.escape(change.date)}; it was {text.escape(earlier_region(change.was))}. {text.inline(change.reason)}"
    )


def earlier_region(was: Any) -> str:
    """What a region was before it was amended, as the study wrote it."""
    pair = isinstance(was, list | tuple) and len(was) == 2 and was != [None, None]
    if pair and all(end is None or isinstance(end, int | float) for end in was):
        return text.region(was)
    return text.value(was)


def published(study: StudyView) -> list[dict[str, str]]:
    """Rows of the table of measured against published values."""
    return [
        {
            "what": text.inline(reference.says),
            "measured": _with_interval(view) if view.measured else "–",
            "published": text.escape(text.number(reference.value, 6)) if reference.value is not None else "–",
            "source": text.citation(reference.source),
        }
        for view in study.predictions()
        for reference in view.spec.reference
    ]


def _with_interval(view: PredictionView) -> str:
    """Estimate, interval and unit."""
    number = text.escape(text.estimate(view.estimate, *view.ends))
    return f"{number} {text.escape(text.interval(*view.ends))} {text.inline(view.spec.unit)}".strip()


def part_name(part: PartView) -> str:
    """A part's name, and what it is for."""
    name = text.escape(part.part.name.replace("_", " "))
    return f"**{name}** {text.inline(part.part.describes)}" if part.part.describes else f"**{name}**"


def varied(part: PartView) -> str:
    """The factors with their values, and what is tuned."""
    pieces = [f"{_name(name)}: {_values(factor.values)}" for name, factor in part.part.factors.items()]
    tune = part.part.tune
    if tune:
        edge = part.facts.arms_at_edge if part.facts else 0
        arms = f"; {edge} of {part.facts.arms} arms chose an end of the grid" if part.facts and edge else ""
        pieces.append(f"{_name(tune.factor)} (tuned on {tune.seeds} other seeds{arms}): {_values(tune.values)}")
    return "; ".join(pieces) or "–"


def _name(identifier: str) -> str:
    return f"*{text.escape(identifier.replace('_', ' '))}*"


def _values(values: list[Any]) -> str:
    if len(values) > 12 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return text.escape(f"{len(values)} values from {text.value(min(values))} to {text.value(max(values))}")
    return text.escape(text.value(values))


def fixed(part: PartView) -> str:
    """The settings that all runs share."""
    return "; ".join(f"{_name(k)} {text.escape(text.value(v))}" for k, v in part.part.settings.items()) or "–"


def cost(study: StudyView) -> str:
    """What the study took, and on what."""
    facts = study.provenance
    if not facts:
        return "It has not been run here. These commands do:"
    parts = list(facts.parts.values())
    machines = [part.machine.get("accelerator") or part.machine.get("processor") for part in parts]
    device = " and ".join(dict.fromkeys(str(each or "an unknown processor") for each in machines))
    runs, memory = sum(entry.runs for entry in facts.ensembles), facts.peak_memory_mib
    most = max(part.threads for part in parts)
    threads = f"{most} thread{'s' if most != 1 else ''}"
    return (
        f"{text.number(runs, 9)} runs (pilots included) in {text.duration(facts.seconds)} on "
        f"{text.escape(device)}, {threads}, {text.number(memory, 3) if memory else '–'} MiB of memory at most. "
        "These commands run this study alone again:"
    )


def commands(study: StudyView, scale: str) -> str:
    """The commands that rerun just this study and renew the report."""
    name, options = study.spec.name, f"--scale {scale}"
    seeds = f" --seeds {study.seeds}" if study.seeds else ""
    return "\n".join(
        [
            f"claimcheck run {name} {options}{seeds}",
            f"claimcheck judge {name} {options}",
            f"claimcheck plot {name} {options}",
            f"claimcheck report {options}",
        ]
    )


def notes_of(study: StudyView) -> str:
    """The study's notes with its numbers filled in; empty where it has none."""
    if not study.spec.notes.strip():
        return ""
    return text.notes(study.spec.notes, _functions(study), str(study.spec.yaml_path))


def _exponential(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf


def _functions(study: StudyView) -> dict[str, Callable[..., str]]:
    where = str(study.spec.yaml_path)
    predictions = {view.spec.id: view for view in study.predictions()}
    states = {**{claim.id: claim.state for claim in study.claims}, **{i: v.state for i, v in predictions.items()}}

    def of(identifier: str) -> PredictionView:
        return text.known(predictions, identifier, where, "prediction")

    def estimate(identifier: str) -> str:
        view = of(identifier)
        return text.estimate(view.estimate, *view.ends) if view.measured else "(not run)"

    def interval(identifier: str) -> str:
        view = of(identifier)
        return (text.interval(*view.ends) or estimate(identifier)) if view.measured else "(not run)"

    def scaled(change: Callable[[float], float]) -> Callable[[str], str]:
        def show(identifier: str) -> str:
            view = of(identifier)
            if not view.measured or view.estimate is None:
                return "(not run)"
            ends = [change(end) if end is not None else None for end in view.ends]
            known = [end for end in ends if end is not None]
            low, high = (min(known), max(known)) if len(known) == 2 else (None, None)
            return text.estimate(change(view.estimate), low, high)

        return show

    def verdict(identifier: str) -> str:
        return text.known(states, identifier, where, "claim or prediction")

    def n(identifier: str) -> str:
        view = of(identifier)
        return text.number(view.row["n"], 9) if view.measured else "0"

    changed = {"size": scaled(abs), "percent": scaled(lambda v: 100 * v), "factor": scaled(_exponential)}
    return {"estimate": estimate, "interval": interval, "verdict": verdict, "n": n, **changed}
