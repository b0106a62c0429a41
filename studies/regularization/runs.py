"""Networks with and without dropout, weight decay and augmentation, on few examples and on many; decay against L2.

Every unit draws its own examples; fewer are a part of more. Everything is measured at the last step.
"""

from dataclasses import replace

import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.engine import noise
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.networks import MLP
from claimcheck.engine.samples import first, mislabelled, samples
from claimcheck.engine.shifts import shifted
from claimcheck.engine.single import per_run
from claimcheck.engine.train import cross_entropy, train

from . import decays

CLASSES = 10


def turned(x, key):
    """Half of the examples, at random, upside down: series [..., B, L] with their signs changed, images [..., B, 1, H, W]
    turned; of each key [...].
    """
    chosen = noise.uniform(noise.fold(key, 11), x.shape[key.dim() : key.dim() + 1]) < 0.5
    over = -x if x.dim() == key.dim() + 2 else x.flip((-2, -1))
    return torch.where(chosen.view(*chosen.shape, *[1] * (x.dim() - chosen.dim())), over, x)


def square_means(images, side, reach):
    """Means of the squares of `side` pixels at every place of images [N, 1, H, W], and up to `reach` beyond their edges.

    Beyond the edges it is as dark as anywhere. What `moved` takes of them is an image that was shrunk after it moved,
    for a sixteenth of the work at each step.
    """
    return F.avg_pool2d(F.pad(images, [reach] * 4, value=float(images.min())), side, stride=1)


def moved(means, key, side, reach):
    """Images moved by up to `reach` pixels each way, each on its own, and then shrunk, out of their `square_means`.

    Of means [..., B, 1, H, W] with each key [...], an int64 scalar of the member and step.
    """
    wide = means.shape[-1]
    count, first_places = means.shape[key.dim()], torch.arange(0, wide - 2 * reach, side, device=means.device)
    down, right = (
        first_places + (noise.uniform(noise.fold(key, way), (count, 1)) * (2 * reach + 1)).long() for way in (12, 13)
    )
    places = down[..., None] * wide + right[..., None, :]
    return means.flatten(-3).gather(-1, places.flatten(-2)).view(*means.shape[:-2], *places.shape[-2:])


def _loss(augmentation, sizes):
    """Cross-entropy of the examples as they are (`none`), of `turned` ones, or of `shifts` of them."""
    if augmentation == "none":
        return cross_entropy

    def changed(x, key):
        if augmentation == "turned":
            return turned(x, key)
        return moved(x, key, sizes["shrink"], sizes["reach"]) if "shrink" in sizes else shifted(x, key, sizes["reach"])

    @for_ensembles
    def loss(predict, batch, hyper):
        return cross_entropy(predict, {**batch, "x": changed(batch["x"], batch["key"])}, hyper)

    return loss


def _network(data, width, depth=1, dropout=False):
    """Hidden layers of that width, for examples of these data; with dropout at each run's rate, a column of the runs."""
    inputs = data.shared["x"][0].numel()

    def network(run, generator):
        rate = run.dropout if dropout else None
        return MLP(inputs, int(width), CLASSES, generator=generator, depth=depth, dropout=rate)

    return network


def _steps(settings, examples):
    """As many passes over every number of examples: what fits the few has to have time to fit the many."""
    return round(settings.epochs * examples / settings.batch_size)


