"""What is read from a hidden layer: neurons, directions at random, features of sparse autoencoders, and the first two
made as sparse as the third.
"""

import pandas as pd
import torch

from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.train import train

from . import dictionaries, losses
from .networks import Dictionary

OF_FEATURES = ("features", "sparse_random", "sparse_neurons")
"""What cannot be read without a trained autoencoder: its features, and what is made as sparse as these."""


def autoencoders(units, context, x, size, trained=True, streams="", sparse=True):
    """Autoencoders of each unit's activations `[U, n, inputs]`, trained, with the penalty or without, or as they begin."""
    settings, inputs = context.settings, x.shape[-1]

    def network(run, generator):
        return Dictionary(inputs, int(size), generator)

    if not trained:
        return untrained(units, context, network)
    return train(
        units.assign(learning_rate=settings.learning_rate), context, network=network, data=Data({}, {"x": x}),
        loss=losses.sparse_reconstruction(inputs, settings.penalty * sparse), streams=streams, **losses.ADAM,
    ).ensemble  # fmt: skip


def read(runs, context, units, place, reads, classes, size, again):
    """Selectivity, and share of examples in which they are active, of the units that each run reads.

    Args:
        place: the row in `units` of each run's. reads: split -> activations `[U, n, width]`. classes: `[U, n]`, of the
        test set. size: features of a dictionary. again: whether a second one is trained, to be compared with the first.
    """
    pool, test, tables = reads["pool"], reads["test"], []
    new, learnt = None, None
    if set(runs["reads"]) & {"random", "sparse_random"}:
        new = autoencoders(units, context, pool, size, trained=False)
    if set(runs["reads"]) & set(OF_FEATURES):
        learnt = autoencoders(units, context, pool, size)
        shares = dictionaries.activity(_codes(learnt, pool, size))
    for kind, own in runs.groupby("reads", sort=False):
        at = place[[runs.index.get_loc(each) for each in own.index]].tolist()
        found = {}
        if kind == "neurons":
            codes = test
        elif kind == "sparse_neurons":
            codes = dictionaries.as_sparse(pool, test, dictionaries.by_rank(shares, dictionaries.activity(pool)))
        elif kind == "sparse_random":
            # A trained autoencoder's encoder begins with these directions: each is held against what became of it.
            along = [_along(x, new.named()["directions"]) for x in (pool, test)]
            codes = dictionaries.as_sparse(*along, shares)
        else:
            ensemble = learnt if kind == "features" else new
            codes, found = _codes(ensemble, test, size), dictionaries.quality(ensemble, test)
            if kind == "features" and again:
                pair = (learnt, autoencoders(units, context, pool, size, streams="again/"))
                found["agreement"] = dictionaries.recovered(*(each.named()["directions"] for each in pair))
        found["selectivity"] = dictionaries.selectivity(codes, classes, context.settings.least_active)
        found["activity"] = dictionaries.activity(codes).mean(1).cpu().tolist()
        tables.append(own[["run"]].assign(**{name: [each[row] for row in at] for name, each in found.items()}))
    return pd.concat(tables, ignore_index=True)


def _codes(ensemble, x, size):
    """Codes `[U, n, size]` of activations."""
    return ensemble.map(lambda predict, batch, hyper: predict(batch["x"])[:, :size], Data({}, {"x": x}))


def _along(x, directions):
    """How much of each direction `[U, k, d]` is in activations `[U, n, d]`; one unit after the other, so that a unit's
    numbers do not depend on how many there are.
    """
    return torch.stack([own @ each.mT for own, each in zip(x, directions, strict=True)])
