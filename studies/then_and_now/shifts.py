"""Random shifts of an ensemble's minibatches, by counter-based noise (:mod:`claimcheck.engine.noise`)."""

import torch
from torch import Tensor

from claimcheck.engine import noise


def shifted(x: Tensor, key: Tensor, reach: int, dimensions: int) -> Tensor:
    """Every example moved by a random whole number of places, at most `reach` in every direction.

    Signals ``[..., B, L]`` (1 dimension) go around their end. Images ``[..., B, H, W]`` (2) are filled with the darkest
    value of the batch. `key` is an int64 scalar of the step, or ``[R]`` of an ensemble's members.
    """
    if not reach:
        return x
    lead = x.shape[:-dimensions]
    steps = [_steps(noise.fold(key, number), lead[-1], reach) for number in range(dimensions)]
    if dimensions == 1:
        place = (torch.arange(x.shape[-1], device=x.device) + steps[0]) % x.shape[-1]
        return x.gather(-1, place)
    (high, wide), (down, right) = x.shape[-2:], steps
    row, column = torch.arange(high, device=x.device) + down, torch.arange(wide, device=x.device) + right
    inside = ((row >= 0) & (row < high))[..., :, None] & ((column >= 0) & (column < wide))[..., None, :]
    place = row.clamp(0, high - 1)[..., :, None] * wide + column.clamp(0, wide - 1)[..., None, :]
    moved = x.flatten(-2).gather(-1, place.flatten(-2)).reshape(x.shape)
    return torch.where(inside, moved, x.amin((-3, -2, -1), keepdim=True))


def _steps(key: Tensor, count: int, reach: int) -> Tensor:
    """Whole numbers from -reach to reach, evenly, ``[..., count, 1]`` int64."""
    drawn = noise.uniform(key[..., None], (count,))
    return (torch.floor(drawn * (2 * reach + 1)) - reach).to(torch.int64)[..., None]
