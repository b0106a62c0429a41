"""What is nearest to what: by class within and across modalities, a word's own partner, and a picture in the plane.

Embeddings are vectors of length 1, so that the greatest product is the nearest.
"""

import pandas as pd
import torch

from .networks import unit

CLASSES = 10
ASKED = (256, 4096)
"""Numbers of candidates that predictions name."""


def partners(labels, others):
    """For each label `[n]` the position in `others` of an equal one: the next, from the start again where they end."""
    found = torch.zeros_like(labels)
    for label in labels.unique():
        mine, theirs = (torch.nonzero(each == label)[:, 0] for each in (labels, others))
        found[mine] = theirs[torch.arange(len(mine), device=theirs.device) % len(theirs)]
    return found


def by_class(both, classes, images, across, last):
    """Shares of nearest neighbours of the same class, for each unit.

    Args:
        both: images and signals `[U, n, ...]`, a pair at each place. classes: of both, `[U, n]`.
        images: which image is at each place, `[U, n]`; one that comes again is no neighbour of itself.
        across: whether both live in one space. last: how many of the last classes `last_to_signals` is about.
    """
    units = list(zip(*both, classes, classes >= CLASSES - last, strict=True))
    columns = {
        "image_neighbours": [
            _within(shown[first], y[first]) for (shown, _, y, _), first in zip(units, map(_first, images), strict=True)
        ],
        "signal_neighbours": [_within(signals, y) for _, signals, y, _ in units],
    }
    if not across:
        return columns | dict.fromkeys(("to_signals", "to_images", "last_to_signals"), [float("nan")] * len(units))
    return columns | {
        "to_signals": [_across(images, signals, y) for images, signals, y, _ in units],
        "to_images": [_across(signals, images, y) for images, signals, y, _ in units],
        "last_to_signals": [_across(images, signals, y, late) for images, signals, y, late in units],
    }


def _across(asking, asked, classes, of=slice(None)):
    """Share of those asking (of some) whose nearest in the other modality has their class; partner i stands at i.

    The classes of both modalities are the same, place by place.
    """
    nearest = (unit(asking[of]) @ unit(asked).mT).argmax(1)
    return float((classes[nearest] == classes[of]).double().mean())


def _first(numbers):
    """Whether each place `[n]` is the first with its number."""
    return (numbers[:, None] == numbers).int().argmax(1) == torch.arange(len(numbers), device=numbers.device)


def _within(x, classes):
    """Share of examples whose nearest other one, by Euclidean distance, has their class."""
    squares = x.square().sum(1)
    distance = squares[:, None] + squares - 2.0 * x @ x.mT
    distance.fill_diagonal_(float("inf"))
    return float((classes[distance.argmin(1)] == classes).double().mean())


def own_partner(both, split, candidates):
    """Share of examples of which no other partner is nearer than their own, among so many `candidates` at a time.

    Where there are fewer, as at small scales, all of them are candidates. Words that sound alike have equal embeddings:
    none of them is nearer. Columns `<split>_of_<candidates>`.
    """
    there = both[0].shape[1]
    return {
        f"{split}_of_{count}": [_own(a, b, min(count, there)) for a, b in zip(*both, strict=True)]
        for count in sorted({*candidates, *ASKED})
    }


def _own(one, other, count):
    """Over groups of `count`, the rest left out."""
    shares = []
    for a, b in zip(one.split(count), other.split(count), strict=True):
        if len(a) == count:
            similar = a @ b.mT
            own = similar.diagonal()
            shares.append((own >= similar.amax(1) - 1e-6).double().mean())
    return float(torch.stack(shares).mean())


def in_the_plane(both, classes):
    """Rows point x modality (0 images, 1 signals): the two principal components of all embeddings together, and class."""
    every = torch.cat(both).double()
    _, _, axes = torch.linalg.svd(every - every.mean(0), full_matrices=False)
    axes = axes[:2] * torch.sign(axes[:2].gather(1, axes[:2].abs().argmax(1, keepdim=True)))  # a sign of its own
    flat = ((every - every.mean(0)) @ axes.mT).cpu().numpy()
    count = len(classes)
    columns = {"point": [*range(count)] * 2, "first": flat[:, 0], "second": flat[:, 1]}
    modality = {"modality": [0] * count + [1] * count, "label": classes.double().cpu().tolist() * 2}
    return pd.DataFrame(columns | modality)
