"""AdamW beside SGD with momentum, over tasks, learning rates and weight decays; the printed update beside the published.

Every unit draws its own examples. Everything is measured at the last step.
"""

import math

import pandas as pd

from claimcheck.engine.networks import MLP
from claimcheck.engine.samples import mislabelled, samples
from claimcheck.engine.single import per_run
from claimcheck.engine.train import train
from claimcheck.engine.transformers import Decoder, draw_text, next_token, next_token_loss

from . import formulas, printed
from .convolutions import Cnn

CLASSES = 10


def _classified(runs, context):
    """Network, training examples and samples of a classifier: an MLP, or what the runs' column `network` says."""
    settings, one = context.settings, runs.iloc[0]
    kind, sizes = one.get("network", "mlp"), settings[one["dataset"]]
    own = samples(context, one["dataset"], runs["seed"], {**sizes, **sizes.get(kind, {})})
    shape = tuple(own.training.shared["x"].shape[1:])

    def network(run, generator):
        if kind == "cnn":
            return Cnn(shape, settings.channels, CLASSES, generator=generator, **settings.window)
        return MLP(math.prod(shape), sizes["width"], CLASSES, depth=sizes["depth"], generator=generator)

    wrong = sizes["wrong_labels"]
    data = mislabelled(own.training, context, runs["seed"], wrong) if wrong else own.training
    return network, data, own


def _classifiers(runs, context, **how):
    """Train classifiers; validation and test loss and error at the last step."""
    network, data, own = _classified(runs, context)
    evaluate = {name: getattr(own, name) for name in context.settings.get("measured", ["test"])}
    how["hyper"] = {"schedule": context.settings.schedule, **how.get("hyper", {})}
    return train(runs, context, network=network, data=data, evaluate=evaluate, **how).records


def _readers(runs, context, **how):
    """Train decoder transformers on words, spelt or as phonemes; test loss and error of the next token."""
    settings, one = context.settings, runs.iloc[0]
    sizes = settings[one["dataset"]]
    decoder, how = settings.decoder, {**how, "batch_size": settings.batch_of_words}
    own = draw_text(
        context, one["dataset"], one["network"], runs["seed"], train=sizes["training"], test=sizes["test"],
        length=decoder["length"],
    )  # fmt: skip
    how["hyper"] = {"schedule": settings.schedule, **how["hyper"]}
    return train(
        runs, context, data=own.train, loss=next_token_loss, evaluate={"test": (own.test, next_token)},
        network=lambda run, generator: Decoder(len(own.vocabulary), **decoder, generator=generator), **how,
    ).records  # fmt: skip


def run_rates(runs, context):
    """Test loss of a task by optimiser and learning rate; a task is a data set and a network."""
    one = runs.iloc[0]
    kind = _readers if one["dataset"] == "cmudict" else _classifiers
    hyper = {"weight_decay": context.settings.decays[one["optimizer"]]}
    return kind(runs, context, optimizer=one["optimizer"], hyper=hyper)


def run_grid(runs, context):
    """Test loss of an MLP on few examples by optimiser, learning rate and weight decay."""
    return _classifiers(runs, context, optimizer=runs["optimizer"].iloc[0])


def run_decay(runs, context):
    """Validation and test error of an MLP on few examples by what keeps its weights small."""
    arms = runs["arm"].map(context.settings.arms)
    runs = runs.assign(weight_decay=[arm["decay"][name] for arm, name in zip(arms, runs["dataset"])])
    groups = runs.groupby(arms.map(lambda arm: arm["optimizer"]), sort=False)
    return pd.concat([_classifiers(group, context, optimizer=optimizer) for optimizer, group in groups])


def run_variants(runs, context):
    """Test loss of AdamW at its default rate, with one of its other hyperparameters changed."""
    defaults, changes = context.settings.defaults, context.settings.changes
    told = [{**defaults, **changes[variant]} for variant in runs["variant"]]
    runs = runs.assign(**{name: [each[name] for each in told] for name in defaults})
    return _classifiers(runs, context, optimizer="adamw")


def run_printed(runs, context):
    """Training and test loss by form of the update, `published` or `printed`, and learning rate."""
    network, data, own = _classified(runs, context)
    return printed.trained(runs, context, network, data, {"training": data, "test": own.test})


@per_run
def run_identities(run, context):
    """What is true of the formulas by arithmetic; see `formulas`."""
    return formulas.identities(context.settings, context.generator(run.seed, "identities"))
