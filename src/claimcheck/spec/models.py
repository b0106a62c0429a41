"""What a study and the lecture may say, checked before anything runs: pydantic models.

Reading files is the work of `reading`; nothing here imports or executes a study's code.
"""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.measures import Measure
from claimcheck.spec.modules import defined_names
from claimcheck.spec.parts import BLOCK, Cell, Identifier, Model, Part, ScaledPart, ScaleName, Setting, Text
from claimcheck.spec.scaling import scaled
from claimcheck.streams import PILOT_SEED, POWER_SEED


def _kebab(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError("must be lower-case words joined by hyphens")
    return name


Kebab = Annotated[str, BeforeValidator(lambda value: _kebab(value) if isinstance(value, str) else value)]


SHARES = (0.5, 0.9)
"""Shares of units that a prediction may have to exceed: typically, nearly always."""


class Reference(Model):
    """A published or theoretical value printed beside a measurement."""

    says: Text = Field(description="what the value is")
    value: float | None = Field(None, description="the value, drawn where it is given")
    source: Text = Field(description="paper, table or module that it comes from")
    comparable: bool = Field(
        True, description="whether it is of the prediction's own quantity, and what was measured belongs beside it"
    )


class Control(Model):
    """Another question to the same records, whose answer is known: it shows that the prediction could have failed.

    It is another measure or statistic, or is laid over the prediction's (`of`, `less`, `to` as a whole; arguments).
    """

    measure: Measure | None = Field(None, description="another measure")
    of: Cell | None = Field(None, description="another cell for the measure")
    less: Cell | None = Field(None, description="another cell to subtract")
    to: Cell | None = Field(None, description="another cell to divide by")
    arguments: dict[Identifier, Setting] = Field({}, description="other arguments for the statistic")
    statistic: Identifier | None = Field(None, description="another statistic")
    part: Identifier | None = Field(None, description="another part")
    says: Text = Field(description="what it is, and why its answer is known")


class Controls(Model):
    """A prediction's two controls; a difference or ratio has both by itself unless they are given."""

    never: Control | None = Field(None, description="must not be supported: such as the untreated arm against itself")
    against: Control | None = Field(None, description="must be contradicted: such as the arms swapped")
    none: Text | None = Field(None, description="why there can be none, in place of both")

    @model_validator(mode="after")
    def _none_or_some(self) -> Controls:
        if self.none is not None and (self.never or self.against):
            raise ValueError("none stands in place of never and against: give the reason or the controls")
        return self


class Prediction(Model):
    """Where a number must fall if the claim holds (kind `main`), where it stops holding (`limit`), or a fact."""

    id: Kebab = Field(description="its name in reports and on the command line, never changed")
    says: Text = Field(description="the prediction in one sentence")
    measure: Measure | None = Field(None, description="what is measured, in one of five forms")
    statistic: Identifier | None = Field(None, description="a function of statistics.py, where no measure can say it")
    arguments: dict[Identifier, Setting] = Field({}, description="what the statistic is given beside the records")
    region: tuple[float | None, float | None] = Field(
        description="[low, high], null is open: a unit whose number lies strictly between them supports it"
    )
    unit: str = Field("", description="unit of the number")
    why: Text = Field(description="where the region comes from")
    part: Identifier | None = Field(
        None,
        description="the part that it is judged on; required with `measure`; with `statistic`, all of them when left out",
    )
    on: list[Identifier] = Field(
        [], description="data sets, each judged by itself: levels of the part's factor dataset"
    )
    kind: Literal["main", "limit", "fact"] = Field(
        "main", description="main decides the claim, limit says where it ends, fact is true by arithmetic or definition"
    )
    share: float = Field(0.5, description="supported: true in more than this share of units, 0.5 or 0.9")
    tolerance: float | None = Field(None, gt=0, description="a fact's: how far beyond the region is still rounding")
    controls: Controls = Field(
        Controls(), description="questions with known answers, to show that it could have failed"
    )
    undecidable: Text | None = Field(None, description="why it is kept though its units cannot decide it")
    turns: Text | None = Field(
        None,
        description="where pilot units of larger networks, more data, longer training or another machine's times come "
        "out otherwise than at quick",
    )
    reference: list[Reference] = Field([], description="published or theoretical values beside it")

    @model_validator(mode="after")
    def _one_source(self) -> Prediction:
        if (self.measure is None) == (self.statistic is None):
            raise ValueError("give exactly one of measure and statistic")
        if self.arguments and self.statistic is None:
            raise ValueError("arguments are a statistic's: a measure has none")
        if self.measure is not None and self.part is None:
            raise ValueError("a measure is taken of one part: give `part`")
        if self.on and self.part is None:
            raise ValueError("data sets are levels of a part's factor: give `part`")
        return self

    @model_validator(mode="after")
    def _fact_or_judged(self) -> Prediction:
        low, high = self.region
        if self.kind == "fact" and self.tolerance is None:
            raise ValueError("a fact needs a tolerance: how far beyond the region is still rounding")
        if self.kind != "fact" and self.tolerance is not None:
            raise ValueError("tolerance is a fact's: a prediction is judged on its region alone")
        if low is not None and low == high and self.kind != "fact":
            raise ValueError("the lower end of the region must be below the upper end: one point is a fact's")
        return self

    @field_validator("on")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) < len(value):
            raise ValueError("a data set is given twice")
        return value

    @field_validator("share")
    @classmethod
    def _one_of_two(cls, share: float) -> float:
        if share not in SHARES:
            raise ValueError("must be 0.5 (typically) or 0.9 (nearly always)")
        return share

    @field_validator("region")
    @classmethod
    def _in_order(cls, region: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
        low, high = region
        if low is None and high is None:
            raise ValueError("both ends are open: nothing could contradict it")
        if low is not None and high is not None and low > high:
            raise ValueError("the lower end must be below the upper end (are they swapped?)")
        return region


class Claim(Model):
    """A claim of the lecture (its words are in lecture.yaml), or one of the study's own with `says`."""

    id: Kebab = Field(description="the claim's id in lecture.yaml")
    says: Text | None = Field(None, description="its words, for a claim of the study's own")
    predictions: list[Prediction] = Field(min_length=1, description="what follows from it")


class FigureSpec(Model):
    """A figure: `plot_<id>` of figures.py draws it."""

    id: Kebab = Field(description="plot_<id> of figures.py draws it")
    caption: Text = Field(description="what is shown and how to read it")
    alt: Text = Field(description="what there is to see, for those who cannot see it")
    part: Identifier | None = Field(None, description="the part whose records it draws; all of them when left out")
    claims: list[Kebab] = Field([], description="claims that it illustrates")

    @property
    def function(self) -> str:
        """Name of the function that draws it."""
        return "plot_" + self.id.replace("-", "_")


class ControlCount(Model):
    """What came of a study's controls in a judged run."""

    asked: int = Field(ge=0, description="how many questions to which the answer is known were asked")
    passed: list[str] = Field(description="predictions with the control that passed though it must not; none is right")


PredictionVerdict = Literal["supported", "contradicted", "mixed", "inconclusive", "not run", "holds", "does not hold"]
"""On a prediction or a claim."""


class Registration(Model):
    """What was fixed before a judged run: an entry of registrations.yaml."""

    number: int = Field(ge=1, description="1, 2, …")
    date: str = Field(description="when it was fixed")
    first_seed: int = Field(ge=0, le=2**62, description="first of its block of seeds, which nothing else has used")
    digest: str | None = Field(
        None, description="of design, predictions and rule; none for a state from before digests"
    )
    says: Text = Field(description="what it was, in a few sentences")
    superseded: Text | None = Field(None, description="what was wrong with it, once another one takes its place")
    verdicts: dict[PredictionVerdict, Annotated[int, Field(ge=0)]] = Field({}, description="how many of each came out")
    predictions: dict[str, PredictionVerdict] = Field({}, description="the verdict on each, where it was noted")
    machine: str | None = Field(None, description="what the judged run was made on, where it is known")
    controls: ControlCount | None = Field(None, description="how many controls were asked, and which passed")

    @field_validator("date", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str:
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            raise ValueError("must be a day, such as 2026-01-31") from None


Overrides = dict[Identifier, Setting]
Scale = Annotated[
    Overrides, BeforeValidator(lambda said: {} if said is None else said, json_schema_input_type=Overrides | None)
]


class StudyFile(Model):
    """A study.yaml."""

    title: Text = Field(description="what the study is about, as a heading")
    question: Text = Field(description="the question that it answers")
    sections: list[Kebab] = Field(
        min_length=1, description="ids of the lecture's sections (studies/lecture.yaml) that it belongs to"
    )
    method: Text = Field(description="what is trained and measured, in a paragraph (Markdown)")
    references: list[Text] = Field(
        [], description="works that it rests on: keys of studies/references.bib (`@he2016deep`), or sources in words"
    )
    parts: dict[Identifier, Part] = Field(min_length=1, description="the experiments, by name")
    scales: dict[ScaleName, Scale] = Field(
        min_length=1, description="for each scale what differs, if anything, part by part; `seeds` counts for all parts"
    )
    claims: list[Claim] = Field(min_length=1, description="claims with their predictions")
    figures: list[FigureSpec] = Field([], description="figures, in the report's order")


class Study(StudyFile):
    """A study: its study.yaml, the texts beside it, and the folder that they come from."""

    notes: str = ""
    registrations: list[Registration] = Field([])
    name: str = ""
    folder: Path = Path()

    @property
    def yaml_path(self) -> Path:
        """The study.yaml."""
        return self.folder / "study.yaml"

    def predictions(self) -> list[tuple[Claim, Prediction]]:
        """Every prediction with its claim, in the order of the file."""
        return [(claim, prediction) for claim in self.claims for prediction in claim.predictions]

    @property
    def registration(self) -> Registration | None:
        """The latest registration that stands, or None for a draft: nothing registered, or superseded."""
        latest = self.registrations[-1] if self.registrations else None
        return latest if latest is not None and latest.superseded is None else None

    def first_seed(self, offset: int = 0) -> int:
        """The first judged seed: of the registered block, `offset` blocks on; a draft is judged from 0.

        Raises:
            ClaimcheckError: pilots have used seeds of that block.
        """
        first = (self.registration.first_seed if self.registration else 0) + offset * BLOCK
        if any(abs(first - used) < BLOCK for used in (PILOT_SEED, POWER_SEED)):
            raise ClaimcheckError(
                "pilots use the seeds of this block", where=f"{self.name}: registration_offset", found=offset
            )
        return first

    def at(self, scale: str, seeds: int | None = None, first_seed: int | None = None) -> dict[str, ScaledPart]:
        """The parts as `scale` runs them.

        Args:
            seeds: overrides the number of seeds of every part that runs.
            first_seed: overrides the first of them, which is the registered one.
        """
        if scale not in self.scales:
            raise ClaimcheckError(
                "the study does not have this scale",
                where=f"{self.yaml_path}: scales",
                found=scale,
                expected=f"one of {', '.join(self.scales)}",
            )
        first = self.first_seed() if first_seed is None else first_seed
        return {name: scaled(name, self.parts, self.scales[scale], seeds, first) for name in self.parts}

    def run_function(self, part: str) -> str:
        """Name of the function of runs.py that runs `part`: its own, else that of the part it extends."""
        defined = defined_names(self.folder, "runs")
        name: str | None = part
        while name is not None:
            if f"run_{name}" in defined:
                return f"run_{name}"
            name = self.parts[name].extends
        return f"run_{part}"


def _line_numbers(value: Any) -> Any:
    """Numbers of lines, written as `7` or `20-22, 24`."""
    found: list[int] = []
    for piece in str(value).split(","):
        ends = [int(end) if end.strip().isdecimal() else -1 for end in piece.split("-")]
        if isinstance(value, bool) or len(ends) > 2 or min(ends) < 0 or ends[0] > ends[-1] or ends[-1] > MOST_LINES:
            raise ValueError("must be numbers of lines such as 7 or 20-22, 24")
        found += range(ends[0], ends[-1] + 1)
    return tuple(found)


MOST_LINES = 100_000
Lines = Annotated[tuple[int, ...], BeforeValidator(_line_numbers), WithJsonSchema({"type": ["integer", "string"]})]


class LectureClaim(Model):
    """One claim of the lecture in the project's own words, with the study that tests it or why none can."""

    id: Kebab
    lines: Lines = ()
    says: Text
    study: Identifier | None = None
    not_testable: Text | None = None
    found_by: Text | None = Field(None, pattern=r"^[\w .-]+$")  # more words for the report's search; shown nowhere

    @model_validator(mode="after")
    def _one_fate(self) -> LectureClaim:
        if (self.study is None) == (self.not_testable is None):
            raise ValueError("give exactly one of study and not_testable (the reason)")
        return self


class Section(Model):
    """A section of the lecture."""

    id: Kebab
    title: Text
    chapter: Text
    claims: list[LectureClaim] = Field([])


def _study_and_figure(value: Any) -> Any:
    """STUDY/FIGURE."""
    if isinstance(value, str) and not re.fullmatch(r"[a-z][a-z0-9_]*/[a-z0-9]+(-[a-z0-9]+)*", value):
        raise ValueError("must be STUDY/FIGURE: a folder of studies/ and the id of one of its figures")
    return value


class Lecture(Model):
    """The lecture: its title, its author and every claim in order."""

    title: Text
    author: Text
    headline: Annotated[str, BeforeValidator(_study_and_figure)] | None = None  # what the report's first page shows
    headline_says: Text | None = None  # what stands above it; the study's title without it
    lines: int | None = Field(None, ge=1, le=MOST_LINES)
    stating_nothing: Lines = ()
    sections: list[Section] = Field(min_length=1)

    def claims(self) -> dict[str, LectureClaim]:
        """Claims by id, in the lecture's order."""
        return {claim.id: claim for section in self.sections for claim in section.claims}

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Lecture:
        unique([section.id for section in self.sections], "section")
        unique([claim.id for section in self.sections for claim in section.claims], "claim")
        return self

    @model_validator(mode="after")
    def _every_line_has_its_fate(self) -> Lecture:
        if self.lines is None:
            return self
        claimed, idle = {n for claim in self.claims().values() for n in claim.lines}, set(self.stating_nothing)
        every = set(range(self.lines))
        faults = {
            "is none of the lecture's, which are counted from 0": (claimed | idle) - every,
            "has a claim and stands under stating_nothing": claimed & idle,
            "has neither a claim nor a place under stating_nothing": every - claimed - idle,
        }
        for fault, numbers in faults.items():
            if numbers:
                raise ValueError(f"line {min(numbers)} {fault}")
        return self


def unique(ids: list[str], kind: str) -> None:
    """Raise ValueError when an id is used twice."""
    for position, name in enumerate(ids):
        if name in ids[:position]:
            raise ValueError(f"{kind} id {name!r} is used twice")
