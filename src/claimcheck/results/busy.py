"""Whether a process is making parts of a study: `prune` beside it must not clear away what it has finished so far."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

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
