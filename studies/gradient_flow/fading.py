"""A residual network that trains, whose gradient, and nothing else, is multiplied on its way back through each block."""

import torch
from torch import Tensor

from claimcheck.engine.layers import flattened, for_ensembles
from claimcheck.engine.networks import MLP


@for_ensembles
class Fading(MLP):
    """The scaled residual network of `claimcheck.engine.networks.MLP`, with a factor for the gradient of each block.

    Going forward it is that network to the last bit. Going back, what arrives before a block is multiplied by `factor`;
    before the block with the number `frozen` by 0, so that it and those before it get no gradient at all.

    Args:
        frozen: how many of the early layers get no gradient, the first linear one among them.
    """

    def __init__(self, *args, factor: float, frozen: int, **how) -> None:
        super().__init__(*args, residual="scaled", **how)
        factors = torch.full((len(self.hidden) - 1,), float(factor))
        if frozen:
            factors[frozen - 1] = 0.0
        self.register_buffer("factors", factors)

    def features(self, x: Tensor) -> Tensor:
        """What the output layer reads, ``[B, width]``."""
        h = self.hidden[0](flattened(x, self.hidden[0].weight))
        for block, layer in enumerate(self.hidden[1:]):
            factor = self.factors[..., block, None, None]
            h = h.detach() + factor * (h - h.detach())
            h = h + self.scale * layer(self._activate(block, h))
        return self._activate(len(self.hidden) - 1, h)
