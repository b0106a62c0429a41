"""Seals: JSON files carry a checksum and are refused when a single value differs; figures have a list of checksums.

Nothing is repaired here, and nothing but files is known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import hash_of, read_json, sha256, write_json

FIGURES = "checksums.json"
"""Beside a study's figures: their checksums, and that of the records they were drawn from."""


def sealed(value: dict[str, Any]) -> dict[str, Any]:
    """`value` with the checksum of the rest of it under `checksum`."""
    return {**value, "checksum": hash_of(value)}


def read_sealed(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object that `sealed` made, without its checksum.

    Args:
        remedy: the command that makes the file again, for the error.

    Raises:
        ClaimcheckError: missing, not JSON, no object, or changed after it was written.
    """
    hint = f"make it again: {remedy}"
    try:
        value = read_json(path)
    except ClaimcheckError as fault:
        raise ClaimcheckError(fault.what, where=path, hint=hint) from fault
    if not isinstance(value, dict):
        raise ClaimcheckError("is not a mapping", where=path, hint=hint)
    body = {key: entry for key, entry in value.items() if key != "checksum"}
    if value.get("checksum") != hash_of(body):
        raise ClaimcheckError("was changed after it was written (checksum differs)", where=path, hint=hint)
    return body


def write_figure_list(
    folder: Path, drawn: list[Path], records_sha256: str, ingredients: Mapping[str, str] | None = None
) -> None:
    """Note the checksums of the figures just `drawn` in `folder`, of the records that they show, what else made them."""
    files = {path.name: sha256(path) for path in drawn}
    listed = {"records_sha256": records_sha256, "files": files, "ingredients": dict(ingredients or {})}
    write_json(folder / FIGURES, sealed(listed))


def figure_files(folder: Path, remedy: str) -> list[Path]:
    """The figures that `plot` drew into `folder`, checked; other files there are none of ours.

    Raises:
        ClaimcheckError: the list is missing or changed; a figure is missing or changed.
    """
    kept = read_sealed(folder / FIGURES, remedy)
    files = kept.get("files")
    if not isinstance(files, dict):
        raise ClaimcheckError("names no figures", where=folder / FIGURES, hint=f"make it again: {remedy}")
    for name, digest in files.items():
        path = folder / name
        if Path(name).name != name or not path.is_file() or sha256(path) != digest:
            raise ClaimcheckError(
                "is not the figure that was drawn (checksum differs)", where=path, hint=f"make it again: {remedy}"
            )
    return [folder / name for name in files]
