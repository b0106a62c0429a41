"""What a result depends on, as named ingredients with hashes: the answer to "what would be made again, and why?".

A part's records depend on its design at the scale, on what its run function reaches in the study and in the engine, on
the tuning rule where it tunes, on the study's own files, on its data and on the versions that change numbers. Captions,
notes, regions and figures are judged, drawn and printed from records; they train nothing. Every function here is pure:
it reads sources, never results.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from claimcheck.data import downloads
from claimcheck.files import hash_of, sha256
from claimcheck.results import sources
from claimcheck.spec.models import Prediction, Study
from claimcheck.spec.parts import ScaledPart
from claimcheck.spec.reading import load_lecture

RUN_MODULES = ("spec.design", "streams", "engine.context")
"""Modules that every run passes through without its study naming them."""

TUNING_MODULES = ("running.tuning",)
JUDGE_MODULES = ("judging.judge",)
REGISTERED_MODULES = ("judging.rule", "judging.measures")
PLOT_MODULES = ("figures.drawing", "figures.style")
REPORT_MODULES = ("report.build", "report.slides")

TEXTS = {"study.yaml", "notes.md", "registrations.yaml"}
"""Files of a study's folder that no run reads; every other one that is not Python may be read by its code."""

LITTER = re.compile(
    r".*\.py[co]"  # compiled Python
    r"|.*~|#.*#|.*\.sw[a-p]"  # backups, Emacs's files of autosaving, Vim's of swapping
    r"|.*\.(bak|orig|rej)"  # backups, and what patches leave
    r"|~\$.*|~.*\.tmp"  # locks and copies of office programs
    r"|(?i:(eh)?thumbs\.db|desktop\.ini)|Icon\r"  # of Windows's and the Mac's folders
)
"""Names of files that programs leave beside others unasked: nothing of a study reads them."""

Ingredients = dict[str, str]


def digest(ingredients: Mapping[str, Any]) -> str:
    """One hash of all ingredients: 16 hex digits."""
    return hash_of(dict(ingredients))


def differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """What changed between two sets of ingredients, in words."""
    changed = [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    added = [f"{name} is new" for name in new if name not in old]
    removed = [f"{name} is no longer used" for name in old if name not in new]
    return changed + added + removed


def part_ingredients(study: Study, part: ScaledPart) -> Ingredients:
    """What the records of `part` depend on: name of the ingredient -> hash or version."""
    function = study.run_function(part.name)
    modules = [*RUN_MODULES, *(TUNING_MODULES if part.tune else ())]
    found = sources.reach(study.folder, "runs", [function], modules)
    design = design_of(part)
    data = sorted(set(downloads.NAMES) & ({*_strings(design)} | found.words))
    return {
        "design": hash_of(design),
        **{_in_words(name, function): value for name, value in sorted(found.hashes.items())},
        **{f"file {path.relative_to(study.folder)}": sha256(path) for path in _other_files(study.folder)},
        **{f"data {name}": downloads.digest_of(name) for name in data},
        **_versions(found.packages),
    }


def downloads_in(ingredients: Ingredients) -> list[str]:
    """The data sets among them that are downloaded."""
    return [name for name in downloads.SOURCES if f"data {name}" in ingredients]


def design_of(part: ScaledPart) -> dict[str, Any]:
    """What of a part decides its runs: equal for two ways of writing the same design."""
    return {
        "part": part.name,
        "cells": part.cells(),
        "static": [name for name, factor in part.factors.items() if factor.static],
        "seeds": part.seeds_on or part.seeds,
        **({"first seed": part.first_seed} if part.first_seed else {}),
        "settings": part.settings,
        "index": part.index,
        "tune": part.tune.model_dump(exclude=None if part.tune.only else {"only"}) if part.tune else None,
        "timing": part.timing,
    }


def records_ingredients(parts: Mapping[str, str]) -> Ingredients:
    """What a study's assembled records depend on: the digest of each part that is there, and how they are joined."""
    joined = sources.function_hash("results.records", "assemble", "write")
    return {"how parts are joined": joined, **{f"part {name}": value for name, value in parts.items()}}


def judge_ingredients(study: Study, scale: str, seeds: int | None, records: str) -> Ingredients:
    """What `study`'s verdicts depend on."""
    names = _statistics_of(study)
    found = _reach_if_there(study.folder, "statistics", names, JUDGE_MODULES)
    return {
        "records": records,
        "claims": hash_of([claim.model_dump(exclude=UNJUDGED) for claim in study.claims]),
        "sections": hash_of(sections_of(study)),
        "design": hash_of({name: design_of(part) for name, part in study.at(scale, seeds).items()}),
        **dict(sorted(found.hashes.items())),
        **_versions(found.packages),
    }


def sections_of(study: Study) -> dict[str, str]:
    """The lecture's section of each claim; empty for studies without a lecture."""
    if not (study.folder.parent / "lecture.yaml").is_file():
        return {}
    found = {claim.id: section.id for section in load_lecture(study.folder.parent).sections for claim in section.claims}
    return {claim.id: found[claim.id] for claim in study.claims if claim.id in found}


def plot_ingredients(study: Study, records: str) -> Ingredients:
    """What `study`'s figures depend on."""
    names = [figure.function for figure in study.figures]
    found = _reach_if_there(study.folder, "figures", names, PLOT_MODULES)
    return {
        "records": records,
        "figures": hash_of([{"id": figure.id, "part": figure.part} for figure in study.figures]),
        **dict(sorted(found.hashes.items())),
        **_versions(found.packages),
    }


def report_ingredients(studies_dir: Path, results: Mapping[str, Any], folders: Sequence[Path]) -> Ingredients:
    """What the report depends on: the results that it shows, every text of the studies, the templates and the code.

    Args:
        results: digests of verdicts and figures, by study.
        folders: of results and report, where people read them: its links lead from the one to the other.
    """
    modules, packages = sources.closure(REPORT_MODULES)
    texts = sorted(path for path in Path(studies_dir).glob("**/*") if path.suffix in (".yaml", ".md", ".bib"))
    templates = sorted(path for path in (sources.PACKAGE / "report").glob("**/*") if path.suffix not in (".py", ".pyc"))
    files = {
        str(path.relative_to(root)): sha256(path)
        for root, paths in ((Path(studies_dir), texts), (sources.PACKAGE, templates))
        for path in paths
        if path.is_file()
    }
    return {
        **{f"verdicts or figures of {name}": hash_of(value) for name, value in sorted(results.items())},
        "the folder of results or of reports": hash_of([folder.as_posix() for folder in folders]),
        **files,
        **{f"claimcheck.{name}": each for name, each in modules.items()},
        **_versions({*packages, "pypandoc_binary", "typst"}),
    }


UNJUDGED = {"predictions": {"__all__": {"turns"}}}
"""What of a claim stands in the report alone, and in no verdict."""

FIXED = {"id", "measure", "statistic", "arguments", "region", "kind", "share", "tolerance", "part", "on", "controls"}
"""What of a prediction decides its verdict; words, units and references do not."""


def registration_digest(study: Study) -> str:
    """Hash of what a registration fixes: the design at every scale, the predictions and the claims that they decide, the
    statistics and what they may read, the rule.
    """
    names = _statistics_of(study)
    found = _reach_if_there(study.folder, "statistics", names, REGISTERED_MODULES)
    designs = {
        scale: {name: {k: v for k, v in design_of(part).items() if k != "first seed"} for name, part in parts.items()}
        for scale, parts in ((scale, study.at(scale)) for scale in study.scales)
    }
    predictions = [{"claim": claim.id, **one.model_dump(include=FIXED)} for claim, one in study.predictions()]
    files = {str(path.relative_to(study.folder)): sha256(path) for path in _other_files(study.folder)}
    fixed = {"designs": designs, "predictions": predictions, "files": files}
    return digest({**fixed, **dict(sorted(found.hashes.items()))})


def prediction_hash(prediction: Prediction, parts: Mapping[str, ScaledPart]) -> str:
    """Hash of a prediction (measure, region, controls) and of the design that it is judged on; not of the rule."""
    wanted = {prediction.part: parts[prediction.part]} if prediction.part else parts
    return hash_of(
        {
            "prediction": prediction.model_dump(include=FIXED),
            "design": {name: design_of(part) for name, part in wanted.items()},
        }
    )


def _statistics_of(study: Study) -> list[str]:
    """The functions of statistics.py that predictions and their controls name."""
    predictions = [prediction for _, prediction in study.predictions()]
    controls = [each for one in predictions for each in (one.controls.never, one.controls.against) if each is not None]
    return [each.statistic for each in (*predictions, *controls) if each.statistic is not None]


def _reach_if_there(folder: Path, module: str, names: list[str], package_modules: tuple[str, ...]) -> sources.Reached:
    """As `sources.reach`; a study without the file (all its predictions are measures) reaches the package alone."""
    if (folder / f"{module}.py").is_file():
        return sources.reach(folder, module, names, package_modules)
    modules, packages = sources.closure(package_modules)
    return sources.Reached({f"claimcheck.{name}": each for name, each in modules.items()}, packages)


def _in_words(name: str, function: str) -> str:
    return f"{name} ({function} and what it reaches)" if name == "runs.py" else name


def files_of(folder: Path) -> list[Path]:
    """The files of a study: all of its folder, less hidden ones, compiled Python and what desktops and editors leave.

    Folders that are linked to count, each once: what a study reads through a link changes its results, too.
    """
    every, seen = [], set()
    for root, folders, names in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(place)
        every += [Path(root, name) for name in names if not LITTER.fullmatch(name)]
    return sorted(path for path in every if path.is_file() and not _hidden(path, folder))


def _other_files(folder: Path) -> list[Path]:
    """Files of the study's folder that its code may read: neither Python nor the texts that the report reads."""
    texts = {folder / name for name in TEXTS}
    return [path for path in files_of(folder) if path.suffix != ".py" and path not in texts]


def _hidden(path: Path, folder: Path) -> bool:
    return any(name.startswith(".") for name in path.relative_to(folder).parts)


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in _strings(entry)]
    if isinstance(value, list | tuple):
        return [text for entry in value for text in _strings(entry)]
    return [value] if isinstance(value, str) else []


def _versions(packages: Iterable[str]) -> dict[str, str]:
    return {name: downloads.version_of(name, metadata.version) for name in sorted(packages)}
