"""What the report shows, collected from the studies' files and their results. Formats nothing, writes nothing.

A verdict is shown as one only when it was given to the prediction as it stands now, on records made by the code as it
stands now; otherwise its state is *out of date*. Studies that were not run, or not judged, are shown as such.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from claimcheck.results import attempts
from claimcheck.spec import design
from claimcheck.results import digests as fingerprint
from claimcheck.files import sha256
from claimcheck.results.seals import read_provenance, read_sealed
from claimcheck.judging import judge
from claimcheck.judging.statistics import claim_verdict
from claimcheck.spec.reading import load_lecture, load_study, study_names
from claimcheck.report.pictures import STATES
from claimcheck.report.text import to_float
from claimcheck.spec.models import Claim, Config, FigureSpec, Lecture, LectureClaim, Prediction, ScaledPart, Study, spec_hash


@dataclass(frozen=True)
class PredictionView:
    """A prediction and what became of it. `was` is the verdict that an *out of date* one had."""

    spec: Prediction
    state: str
    row: dict[str, Any] = field(default_factory=dict)
    was: str | None = None

    @property
    def estimate(self) -> float | None:
        """The measured average, or None."""
        return to_float(self.row.get("estimate"))

    @property
    def ends(self) -> tuple[float | None, float | None]:
        """The ends of its interval."""
        return to_float(self.row.get("low")), to_float(self.row.get("high"))

    @property
    def decided(self) -> bool:
        """Whether it stands as supported, contradicted or inconclusive."""
        return self.state in ("supported", "contradicted", "inconclusive")

    @property
    def measured(self) -> bool:
        """Whether there is an estimate to show (also one on too few seeds to decide)."""
        return self.state != "out of date" and self.estimate is not None


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

    @property
    def main(self) -> list[PredictionView]:
        """Predictions that decide the claim."""
        return [view for view in self.predictions if view.spec.kind == "main"]

    @property
    def limits(self) -> list[PredictionView]:
        """Places where the claim is said to stop being true."""
        return [view for view in self.predictions if view.spec.kind == "limit"]

    @property
    def deciding(self) -> PredictionView | None:
        """The main prediction to quote in one line: the first that has the claim's own state."""
        return next((view for view in self.main if view.state == self.state), self.main[0] if self.main else None)


@dataclass(frozen=True)
class PartView:
    """One row of a study's design table."""

    part: ScaledPart
    combinations: int

    @property
    def networks(self) -> int:
        """Judged runs: combinations x seeds."""
        return self.combinations * self.part.seeds

    @property
    def pilots(self) -> int:
        """Tuning runs."""
        return self.combinations * len(self.part.tune.values) * self.part.tune.seeds if self.part.tune else 0


@dataclass(frozen=True)
class StudyView:
    """A study's page. `problem` says in words why there are no current verdicts, or is empty."""

    spec: Study
    claims: tuple[ClaimView, ...]
    parts: tuple[PartView, ...]
    figures: tuple[tuple[FigureSpec, Path | None], ...]
    provenance: dict[str, Any] | None
    shuffled: dict[str, Any] | None
    records: tuple[Path, ...]
    problem: str = ""
    changed: tuple[str, ...] = ()
    seeds: int | None = None

    @property
    def current(self) -> bool:
        """Whether any prediction has a number that was measured on the study as it stands now."""
        return any(view.measured for view in self.predictions())

    def predictions(self) -> list[PredictionView]:
        """Every prediction, in the order of the file."""
        return [view for claim in self.claims for view in claim.predictions]


@dataclass(frozen=True)
class ReportView:
    """The whole report."""

    scale: str
    lecture: Lecture
    studies: tuple[StudyView, ...]
    claims: dict[str, ClaimView]
    calibration: dict[str, Any] | None

    def counts(self) -> dict[str, int]:
        """The lecture's claims by state, in a fixed order."""
        found = Counter(claim.state for claim in self.claims.values())
        return {state: found.get(state, 0) for state in STATES}

    def predictions(self) -> list[PredictionView]:
        """Every prediction of every study."""
        return [view for study in self.studies for view in study.predictions()]

    def provenances(self) -> list[dict[str, Any]]:
        """Where results came from, study by study, where there are any."""
        return [study.provenance for study in self.studies if study.provenance]


def gather(scale: str, results_dir: Path, studies_dir: Path, config: Config | None = None) -> ReportView:
    """Read everything that the report of `scale` shows.

    Args:
        config: the configuration of the run, if it differs from the default (data folder, seeds).

    Raises:
        ClaimcheckError: a study, the lecture or a result cannot be read.
    """
    config = config or Config(scale=scale, results_dir=results_dir, studies_dir=studies_dir)
    lecture = load_lecture(studies_dir)
    known = lecture.claims()
    folder = Path(results_dir) / scale
    wanted = study_names(studies_dir)
    studies = [_study(load_study(studies_dir, name), scale, folder / name, known, config) for name in wanted]
    order = {section.id: place for place, section in enumerate(lecture.sections)}
    studies.sort(key=lambda view: (min(order[section] for section in view.spec.sections), view.spec.name))
    tested = {claim.id: claim for view in studies for claim in view.claims if claim.lecture}
    claims = {name: tested.get(name) or _untested(claim) for name, claim in known.items()}
    return ReportView(scale, lecture, tuple(studies), claims, _sealed(folder / "calibration.json"))


