"""The networks that the studies train: plain ``nn.Module``s, written for one network.

MLPs and RNNs are made of the layers of :mod:`claimcheck.engine.layers`, which compute R networks at once where their
tensors are stacked; convolutional networks are mapped over the members.

Every weight is drawn from the generator that is passed in, layer by layer from the input, so two networks of the same
shapes and seed start alike up to their ``init`` and ``gain``, whatever their activation, normalisation or residual
form. Linear and convolution layers are made without torch's own random initialisation (no global random state).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from claimcheck.engine.initializers import initialize
from claimcheck.engine.layers import BatchNorm1d, LayerNorm, Linear, Rectified, RMSNorm, flattened, for_ensembles
from claimcheck.engine.noise import Dropout
from claimcheck.engine.rounding import Sigmoid, Swish
from claimcheck.errors import ClaimcheckError

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "swish": Swish,
    "gelu": nn.GELU,
    "sigmoid": Sigmoid,
    "linear": nn.Identity,
}
NORMS = ("batch", "layer", "rms")
RESIDUALS = ("unscaled", "scaled", "zero_init", "pre_norm")


def activation_of(name: str) -> nn.Module:
    """A new module of that activation at each call, since measurements hook it."""
    if name not in ACTIVATIONS:
        raise ClaimcheckError("unknown activation", found=name, expected=f"one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]()


def norm_of(name: str | None, features: int, images: bool = False) -> nn.Module | None:
    """A normalisation over ``features``, which are the channels of ``images``; None for none."""
    if name is None or name == "none":
        return None
    if name == "batch":
        return nn.BatchNorm2d(features) if images else BatchNorm1d(features)
    if name == "layer":
        return nn.GroupNorm(1, features) if images else LayerNorm(features)
    if name == "rms" and not images:
        return RMSNorm(features, eps=1e-5)
    raise ClaimcheckError("unknown normalisation", found=name, expected=f"None or one of {', '.join(NORMS)}")


class _Conv2d(nn.Conv2d):
    reset_parameters = Linear.reset_parameters


def linear(inputs: int, outputs: int, generator: Generator, bias: bool = True, **init: Any) -> Linear:
    """A linear layer, initialised from ``generator`` by :func:`claimcheck.engine.initializers.initialize`."""
    return initialize(Linear(inputs, outputs, bias=bias), generator, **init)


def conv(
    inputs: int,
    outputs: int,
    kernel: int,
    generator: Generator,
    *,
    stride: int = 1,
    bias: bool = True,
    **init: Any,
) -> nn.Module:
    """``nn.Conv2d`` with "same" padding (for stride 1), initialised from ``generator``."""
    layer = _Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=bias)
    return initialize(layer, generator, **init)


@for_ensembles
class MLP(nn.Module):
    """Fully connected network, inputs ``[B, ...]`` (flattened) to outputs ``[B, outputs]``.

    Without ``residual``, hidden layer l is ``h <- activation(norm(W_l h + b_l))``. With it, the first layer is linear
    and each further one is a pre-activation block (He et al. 2016, Identity mappings)
    ``h <- h + c * (W_l activation(norm(h)) + b_l)``, and the output layer reads ``activation(norm(h))``:

    - ``unscaled`` c = 1; ``scaled`` c = 1 / sqrt(number of blocks);
    - ``zero_init`` c = 1 and W_l = 0 at the start (the draw is made, then zeroed, so other layers are unaffected);
    - ``pre_norm`` c = 1 with a normalisation in every block (layer norm unless ``norm`` says otherwise).

    Args:
        inputs, outputs: features in and out.
        widths: widths of the hidden layers, or one width together with ``depth`` (number of hidden layers).
        activation: relu, tanh, swish, gelu, sigmoid, linear.
        norm: None, batch, layer, rms.
        residual: None, unscaled, scaled, zero_init, pre_norm; needs equal widths.
        init: he, xavier, lecun, or a number sigma_w^2 (weight variance sigma_w^2 / fan_in).
        gain: multiplies the standard deviation of every weight. May differ along the ensemble.
        output_init: like ``init``, for the output layer; None for the same.
        bias_variance: sigma_b^2 of the initial biases.
        dropout: rate after each activation, may differ along the ensemble; None for no dropout at all.
    """

    def __init__(
        self,
        inputs: int,
        widths: Sequence[int] | int,
        outputs: int,
        *,
        generator: Generator,
        depth: int | None = None,
        activation: str = "relu",
        norm: str | None = None,
        residual: str | None = None,
        init: str | float = "he",
        gain: float = 1.0,
        output_init: str | float | None = None,
        bias: bool = True,
        bias_variance: float = 0.0,
        dropout: float | None = None,
    ) -> None:
        super().__init__()
        widths = (
            [int(widths)] * int(1 if depth is None else depth) if not isinstance(widths, Sequence) else list(widths)
        )
        if residual == "none":
            residual = None
        if residual is not None and (residual not in RESIDUALS or len(set(widths)) > 1):
            raise ClaimcheckError(
                "residual",
                found=f"{residual} with widths {widths[:4]}",
                expected=f"one of {', '.join(RESIDUALS)} and equal widths",
            )
        if residual == "pre_norm" and norm in (None, "none"):
            norm = "layer"
        sizes = [inputs, *widths]
        how = {"gain": gain, "bias": bias, "bias_variance": bias_variance}
        self.hidden = nn.ModuleList(linear(a, b, generator, init=init, **how) for a, b in zip(sizes, widths))
        self.output = linear(sizes[-1], outputs, generator, init=init if output_init is None else output_init, **how)
        if residual == "zero_init":
            for layer in self.hidden[1:]:
                nn.init.zeros_(layer.weight)
        norms = [norm_of(norm, width) for width in widths]
        self.norms = nn.ModuleList(norms) if norms and norms[0] is not None else None
        self.activations = nn.ModuleList(activation_of(activation) for _ in widths)
        self.dropouts = None if dropout is None else nn.ModuleList(Dropout(dropout, generator) for _ in widths)
        self.residual = residual
        self.scale = 1.0 / math.sqrt(max(len(widths) - 1, 1)) if residual == "scaled" else 1.0
        self.rectified = activation == "relu" and bias and not (self.norms or self.dropouts or residual)
        self.trained_stacked = False

    def _activate(self, layer: int, h: Tensor) -> Tensor:
        if self.norms is not None:
            h = self.norms[layer](h)
        h = self.activations[layer](h)
        return h if self.dropouts is None else self.dropouts[layer](h)

    def features(self, x: Tensor) -> Tensor:
        """What the output layer reads: the last hidden layer's activations, ``[B, width]``."""
        h = flattened(x, self.output.weight)
        if self.trained_stacked and self.rectified and len(self.hidden):
            return Rectified.apply(h, *(each for layer in self.hidden for each in (layer.weight, layer.bias)))
        for layer, weight_layer in enumerate(self.hidden):
            if self.residual is None:
                h = self._activate(layer, weight_layer(h))
            elif layer == 0:
                h = weight_layer(h)
            else:
                branch = weight_layer(self._activate(layer - 1, h))
                h = h + (branch if self.scale == 1.0 else branch * self.scale)
        if self.residual is not None and len(self.hidden):
            h = self._activate(len(self.hidden) - 1, h)
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


