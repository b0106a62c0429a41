"""Stacks whose blocks keep the weights that they start with, to tell what skips do from what blocks learn."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from claimcheck.engine.layers import flattened, for_ensembles
from claimcheck.engine.residual import Blocks, Stack, Stream
from claimcheck.engine.torch_private import relu_gradient

KINDS = {"scaled_frozen": "scaled", "zero_init_frozen": "zero_init", "detached": "unscaled", "magnified": "unscaled"}
"""Which stack it is, by the name that a run's kind has for it."""


class Route(Stream):
    """A stream that also says how the gradient goes back: `kept` times that of the skip, `times` that of the branch."""

    def __init__(self, kept: float, times: float) -> None:
        super().__init__()
        self.kept, self.times = kept, times


class Through(Blocks):
    """The same values; the gradient takes the stream's `Route`, and weights get none. For ensembles without ``vmap``."""

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (weights, skip, scale), route = ctx.saved_tensors, ctx.stream
        keep, grow = route.kept * skip[..., None, None], route.times * scale[..., None, None]
        for h, weight in zip(reversed(route.tensors), reversed(weights.unbind(-3)), strict=True):
            gradient = torch.addcmul(relu_gradient((gradient * grow) @ weight, h), gradient, keep)
        return gradient, None, None, None, None

    @staticmethod
    def vmap(*_):
        raise NotImplementedError("stacks of an ensemble are taken at once")


def freeze(module: nn.Module, *names: str) -> None:
    """Make parameters of a module buffers, which nothing trains."""
    for name in names:
        weight = getattr(module, name).detach()
        delattr(module, name)
        module.register_buffer(name, weight)


@for_ensembles
class Frozen(Stack):
    """A stack without norm of which the input layer is trained, and the output layer unless `input_only`.

    Args:
        kept: what the gradient that a skip passes is multiplied by; with 0 it goes back through the branches alone.
        times: what the gradient that a branch passes is multiplied by.
    """

    def __init__(self, *args, kept: float = 1.0, times: float = 1.0, input_only: bool = False, **how) -> None:
        super().__init__(*args, **how)
        self.kept, self.times = kept, times
        freeze(self, "blocks")
        if input_only:
            freeze(self.output, "weight", "bias")

    def features(self, x: Tensor) -> Tensor:
        """What the output layer reads, ``[B, width]``."""
        if not (self.training and torch.is_grad_enabled()):
            return super().features(x)
        h = self.input(flattened(x, self.output.weight))
        return torch.relu(Through.apply(h, self.blocks, self.skip, self.scale, Route(self.kept, self.times)))


def stack(*args, kind: str, weight_variance: float, input_only: bool, **how) -> Stack:
    """The stack of this kind, all of it trained unless the kind or `input_only` says otherwise.

    Where it is `detached`, no skip passes a gradient, which vanishes with the branches' slopes; where `magnified`, each
    branch passes as much of it as one with He's weights.
    """
    how |= {"kind": KINDS.get(kind, kind), "weight_variance": weight_variance}
    if kind not in KINDS and not input_only:
        return Stack(*args, **how)
    kept = 0.0 if kind in ("detached", "magnified") else 1.0
    times = math.sqrt(2.0 / weight_variance) if kind == "magnified" else 1.0
    return Frozen(*args, kept=kept, times=times, input_only=input_only, **how)
