"""Reading study.yaml, lecture.yaml and config.yaml, each fault told in one line before anything runs.

Names of functions in a study's modules are checked on the syntax tree, so that a misspelling costs no training.
Never imports torch, pandas or a study's code.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import read_text, read_yaml
from claimcheck.spec import consistency, questions, references
from claimcheck.spec.config import Config
from claimcheck.spec.models import Lecture, Registration, Study, StudyFile, unique
from claimcheck.spec.modules import defined_names
from claimcheck.spec.names import check_name
from claimcheck.spec.parts import BLOCK, Cell, Identifier, Model, Part, Scalar, ScaledPart
from claimcheck.spec.scaling import scaled
from claimcheck.spec.validation import as_claimcheck_error, validated
from claimcheck.streams import FIRST_BLOCK, PILOT_SEED, POWER_SEED


def load_lecture(studies_dir: Path) -> Lecture:
    """Read lecture.yaml."""
    path = Path(studies_dir) / "lecture.yaml"
    return _lecture(path, path.read_bytes() if path.is_file() else b"")


@lru_cache(maxsize=4)
def _lecture(path: Path, content: bytes) -> Lecture:  # every study asks it: read once for each content
    return validated(Lecture, read_yaml(path), path)


def study_names(studies_dir: Path) -> list[str]:
    """Names of the folders that hold a study, sorted; hidden ones, and those that begin with `_`, do not count."""
    folder = Path(studies_dir)
    if not folder.is_dir():
        raise ClaimcheckError("no such folder of studies", where=folder, hint="run in the project's folder")
    try:
        os.listdir(folder)  # glob takes a folder that may not be read for an empty one
    except OSError as error:
        raise ClaimcheckError(f"cannot be read ({error.strerror or error})", where=folder) from error
    names = sorted(path.parent.name for path in folder.glob("*/study.yaml") if path.parent.name[0] not in "._")
    if not names:
        hint = "make one: claimcheck new NAME" if (folder / "lecture.yaml").is_file() else "name the project's: studies"
        expected = "lecture.yaml and folders with a study.yaml"
        raise ClaimcheckError("holds no study", where=folder, expected=expected, hint=hint)
    return names


def check_studies(names: Iterable[str], studies_dir: Path, where: str) -> None:
    """Each name is that of a study.

    Args:
        where: option or key that names them, for the error.
    """
    known = study_names(studies_dir)
    for name in names:
        if name not in known:
            expected = f"one of {', '.join(known)}"
            raise ClaimcheckError(
                "no such study", where=where, found=name, expected=expected, hint=closest(name, known)
            )


def load_study(studies_dir: Path, name: str) -> Study:
    """Read and check one study: its yaml, its scales, its claims against the lecture, the functions of its modules."""
    folder = Path(studies_dir) / name
    path = folder / "study.yaml"
    check_studies([name], studies_dir, str(folder))
    check_name(name, folder)
    said = validated(StudyFile, read_yaml(path), path)
    fields = {key: getattr(said, key) for key in StudyFile.model_fields}
    notes, registrations = folder / "notes.md", folder / "registrations.yaml"
    study = Study.model_construct(
        **fields,
        notes=read_text(notes) if notes.is_file() else "",
        registrations=_registrations(registrations) if registrations.is_file() else [],
        name=name,
        folder=folder,
    )
    scales = _checked_scales(study)
    consistency.check(study, scales)
    references.check({path: said.model_dump(), notes: study.notes}, Path(studies_dir))
    lecture = load_lecture(studies_dir)
    _check_claims(study, lecture)
    _check_headline(study, lecture.headline, Path(studies_dir) / "lecture.yaml")
    _check_ids(study)
    questions.check(study, list(scales.values()))
    _check_functions(study)
    return study


def _registrations(path: Path) -> list[Registration]:
    """The registrations in their order, each with a block of seeds of its own."""
    raw = read_yaml(path)
    if not isinstance(raw, list) or not raw:
        raise ClaimcheckError("is not a list of registrations", where=path)
    found = [validated(Registration, entry, f"{path}: {number}") for number, entry in enumerate(raw, 1)]
    used = {PILOT_SEED: "pilots", POWER_SEED: "pilots for power"}
    for number, entry in enumerate(found, 1):
        where = f"{path}: {number}"
        if entry.number != number:
            raise ClaimcheckError(
                "registrations are numbered 1, 2, …", where=where, found=entry.number, expected=number
            )
        for first, whose in used.items():
            if abs(entry.first_seed - first) < BLOCK:
                raise ClaimcheckError(
                    "a block of seeds overlaps another",
                    where=f"{where}.first_seed",
                    found=f"{entry.first_seed}, beside {first} of {whose}",
                    expected=f"{BLOCK} seeds that nothing has used, from {FIRST_BLOCK} on",
                )
        used[entry.first_seed] = f"registration {number}"
        if number < len(found) and entry.superseded is None:
            raise ClaimcheckError("say what was wrong with it, since another follows", where=f"{where}.superseded")
    return found


def _checked_scales(study: Study) -> dict[str, dict[str, ScaledPart]]:
    """The parts as each scale runs them, by scale and name, but for their seeds.

    Raises:
        ClaimcheckError: a scale names what is not there, or makes a part that contradicts itself.
    """
    path, parts, found = study.yaml_path, study.parts, {}
    for scale, override in study.scales.items():
        for key in set(override) - set(parts) - {"seeds", "units"}:
            raise ClaimcheckError(
                "unknown part",
                where=f"{path}: scales.{scale}",
                found=key,
                expected=f"seeds, or one of {', '.join(parts)}",
                hint=closest(key, parts),
            )
        _check_seeds(override, f"{path}: scales.{scale}")
        for name in parts:
            _check_override(study, name, override.get(name), f"{path}: scales.{scale}.{name}")
        made = {}
        for name in sorted(parts, key=lambda name: len(consistency.bases(study, name))):
            try:
                made[name] = scaled(name, parts, override)
            except ValidationError as error:
                raise _misfit(study, scale, name, error) from None
            except ValueError as error:
                raise ClaimcheckError(str(error), where=f"{path}: parts.{name}") from None
            _check_pooling(study, made[name], f"{path}: scales.{scale}.{name}")
        found[scale] = {name: made[name] for name in parts}
    return found


def _misfit(study: Study, scale: str, name: str, error: ValidationError) -> ClaimcheckError:
    """A part that a scale makes faulty, or that is faulty by itself, told of where that is said."""
    place = {"parts": ("parts",), "scales": ("scales", scale)}.get(error.title, ("scales", scale, name))
    if error.title not in ("parts", "scales"):
        try:
            scaled(name, study.parts, {})
        except ValueError:
            place = ("parts", name)
    return as_claimcheck_error(Part, error, study.yaml_path, read_yaml(study.yaml_path), *place)


def _check_seeds(values: dict[str, Any], where: str, by_data: bool = False) -> None:
    """Numbers of seeds: one, or for a part (`by_data`) one for each data set."""
    _check_seeds_once(values, where)
    for key in ("seeds", "units"):
        said = values.get(key)
        numbers = said if by_data and isinstance(said, dict) else {} if said is None else {"": said}
        for name, seeds in numbers.items():
            if type(seeds) is not int or not bool(name) <= seeds <= BLOCK:
                raise ClaimcheckError(
                    "is not a number of seeds",
                    where=f"{where}.{key}{name and '.'}{name}",
                    found=seeds,
                    expected=f"{'' if name else '0, '}1, 2, … at most {BLOCK}",
                )


def _check_seeds_once(values: dict[str, Any], where: str) -> None:
    if {"seeds", "units"} <= set(values):
        said = f"seeds {values['seeds']} and units {values['units']}"
        raise ClaimcheckError("two names of one number are given", where=where, found=said, expected="one of them")


def _check_pooling(study: Study, part: ScaledPart, where: str) -> None:
    """Where data sets differ in their seeds, no prediction of theirs has one number a seed over all of them."""
    for _, prediction in study.predictions() if part.seeds_on else ():
        if prediction.part in (None, part.name) and not prediction.on:
            raise ClaimcheckError(
                "data sets differ in their seeds, and a prediction pools them",
                where=f"{where}.seeds",
                found=prediction.id,
                expected="predictions that say `on: [...]`, or one number of seeds",
            )


def _check_override(study: Study, name: str, values: Any, where: str) -> None:
    """One scale's entry for a part names factors and settings of the part, and gives each the form that it has there."""
    if values is None:
        return
    if not isinstance(values, dict):
        raise ClaimcheckError("is not a mapping", where=where, found=str(values), expected="keys and values")
    _check_seeds(values, where, by_data=True)
    factors, settings = _names_in(study, name)
    known = factors | settings | {"seeds", "units", "tune", "exclude", "include"}
    for key in values:
        if key not in known:
            raise ClaimcheckError(
                "unknown factor or setting",
                where=where,
                found=str(key),
                expected=f"one of {', '.join(sorted(known))}",
                hint=closest(str(key), known),
            )
    for key in values:
        if key in factors and not isinstance(values[key], list):
            raise ClaimcheckError("a factor's values are a list", where=f"{where}.{key}", found=values[key])
    validated(_Cells, {key: values[key] for key in _Cells.model_fields if key in values}, where)
    if "tune" in values:
        _check_retuning(values["tune"], _tunes(study, name), f"{where}.tune")


