"""Whether somebody is making results: `prune` beside them must not clear away what they have finished so far."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder
from claimcheck.results.state import Results


@contextlib.contextmanager
def busy(results: Results) -> Iterator[None]:
    """Mark the study as being run, by any number of processes at once; the mark dies with the process, even killed."""
    mark = results.view / "parts" / f".busy-{socket.gethostname()}-{os.getpid()}.lock"
    made = [folder for folder in list(mark.parents)[:4] if not folder.exists()]
    make_folder(mark.parent)
    with FileLock(mark, mode=0o666):  # other users may share the results
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # of a run that was refused nothing stays; others' folders are not empty
                for folder in made:
                    folder.rmdir()


@contextlib.contextmanager
def no_pipeline(folder: Path) -> Iterator[None]:
    """Keep pipelines away from a scale's results, whose lock each holds while it runs (`workflow/rules/common.smk`).

    Between two steps, or while it judges and draws, a pipeline marks no study as being run.

    Raises:
        ClaimcheckError: a pipeline is running there.
    """
    lock = folder / ".lock"
    if not lock.exists():  # no pipeline has run there; a dry run leaves no file of its own
        yield
        return
    try:
        held = FileLock(lock, mode=0o666).acquire(blocking=False)
    except Timeout:
        what = "a pipeline (snakemake) is writing these results"
        raise ClaimcheckError(what, where=folder, hint="wait for it, or stop it") from None
    with held:
        yield


def is_busy(results: Results) -> bool:
    """Whether a process is running parts of the study, under whatever settings."""
    return any(map(_held, _marks(results)))


def left_by_killed(results: Results) -> list[Path]:
    """Marks of processes that are no more."""
    return [mark for mark in _marks(results) if not _held(mark)]


def _marks(results: Results) -> list[Path]:
    return sorted((results.view / "parts").glob(".busy-*.lock"))


def _held(mark: Path) -> bool:
    try:
        with FileLock(mark, timeout=0):
            return False
    except Timeout:
        return True
