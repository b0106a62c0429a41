"""The parts of a study: factors, settings, tuning; how one part extends another, and how a scale overrides it.

Everything here is a function of what study.yaml says. Reading the file is the work of `reading`, the runs that follow are
the work of `design`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

RESERVED = {
    "part",
    "run",
    "seed",
    "seeds",
    "units",
    "status",
    "tune",
    "settings",
    "exclude",
    "include",
    "factors",
    "index",
}
"""Names that mean something else in a part or in its records."""

TABLE = {"score", "diverged", "chosen", "at_edge", "failed", "self"}
"""Columns of the pilots' table, which hold beside it the tuned factor and those that make an arm; and a word that pandas
takes for the table itself where a column is added by name."""

MAPPING = {"get", "items", "keys", "values"}
"""What every mapping has: as an attribute of `context.settings` the mapping's own would be found."""

DEFAULT_SEEDS = 16

BLOCK = 5_000
"""Seeds of a registration's block: the next one begins so many on."""

ROOM = 10
"""Blocks from one registered block to the next: room for checks on fresh seeds (`registration_offset`)."""

LARGEST = 2**63 - 1
"""The largest whole number that a column of the records can hold."""


def _scalar(value: Any) -> Any:
    if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError("must be a word, a finite number, true or false")
    return value


Scalar = Annotated[bool | int | float | str, BeforeValidator(_scalar)]


def _plain(value: Any) -> Any:
    """What both a digest and a function can do with: words, numbers, truth, nothing, and lists and mappings of them."""
    if isinstance(value, float) and math.isnan(value):
        raise ValueError("must be a number, and .nan is none (null says that there is none)")
    if isinstance(value, Mapping):
        if strange := [key for key in value if not isinstance(key, str | int | float) or key != key]:
            raise ValueError(f"must have words or numbers for keys, not {strange[0]!r}")
        if len({str(key) for key in value}) < len(value):
            raise ValueError("has two keys that are written alike")
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError(f"must be text, a number, true, false, null, a list or a mapping, not {type(value).__name__}")
    return value


def _identifier(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError("must be lower-case letters, digits and underscores, starting with a letter")
    return name


def _setting_name(name: str) -> str:
    if name in MAPPING:
        raise ValueError(f"is a name that a setting cannot have: context.settings.{name} is the mapping's own")
    return name


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in value):
        raise ValueError("must not hold control characters")
    return value.strip()


Identifier = Annotated[str, BeforeValidator(lambda value: _identifier(value) if isinstance(value, str) else value)]
Text = Annotated[str, BeforeValidator(lambda value: _text(value) if isinstance(value, str) else value)]
SettingName = Annotated[Identifier, AfterValidator(_setting_name)]
Setting = Annotated[Any, BeforeValidator(_plain)]
Count = Annotated[int, Field(ge=1, le=BLOCK, strict=True)]
Cell = dict[Identifier, Scalar | list[Scalar]]


