"""Sentences and cells of the report, made from what `gather` collected. Every number goes through `text`.

A prediction's words begin with k of n, then come the size (the median) and the p-value.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from claimcheck.judging import rule
from claimcheck.report import text
from claimcheck.report.doubts import Doubt
from claimcheck.report.gather import ClaimView, Outcome, PredictionView
from claimcheck.report.pictures import slug
from claimcheck.spec.models import Prediction, Reference

NO_BREAK = "\N{NO-BREAK SPACE}"


def mark(state: str) -> str:
    """A state as Markdown: the word, which the filter gives its shape."""
    return f"[{state}]{{.verdict .{slug(state)}}}"


def prediction_mark(view: PredictionView, state: str | None = None) -> str:
    """The state of one prediction (or of one of its data sets)."""
    return mark(state or view.state) + (f" [was: {view.was}]{{.aside}}" if view.was and state is None else "")


def attribute(value: Any) -> str:
    """Text as the value of a Markdown attribute in double quotes."""
    return " ".join(str(value).split()).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')


def percent(value: float) -> str:
    """A share as a percentage."""
    return f"{text.number(100 * value, 3)}{NO_BREAK}%"


def runs(outcome: Outcome) -> str:
    """In how many runs it is true: "31 of 32 runs"."""
    return f"{outcome.k} of {outcome.n} runs"


def region_of(spec: Prediction) -> str:
    """Where the number must lie, with its unit; a fact's region goes as far as its tolerance beyond its ends."""
    words = text.escape(text.region(spec.region, closed=spec.kind == "fact"))
    return f"{text.with_unit(words, _unit(spec))}{text.escape(_within(spec))}"


def plain_region(spec: Prediction) -> str:
    """The same as plain text."""
    words = text.region(spec.region, closed=spec.kind == "fact")
    return f"{text.with_unit(words, spec.unit or '')}{_within(spec)}"


def _within(spec: Prediction) -> str:
    return f", within {text.number(spec.tolerance, 3)}" if spec.tolerance is not None else ""


def _unit(spec: Prediction) -> str:
    """The unit as Markdown; empty where there is none."""
    return text.inline(spec.unit) if spec.unit else ""


def without_end(view: PredictionView, value: float | None) -> str:
    """What an infinite median stands for, in words; empty for a finite one."""
    if value is None or not math.isinf(value):
        return ""
    measure = view.spec.measure
    if measure is not None and measure.if_diverged == value:
        return "diverged"
    return "never reached it" if _COUNTED.search(view.spec.unit or "") else text.number(value)


_COUNTED = re.compile(r"\b(update|step|epoch)s?\b")
"""Units of a way to somewhere, which is infinite where nobody got there."""


def estimate_of(view: PredictionView, outcome: Outcome) -> str:
    """The median, as plain text without its unit."""
    words = without_end(view, outcome.median)
    return words or text.estimate(outcome.median, outcome.low, outcome.high)


def number_of(view: PredictionView, outcome: Outcome) -> str:
    """The median with its interval, as plain text."""
    ends = text.interval(outcome.low, outcome.high)
    if _COUNTED.search(view.spec.unit or ""):
        ends = ends.replace("∞", "never")
    return f"{estimate_of(view, outcome)} {ends}".strip()


def size_of(view: PredictionView, outcome: Outcome) -> str:
    """The median with its interval and unit, as Markdown."""
    unit = "" if without_end(view, outcome.median) else _unit(view.spec)
    return text.with_unit(text.escape(number_of(view, outcome)), unit)


def data_of(outcome: Outcome) -> str:
    """The data set of an outcome, as Markdown."""
    return text.escape(outcome.on)


def _each(view: PredictionView) -> str:
    """What each data set says, k of n first; a fact's number."""
    return ", ".join(
        f"**{size_of(view, outcome) if view.is_fact else runs(outcome)}**"
        + (f" on {data_of(outcome)}" if outcome.data else "")
        for outcome in view.outcomes
    )


