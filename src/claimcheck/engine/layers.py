"""Layers that compute one network's output or, when their tensors are stacked, R networks' at once.

A layer knows by its own parameters or buffers which it is: a weight ``[out, in]`` is one network's, ``[R, out, in]`` is
R networks'; inputs are ``[B, ...]`` or ``[R, B, ...]``. One batched product or one elementwise operation then serves all
members. ``torch.func.vmap`` would do the same for any module, at two to three times the cost of calling an operation:
it is for networks made of other layers. Nothing here trains or draws.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from claimcheck.engine.rounding import Sigmoid, Swish
from claimcheck.engine.torch_private import relu_gradient

ELEMENTWISE = (nn.ReLU, nn.Tanh, nn.GELU, nn.Identity, nn.ModuleList, Sigmoid, Swish)
"""Modules that do not see the ensemble dimension."""


def for_ensembles(kind: type[nn.Module]) -> type[nn.Module]:
    """Mark a class of modules (not its subclasses) whose ``forward`` takes stacked tensors, too."""
    kind.for_ensembles = kind
    return kind


def know_ensembles(network: nn.Module) -> bool:
    """Whether every module of the network takes stacked tensors."""
    return all(
        type(module) in ELEMENTWISE or getattr(module, "for_ensembles", None) is type(module)
        for module in network.modules()
    )


def flattened(x: Tensor, weight: Tensor) -> Tensor:
    """Inputs ``[B, ...]`` as ``[B, n]`` where ``weight`` is one network's matrix, ``[R, B, ...]`` as ``[R, B, n]`` where
    it is stacked."""
    return x.flatten(weight.dim() - 1)


@for_ensembles
class Linear(nn.Linear):
    """``x W^T + b``. Made without torch's own initialisation, which would draw from the global generator."""

    def reset_parameters(self) -> None:
        """Nothing: whoever makes the layer fills it."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if weight.dim() == 2:
            return F.linear(input, weight, bias)
        if input.dim() > 3:  # [R, B, T, in]
            return self.forward(input.flatten(1, -2)).unflatten(1, input.shape[1:-1])
        if bias is None:
            return torch.bmm(input, weight.mT)
        return torch.baddbmm(bias.unsqueeze(1), input, weight.mT)


class Rectified(torch.autograd.Function):
    """Linear layers of R networks, each followed by a ReLU: ``x`` ``[R, B, n]``, then weights and biases in turn.

    The same operations as layer by layer, called directly: for 30 layers, 1.5 ms a step less of modules and graph nodes.
    ReLUs work in place. Differentiable once.
    """

    @staticmethod
    def forward(ctx, x: Tensor, *tensors: Tensor) -> Tensor:
        weights, passed = tensors[::2], [x]
        for weight, bias in zip(weights, tensors[1::2]):
            passed.append(torch.baddbmm(bias.unsqueeze(1), passed[-1], weight.mT).relu_())
        ctx.save_for_backward(*weights, *passed)
        return passed[-1]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        count, found = (len(ctx.saved_tensors) - 1) // 2, []
        weights, passed = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        for number in reversed(range(count)):
            gradient = relu_gradient(gradient, passed[number + 1])
            found += [gradient.sum(1), torch.bmm(passed[number].mT, gradient).mT]
            if number or ctx.needs_input_grad[0]:
                gradient = torch.bmm(gradient, weights[number])
        return gradient if ctx.needs_input_grad[0] else None, *reversed(found)


@for_ensembles
class LayerNorm(nn.LayerNorm):
    """Layer normalisation (Ba et al. 2016) of the last dimension."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight is None or self.weight.dim() == 1:
            return super().forward(input)
        normed = F.layer_norm(input, self.normalized_shape, eps=self.eps)
        return torch.addcmul(self.bias.unsqueeze(1), normed, self.weight.unsqueeze(1))


@for_ensembles
class RMSNorm(nn.RMSNorm):
    """Root-mean-square normalisation (Zhang & Sennrich 2019) of the last dimension."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dim() == 1:
            return super().forward(input)
        scale = torch.rsqrt(input.square().mean(-1, keepdim=True) + self.eps)
        return input * scale * self.weight.unsqueeze(1)


@for_ensembles
class BatchNorm1d(nn.BatchNorm1d):
    """Batch normalisation (Ioffe & Szegedy 2015, algorithm 1) of vectors ``[B, features]``, by its formula: see
    :mod:`claimcheck.engine.rounding`.

    Its running statistics are those of ``nn.BatchNorm1d``: the variance that is kept is the unbiased one.
    """

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight, self.bias
        if input.dim() != weight.dim() + 1:
            return super().forward(input)
        if self.training:
            mean = input.mean(-2, keepdim=True)
            centred = input - mean
            variance = centred.square().mean(-2, keepdim=True)
            with torch.no_grad():
                examples, share = input.shape[-2], self.momentum
                unbiased = variance.squeeze(-2) * (share * examples / max(examples - 1, 1))
                self.running_mean.mul_(1.0 - share).add_(mean.squeeze(-2) * share)
                self.running_var.mul_(1.0 - share).add_(unbiased)
                self.num_batches_tracked.add_(1)
        else:
            centred, variance = input - self.running_mean.unsqueeze(-2), self.running_var.unsqueeze(-2)
        scale = torch.rsqrt(variance + self.eps) * weight.unsqueeze(-2)
        return centred * scale + bias.unsqueeze(-2)
