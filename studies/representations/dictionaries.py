"""Dictionaries of directions: made, found by clustering, and how good they are."""

import torch

from claimcheck.engine.data import Data

from .networks import unit


def superposed(settings, generator):
    """Directions `[directions, inputs]` of length 1, and two sets of their sparse sums `[n, inputs]`.

    Each direction is in an example with the chance `density`, with an amount spread evenly from 0 to 1 (Sharkey et al.
    2022); all is scaled so that an example's mean square is the number of dimensions.
    """
    count, inputs = settings.directions, settings.inputs
    directions = unit(torch.randn((count, inputs), generator=generator))
    scale = (inputs / (count * settings.density / 3.0)) ** 0.5

    def sums(examples):
        amounts = torch.rand((examples, count), generator=generator)
        present = torch.rand((examples, count), generator=generator) < settings.density
        return amounts * present @ directions * scale

    return directions, sums(settings.examples), sums(settings.fresh)


def centres(x, count, rounds, whitened=False):
    """Centres `[count, inputs]` of length 1 of examples `[n, inputs]`, by spherical k-means.

    An example belongs to the centre at the greatest cosine; centres begin as the first `count` examples that are not
    zero, which is what 0 rounds give. With `whitened`, examples are centred and whitened first, and the centres led
    back to the inputs' own space by the root of the covariance.
    """
    x = x[x.any(1)]
    root = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    if whitened:
        variances, axes = torch.linalg.eigh(torch.cov(x.double().mT))
        deviations = variances.clamp(min=1e-12).sqrt()
        root = (axes * deviations @ axes.mT).to(x.dtype)
        x = (x - x.mean(0)) @ (axes / deviations @ axes.mT).to(x.dtype)
    x = unit(x)
    found = x[:count]
    for _ in range(rounds):
        nearest = (x @ found.mT).argmax(1)
        sums = torch.zeros_like(found).index_add_(0, nearest, x)
        found = torch.where(sums.any(1, keepdim=True), unit(sums), found)
    return unit(found @ root)


def recovered(directions, learnt):
    """Mean over directions `[U, k, d]` of the greatest absolute cosine to those learnt `[U, m, d]`, for each unit."""
    cosines = unit(directions.double()) @ unit(learnt.double()).mT
    return cosines.abs().amax(2).mean(1).cpu().tolist()


def quality(ensemble, x):
    """Of dictionaries on fresh examples `[U, n, d]`: the share of dead features, how many are active, variance
    explained.
    """
    size = ensemble.skeleton.size

    def found(predict, batch, hyper):
        x, said = batch["x"], predict(batch["x"])
        active = (said[:, :size] > 0).to(x.dtype)
        off = (said[:, size:] - x).square().sum() / (x - x.mean(0)).square().sum()
        return {
            "dead": (active.amax(0) == 0).to(x.dtype).mean(),
            "active": active.sum(1).mean(),
            "explained": 1.0 - off,
        }

    return {name: value.double().cpu().tolist() for name, value in ensemble.map(found, Data({}, {"x": x})).items()}


def selectivity(codes, classes, least):
    """Mean class selectivity (Morcos et al. 2018) of units, for each network: (a - b) / (a + b), a being the mean
    activity
    for the class with the most, b that for all others.

    Args:
        codes: `[U, n, units]`, none negative. classes: `[U, n]`. least: share of examples in which a unit must be
        active
            to count, since one that is seldom active is selective by chance.
    """
    found = []
    for own, labels in zip(codes.double(), classes, strict=True):
        own = own[:, (own > 0).double().mean(0) >= least]
        members = torch.nn.functional.one_hot(labels, 10).double()
        sums, counts = members.mT @ own, members.sum(0)[:, None]
        most, at = (sums / counts).max(0)
        rest = (sums.sum(0) - sums.gather(0, at[None])[0]) / (len(labels) - counts[at, 0])
        found.append(float(((most - rest) / (most + rest)).mean()))
    return found


def activity(codes):
    """Share of examples in which each unit of `[U, n, units]` is active, `[U, units]`."""
    return (codes > 0).double().mean(1)


def as_sparse(pool, test, shares):
    """Units `[U, n, units]` of the test set less a threshold each, and rectified, `[U, n, units]`.

    The threshold leaves a unit active in the share `[U, units]` of the pool, or in fewer where it never was in so many.
    Only the pool decides: what is equal there differs by chance in the test set, for features and for these alike.
    """
    count = (shares * pool.shape[1]).round().long().clamp(max=pool.shape[1] - 1)
    threshold = pool.sort(1, descending=True)[0].gather(1, count[:, None])
    return (test - threshold).clamp(min=0.0)


def by_rank(shares, own):
    """The shares `[U, m]` for other units, by how often these are active by themselves, `[U, k]`: most to most.

    Where there are fewer units than shares, each is given the quantile of its rank.
    """
    count = own.shape[1]
    ranks = own.argsort(1).argsort(1)
    levels = (torch.arange(count, dtype=shares.dtype, device=shares.device) + 0.5) / count
    return torch.quantile(shares, levels, dim=1).mT.gather(1, ranks)
