"""What people call the data sets. Loads none."""

from __future__ import annotations

TITLES = {
    "mnist1d": "MNIST-1D (published)",
    "mnist1d_pool": "MNIST-1D",
    "digits": "digits",
    "mnist5k": "MNIST",
    "cmudict": "CMU dictionary",
    "breast_cancer": "breast cancer",
    "mnist": "MNIST (60,000)",
    "fashion_mnist": "Fashion-MNIST",
    "cifar10": "CIFAR-10",
}


def title(name: str) -> str:
    """The name of a data set for reading; of what is none of ours (a study's own), its id as words."""
    return TITLES.get(name, name.replace("_", " "))
