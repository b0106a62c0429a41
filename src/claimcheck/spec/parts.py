"""The parts of a study: factors, settings, tuning; how one part extends another, and how a scale overrides it.

Everything here is a function of what study.yaml says. Reading the file is the work of `reading`, the runs that follow are
the work of `design`.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
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

DEFAULT_SEEDS = 16

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


def _text(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    if any(ord(letter) < 32 and letter not in "\n\t" for letter in value):
        raise ValueError("must not hold control characters")
    return value.strip()


Identifier = Annotated[str, BeforeValidator(lambda value: _identifier(value) if isinstance(value, str) else value)]
Text = Annotated[str, BeforeValidator(lambda value: _text(value) if isinstance(value, str) else value)]
Setting = Annotated[Any, BeforeValidator(_plain)]
Cell = dict[Identifier, Scalar | list[Scalar]]


class Model(BaseModel):
    """What all models of the project's files share: unknown keys are refused, numbers are finite, nothing changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, allow_inf_nan=False)


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
        4, ge=1, validation_alias=AliasChoices("seeds", "units"), description="pilot seeds (from 10000 on) a value"
    )
    within: list[Identifier] | None = Field(None, description="factors that make an arm; all of them when left out")
    settings: dict[Identifier, Setting] = Field({}, description="settings of the pilots that differ from the part's")

    _fit = field_validator("values")(_one_column)

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
    settings: dict[Identifier, Setting] = Field(
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

    def cells(self) -> list[dict[str, Scalar]]:
        """Every combination of the factors' values, less `exclude`, plus `include`, each once, in the file's order."""
        names = list(self.factors)
        values = itertools.product(*(self.factors[name].values for name in names))
        grid = [dict(zip(names, combination, strict=True)) for combination in values]
        kept = [cell for cell in grid if not any(_matches(cell, rule) for rule in self.exclude)]
        for extra in self.include:
            cell = {name: extra[name] for name in names}
            if cell not in kept:
                kept.append(cell)
        return kept

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


def _matches(cell: Mapping[str, Scalar], rule: Mapping[str, Scalar | list[Scalar]]) -> bool:
    return all(cell[key] in (value if isinstance(value, list) else [value]) for key, value in rule.items())


class Part(Design):
    """One experiment of a study, run by one function of runs.py.

    A part may extend another: it takes everything of that part, keeps the cells named by `only`, and lays what it says
    itself over the rest (settings and tuning key by key).
    """

    extends: Identifier | None = Field(None, description="a part of the study to take everything from")
    only: Cell = Field({}, description="with extends: the values kept, factor by factor")
    seeds: int | None = Field(
        None, ge=0, validation_alias=AliasChoices("seeds", "units"), description="independent repetitions of every cell"
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
                inside = [{**each, "loc": ("tune", *each["loc"])} for each in error.errors(include_url=False)]
                raise ValidationError.from_exception_data(error.title, inside) from None
        return values

    @model_validator(mode="after")
    def _only_with_extends(self) -> Part:
        if self.only and self.extends is None:
            raise ValueError("`only` keeps cells of the part that is extended: give `extends`, too")
        return self


class ScaledPart(Design):
    """A part as one scale runs it, with everything that it extends. `seeds` 0 means: not run at this scale."""

    name: str
    seeds: int = Field(ge=0)


def scaled(name: str, parts: Mapping[str, Part], overrides: Mapping[str, Any], seeds: int | None = None) -> ScaledPart:
    """The part `name` with one scale's overrides.

    Args:
        parts: every part of the study.
        overrides: the scale's entry in study.yaml: settings of parts by name, and `seeds` for all.
        seeds: replaces the number of seeds of a part that is run at the scale at all.

    Raises:
        ValueError: the result contradicts itself, or parts extend each other in a circle.
    """
    fields, own = _scaled_fields(name, parts, overrides, ())
    count = next(n for n in (own, _seeds_in(overrides), DEFAULT_SEEDS) if n is not None)
    count = seeds if seeds is not None and count > 0 else count
    return ScaledPart(name=name, seeds=count, **fields)


def _scaled_fields(
    name: str, parts: Mapping[str, Part], overrides: Mapping[str, Any], seen: tuple[str, ...]
) -> tuple[dict[str, Any], int | None]:
    """The fields of a `Design` with the scale's overrides, and the number of seeds if the part or the scale says one."""
    if name in seen:
        raise ValueError(f"parts extend each other in a circle: {' -> '.join([*seen, name])}")
    part = parts[name]
    if part.extends is None:
        fields, seeds = {key: getattr(part, key) for key in Design.model_fields}, part.seeds
    elif part.extends not in parts:
        raise ValueError(f"extends {part.extends!r}, but the parts are {', '.join(parts)}")
    else:
        base, inherited = _scaled_fields(part.extends, parts, overrides, (*seen, name))
        fields = _extended(base, part, parts)
        seeds = part.seeds if part.seeds is not None else inherited
    override = dict(overrides.get(name) or {})
    said = _seeds_in(override)
    for key in ("seeds", "units"):
        override.pop(key, None)
    return _overridden(fields, override), said if said is not None else seeds


def _seeds_in(entry: Mapping[str, Any]) -> int | None:
    return next((entry[key] for key in ("seeds", "units") if entry.get(key) is not None), None)


def _extended(base: dict[str, Any], part: Part, parts: Mapping[str, Part]) -> dict[str, Any]:
    """The fields of the extended part with what the extending one says laid over them."""
    factors = {**base["factors"], **part.factors}
    for factor, wanted in part.only.items():
        kept = wanted if isinstance(wanted, list) else [wanted]
        known = list(dict.fromkeys([*_values_anywhere(part.extends, factor, parts), *_values(factors, factor)]))
        if strange := [value for value in kept if value not in known]:
            raise ValueError(f"only.{factor} names {strange[0]!r}, but part {part.extends} has {known}")
        factors[factor] = Factor(values=[value for value in known if value in kept], static=factors[factor].static)
    include = [cell for cell in base["include"] if all(cell[key] in factors[key].values for key in part.only)]
    tune = base["tune"]
    if "tune" in part.model_fields_set:
        said = (
            part.tune
            if isinstance(part.tune, dict)
            else part.tune.model_dump(exclude_unset=True)
            if part.tune
            else None
        )
        tune = None if said is None else _retuned(tune, said)
    laid_over = {key: getattr(part, key) for key in part.model_fields_set & set(_REPLACED)}
    return {
        **base,
        **laid_over,
        "factors": factors,
        "exclude": [*base["exclude"], *part.exclude],
        "include": [*include, *part.include],
        "settings": {**base["settings"], **part.settings},
        "tune": tune,
    }


def _retuned(tune: Tune | None, said: Mapping[str, Any]) -> Tune:
    renamed = {"seeds" if key == "units" else key: value for key, value in said.items()}
    return Tune(**{**(tune.model_dump() if tune else {}), **renamed})


_REPLACED = ("describes", "index", "needs_gpu", "needs_compiler", "timing")


def _values(factors: Mapping[str, Factor], name: str) -> list[Scalar]:
    if name not in factors:
        raise ValueError(f"only names the factor {name!r}, but the factors are {sorted(factors)}")
    return factors[name].values


def _values_anywhere(name: str | None, factor: str, parts: Mapping[str, Part]) -> list[Scalar]:
    """A factor's values in the extended part as the file gives it, scales aside."""
    while name is not None and name in parts:
        if factor in parts[name].factors:
            return parts[name].factors[factor].values
        name = parts[name].extends
    return []


def _overridden(fields: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """The fields with one scale's entry for the part: values of factors, settings, cells, keys of the tuning."""
    factors, settings, tune = dict(fields["factors"]), dict(fields["settings"]), fields["tune"]
    changed = {key: override.pop(key) for key in ("exclude", "include") if key in override}
    if (said := override.pop("tune", None)) and tune is not None:
        tune = _retuned(tune, said)
    for key, value in override.items():
        if key in factors:
            factors[key] = Factor(values=value, static=factors[key].static)
        else:
            settings[key] = value
    return {**fields, **changed, "factors": factors, "settings": settings, "tune": tune}


ScaleName = Literal["smoke", "quick", "full"]
SCALES: tuple[ScaleName, ...] = ("smoke", "quick", "full")
