"""What the report shows, collected from the studies' files and their results. Formats nothing, writes nothing.

A verdict is shown as one only when it is of the present digest: given to the prediction as it stands now, on records made
by the code as it stands now. Otherwise its state is *out of date*. Studies that were not run, or not judged, are shown so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from claimcheck.data.names import title
from claimcheck.judging.judge import claim_verdict, fact_holds
from claimcheck.judging.rule import inside
from claimcheck.report.pictures import STATES
from claimcheck.results.provenance import PartFacts, Provenance
from claimcheck.results.reasons import explain, last_failure
from claimcheck.results.state import Results
from claimcheck.results.verdicts import read_verdicts
from claimcheck.results.view import NAMES
from claimcheck.running.tuning import arm_columns
from claimcheck.spec.config import Config
from claimcheck.spec.models import Claim, FigureSpec, Lecture, LectureClaim, Prediction, Study
from claimcheck.spec.parts import ScaledPart
from claimcheck.spec.reading import load_lecture, load_study, study_names

DECIDED = ("supported", "contradicted", "mixed", "inconclusive")
"""States of a prediction that was put to the test."""


@dataclass(frozen=True)
class Outcome:
    """What one data set says of a prediction; the only outcome of one that names no data set has `data` None.

    Attributes:
        values: a number a unit, NaN for a unit without one.
        k, n, p: units of which the prediction is true, units in all, p-value of its test; None for a fact.
        median, low, high: of the numbers, with the ends of its interval.
    """

    data: str | None
    verdict: str
    values: tuple[float, ...]
    k: int | None = None
    n: int | None = None
    p: float | None = None
    median: float | None = None
    low: float | None = None
    high: float | None = None
    controls: Mapping[str, Any] = field(default_factory=dict)

    @property
    def on(self) -> str:
        """The data set as people call it; empty for the only outcome."""
        return title(self.data) if self.data else ""

    @classmethod
    def of(cls, test: Mapping[str, Any]) -> Outcome:
        """A test of verdicts.json."""
        names = ("data", "verdict", "k", "n", "p", "median", "low", "high", "controls")
        return cls(values=tuple(test["values"]), **{name: test[name] for name in names if name in test})


@dataclass(frozen=True)
class PredictionView:
    """A prediction and what became of it. `was` is the verdict that an *out of date* one had."""

    spec: Prediction
    state: str
    row: dict[str, Any] = field(default_factory=dict)
    was: str | None = None

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What each data set says, where that is of the present; none for what was not run or is out of date."""
        return () if self.state == "out of date" else tuple(map(Outcome.of, self.row.get("tests", ())))

    def truths(self, outcome: Outcome) -> list[bool]:
        """Whether the prediction is true of each unit."""
        numbers = np.array(outcome.values, dtype=np.float64)
        if self.is_fact:
            return [fact_holds(numbers[[place]], self.spec) for place in range(len(numbers))]
        return [bool(each) for each in inside(numbers, self.spec.region)]

    @property
    def is_fact(self) -> bool:
        """Whether it is true or false by arithmetic or definition, and no test decides it."""
        return self.spec.kind == "fact"

    @property
    def decided(self) -> bool:
        """Whether a test stands behind its state."""
        return self.state in DECIDED

    @property
    def measured(self) -> bool:
        """Whether there are numbers to show (also too few to decide)."""
        return bool(self.outcomes)


@dataclass(frozen=True)
class ClaimView:
    """A claim with its predictions. `lecture` is its entry in lecture.yaml, None for a study's own."""

    id: str
    says: str
    state: str
    study: Study | None = None
    predictions: tuple[PredictionView, ...] = ()
    lecture: LectureClaim | None = None

    @property
    def anchor(self) -> str:
        """The id of its card; a study's own claim carries the study's name, since only the lecture's ids are unique."""
        return f"claim-{self.id}" if self.lecture or not self.study else f"claim-{self.study.name}-{self.id}"

    def of_kind(self, kind: str) -> list[PredictionView]:
        """Its predictions of one kind: main, limit or fact."""
        return [view for view in self.predictions if view.spec.kind == kind]

    @property
    def main(self) -> list[PredictionView]:
        """Predictions that decide the claim."""
        return self.of_kind("main")

    @property
    def limits(self) -> list[PredictionView]:
        """Asked beside the claim: where it is said to end, or to hold on."""
        return self.of_kind("limit")

    @property
    def facts(self) -> list[PredictionView]:
        """What is true or false of it by arithmetic or definition."""
        return self.of_kind("fact")

    @property
    def is_fact(self) -> bool:
        """Whether it rests on facts alone, so that no test decides it."""
        return bool(self.facts) and not self.main

    @property
    def deciding(self) -> PredictionView | None:
        """The prediction to quote in one line: of those that decide it the first that has the claim's own state.

        Of a mixed claim without one that is mixed itself, the first that supports it.
        """
        choice, wanted = self.main or self.facts, (self.state, *(["supported"] if self.state == "mixed" else []))
        found = (view for state in wanted for view in choice if view.state == state)
        return next(found, choice[0] if choice else None)

    @property
    def opposed(self) -> PredictionView | None:
        """What speaks on the other side of the prediction to quote.

        Of a mixed claim that is quoted by what supports it on all data, the first prediction that contradicts it; of a
        contradicted one the first that is supported on some data set, which left it undecided on another.
        """
        if self.state == "contradicted":
            return next((view for view in self.main if "supported" in {each.verdict for each in view.outcomes}), None)
        if self.state != "mixed" or self.deciding is None or self.deciding.state != "supported":
            return None
        return next((view for view in self.main if view.state == "contradicted"), None)

    @property
    def turning(self) -> list[PredictionView]:
        """Predictions that decide it, are decided on some data, and come out otherwise at another size."""
        decided = ("supported", "contradicted")
        return [view for view in self.main if view.spec.turns and any(e.verdict in decided for e in view.outcomes)]


