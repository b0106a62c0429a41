"""What is minimised: contrast between pairs or views, what follows, sparse reconstruction, classes; and how views are
made.
"""

from typing import NamedTuple

import torch

from claimcheck.engine import noise
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.train import softmax_cross_entropy

from .examples import displaced
from .networks import unit

CLASSES = 10
"""Logits of every classifier; tasks with fewer classes leave the others unused."""
ADAM = {"optimizer": "adam", "hyper": {"schedule": "cosine"}}
"""How all of them are minimised."""


def pair_contrast(temperature, negatives=True):
    """The loss of two towers (Radford et al. 2021): each example picks its partner among the batch, both ways.

    Without `negatives` partners attract each other and nothing else happens. Exponents are cosines over a temperature:
    none is so large that its greatest would have to be taken out first.
    """

    @for_ensembles
    def loss(predict, batch, hyper):
        one, other = predict(batch["x"]).chunk(2, -1)
        attraction = (one * other).sum(-1).mean(-1) / temperature
        if not negatives:
            return -attraction
        weights = (one / temperature @ other.mT).exp()
        return (weights.sum(-1).log() + weights.sum(-2).log()).mean(-1) / 2 - attraction

    return loss


class Views(NamedTuple):
    """How random views are made: moved by up to `reach` places, multiplied by 1 +- `scale`, with `noise` deviations of
    noise.

    Noise is a stretch of a `bank` of normal numbers that begins where each example says: a tenth of the cost of drawing
    it anew. `side` is that of images.
    """

    reach: int
    scale: float
    noise: float
    bank: torch.Tensor
    side: int | None = None

    @classmethod
    def of(cls, sizes, context):
        """Those that the settings of a data set ask for."""
        bank = torch.randn(BANK, generator=context.generator(0, "bank")).to(context.device)
        return cls(sizes["reach"], sizes["scale"], sizes["noise"], bank, sizes.get("side"))

    def __call__(self, x, key):
        """A view of each example `[..., B, inputs]`, each its own; `key` `[...]`, int64, is of the member and step."""
        moved = displaced(x, key, self.reach, self.side)
        size, start = noise.uniform(noise.fold(key, 11), (2, x.shape[-2])).unbind(-2)
        stretches = (self.noise * self.bank).unfold(0, x.shape[-1], 1)
        start = (start * (len(stretches) - 1)).to(torch.int64)
        added = stretches.index_select(0, start.flatten()).view(x.shape)
        return torch.addcmul(added, moved, 1.0 + self.scale * (2.0 * size[..., None] - 1.0))


BANK = 1 << 14


def view_contrast(views, outputs, temperature):
    """NT-Xent (Chen et al. 2020, equation 1): of all other views in the batch, each picks that of its own example."""

    @for_ensembles
    def loss(predict, batch, hyper):
        z = unit(predict(views(torch.cat([batch["x"]] * 2, -2), batch["key"]))[..., -outputs:])
        weights = (z / temperature @ z.mT).exp() * (1.0 - torch.eye(z.shape[-2], device=z.device))
        one, other = z.chunk(2, -2)
        return weights.sum(-1).log().mean(-1) - (one * other).sum(-1).mean(-1) / temperature

    return loss


def class_loss(views=None):
    """Cross-entropy of the last outputs, which are logits; where there are `views`, on one of each example."""

    @for_ensembles
    def loss(predict, batch, hyper):
        seen = batch["x"] if views is None else views(batch["x"], batch["key"])
        return _cross_entropy(predict(seen), batch["y"])

    return loss


def _cross_entropy(said, classes):
    return softmax_cross_entropy(said[..., -CLASSES:], classes).mean(-1)


@for_ensembles
def accuracy(predict, batch, hyper):
    """Share of examples whose class has the greatest of the last outputs."""
    right = predict(batch["x"])[..., -CLASSES:].argmax(-1) == batch["y"]
    return {"accuracy": right.to(torch.float32).mean(-1)}


def sparse_reconstruction(inputs, penalty):
    """|x - x^|^2 plus `penalty` times the codes' sum, each times the length of its direction (Templeton et al. 2024)."""

    @for_ensembles
    def loss(predict, batch, hyper):
        said = predict(batch["x"])
        off = (said[..., -inputs:] - batch["x"]).square().sum(-1)
        return (off + penalty * said[..., :-inputs].sum(-1)).mean(-1)

    return loss


def windows(x, length, letters=0):
    """The `length` values before each place, and what follows them: `[..., T, inputs]`, `[..., T]`.

    Of series `[..., n]` the values themselves, T = n - length. Of `letters` > 0 tokens `[..., n]` each as one number in
    as many, with padding before the first, T = n - 1.
    """
    if letters:
        x = torch.cat([torch.zeros_like(x[..., : length - 1]), x], -1)
    after = x[..., length:]
    if letters:
        x = (x[..., None] == torch.arange(letters, device=x.device)).to(torch.float32)
        return x[..., :-1, :].unfold(-2, length, 1).mT.flatten(-2), after
    return x[..., :-1].unfold(-1, length, 1), after


def next_loss(length, letters=0):
    """Mean loss of what follows each window: squares for series, cross-entropy for tokens that are no padding."""

    @for_ensembles
    def loss(predict, batch, hyper):
        before, after = windows(batch["x"], length, letters)
        said = predict(before)
        if not letters:
            return (said[..., -1] - after).square().mean((-2, -1))
        real = (after > 0).to(said.dtype)
        return (softmax_cross_entropy(said[..., -letters:], after) * real).sum((-2, -1)) / real.sum((-2, -1))

    return loss


def pooled_class_loss(length, letters=0):
    """Cross-entropy of classes from the mean logits of all windows."""

    @for_ensembles
    def loss(predict, batch, hyper):
        return _cross_entropy(predict(windows(batch["x"], length, letters)[0]).mean(-2), batch["y"])

    return loss


def pooled_accuracy(length, letters=0):
    """Accuracy of the same."""

    @for_ensembles
    def found(predict, batch, hyper):
        return accuracy(lambda x: predict(x).mean(-2), {**batch, "x": windows(batch["x"], length, letters)[0]}, hyper)

    return found


def summed_features(length, letters, width):
    """Features of all windows of an example, summed: `[..., n, width]`. Some examples at a time: more are no longer in
    the cache when the next layer reads them.
    """

    @for_ensembles
    def summed(predict, batch, hyper):
        pieces = batch["x"].split(CACHED, -2)
        return torch.cat([predict(windows(x, length, letters)[0])[..., :width].sum(-2) for x in pieces], -2)

    return summed


CACHED = 64
"""Examples whose windows are read at a time."""


def raw_numbers(x, letters=0):
    """What a linear layer may see without features: values as they are; of tokens, one number for each place and token,
    and how often each token occurs."""
    if not letters:
        return x
    places = (x[..., None] == torch.arange(letters, device=x.device)).to(torch.float32)
    return torch.cat([places.flatten(-2), places.sum(-2)], -1)