class Model(BaseModel):
    """What all models of the project's files share: unknown keys are refused, numbers are finite, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        """`true` is no 1, as pydantic would have it, unless the field may be true or false."""
        values = value if isinstance(value, list) else [value]
        if not any(isinstance(each, bool) for each in values):
            return value
        kinds = set(re.findall(r"\w+", repr(cls.model_fields[str(info.field_name)].annotation)))
        if kinds & {"int", "float"} and "bool" not in kinds:
            raise ValueError("must not be true or false")
        return value


def _one_column(values: list[Scalar]) -> list[Scalar]:
    """Values that fit into one column of the records.

    Raises:
        ValueError: they are of different kinds, or too large.
    """
    kinds = {"true or false" if isinstance(v, bool) else "words" if isinstance(v, str) else "numbers" for v in values}
    if len(kinds) > 1:
        raise ValueError(f"values must be of one kind, these are {' and '.join(sorted(kinds))}: quote what is a word")
    if any(isinstance(value, int) and abs(value) > LARGEST for value in values):
        raise ValueError("whole numbers must be below 2^63; write larger ones with a point, as 1.0e+23")
    return values


class Factor(Model):
    """A quantity varied in a part: its values, and whether it changes shapes or code (its own ensemble)."""

    values: list[Scalar] = Field(min_length=1, description="the values, in the order of the design")
    static: bool = Field(
        False, description="true where a value changes shapes or code, so that each has its own ensemble"
    )

    @field_validator("values")
    @classmethod
    def _distinct(cls, values: list[Scalar]) -> list[Scalar]:
        if len({(type(value) is bool, value) for value in values}) < len(values):
            raise ValueError("a value is given twice")
        return _one_column(values)


class Tune(Model):
    """A nuisance factor chosen per arm on pilot seeds before the judged run.

    The value whose mean `minimise` (or `maximise`) column, at the last index row of each pilot run, is best is used;
    a diverged pilot run counts as worst.
    """

    factor: Identifier = Field(description="name of the tuned factor, such as learning_rate")
    values: list[Scalar] = Field(min_length=1, description="the grid, in ascending order")
    minimise: Identifier | None = Field(None, description="the column whose mean over pilots is to be small")
    maximise: Identifier | None = Field(None, description="the column whose mean over pilots is to be large")
    seeds: int = Field(
        8,
        ge=1,
        le=BLOCK,
        validation_alias=AliasChoices("seeds", "units"),
        description="pilot seeds (from 10000 on) a value",
    )
    within: list[Identifier] | None = Field(None, description="factors that make an arm; all of them when left out")
    extend: float = Field(
        10.0, ge=1, description="how many times beyond either end the grid may be extended while a choice is at an end"
    )
    only: Cell = Field({}, description="the cells that pilots run, factor by factor; every arm has to be among them")
    settings: dict[SettingName, Setting] = Field({}, description="settings of the pilots that differ from the part's")

    _fit = field_validator("values")(_one_column)

    @field_validator("factor")
    @classmethod
    def _not_reserved(cls, factor: str) -> str:
        if factor in RESERVED | TABLE:
            raise ValueError("is a reserved name, which a tuned factor cannot have")
        return factor

    @field_validator("within")
    @classmethod
    def _each_once(cls, within: list[str] | None) -> list[str] | None:
        if within and len(set(within)) < len(within):
            raise ValueError("a factor is given twice")
        return within

    @field_validator("values")
    @classmethod
    def _ascending(cls, values: list[Scalar]) -> list[Scalar]:
        if isinstance(values[0], int | float) and any(one >= other for one, other in itertools.pairwise(values)):
            raise ValueError("must be in ascending order, each value once")
        if len(set(values)) < len(values):
            raise ValueError("a value is given twice")
        return values

    @model_validator(mode="after")
    def _one_goal(self) -> Tune:
        if (self.minimise is None) == (self.maximise is None):
            raise ValueError("give exactly one of minimise and maximise")
        return self


class Design(Model):
    """What decides a part's runs and records: a grid of factors crossed with seeds, settings, tuning."""

    describes: Text | None = Field(None, description="one sentence for the table of designs")
    factors: dict[Identifier, Factor] = Field({}, description="what is varied")
    exclude: list[Cell] = Field([], description="cells left out of the grid; every key must match, a list matches any")
    include: list[dict[Identifier, Scalar]] = Field([], description="cells added to the grid; each gives every factor")
    settings: dict[SettingName, Setting] = Field(
        {}, description="what the run function reads and the part does not vary"
    )
    index: list[Identifier] = Field([], description="columns that number the rows of a run, such as step or layer")
    tune: Tune | None = Field(None, description="a factor chosen on pilot seeds for each arm")
    needs_gpu: bool = Field(False, description="skipped where there is no GPU")
    needs_compiler: bool = Field(False, description="skipped where there is no C++ compiler (for torch.compile)")
    timing: bool = Field(False, description="its metrics are measured times, which no second run repeats")

    @model_validator(mode="after")
    def _names_agree(self) -> Design:
        for name in self.factors:
            if name in RESERVED:
                raise ValueError(f"factor {name!r} has a reserved name")
        if both := set(self.factors) & set(self.settings):
            raise ValueError(f"{sorted(both)} are given both as factors and as settings")
        if getattr(self, "extends", None) is None:
            self._check_cells(set(self.factors))
        return self

    def on(self, dataset: str | None) -> Self:
        """The same design on one level of its factor `dataset`; itself for None."""
        if dataset is None or "dataset" not in self.factors:
            return self
        narrowed = Factor(values=[dataset], static=self.factors["dataset"].static)
        include = [cell for cell in self.include if cell["dataset"] == dataset]
        return self.model_copy(update={"factors": {**self.factors, "dataset": narrowed}, "include": include})

    def cells(self) -> list[dict[str, Scalar]]:
        """Every combination of the factors' values, less `exclude`, plus `include`, each once, in the file's order."""
        return [dict(cell) for cell in self._grid]

    @cached_property
    def _grid(self) -> list[dict[str, Scalar]]:
        names = list(self.factors)
        values = itertools.product(*(self.factors[name].values for name in names))
        grid = [dict(zip(names, combination, strict=True)) for combination in values]
        kept = [cell for cell in grid if not any(_matches(cell, rule) for rule in self.exclude)]
        for extra in self.include:
            cell = {name: extra[name] for name in names}
            if cell not in kept:
                kept.append(cell)
        return kept

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, with a grid of its own: that one copies what was kept, too."""
        copied = super().model_copy(update=update, deep=deep)
        copied.__dict__.pop("_grid", None)
        return copied

    def pilot_cells(self) -> list[dict[str, Scalar]]:
        """Those of the cells that are run to tune: all, or what `tune.only` keeps."""
        return [cell for cell in self.cells() if self.tune and _matches(cell, self.tune.only)]

    def _check_cells(self, known: set[str]) -> None:
        for entry in self.exclude:
            if unknown := set(entry) - known:
                raise ValueError(f"exclude names {sorted(unknown)}, but the factors are {sorted(known)}")
        for entry in self.include:
            if set(entry) != known:
                raise ValueError(f"include must give every factor ({sorted(known)}), got {sorted(entry)}")
            for name, value in entry.items():
                _one_column([*self.factors[name].values, value])
        if self.tune:
            if self.tune.factor in known:
                raise ValueError(f"tune.factor {self.tune.factor!r} is also an ordinary factor")
            if self.tune.factor in self.settings:
                raise ValueError(f"{self.tune.factor!r} is tuned and a setting, too: give one of them")
            if unknown := set(self.tune.within or []) - known:
                raise ValueError(f"tune.within names {sorted(unknown)}, but the factors are {sorted(known)}")
            if unknown := set(self.tune.only) - known:
                raise ValueError(f"tune.only names {sorted(unknown)}, but the factors are {sorted(known)}")
            arm = sorted(known) if self.tune.within is None else self.tune.within
            if reserved := set(arm) & TABLE:
                raise ValueError(f"factor {min(reserved)!r} has a name that is reserved where a part tunes")
            arms, piloted = (
                {tuple(cell[name] for name in arm) for cell in each} for each in (self.cells(), self.pilot_cells())
            )
            if lost := arms - piloted:
                raise ValueError(f"tune.only leaves out all cells of an arm: {', '.join(map(str, min(lost, key=str)))}")


def _matches(cell: Mapping[str, Scalar], rule: Mapping[str, Scalar | list[Scalar]]) -> bool:
    return all(cell[key] in (value if isinstance(value, list) else [value]) for key, value in rule.items())


class Part(Design):
    """One experiment of a study, run by one function of runs.py.

    A part may extend another: it takes everything of that part, keeps the cells named by `only`, and lays what it says
    itself over the rest (settings and tuning key by key).
    """

    extends: Identifier | None = Field(None, description="a part of the study to take everything from")
    only: Cell = Field({}, description="with extends: the values kept, factor by factor")
    seeds: Annotated[int, Field(ge=0, le=BLOCK)] | dict[str, Count] | None = Field(
        None,
        validation_alias=AliasChoices("seeds", "units"),
        description="independent repetitions of every cell; or of those on each data set, by its name",
    )
    tune: Tune | dict[Identifier, Any] | None = Field(
        None, description="a factor chosen on pilot seeds for each arm; with extends: what differs"
    )

    @model_validator(mode="before")
    @classmethod
    def _whole_tuning(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("extends") is None and isinstance(values.get("tune"), Mapping):
            try:
                return {**values, "tune": Tune.model_validate(values["tune"])}
            except ValidationError as error:
                kept = ("type", "input", "ctx")
                faults = [
                    {**{key: each[key] for key in kept if key in each}, "loc": ("tune", *each["loc"])}
                    for each in error.errors(include_url=False)
                ]
                raise ValidationError.from_exception_data("Part", faults) from None
        return values

    @model_validator(mode="after")
    def _only_with_extends(self) -> Part:
        if self.only and self.extends is None:
            raise ValueError("`only` keeps cells of the part that is extended: give `extends`, too")
        return self


class ScaledPart(Design):
    """A part as one scale runs it, with everything that it extends. `seeds` 0 means: not run at this scale.

    Where data sets differ in their number of seeds, `seeds` is the most, and `seeds_on` has the number of each.
    """

    name: str
    seeds: int = Field(ge=0, le=BLOCK)
    seeds_on: dict[str, Count] = {}
    first_seed: int = Field(0, ge=0)

    @property
    def judged_seeds(self) -> range:
        """The seeds that are judged, on whatever data set."""
        return range(self.first_seed, self.first_seed + self.seeds)

    @property
    def judged_runs(self) -> list[tuple[dict[str, Scalar], int]]:
        """Every cell with every seed that is judged in it."""
        return [
            (cell, self.first_seed + number)
            for cell in self.cells()
            for number in range(self.seeds_on.get(str(cell.get("dataset")), self.seeds))
        ]

    def on(self, dataset: str | None) -> Self:
        """The same part on one level of its factor `dataset`, with that data set's seeds; itself for None."""
        narrowed = super().on(dataset)
        if dataset not in self.seeds_on:
            return narrowed
        return narrowed.model_copy(update={"seeds": self.seeds_on[dataset], "seeds_on": {}})


ScaleName = Literal["smoke", "quick", "full"]
