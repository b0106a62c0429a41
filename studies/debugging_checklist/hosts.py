"""Three healthy hosts, plainly written: bugs are planted in copies of them. Each has two stages and a head."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from claimcheck.engine.networks import conv, linear

CLASSES = 10


class Host(nn.Module):
    """A first stage, a second one that leaves the shape alone, and a head.

    Attributes:
        before_relu: the affine layers whose outputs enter a ReLU.
    """

    def __init__(self, first: nn.Module, second: nn.Module, head: nn.Module, before_relu: list[nn.Module]) -> None:
        super().__init__()
        self.first, self.second, self.head = first, second, head
        self.before_relu = before_relu  # a plain list: they are already parts of the stages

    def forward(self, x: Tensor) -> Tensor:
        """Inputs ``[B, ...]`` to logits ``[B, classes]``."""
        return self.head(self.second(self.first(x)))


class Tokens(nn.Module):
    """Rows of an image, embedded, with a learnt place added: ``[B, T, features]`` to ``[B, T, width]``."""

    def __init__(self, tokens: int, features: int, width: int, generator: Generator) -> None:
        super().__init__()
        self.embedding = linear(features, width, generator)
        self.place = nn.Parameter(0.1 * torch.randn(tokens, width, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        return self.embedding(x) + self.place


class Attention(nn.Module):
    """Self-attention (Vaswani et al. 2017, equation 1) with `heads` heads, ``[B, T, width]`` to the same shape."""

    def __init__(self, width: int, heads: int, generator: Generator) -> None:
        super().__init__()
        self.heads = heads
        self.asked = linear(width, 3 * width, generator, init="lecun")
        self.out = linear(width, width, generator, init="lecun")

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        query, key, value = self.asked(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))


class Block(nn.Module):
    """A transformer encoder's block, normalisation first (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, generator: Generator) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention = Attention(width, heads, generator)
        self.wide = linear(width, 2 * width, generator)
        self.relu = nn.ReLU()
        self.narrow = linear(2 * width, width, generator)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norms[0](x))
        return x + self.narrow(self.relu(self.wide(self.norms[1](x))))


class Mean(nn.Module):
    """The mean over tokens."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def mlp(shape: torch.Size, width: int, generator: Generator) -> Host:
    """Two hidden layers."""
    layers = [linear(shape.numel(), width, generator), linear(width, width, generator)]
    first, second = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU()), nn.Sequential(layers[1], nn.ReLU())
    return Host(first, second, linear(width, CLASSES, generator), layers)


def cnn(shape: torch.Size, width: int, generator: Generator) -> Host:
    """Two convolutions with batch normalisation, the first with stride 2."""
    norms = [nn.BatchNorm2d(width) for _ in range(2)]
    first = nn.Sequential(conv(shape[0], width, 3, generator, stride=2), norms[0], nn.ReLU())
    second = nn.Sequential(conv(width, width, 3, generator), norms[1], nn.ReLU())
    head = nn.Sequential(nn.Flatten(), linear(width * shape[1] * shape[2] // 4, CLASSES, generator))
    return Host(first, second, head, norms)


def transformer(shape: torch.Size, width: int, generator: Generator) -> Host:
    """One encoder block over the rows of an image."""
    block = Block(width, 2, generator)
    first = nn.Sequential(nn.Flatten(1, 2), Tokens(shape[-2], shape[-1], width, generator))
    head = nn.Sequential(nn.LayerNorm(width), Mean(), linear(width, CLASSES, generator))
    return Host(first, block, head, [block.wide])


HOSTS = {"mlp": mlp, "cnn": cnn, "transformer": transformer}


def host_of(seed: int) -> str:
    """The unit's host, the three in turn: every bug in all of them for every unit would cost three times as much."""
    return list(HOSTS)[seed % len(HOSTS)]
