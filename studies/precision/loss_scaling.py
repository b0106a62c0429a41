"""Loss scaling for an ensemble: each member has its own scale, grown and backed off as gradients stay or stop finite.

The rule is that of ``torch.amp.GradScaler`` (and of Micikevicius et al. 2018, section 3.2): after a
step with an infinity or NaN the scale is halved and the step skipped; after ``interval`` good steps it is doubled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossScale:
    """Scales of R members.

    Attributes:
        scale: ``[R]`` float32, powers of two. good: steps since the last change, ``[R]`` int64.
        dynamic: whether the scale reacts. interval: good steps before it doubles.
    """

    scale: Tensor
    good: Tensor
    dynamic: bool
    interval: int

    @classmethod
    def start(cls, scale: Tensor, dynamic: bool, interval: int) -> LossScale:
        """Scales at the beginning of training."""
        scale = scale.to(torch.float32)
        return cls(scale, torch.zeros_like(scale, dtype=torch.int64), dynamic, interval)

    def unscale(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient ``[R, P]`` without the scale, and which members' gradients are finite, ``[R]`` bool."""
        finite = torch.isfinite(gradient).all(1)
        return gradient / self.scale[:, None], finite

    def after(self, finite: Tensor) -> LossScale:
        """The scales for the next step."""
        if not self.dynamic:
            return self
        good = torch.where(finite, self.good + 1, 0)
        grow = good >= self.interval
        scale = torch.where(finite, torch.where(grow, self.scale * 2.0, self.scale), self.scale / 2.0)
        return replace(self, scale=scale, good=torch.where(grow, 0, good))
