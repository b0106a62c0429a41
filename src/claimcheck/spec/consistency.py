"""What parts and scales of a study say fits together: levels left out, index columns, kinds of values. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.models import Study
from claimcheck.spec.parts import RESERVED, Part, Scalar, ScaledPart


def check(study: Study, scales: Mapping[str, Mapping[str, ScaledPart]]) -> None:
    """Everything that parts and scales name is there, and is of one kind at every scale.

    Args:
        scales: the parts as each scale runs them, by scale and name.

    Raises:
        ClaimcheckError: a level or an index column does not fit, or a scale gives a value of another kind.
    """
    for name in study.parts:
        names = bases(study, name)
        chain = [study.parts[base] for base in names]
        every = {scale: parts[name] for scale, parts in scales.items()}
        _check_index(every.values(), f"{study.yaml_path}: parts.{name}.index")
        levels = _levels([*chain, *(parts[base] for parts in scales.values() for base in names)])
        _check_levels(study.parts[name], levels, f"{study.yaml_path}: parts.{name}")
        for scale, scaled in every.items():
            _check_levels(scaled, levels, f"{study.yaml_path}: scales.{scale}.{name}")
            _check_kinds(study.scales[scale].get(name), chain, f"{study.yaml_path}: scales.{scale}.{name}")


def bases(study: Study, name: str | None) -> list[str]:
    """A part and those that it extends, the nearest first."""
    found: list[str] = []
    while name is not None and name in study.parts and name not in found:
        found.append(name)
        name = study.parts[name].extends
    return found


def _check_index(parts: Iterable[ScaledPart], where: str) -> None:
    """Index columns have names of their own: a run gives them beside what the design writes into the records."""
    for part in parts:
        taken = {**dict.fromkeys(RESERVED, "a column of every record"), **dict.fromkeys(part.factors, "a factor")}
        if part.tune:
            taken[part.tune.factor] = "the tuned factor"
        for number, name in enumerate(part.index):
            if name in taken or name in part.index[:number]:
                raise ClaimcheckError(
                    f"is {taken.get(name, 'given twice')}", where=where, found=name, expected="other columns, each once"
                )


def _levels(parts: Iterable[Part | ScaledPart]) -> dict[str, list[Scalar]]:
    """Every level that a factor has somewhere."""
    found: dict[str, list[Scalar]] = {}
    for part in parts:
        for name, factor in part.factors.items():
            found.setdefault(name, []).extend(factor.values)
        for cell in part.include:
            for name, value in cell.items():
                found.setdefault(name, []).append(value)
    return found


def _check_levels(part: Part | ScaledPart, levels: dict[str, list[Scalar]], where: str) -> None:
    """What is left out, and what alone is piloted, is there somewhere: else a misspelt level would leave out nothing."""
    only = getattr(part.tune, "only", {})
    named = [("exclude", cell) for cell in part.exclude] + [("tune.only", only)]
    for key, cell in named:
        for name, wanted in cell.items():
            for level in wanted if isinstance(wanted, list) else [wanted]:
                if not any(level == other and _kind(level) == _kind(other) for other in levels.get(name, [])):
                    known = list(dict.fromkeys(map(str, levels.get(name, []))))
                    raise ClaimcheckError(
                        "is no level of the factor, in the file or at a scale",
                        where=f"{where}.{key}.{name}",
                        found=repr(level),
                        expected=f"one of {', '.join(known)}",
                        hint=closest(str(level), known),
                    )


def _check_kinds(said: dict[str, Any] | None, chain: list[Part], where: str) -> None:
    """A scale gives settings and factors values of the kind that they have in the part: text for text."""
    for key, value in (said or {}).items():
        there = _said_of(key, chain)
        kinds = {_kind(each) for each in there}
        for each in value if isinstance(value, list) else [value]:
            if kinds and _kind(each) not in kinds and None not in (*kinds, _kind(each)):
                raise ClaimcheckError(
                    "is of another kind than in the part",
                    where=f"{where}.{key}",
                    found=repr(each),
                    expected=" or ".join(sorted(kind for kind in kinds if kind)),
                )


def _said_of(key: str, chain: list[Part]) -> list[Any]:
    """What the nearest part says of a setting, as a list, or of a factor's values; nothing of what is neither."""
    for part in chain:
        if key in part.settings:
            return part.settings[key] if isinstance(part.settings[key], list) else [part.settings[key]]
        if key in part.factors:
            return list(part.factors[key].values)
    return []


def _kind(value: object) -> str | None:
    """What a value is, in words; None for nothing, and for what holds others."""
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "text"
    return "a number" if isinstance(value, int | float) else None
