"""What runs and figures of this study share: the schedules by name."""

from __future__ import annotations

import numpy as np

GUESSING = float(np.log(10.0))  # loss of ten equally likely classes, nats
RECIPES = {  # name -> schedule of claimcheck.engine.schedules, share of warmup
    **{name: (name, 0.0) for name in ("constant", "step", "exponential", "linear", "cosine")},
    "epoch_step": ("step", 0.0),
    "warmup_cosine": ("cosine", 0.1),
}


def shape_of(name: str, steps: int, epoch: int, last: float) -> tuple[tuple[float, ...], float]:
    """Milestones (shares of the way) and decay factor with which the engine makes a recipe.

    Args:
        epoch: steps of an epoch. last: share of the first rate that the decay per epoch ends with, and the exponential.

    Returns:
        Of ``epoch_step``, the lecture's form, the ends of all epochs and the factor gamma of each; of the others halves
        and three quarters of the way and a tenth (``step``), or ``last`` (``exponential``).
    """
    if name != "epoch_step":
        return (0.5, 0.75), last if name == "exponential" else 0.1
    ends = np.arange(epoch, steps, epoch)
    return tuple(float(end) / steps for end in ends), float(last ** (1.0 / max(len(ends), 1)))
