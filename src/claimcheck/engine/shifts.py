"""Examples moved inside a training step, from counter-based noise (see `noise`): no generator, no global state."""

import torch

from claimcheck.engine import noise


def shifted(x, key, reach, strength=1.0):
    """Examples moved by a random whole number of places, at most `reach` each way, each example on its own.

    Series [B, L] go around the end. Images [B, 1, H, W] are filled with the darkest value of the batch. `key` is an int64
    scalar of the member and step; `strength` is 1 to move them, 0 to leave them (may differ along an ensemble). Of R
    members at once: `key` [R], `strength` [R] or a number, examples [R, B, ...].
    """
    members = key.dim()
    count = x.shape[members]
    if x.dim() == members + 2:
        place = torch.arange(x.shape[-1], device=x.device)
        return x.gather(-1, (place + _steps(key, count, reach, strength)) % x.shape[-1])
    high, wide = x.shape[-2:]
    down, right = (_steps(noise.fold(key, number), count, reach, strength) for number in (1, 2))
    # Copied into a frame of the darkest value, from which each image is cut where its steps say.
    framed = x.amin((-4, -3, -2, -1), keepdim=True).expand(*x.shape[:-2], high + 2 * reach, wide + 2 * reach).clone()
    framed[..., reach : reach + high, reach : reach + wide] = x
    corner = (down + reach) * framed.shape[-1] + right + reach
    place = torch.arange(high, device=x.device)[:, None] * framed.shape[-1] + torch.arange(wide, device=x.device)
    return framed.flatten(-3).gather(-1, corner + place.flatten()).unflatten(-1, x.shape[-3:])


def _steps(key, count, reach, strength):
    """Whole numbers from -reach to reach, evenly, [..., count, 1] int64 for keys [...]."""
    drawn = torch.floor(noise.uniform(noise.fold(key, 7), (count, 1)) * (2 * reach + 1)) - reach
    strength = strength[..., None, None] if isinstance(strength, torch.Tensor) else strength
    return (drawn * strength).to(torch.int64)
