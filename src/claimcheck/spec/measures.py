"""What a prediction measures, where it can be said in a line: five forms, each one number a seed.

This says what may be written and holds it against a part; `claimcheck.judging.measures` computes it.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from claimcheck.errors import closest
from claimcheck.spec.cells import among, in_cell, in_words, is_word, resolved, several
from claimcheck.spec.parts import Cell, Design, Model, Scalar

FORMS = ("value", "difference", "ratio", "slope", "argbest")
NEEDS = {"difference": "less", "ratio": "to", "slope": "over", "argbest": "over"}
BASES = {"anyOf": [{"enum": [True, 2, 10]}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def _base(value: Any) -> Any:
    names = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if value is True or value in (2, 10) or names:
        return value
    raise ValueError("must be true (natural), 2 or 10; of a slope also a list of what is logged")


def _place(value: Any) -> Any:
    if value in ("last", "first") or (isinstance(value, dict) and value):
        return value
    raise ValueError("must be last, first, or an index with its value, such as {step: 100}")


def _number(value: float) -> float:
    if math.isnan(value):
        raise ValueError("must be a number; .inf is one")
    return value


class Measure(Model):
    """One of five forms: what is measured, in which cells, and what is done to the column before and after.

    In this order: the cell, `at`, `if_diverged`, `at_least` and `at_most`, `log`, `above` or `below`, `mean_over`,
    `max_over`, `min_over`, the form, `times`, `plus`, `absolute`.
    """

    value: str | None = Field(None, description="the column whose value is taken")
    difference: str | None = Field(None, description="the column of which `of` less `less` is taken")
    ratio: str | None = Field(None, description="the column of which `of` divided by `to` is taken")
    slope: str | None = Field(None, description="the column whose least-squares slope over `over` is taken")
    argbest: str | None = Field(None, description="the column; the level of `over` at which it is best is taken")
    of: Cell = Field(
        {},
        description="the cell: a factor, the tuned factor or an index, each with a level or a list of levels; "
        "`lowest`, `highest` and `all` stand for levels that the rest of the cell has; of a list, levels that a scale "
        "does not run are left out",
    )
    less: Cell | None = Field(None, description="difference: the cell subtracted; give only what differs from `of`")
    to: Cell | None = Field(None, description="ratio: the cell divided by; give only what differs from `of`")
    over: str | None = Field(None, description="slope and argbest: a factor or an index with numbers for levels")
    leave_out: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        (0, 0),
        description="slope: how many of the first and of the last levels of `over` do not count, such as [10, 5]; at "
        "most a third and a sixth of them",
    )
    at: Annotated[Literal["last", "first"] | dict[str, Scalar], BeforeValidator(_place)] = Field(
        "last", description="which rows of an index that is named nowhere else: last, first, or {index: value}"
    )
    best: Literal["lowest", "highest"] = Field("lowest", description="argbest: what counts as best")
    mean_over: list[str] = Field([], description="factors or indices whose levels are averaged")
    max_over: list[str] = Field([], description="factors or indices of whose levels the highest value is taken")
    min_over: list[str] = Field([], description="factors or indices of whose levels the lowest value is taken")
    if_diverged: Annotated[float, Field(allow_inf_nan=True), AfterValidator(_number)] | None = Field(
        None, description="what the column is worth where the run diverged or it is no number; may be .inf"
    )
    at_least: float | None = Field(None, description="lower values of the column count as this")
    at_most: float | None = Field(None, description="higher values of the column count as this")
    log: Annotated[bool | int | list[str] | None, BeforeValidator(_base), WithJsonSchema(BASES)] = Field(
        None,
        description="logarithm of the column: true (natural), 2 or 10; of a ratio, that of the ratio; of a slope also "
        "a list of what is logged: the column, `over`, or both (natural)",
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
    def cell(self) -> Cell:
        """The first cell, with the place in an index that `at` names."""
        return {**self.of, **(self.at if isinstance(self.at, dict) else {})}

    @property
    def second(self) -> Cell | None:
        """What the cell compared with has otherwise than `of`; None where the form compares none."""
        return self.less if self.form == "difference" else self.to

    @property
    def kept(self) -> list[str]:
        """Factors and indices that keep their levels until they are averaged, fitted or searched."""
        over = [self.over] if self.over else []
        return [*self.mean_over, *self.max_over, *self.min_over, *over]

    def names(self) -> set[str]:
        """Every factor and index that it names."""
        return {*self.cell, *(self.second or {}), *self.kept}

    @model_validator(mode="before")
    @classmethod
    def _one_form(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(f"must be a mapping with one of {', '.join(FORMS)}")
        given = [form for form in FORMS if raw.get(form) is not None]
        if len(given) > 1:
            raise ValueError(f"give one form, not {' and '.join(given)}")
        if not given and not set(raw) - set(cls.model_fields):
            raise ValueError(f"give one of {', '.join(FORMS)}, with the column that is measured")
        return raw

    @model_validator(mode="after")
    def _keys_agree(self) -> Measure:
        form, given = self.form, self.model_fields_set
        for key in sorted({"less", "to", "over", "leave_out"} & given):
            if key != NEEDS.get(form) and (key, form) != ("leave_out", "slope"):
                raise ValueError(f"{key} does not belong to the form {form}")
        if form in NEEDS and getattr(self, NEEDS[form]) is None:
            raise ValueError(f"the form {form} needs {NEEDS[form]}")
        if twice := {name for name in self.kept if self.kept.count(name) > 1}:
            raise ValueError(f"{sorted(twice)[0]} is given more than once under over, mean_over, max_over and min_over")
        if self.above is not None and self.below is not None:
            raise ValueError("give above or below, not both")
        if "best" in given and form != "argbest":
            raise ValueError("best belongs to argbest")
        if isinstance(self.log, list) and set(self.log) - {self.slope, self.over}:
            raise ValueError("a list under log belongs to a slope and names its column, over, or both")
        return self


def faults(measure: Measure, *parts: Design) -> list[str]:
    """What does not fit between a measure and its part, in words; empty where all fits.

    Args:
        parts: the part as each scale has it. A level must be there at one scale, and one scale must leave one number.
    """
    told = [fault for part in parts for fault in _name_faults(measure, part)]
    for name, wanted in [*measure.cell.items(), *(measure.second or {}).items()]:
        values = [cell[name] for part in parts if name in part.factors for cell in part.cells()]
        told += [
            f"{name} does not have the level {level}, only {', '.join(dict.fromkeys(map(str, values)))}"
            for level in (wanted if isinstance(wanted, list) else [wanted])
            if values and not is_word(level, values) and not among(level, values)
        ]
    each = [] if told else [_cell_faults(measure, part) for part in parts]
    return list(dict.fromkeys(told)) or (each[-1] if each and all(each) else [])


def _name_faults(measure: Measure, part: Design) -> list[str]:
    known = [*part.factors, *([part.tune.factor] if part.tune else []), *part.index]
    return [
        "; ".join(
            filter(None, [f"{name} is no factor or index of the part, which has {', '.join(known) or 'none'}", near])
        )
        for name in sorted(measure.names() - set(known))
        for near in [closest(name, known)]
    ]


def _cell_faults(measure: Measure, part: Design) -> list[str]:
    """A cell must have runs, one for each combination of the levels that are averaged, fitted or searched."""
    told, cells = [], part.cells()
    first = resolved(measure.cell, cells)
    for levels in [first] if measure.second is None else [first, resolved({**first, **measure.second}, cells)]:
        alike: dict[tuple, list[dict[str, Scalar]]] = {}
        for cell in cells:
            if in_cell(cell, levels):
                alike.setdefault(tuple(cell.get(name) for name in measure.kept), []).append(cell)
        if not alike:
            told.append(f"no run is in the cell {in_words(levels)}")
        for group in [group for group in alike.values() if len(group) > 1][:1]:
            found = {name: list(dict.fromkeys(cell[name] for cell in group)) for name in part.factors}
            told.append(several({name: ours for name, ours in found.items() if len(ours) > 1}))
    return told
