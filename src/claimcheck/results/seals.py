"""Results are what the pipeline wrote: every JSON file of a scale has its shape and its checksum, every figure its own.

JSON files carry a `checksum` (provenance, verdicts, the null run, the calibration, the list of figures) and are refused
when a single value differs; records and figures are refused when they are not the files of which provenance and list
hold the checksums. Nothing is repaired here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json, sha256, write_json

FIGURES = "checksums.json"
"""Beside a study's figures: their checksums, and that of the records they were drawn from."""


class _State(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Git(_State):
    commit: str | None = None
    dirty: bool | None = None


class _Ensemble(_State):
    name: str
    runs: int
    seconds: float
    cpu_seconds: float
    peak_memory_mib: float


class _Provenance(_State):
    """What provenance.json may hold; a key that is there has its type, other keys are let through."""

    study: str = ""
    scale: str = ""
    start: str = ""
    seconds: float = 0.0
    ensembles: list[_Ensemble] = []
    ensemble_seconds: float = 0.0
    peak_memory_mib: float = 0.0
    seeds: dict[str, int] = {}
    pilot_seeds: dict[str, int] = {}
    not_run: list[str] = []
    threads: int = 1
    ingredients: dict[str, str] = {}
    fingerprint: str = ""
    git: _Git = _Git()
    versions: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}
    files: dict[str, str] = {}


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """`value` with the checksum of the rest of it under `checksum`."""
    return {**value, "checksum": hash_of(value)}


def read_sealed(path: Path) -> dict[str, Any]:
    """Read a JSON object that `sealed` made, without its checksum.

    Raises:
        ClaimcheckError: missing, not JSON, no object, or changed after it was written.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ClaimcheckError("is not a mapping", where=path, hint="delete the file and run again")
    return _unsealed(value, path, hint="delete the file and run again")


def _unsealed(value: dict[str, Any], path: Path, hint: str) -> dict[str, Any]:
    body = {key: entry for key, entry in value.items() if key != "checksum"}
    if value.get("checksum") != hash_of(body):
        raise ClaimcheckError("was changed after it was written (checksum differs)", where=path, hint=hint)
    return body


def read_provenance(path: Path, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a sealed provenance.json, without its checksum; an empty mapping where there is none and none is `required`.

    Raises:
        ClaimcheckError: not JSON, a value of the wrong type, a required key that is missing, or changed after the run.
    """
    if not required and not path.is_file():
        return {}
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise ClaimcheckError("is not a mapping", where=path, hint="delete the file and run the study again")
    try:
        _Provenance.model_validate(facts)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        raise ClaimcheckError(
            f"provenance of a strange shape ({fault['msg']})",
            where=f"{path}: {'.'.join(map(str, fault['loc']))}",
            found=repr(fault.get("input"))[:80],
            hint="delete the file and run the study again",
        ) from None
    if absent := [key for key in required if key not in facts]:
        raise ClaimcheckError("this key is missing", where=path, found=absent[0], hint="run the study again")
    return _unsealed(facts, path, hint="delete the file and run the study again")


def write_figure_list(folder: Path, drawn: list[Path], records_sha256: str) -> None:
    """Note the checksums of the figures just `drawn` in `folder`, and of the records that they show."""
    files = {path.name: sha256(path) for path in drawn}
    write_json(folder / FIGURES, sealed({"records_sha256": records_sha256, "files": files}))


def check_figures(folder: Path, records_sha256: str | None = None) -> None:
    """Check that a study's figures are the files that `plot` wrote, from the present records if their checksum is given.

    Raises:
        ClaimcheckError: the list is missing or changed; a figure is missing, changed or not on it; other records.
    """
    hint = f"claimcheck plot {folder.parent.name} draws them again, and so does snakemake"
    try:
        kept = read_sealed(folder / FIGURES)
        files, records = dict(kept["files"]), str(kept["records_sha256"])
    except (ClaimcheckError, LookupError, TypeError, ValueError):
        fault = "the list of figures is missing or was changed"
        raise ClaimcheckError(fault, where=folder / FIGURES, hint=hint) from None
    there = {path.name for path in folder.glob("*") if path.suffix in (".svg", ".png") and path.name[0] != "."}
    for name in sorted({*files, *there}):
        path = folder / name
        if name not in files or not path.is_file() or sha256(path) != files[name]:
            raise ClaimcheckError("is not the figure that was drawn (checksum differs)", where=path, hint=hint)
    if records_sha256 not in (None, records):
        raise ClaimcheckError("the figures were drawn from other records", where=folder, hint=hint)


def check_results(results_dir: Path, scale: str) -> None:
    """Check every JSON file and every figure of a scale's results, before a report is made of them.

    Raises:
        ClaimcheckError: the first file that is not what the pipeline wrote.
    """
    from claimcheck.judging.judge import load_verdicts

    folder = Path(results_dir) / scale
    for path in sorted(folder.glob("*/provenance.json")):
        read_provenance(path)
    for path in sorted(folder.glob("*/verdicts.json")):
        load_verdicts(path)
    for path in [*sorted(folder.glob("*/shuffled.json")), *folder.glob("calibration.json")]:
        read_sealed(path)
    for path in sorted(folder.glob("*/figures")):
        records = path.parent / "records.parquet"
        check_figures(path, sha256(records) if records.is_file() else None)
