"""Representations: two modalities in one space, features read from activations, and what is reused with few labels."""

from __future__ import annotations

import pandas as pd
import torch

from claimcheck.data.draws import draw_each
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.networks import MLP
from claimcheck.engine.train import train

from . import dictionaries, losses, reading, retrieval
from .examples import Examples, disturbed, drawn, heaviest_quarter
from .networks import Encoder, Towers, WordTowers

SIGNALS = "mnist1d_pool"
READ_ALIKE = dict.fromkeys(("contrastive", "random", "autoregressive"), "features")
"""Arms whose features are of one shape, so that probes of both are trained at once."""
ADAM = losses.ADAM


def _data(examples: Examples) -> Data:
    return Data({}, {"x": examples.x, "y": examples.y})


def _units(runs: pd.DataFrame) -> tuple[pd.DataFrame, torch.Tensor]:
    """A row for each seed, and for each run the number of its seed's row."""
    units = runs.drop_duplicates("seed")[["run", "seed"]].reset_index(drop=True)
    place = {seed: at for at, seed in enumerate(units["seed"])}
    return units, torch.as_tensor(runs["seed"].map(place).to_numpy(copy=True))


# ---- two modalities ----


def _pairs(name, units, context):
    """For each split of each unit: images and signals of one class side by side, `[U, n, ...]`, and their class; how
    many numbers an image has; and which image each pair of the test has, `[U, n]`.

    There is a pair for each signal, and where a class has fewer images, these come again.
    """
    sizes = context.settings
    images, signals = (drawn(context, each, units["seed"], sizes[each]) for each in (name, SIGNALS))
    found = {}
    for split in ("pool", "test"):
        here, there = images[split], signals[split]
        partners = torch.stack([retrieval.partners(*each) for each in zip(there.y, here.y, strict=True)])
        x = torch.cat([here.x.take_along_dim(partners[..., None], 1), there.x], -1)
        found[split] = Examples(x, there.y)
    return found, images["pool"].x.shape[-1], partners


def _towers(runs, context, place, pairs, left, arm):
    """Trained towers of one arm; `unseen` lacks the pairs of the last classes, `attraction` the negatives."""
    settings, data = context.settings, pairs["pool"]
    if arm == "unseen":
        known = data.y < losses.CLASSES - settings.unseen
        data = data.of(known, int(known.sum(1).min()))
    right = data.x.shape[-1] - left
    loss = losses.pair_contrast(settings.temperature, negatives=arm != "attraction")

    def network(run, generator):
        return Towers(left, right, settings.width, settings.outputs, generator)

    if arm == "untrained":
        return untrained(runs, context, network)
    return train(runs, context, network=network, data=_data(data.rows(place)), loss=loss, **ADAM).ensemble


def run_towers(runs, context):
    """What nearest neighbours are, across and within images and signals of the test set, by way of training."""
    name, runs, tables = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    units, place = _units(runs)
    pairs, left, images = _pairs(name, units, context)
    for arm, own in runs.groupby("arm", sort=False):
        at, own = place[own.index.to_numpy(copy=True)], own.reset_index(drop=True)
        test = pairs["test"].rows(at)
        sides = test.x.split([left, test.x.shape[-1] - left], -1)
        if arm != "raw":
            sides = _embedded(_towers(own, context, at, pairs, left, arm), test.x)
        found = retrieval.by_class(sides, test.y, images[at], arm != "raw", context.settings.unseen)
        tables.append(own[["run"]].assign(**found))
    return pd.concat(tables, ignore_index=True)


def _embedded(ensemble, x):
    """Both embeddings `[U, n, outputs]` of pairs side by side."""
    return ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({}, {"x": x})).chunk(2, -1)


def run_plane(runs, context):
    """Both modalities of some test pairs on the two principal components of all their embeddings together."""
    runs, (units, place) = runs.reset_index(drop=True), _units(runs)
    pairs, left, _ = _pairs(runs["dataset"].iloc[0], units, context)
    tables = []
    for run, at in zip(runs.itertuples(), place.tolist(), strict=True):
        test = pairs["test"].rows(torch.tensor([at])).first(context.settings.shown)
        ensemble = _towers(runs.loc[[run.Index]], context, torch.tensor([at]), pairs, left, run.arm)
        both = [each[0] for each in _embedded(ensemble, test.x)]
        tables.append(retrieval.in_the_plane(both, test.y[0]).assign(run=run.run))
    return pd.concat(tables, ignore_index=True)


