"""`claimcheck import`: take over a study's parts that were made on another machine, after checking every hash.

The parts keep the provenance of the machine that made them. Verdicts and figures are not taken over: they are made
here, from the records, by the judge and the plots of this checkout.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from claimcheck.errors import ClaimcheckError
from claimcheck.results import records
from claimcheck.results.provenance import PACKAGES, part_facts
from claimcheck.results.state import PartFiles, Results

if TYPE_CHECKING:
    import pandas as pd


def import_parts(source: Path, results: Results) -> list[str]:
    """Copy the parts of one study from `source` into the results, if they are whole and of this design and code.

    Versions of packages may differ: that is what another machine is. Everything is checked before anything is written.

    Args:
        source: a study's folder of results that `claimcheck run` wrote elsewhere (with its `parts/`).

    Returns:
        What was taken over, and which versions differ, in words.

    Raises:
        ClaimcheckError: no parts there, or none that the study has; a file that is damaged, of another study or scale,
            or made from another design or code.
    """
    folder = Path(source) / "parts"
    found = sorted(folder.glob("*.records.parquet")) if folder.is_dir() else []
    if not found:
        raise ClaimcheckError(
            "no parts here",
            where=folder,
            expected="PART-DIGEST.records.parquet",
            hint="name a study's results, such as elsewhere/results/full/precision",
        )
    wanted = _wanted(results)
    taken: dict[str, tuple[PartFiles, Path, list[str]]] = {}
    refused: dict[str, ClaimcheckError] = {}
    for path in found:
        name = path.name.rpartition("-")[0]
        if name not in wanted:
            continue
        try:
            taken[name] = (wanted[name], path, _check(path, wanted[name], results))
        except ClaimcheckError as fault:  # an older version of the part, perhaps beside the right one
            refused[name] = fault
    if strangers := {name: fault for name, fault in refused.items() if name not in taken}:
        raise next(iter(strangers.values()))
    if not taken:
        raise ClaimcheckError(
            f"no part here is one of study {results.study.name} at scale {results.config.scale}",
            where=folder,
            found=", ".join(dict.fromkeys(path.name.rpartition("-")[0] or path.name for path in found)),
            expected=f"one of {', '.join(wanted)}" if wanted else None,
            hint="check the name of the study and --scale",
        )
    remarks = []
    for name, (files, path, differing) in taken.items():
        _take(path, files)
        remarks.append(f"part {name} taken over" + (f"; made with {', '.join(differing)}" if differing else ""))
    return remarks


def _wanted(results: Results) -> dict[str, PartFiles]:
    """The parts that can be taken over: also those that this machine could not run."""
    from claimcheck.results.state import Machine, locate

    return dict(locate(results.study, results.config, Machine(gpu=True, compiler=True)).parts)


def _check(path: Path, files: PartFiles, results: Results) -> list[str]:
    """Check one part's records, and its pilots' table where it tunes; the versions that differ, in words."""
    differing = _check_file(path, files, results)
    if files.tuning is not None:
        differing |= _check_file(_tuning_beside(path), files, results)
    return [f"{name} {version}" for name, version in sorted(differing.items())]


def _check_file(path: Path, files: PartFiles, results: Results) -> dict[str, str]:
    """Check a part's records or its pilots' table; which versions it was made with, where others are here."""
    _, raw = _read(path)
    facts = part_facts(raw, path, "make it again where it was made, with the version of claimcheck that is used here")
    for key, here in (("study", results.study.name), ("scale", results.config.scale), ("part", files.part.name)):
        if getattr(facts, key) != here:
            raise ClaimcheckError(f"is not of this {key}", where=path, found=getattr(facts, key), expected=here)
    named = path.name.rpartition("-")[2].partition(".")[0]
    if named not in (facts.digest, (facts.model_extra or {}).get("imported_as")):
        raise ClaimcheckError(
            "is of another digest than its name says", where=path, found=facts.digest, hint="copy it again"
        )
    differing = [
        name
        for name in {*facts.ingredients, *files.ingredients}
        if facts.ingredients.get(name) != files.ingredients.get(name)
    ]
    if strange := sorted(name for name in differing if name not in PACKAGES and not _versioned_data(name)):
        raise ClaimcheckError(
            f"was made from other code or another design ({', '.join(strange)})",
            where=path,
            hint="check out the commit of its provenance, run it again, or check --seeds",
        )
    return {name: facts.ingredients.get(name, "absent") for name in differing}


def _read(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    try:
        return records.read_sealed(path, "")
    except ClaimcheckError as fault:
        raise ClaimcheckError(fault.what, where=path, hint="copy it again") from fault


def _versioned_data(name: str) -> bool:
    """Whether an ingredient is a data set made by a package, whose version is what its digest says."""
    from claimcheck.data import downloads

    return name.startswith("data ") and name.removeprefix("data ") not in downloads.SOURCES


def _tuning_beside(path: Path) -> Path:
    return path.with_name(path.name.replace(".records.parquet", ".tuning.parquet"))


def _take(path: Path, files: PartFiles) -> None:
    """Write a part under the present digest, which its facts then name beside their own."""
    for source, target in ((_tuning_beside(path), files.tuning), (path, files.records)):
        if target is not None:
            frame, facts = _read(source)
            records.write_sealed(target, frame, {**facts, "imported_as": files.digest})