def _untested(claim: LectureClaim) -> ClaimView:
    """A claim without predictions: not testable, or of a study that has not been written (or leaves it out)."""
    return ClaimView(claim.id, claim.says, "not testable" if claim.not_testable else "planned", lecture=claim)


@dataclass(frozen=True)
class _Found:
    """What a study's results folder holds. `missing`: the state of a prediction without a verdict."""

    rows: tuple[dict[str, Any], ...] = ()
    provenance: dict[str, Any] | None = None
    changed: tuple[str, ...] = ()
    seeds: int | None = None
    problem: str = ""
    missing: str = "not run"


def _study(study: Study, scale: str, folder: Path, lecture: dict[str, LectureClaim], config: Config) -> StudyView:
    found = _found(study, scale, folder, config)
    views = _claims(study, scale, found, lecture)
    old = sum(entry.state == "out of date" for view in views for entry in view.predictions)
    problem = found.problem
    if old and not problem:
        problem = f"{old} of its predictions changed after they were judged; the old verdicts are not shown as current."
    parts = study.at(scale, found.seeds).values() if scale in study.scales else ()
    drawn = [(figure, folder / "figures" / f"{figure.id}.svg") for figure in study.figures]
    files = [folder / name for name in ("records.parquet", "tuning.parquet", "verdicts.json", "provenance.json")]
    return StudyView(
        study,
        tuple(views),
        tuple(PartView(part, len(design.combinations(part))) for part in parts if part.seeds),
        tuple((figure, path if path.is_file() and not found.changed else None) for figure, path in drawn),
        found.provenance,
        _sealed(folder / "shuffled.json"),
        tuple(path for path in files if path.is_file()),
        problem,
        found.changed,
        found.seeds,
    )


def _found(study: Study, scale: str, folder: Path, config: Config) -> _Found:
    """Read a study's results and say in words what is wrong with them, if anything."""
    if scale not in study.scales:
        return _Found(problem=f"The study has no settings for scale {scale}.")
    failure = attempts.last_failure(folder)
    missing = "failed" if failure else "not run"
    provenance, records = read_provenance(folder / "provenance.json"), folder / "records.parquet"
    if not provenance or not records.is_file():
        problem = "The study has not been run to its end at this scale."
        return _Found(problem=f"{problem} {failure}".strip(), missing=missing)
    seeds = _seeds_override(study, scale, provenance)
    changed = _changed(study, scale, folder, provenance, config.model_copy(update={"scale": scale, "seeds": seeds}))
    verdicts = folder / "verdicts.json"
    rows = judge.load_verdicts(verdicts) if verdicts.is_file() else []
    if any(row.get("records_sha256") != sha256(records) for row in rows[:1]):
        changed = (*changed, "the verdicts were given on other records")
    problem = "" if rows else "The study has been run, but not judged."
    if changed:
        problem = "What these results were made from has changed since, so none of them is shown as current."
    return _Found(tuple(rows), provenance, changed, seeds, f"{problem} {failure}".strip(), missing)


def _sealed(path: Path) -> dict[str, Any] | None:
    return read_sealed(path) if path.is_file() else None


def _seeds_override(study: Study, scale: str, provenance: dict[str, Any]) -> int | None:
    """The number of seeds that the run was given by hand, or None where it kept to the study's own."""
    ran = provenance.get("seeds")
    usual = {name: part.seeds for name, part in study.at(scale).items()}
    if not isinstance(ran, dict) or all(usual.get(name) == count for name, count in ran.items()):
        return None
    return next(iter(set(ran.values()))) if len(set(ran.values())) == 1 else None


def _changed(study: Study, scale: str, folder: Path, provenance: dict[str, Any], config: Config) -> tuple[str, ...]:
    """What differs between what the records were made from and what stands there now, in words."""
    found = []
    kept = provenance.get("ingredients")
    if isinstance(kept, dict):
        found += fingerprint.differences(kept, fingerprint.run_parts(study, scale, config))
    digest = (provenance.get("files") or {}).get("records.parquet")
    if digest and digest != sha256(folder / "records.parquet"):
        found.append("records.parquet is not the file that the run wrote")
    return tuple(found)


def _claims(study: Study, scale: str, found: _Found, lecture: dict[str, LectureClaim]) -> list[ClaimView]:
    by_id = {row["prediction"]: row for row in found.rows}
    views = []
    for claim in study.claims:
        predictions = [_prediction(entry, by_id.get(entry.id), study, scale, found) for entry in claim.predictions]
        views.append(_claim(claim, tuple(predictions), study, lecture.get(claim.id)))
    return views


def _prediction(
    spec: Prediction, row: dict[str, Any] | None, study: Study, scale: str, found: _Found
) -> PredictionView:
    if row is None:
        return PredictionView(spec, found.missing)
    if found.changed or row.get("spec_hash") != spec_hash(spec, study, scale, found.seeds):
        return PredictionView(spec, "out of date", row, was=row["verdict"])
    return PredictionView(spec, row["verdict"], row)


def _claim(
    claim: Claim, predictions: tuple[PredictionView, ...], study: Study, entry: LectureClaim | None
) -> ClaimView:
    mine = entry if entry is not None and entry.study == study.name else None
    main = [view.state for view in predictions if view.spec.kind == "main"]
    state = next((odd for odd in ("out of date", "failed") if odd in main), None) or claim_verdict(main)
    says = claim.says or (mine.says if mine else claim.id)
    return ClaimView(claim.id, says, state, study, predictions, mine)
