"""Initial weights, every number drawn from a generator that is passed in.

Weights are drawn in float32 on the CPU as standard normals and then scaled, so two arms with the same
seed share the draw and differ only by their scale. Never touches torch's global generator.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from claimcheck.errors import ClaimcheckError

VARIANCES: dict[str, Callable[[int, int], float]] = {
    "he": lambda fan_in, fan_out: 2.0 / fan_in,  # He et al. 2015, eq. 10
    "xavier": lambda fan_in, fan_out: 2.0 / (fan_in + fan_out),  # Glorot & Bengio 2010, eq. 12
    "lecun": lambda fan_in, fan_out: 1.0 / fan_in,  # LeCun, Bottou, Orr, Müller 1998, Efficient BackProp, eq. 16
}


def weight_variance(init: str | float, fan_in: int, fan_out: int) -> float:
    """Variance of one weight. A number is sigma_w^2 of mean-field theory: the variance is ``init / fan_in``."""
    if not isinstance(init, str):
        return float(init) / fan_in
    if init not in VARIANCES:
        raise ClaimcheckError(f"init: found {init!r}, expected a number or one of {', '.join(VARIANCES)}")
    return VARIANCES[init](fan_in, fan_out)


def draw(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Standard normals, ``shape``, float32 on the CPU."""
    return torch.randn(shape, generator=generator)


def initialize(
    layer: nn.Module,
    generator: torch.Generator,
    init: str | float = "he",
    gain: float = 1.0,
    bias_variance: float = 0.0,
) -> nn.Module:
    """Fill a linear or convolution layer (weight ``[out, in, *kernel]``) in place and return it.

    ``gain`` multiplies the standard deviation of the weights. Biases are zero unless ``bias_variance`` (sigma_b^2)
    is given; biases are then drawn after the weights.
    """
    weight = layer.weight
    receptive = math.prod(weight.shape[2:])
    variance = weight_variance(init, weight.shape[1] * receptive, weight.shape[0] * receptive)
    with torch.no_grad():
        weight.copy_(draw(tuple(weight.shape), generator) * (math.sqrt(variance) * gain))
        if layer.bias is not None:
            if bias_variance:
                layer.bias.copy_(draw(tuple(layer.bias.shape), generator) * math.sqrt(bias_variance))
            else:
                layer.bias.zero_()
    return layer
