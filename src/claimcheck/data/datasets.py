"""The data sets, by name: generated (mnist1d), shipped in a wheel (digits), or downloaded (MNIST and the like).

Nothing is fetched here: `claimcheck data fetch` does that. What is made here takes a second in each process, so it is
kept beside the downloads, with a checksum, and made again where the file is missing or not whole.
"""

from __future__ import annotations

import functools
import hashlib
import zipfile
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

import numpy
import torch

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import write_atomically

DOWNLOADED = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}
NAMES = ("mnist1d", "digits", *DOWNLOADED)

MAKERS = ("mnist1d", "numpy", "scikit-learn", "scipy")
"""Packages whose versions may change what is made here."""


@dataclass(frozen=True)
class Dataset:
    """A classification data set.

    Attributes:
        x_train: float32 [N, ...]; images are [N, channels, height, width] with pixels in [0, 1], vectors [N, features].
        y_train: int64 [N].
        x_test, y_test: the same for the test split.
        classes: number of classes.
    """

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor
    classes: int = 10

    def to(self, device: torch.device) -> Dataset:
        """The same data on `device`."""
        names = ("x_train", "y_train", "x_test", "y_test")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def flat(self) -> Dataset:
        """Every example as a vector."""
        return replace(self, x_train=self.x_train.flatten(1), x_test=self.x_test.flatten(1))


@functools.lru_cache(maxsize=4)
def load(name: str, data_dir: Path) -> Dataset:
    """Load a data set.

    Raises:
        ClaimcheckError: unknown name, or a downloaded one that is not in `data_dir`.
    """
    if name in MADE:
        path = Path(data_dir) / f"{name}.npz"
        arrays = _kept(path)
        if arrays is None:
            arrays = MADE[name]()
            _keep(path, arrays)
        x, y = _inputs(arrays["x"]), _labels(arrays["y"])
        return Dataset(x, y, _inputs(arrays["x_test"]), _labels(arrays["y_test"]))
    if name in DOWNLOADED:
        return _torchvision(name, Path(data_dir))
    raise ClaimcheckError(
        "unknown data set", found=name, expected=f"one of {', '.join(NAMES)}", hint=closest(name, NAMES)
    )


def _mnist1d() -> dict[str, numpy.ndarray]:
    """MNIST-1D (Greydanus 2020): 4,000 training and 1,000 test signals of 40 samples, its published defaults.

    The generator's own seed (42) fixes the data; its global seeding is undone.
    """
    import random

    from mnist1d.data import get_dataset_args, make_dataset

    states = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
    try:
        raw = make_dataset(get_dataset_args())
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])
        torch.set_rng_state(states[2])
    return {name: numpy.asarray(raw[name]) for name in ("x", "y", "x_test", "y_test")}


def _kept(path: Path) -> dict[str, numpy.ndarray] | None:
    """Arrays that `_keep` wrote, or None: no file, one that is not whole, or one that other packages made."""
    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, TypeError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    seal = arrays.pop("seal", None)
    return arrays if seal is not None and str(seal) == _seal(arrays) else None


def _keep(path: Path, arrays: dict[str, numpy.ndarray]) -> None:
    """Write arrays for the next process; where the folder cannot be written, that one makes them again."""
    try:
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            numpy.savez(file, seal=numpy.array(_seal(arrays)), **arrays)
    except ClaimcheckError:
        return


def _seal(arrays: dict[str, numpy.ndarray]) -> str:
    """Checksum of arrays, and of the versions of the packages that make them."""
    digest = hashlib.sha256(" ".join(metadata.version(name) for name in MAKERS).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(numpy.ascontiguousarray(array))
    return digest.hexdigest()


def _digits() -> dict[str, numpy.ndarray]:
    """The 8x8 optical digits of scikit-learn (1,797 real scans; Alpaydin & Kaynak 1998), pixels scaled to [0, 1].

    A fixed permutation gives 1,297 training and 500 test images, as [N, 1, 8, 8].
    """
    from sklearn.datasets import load_digits

    raw = load_digits()
    order = numpy.random.Generator(numpy.random.PCG64(0)).permutation(len(raw.target))
    x, y = (raw.images[order] / 16.0)[:, None], raw.target[order]
    return {"x": x[500:], "y": y[500:], "x_test": x[:500], "y_test": y[:500]}


MADE = {"mnist1d": _mnist1d, "digits": _digits}
"""Data sets that need no download: arrays `x`, `y` for training, `x_test`, `y_test` for the test."""


def _torchvision(name: str, data_dir: Path) -> Dataset:
    import torchvision

    try:
        splits = [
            getattr(torchvision.datasets, DOWNLOADED[name])(str(data_dir), train=train) for train in (True, False)
        ]
    except (RuntimeError, OSError, ValueError, EOFError) as error:
        raise ClaimcheckError(
            f"data set {name} is not there, or not whole ({type(error).__name__})",
            where=data_dir / DOWNLOADED[name],
            hint=f"run: claimcheck data fetch {name} --data-dir {data_dir}",
        ) from error
    tensors = []
    for split in splits:
        images = torch.as_tensor(split.data)
        images = images.permute(0, 3, 1, 2) if images.ndim == 4 else images.unsqueeze(1)
        tensors += [images.contiguous().to(torch.float32) / 255.0, torch.as_tensor(split.targets, dtype=torch.int64)]
    return Dataset(*tensors)


def _inputs(array) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.float32).contiguous()


def _labels(array) -> torch.Tensor:
    return torch.as_tensor(array, dtype=torch.int64)


def noisy_labels(labels: torch.Tensor, rate: float, classes: int, generator: torch.Generator) -> torch.Tensor:
    """Labels of which a share `rate` (exactly round(rate x N), chosen at random) moved to a different class.

    The choice of examples is nested: with the same stream, a higher rate moves a superset.
    """
    order = torch.randperm(len(labels), generator=generator)
    shift = torch.randint(1, classes, (len(labels),), generator=generator)
    moved = order[: round(rate * len(labels))]
    noisy = labels.clone()
    noisy[moved.to(labels.device)] = (labels.cpu()[moved] + shift[moved]).remainder(classes).to(labels.device)
    return noisy