@dataclass(frozen=True)
class PartView:
    """One row of a study's design table.

    Attributes:
        chosen: of each tuned arm, its factors' levels, the value, whether that is an end of the grid (`at_edge`), and
            whether every pilot run was lost (`failed`).
        missing: why it is not run here, or empty.
    """

    part: ScaledPart
    facts: PartFacts | None = None
    chosen: tuple[dict[str, Any], ...] = ()
    missing: str = ""

    @property
    def models(self) -> int | None:
        """Models that are judged: cells x units; None where there are none."""
        return len(self.part.judged_runs) if not self.missing else None

    @property
    def units(self) -> str:
        """Units of a cell, in words where data sets differ in them, or why there are none."""
        if self.missing:
            return f"not run: {self.missing}"
        each = self.part.seeds_on
        return ", ".join(f"{units} on {title(data)}" for data, units in each.items()) if each else str(self.part.seeds)


@dataclass(frozen=True)
class StudyView:
    """A study's page. `problem` says in words why there are no current verdicts or figures, or is empty."""

    spec: Study
    claims: tuple[ClaimView, ...]
    parts: tuple[PartView, ...]
    figures: tuple[tuple[FigureSpec, Path | None], ...]
    provenance: Provenance | None
    controls: dict[str, Any] | None
    files: tuple[str, ...]
    problem: str = ""
    changed: tuple[str, ...] = ()

    @property
    def current(self) -> bool:
        """Whether any prediction has a number that was measured on the study as it stands now."""
        return any(view.measured for view in self.predictions())

    def predictions(self) -> list[PredictionView]:
        """Every prediction, in the order of the file."""
        return [view for claim in self.claims for view in claim.predictions]

    @property
    def registration(self) -> dict[str, Any] | None:
        """Which registration its verdicts are of, where there are any of the present."""
        return next((view.row["registration"] for view in self.predictions() if view.measured), None)


@dataclass(frozen=True)
class ReportView:
    """The whole report. `seeds` and `offset` are those of the configuration, where they are not the studies' own."""

    scale: str
    lecture: Lecture
    studies: tuple[StudyView, ...]
    claims: dict[str, ClaimView]
    seeds: int | None = None
    offset: int = 0

    def counts(self) -> dict[str, int]:
        """The lecture's claims by state, in a fixed order."""
        found = Counter(claim.state for claim in self.claims.values())
        return {state: found.get(state, 0) for state in STATES}

    def predictions(self) -> list[PredictionView]:
        """Every prediction of every study."""
        return [view for study in self.studies for view in study.predictions()]

    def turning(self) -> list[ClaimView]:
        """The lecture's claims of which a main prediction comes out otherwise at another size."""
        return [claim for claim in self.claims.values() if claim.turning]

    def headline(self) -> tuple[StudyView, FigureSpec] | None:
        """The figure that the lecture's file names for the first page, where it has been drawn of present results."""
        wanted = self.lecture.headline
        for study in self.studies:
            for figure, path in study.figures:
                if wanted == f"{study.spec.name}/{figure.id}" and path is not None and study.current:
                    return study, figure
        return None

    def provenances(self) -> list[PartFacts]:
        """Where results came from, part by part, where there are any."""
        return [part for study in self.studies if study.provenance for part in study.provenance.parts.values()]


def gather(config: Config, results: Mapping[str, Results]) -> ReportView:
    """Read everything that a report shows.

    Args:
        results: by study; others are left out, and their claims told as not run.

    Raises:
        ClaimcheckError: a study, the lecture or a result cannot be read.
    """
    lecture = load_lecture(config.studies_dir)
    known = lecture.claims()
    names = study_names(config.studies_dir)
    specs = {name: results[name].study if name in results else load_study(config.studies_dir, name) for name in names}
    left_out = {name for name, spec in specs.items() if name not in results and config.scale in spec.scales}
    studies = [_study(specs[name], results.get(name), known, config) for name in names if name not in left_out]
    order = {section.id: place for place, section in enumerate(lecture.sections)}
    studies.sort(key=lambda view: (min(order[section] for section in view.spec.sections), view.spec.name))
    tested = {claim.id: claim for view in studies for claim in view.claims if claim.lecture}
    claims = {name: tested.get(name) or _untested(claim, left_out) for name, claim in known.items()}
    return ReportView(config.scale, lecture, tuple(studies), claims, config.seeds, config.registration_offset)


