"""Decoder-only transformers that read words symbol by symbol, one network or R of them at once, and their text.

``Decoder`` is an ordinary module; in an ensemble its tokens and activations have a leading dimension of members, as
:mod:`claimcheck.engine.layers` says. Activations are kept as ``[..., B * T, width]``, a row for each token, so that all
layers but attention are the products of any other network. Never trains.

Milliseconds a network-step of AdamW, without and with a gate (processor time, one thread of a busy machine without
AVX-512, torch 2.13, 8 networks): 27,000 parameters, 32 x 16 tokens 2.8 and 3.7; 15,500 parameters, 16 x 11 tokens 1.2
and 1.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from claimcheck.data import words
from claimcheck.data.draws import draw_each
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import for_ensembles as for_all
from claimcheck.engine.initializers import draw
from claimcheck.engine.layers import LayerNorm, Linear, for_ensembles
from claimcheck.engine.networks import activation_of, linear
from claimcheck.engine.train import softmax_cross_entropy
from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.engine.context import Context

FORMS = {
    "relu": ("relu", False),
    "gelu": ("gelu", False),
    "swish": ("swish", False),
    "glu": ("sigmoid", True),
    "bilinear": ("linear", True),
    "reglu": ("relu", True),
    "geglu": ("gelu", True),
    "swiglu": ("swish", True),
}
"""Forms of the feed-forward layer (Shazeer 2020, GLU variants improve transformer, eqs. 2 to 6): activation, gated?"""

WRITINGS = {"spellings": "x", "phonemes": "y"}
"""The two writings of a word, and the column of `cmudict` that holds each."""


def hidden_units(form: str, units: int, inputs: int = 1, outputs: int = 1) -> int:
    """Hidden units that give a layer of this form as many weights as ``units`` give one without a gate.

    A gated layer has two matrices from its inputs where others have one. With as many inputs as outputs, as in a
    transformer, it gets two thirds of the units (Shazeer 2020, section 2); what matters is ``inputs / outputs``.
    """
    return round(units * (inputs + outputs) / (2 * inputs + outputs)) if _form(form)[1] else units


def _form(name: str) -> tuple[str, bool]:
    if name not in FORMS:
        raise ClaimcheckError("unknown form of a feed-forward layer", found=name, expected=f"one of {', '.join(FORMS)}")
    return FORMS[name]


@for_ensembles
class FeedForward(nn.Module):
    """``W_2 f(W_1 x)``, or gated ``W_2 (f(W_1 x) * W_3 x)``, without biases; rows ``[..., N, inputs]``.

    ``W_1`` is ``inward``, ``W_2`` ``outward``, ``W_3`` ``gated`` (None without a gate). All weights have variance
    1 / fan_in, those of ``W_2`` times ``gain^2``.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, form: str, *, generator: Generator, gain: float = 1.0
    ) -> None:
        super().__init__()
        activation, gated = _form(form)
        self.inward = linear(inputs, hidden, generator, bias=False, init="lecun")
        self.activation = activation_of(activation)
        self.gated = linear(inputs, hidden, generator, bias=False, init="lecun") if gated else None
        self.outward = linear(hidden, outputs, generator, bias=False, init="lecun", gain=gain)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(self.inward(x))
        return self.outward(h if self.gated is None else h * self.gated(x))


