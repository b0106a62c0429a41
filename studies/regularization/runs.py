"""Networks with and without dropout, weight decay and augmentation, on few examples and on many; decay against L2.

Every unit draws its own examples; fewer are a part of more. Everything is measured at the last step.
"""

import torch

from claimcheck.engine import noise
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.networks import MLP
from claimcheck.engine.samples import first, mislabelled, samples, shrunk
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


def _loss(augmentation, sizes):
    """Cross-entropy of the examples as they are (None), `turned` ones, or `shifts` of them, shrunk after they moved."""
    if augmentation is None:
        return cross_entropy

    def changed(x, key):
        if augmentation == "turned":
            return turned(x, key)
        return shrunk(shifted(x, key, sizes["reach"]), sizes.get("shrink", 1))

    @for_ensembles
    def loss(predict, batch, hyper):
        return cross_entropy(predict, {**batch, "x": changed(batch["x"], batch["key"])}, hyper)

    return loss


def _network(data, width, **more):
    """Hidden layers (one, unless `depth` is given) of that width, for examples of these data."""
    inputs = data.shared["x"][0].numel()
    return lambda run, generator: MLP(inputs, int(width), CLASSES, generator=generator, **more)


def run_methods(runs, context):
    """Errors of networks by number of examples and method, what they gained by knowing the examples, and their size.

    Columns: training, validation and test loss and error; `gap`, test error less training error; `norm`, the Euclidean
    norm of all weights and biases.
    """
    settings, one, runs = context.settings, runs.iloc[0], runs.reset_index(drop=True)
    sizes, method = settings[one["dataset"]], settings.kinds[one["method"]]
    own = samples(context, one["dataset"], runs["seed"], sizes)
    moved = method.get("augmentation") == "shifts"
    whole = samples(context, one["dataset"], runs["seed"], {**sizes, "shrink": 1}) if moved else own
    data, shown = (
        mislabelled(first(each.training, int(one["examples"])), context, runs["seed"], sizes["wrong_labels"])
        for each in (own, whole)
    )
    dropout = method.get("dropout", {}).get(one["dataset"])
    sets = {"training": data, "validation": own.validation, "test": own.test}
    trained = train(
        runs, context, data=shown, steps=settings.steps[str(one["examples"])],
        network=_network(own.training, sizes["width"], depth=sizes["depth"], dropout=dropout),
        loss=_loss(method.get("augmentation"), sizes),
        hyper={"schedule": settings.schedule, "weight_decay": method.get("decay", {}).get(one["dataset"], 0.0)},
        evaluate={name: sets[name] for name in settings.measured},
    )  # fmt: skip
    found = trained.records
    if "test" not in settings.measured:  # a pilot
        return found
    norm = trained.ensemble.parameters.double().norm(dim=1).cpu().numpy()
    return found.assign(gap=found["test_error"] - found["training_error"], norm=norm)


def run_widths(runs, context):
    """Errors by width and strength of the decay, a multiple of the data set's own, where some training labels are wrong.

    The training loss and error are of the labels as they were given; those of the test are right.
    """
    settings, name, runs = context.settings, runs["dataset"].iloc[0], runs.reset_index(drop=True)
    sizes = settings[name]
    own = samples(context, name, runs["seed"], sizes)
    data = mislabelled(own.training, context, runs["seed"], sizes["wrong_labels"])
    return train(
        runs.assign(weight_decay=runs["strength"] * sizes["decay"]), context, data=data,
        network=_network(own.training, runs["width"].iloc[0]), hyper={"schedule": settings.schedule},
        evaluate={"training": data, "test": own.test},
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
