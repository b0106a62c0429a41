"""What a prediction measures, where it can be said in a line: five forms, each one number a seed.

    value       a column in one cell of the design
    difference  of a column between two cells, `of` less `less`
    ratio       of a column between two cells, `of` over `to`
    slope       least squares of a column over a factor or an index
    argbest     the level of a factor or an index at which a column is lowest or highest

This says what may be written and checks it against a part; `claimcheck.judging.measures` computes it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from claimcheck.errors import closest

if TYPE_CHECKING:
    from claimcheck.spec.models import Part

FORMS = ("value", "difference", "ratio", "slope", "argbest")
EXTREMES = ("lowest", "highest")
"""Levels that mean the least and the greatest of those in the cell, whatever these are at the scale."""

ONLY_FOR = {
    "less": ("difference",),
    "to": ("ratio",),
    "over": ("slope", "argbest"),
    "best": ("argbest",),
    "times": ("value", "difference", "ratio", "slope"),
    "plus": ("value", "difference", "ratio", "slope"),
}
"""Keys that some forms alone understand."""

NEEDED = {"difference": "less", "ratio": "to", "slope": "over", "argbest": "over"}

Level = bool | int | float | str


def _base(value: Any) -> Any:
    names = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if value is True or value in (2, 10) or names:
        return value
    raise ValueError("must be true (natural), 2 or 10; for a slope also a list of what is logged")


def _place(value: Any) -> Any:
    if value in ("last", "first") or (isinstance(value, dict) and value):
        return value
    raise ValueError("must be last, first, or an index with its value, such as {step: 100}")


def _finite_or_infinite(value: float) -> float:
    if math.isnan(value):
        raise ValueError("must be a number (.inf is one), not NaN")
    return value


Cell = dict[str, Level | list[Level]]


class Measure(BaseModel):
    """One of the five forms, with the cells that it compares and what is done to the column before and after.

    In this order: the cell is selected, `at` picks rows of an index, `if_diverged` fills in, `at_least` and `at_most`
    clip, `log`, `above` and `below`, `mean_over`, `max_over`, `min_over`, the form, `times`, `plus`, `absolute`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    value: str | None = Field(None, description="the column whose value is taken")
    difference: str | None = Field(None, description="the column of which `of` less `less` is taken")
    ratio: str | None = Field(None, description="the column of which `of` divided by `to` is taken")
    slope: str | None = Field(None, description="the column whose least-squares slope over `over` is taken")
    argbest: str | None = Field(None, description="the column that is best at the level of `over` that is taken")
    of: Cell = Field(
        {},
        description="the cell: factor, tuned factor or index with its level or a list of levels; `lowest` and "
        "`highest` are the least and the greatest there; of a list, levels that a scale does not run are left out",
    )
    less: Cell | None = Field(
        None, description="difference only: the cell that is subtracted; give what differs from `of`"
    )
    to: Cell | None = Field(None, description="ratio only: the cell that is divided by; give what differs from `of`")
    over: str | None = Field(None, description="slope and argbest only: a factor or an index")
    best: Literal["lowest", "highest"] = Field("lowest", description="argbest only: what counts as best")
    at: Annotated[Literal["last", "first"] | dict[str, Level], BeforeValidator(_place)] = Field(
        "last", description="which rows of an index that is named nowhere else: last, first, or {index: value}"
    )
    mean_over: list[str] = Field([], description="factors or indices whose levels are averaged")
    max_over: list[str] = Field([], description="factors or indices of whose levels the highest value is taken")
    min_over: list[str] = Field([], description="factors or indices of whose levels the lowest value is taken")
    if_diverged: Annotated[float, Field(allow_inf_nan=True)] | None = Field(
        None, description="what the column is worth for a run that diverged or has no number there; .inf is allowed"
    )
    at_least: float | None = Field(None, description="lower values of the column count as this")
    at_most: float | None = Field(None, description="higher values of the column count as this")
    log: Annotated[bool | int | list[str] | None, BeforeValidator(_base)] = Field(
        None,
        description="logarithm of the column before anything is averaged or compared: true (natural), 2 or 10; of a ratio, "
        "of the ratio itself; of a slope also a list of what is logged, the column, `over` or both (natural)",
    )
    above: float | None = Field(None, description="the column becomes 1 where it is above this, else 0")
    below: float | None = Field(None, description="the column becomes 1 where it is below this, else 0")
    times: float | None = Field(None, description="the result is multiplied by this (100 for percentage points)")
    plus: float | None = Field(None, description="this is added to the result, after `times`")
    absolute: bool = Field(False, description="the result without its sign")

    @property
    def form(self) -> str:
        """Which of the five it is."""
        return next(form for form in FORMS if getattr(self, form) is not None)

    @property
    def column(self) -> str:
        """The column measured."""
        return getattr(self, self.form)

    @property
    def other(self) -> Cell | None:
        """The cell compared with (`less` or `to` laid over `of`), None where the form has none."""
        second = self.less if self.form == "difference" else self.to
        return None if second is None else {**self.of, **second}

    @property
    def reduced(self) -> list[str]:
        """Factors and indices over whose levels the column is averaged or its extreme taken."""
        return [*self.mean_over, *self.max_over, *self.min_over]

    def names(self) -> set[str]:
        """Every factor and index that it names."""
        places = self.at if isinstance(self.at, dict) else {}
        over = {self.over} if self.over else set()
        return set(self.of) | set(self.less or {}) | set(self.to or {}) | set(places) | set(self.reduced) | over

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"must be a mapping with one of {', '.join(FORMS)}")
        given = [form for form in FORMS if raw.get(form) is not None]
        if len(given) > 1:
            raise ValueError(f"give one form, not {' and '.join(given)}")
        unknown = [key for key in raw if key not in cls.model_fields]
        if not given and not unknown:
            raise ValueError(f"give one of {', '.join(FORMS)}, with the column that is measured")
        return raw

    @model_validator(mode="after")
    def _keys_fit_the_form(self) -> Measure:
        form, given = self.form, self.model_fields_set
        for key, forms in ONLY_FOR.items():
            if key in given and form not in forms:
                raise ValueError(f"{key} belongs to {' and '.join(forms)}, not to {form}")
        if (needed := NEEDED.get(form)) and getattr(self, needed) is None:
            raise ValueError(f"a {form} needs {needed}")
        twice = {name for name in self.reduced if self.reduced.count(name) > 1 or name == self.over}
        if twice:
            raise ValueError(f"{sorted(twice)[0]} stands twice under over, mean_over, max_over and min_over")
        if self.above is not None and self.below is not None:
            raise ValueError("give above or below, not both")
        if isinstance(self.log, list) and (form != "slope" or set(self.log) - {self.column, self.over}):
            raise ValueError(
                f"log must be true, 2 or 10; of a slope also a list out of its column and {self.over or 'over'}"
            )
        return self