@for_ensembles
class Attention(nn.Module):
    """Causal self-attention (Vaswani et al. 2017, section 3.2), without biases; rows ``[..., B * T, width]``."""

    def __init__(self, width: int, heads: int, *, generator: Generator, gain: float = 1.0) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise ClaimcheckError("heads", found=heads, expected=f"a divisor of the width, {width}")
        self.heads = heads
        self.inward = linear(width, 3 * width, generator, bias=False, init="lecun")
        self.outward = linear(width, width, generator, bias=False, init="lecun", gain=gain)

    def forward(self, h: Tensor, length: int) -> Tensor:
        """``length`` is T, the tokens of a sequence."""
        parts = self.inward(h).reshape(-1, length, 3, self.heads, h.shape[-1] // self.heads)
        queries, keys, values = parts.permute(2, 0, 3, 1, 4).unbind()  # each [(R) B, heads, T, width / heads]
        stacked = self.inward.weight.dim() == 3
        mixed = (fused_attention if stacked else causal_attention)(queries, keys, values)
        return self.outward(mixed.transpose(1, 2).reshape(h.shape))


def fused_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """The same as :func:`causal_attention` by torch's kernels, in little more than half the time; not under ``vmap``."""
    return F.scaled_dot_product_attention(queries, keys, values, is_causal=True)


def causal_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """``softmax(Q K^T / sqrt(n)) V`` over the tokens up to each one's own, ``[..., T, n]``.

    By its formula, for which ``vmap`` has rules; for torch's own kernel on a CPU it has none, and would loop.
    """
    later = torch.ones(queries.shape[-2], keys.shape[-2], dtype=torch.bool, device=queries.device).triu(1)
    scores = (queries / math.sqrt(queries.shape[-1])) @ keys.mT
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ values


@for_ensembles
class Embedding(nn.Embedding):
    """A row of the weight ``[V, width]`` for each token. Made without torch's own initialisation, as ``Linear`` is."""

    reset_parameters = Linear.reset_parameters

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return F.embedding(input, self.weight)
        members, symbols, width = self.weight.shape
        first = torch.arange(members, device=input.device).mul_(symbols).view(-1, *[1] * (input.dim() - 1))
        return F.embedding(input + first, self.weight.reshape(members * symbols, width))


@for_ensembles
class Block(nn.Module):
    """``h <- h + attention(norm(h))``, then ``h <- h + feed_forward(norm(h))``: pre-norm, as in GPT-2."""

    def __init__(self, width: int, heads: int, hidden: int, form: str, *, generator: Generator, gain: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList(LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.attention = Attention(width, heads, generator=generator, gain=gain)
        self.feed_forward = FeedForward(width, hidden, width, form, generator=generator, gain=gain)

    def forward(self, h: Tensor, length: int) -> Tensor:
        h = h + self.attention(self.norms[0](h), length)
        return h + self.feed_forward(self.norms[1](h))


@for_ensembles
class Decoder(nn.Module):
    """Tokens ``[B, T]`` (int64) to the logits of each next token ``[B, T, vocabulary]``; no token sees a later one.

    Token and position embeddings, ``depth`` blocks, a last normalisation, a linear layer. There are no biases, and
    normalisation has no affine part (a linear layer follows each). Embeddings have variance 1/2, weights 1 / fan_in,
    those that end a branch 1 / (fan_in 2 depth) (Radford et al. 2019, GPT-2, section 2.3).

    Args:
        vocabulary: symbols. width: of the residual stream. heads: divides the width. depth: blocks.
        hidden: units of each feed-forward layer. form: one of :data:`FORMS`. length: most tokens that it can read.

    Raises:
        ClaimcheckError: unknown form, heads that do not divide the width, or, when called, too long a sequence.
    """

    def __init__(
        self, vocabulary: int, width: int, heads: int, depth: int, hidden: int, form: str = "relu", *,
        generator: Generator, length: int = words.LONGEST + 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.embedding = Embedding(vocabulary, width)
        with torch.no_grad():
            self.embedding.weight.copy_(draw((vocabulary, width), generator) * math.sqrt(0.5))
        self.positions = nn.Parameter(draw((length, width), generator) * math.sqrt(0.5))
        gain = 1.0 / math.sqrt(2 * max(depth, 1))
        self.blocks = nn.ModuleList(
            Block(width, heads, hidden, form, generator=generator, gain=gain) for _ in range(depth)
        )
        self.norm = LayerNorm(width, elementwise_affine=False)
        self.output = linear(width, vocabulary, generator, bias=False, init="lecun")

    def features(self, tokens: Tensor) -> Tensor:
        """What the output layer reads, ``[B, T, width]``."""
        return self._rows(tokens).unflatten(-2, tokens.shape[-2:])

    def forward(self, tokens: Tensor) -> Tensor:
        return self.output(self._rows(tokens)).unflatten(-2, tokens.shape[-2:])

    def _rows(self, tokens: Tensor) -> Tensor:
        """The features as ``[B * T, width]``."""
        length = tokens.shape[-1]
        if length > self.positions.shape[-2]:
            raise ClaimcheckError("tokens of a sequence", found=length, expected=f"at most {self.positions.shape[-2]}")
        places = self.positions[..., :length, :].unsqueeze(-3)
        h = (self.embedding(tokens) + places).flatten(-3, -2)
        for block in self.blocks:
            h = block(h, length)
        return self.norm(h)


@for_all
def next_token_loss(predict, batch, hyper) -> Tensor:
    """Mean cross-entropy, in nats, of each token of ``x`` ``[B, T + 1]`` given those before it; padding does not count."""
    tokens = batch["x"]
    return _of_known(softmax_cross_entropy(predict(tokens[..., :-1]), tokens[..., 1:]), tokens)


@for_all
def next_token(predict, batch, hyper) -> dict[str, Tensor]:
    """Metrics of a language model: ``loss`` (nats a token) and ``error`` (share of tokens guessed wrong)."""
    tokens = batch["x"]
    logits, targets = predict(tokens[..., :-1]), tokens[..., 1:]
    wrong = (logits.argmax(-1) != targets).to(logits.dtype)
    return {"loss": _of_known(softmax_cross_entropy(logits, targets), tokens), "error": _of_known(wrong, tokens)}


def _of_known(values: Tensor, tokens: Tensor) -> Tensor:
    """Mean of ``values`` ``[..., B, T]`` over the targets that are no padding, ``[...]``."""
    known = (tokens[..., 1:] != words.PADDING).flatten(-2).to(values.dtype)
    return (values.flatten(-2) * known).sum(-1) / known.sum(-1)


class Text(NamedTuple):
    """Words of each member of an ensemble, as columns ``x`` ``[N, length + 1]``: begin, symbols, end, padding.

    Attributes:
        train, test: no word is in both; what sounds alike, or is cut off alike, may be.
        vocabulary: what each token stands for.
    """

    train: Data
    test: Data
    vocabulary: tuple[str, ...]


def draw_text(
    context: Context, name: str, writing: str, seeds: Iterable[int], *, train: int, test: int,
    length: int = words.LONGEST + 1,
) -> Text:  # fmt: skip
    """The words that each unit draws, spelt or as phonemes; both writings of one seed are of the same words.

    Args:
        name: of a data set of words, `cmudict`. writing: one of :data:`WRITINGS`. seeds: of each member.
        train, test: words of each.
        length: tokens that are predicted of a word at most; longer ones are cut off.
    """
    if writing not in WRITINGS:
        raise ClaimcheckError("writing of words", found=writing, expected=f"one of {', '.join(WRITINGS)}")
    own, column = draw_each(context, name, seeds, train=train, test=test), WRITINGS[writing]
    tokens = {"x": getattr(own.pool, f"{column}_train")[:, : length + 1].contiguous()}
    return Text(
        Data(tokens, subset=own.train), Data(tokens, subset=own.test), getattr(own.pool, f"{column}_vocabulary")
    )
