"""`claimcheck prune`: removes results that nothing asks for any more.

Nothing else in the project removes results, but for verdicts, figures and reports of records that were replaced (`view`).
"""

from __future__ import annotations

import re
import shutil
import time
from pathlib import Path

from claimcheck.results.busy import is_busy, left_by_killed, no_pipeline
from claimcheck.results.state import STORE, WORK, Collection, Results

_DIGEST = re.compile(r"-[0-9a-f]{16}(\.|$)")
_TEMPORARY = re.compile(r"\..*\.tmp(\.|$)")
A_DAY = 24 * 60 * 60.0
"""Seconds after which a temporary file is no longer that of a process that is writing it, but left by a killed one."""


def prune(collection: Collection, *, dry_run: bool = False) -> list[str]:
    """Remove parts and store entries of other digests than the present ones, at the collection's scale.

    These are of earlier versions, and of present ones at other settings (seeds, registration_offset, pilots for power).
    Folders of studies that are not in the collection are somebody else's and are left alone.

    Returns:
        Lines that say what was (or would be) removed, and how much.

    Raises:
        ClaimcheckError: a pipeline is running at this scale; nothing is removed.
    """
    with no_pipeline(collection.config.results):
        return _prune(collection, dry_run)


def _prune(collection: Collection, dry_run: bool) -> list[str]:
    going_on = [name for name, results in collection.results.items() if is_busy(results)]
    idle = [results for name, results in collection.results.items() if name not in going_on]
    found = [path for results in idle for path in (*superseded(results), *left_by_killed(results))]
    store = collection.config.results / STORE
    reports = {each.report for each in collection.forms()}
    found += [path for path in sorted(store.glob("report-*")) if path not in reports]
    total, lines = 0, [f"{name}: is being run, left alone" for name in going_on]
    for path in found:
        size = _size(path)
        total += size
        lines.append(f"{path}  {size / 1e6:.2f} MB")
        if not dry_run:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    word = "would be removed" if dry_run else "removed"
    return [*lines, f"{len(found)} files and folders, {total / 1e6:.2f} MB, {word}"]


def superseded(results: Results) -> list[Path]:
    """Files and folders of the study that the present sources and settings do not ask for, in order.

    What a run that is not finished has made of a part that is missing (pilots, pieces, ensembles) is asked for.
    """
    missing = [f"{files.part.name}-{files.digest}." for files in results.missing_parts()]
    asked = {path.name for files in results.parts.values() for path in files.files}
    asked |= {WORK} if missing else set()
    parts = [path for path in _entries(results.view / "parts") if path.name not in asked]
    kept = {*results.assembled, results.verdicts, results.controls, results.figures}
    found = [path for path in parts if not path.name.startswith(tuple(missing))]
    return found + [path for path in _entries(results.store) if path not in kept]


def _entries(folder: Path) -> list[Path]:
    """What is ours in a folder: it carries a digest, or is work in progress; not what is being written just now."""
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    ours = [path for path in found if path.name == WORK or _DIGEST.search(path.name)]
    return [path for path in ours if not _TEMPORARY.match(path.name) or _age(path) > A_DAY]


def _age(path: Path) -> float:
    """Seconds since a file was last written; 0 where it is gone by now."""
    return time.time() - path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
