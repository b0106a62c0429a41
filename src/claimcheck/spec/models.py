"""What a study, the lecture and the configuration may say, checked before anything runs.

Pydantic models, and how a scale overrides a part. Reading files is the work of `loading`.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from claimcheck.results import sources as reach
from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of

SCALES = ("smoke", "quick", "full")
RESERVED = {"part", "run", "seed", "seeds", "status", "tune", "settings", "exclude", "include", "factors", "index"}

Scalar = bool | int | float | str
ScaleName = Literal["smoke", "quick", "full"]
Step = Literal["run", "judge", "plot"]


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("must be lower-case letters, digits and underscores, starting with a letter")
    return name


def _kebab(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
        raise ValueError("must be lower-case words joined by hyphens")
    return name


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in value):
        raise ValueError("must not hold control characters")
    return value.strip()


Identifier = Annotated[str, BeforeValidator(lambda value: _identifier(value) if isinstance(value, str) else value)]
Kebab = Annotated[str, BeforeValidator(lambda value: _kebab(value) if isinstance(value, str) else value)]
Text = Annotated[str, BeforeValidator(lambda value: _text(value) if isinstance(value, str) else value)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


class Factor(_Model):
    """A quantity varied in a part: its values, and whether it changes shapes or code (its own ensemble)."""

    values: list[Scalar] = Field(min_length=1)
    static: bool = False

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: list[Scalar]) -> list[Scalar]:
        if len({(type(value) is bool, value) for value in values}) < len(values):
            raise ValueError("a value stands twice")
        return values


class Tune(_Model):
    """A nuisance factor chosen per arm on pilot seeds before the confirmatory run.

    The value whose mean `minimise` (or `maximise`) column, at the last index row of each pilot run, is best is used;
    a diverged pilot run counts as worst.
    """

    factor: Identifier
    values: list[Scalar] = Field(min_length=1)
    minimise: Identifier | None = None
    maximise: Identifier | None = None
    seeds: int = Field(default=4, ge=1)
    within: list[Identifier] | None = None
    settings: dict[Identifier, Any] = {}

    @model_validator(mode="after")
    def _one_goal(self) -> Tune:
        if (self.minimise is None) == (self.maximise is None):
            raise ValueError("give exactly one of minimise and maximise")
        return self


class Part(_Model):
    """One experiment of a study: a grid of factors crossed with seeds, run by one function.

    `timing` says that metrics are measured times, which no second run repeats; `needs_gpu` and `needs_compiler`
    (of C++, for torch.compile) skip it where there is none.
    """

    describes: Text | None = None
    factors: dict[Identifier, Factor] = {}
    exclude: list[dict[Identifier, Scalar | list[Scalar]]] = []
    include: list[dict[Identifier, Scalar]] = []
    settings: dict[Identifier, Any] = {}
    index: list[Identifier] = []
    seeds: int | None = Field(default=None, ge=0)
    tune: Tune | None = None
    needs_gpu: bool = False
    needs_compiler: bool = False
    timing: bool = False

    @model_validator(mode="after")
    def _names_agree(self) -> Part:
        for name in self.factors:
            if name in RESERVED:
                raise ValueError(f"factor {name!r} has a reserved name")
        if both := set(self.factors) & set(self.settings):
            raise ValueError(f"{sorted(both)} stand under factors and under settings")
        known = set(self.factors)
        for entry in self.exclude:
            if unknown := set(entry) - known:
                raise ValueError(f"exclude names {sorted(unknown)}, but the factors are {sorted(known)}")
        for entry in self.include:
            if set(entry) != known:
                raise ValueError(f"include must give every factor ({sorted(known)}), got {sorted(entry)}")
        if self.tune:
            if self.tune.factor in known:
                raise ValueError(f"tune.factor {self.tune.factor!r} is also an ordinary factor")
            if unknown := set(self.tune.within or []) - known:
                raise ValueError(f"tune.within names {sorted(unknown)}, but the factors are {sorted(known)}")
        return self


class Amendment(_Model):
    """A region that was changed after it was first fixed: when, from what, and why."""

    date: str
    was: Any
    reason: Text

    @field_validator("date", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> str:
        return str(value)


class Reference(_Model):
    """A published or theoretical value printed beside a measurement."""

    says: Text
    value: float | None = None
    source: Text


class Prediction(_Model):
    """Where a number must fall if the claim holds (kind `main`), or where it stops holding (kind `limit`)."""

    id: Kebab
    says: Text
    statistic: Identifier
    region: tuple[float | None, float | None]
    unit: str = ""
    why: Text
    part: Identifier | None = None
    kind: Literal["main", "limit"] = "main"
    average: Literal["mean", "median", "proportion"] = "mean"
    reference: list[Reference] = []
    amended: list[Amendment] = []

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


class Claim(_Model):
    """A claim of the lecture (its words are in lecture.yaml), or one of the study's own with `says`."""

    id: Kebab
    says: Text | None = None
    predictions: list[Prediction] = Field(min_length=1)