def run_methods(runs, context):
    """Errors of networks by number of examples and method, what they gained by knowing the examples, and their size.

    Columns: loss and error of what is `measured`; `gap`, test error less training error; `norm`, the Euclidean norm of
    all weights and biases.
    """
    settings, one, runs = context.settings, runs.iloc[0], runs.reset_index(drop=True)
    name, examples = one["dataset"], int(one["examples"])
    sizes, kinds = settings[name], runs["method"].map(settings.kinds)
    own = samples(context, name, runs["seed"], sizes)
    given = mislabelled(first(own.training, examples), context, runs["seed"], sizes["wrong_labels"])
    sets = {"training": given, "validation": own.validation, "test": own.test}
    runs = runs.assign(
        weight_decay=[kind.get("decay", {}).get(name, 0.0) for kind in kinds],
        dropout=[kind.get("dropout", {}).get(name, 0.0) for kind in kinds],
    )
    alike = [kinds.map(lambda kind: "dropout" in kind), kinds.map(lambda kind: kind.get("augmentation", "none"))]
    found = []
    for (drops, augmentation), group in runs.groupby(alike, sort=False):
        rows = group.index.tolist()
        shown = given.members(rows)
        if augmentation == "shifts" and "shrink" in sizes:
            whole = samples(context, name, group["seed"], {**sizes, "shrink": 1}).training
            means = square_means(whole.shared["x"], sizes["shrink"], sizes["reach"])
            whole = replace(whole, shared={**whole.shared, "x": means})
            shown = mislabelled(first(whole, examples), context, group["seed"], sizes["wrong_labels"])
        trained = train(
            group, context, data=shown, steps=_steps(settings, examples), loss=_loss(augmentation, sizes),
            network=_network(own.training, sizes["width"], sizes["depth"], drops),
            hyper={"schedule": settings.schedule},
            evaluate={each: sets[each].members(rows) for each in settings.measured},
        )  # fmt: skip
        norm = trained.ensemble.parameters.double().norm(dim=1).cpu().numpy()
        found.append(trained.records.assign(norm=norm))
    found = pd.concat(found, ignore_index=True)
    return found.assign(gap=found["test_error"] - found["training_error"]) if "test_error" in found else found


def run_widths(runs, context):
    """Errors by width and strength of the decay, a multiple of the data set's own, where some training labels are wrong.

    The training loss and error are of the labels as they were given; those of validation and test are right.
    """
    settings, name, runs = context.settings, runs["dataset"].iloc[0], runs.reset_index(drop=True)
    sizes = settings[name]
    own = samples(context, name, runs["seed"], sizes)
    data = mislabelled(own.training, context, runs["seed"], sizes["wrong_labels"])
    sets = {"training": data, "validation": own.validation, "test": own.test}
    return train(
        runs.assign(weight_decay=runs["strength"] * sizes["decay"]), context, data=data,
        steps=_steps(settings, sizes["training"]), hyper={"schedule": settings.schedule},
        network=_network(own.training, runs["width"].iloc[0]),
        evaluate={each: sets[each] for each in settings.measured},
    ).records  # fmt: skip


def run_pairs(runs, context):
    """How far Adam with an L2 penalty ends from AdamW: the same start, examples, order and learning rate.

    `distance` is the Euclidean distance of the two networks' weights over the norm of AdamW's. The penalty is
    `strength` / 2 times the squared norm; AdamW's decay is the setting `weight_decay`.
    """
    settings, name, runs = context.settings, runs["dataset"].iloc[0], runs.reset_index(drop=True)
    own = samples(context, name, runs["seed"], settings[name])
    how = {"network": _network(own.training, settings.width), "evaluate": {"test": own.test}}
    decayed = runs.drop_duplicates("seed")
    hyper = {"schedule": settings.schedule, "weight_decay": settings.weight_decay}
    first_of_seed = torch.as_tensor(decayed.index.to_numpy(copy=True))
    ours = train(
        decayed, context, optimizer="adamw", hyper=hyper, data=own.training.members(first_of_seed),
        **{**how, "evaluate": {"test": own.test.members(first_of_seed)}},
    )  # fmt: skip
    penalised = runs.assign(weight_decay=runs["strength"])
    hyper = {"schedule": settings.schedule}
    theirs = train(penalised, context, optimizer="adam", hyper=hyper, data=own.training, **how)
    place = {seed: at for at, seed in enumerate(decayed["seed"])}
    weights = ours.ensemble.parameters.double()[[place[seed] for seed in runs["seed"]]]
    apart = (theirs.ensemble.parameters.double() - weights).norm(dim=1) / weights.norm(dim=1)
    return theirs.records.assign(distance=apart.cpu().numpy())


@per_run
def run_identities(run, context):
    """What is true by arithmetic, on torch's own optimisers and layers, in float64; see `decays`."""
    settings, generator = context.settings, context.generator(run.seed, "identities")
    return {
        "sgd_difference": decays.sgd_difference(settings, generator),
        "adam_ratio": decays.shrinkage_ratio(torch.optim.Adam, settings, generator, eps=0.0),
        "adamw_ratio": decays.shrinkage_ratio(torch.optim.AdamW, settings, generator, eps=0.0),
        "scale_difference": decays.scale_difference(settings, generator),
    }
