"""The networks that are trained: a shallow convolutional one in the manner of LeNet-5 and AlexNet, and a deep stack.

Both take one network's tensors or R networks' stacked ones (:mod:`claimcheck.engine.layers`). A feature map is a matrix
``[..., B * P, C]``, a row for each of the P places of each example, so that a convolution is one matrix product.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from claimcheck.engine.initializers import initialize
from claimcheck.engine.layers import LayerNorm, Linear, flattened, for_ensembles
from claimcheck.engine.networks import activation_of, linear
from claimcheck.engine.noise import Dropout


@for_ensembles
class Convolution(Linear):
    """A convolution with zeros around the grid: ``[..., B * P, C]`` to ``[..., B * P', outputs]``.

    Args:
        inputs, outputs: channels. grid: places of the input, (height, width); a signal is one high.
        kernel: side of the square, or length of the interval, that a place sees; odd. stride: in both directions.
    """

    def __init__(self, inputs: int, outputs: int, grid: tuple[int, int], kernel: int, stride: int = 1) -> None:
        self.grid, self.stride = grid, stride
        self.kernel = tuple(min(kernel, 2 * side - 1) for side in grid)
        super().__init__(math.prod(self.kernel) * inputs, outputs)
        self.places = tuple((side - 1) // stride + 1 for side in grid)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(patches(input, self.grid, self.kernel, self.stride))


def patches(input: Tensor, grid: tuple[int, int], kernel: tuple[int, int], stride: int = 1) -> Tensor:
    """What each place of a convolution sees, zeros around the grid: ``[..., B * P, C]`` to ``[..., B * P', K * C]``."""
    (high, wide), (rows, columns) = kernel, ((side - 1) // stride + 1 for side in grid)
    padded = F.pad(input.unflatten(-2, (-1, *grid)), (0, 0, wide // 2, wide // 2, high // 2, high // 2))
    seen = [
        padded[..., i : i + stride * (rows - 1) + 1 : stride, j : j + stride * (columns - 1) + 1 : stride, :]
        for i in range(high)
        for j in range(wide)
    ]
    return torch.cat(seen, -1).flatten(-4, -2)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x W^T + b`` of one network, or of R whose tensors are stacked."""
    return F.linear(x, weight, bias) if weight.dim() == 2 else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an example ``[..., H, W]`` or of a signal ``[L]``, which is one high."""
    return (1, shape[-1]) if len(shape) == 1 else (shape[-2], shape[-1])


def as_places(x: Tensor, weight: Tensor) -> Tensor:
    """Examples of one channel as ``[..., B * P, 1]``; ``weight`` tells whether members are stacked."""
    return x.reshape(*x.shape[: weight.dim() - 2], -1, 1)


@for_ensembles
class Convolutional(nn.Module):
    """Two convolutions that halve the grid, one hidden layer with dropout after it, the classes.

    The rate of dropout may differ along an ensemble. A signal's kernel is 5 long, an image's 3 wide.
    """

    def __init__(
        self, shape: tuple[int, ...], channels: int, outputs: int, *, generator: Generator, activation: str,
        init: str, dropout: float,
    ) -> None:  # fmt: skip
        super().__init__()
        kernel = 5 if len(shape) == 1 else 3
        first = Convolution(1, channels, grid_of(shape), kernel, stride=2)
        second = Convolution(channels, 2 * channels, first.places, kernel, stride=2)
        self.convolutions = nn.ModuleList(initialize(layer, generator, init) for layer in (first, second))
        self.hidden = linear(2 * channels * math.prod(second.places), 4 * channels, generator, init=init)
        self.output = linear(4 * channels, outputs, generator, init=init)
        self.activations = nn.ModuleList(activation_of(activation) for _ in range(3))
        self.dropout = Dropout(dropout, generator)

    def forward(self, x: Tensor) -> Tensor:
        h, examples = as_places(x, self.output.weight), x.shape[self.output.weight.dim() - 2]
        for convolution, activation in zip(self.convolutions, self.activations):
            h = activation(convolution(h))
        h = self.activations[2](self.hidden(h.unflatten(-2, (examples, -1)).flatten(-2)))
        return self.output(self.dropout(h))


@for_ensembles
class Deep(nn.Module):
    """A first layer, ``depth`` equal ones, and an output layer that reads the mean over places after dropout.

    Without skip connections a layer is ``h <- activation(norm(W h + b))``; with them the first is linear, each of the
    others ``h <- h + (W activation(norm(h)) + b) / sqrt(depth)``, and the output reads ``activation(norm(h))`` (He et
    al. 2016, Identity mappings). Both are ``z <- keep * z + grow * (W activation(norm(z)) + b)`` for what goes into the
    norm: skip connections are two numbers, which may differ along an ensemble, as the rate of dropout may (with None no
    mask is drawn at all). Layers are fully connected, or convolutions 3 wide after a first one that is 5 wide and keeps
    every third place. The norm, if any, is layer norm without gain and offset. The equal layers' weights are one tensor
    ``[depth, width, n]``: one parameter to update.
    """

    def __init__(
        self, shape: tuple[int, ...], width: int, outputs: int, *, generator: Generator, depth: int, kind: str,
        activation: str, norm: str, residual: bool, init: str, dropout: float | None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.convolutional = kind == "cnn"
        if self.convolutional:
            first = Convolution(1, width, grid_of(shape), 5, stride=3)
            others = [Convolution(width, width, first.places, 3) for _ in range(depth)]
        else:
            first, others = Linear(math.prod(shape), width), [Linear(width, width) for _ in range(depth)]
        self.kernel = getattr(others[0], "kernel", None)
        self.first, *others = [initialize(layer, generator, init) for layer in (first, *others)]
        self.weights = nn.Parameter(torch.stack([layer.weight.detach() for layer in others]))
        self.biases = nn.Parameter(torch.stack([layer.bias.detach() for layer in others]))
        self.output = linear(width, outputs, generator, init=init)
        self.norm = LayerNorm(width, elementwise_affine=False) if norm == "layer" else None
        self.activation = activation_of(activation)
        self.dropout = nn.Identity() if dropout is None else Dropout(dropout, generator)
        self.register_buffer("keep", torch.tensor(1.0 if residual else 0.0))
        self.register_buffer("grow", torch.tensor(1.0 / math.sqrt(depth) if residual else 1.0))

    def _activate(self, z: Tensor) -> Tensor:
        return self.activation(z if self.norm is None else self.norm(z))

    def forward(self, x: Tensor) -> Tensor:
        weight, examples = self.output.weight, x.shape[self.output.weight.dim() - 2]
        keep, grow = self.keep[..., None, None], self.grow[..., None, None]
        z = self.first(as_places(x, weight) if self.convolutional else flattened(x, weight))
        for own_weight, own_bias in zip(self.weights.unbind(-3), self.biases.unbind(-2)):
            h = self._activate(z)
            h = patches(h, self.first.places, self.kernel) if self.convolutional else h
            z = torch.addcmul(affine(h, own_weight, own_bias) * grow, z, keep)
        h = self._activate(z)
        if self.convolutional:
            h = h.unflatten(-2, (examples, -1)).mean(-2)
        return self.output(self.dropout(h))