def depends(view: PredictionView) -> str:
    """On which data a mixed prediction is supported and on which it is not: "depends on the data: …"."""
    if view.state != "mixed":
        return ""
    found: dict[str, list[str]] = {}
    for outcome in view.outcomes:
        found.setdefault(outcome.verdict, []).append(data_of(outcome))
    told = ", ".join(f"{verdict} on {_listed(names)}" for verdict, names in found.items())
    return f"depends on the data: {told}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def outline_claim(claim: ClaimView) -> str:
    """A claim in the first table: a link to its card where there is one, and the reason where it cannot be tested."""
    says = text.inline(claim.says)
    if claim.lecture and claim.lecture.found_by:
        says = f'[{says}]{{found-by="{claim.lecture.found_by}"}}'
    if claim.study is not None:
        return f"[{says}](#{claim.anchor})"
    reason = claim.lecture.not_testable if claim.lecture else None
    return f"{says} [{text.inline(reason)}]{{.below}}" if reason else says


def study_claim(claim: ClaimView, brief: bool) -> str:
    """A claim in the list at the head of its study: a link to its card; where the cards are not, what stands for it."""
    says = text.inline(claim.says)
    if not brief:
        return f"[{says}](#{claim.anchor})"
    counts = [outline_brief(claim), f"limits: {outline_limits(claim)}" if claim.limits else ""]
    said = "; ".join(filter(None, counts))
    return f"[{says}]{{#{claim.anchor}}}" + (f" [{said}]{{.aside}}" if said else "")


def outline_strip(claim: ClaimView) -> str:
    """The deciding prediction's units, small."""
    view = claim.deciding
    if view is None or not view.measured or claim.study is None:
        return ""
    return f"![](pictures/{claim.study.name}.{view.spec.id}.strip.svg){{.strip}}"


def outline_runs(claim: ClaimView) -> str:
    """The deciding prediction: k of n on each data set, with its size; then its region, and what the others say."""
    view = claim.deciding
    if view is None or not view.measured:
        return ""
    lines = []
    for outcome in view.outcomes:
        said = size_of(view, outcome) if view.is_fact else runs(outcome)
        line = f"{data_of(outcome)}: **{said}**" if outcome.data else f"**{said}**"
        size = "" if view.is_fact else f" [median {size_of(view, outcome)}]{{.below}}"
        lines.append((f"[{line}]{{.another}}" if lines else line) + size)
    wanted = f"{'a fact, ' if view.is_fact else ''}wanted {region_of(view.spec)}"
    below = "; ".join([wanted, *filter(None, [depends(view), _others(claim)])])
    return f"{' '.join(lines)} [{below}]{{.below}}"


def _p_of(outcome: Outcome) -> str:
    """The p-value, on one line."""
    if outcome.p is None:
        return ""
    return f"{text.escape(f'p = {text.number(outcome.p, 2)}').replace(' ', NO_BREAK)}"


def _others(claim: ClaimView) -> str:
    """What the claim's predictions say together, where it has several."""
    views = claim.main or claim.facts
    if len(views) < 2:
        return ""
    states = [view.state for view in views]
    if claim.state == "mixed":
        told = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
        return f"its {len(views)} predictions: {told}"
    count = states.count(claim.state)
    one, several = _TOGETHER.get(claim.state, (claim.state, claim.state))
    kind = "facts" if claim.is_fact else "predictions"
    return f"{count} of {len(views)} {kind} {one if count == 1 else several}"


_TOGETHER = {
    "supported": ("supports it", "support it"),
    "contradicted": ("contradicts it", "contradict it"),
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "inconclusive": ("is undecided", "are undecided"),
}
"""What one of a claim's predictions does that has the claim's state, and what several do."""


def contradiction(claim: ClaimView, brief: bool = False) -> str:
    """What was asked, and in how many runs it is true, where a claim is contradicted, mixed, or a false fact.

    Args:
        brief: without the prediction's name and the sizes.
    """
    view = claim.deciding
    if view is None:
        return ""
    name = view.spec.id if claim.study is None else f"[{view.spec.id}](#prediction-{claim.study.name}-{view.spec.id})"
    found = f"It is {_each(view)}" if view.is_fact else f"True in {_each(view)}"
    sizes = (
        "" if view.is_fact else f" (median {text.escape('; '.join(number_of(view, each) for each in view.outcomes))})"
    )
    more = "".join(f"; {each}" for each in (depends(view), _others(claim)) if each)
    turned = (
        f" {'It' if view in claim.turning else 'Part of it'} [turns with size or machine](#turns)."
        if claim.turning
        else ""
    )
    but = against(claim) + turned
    if brief:
        more = f"; {depends(view)}" if depends(view) else ""
        return f"[{text.inline(view.spec.says)} {found}{more}.{but}]{{.reason}}"
    return (
        f"[{name}: {text.inline(view.spec.says)} {found}{sizes}, wanted {region_of(view.spec)}{more}.{but}]{{.reason}}"
    )


