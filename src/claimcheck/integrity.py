"""Results are what the pipeline wrote: every JSON file of a scale has its shape and its checksum.

Files that carry a `checksum` (verdicts, the null run, the calibration) are refused when a single character differs;
provenance is checked for its shape, so that whoever reads it later meets no surprise. Changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json


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
    body = {key: entry for key, entry in value.items() if key != "checksum"}
    if value.get("checksum") != hash_of(body):
        raise ClaimcheckError(
            "was changed after it was written (checksum differs)", where=path, hint="delete the file and run again"
        )
    return body


def read_provenance(path: Path, required: tuple[str, ...] = ()) -> dict[str, Any]:
    """Read a provenance.json and check its shape; an empty mapping where there is none and nothing is `required`.

    Raises:
        ClaimcheckError: not JSON, a key whose value has the wrong type, or a required key that is missing.
    """
    facts = read_json(path) if required or path.is_file() else {}
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
    return facts


def check_results(results_dir: Path, scale: str) -> None:
    """Check every JSON file of a scale's results, before a report is made of them.

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
