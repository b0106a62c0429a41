"""Low-rank adaptation (LoRA; Hu et al. 2022): a trained network stays as it is, its matrices get small products beside.

What is not trained becomes a buffer, so an ensemble keeps it, one for each member, but no optimiser sees it. Made for
layers of :mod:`claimcheck.engine.layers`, so that a network which knows the ensemble dimension still does. Nothing here
trains.
"""

from __future__ import annotations

import copy

from torch import Generator, Tensor, nn

from claimcheck.engine.initializers import initialize
from claimcheck.engine.layers import Linear, for_ensembles
from claimcheck.errors import ClaimcheckError


@for_ensembles
class LowRank(nn.Module):
    """``x (W + s B A)^T + b``, where A ``[rank, in]`` and B ``[out, rank]`` are trained, W and b are not.

    A is drawn with variance 1 / in, B is zero, so at the start the layer gives what it gave (Hu et al. 2022, section
    4.1). ``s = alpha / rank``, so that one rate serves several ranks.

    Args:
        layer: what is adapted; it is copied.
        rank: of the product, from 1 to the smaller side of W.

    Raises:
        ClaimcheckError: a rank that W cannot have.
    """

    def __init__(self, layer: Linear, rank: int, *, generator: Generator, alpha: float = 1.0) -> None:
        super().__init__()
        (outputs, inputs), most = layer.weight.shape, min(layer.weight.shape)
        if not 1 <= rank <= most:
            raise ClaimcheckError("rank of a low-rank product", found=rank, expected=f"1 to {most}, the smaller side")
        self.kept = frozen(layer)
        self.down = initialize(Linear(inputs, rank, bias=False), generator, "lecun")
        self.up = Linear(rank, outputs, bias=False)
        nn.init.zeros_(self.up.weight)
        self.scale = alpha / rank

    def forward(self, input: Tensor) -> Tensor:
        return self.kept(input) + self.scale * self.up(self.down(input))

    @property
    def weight(self) -> Tensor:
        """``W + s B A``: whoever reads the matrix of a layer gets the one that it has become."""
        return self.kept.weight + self.scale * (self.up.weight @ self.down.weight)

    @property
    def bias(self) -> Tensor | None:
        return self.kept.bias


def adapted(
    network: nn.Module, rank: int, *, generator: Generator, alpha: float = 1.0, whole: str | None = None
) -> nn.Module:
    """A copy of which only low-rank products are trained, one in each :class:`~claimcheck.engine.layers.Linear`.

    A matrix with a side below ``rank`` gets a product of the rank that it can have. The module ``whole`` gets none and
    is trained as it is: a classifier's last layer, as a rule.
    """
    network = frozen(network, but=whole)
    spared = set() if whole is None else set(network.get_submodule(whole).modules())
    for name, layer in list(network.named_modules()):
        if type(layer) is Linear and layer not in spared:
            own = LowRank(layer, min(rank, *layer.weight.shape), generator=generator, alpha=alpha)
            if not name:
                return own
            network.set_submodule(name, own)
    return network


def frozen(network: nn.Module, *, but: str | None = None) -> nn.Module:
    """A copy of which nothing is trained ``but`` the module of that name: other parameters are buffers of their name."""
    network = copy.deepcopy(network)
    spared = set() if but is None else set(network.get_submodule(but).modules())
    for module in network.modules():
        for name, value in [] if module in spared else list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, value.detach())
    return network


def trained(network: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(value.numel() for value in network.parameters() if value.requires_grad)