def against(claim: ClaimView) -> str:
    """What speaks on the other side of what is quoted of a mixed or contradicted claim, as a sentence after a space."""
    other = claim.opposed
    return "" if other is None else f" But: {text.inline(other.spec.says)} True in {_each(other)}."


def note_of(claim: ClaimView) -> str:
    """Why a claim was not run, as its deciding prediction's verdict notes it ("it needs a GPU"); or empty."""
    note = claim.deciding.row.get("note") if claim.deciding is not None else None
    return text.escape(re.sub(r"^part \w+: ", "", note)) if note else ""


def found(claim: ClaimView) -> str:
    """What was found, in one line: the deciding prediction's k of n on each data set, its size, what was wanted."""
    view = claim.deciding
    if view is None or not view.measured:
        return ""
    if view.is_fact:
        return f"A fact: {_each(view)}, wanted {region_of(view.spec)}."
    sizes = text.escape("; ".join(estimate_of(view, each) for each in view.outcomes))
    endless = any(without_end(view, each.median) for each in view.outcomes)
    sizes = text.with_unit(sizes, "" if endless else _unit(view.spec))
    more = "".join(f"; {each}" for each in (depends(view), _others(claim)) if each)
    return f"True in {_each(view)} (median {sizes}, wanted {region_of(view.spec)}){more}."


def outline_brief(claim: ClaimView) -> str:
    """The deciding prediction alone: k of n on each data set, and of a mixed claim the opposed one; a fact's number."""
    view, against = claim.deciding, claim.opposed
    if view is None or not view.measured:
        return ""
    return _each(view) if against is None else f"{_each(view)}; another: {_each(against)}"


def doubt_line(doubt: Doubt) -> str:
    """What a verdict hangs on, and how much it would take to overturn it."""
    view, outcome, margin = doubt.view, doubt.outcome, doubt.margin
    on = f" on {data_of(outcome)}" if outcome.data else ""
    limit = "at least" if outcome.verdict == "supported" else "at most"
    more = "One run" if margin == 1 else f"{margin} runs"
    return (
        f"{mark(doubt.claim.state)} It hangs on: {text.inline(view.spec.says)} **{runs(outcome)}**{on}, where the "
        f"verdict takes {limit} {doubt.needed}. {more} the other way, and it falls."
    )


def outline_limits(claim: ClaimView) -> str:
    """How many of a claim's limits got which verdict."""
    states = Counter(view.state for view in claim.limits)
    return ", ".join(f"{count} {state}" for state, count in states.items())


def not_measured(view: PredictionView) -> str:
    """Why there is nothing to show."""
    if view.state == "out of date":
        return "not with the study as it stands now; run it again."
    note = view.row.get("note")
    return f"not here: {text.escape(note)}." if note else "not at this scale."


def true_in(view: PredictionView) -> str:
    """k of n, and how many decide; of a prediction on several data sets the numbers stand in a table."""
    outcomes = view.outcomes
    first = f"**{runs(outcomes[0])}**. " if len(outcomes) == 1 else ""
    counts = list(dict.fromkeys(outcome.n for outcome in outcomes))
    needed = " ".join(_needed(n, view.spec.share, len(counts) > 1) for n in counts if n is not None)
    without = sum(math.isnan(value) for outcome in outcomes for value in outcome.values)
    have = "1 run has no number and counts" if without == 1 else f"{without} runs have no number and count"
    missing = f" {have} as not true." if without else ""
    excuse = (
        f" Kept though its runs cannot decide: {text.inline(view.spec.undecidable)}" if view.spec.undecidable else ""
    )
    said = depends(view)
    return f"{first}{needed}{missing}{excuse}{f' It {said}.' if said else ''}".strip()


