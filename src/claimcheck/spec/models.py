"""What a study and the lecture may say, checked before anything runs: pydantic models.

Reading files is the work of `reading`; nothing here imports or executes a study's code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from claimcheck.errors import ClaimcheckError
from claimcheck.spec.measures import Measure
from claimcheck.spec.modules import defined_names
from claimcheck.spec.parts import Identifier, Model, Part, ScaledPart, ScaleName, Setting, Text, scaled


def _kebab(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError("must be lower-case words joined by hyphens")
    return name


Kebab = Annotated[str, BeforeValidator(lambda value: _kebab(value) if isinstance(value, str) else value)]


class Amendment(Model):
    """A region that was changed after it was first fixed: when, from what, and why."""

    date: str = Field(description="when the region was changed")
    was: Setting = Field(description="the region before")
    reason: Text = Field(description="why it was wrong in itself")

    @field_validator("date", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str:
        return str(value)


class Reference(Model):
    """A published or theoretical value printed beside a measurement."""

    says: Text = Field(description="what the value is")
    value: float | None = Field(None, description="the value, drawn where it is given")
    source: Text = Field(description="paper, table or module that it comes from")


class Prediction(Model):
    """Where a number must fall if the claim holds (kind `main`), or where it stops holding (kind `limit`)."""

    id: Kebab = Field(description="its name in reports and on the command line, never changed")
    says: Text = Field(description="the prediction in one sentence")
    measure: Measure | None = Field(None, description="what is measured, in one of five forms")
    statistic: Identifier | None = Field(None, description="a function of statistics.py, where no measure can say it")
    arguments: dict[Identifier, Setting] = Field({}, description="what the statistic is given beside the records")
    region: tuple[float | None, float | None] = Field(
        description="the values that support it: [low, high], null is open"
    )
    unit: str = Field("", description="unit of the number")
    why: Text = Field(description="where the region comes from")
    part: Identifier | None = Field(
        None,
        description="the part that it is judged on; required with `measure`; with `statistic`, all of them when left out",
    )
    kind: Literal["main", "limit"] = Field("main", description="main decides the claim, limit says where it ends")
    average: Literal["mean", "median", "proportion"] = Field("mean", description="what of the seeds' numbers is judged")
    reference: list[Reference] = Field([], description="published or theoretical values beside it")

    @model_validator(mode="after")
    def _one_source(self) -> Prediction:
        if (self.measure is None) == (self.statistic is None):
            raise ValueError("give exactly one of measure and statistic")
        if self.arguments and self.statistic is None:
            raise ValueError("arguments are a statistic's: a measure has none")
        if self.measure is not None and self.part is None:
            raise ValueError("a measure is taken of one part: give `part`")
        return self

    @field_validator("region")
    @classmethod
    def _ordered(cls, region: tuple[float | None, float | None]) -> tuple[float | None, float | None]:
        low, high = region
        if low is None and high is None:
            raise ValueError("both ends are open: nothing could contradict it")
        if low is not None and high is not None and not low < high:
            raise ValueError("the lower end must be below the upper end (are they swapped?)")
        return region

    @field_validator("average")
    @classmethod
    def _proportion(cls, average: str, info: ValidationInfo) -> str:
        region = info.data.get("region", ())
        if average == "proportion" and not all(0 < end < 1 for end in region if end is not None):
            raise ValueError(f"the ends of its region must lie between 0 and 1, they are {list(region)}")
        return average


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


class StudyFile(Model):
    """A study.yaml."""

    title: Text = Field(description="what the study is about, as a heading")
    question: Text = Field(description="the question that it answers")
    sections: list[Kebab] = Field(
        min_length=1, description="ids of the lecture's sections (studies/lecture.yaml) that it belongs to"
    )
    method: Text = Field(description="what is trained and measured, in a paragraph (Markdown)")
    references: list[Text] = Field([], description="works that the texts name")
    parts: dict[Identifier, Part] = Field(min_length=1, description="the experiments, by name")
    scales: dict[ScaleName, dict[Identifier, Setting]] = Field(
        min_length=1, description="for each scale what differs, part by part; `seeds` counts for all parts"
    )
    claims: list[Claim] = Field(min_length=1, description="claims with their predictions")
    figures: list[FigureSpec] = Field([], description="figures, in the report's order")


class Study(StudyFile):
    """A study: its study.yaml, the texts beside it, and the folder that they come from."""

    notes: str = ""
    amendments: dict[Kebab, list[Amendment]] = Field({})
    name: str = ""
    folder: Path = Path()

    @property
    def yaml_path(self) -> Path:
        """The study.yaml."""
        return self.folder / "study.yaml"

    def predictions(self) -> list[tuple[Claim, Prediction]]:
        """Every prediction with its claim, in the order of the file."""
        return [(claim, prediction) for claim in self.claims for prediction in claim.predictions]

    def at(self, scale: str, seeds: int | None = None) -> dict[str, ScaledPart]:
        """The parts as `scale` runs them; `seeds` overrides the number of seeds of every part that runs."""
        if scale not in self.scales:
            raise ClaimcheckError(
                "the study does not have this scale",
                where=f"{self.yaml_path}: scales",
                found=scale,
                expected=f"one of {', '.join(self.scales)}",
            )
        return {name: scaled(name, self.parts, self.scales[scale], seeds) for name in self.parts}

    def run_function(self, part: str) -> str:
        """Name of the function of runs.py that runs `part`: its own, else that of the part it extends."""
        defined = defined_names(self.folder, "runs")
        name: str | None = part
        while name is not None:
            if f"run_{name}" in defined:
                return f"run_{name}"
            name = self.parts[name].extends
        return f"run_{part}"


class LectureClaim(Model):
    """One claim of the lecture in the project's own words, with the study that tests it or why none can."""

    id: Kebab
    says: Text
    study: Identifier | None = None
    not_testable: Text | None = None

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


class Lecture(Model):
    """The lecture: its title, its author and every claim in order."""

    title: Text
    author: Text
    sections: list[Section] = Field(min_length=1)

    def claims(self) -> dict[str, LectureClaim]:
        """Claims by id, in the lecture's order."""
        return {claim.id: claim for section in self.sections for claim in section.claims}

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Lecture:
        unique([section.id for section in self.sections], "section")
        unique([claim.id for section in self.sections for claim in section.claims], "claim")
        return self


def unique(ids: list[str], kind: str) -> None:
    """Raise ValueError when an id is used twice."""
    for position, name in enumerate(ids):
        if name in ids[:position]:
            raise ValueError(f"{kind} id {name!r} is used twice")
