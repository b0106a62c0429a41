"""Each unit's own examples: what is pretrained on and labelled, what rates are chosen by, what is tested on; and tasks."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from claimcheck.data.draws import draw_each
from claimcheck.data.words import PHONEMES
from claimcheck.engine import noise
from claimcheck.engine.shifts import shifted

VOWELS = [token for token, phoneme in enumerate(PHONEMES) if phoneme[:1] in tuple("AEIOU")]
MOST_SYLLABLES = 4


class Examples(NamedTuple):
    """Inputs `[U, n, inputs]` and classes `[U, n]` of U units, no row of one on both sides of a split."""

    x: torch.Tensor
    y: torch.Tensor

    def rows(self, rows):
        """Those of some units, in this order, doubles allowed."""
        return Examples(self.x[rows], self.y[rows])

    def first(self, count):
        return Examples(self.x[:, :count], self.y[:, :count])

    def of(self, chosen, count):
        """The first `count` of each unit that are `chosen` `[U, n]`; all units have so many."""
        places = torch.stack([torch.nonzero(row)[:count, 0] for row in chosen])
        return Examples(self.x.take_along_dim(places[..., None], 1), self.y.gather(1, places))


def drawn(context, name, seeds, sizes):
    """What each unit drew: split -> examples. Inputs are flat, less one mean, over one deviation, of the data set.

    Args:
        sizes: examples in `pool`, `validation` and `test`; images may be shrunk by averaging squares (`shrink`).
    """
    own = draw_each(context, name, seeds, train=sizes["pool"] + sizes["validation"], test=sizes["test"])
    if name == "cmudict":
        (x, y), (x_test, y_test) = (own.pool.x_train, own.pool.y_train), (own.pool.x_test, own.pool.y_test)
        y, y_test = syllables(y), syllables(y_test)
    else:
        x, x_test = (_vectors(part, sizes.get("shrink", 1)) for part in (own.pool.x_train, own.pool.x_test))
        mean, deviation = x.mean(), x.std()
        x, x_test = (x - mean) / deviation, (x_test - mean) / deviation
        y, y_test = own.pool.y_train, own.pool.y_test
    pool, validation = own.train.split([sizes["pool"], sizes["validation"]], 1)
    return {
        "pool": Examples(x[pool], y[pool]),
        "validation": Examples(x[validation], y[validation]),
        "test": Examples(x_test[own.test], y_test[own.test]),
    }


def _vectors(x, shrink):
    """Images `[N, 1, H, W]` or signals `[N, L]` as vectors."""
    return (F.avg_pool2d(x, shrink) if shrink > 1 else x).flatten(1)


def syllables(phonemes):
    """How many vowels sound in each word of phonemes `[N, length]`, less one; four and more are one class, none is one."""
    return torch.isin(phonemes, torch.tensor(VOWELS, device=phonemes.device)).sum(-1).clamp(1, MOST_SYLLABLES) - 1


def displaced(x, key, reach, side=None):
    """Vectors `[..., B, inputs]` moved by up to `reach` places, of each key `[...]`: signals around their end, images of
    this `side` as images.
    """
    return shifted(x, key, reach) if side is None else shifted(x.unflatten(-1, (1, side, side)), key, reach).flatten(-3)


def disturbed(test, kind, context, seeds, how):
    """Test examples `moved` by up to `far` places, or `noisy` with noise of `loud` deviations, for each unit its own."""
    x = []
    for seed, own in zip(seeds, test.x, strict=True):
        key = torch.tensor(context.key(int(seed), kind), device=own.device)
        if kind == "noisy":
            x.append(own + how["loud"] * noise.normal(key, own.shape))
        else:
            x.append(displaced(own, key, how["far"], how.get("side")))
    return Examples(torch.stack(x), test.y)


def heaviest_quarter(x, side=None):
    """Which quarter of each input is the greatest on average: of an image a corner, of a signal a stretch. `[...,
    inputs]`.
    """
    if side is None:
        return x.unflatten(-1, (4, -1)).mean(-1).argmax(-1)
    half = side // 2
    image = x.unflatten(-1, (side, side))[..., : 2 * half, : 2 * half]
    return image.unflatten(-1, (2, half)).unflatten(-3, (2, half)).mean((-3, -1)).flatten(-2).argmax(-1)