class _Cells(Model):
    """What a scale may say of a part's cells."""

    exclude: list[Cell] = Field([])
    include: list[dict[Identifier, Scalar]] = Field([])


def _check_retuning(said: Any, tunes: bool, where: str) -> None:
    """Keys of a tuning that a scale changes: there is one, and the keys are those of `Tune`."""
    if not tunes:
        raise ClaimcheckError("this part tunes nothing", where=where, found=str(said), hint="take this key out")
    if not isinstance(said, dict):
        raise ClaimcheckError("is not a mapping", where=where, found=str(said), expected="keys of the part's `tune`")
    _check_seeds_once(said, where)


def _tunes(study: Study, name: str) -> bool:
    """Whether a part tunes: what the nearest one says of it that it extends, or it itself."""
    said = (
        study.parts[each] for each in consistency.bases(study, name) if "tune" in study.parts[each].model_fields_set
    )
    part = next(said, None)
    return part is not None and part.tune is not None


def _names_in(study: Study, name: str) -> tuple[set[str], set[str]]:
    """Factors and settings of a part and of those that it extends."""
    chain = [study.parts[each] for each in consistency.bases(study, name)]
    return {key for part in chain for key in part.factors}, {key for part in chain for key in part.settings}


def _check_ids(study: Study) -> None:
    try:
        unique([claim.id for claim in study.claims], "claim")
        unique([prediction.id for _, prediction in study.predictions()], "prediction")
        unique([figure.id for figure in study.figures], "figure")
    except ValueError as error:
        raise ClaimcheckError(str(error), where=study.yaml_path) from None
    parts = study.parts
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


