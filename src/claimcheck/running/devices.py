"""Devices: which one a run uses, what it may take of it, and one process a graphics card.

Two jobs started together both see the same idle card and both take it. A lease is a file lock, taken without waiting,
that its process holds and the system frees when it dies. Leasing touches no CUDA: the choice must be made before CUDA
looks at CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from claimcheck.errors import ClaimcheckError
from claimcheck.results.state import Machine
from claimcheck.spec.config import Config

if TYPE_CHECKING:
    import torch

CPU_BYTES, GPU_BYTES = 3 * 2**30, 12 * 2**30
"""What an ensemble may take where nothing else is configured: a job asks a cluster for 4 GB, and a card of 16 GB is
enough. So many networks keep either busy; more at once are no faster."""


def machine_for(device: str) -> Machine:
    """What this machine has that some parts need: a GPU that `device` would use, a C++ compiler."""
    gpu = device.startswith("cuda") or (device == "auto" and bool(visible_cards()))
    return Machine(gpu=gpu, compiler=has_compiler())


def has_compiler() -> bool:
    """Whether torch.compile can make programs for the CPU."""
    return bool(shutil.which("g++") or shutil.which("clang++"))


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


def visible_cards(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Cards that this process may use, by the names that CUDA_VISIBLE_DEVICES takes; empty without any.

    Of a list with an entry that is not a card ("-1", "none"), CUDA uses what stands before it; so does this.
    """
    listed = environment.get("CUDA_VISIBLE_DEVICES")
    if listed is None:
        return [str(index) for index in range(_installed_cards())]
    cards = []
    for name in (entry.strip() for entry in listed.split(",")):
        if not (name.isdecimal() or name.startswith(("GPU-", "MIG-"))):
            break
        cards.append(name)
    return cards


def _installed_cards() -> int:
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines()) if done.returncode == 0 else 0


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
    folder = folder or _common_folder()
    locks = {card: FileLock(folder / f"card-{card.replace('/', '-')}.lock", mode=0o666) for card in cards}
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


def _common_folder() -> Path:
    """A folder that every user of the machine may put locks into."""
    folder = Path(tempfile.gettempdir()) / "claimcheck-leases"
    folder.mkdir(exist_ok=True)
    if folder.stat().st_uid == os.getuid():
        folder.chmod(0o1777)
    return folder
