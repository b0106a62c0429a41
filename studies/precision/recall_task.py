"""The recall task: which class was shown at the first moment of a series whose other moments are noise.

It can only be learnt through the whole length of the series, so it needs gradients that neither vanish nor explode
(after the temporal-order tasks of Hochreiter & Schmidhuber 1997 and Pascanu et al. 2013).
"""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.engine.data import Data


def recall(runs: pd.DataFrame, context: Any, purpose: str) -> Data:
    """Settings classes, examples N, length T, noise (sd); a run's data are its seed's.

    Returns each run's series ``[N, T, classes]``: a one-hot class, then noise; and the classes ``[N]``.
    """
    s, sets = context.settings, {}
    for seed in runs["seed"].unique():
        generator = context.generator(int(seed), purpose)
        y = torch.randint(s.classes, (s.examples,), generator=generator)
        x = s.noise * torch.randn(s.examples, s.length, s.classes, generator=generator)
        x[:, 0] = F.one_hot(y, s.classes).float() * math.sqrt(s.classes)
        sets[seed] = {"x": x, "y": y}
    own = {name: torch.stack([sets[seed][name] for seed in runs["seed"]]) for name in ("x", "y")}
    return Data({}, {name: value.to(context.device) for name, value in own.items()})
