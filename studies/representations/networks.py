"""The networks of this study, written for one network; their layers take R networks' stacked tensors, too."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from claimcheck.engine.layers import Rectified, for_ensembles
from claimcheck.engine.networks import linear


def unit(x):
    """Vectors `[..., d]` at length 1."""
    return x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-12)


@for_ensembles
class Encoder(nn.Module):
    """Features `[..., width]` of inputs `[..., inputs]`, and beside them what a head makes of these, `[..., outputs]`.

    Two hidden ReLU layers make the features. The head, with hidden layers of the widths `head`, is for pretraining or
    for classes; what is reused are the features (Chen et al. 2020, section 2.1). While many are trained at once there
    are the outputs only, which is all that losses read.
    """

    def __init__(self, inputs, width, head, outputs, generator):
        super().__init__()
        body, ends = [inputs, width, width], [width, *head, outputs]
        self.body = nn.ModuleList(linear(a, b, generator) for a, b in pairwise(body))
        self.head = nn.ModuleList(linear(a, b, generator) for a, b in pairwise(ends))
        self.trained_stacked = False

    def forward(self, x):
        if self.trained_stacked:
            shape = x.shape
            hidden = [*self.body, *self.head[:-1]]
            x = Rectified.apply(x.flatten(1, -2), *(each for layer in hidden for each in (layer.weight, layer.bias)))
            return self.head[-1](x).unflatten(1, shape[1:-1])
        for layer in self.body:
            x = F.relu(layer(x))
        features = x
        for number, layer in enumerate(self.head):
            x = layer(F.relu(x) if number else x)
        return torch.cat([features, x], -1)


@for_ensembles
class Towers(nn.Module):
    """Two inputs side by side, `[..., left + right]`, to their two embeddings of length 1, `[..., 2 outputs]`.

    A tower has one hidden ReLU layer and sees its own modality only.
    """

    def __init__(self, left, right, width, outputs, generator):
        super().__init__()
        self.sizes = (left, right)
        self.hidden = nn.ModuleList(linear(size, width, generator) for size in self.sizes)
        self.output = nn.ModuleList(linear(width, outputs, generator) for _ in self.sizes)

    def forward(self, x):
        sides = zip(x.split(self.sizes, -1), self.hidden, self.output, strict=True)
        return torch.cat([unit(output(F.relu(hidden(side)))) for side, hidden, output in sides], -1)


@for_ensembles
class WordTowers(nn.Module):
    """Spelling and phonemes side by side, tokens `[..., 2 length]`, to their embeddings of length 1, `[..., 2
    outputs]`.

    A tower adds up a vector for each pair of neighbouring tokens: linear in the counts of pairs, whatever their order.
    """

    def __init__(self, vocabularies, outputs, generator):
        super().__init__()
        self.vocabularies = vocabularies
        self.pairs = nn.ParameterList(
            nn.Parameter(torch.randn(size**2, outputs, generator=generator) / 4.0) for size in vocabularies
        )
        with torch.no_grad():
            for table in self.pairs:
                table[0] = 0.0  # padding beside padding, of which short words have many

    def forward(self, x):
        found = []
        for tokens, size, table in zip(x.chunk(2, -1), self.vocabularies, self.pairs, strict=True):
            pairs = tokens[..., :-1] * size + tokens[..., 1:]
            if table.dim() == 3:  # [R, pairs, outputs]
                members = torch.arange(len(table), device=pairs.device) * size**2
                pairs, table = pairs + members[:, None, None], table.flatten(0, 1)
            found.append(unit(F.embedding(pairs, table).sum(-2)))
        return torch.cat(found, -1)


@for_ensembles
class Dictionary(nn.Module):
    """Sparse autoencoder (Bricken et al. 2023): codes `[..., size]` of activations `[..., inputs]`, times the lengths
    of
    their directions, and beside them what these add up to, `[..., inputs]`.

    x^ = b + sum_i f_i d_i, f = relu(W (x - b) + c). Encoder and directions start alike, at random. While many are
    trained at once there is, instead of the codes, their sum, which is all that the loss asks of them.
    """

    def __init__(self, inputs, size, generator):
        super().__init__()
        self.size = size
        self.encoder = linear(inputs, size, generator, init="lecun")
        self.directions = nn.Parameter(self.encoder.weight.detach().clone())
        self.offset = nn.Parameter(torch.zeros(inputs))
        self.trained_stacked = False

    def forward(self, x):
        offset = self.offset if self.offset.dim() == 1 else self.offset[:, None]
        if self.trained_stacked:
            codes = Rectified.apply(x - offset, self.encoder.weight, self.encoder.bias)
            lengths = self.directions.square().sum(-1, keepdim=True).sqrt()
            return torch.baddbmm(F.pad(offset, (1, 0)), codes, torch.cat([lengths, self.directions], -1))
        codes = F.relu(self.encoder(x - offset))
        lengths = self.directions.square().sum(-1).sqrt()
        lengths = lengths if lengths.dim() == 1 else lengths[:, None]
        return torch.cat([codes * lengths, codes @ self.directions + offset], -1)
