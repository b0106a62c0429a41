"""Learning-rate schedules as multipliers of each run's learning rate, computed before training in float64.

Pure functions of (name, parameters, number of steps); the engine looks a step up in the table ``[steps, R]``.
"""

from __future__ import annotations

import numpy as np

from claimcheck.errors import ClaimcheckError

SCHEDULES = ("constant", "step", "cosine", "linear", "exponential")


def decay(
    name: str, progress: np.ndarray, milestones: tuple[float, ...] = (0.5, 0.75), factor: float = 0.1
) -> np.ndarray:
    """Multiplier at ``progress`` in [0, 1).

    - ``constant`` 1
    - ``step`` ``factor`` to the number of ``milestones`` (shares of the way) passed
    - ``cosine`` (1 + cos(pi progress)) / 2 (Loshchilov & Hutter 2017, eq. 5, one period, to zero)
    - ``linear`` 1 - progress
    - ``exponential`` from 1 to ``factor`` geometrically; a ``factor`` above 1 is a range test's ramp
    """
    if name == "constant":
        return np.ones_like(progress)
    if name == "step":
        return factor ** sum((progress >= milestone - 1e-12).astype(float) for milestone in milestones)
    if name == "cosine":
        return 0.5 * (1.0 + np.cos(np.pi * progress))
    if name == "linear":
        return 1.0 - progress
    if name == "exponential":
        return factor**progress
    raise ClaimcheckError("unknown schedule", found=name, expected=f"one of {', '.join(SCHEDULES)}")


def multipliers(
    name: str,
    steps: int,
    warmup: float = 0.0,
    milestones: tuple[float, ...] = (0.5, 0.75),
    factor: float = 0.1,
) -> np.ndarray:
    """Multipliers ``[steps]`` float64 of the steps 0 ... steps - 1.

    The first ``round(warmup * steps)`` steps rise linearly (step t has (t + 1) / warm steps, so the first is not zero);
    the schedule ``name`` then runs over the rest.
    """
    warm = round(float(warmup) * steps)
    t = np.arange(steps, dtype=np.float64)
    rest = max(steps - warm, 1)
    table = decay(name, np.maximum(t - warm, 0.0) / rest, milestones, factor)
    return np.where(t < warm, (t + 1.0) / max(warm, 1), table)