def run_words(runs, context):
    """How often the nearest pronunciation of a spelling is its own, among few and among many words never seen."""
    settings, runs = context.settings, runs.reset_index(drop=True)
    own = draw_each(context, "cmudict", runs["seed"], train=settings.pairs, test=settings.test)
    sides = {"x": torch.cat([own.pool.x_train, own.pool.y_train], 1)}
    vocabularies = [len(each) for each in (own.pool.x_vocabulary, own.pool.y_vocabulary)]
    loss, tables = losses.pair_contrast(settings.temperature), []

    def network(run, generator):
        return WordTowers(vocabularies, settings.outputs, generator)

    for arm, own_runs in runs.groupby("arm", sort=False):
        rows, own_runs = torch.as_tensor(own_runs.index.to_numpy(copy=True)), own_runs.reset_index(drop=True)
        if arm == "untrained":
            ensemble = untrained(own_runs, context, network)
        else:
            data = Data(sides, subset=own.train[rows])
            ensemble = train(own_runs, context, network=network, data=data, loss=loss, **ADAM).ensemble
        data = Data(sides, subset=own.test[rows])
        both = ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), data, members=2).chunk(2, -1)
        found = retrieval.own_partner(both, "test", context.settings.candidates)
        tables.append(own_runs[["run"]].assign(**found))
    return pd.concat(tables, ignore_index=True)


# ---- features in activations ----


def run_superposition(runs, context):
    """How well each method finds known directions, more of them than dimensions, from their sparse sums."""
    settings, runs, tables = context.settings, runs.reset_index(drop=True), []
    units, place = _units(runs)
    made = [dictionaries.superposed(settings, context.generator(int(seed), "directions")) for seed in units["seed"]]
    directions, x, fresh = (torch.stack(each).to(context.device) for each in zip(*made, strict=True))
    for (method, size), own in runs.groupby(["method", "dictionary"], sort=False):
        at, own = place[own.index.to_numpy(copy=True)], own.reset_index(drop=True)
        found = own[["run"]]
        if method in ("sparse", "dense", "untrained"):
            trained, sparse = method != "untrained", method == "sparse"
            ensemble = reading.autoencoders(own, context, x[at], size, trained, sparse=sparse)
            learnt = ensemble.named()["directions"]
            found = found.assign(**dictionaries.quality(ensemble, fresh[at]))
        else:
            rounds = settings.rounds if method != "examples" else 0
            clustered = [dictionaries.centres(each, size, rounds, method == "whitened") for each in x]
            learnt = torch.stack(clustered)[at]
        found = found.assign(recovered=dictionaries.recovered(directions[at], learnt))
        tables.append(found)
    return pd.concat(tables, ignore_index=True)


def run_activations(runs, context):
    """Class selectivity of what is read from a hidden layer, neurons and directions, of a trained and a new network."""
    name, runs, tables = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    settings, (units, place) = context.settings, _units(runs)
    sets = drawn(context, name, units["seed"], settings[name])
    inputs = sets["pool"].x.shape[-1]

    def network(run, generator):
        return Encoder(inputs, settings.width, [], losses.CLASSES, generator)

    for kind, of_kind in runs.groupby("network", sort=False):
        if kind == "trained":
            how = {"loss": losses.class_loss(), "steps": settings.network_steps, "streams": "network/", **ADAM}
            rated = units.assign(learning_rate=settings.network_rate)
            classifier = train(rated, context, network=network, data=_data(sets["pool"]), **how).ensemble
        else:
            classifier = untrained(units, context, network)
        reads = {split: _features(classifier, each.x, settings.width) for split, each in sets.items()}
        scale = reads["pool"].square().sum(-1, keepdim=True).mean(1, keepdim=True).sqrt() / settings.width**0.5
        reads = {split: each / scale for split, each in reads.items()}
        for size, own in of_kind.groupby("dictionary", sort=False):
            at, again = place[own.index.to_numpy(copy=True)], kind == "trained" and size == settings.compared
            tables.append(reading.read(own, context, units, at, reads, sets["test"].y, int(size), again))
    return pd.concat(tables, ignore_index=True)


# ---- features that are reused ----


def _features(ensemble, x, width):
    """Features `[U, n, width]` of flat inputs `[U, n, inputs]`."""
    return ensemble.map(lambda predict, batch, hyper: predict(batch["x"])[..., :width], Data({}, {"x": x}), members=4)


