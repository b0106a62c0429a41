"""Devices: what this machine has, which device a run uses, what it may take of it, and one process a graphics card.

Two jobs started together both see the same idle card and both take it. A lease is a file lock, taken without waiting,
that its process holds and the system frees when it dies. Leasing touches no CUDA: the choice must be made before CUDA
looks at CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder
from claimcheck.results.state import Machine
from claimcheck.running.compiler import compiler_fault
from claimcheck.spec.config import Config

if TYPE_CHECKING:
    import torch

CPU_BYTES, GPU_BYTES = 3 * 2**30, 12 * 2**30
"""What an ensemble may take where nothing else is configured: a job asks a cluster for 4 GB, and a card of 16 GB is
enough. So many networks keep either busy; more at once are no faster."""


class ThisMachine(Machine):
    """What this machine has, looked at only when a part needs it: looking takes a second."""

    def __init__(self, device: str) -> None:
        object.__setattr__(self, "device", device)

    @property
    def gpu(self) -> bool:
        """A GPU that the device would use."""
        return self.device.startswith("cuda") or (self.device == "auto" and bool(visible_cards()))

    @property
    def compiler(self) -> bool:
        """A C++ compiler that torch.compile can use."""
        return has_compiler()

    def compiler_fault(self) -> str:
        """What the trial of the compiler found."""
        return compiler_fault() or ""


def machine_for(device: str) -> Machine:
    """What this machine has that some parts need: a GPU that `device` would use, a C++ compiler."""
    return ThisMachine(device)


def has_compiler() -> bool:
    """Whether torch.compile can make programs for the CPU."""
    return compiler_fault() is None


def resolve_device(name: str) -> torch.device:
    """The torch device for "auto", "cpu", "cuda" or "cuda:N"."""
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda"):
        if not torch.cuda.is_available():
            raise ClaimcheckError("no CUDA device is available", where="device", found=name, hint="use --device cpu")
        index = int(name.split(":")[1]) if ":" in name else 0
        if index >= torch.cuda.device_count():
            raise ClaimcheckError(
                "no such CUDA device", where="device", found=name, expected=f"cuda:0 … {torch.cuda.device_count() - 1}"
            )
    return torch.device(name)


def memory_limit(config: Config, device: torch.device) -> int:
    """Bytes, by estimate, above which an ensemble is cut into tiles."""
    if config.memory_limit_mb:
        return config.memory_limit_mb * 2**20
    return GPU_BYTES if device.type == "cuda" else CPU_BYTES


@dataclass(frozen=True)
class Cards:
    """Graphics cards that are installed.

    Attributes:
        count: how many.
        names: their UUIDs and those of their parts (MIG); empty where they cannot be asked.
    """

    count: int = 0
    names: tuple[str, ...] = ()

    def has(self, name: str) -> bool:
        """Whether an entry of CUDA_VISIBLE_DEVICES is one of them: a number, or the beginning of a UUID."""
        if name.isascii() and name.isdecimal():
            return int(name) < self.count
        known = any(each.startswith(name) for each in self.names) or (self.count > 0 and not self.names)
        return known and name.startswith(("GPU-", "MIG-"))


def visible_cards(environment: Mapping[str, str] = os.environ, installed: Cards | None = None) -> list[str]:
    """Cards that this process may use, by the names that CUDA_VISIBLE_DEVICES takes; empty without any.

    The variable is believed only as far as there are cards. Of a list with an entry that is no card ("-1", "none", the
    third of two), CUDA uses what stands before it, and nothing of a list that names a card twice; so does this.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is not None and not listed.strip():
        return []
    installed = installed_cards() if installed is None else installed
    if listed is None:
        return [str(index) for index in range(installed.count)]
    cards = list(itertools.takewhile(installed.has, (entry.strip() for entry in listed.split(","))))
    return cards if len(set(cards)) == len(cards) else []