def faults(measure: Measure, *parts: Part) -> list[str]:
    """What does not fit between a measure and its part, each in words; empty where all fits.

    Args:
        parts: the part as each scale that runs it has it (or one of them).
    """
    found: dict[str, None] = {}
    for part in parts:
        tuned = [part.tune.factor] if part.tune else []
        known = [*part.factors, *tuned, *part.index]
        for name in sorted(measure.names() - set(known)):
            near = closest(name, known)
            expected = ", ".join(known) or "none, the part has neither factors nor index"
            found[
                f"{name} is no factor or index of the part; expected one of {expected}" + (f"; {near}" if near else "")
            ] = None
        places = set(measure.at) if isinstance(measure.at, dict) else set()
        for name in sorted(places & set(part.factors)):
            found[f"at names the factor {name}; factors belong in of"] = None
    for cell in (measure.of, measure.less or {}, measure.to or {}):
        for name, wanted in cell.items():
            for fault in _level_faults(name, wanted, parts):
                found[fault] = None
    return list(found)


def _level_faults(name: str, wanted: Level | list[Level], parts: tuple[Part, ...]) -> list[str]:
    """A level must be run at every scale, or, where it stands in a list, at one of them."""
    values = [part.factors[name].values for part in parts if name in part.factors]
    if not values:
        return []
    told = []
    for level in wanted if isinstance(wanted, list) else [wanted]:
        if isinstance(level, str) and level in EXTREMES:
            continue
        enough = any if isinstance(wanted, list) else all
        if not enough(any(same_level(level, value) for value in run) for run in values):
            lacking = next(run for run in values if not any(same_level(level, value) for value in run))
            told.append(f"{name} is never {level!r} at some scale; expected one of {', '.join(map(str, lacking))}")
    return told


def same_level(wanted: Level, value: Level) -> bool:
    """Whether a level that was written means a value; numbers may differ by 1e-9 of their size."""
    if isinstance(wanted, str) or isinstance(value, str) or isinstance(wanted, bool) or isinstance(value, bool):
        return type(wanted) is type(value) and wanted == value
    return math.isclose(wanted, value, rel_tol=1e-9, abs_tol=0.0)