def _check_headline(study: Study, headline: str | None, path: Path) -> None:
    """The figure that the lecture's file names for the first page is one of the study's, where it is of this study."""
    name, _, figure = (headline or "").partition("/")
    ids = [each.id for each in study.figures]
    if name == study.name and figure not in ids:
        expected = f"one of {', '.join(ids)}" if ids else "a figure of a study that has some"
        hint = closest(figure, ids)
        raise ClaimcheckError("unknown figure", where=f"{path}: headline", found=headline, expected=expected, hint=hint)


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
    """Every part, statistic and figure has its function; found on the syntax tree, so that nothing is executed."""
    wanted = [("runs", study.run_function(part), f"part {part}") for part in study.parts]
    wanted += [
        ("statistics", prediction.statistic, f"statistic of {prediction.id}")
        for _, prediction in study.predictions()
        if prediction.statistic is not None
    ]
    wanted += [
        ("statistics", control.statistic, f"control of {prediction.id}")
        for _, prediction in study.predictions()
        for control in (prediction.controls.never, prediction.controls.against)
        if control is not None and control.statistic is not None
    ]
    wanted += [("figures", figure.function, f"figure {figure.id}") for figure in study.figures]
    for module, name, purpose in wanted:
        defined = defined_names(study.folder, module)
        if name not in defined:
            raise ClaimcheckError(
                f"defines no function {name} (for {purpose} of study.yaml)",
                where=study.folder / f"{module}.py",
                hint=closest(name, defined),
            )


def load_config(path: Path | None, overrides: dict[str, Any] | None = None) -> Config:
    """Read workflow/config.yaml and lay `overrides` (command line) over it; the studies named must exist.

    A fault is told of the file, or of the command line where that is what says something else.
    """
    raw = read_yaml(path) if path is not None else {}
    raw = {} if raw is None else raw
    if not isinstance(raw, dict):
        raise ClaimcheckError("is not a mapping", where=path, found=type(raw).__name__, expected="keys and values")
    file = path or "configuration"
    said = {key: value for key, value in (overrides or {}).items() if key not in raw or raw[key] != value}
    validated(Config, {key: value for key, value in raw.items() if key not in said}, file)
    option = "--config" if path is not None else file
    config = validated(Config, {**raw, **said}, option)
    if config.studies != "all":
        check_studies(config.studies, config.studies_dir, f"{option if 'studies' in said else file}: studies")
    return config
