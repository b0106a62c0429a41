"""What it took: the ingredients between 1998 and 2012, and the whole recipe of today, on networks with their own data."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from claimcheck.engine.curves import loss_curves
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.networks import MLP
from claimcheck.engine.samples import Samples, first, mislabelled, samples
from claimcheck.engine.shifts import shifted
from claimcheck.engine.single import per_run
from claimcheck.engine.train import cross_entropy, train

from .hardware import run_batching, run_cards  # noqa: F401
from .networks import Convolutional, Deep
from .published import counts
from .sequences import run_chains, run_generation, run_lengths  # noqa: F401

run_lengths_gpu = run_lengths


@per_run
def run_counts(run, context) -> dict[str, float]:
    """Weights and multiplications of a published network, and how many of them are in convolutions."""
    return counts(run.network)


def _drawn(runs: pd.DataFrame, context) -> Samples:
    """What each unit drew to learn from, to choose by and to be tested on."""
    name = runs["dataset"].iloc[0]
    return samples(context, name, runs["seed"], context.settings.data[name])


def _shape(drawn: Samples) -> tuple[int, ...]:
    """Of an example: ``(1, H, W)`` of an image, ``(L,)`` of a signal."""
    return tuple(drawn.training.shared["x"].shape[1:])


def _measured(drawn: Samples, context) -> dict[str, Data]:
    """What errors are taken of: pilots choose by validation examples, judged units are tested."""
    return {name: {"valid": drawn.validation, "test": drawn.test}[name] for name in context.settings.evaluate}


def rated(runs: pd.DataFrame, centres: Mapping[str, float], *factors: str) -> pd.DataFrame:
    """The runs with their learning rates: the tuned `rate` is relative to the centre of the arm's grid.

    Args:
        centres: by the arm's levels of `factors`, one after the other; `others` is for those that are not named.
    """
    arms = runs[list(factors)].astype(str).agg(" ".join, axis=1)
    return runs.assign(learning_rate=runs["rate"] * arms.map(lambda arm: centres.get(arm, centres["others"])))


def _shallow(shape: tuple[int, ...], settings):
    """Maker of a convolutional network; what it is like is said by the run's factors or by the settings."""

    def network(run, generator):
        said = {**settings, **run._asdict()}
        return Convolutional(
            shape, settings.channels[said["size"]], 10, generator=generator, activation=said["activation"],
            init=settings.inits[said["activation"]], dropout=said["dropout"],
        )  # fmt: skip

    return network


def run_ingredients(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Errors of a convolutional network by activation, dropout, number of examples and size."""
    s = context.settings
    name, drawn = runs["dataset"].iloc[0], _drawn(runs, context)
    runs, examples = rated(runs, s.centres[name], "activation", "amount", "size"), s.data[name][runs["amount"].iloc[0]]
    how = {"hyper": {"schedule": s.schedule}, "evaluate": _measured(drawn, context)}
    return train(runs, context, network=_shallow(_shape(drawn), s), data=first(drawn.training, examples), **how).records


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Updates until the loss of the last `window` minibatches is at the target of the data set.

    A run that does not get there is given all updates of the part, which is too few; one that diverges has no number.
    """
    s, name, drawn = context.settings, runs["dataset"].iloc[0], _drawn(runs, context)
    data = first(drawn.training, s.data[name][s.amount])
    trained = train(runs, context, network=_shallow(_shape(drawn), s), data=data, batch_loss_window=s.steps)
    curves, records = loss_curves(trained, s.window, s.every), trained.records.drop(columns="step")
    there = curves[curves["batch_loss"] <= s.targets[name]].groupby("run")["step"].min()
    updates = records["run"].map(there).fillna(s.steps).astype(float)
    return records.assign(updates=updates.where(records["status"] == "ok"))


def run_growth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Errors of one hidden layer by number of training examples, some of whose labels may be wrong."""
    s, drawn = context.settings, _drawn(runs, context)
    data = first(drawn.training, int(runs["examples"].iloc[0]))
    runs = rated(runs, s.centres[runs["dataset"].iloc[0]], "examples", "noise")
    if (share := float(runs["noise"].iloc[0])) > 0:
        data = mislabelled(data, context, runs["seed"], share)

    def network(run, generator):
        return MLP(math.prod(_shape(drawn)), s.width, 10, generator=generator)

    how = {"hyper": {"schedule": s.schedule}, "evaluate": _measured(drawn, context)}
    return train(runs, context, network=network, data=data, **how).records


def ingredients_of(settings, without: str) -> dict:
    """What an arm of the recipe consists of: what it leaves out is as in 1998."""
    left = settings.left_out.get(without, [without])
    if without in settings.kept:
        left = set(settings.today) - set(settings.kept[without])
    return {name: (settings.in_1998 if name in left else settings.today)[name] for name in settings.today}


def as_columns(runs: pd.DataFrame, settings) -> pd.DataFrame:
    """The runs with learning rates, and with the ingredients of their arms as columns."""
    name, network = runs["dataset"].iloc[0], runs["network"].iloc[0]
    said = {arm: ingredients_of(settings, arm) for arm in runs["without"].unique()}
    arms = pd.DataFrame.from_dict(said, orient="index").drop(columns="schedule").infer_objects()
    schedules = pd.DataFrame([settings.schedules[each["schedule"]] for each in said.values()], index=arms.index)
    arms["strength"] = arms.pop("shifts").astype(float)
    arms["depth"] = [settings.depths.get(arm, settings.depth) for arm in arms.index]
    runs = rated(runs, settings.centres[network][name], "without")
    return runs.join(arms.join(schedules), on="without")


def run_recipe(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Errors of a deep network by the whole recipe of today, with something of it left out, and with little of it.

    Arms that have the same layers, as many of them, and the same optimiser are trained as one ensemble.
    """
    runs, drawn = as_columns(runs.reset_index(drop=True), context.settings), _drawn(runs, context)
    alike = runs.groupby(["activation", "norm", "optimizer", "depth"], sort=False)
    return pd.concat(
        [_deep(own, Samples(*(part.members(own.index) for part in drawn)), context) for _, own in alike],
        ignore_index=True,
    )


def _deep(runs: pd.DataFrame, drawn: Samples, context) -> pd.DataFrame:
    """Errors of deep networks that differ in numbers alone, and of which each has its own examples."""
    s, one, drops = context.settings, runs.iloc[0], runs["dropout"].any()
    reach = s.data[one["dataset"]]["reach"]

    def network(run, generator):
        return Deep(
            _shape(drawn), s.widths[run.network], 10, generator=generator, depth=int(one["depth"]), kind=run.network,
            activation=run.activation, norm=run.norm, residual=run.residual, init=run.init,
            dropout=run.dropout if drops else None,
        )  # fmt: skip

    @for_ensembles
    def loss(predict, batch, hyper):
        moved = shifted(batch["x"], batch["key"], reach, hyper["strength"])
        return cross_entropy(predict, {**batch, "x": moved}, hyper)

    how = {"optimizer": one["optimizer"], "evaluate": _measured(drawn, context)}
    moves = loss if runs["strength"].any() else cross_entropy
    return train(runs, context, network=network, data=drawn.training, loss=moves, **how).records
