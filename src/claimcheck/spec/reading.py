"""Reading study.yaml, lecture.yaml and config.yaml, each fault told in one line before anything runs.

Names of functions in `study.py` are checked on its syntax tree, so that a misspelling costs no training.
Never imports torch, pandas or a study's code.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import read_yaml
from claimcheck.spec.models import Config, Lecture, Part, Study, run_function, unique

M = TypeVar("M", bound=BaseModel)


def _validated(model: type[M], raw: Any, path: object) -> M:
    """Validate `raw`, telling the first fault in one line with file, key, what was found and what was expected."""
    if not isinstance(raw, dict):
        raise ClaimcheckError("is not a mapping", where=path, found=type(raw).__name__, expected="keys and values")
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        first, *others = error.errors(include_url=False)
        raise _as_claimcheck_error(model, first, len(others), path) from None


def _as_claimcheck_error(model: type[BaseModel], fault: Any, more: int, path: object) -> ClaimcheckError:
    location = [piece for piece in fault["loc"] if not (isinstance(piece, str) and piece.startswith(("list[", "lit")))]
    key = ".".join(str(piece) for piece in location) or "(whole file)"
    message, found, hint = fault["msg"].removeprefix("Value error, "), fault.get("input"), None
    if fault["type"] == "extra_forbidden":
        fields = _fields_at(model, fault["loc"][:-1])
        message, found, hint = "unknown key", str(fault["loc"][-1]), closest(str(fault["loc"][-1]), fields)
        message += f" (known: {', '.join(sorted(fields))})" if fields else ""
    elif fault["type"] == "missing":
        message, found = "this key is missing", None
    shown = None if isinstance(found, BaseModel) else found
    shown = repr(shown)[:120] if isinstance(shown, dict | list | tuple) else shown
    rest = f"({more} more faults)" if more else None
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


def load_lecture(studies_dir: Path) -> Lecture:
    """Read lecture.yaml."""
    path = Path(studies_dir) / "lecture.yaml"
    return _validated(Lecture, read_yaml(path), path)


def study_names(studies_dir: Path) -> list[str]:
    """Names of the folders that hold a study, sorted."""
    folder = Path(studies_dir)
    if not folder.is_dir():
        raise ClaimcheckError("no such folder of studies", where=folder, hint="run in the project's folder")
    return sorted(path.parent.name for path in folder.glob("*/study.yaml"))


def load_study(studies_dir: Path, name: str) -> Study:
    """Read and check one study: its yaml, its scales, its claims against the lecture, its functions in study.py."""
    folder = Path(studies_dir) / name
    path = folder / "study.yaml"
    if not path.is_file():
        known = study_names(studies_dir)
        raise ClaimcheckError(
            "no such study", where=folder, found=name, expected=f"one of {', '.join(known)}", hint=closest(name, known)
        )
    raw = read_yaml(path)
    if isinstance(raw, dict) and {"name", "folder"} & set(raw):
        raise ClaimcheckError("unknown key", where=path, found=str(({"name", "folder"} & set(raw)).pop()))
    study = _validated(Study, raw, path).model_copy(update={"name": name, "folder": folder})
    _check_parts(study)
    _check_claims(study, load_lecture(studies_dir))
    _check_ids(study)
    _check_functions(study)
    return study


def _check_parts(study: Study) -> None:
    path = study.yaml_path
    try:
        parts = study.all_parts()
    except ValidationError as error:
        raise _as_claimcheck_error(Part, error.errors(include_url=False)[0], 0, path) from None
    if not parts or (study.factors is not None and study.parts):
        raise ClaimcheckError("give either factors or parts", where=path, expected="exactly one of the two")
    for scale, override in study.scales.items():
        if study.factors is None:
            for key in set(override) - set(parts) - {"seeds"}:
                raise ClaimcheckError(
                    "unknown part",
                    where=f"{path}: scales.{scale}",
                    found=key,
                    expected=f"seeds, or one of {', '.join(parts)}",
                    hint=closest(key, parts),
                )
            overrides = {name: override.get(name) or {} for name in parts}
        else:
            overrides = {"main": override}
        for name, values in overrides.items():
            _check_override(study, scale, name, parts[name], values)
        try:
            study.at(scale)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _as_claimcheck_error(Part, first, 0, f"{path}: scales.{scale}") from None


def _check_override(study: Study, scale: str, name: str, part: Part, values: Any) -> None:
    where = f"{study.yaml_path}: scales.{scale}" + (f".{name}" if study.factors is None else "")
    if not isinstance(values, dict):
        raise ClaimcheckError("is not a mapping", where=where, found=str(values))
    seeds = values.get("seeds")
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 0):
        raise ClaimcheckError("is not a number of seeds", where=f"{where}.seeds", found=seeds, expected="0, 1, 2, …")
    everywhere = set(part.settings)
    if study.factors is not None:
        everywhere |= set.intersection(*(set(entries) for entries in study.scales.values()))
    known = set(part.factors) | everywhere | {"seeds", "tune", "exclude", "include"}
    for key in values:
        if key not in known:
            raise ClaimcheckError(
                "unknown factor or setting",
                where=where,
                found=str(key),
                expected=f"one of {', '.join(sorted(known))}",
                hint=closest(str(key), known),
            )
    for key in set(values) & set(part.factors):
        if not isinstance(values[key], list):
            raise ClaimcheckError("a factor's values are a list", where=f"{where}.{key}", found=values[key])


def _check_ids(study: Study) -> None:
    try:
        unique([claim.id for claim in study.claims], "claim")
        unique([prediction.id for _, prediction in study.predictions()], "prediction")
        unique([figure.id for figure in study.figures], "figure")
    except ValueError as error:
        raise ClaimcheckError(str(error), where=study.yaml_path) from None
    parts = study.all_parts()
    for thing in [*(prediction for _, prediction in study.predictions()), *study.figures]:
        if thing.part is not None and thing.part not in parts:
            raise ClaimcheckError(
                "unknown part",
                where=f"{study.yaml_path}: {thing.id}.part",
                found=thing.part,
                expected=f"one of {', '.join(parts)}",
                hint=closest(thing.part, parts),
            )
    claims = [claim.id for claim in study.claims]
    for figure in study.figures:
        for claim in set(figure.claims) - set(claims):
            raise ClaimcheckError(
                "unknown claim",
                where=f"{study.yaml_path}: figures.{figure.id}.claims",
                found=claim,
                hint=closest(claim, claims),
            )


def _check_claims(study: Study, lecture: Lecture) -> None:
    known = lecture.claims()
    for section in study.sections:
        ids = [entry.id for entry in lecture.sections]
        if section not in ids:
            raise ClaimcheckError(
                "unknown section of the lecture",
                where=f"{study.yaml_path}: sections",
                found=section,
                expected="an id of lecture.yaml",
                hint=closest(section, ids),
            )
    mine = [claim.id for claim in known.values() if claim.study == study.name]
    for claim in study.claims:
        if claim.says is None and claim.id not in mine:
            raise ClaimcheckError(
                f"lecture.yaml gives no such claim to study {study.name}",
                where=f"{study.yaml_path}: claims",
                found=claim.id,
                expected=f"one of {', '.join(mine)}" if mine else "a claim with its own `says`",
                hint=closest(claim.id, mine) or "a claim beyond the lecture needs `says`",
            )


def _check_functions(study: Study) -> None:
    if not study.code_path.is_file():
        raise ClaimcheckError("no such file", where=study.code_path, hint="a study is study.yaml and study.py")
    try:
        tree = ast.parse(study.code_path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ClaimcheckError(f"is not valid Python ({error})", where=study.code_path) from None
    defined = _top_level_names(tree)
    wanted = {prediction.statistic: f"statistic of {prediction.id}" for _, prediction in study.predictions()}
    wanted |= {figure.function: f"figure {figure.id}" for figure in study.figures}
    wanted |= {run_function(study, part): f"part {part}" for part in study.all_parts()}
    for name, purpose in wanted.items():
        if name not in defined:
            raise ClaimcheckError(
                f"{study.code_path} does not define this function ({purpose})",
                where=study.yaml_path,
                found=name,
                expected="a function at the top level of study.py",
                hint=closest(name, defined),
            )


def _top_level_names(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def load_config(path: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """Read workflow/config.yaml and lay `overrides` (command line) over it; the studies named must exist."""
    raw = read_yaml(path) if path is not None else {}
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ClaimcheckError("is not a mapping", where=path, found=type(raw).__name__, expected="keys and values")
    config = _validated(Config, {**raw, **(overrides or {})}, path or "configuration")
    known = study_names(config.studies_dir)
    for name in config.studies if config.studies != "all" else []:
        if name not in known:
            raise ClaimcheckError(
                "no such study",
                where=f"{path or 'configuration'}: studies",
                found=name,
                expected=f"one of {', '.join(known)}",
                hint=closest(name, known),
            )
    return config