@cache
def installed_cards() -> Cards:
    """The cards of this machine that PyTorch can use: none for a PyTorch without CUDA, or without a driver."""
    if not _torch_uses_cuda():
        return Cards()
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, encoding="utf-8", errors="replace", timeout=30, check=False
        )
    except FileNotFoundError:  # containers lack the command, but not the devices
        return Cards(sum(path.name[len("nvidia") :].isdecimal() for path in Path("/dev").glob("nvidia*")))
    except (OSError, subprocess.TimeoutExpired):
        return Cards()
    if done.returncode:
        return Cards()
    count = sum(line.startswith("GPU ") for line in done.stdout.splitlines())
    return Cards(count, tuple(re.findall(r"UUID: ((?:GPU|MIG)-[^)\s]+)", done.stdout)))


def _torch_uses_cuda() -> bool:
    """Whether PyTorch was built for graphics cards; read from its file of versions, since importing it takes seconds."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return False
    try:
        text = Path(found.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return re.search(r"^(cuda|hip)\b[^=]*= *['\"]", text, flags=re.MULTILINE) is not None


@contextmanager
def lease(
    cards: Sequence[str],
    *,
    folder: Path | None = None,
    timeout: float | None = None,
    poll: float = 0.5,
    log: Callable[[str], None] = lambda text: None,
) -> Iterator[str]:
    """Hold one of `cards` alone, waiting until one is free.

    Args:
        folder: where the locks lie; all processes that share the cards must agree on it. Default: the machine's
            temporary folder.
        timeout: seconds to wait; None waits for ever.
        poll: seconds between looks.

    Raises:
        ClaimcheckError: no cards, or none became free in time.
    """
    if not cards:
        raise ClaimcheckError("no CUDA device is visible", where="device", hint="use --device cpu")
    locks = {card: _lock(card, folder or _common_folder(), log) for card in cards}
    start, told = time.monotonic(), False
    while True:
        for card, lock in locks.items():
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield card
            finally:
                lock.release()
            return
        if timeout is not None and time.monotonic() - start > timeout:
            raise ClaimcheckError(f"no card became free in {timeout:g} s", where="device", found=", ".join(cards))
        if not told:
            log(f"waiting for a free card ({len(cards)} visible, all leased)")
            told = True
        time.sleep(poll)


@contextmanager
def leased_device(device: str, log: Callable[[str], None] = lambda text: None) -> Iterator[str]:
    """Lease a card for `device` and show CUDA that card alone; gives the device to use.

    "auto" leases a card where there is one and is left alone elsewhere; "cuda" leases any card, "cuda:N" the N-th
    visible one; "cpu" leases nothing. Under Slurm the scheduler has already given the job its cards.
    """
    cards = [] if device == "cpu" or "SLURM_JOB_ID" in os.environ else visible_cards()
    if device.startswith("cuda:"):
        cards = cards[int(device.removeprefix("cuda:")) :][:1]
    if not cards:
        yield device
        return
    with lease(cards, log=log) as card:
        before = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = card
        try:
            yield "cuda:0" if device.startswith("cuda:") else device
        finally:
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


def _lock(card: str, folder: Path, log: Callable[[str], None]) -> FileLock:
    """The lock of a card, which every user can open; where another user's cannot be, one of this user's own, and why."""
    path = folder / f"card-{card.replace('/', '-')}.lock"
    try:
        # O_CREAT alone would be refused for another user's file in a folder like /tmp.
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | (0 if path.exists() else os.O_CREAT), 0o666)
        with suppress(PermissionError):  # whatever the umask; only the owner may
            os.fchmod(handle, 0o666)
        os.close(handle)
    except OSError as error:
        log(f"{path}: cannot be opened ({error.strerror}), so other users' jobs may take card {card}, too; remove it")
        path = make_folder(Path(tempfile.gettempdir()) / f"claimcheck-leases-{os.getuid()}") / path.name
    return FileLock(path, mode=0o666)


def _common_folder() -> Path:
    """A folder that every user of the machine may put locks into."""
    folder = make_folder(Path(tempfile.gettempdir()) / "claimcheck-leases")
    if folder.stat().st_uid == os.getuid():
        folder.chmod(0o1777)
    return folder
