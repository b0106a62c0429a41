"""What each network of an ensemble trains on, chooses by and is tested on: its unit's own draw, as `Data`.

Sizes come from a study's settings; the draws are those of :mod:`claimcheck.data.draws`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.data.draws import draw_each
from claimcheck.engine.data import Data, noisy_labels


class Samples(NamedTuple):
    """Examples ``x`` and ``y`` of R members in three parts, no example in two of them; subsets are ``[R, n]``."""

    training: Data
    validation: Data
    test: Data


def samples(context: Any, name: str, seeds: Iterable[int], sizes: Mapping[str, int]) -> Samples:
    """Each seed's own examples of a data set.

    Inputs are less the mean of the whole data set, over its standard deviation: two numbers for all features. Images
    are shrunk after that, so that shrinking in a training step gives the same.

    Args:
        seeds: of each member; those of one seed draw the same.
        sizes: how many for `training`, `validation` and `test`; `shrink`, where it is given, is the side of the squares
            of pixels of which images ``[N, 1, H, W]`` keep the mean alone.
    """
    own = draw_each(context, name, seeds, train=sizes["training"] + sizes["validation"], test=sizes["test"])
    data = own.pool.rescaled()
    x, x_test = (shrunk(part, sizes.get("shrink", 1)) for part in (data.x_train, data.x_test))
    data = replace(data, x_train=x, x_test=x_test)
    training, validation = own.train.split([sizes["training"], sizes["validation"]], 1)
    parts = ((Data.training(data), training), (Data.training(data), validation), (Data.testing(data), own.test))
    return Samples(*(replace(part, subset=rows) for part, rows in parts))


def shrunk(images: Tensor, side: int) -> Tensor:
    """Images ``[..., 1, H, W]`` with squares of `side` by `side` pixels averaged; 1 leaves any examples as they are."""
    return images if side == 1 else F.avg_pool2d(images.flatten(0, -4), side).unflatten(0, images.shape[:-3])


def first(data: Data, count: int) -> Data:
    """The first `count` of the examples that each member sees: fewer are a part of more."""
    assert data.subset is not None
    return replace(data, subset=data.subset[..., :count])


def own_columns(data: Data, **columns: Tensor) -> Data:
    """The same examples as columns of each member's own ``[R, n, ...]``, some of them replaced, such as by noisy labels."""
    assert data.subset is not None
    return Data({}, {name: column[data.subset] for name, column in data.shared.items()} | columns)


def mislabelled(data: Data, context: Any, seeds: Iterable[int], share: float) -> Data:
    """The same examples as columns of each member's own, a share of their labels moved to another of ten classes.

    Which, and to what, is drawn from each seed's stream "labels".
    """
    assert data.subset is not None
    right = data.shared["y"][data.subset]
    given = [
        noisy_labels(own, share, 10, context.generator(seed, "labels")) for own, seed in zip(right, seeds, strict=True)
    ]
    return own_columns(data, y=torch.stack(given))