def _needed(n: int, share: float, named: bool) -> str:
    """How many of n runs support, and how many contradict, as a sentence."""
    most, least = rule.most_true(n, share), rule.fewest_true(n, share)
    if most is None and least is None:
        return f"So few runs cannot decide whether it is true in more than {percent(share)} of runs."
    enough = f"only all {n}" if least == n else f"{least} or more"
    supports = "so few runs cannot support" if least is None else f"{enough} support"
    few = f"{most} or fewer contradict" if most else "only none contradicts"
    contradicts = "so few cannot contradict" if most is None else few
    sentence = f"{supports} that it is true in more than {percent(share)} of runs; {contradicts} it."
    return f"Of {n}, {sentence}" if named else sentence[0].upper() + sentence[1:]


def size_line(view: PredictionView) -> str:
    """The median with its interval, the value of a fact."""
    outcome = view.outcomes[0]
    unit = "" if without_end(view, outcome.median) else _unit(view.spec)
    number = text.with_unit(f"**{text.escape(estimate_of(view, outcome))}**", unit)
    if view.is_fact:
        values = [value for value in outcome.values if not math.isnan(value)]
        spread = len(outcome.values) > 1 and min(values, default=0.0) < max(values, default=0.0)
        ends = f"{text.number(min(values), 4)} to {text.number(max(values), 4)}" if spread else ""
        return f"{number}{f', the middle of {len(values)} values from {text.escape(ends)}' if spread else ''}."
    limits = text.escape(text.interval(outcome.low, outcome.high))
    return f"median {number}{f', {percent(rule.CONFIDENCE)} interval {limits}' if limits else ''}."


def test_line(view: PredictionView) -> str:
    """The p-value of a prediction's one test; nothing where so few runs were no test."""
    found = _p_of(view.outcomes[0])
    return f"{found}." if found else ""


def side_by_side(view: PredictionView) -> list[dict[str, str]]:
    """A row for each data set of a prediction."""
    return [
        {
            "data": data_of(outcome),
            "runs": f"**{size_of(view, outcome)}**" if view.is_fact else f"**{runs(outcome)}**",
            "verdict": prediction_mark(view, outcome.verdict),
            "median": size_of(view, outcome),
            "p": text.escape(text.number(outcome.p, 2)).replace(" ", NO_BREAK),
        }
        for outcome in view.outcomes
    ]


CONTROLS = {"never": "must not be supported", "against": "must be contradicted if this is supported"}
"""What must come of each control."""


def controls_lines(view: PredictionView) -> list[str]:
    """What each control gave, or why there is none."""
    if view.spec.controls.none is not None:
        return [f"none. {text.inline(view.spec.controls.none)}"]
    lines = []
    for name, task in CONTROLS.items():
        asked = [(each, each.controls[name]) for each in view.outcomes if name in each.controls]
        if asked:
            found = "; ".join(_control(outcome, control) for outcome, control in asked)
            lines.append(f"{text.inline(asked[0][1]['says'])} ({task}): {found}.")
    return lines or ["not asked at this scale."]


def _control(outcome: Outcome, control: dict[str, Any]) -> str:
    data = f" on {data_of(outcome)}" if outcome.data else ""
    passed = ", **which it must not be**" if control["passed"] else ""
    return f"true in {control['k']} of {control['n']} runs{data}, {control['verdict']}{passed}"


def hash_of(view: PredictionView) -> str:
    """The hash of a prediction (measure, region, controls) and its design, as a verdict on them carries it."""
    fixed = view.row.get("fixed") if view.state != "out of date" else None  # that of what stood there before
    return f" [hash of prediction and design: {fixed}]{{.aside}}" if fixed else ""


def reference_line(view: PredictionView, reference: Reference, works: text.Links = text.NO_LINKS) -> str:
    """A published value beside the measurement."""
    value = f"**{text.escape(text.number(reference.value, 6))}**, " if reference.value is not None else ""
    return f"{value}{text.inline(reference.says)} ({text.citation(reference.source, works)})"
