"""Compiled programs, kept for later processes: whole files only, each under its checksum.

The compiler takes whatever lies in its cache. A file that a killed process or a full disk left cut off crashes the next
one, or, where it is a trial of the processor's instructions, has it compile for lesser ones, with other last bits and
not a word. So the compiler works in a folder of this process alone. It begins with what was kept and agrees with its
checksum; what the compiler adds is kept in turn.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

KEPT = re.compile(r"(?P<name>.+)\.(?P<sum>[0-9a-f]{32})")
"""Name of a kept file: the compiler's, and the beginning of the SHA-256 of what is in it."""
UNFINISHED = "own-"


def folder() -> Path:
    """The folder in which this process's compiler works from now on, with what was kept; removed when it ends.

    To be called before the compiler is imported, which settles on its folder then.
    """
    return _folders()[0]


def keep_new() -> None:
    """Keep what the compiler has made so far: a process that is killed later has not compiled in vain."""
    keep(*_folders())


@cache
def _folders() -> tuple[Path, Path]:
    """This process's folder, and the one where programs are kept: ``.cache/torchinductor`` of the working folder, or
    where ``TORCHINDUCTOR_CACHE_DIR`` says."""
    shared = Path(os.environ.get("TORCHINDUCTOR_CACHE_DIR") or Path(".cache", "torchinductor")).resolve()
    try:
        shared.mkdir(parents=True, exist_ok=True)
        _remove_those_of_the_dead(shared)
        own = Path(tempfile.mkdtemp(prefix=f"{UNFINISHED}{os.uname().nodename}-{os.getpid()}-", dir=shared))
    except OSError:  # nothing can be kept there
        own = Path(tempfile.mkdtemp(prefix="claimcheck-programs-"))
    fetch(shared, own)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(own)
    atexit.register(_leave, own, shared, os.getpid())
    return own, shared


def fetch(shared: Path, own: Path) -> None:
    """Copy what was kept and is whole; what is not is removed."""
    for path in sorted(shared.rglob("*")):
        found = KEPT.fullmatch(path.name)
        if found is None or path.relative_to(shared).parts[0].startswith(UNFINISHED):
            continue
        with suppress(OSError):
            content = path.read_bytes()
            if _sum(content) != found["sum"]:
                path.unlink()
                continue
            target = own / path.relative_to(shared).with_name(found["name"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)


def keep(own: Path, shared: Path) -> None:
    """Keep what the compiler has made; where nothing can be written, the next process makes it again."""
    for path in sorted(own.rglob("*")):
        if path.suffix in (".lock", ".tmp") or not path.is_file():
            continue
        with suppress(OSError):
            content = path.read_bytes()
            target = shared / path.relative_to(own).with_name(f"{path.name}.{_sum(content)}")
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=target.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(name).replace(target)
            finally:
                Path(name).unlink(missing_ok=True)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _leave(own: Path, shared: Path, process: int) -> None:
    """At the process's end; not at that of a fork of it."""
    if os.getpid() == process:
        keep(own, shared)
        shutil.rmtree(own, ignore_errors=True)


def _remove_those_of_the_dead(shared: Path) -> None:
    """Folders that killed processes of this machine left."""
    for path in shared.glob(f"{UNFINISHED}{os.uname().nodename}-*-*"):
        process = path.name.rsplit("-", 2)[1]
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            continue  # it lives, or is no process's folder
