"""Very deep stacks of equal layers, plain or with skip connections, and what theory says of them before training.

The weights of all blocks are one tensor ``[depth, width, width]``: a thousand layers are then one parameter to the
optimiser, and plain and residual stacks without normalisation differ by numbers only, so that they train as one
ensemble. Their forward and backward pass is written out (`Blocks`): a step of 1,024 layers takes a third of the time
that it takes through modules. Never trains.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor, nn

from claimcheck.engine.initializers import draw
from claimcheck.engine.layers import LayerNorm, flattened, for_ensembles
from claimcheck.engine.networks import activation_of, linear
from claimcheck.engine.torch_private import relu_gradient

KINDS = ("plain", "unscaled", "scaled", "zero_init", "pre_norm")


class Stream:
    """The h before every block of one forward pass, kept for its backward pass."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []


class Blocks(torch.autograd.Function):
    """``h <- skip * h + scale * W_l relu(h)`` for every l, with its own backward pass and its own rule for ``vmap``.

    ``x`` ``[..., B, n]``, ``weights`` ``[..., L, n, n]``, ``skip`` and ``scale`` ``[...]`` to the last h. ``stream``
    takes the h before every block: small tensors of their own, because one large one would go back to the operating
    system at every step, which costs more than the arithmetic; and no output, because each would be wrapped.
    Differentiable once.
    """

    @staticmethod
    def forward(x: Tensor, weights: Tensor, skip: Tensor, scale: Tensor, stream: Stream) -> Tensor:
        keep, grow, h = skip[..., None, None], scale[..., None, None], x
        for weight in weights.unbind(-3):
            stream.tensors.append(h)
            h = torch.addcmul((torch.relu(h) @ weight.mT).mul_(grow), h, keep)
        return h

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        ctx.save_for_backward(*inputs[1:4])
        ctx.stream = inputs[4]

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        weights, skip, scale = ctx.saved_tensors
        keep, grow, of_weights = skip[..., None, None], scale[..., None, None], []
        for h, weight in zip(reversed(ctx.stream.tensors), reversed(weights.unbind(-3)), strict=True):
            of_branch = gradient * grow
            of_weights.append(of_branch.mT @ torch.relu(h))
            gradient = torch.addcmul(relu_gradient(of_branch @ weight, h), gradient, keep)
        # Layer by layer in memory, whatever comes before it in the shape: only whole matrices are copied.
        return gradient, torch.stack(of_weights[::-1]).movedim(0, -3), None, None, None

    @staticmethod
    def vmap(info, in_dims, x: Tensor, weights: Tensor, skip: Tensor, scale: Tensor, stream: Stream):
        def first(tensor: Tensor, dim: int | None) -> Tensor:
            return tensor.expand(info.batch_size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)

        return Blocks.apply(*map(first, (x, weights, skip, scale), in_dims), stream), 0


@for_ensembles
class Stack(nn.Module):
    """``h <- skip * h + scale * W_l relu(norm(h))`` for ``depth`` blocks, between a linear input and output layer.

    - ``plain`` skip 0, scale 1: an ordinary deep ReLU network;
    - with skip 1: ``unscaled`` scale 1, ``scaled`` scale 1 / sqrt(depth), ``zero_init`` scale 1 and all W_l = 0 at the
      start, ``pre_norm`` scale 1 and layer norm in each block (the others have no normalisation).

    Weights are He's (variance 2 / fan_in) or ``weight_variance`` / fan_in; blocks have no biases; normalisation has no
    affine part. Inputs ``[B, ...]`` (flattened), logits ``[B, outputs]``.

    ``watched`` computes the same block by block through modules, where hooks see h at ``stream``, once per block and
    once before the output, and what the branch's ReLU gets at ``activation`` (`claimcheck.engine.measure`).
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, depth: int, kind: str, *, generator: Generator,
        weight_variance: float = 2.0, watched: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind of stack: found {kind!r}, expected one of {', '.join(KINDS)}")
        self.input = linear(inputs, width, generator, init="lecun")
        weights = draw((depth, width, width), generator) * math.sqrt(weight_variance / width)
        self.blocks = nn.Parameter(torch.zeros_like(weights) if kind == "zero_init" else weights)
        self.output = linear(width, outputs, generator, init="lecun")
        self.stream, self.activation = nn.Identity(), activation_of("relu")
        self.watched = watched or kind == "pre_norm"
        self.norm = LayerNorm(width, elementwise_affine=False) if kind == "pre_norm" else None
        self.register_buffer("skip", torch.tensor(0.0 if kind == "plain" else 1.0))
        self.register_buffer("scale", torch.tensor(1.0 / math.sqrt(depth) if kind == "scaled" else 1.0))

    def features(self, x: Tensor) -> Tensor:
        """What the output layer reads, ``[B, width]``."""
        h = self.input(flattened(x, self.output.weight))
        # Differentiable once: what is looked into (curvature, in evaluation) takes the plain way.
        if self.training and torch.is_grad_enabled() and not self.watched:
            return self._branch(Blocks.apply(h, self.blocks, self.skip, self.scale, Stream()))
        skip, scale = self.skip[..., None, None], self.scale[..., None, None]
        for weight in self.blocks.unbind(-3):
            h = self.stream(h)
            h = skip * h + scale * (self._branch(h) @ weight.mT)
        return self._branch(self.stream(h))

    def _branch(self, h: Tensor) -> Tensor:
        return self.activation(h if self.norm is None else self.norm(h))

    def forward(self, x: Tensor) -> Tensor:
        return self.output(self.features(x))


def stack_jacobian(weights: Tensor, slopes: Tensor, skip: bool) -> Tensor:
    """Product over layers of (skip * I + W_l diag(slope_l)), ``[n, n]``: d h_L / d h_0 of one example.

    Args:
        weights: ``[L, n, n]``, l increasing with depth. slopes: derivative of the activation at each unit, ``[L, n]``.
    """
    identity = torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)
    product = identity
    for weight, slope in zip(weights, slopes, strict=True):
        product = (weight * slope + (identity if skip else 0.0)) @ product
    return product