class FigureSpec(_Model):
    """A figure: `plot_<id>` of study.py draws it."""

    id: Kebab
    caption: Text
    alt: Text
    part: Identifier | None = None
    claims: list[Kebab] = []

    @property
    def function(self) -> str:
        """Name of the function that draws it."""
        return "plot_" + self.id.replace("-", "_")


class Study(_Model):
    """A study.yaml, with the folder it came from."""

    title: Text
    question: Text
    sections: list[Kebab] = Field(min_length=1)
    method: Text
    notes: str = ""
    references: list[Text] = []
    factors: dict[Identifier, Factor] | None = None
    parts: dict[Identifier, Part] = {}
    scales: dict[ScaleName, dict[Identifier, Any]] = Field(min_length=1)
    claims: list[Claim] = Field(min_length=1)
    figures: list[FigureSpec] = []
    name: str = ""
    folder: Path = Path()
    _code: dict[str, ModuleType] = PrivateAttr(default_factory=dict)

    @property
    def yaml_path(self) -> Path:
        """The study.yaml."""
        return self.folder / "study.yaml"

    @property
    def code_path(self) -> Path:
        """The study.py."""
        return self.folder / "study.py"

    @cached_property
    def module(self) -> ModuleType:
        """All of the study's code, imported at first use."""
        return reach.load(self.code_path, f"claimcheck_study_{self.name}")

    def functions_of(self, step: Step) -> list[str]:
        """Names of the functions of study.py that a step calls."""
        if step == "run":
            return [run_function(self, part) for part in self.all_parts()]
        if step == "judge":
            return [prediction.statistic for _, prediction in self.predictions()]
        return [figure.function for figure in self.figures]

    def code(self, step: Step) -> ModuleType:
        """What of the study's code a step's functions reach, imported at first use; nothing else is executed."""
        if step not in self._code:
            name = f"claimcheck_study_{self.name}_{step}"
            self._code[step] = reach.load(self.code_path, name, self.functions_of(step))
        return self._code[step]

    def predictions(self) -> list[tuple[Claim, Prediction]]:
        """Every prediction with its claim, in the order of the file."""
        return [(claim, prediction) for claim in self.claims for prediction in claim.predictions]

    def at(self, scale: str, seeds: int | None = None) -> dict[str, ScaledPart]:
        """The parts as `scale` runs them; `seeds` overrides the number of seeds of every part that runs."""
        return {name: self._scaled(name, part, scale, seeds) for name, part in self.all_parts().items()}

    def all_parts(self) -> dict[str, Part]:
        """The parts by name; the short form (`factors:` alone) is one part named `main`."""
        if self.factors is None:
            return self.parts
        return {"main": Part(factors=self.factors, index=[])}

    def _scaled(self, name: str, part: Part, scale: str, seeds: int | None) -> ScaledPart:
        if scale not in self.scales:
            raise ClaimcheckError(
                "the study does not have this scale",
                where=f"{self.yaml_path}: scales",
                found=scale,
                expected=f"one of {', '.join(self.scales)}",
            )
        top = dict(self.scales[scale])
        override = dict(top if self.factors is not None else top.get(name, {}))
        count = override.pop("seeds", None) if self.factors is None else None
        count = next(n for n in (count, part.seeds, top.get("seeds"), 16) if n is not None)
        override.pop("seeds", None)
        tune_override = dict(override.pop("tune", {}) or {})
        factors, settings = dict(part.factors), dict(part.settings)
        lists = {key: override.pop(key) for key in ("exclude", "include") if key in override}
        for key, value in override.items():
            if key in factors:
                factors[key] = Factor(values=value, static=factors[key].static)
            else:
                settings[key] = value
        tune = Tune(**{**part.tune.model_dump(), **tune_override}) if part.tune else None
        changed = {**part.model_dump(exclude={"factors", "settings", "tune", "seeds"}), **lists}
        checked = Part(**changed, factors=factors, settings=settings, tune=tune)
        count = seeds if seeds is not None and count > 0 else count
        return ScaledPart(name=name, seeds=count, **{k: getattr(checked, k) for k in Part.model_fields if k != "seeds"})


