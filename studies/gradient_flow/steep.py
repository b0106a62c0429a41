"""A plain network whose activation is applied to a multiple of what it is given."""

from torch import Tensor

from claimcheck.engine.layers import for_ensembles
from claimcheck.engine.networks import MLP


@for_ensembles
class Steep(MLP):
    """`claimcheck.engine.networks.MLP` with tanh(multiplier * (W h + b)) for tanh(W h + b): at 8 a unit saturates at an
    eighth of the pre-activation, with weights of the usual size. One multiplier for a whole ensemble."""

    def __init__(self, *args, multiplier: float, **how) -> None:
        super().__init__(*args, **how)
        self.multiplier, self.rectified = float(multiplier), False

    def _activate(self, layer: int, h: Tensor) -> Tensor:
        return super()._activate(layer, self.multiplier * h)
