"""What pydantic finds wrong with a file of the project, told in one line: file, key, what was found, what was expected."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from claimcheck.errors import ClaimcheckError, closest

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], raw: Any, path: object) -> M:
    """Validate `raw`, telling the first fault in one line with file, key, what was found and what was expected."""
    if not isinstance(raw, dict):
        raise ClaimcheckError("is not a mapping", where=path, found=type(raw).__name__, expected="keys and values")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise as_claimcheck_error(model, error, path, raw) from None


def _told(faults: list[Any], raw: Any, place: tuple[str, ...]) -> tuple[Any, str]:
    """The first fault and its place; of the kinds that a value may have, that which the value comes closest to."""
    placed = [(fault, _key_of(fault, raw, place)) for fault in faults]
    first = placed[0][1]
    return max((each for each in placed if f"{each[1]}.".startswith(f"{first}.")), key=lambda each: len(each[1]))


def _key_of(fault: Any, raw: Any, place: tuple[str, ...]) -> str:
    """The place of a fault as the file has it, without the kinds of a union that pydantic names in between."""
    pieces, here = list(place), raw
    for piece in place:
        here = here.get(piece) if isinstance(here, dict) else None
    for piece in fault["loc"]:
        if piece in (here if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()):
            here = here[piece]
            pieces.append(str(piece))
    if fault["type"] == "missing":
        pieces.append(str(fault["loc"][-1]))
    return ".".join(pieces) or "(whole file)"


def as_claimcheck_error(
    model: type[BaseModel], error: ValidationError, path: object, raw: Any, *place: str
) -> ClaimcheckError:
    """The first of the faults that pydantic found in what the file holds as `raw`, below `place`."""
    faults = error.errors(include_url=False)
    fault, key = _told(faults, raw, place)
    message, found, hint = fault["msg"].removeprefix("Value error, "), fault.get("input"), None
    if fault["type"] == "extra_forbidden":
        fields = _fields_at(model, fault["loc"][:-1])
        message, found, hint = "unknown key", str(fault["loc"][-1]), closest(str(fault["loc"][-1]), fields)
        message += f" (known: {', '.join(sorted(fields))})" if fields else ""
    elif fault["type"] == "missing":
        message, found = "this key is missing", None
    elif fault["type"] == "model_type" and (fields := _fields_at(model, fault["loc"])):
        message = f"must be a mapping, of the keys {', '.join(fields)}"
    shown = None if isinstance(found, BaseModel) or not fault["loc"] else found
    shown = repr(shown)[:120] if isinstance(shown, dict | list | tuple) else shown
    more = len(faults) - 1
    rest = f"({more} more fault{'s' if more > 1 else ''})" if more else None
    return ClaimcheckError(
        message, where=f"{path}: {key}", found=shown, hint=" ".join(filter(None, [hint, rest])) or None
    )


def _fields_at(model: type[BaseModel], location: tuple) -> list[str]:
    """Names of the fields allowed at `location` inside `model`."""
    current: Any = model
    for piece in location:
        if isinstance(current, type) and issubclass(current, BaseModel) and piece in current.model_fields:
            annotation = current.model_fields[piece].annotation
            current = next((kind for kind in _models_in(annotation)), None)
    return list(current.model_fields) if isinstance(current, type) and issubclass(current, BaseModel) else []


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for inner in getattr(annotation, "__args__", ()) for found in _models_in(inner)]