def _untested(claim: LectureClaim, left_out: Collection[str]) -> ClaimView:
    """A claim without predictions: not testable, of a study that this report leaves out, or that has not been written."""
    state = "not testable" if claim.not_testable else "not run" if claim.study in left_out else "planned"
    return ClaimView(claim.id, claim.says, state, lecture=claim)


@dataclass(frozen=True)
class _Found:
    """What there is of a study. `missing`: the state of a prediction without a verdict."""

    rows: tuple[dict[str, Any], ...] = ()
    provenance: Provenance | None = None
    changed: tuple[str, ...] = ()
    problem: str = ""
    missing: str = "not run"


def _study(study: Study, results: Results | None, lecture: dict[str, LectureClaim], config: Config) -> StudyView:
    found = _found(results) if results else _Found(problem=f"The study has no settings for scale {config.scale}.")
    claims = [_claim(_at(claim, config.scale), found, study, lecture.get(claim.id)) for claim in study.claims]
    if results is None:
        return StudyView(
            study, tuple(claims), (), tuple((f, None) for f in study.figures), None, None, (), found.problem
        )
    facts = found.provenance.parts if found.provenance else {}
    parts = [part for part in study.at(config.scale, config.seeds).values() if part.seeds]
    drawn = {path.stem: path for path in results.figure_files() if path.suffix == ".svg"} if results.drawn() else {}
    current = not found.changed and bool(found.rows)
    return StudyView(
        study,
        tuple(claims),
        tuple(
            PartView(part, facts.get(part.name), _chosen(part, facts, results), results.not_run.get(part.name, ""))
            for part in parts
        ),
        tuple((figure, drawn.get(figure.id)) for figure in study.figures),
        found.provenance,
        results.read_controls() if current else None,
        tuple(name for name in NAMES if current and (name != "tuning.parquet" or results.tuning)),
        found.problem,
        found.changed,
    )


def _chosen(part: ScaledPart, facts: Mapping[str, PartFacts], results: Results) -> tuple[dict[str, Any], ...]:
    """What the part's pilots chose."""
    if part.name not in facts or not facts[part.name].arms or (table := results.read_tuning()) is None:
        return ()
    rows = table[(table["part"] == part.name) & table["chosen"]]
    return tuple(rows[[*arm_columns(part), part.tune.factor, "at_edge", "failed"]].to_dict("records"))


def _found(results: Results) -> _Found:
    """A study's present results; else what the view shows of earlier ones, and in words what is wrong."""
    failure = last_failure(results)
    if results.judged():
        problem = "" if results.drawn() else f"Its figures have not been drawn. {failure}".strip()
        return _Found(tuple(results.read_verdicts()), results.read_provenance(), (), problem)
    missing = "failed" if failure else "not run"
    earlier = results.view / "verdicts.json"
    if earlier.is_file():
        problem = "What these results were made from has changed since, so none of them is shown as current."
        rows = read_verdicts(earlier, results.remedy("judge"))
        changed = tuple(line for line in explain(results) if "would run" in line)
        return _Found(tuple(rows), None, changed, f"{problem} {failure}".strip(), missing)
    if results.has_records():
        return _Found((), results.read_provenance(), (), "The study has been run, but not judged.", missing)
    problem = "The study has not been run to its end at this scale."
    return _Found(problem=f"{problem} {failure}".strip(), missing=missing)


def _at(claim: Claim, scale: str) -> Claim:
    """The claim without what `turns` says of verdicts at quick, where the scale is another."""
    if scale == "quick":
        return claim
    plain = [each.model_copy(update={"turns": None}) for each in claim.predictions]
    return claim.model_copy(update={"predictions": plain})


def _claim(claim: Claim, found: _Found, study: Study, entry: LectureClaim | None) -> ClaimView:
    rows = {row["prediction"]: row for row in found.rows}
    predictions = tuple(_prediction(each, rows.get(each.id), found) for each in claim.predictions)
    mine = entry if entry is not None and entry.study == study.name else None
    judged = [{"kind": view.spec.kind, "verdict": view.state} for view in predictions]
    deciding = {each["verdict"] for each in judged if each["kind"] == "main"}
    deciding = deciding or {each["verdict"] for each in judged if each["kind"] == "fact"}
    state = next((odd for odd in ("out of date", "failed") if odd in deciding), None) or claim_verdict(judged)
    says = claim.says or (mine.says if mine else claim.id)
    return ClaimView(claim.id, says, state, study, predictions, mine)


def _prediction(spec: Prediction, row: dict[str, Any] | None, found: _Found) -> PredictionView:
    if row is None:
        return PredictionView(spec, found.missing)
    if found.changed:
        return PredictionView(spec, "out of date", row, row["verdict"])
    return PredictionView(spec, row["verdict"], row)