class ScaledPart(Part):
    """A part with one scale's overrides applied. `seeds` 0 means: not run at this scale."""

    name: str
    seeds: int = Field(ge=0)


class LectureClaim(_Model):
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


class Section(_Model):
    """A section of the lecture."""

    id: Kebab
    title: Text
    chapter: Text
    claims: list[LectureClaim] = []


class Lecture(_Model):
    """The lecture: its title, its author and every claim in order."""

    title: Text
    author: Text
    sections: list[Section] = Field(min_length=1)

    def claims(self) -> dict[str, LectureClaim]:
        """Claims by id, in the lecture's order."""
        return {claim.id: claim for section in self.sections for claim in section.claims}

    @model_validator(mode="after")
    def _ids_areunique(self) -> Lecture:
        unique([section.id for section in self.sections], "section")
        unique([claim.id for section in self.sections for claim in section.claims], "claim")
        return self


class Config(_Model):
    """workflow/config.yaml: what is run, at which scale, where."""

    scale: ScaleName = Field("quick", description="smoke tests the plumbing, quick convinces, full is the evidence")
    studies: Literal["all"] | list[Identifier] = Field("all", description="all, or a list of studies")
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    seeds: int | None = Field(None, ge=1, description="overrides every study's number of seeds")
    shards: int = Field(1, ge=1, le=512, description="pieces a study is cut into, for more workers")
    memory_limit_mb: int | None = Field(
        None, ge=64, description="ensembles are cut to stay below it; on a GPU 12 GiB if null"
    )
    studies_dir: Path = Field(Path("studies"), description="folder of the studies and lecture.yaml")
    data_dir: Path = Field(Path("data"), description="folder of downloaded data sets")
    results_dir: Path = Field(Path("results"), description="folder that results are written to")
    reports_dir: Path = Field(Path("reports"), description="folder that reports are written to")

    def results_of(self, study: str) -> Path:
        """Folder of a study's results at this scale."""
        return self.results_dir / self.scale / study


def unique(ids: list[str], kind: str) -> None:
    """Raise ValueError when an id stands twice."""
    for position, name in enumerate(ids):
        if name in ids[:position]:
            raise ValueError(f"{kind} id {name!r} stands twice")


def run_function(study: Study, part: str) -> str:
    """Name of the function of study.py that runs `part`."""
    return "run" if study.factors is not None else f"run_{part}"


def spec_hash(prediction: Prediction, study: Study, scale: str, seeds: int | None = None) -> str:
    """Hash of what fixes a prediction: its statistic, region, rule and the design it is judged on."""
    parts = study.at(scale, seeds)
    wanted = {prediction.part: parts[prediction.part]} if prediction.part else parts
    return hash_of(
        {
            "prediction": prediction.model_dump(
                include={"id", "says", "statistic", "region", "kind", "average", "part"}
            ),
            "design": {name: part.model_dump(exclude={"describes"}) for name, part in wanted.items()},
        }
    )