class Cnn2d(nn.Module):
    """A five-layer CNN of the widths of that of Nakkiran et al. 2020 (Deep double descent; theirs has batch norm and pools
    later): convolutions of c, 2c, 4c, 8c channels, kernel 3, each followed by max-pooling by 2 while the image allows,
    then a linear layer.

    Images ``[B, H, W]`` or ``[B, channels, H, W]`` of at least 4 x 4; features are averaged over what space is left.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        generator: Generator,
        channels: int = 16,
        activation: str = "relu",
        norm: str | None = None,
        dropout: float | None = None,
        **init: Any,
    ) -> None:
        super().__init__()
        self.inputs = inputs
        widths = [channels, 2 * channels, 4 * channels, 8 * channels]
        pairs = zip([inputs, *widths], widths)
        self.convolutions = nn.ModuleList(conv(a, b, 3, generator, **init) for a, b in pairs)
        self.output = linear(widths[-1], outputs, generator, **init)
        self.norms = None if norm is None else nn.ModuleList(norm_of(norm, width, images=True) for width in widths)
        self.activations = nn.ModuleList(activation_of(activation) for _ in widths)
        self.dropout = None if dropout is None else Dropout(dropout, generator)

    def features(self, x: Tensor) -> Tensor:
        """Channel means of the last feature map, ``[B, 8 channels]``."""
        h = x.reshape(x.shape[0], self.inputs, *x.shape[-2:])
        for layer, convolution in enumerate(self.convolutions):
            h = convolution(h)
            h = self.activations[layer](h if self.norms is None else self.norms[layer](h))
            if min(h.shape[-2:]) >= 2:
                h = F.max_pool2d(h, 2)
        h = h.mean((2, 3))
        return h if self.dropout is None else self.dropout(h)

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


class _Block(nn.Module):
    """Two 3 x 3 convolutions; the shortcut, where there is one, subsamples and pads channels with zeros."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, norm: str | None, residual: bool, activation: str, **how: Any
    ) -> None:
        super().__init__()
        self.first = conv(inputs, outputs, 3, stride=stride, **how)
        self.second = conv(outputs, outputs, 3, **how)
        self.norms = None if norm is None else nn.ModuleList(norm_of(norm, outputs, images=True) for _ in range(2))
        self.activations = nn.ModuleList(activation_of(activation) for _ in range(2))
        self.residual, self.stride, self.extra = residual, stride, outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x)
        h = self.activations[0](h if self.norms is None else self.norms[0](h))
        h = self.second(h)
        h = h if self.norms is None else self.norms[1](h)
        if self.residual:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            h = h + F.pad(shortcut, (0, 0, 0, 0, 0, self.extra))
        return self.activations[1](h)


