"""The ensembles of a part that are finished, kept as files until the part is whole: a killed run goes on from them.

Processes that make the same part, or take away what is no longer needed, may meet here; none computes anything.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from claimcheck.files import make_folder
from claimcheck.results.state import PartFiles


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone with an ensemble's file. Who has finished the part may take lock and folder away: then they are made again."""
    lock = FileLock(path.with_suffix(".lock"))
    while True:
        make_folder(path.parent)
        with contextlib.suppress(FileNotFoundError, FileExistsError):  # the latter: gone while mkdir looked at it
            lock.acquire()
            if path.with_suffix(".lock").exists():
                break
            lock.release()
    try:
        yield
    finally:
        lock.release()


def forget_ensembles(work: Path, files: PartFiles) -> None:
    """Take away a part's finished ensembles, but for those that another process is at, and their folder if it is empty."""
    for name in work.glob(f"{files.part.name}-{files.digest}.*.lock"):
        with contextlib.suppress(Timeout, FileNotFoundError), FileLock(name, timeout=0):
            name.with_suffix(".parquet").unlink(missing_ok=True)
            name.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        work.rmdir()
