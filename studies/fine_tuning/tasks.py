"""Tasks to train on and to tune for: each unit's own examples, and what shifts make of them. Trains nothing."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from claimcheck.data import words
from claimcheck.data.draws import draw_each
from claimcheck.engine.data import Data
from claimcheck.errors import ClaimcheckError

LETTERS = len(words.LETTERS)

PARTS = ("source", "examples", "validation", "test")
"""What a unit's examples are for: to train on beforehand, to tune on, to choose rates by, to test."""


class Drawn(NamedTuple):
    """The examples of each unit that one part of a task uses: [R, N, ...] and [R, N]."""

    x: Tensor
    y: Tensor


def drawn(context, name: str, seeds: list[int]) -> dict[str, Drawn]:
    """Each seed's examples of a data set, by part; inputs less one mean, over one deviation; images may be shrunk."""
    sizes = context.settings[name]
    counts = [sizes[part] for part in PARTS[:-1]]
    own = draw_each(context, name, seeds, train=sum(counts), test=sizes["test"])
    data = own.pool.rescaled()
    rows = dict(zip(PARTS, [*own.train.split(counts, 1), own.test], strict=True))
    learnt, tested = (_shrunk(x, sizes.get("shrink", 1)) for x in (data.x_train, data.x_test))
    return {
        part: Drawn(tested[those], data.y_test[those]) if part == "test" else Drawn(learnt[those], data.y_train[those])
        for part, those in rows.items()
    }


def _shrunk(x: Tensor, times: int) -> Tensor:
    """Images [N, 1, H, W] with squares of `times` by `times` pixels averaged."""
    return x if times == 1 else F.avg_pool2d(x, times)


def shifted(context, task: Drawn, shift: str, part: str, seeds: list[int]) -> Data:
    """The same examples as another task has them, their inputs as vectors.

    - `none`: as they are.
    - `noisy`: normal noise on top, its deviation the setting `noise`.
    - `renamed`: other names for the classes, in an order of each unit's own.
    - `scrambled`: pixels or samples in an order of each unit's own.
    """
    x, y = task
    if shift == "noisy":
        drawn = [torch.randn(x.shape[1:], generator=context.generator(seed, f"noise/{part}")) for seed in seeds]
        x = x + context.settings.noise * torch.stack(drawn).to(x.device)
    elif shift == "renamed":
        y = _orders(context, 10, "names", seeds).to(y.device).gather(1, y)
    elif shift == "scrambled":
        order = _orders(context, x[0, 0].numel(), "places", seeds).to(x.device)
        x = x.flatten(2).gather(2, order[:, None].expand(-1, x.shape[1], -1))
    elif shift != "none":
        raise ClaimcheckError("shift", found=shift, expected="none, noisy, renamed or scrambled")
    return Data({}, {"x": x.flatten(2), "y": y})


def _orders(context, size: int, purpose: str, seeds: list[int]) -> Tensor:
    """An order of 0 ... size - 1 for each unit, [R, size]."""
    return torch.stack([torch.randperm(size, generator=context.generator(seed, purpose)) for seed in seeds])


def spelt(context, seeds: list[int]) -> dict[str, Tensor]:
    """Each seed's words of a length by part, [R, N, letters + 2]: begin, at most so many letters, end, padding."""
    sizes = context.settings.words
    counts, spare = [sizes[part] for part in PARTS[:-1]], sizes["spare"]  # longer words are left out
    own = draw_each(context, "cmudict", seeds, train=spare * sum(counts), test=spare * sizes["test"])
    fits = (own.pool.x_train > words.END).sum(1) <= sizes["letters"]

    def fitting(rows: Tensor, count: int) -> Tensor:
        return torch.stack([each[fits[each]][:count] for each in rows])

    rows = [*fitting(own.train, sum(counts)).split(counts, 1), fitting(own.test, sizes["test"])]
    read = own.pool.x_train[:, : sizes["letters"] + 2]
    return {part: read[those] for part, those in zip(PARTS, rows, strict=True)}


def backwards(tokens: Tensor) -> Tensor:
    """Words [..., T] with their letters in reverse; begin, end and padding stay where they are."""
    place = torch.arange(tokens.shape[-1], device=tokens.device)
    letters = (tokens > words.END).sum(-1, keepdim=True)
    inside = (place >= 1) & (place <= letters)
    return tokens.gather(-1, torch.where(inside, letters + 1 - place, place))
