"""The networks that are trained: a shallow convolutional one in the manner of LeNet-5 and AlexNet, and a deep stack.

Both take one network's tensors or R networks' stacked ones (:mod:`claimcheck.engine.layers`). A feature map of C channels
at P places is ``[B, C * P]`` of one network, ``[B, R, C * P]`` of R, so that these are the groups of one convolution.
"""

import math
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from claimcheck.engine.initializers import initialize
from claimcheck.engine.layers import LayerNorm, Linear, flattened, for_ensembles
from claimcheck.engine.networks import activation_of, linear
from claimcheck.engine.noise import Dropout


@for_ensembles
class Convolution(Linear):
    """A convolution with zeros around the grid: ``[B, C * P]`` to ``[B, outputs * P']``, with R after B if stacked.

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
        return convolved(input, self.weight, self.bias, self.grid, self.kernel, self.stride)


def convolved(
    x: Tensor, weight: Tensor, bias: Tensor, grid: tuple[int, int], kernel: tuple[int, int], stride: int = 1
) -> Tensor:
    """A map's convolution by weights ``[..., outputs, C * K]``, K being the places of the kernel.

    One call for all members takes a quarter of the time of products of matrices with what each place sees, which is K
    times the map. A group alone is computed by other code than two, so a member without company is given itself: its
    numbers are the same in any ensemble.
    """
    if weight.dim() == 2:
        members = 1
    elif len(weight) == 1:
        doubled = x.expand(-1, 2, -1), weight.expand(2, -1, -1), bias.expand(2, -1)
        return convolved(*doubled, grid, kernel, stride)[:, :1]
    else:
        members = len(weight)
    maps, filters = x.reshape(len(x), -1, *grid), weight.reshape(len(bias.flatten()), -1, *kernel)
    around = tuple(side // 2 for side in kernel)
    y = F.conv2d(maps, filters, bias.flatten(), stride, around, groups=members)
    return y.reshape(*x.shape[:-1], -1)


def filled(layer: Linear, generator: Generator, init: str) -> Linear:
    """The layer with its initial weights, a convolution's as filters ``[outputs, C, *kernel]``: each output is one of K
    places that see an input, so that Glorot's fan-out is K times the channels."""
    filters = layer.weight.detach().unflatten(1, (-1, *getattr(layer, "kernel", ())))
    initialize(SimpleNamespace(weight=filters, bias=layer.bias), generator, init)
    return layer


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """``x W^T + b`` of one network, or of R whose tensors are stacked."""
    return F.linear(x, weight, bias) if weight.dim() == 2 else torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an example ``[..., H, W]`` or of a signal ``[L]``, which is one high."""
    return (1, shape[-1]) if len(shape) == 1 else (shape[-2], shape[-1])


def as_map(x: Tensor, weight: Tensor) -> Tensor:
    """Examples ``[..., B, H, W]`` of one channel as a map; ``weight`` tells whether members are stacked."""
    x = flattened(x, weight)
    return x.transpose(0, 1) if weight.dim() == 3 else x


def as_rows(h: Tensor, weight: Tensor) -> Tensor:
    """What a fully connected layer reads of a map: ``[B, n]`` of one network, ``[R, B, n]`` of R."""
    return h.transpose(0, 1) if weight.dim() == 3 else h


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
        self.convolutions = nn.ModuleList(filled(layer, generator, init) for layer in (first, second))
        self.hidden = linear(2 * channels * math.prod(second.places), 4 * channels, generator, init=init)
        self.output = linear(4 * channels, outputs, generator, init=init)
        self.activations = nn.ModuleList(activation_of(activation) for _ in range(3))
        self.dropout = Dropout(dropout, generator)

    def forward(self, x: Tensor) -> Tensor:
        h = as_map(x, self.output.weight)
        for convolution, activation in zip(self.convolutions, self.activations):
            h = activation(convolution(h))
        h = self.activations[2](self.hidden(as_rows(h, self.output.weight)))
        return self.output(self.dropout(h))


@for_ensembles
class Deep(nn.Module):
    """A first layer, ``depth`` equal ones, and an output layer that reads all of the last one after dropout.

    Without skip connections a layer is ``h <- activation(norm(W h + b))``; with them the first is linear, each of the
    others ``h <- h + (W activation(norm(h)) + b) / sqrt(depth)``, and the output reads ``activation(norm(h))`` (He et
    al. 2016, Identity mappings). Both are ``z <- keep * z + grow * (W activation(norm(z)) + b)`` for what goes into the
    norm: skip connections are two numbers, which may differ along an ensemble, as the rate of dropout may (with None no
    mask is drawn at all). Layers are fully connected, or convolutions 3 wide after a first one that is 5 wide and keeps
    every third place. The norm, if any, is layer norm, of all channels and places, without gain and offset. The equal
    layers' weights are one tensor ``[depth, width, n]``: one parameter to update.
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
        self.first, *others = [filled(layer, generator, init) for layer in (first, *others)]
        self.weights = nn.Parameter(torch.stack([layer.weight.detach() for layer in others]))
        self.biases = nn.Parameter(torch.stack([layer.bias.detach() for layer in others]))
        units = width * math.prod(getattr(self.first, "places", (1,)))
        self.output = linear(units, outputs, generator, init=init)
        self.norm = LayerNorm(units, elementwise_affine=False) if norm == "layer" else None
        self.activation = activation_of(activation)
        self.dropout = nn.Identity() if dropout is None else Dropout(dropout, generator)
        self.register_buffer("keep", torch.tensor(1.0 if residual else 0.0))
        self.register_buffer("grow", torch.tensor(1.0 / math.sqrt(depth) if residual else 1.0))

    def _activate(self, z: Tensor) -> Tensor:
        return self.activation(z if self.norm is None else self.norm(z))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.output.weight
        if self.convolutional:
            z, layer = self.first(as_map(x, weight)), partial(convolved, grid=self.first.places, kernel=self.kernel)
            keep, grow = self.keep[..., None], self.grow[..., None]
        else:
            z, layer = self.first(flattened(x, weight)), affine
            keep, grow = self.keep[..., None, None], self.grow[..., None, None]
        for own_weight, own_bias in zip(self.weights.unbind(-3), self.biases.unbind(-2)):
            z = torch.addcmul(layer(self._activate(z), own_weight, own_bias) * grow, z, keep)
        h = self._activate(z)
        return self.output(self.dropout(as_rows(h, weight) if self.convolutional else h))