def _standardized(sets, by="pool"):
    """Each feature of each unit less its mean, over its deviation, both of one of the sets; what is constant there is
    0.
    """
    mean, deviation = sets[by].mean(1, keepdim=True), sets[by].std(1, keepdim=True)
    deviation = torch.where(deviation > 1e-6, deviation, torch.ones_like(deviation))
    return {split: (each - mean) / deviation for split, each in sets.items()}


def _own_sets(runs, place, seen, asked, count=None):
    """Each run's examples, split -> Examples.

    Args:
        place: of each run's unit. seen: arm -> split -> inputs `[U, n, ...]`. asked: split -> classes `[U, n]`.
        count: examples of the pool that are labelled, the first ones; None for all.
    """
    number = torch.as_tensor(runs["arm"].map(list(seen).index).to_numpy(copy=True))
    found = {}
    for split, classes in asked.items():
        most, row = count if split == "pool" else None, place + number * len(classes)
        x = torch.cat([each[split][:, :most] for each in seen.values()])
        whole = torch.equal(row, torch.arange(len(x)))
        found[split] = Examples(x if whole else x[row], classes[place, :most])
    return found


def _classifier(inputs, width):
    return lambda run, generator: Encoder(inputs, width, [], losses.CLASSES, generator)


def _labelled(runs, context, sets, network, loss, score=losses.accuracy):
    """Train on the pool's labelled examples; accuracies on all other sets."""
    tested = {split: (_data(each), score) for split, each in sets.items() if split != "pool"}
    return train(runs, context, network=network, data=_data(sets["pool"]), loss=loss, evaluate=tested, **ADAM).records


def _read_out(runs, context, sets, kind):
    """A linear layer on standardised features or on raw inputs, which stay as they are, at `probe_rate` times the rate of
    the run over their number: each of them adds its own part to what a step of Adam changes.
    """
    inputs = sets["pool"].x.shape[-1]
    linear = lambda run, g: MLP(inputs, [], losses.CLASSES, generator=g)  # noqa: E731
    runs = runs.assign(learning_rate=runs["learning_rate"] * context.settings.probe_rate[kind] / inputs)
    return _labelled(runs, context, sets, linear, losses.class_loss())


def _contrastive(units, context, pool, how):
    """Encoders pretrained by contrast of views, no label."""
    settings = context.settings
    return train(
        units.assign(learning_rate=settings.pretraining_rate), context, data=Data({}, {"x": pool}),
        network=lambda run, g: Encoder(pool.shape[-1], settings.width, [settings.width], settings.outputs, g),
        loss=losses.view_contrast(losses.Views.of(how, context), settings.outputs, settings.temperature),
        steps=settings.pretraining_steps,
        batch_size=settings.pretraining_batch, streams="pretraining/", **ADAM,
    ).ensemble  # fmt: skip


def _reused(arm, units, context, pool, x, how):
    """Features of inputs, split -> `[U, n, width]`, by networks pretrained on the pool by contrast, or by new ones."""
    width = context.settings.width
    if arm == "random":
        ensemble = untrained(units, context, _classifier(pool.shape[-1], width))
    else:
        ensemble = _contrastive(units, context, pool, how)
    return {split: _features(ensemble, each, width) for split, each in x.items()}


def run_pretraining(runs, context):
    """Accuracy by share of labels, as tested and disturbed, of probes on features and of networks trained on labels."""
    name, runs, tables = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    settings, (units, place) = context.settings, _units(runs)
    how, sets = settings[name], drawn(context, name, units["seed"], settings[name])
    sets |= {kind: disturbed(sets["test"], kind, context, units["seed"], how) for kind in ("moved", "noisy")}
    network = _classifier(sets["pool"].x.shape[-1], settings.width)
    asked = {
        "class": {split: each.y for split, each in sets.items()},
        "place": {split: heaviest_quarter(each.x, how.get("side")) for split, each in sets.items()},
    }
    for kind, of_kind in runs.groupby(runs["arm"].replace(READ_ALIKE), sort=False):
        seen = {arm: {split: each.x for split, each in sets.items()} for arm in of_kind["arm"].unique()}
        if kind == "features":
            seen = {arm: _reused(arm, units, context, sets["pool"].x, x, how) for arm, x in seen.items()}
            seen = {arm: _standardized(x) for arm, x in seen.items()}
        for (task, share), own in of_kind.groupby(["task", "labels"], sort=False):
            at, own = place[own.index.to_numpy(copy=True)], own.reset_index(drop=True)
            own_sets = _own_sets(own, at, seen, asked[task], round(share * how["pool"]))
            if kind in ("features", "raw"):
                tables.append(_read_out(own, context, own_sets, kind))
            else:
                loss = losses.class_loss(losses.Views.of(how, context) if kind == "augmented" else None)
                tables.append(_labelled(own, context, own_sets, network, loss))
    return pd.concat(tables, ignore_index=True)


