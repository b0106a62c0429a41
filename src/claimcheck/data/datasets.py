"""The data sets as tensors, by name: generated (mnist1d), shipped with a package (digits), or downloaded (MNIST …).

Nothing is fetched here: `claimcheck data fetch` does that; what was fetched is checked before it is used. What is made
here takes a second in each process, so it is kept beside the downloads, with a checksum, and made again where the file
is missing, not whole, or was written by other code or other versions of the packages.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch

from claimcheck.data import downloads
from claimcheck.errors import ClaimcheckError, closest
from claimcheck.files import write_atomically


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

    def rescaled(self) -> Dataset:
        """All inputs less the mean of all training values, over their standard deviation: two numbers for all features.

        So pixels keep their order of brightness, and one that is constant makes no trouble.
        """
        mean, deviation = self.x_train.mean(), self.x_train.std()
        return replace(self, x_train=(self.x_train - mean) / deviation, x_test=(self.x_test - mean) / deviation)


@functools.lru_cache(maxsize=4)
def load(name: str, data_dir: Path) -> Dataset:
    """Load a data set.

    Raises:
        ClaimcheckError: unknown name, or a downloaded one of which `data_dir` has not the published files.
    """
    if name in MADE:
        arrays = made(name, MADE[name], data_dir, __file__)
        x, y = _inputs(arrays["x"]), _labels(arrays["y"])
        return Dataset(x, y, _inputs(arrays["x_test"]), _labels(arrays["y_test"]))
    if name in downloads.SOURCES:
        return _torchvision(name, Path(data_dir))
    raise ClaimcheckError(
        "unknown data set",
        found=name,
        expected=f"one of {', '.join(downloads.NAMES)}",
        hint=closest(name, downloads.NAMES),
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


def made(name: str, make: Callable[[], dict[str, numpy.ndarray]], data_dir: Path, *modules: str) -> dict:
    """The arrays that `make` gives, from the file that keeps them in `data_dir` where it is whole and of today.

    Args:
        modules: files of the code that makes them; where they or the packages' versions changed, so may the arrays.
    """
    path = Path(data_dir) / f"{name}.npz"
    sources = [repr(downloads.versions_of(name)).encode(), *(Path(module).read_bytes() for module in modules)]
    origin = hashlib.sha256(b"".join(sources)).hexdigest()
    arrays = _kept(path, origin)
    if arrays is None:
        arrays = make()
        _keep(path, origin, arrays)
    return arrays


def _kept(path: Path, origin: str) -> dict[str, numpy.ndarray] | None:
    """Arrays that `_keep` wrote, or None: no file, one that is not whole, or one of another origin."""
    try:
        with path.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except Exception:  # whatever damaged bytes make the readers of archives and of their headers stumble over
        return None
    seal = arrays.pop("seal", None)
    return arrays if seal is not None and str(seal) == _seal(origin, arrays) else None


def _keep(path: Path, origin: str, arrays: dict[str, numpy.ndarray]) -> None:
    """Write arrays for the next process; where the folder cannot be written, that one makes them again."""
    try:
        with write_atomically(path) as temporary, temporary.open("wb") as file:
            numpy.savez(file, seal=numpy.array(_seal(origin, arrays)), **arrays)
    except ClaimcheckError:
        return


def _seal(origin: str, arrays: dict[str, numpy.ndarray]) -> str:
    """Checksum of arrays and of where they come from."""
    digest = hashlib.sha256(origin.encode())
    for column, array in sorted(arrays.items()):
        digest.update(f"{column} {array.dtype} {array.shape}".encode())
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
    downloads.check(name, data_dir)
    kind = downloads.torchvision_class(downloads.SOURCES[name])
    splits = [kind(str(data_dir), train=train) for train in (True, False)]
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
