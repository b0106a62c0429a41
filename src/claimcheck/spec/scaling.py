"""What a scale makes of a part: everything that the part extends, the cells it keeps, and the scale's own settings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from claimcheck.spec.parts import BLOCK, DEFAULT_SEEDS, Design, Factor, Part, Scalar, ScaledPart, Tune


def scaled(
    name: str,
    parts: Mapping[str, Part],
    overrides: Mapping[str, Any],
    seeds: int | None = None,
    first_seed: int = 0,
) -> ScaledPart:
    """The part `name` with one scale's overrides.

    Args:
        parts: every part of the study.
        overrides: the scale's entry in study.yaml: settings of parts by name, and `seeds` for all.
        seeds: replaces the number of seeds of a part that is run at the scale at all.

    Raises:
        ValueError: the result contradicts itself, or parts extend each other in a circle. A ValidationError with the
            title "parts" or "scales" has its place from there on: the part's name, then its keys.
    """
    fields, own = _scaled_fields(name, parts, overrides, ())
    given = next(n for n in (own, _seeds_in(overrides), DEFAULT_SEEDS) if n is not None)
    each = _seeds_by_data(given, fields["factors"]) if isinstance(given, Mapping) else {}
    count = max(each.values()) if isinstance(given, Mapping) else given
    if seeds is not None and count > 0:
        count, each = seeds, {}
    if count > BLOCK:
        raise ValueError(f"{count} seeds are more than a block has: at most {BLOCK} will do")
    return ScaledPart(name=name, seeds=count, seeds_on=each, first_seed=first_seed, **fields)


def _data_of(factors: Mapping[str, Factor]) -> list[str]:
    return [str(value) for value in factors["dataset"].values] if "dataset" in factors else []


def _kept_seeds(inherited: int | Mapping[str, int] | None, factors: Mapping[str, Factor]) -> Any:
    """The extended part's numbers of seeds, less those of data sets that the extending part does without."""
    if not isinstance(inherited, Mapping):
        return inherited
    return {name: count for name, count in inherited.items() if name in _data_of(factors)}


def _seeds_by_data(given: Mapping[str, int], factors: Mapping[str, Factor]) -> dict[str, int]:
    """The number of seeds of each data set; every data set of the part, and no other, must have one."""
    known = _data_of(factors)
    if not known or set(given) != set(known):
        raise ValueError(f"seeds are given for {', '.join(given)}, but the data sets are {', '.join(known) or 'none'}")
    return {name: given[name] for name in known}


def _scaled_fields(
    name: str, parts: Mapping[str, Part], overrides: Mapping[str, Any], seen: tuple[str, ...]
) -> tuple[dict[str, Any], int | Mapping[str, int] | None]:
    """The fields of a `Design` with the scale's overrides, and the numbers of seeds if the part or the scale says any."""
    if name in seen:
        raise ValueError(f"parts extend each other in a circle: {' -> '.join([*seen, name])}")
    part = parts[name]
    if part.extends is None:
        fields, seeds = {key: getattr(part, key) for key in Design.model_fields}, part.seeds
    elif part.extends not in parts:
        raise ValueError(f"extends {part.extends!r}, but the parts are {', '.join(parts)}")
    else:
        base, inherited = _scaled_fields(part.extends, parts, overrides, (*seen, name))
        fields = _extended(name, base, part, parts)
        seeds = part.seeds if part.seeds is not None else _kept_seeds(inherited, fields["factors"])
    override = dict(overrides.get(name) or {})
    said = _seeds_in(override)
    for key in ("seeds", "units"):
        override.pop(key, None)
    return _overridden(name, fields, override), said if said is not None else seeds


def _seeds_in(entry: Mapping[str, Any]) -> int | Mapping[str, int] | None:
    return next((entry[key] for key in ("seeds", "units") if entry.get(key) is not None), None)


@contextmanager
def _placed(title: str, *place: str, beyond: int = 0) -> Iterator[None]:
    """Give a fault its place in the file: `place`, then its own without the first `beyond` pieces."""
    try:
        yield
    except ValidationError as error:
        faults = [
            {key: each[key] for key in ("type", "input", "ctx") if key in each}
            | {"loc": (*place, *each["loc"][beyond:])}
            for each in error.errors(include_url=False)
        ]
        raise ValidationError.from_exception_data(title, faults) from None


def _extended(name: str, base: dict[str, Any], part: Part, parts: Mapping[str, Part]) -> dict[str, Any]:
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
        with _placed("parts", name, "tune"):
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
    if {"seeds", "units"} <= set(said):
        raise ValueError("tune.seeds and tune.units are two names of one number: give one of them")
    renamed = {"seeds" if key == "units" else key: value for key, value in said.items()}
    return Tune.model_validate({**(tune.model_dump() if tune else {}), **renamed})


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


def _overridden(name: str, fields: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """The fields with one scale's entry for the part: values of factors, settings, cells, keys of the tuning."""
    factors, settings, tune = dict(fields["factors"]), dict(fields["settings"]), fields["tune"]
    changed = {key: override.pop(key) for key in ("exclude", "include") if key in override}
    if (said := override.pop("tune", None)) is not None and tune is not None:
        with _placed("scales", name, "tune"):
            tune = _retuned(tune, said)
    for key, value in override.items():
        if key in factors:
            with _placed("scales", name, key, beyond=1):
                factors[key] = Factor(values=value, static=factors[key].static)
        else:
            settings[key] = value
    return {**fields, **changed, "factors": factors, "settings": settings, "tune": tune}


def multiplied(part: ScaledPart, times: Mapping[str, float]) -> ScaledPart:
    """The part with its settings of these names multiplied, those of its pilots too; itself where it has none.

    A name may stand in a mapping among the settings. Whole numbers stay whole (and 1 is the least that one becomes), and
    all numbers below a name are multiplied, also in lists and mappings; nothing else is. Factors keep their levels, since predictions name these.
    """
    settings = _multiplied(part.settings, times)
    tune = part.tune and part.tune.model_copy(update={"settings": _multiplied(part.tune.settings, times)})
    return part if settings == part.settings else part.model_copy(update={"settings": settings, "tune": tune})


def settings_in(parts: Iterable[ScaledPart]) -> set[str]:
    """Names of settings that are, or hold, numbers, and so can be multiplied."""
    return {name for part in parts for name in _names(part.settings)}


def _names(value: Any) -> Iterator[str]:
    """Keys of mappings whose multiple is another value."""
    for key, entry in value.items() if isinstance(value, Mapping) else ():
        if _multiplied(entry, {}, 2.0) != entry:
            yield str(key)
        yield from _names(entry)


def _multiplied(value: Any, times: Mapping[str, float], by: float = 1.0) -> Any:
    if isinstance(value, Mapping):
        return {key: _multiplied(entry, times, times.get(key, by)) for key, entry in value.items()}
    if isinstance(value, list):
        return [_multiplied(entry, times, by) for entry in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or by == 1.0:
        return value
    if isinstance(value, float):
        return value * by
    return max(round(value * by), 1) if value > 0 else round(value * by)