def run_transfer(runs, context):
    """Accuracy on the last five classes, few labels, by way of features; contrastive ones saw the first five only."""
    name, runs, tables = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    settings, (units, place) = context.settings, _units(runs)
    how, sets = settings[name], drawn(context, name, units["seed"], settings[name])
    source = sets["pool"].of(sets["pool"].y < 5, how["source"])
    counts = {"pool": how["labelled"], "validation": how["checked"], "test": how["tested"]}
    sets = {split: each.of(each.y >= 5, counts[split]) for split, each in sets.items()}
    x, asked = ({split: getattr(each, name) for split, each in sets.items()} for name in ("x", "y"))
    for kind, own in runs.groupby(runs["arm"].replace(READ_ALIKE), sort=False):
        at, own = place[own.index.to_numpy(copy=True)], own.reset_index(drop=True)
        if kind == "supervised":
            network = _classifier(source.x.shape[-1], settings.width)
            own_sets = _own_sets(own, at, {kind: x}, asked)
            tables.append(_labelled(own, context, own_sets, network, losses.class_loss()))
            continue
        seen = {arm: {"source": source.x, **x} for arm in own["arm"].unique()}
        if kind == "features":
            seen = {arm: _reused(arm, units, context, source.x, each, how) for arm, each in seen.items()}
            seen = {arm: _standardized(each, by="source") for arm, each in seen.items()}
        tables.append(_read_out(own, context, _own_sets(own, at, seen, asked), kind))
    return pd.concat(tables, ignore_index=True)


def _summed(kind, units, context, sets, how, most):
    """What a linear layer reads of whole examples, split -> `[U, n, ...]`: raw numbers, or features of all windows,
    summed; of the pool no more than the first `most`.

    The network is new (`random`) or was trained to predict what follows each window (`autoregressive`).
    """
    settings, window, letters = context.settings, how["window"], how.get("letters", 0)
    read = sets | {"pool": sets["pool"].first(most)}
    if kind == "raw":
        return {split: losses.raw_numbers(each.x, letters) for split, each in read.items()}

    def network(run, generator):
        return Encoder(window * max(letters, 1), settings.width, [], max(letters, 1), generator)

    if kind == "random":
        ensemble = untrained(units, context, network)
    else:
        ensemble = train(
            units.assign(learning_rate=settings.pretraining_rate), context, network=network, **ADAM,
            data=Data({}, {"x": sets["pool"].x}), loss=losses.next_loss(window, letters), streams="pretraining/",
            steps=how["pretraining_steps"], batch_size=how["pretraining_batch"],
        ).ensemble  # fmt: skip
    summed = losses.summed_features(window, letters, settings.width)
    return {split: ensemble.map(summed, Data({}, {"x": each.x}), members=2) for split, each in read.items()}


def run_next(runs, context):
    """Accuracy by share of labels of probes on features that predict what follows, and of networks trained on labels.

    A network sees a window of the values (letters) before a place; of a whole signal (word) its features are summed.
    """
    name, runs, tables = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    settings, (units, place) = context.settings, _units(runs)
    how, sets = settings[name], drawn(context, name, units["seed"], settings[name])
    window, letters = how["window"], how.get("letters", 0)
    most = round(runs["labels"].max() * how["pool"])
    x, asked = ({split: getattr(each, name) for split, each in sets.items()} for name in ("x", "y"))
    for kind, of_kind in runs.groupby(runs["arm"].replace(READ_ALIKE), sort=False):
        seen = {kind: x}
        if kind != "supervised":
            arms = of_kind["arm"].unique()
            seen = {arm: _summed(arm, units, context, sets, how, most) for arm in arms}
        if kind == "features":
            seen = {arm: _standardized(each) for arm, each in seen.items()}
        for share, own in of_kind.groupby("labels", sort=False):
            at, own = place[own.index.to_numpy(copy=True)], own.reset_index(drop=True)
            own_sets = _own_sets(own, at, seen, asked, round(share * how["pool"]))
            if kind == "supervised":
                network = _classifier(window * max(letters, 1), settings.width)
                loss, score = (each(window, letters) for each in (losses.pooled_class_loss, losses.pooled_accuracy))
                tables.append(_labelled(own, context, own_sets, network, loss, score))
            else:
                tables.append(_read_out(own, context, own_sets, kind))
    return pd.concat(tables, ignore_index=True)