class ResNet(nn.Module):
    """The CIFAR network of He et al. 2016 (Deep residual learning, section 4.2) of depth ``6 n + 2``, with or without
    shortcuts (option A: no parameters in them). Images ``[B, H, W]`` or ``[B, channels, H, W]``."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        generator: Generator,
        depth: int = 8,
        channels: int = 16,
        residual: bool = True,
        norm: str | None = "batch",
        activation: str = "relu",
        **init: Any,
    ) -> None:
        super().__init__()
        if depth < 8 or (depth - 2) % 6:
            raise ClaimcheckError("depth of a ResNet", found=depth, expected="6 n + 2 (8, 14, 20, ...)")
        self.inputs = inputs
        how = {"generator": generator, "bias": norm is None, **init}
        self.first = conv(inputs, channels, 3, **how)
        self.norm = norm_of(norm, channels, images=True)
        self.activation = activation_of(activation)
        blocks, width = [], channels
        for stage in range(3):
            for block in range((depth - 2) // 6):
                wider = channels * 2**stage
                stride = 2 if stage and not block else 1
                blocks.append(_Block(width, wider, stride, norm, residual, activation, **how))
                width = wider
        self.blocks = nn.ModuleList(blocks)
        self.output = linear(width, outputs, generator, **init)

    def features(self, x: Tensor) -> Tensor:
        """Channel means of the last feature map, ``[B, 4 channels]``."""
        h = self.first(x.reshape(x.shape[0], self.inputs, *x.shape[-2:]))
        h = self.activation(h if self.norm is None else self.norm(h))
        for block in self.blocks:
            h = block(h)
        return h.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


@for_ensembles
class Rnn(nn.Module):
    """Elman network: ``h_t = tanh(W_x x_t + W_h h_{t-1} + b)``, and a linear layer that reads the last ``h_t``.

    Series ``[B, T]`` or ``[B, T, inputs]``. ``recurrent_gain`` multiplies the standard deviation of ``W_h`` only,
    which is drawn with variance ``recurrent_gain^2 / hidden`` (its spectral radius is then about the gain).
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        generator: Generator,
        recurrent_gain: float = 1.0,
        activation: str = "tanh",
        init: str | float = "lecun",
        gain: float = 1.0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.inputs, self.width = inputs, hidden
        self.input = linear(inputs, hidden, generator, bias=bias, init=init, gain=gain)
        self.recurrent = linear(hidden, hidden, generator, bias=False, init=1.0, gain=recurrent_gain)
        self.output = linear(hidden, outputs, generator, bias=bias, init=init, gain=gain)
        self.activation = activation_of(activation)

    def features(self, x: Tensor) -> Tensor:
        """The last hidden state ``[B, hidden]``."""
        series = self.input(x.reshape(*x.shape[: self.output.weight.dim() - 1], -1, self.inputs))
        first, *others = series.unbind(-2)
        h = self.activation(first)
        for moment in others:
            h = self.activation(moment + self.recurrent(h))
        return h

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))
