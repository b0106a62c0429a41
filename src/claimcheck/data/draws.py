"""Each unit's own data: examples drawn from a pool, by the stream (study, seed, purpose) and by nothing else.

    own = draw(context, "digits", seed, train=1000, test=500)                    # one unit
    all_own = draw_each(context, "mnist5k", runs["seed"], train=3000, test=1000)     # an ensemble, without copies

A draw is a simple random sample without replacement: classes are not balanced, as they would not be in data collected
anew. Training examples never depend on how many are tested, nor the other way round, and fewer are a part of more.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy
import torch
import torch.nn.functional as F

from claimcheck.data import pools
from claimcheck.data.pools import Examples
from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.engine.context import Context


@dataclass(frozen=True)
class Draws:
    """What each of R members drew, as rows of one pool.

    Attributes:
        pool: the pool, on the device.
        train: int64 [R, N], rows of `pool.x_train`.
        test: int64 [R, M], rows of `pool.x_test`; [M] where all members test on the whole of a test set.
    """

    pool: Examples
    train: torch.Tensor
    test: torch.Tensor

    def of(self, member: int) -> Examples:
        """The data of one member."""
        return self.pool.take(self.train[member], self.test if self.test.dim() == 1 else self.test[member])


def draw(
    context: Context, name: str, seed: int, *, train: int, test: int | None = None, purpose: str = "data"
) -> Examples:
    """The data of one unit, on the context's device.

    Args:
        train: training examples.
        test: test examples, none of them a training example. None: the whole test set of a pool that has one, else all
            that training leaves.
        purpose: name of the stream; draws of one study, seed and purpose are the same in all its parts.

    Raises:
        ClaimcheckError: more than there is, or no number of examples.
    """
    pool = pools.load(name, context.data_dir)
    return _draws(context, name, pool, [seed], train, test, purpose).of(0).to(context.device)


def draw_each(
    context: Context, name: str, seeds: Iterable[int], *, train: int, test: int | None = None, purpose: str = "data"
) -> Draws:
    """The same for an ensemble, whose members share one copy of the pool; a member draws what `draw` gives its seed.

    For `engine.data.Data`: ``Data({"x": own.pool.x_train, "y": own.pool.y_train}, subset=own.train)``.

    Args:
        seeds: of each member, in the order of the runs; members of one seed draw the same.
    """
    pool = pools.load(name, context.data_dir)
    own = _draws(context, name, pool, seeds, train, test, purpose)
    return Draws(pool.to(context.device), own.train.to(context.device), own.test.to(context.device))


def draw_vectors(
    context: Context, name: str, seeds: Iterable[int], *, train: int | Mapping[str, int], average_pooling: int
) -> Draws:
    """`draw_each`, as vectors whose values have mean 0 and standard deviation 1 over the pool; all test examples are kept.

    Args:
        train: training examples; a number, or one for each data set.
        average_pooling: images of 28 x 28 are averaged over squares of so many pixels a side.
    """
    own = draw_each(context, name, seeds, train=train[name] if isinstance(train, Mapping) else train)
    pool = own.pool
    if pool.x_train.shape[-2:] == (28, 28):
        smaller = {side: F.avg_pool2d(getattr(pool, side), average_pooling) for side in ("x_train", "x_test")}
        pool = replace(pool, **smaller)
    return replace(own, pool=pool.rescaled().flat())


def _draws(
    context: Context,
    name: str,
    pool: Examples,
    seeds: Iterable[int],
    train: int,
    test: int | None,
    purpose: str,
) -> Draws:
    where = f"study {context.study}, part {context.part}: draw from {name}"
    train = _count(train, "train", where, least=1)
    whole = test is None and pool.test_apart
    test = _count(test, "test", where, least=0) if test is not None else len(pool.x_test) - (0 if whole else train)
    _check_enough(pool, train, test, where)
    seeds = [int(seed) for seed in seeds]
    rows = {seed: _rows(pool, context.numpy_generator(seed, purpose), train, test) for seed in set(seeds)}
    ours, theirs = (torch.from_numpy(numpy.stack([rows[seed][side] for seed in seeds])) for side in (0, 1))
    return Draws(pool, ours, torch.arange(test) if whole else theirs)


def _rows(
    pool: Examples, generator: numpy.random.Generator, train: int, test: int
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Training from the front of a random order, test from its end or from an order of the test set's own."""
    order = generator.permutation(len(pool.x_train))
    tested = generator.permutation(len(pool.x_test)) if pool.test_apart else order[::-1]
    return order[:train], tested[:test].copy()


def _count(value: object, key: str, where: str, *, least: int) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = -1
    if count < least or isinstance(value, bool):
        raise ClaimcheckError(key, where=where, found=value, expected=f"a whole number, at least {least}")
    return count


def _check_enough(pool: Examples, train: int, test: int, where: str) -> None:
    there, found = len(pool.x_train), f"train {train}, test {test}"
    if pool.test_apart:
        tested = len(pool.x_test)
        enough, expected = train <= there and test <= tested, f"at most {there} to train and {tested} to test"
    else:
        enough, expected = train + test <= there and train <= there, f"at most {there} together"
    if not enough:
        raise ClaimcheckError("more examples than there are", where=where, found=found, expected=expected)
