"""What it took: the ingredients between 1998 and 2012, and the whole recipe of today, on networks with their own data."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from claimcheck.data import pools
from claimcheck.data.draws import draw_each
from claimcheck.data.pools import Examples
from claimcheck.engine.data import Data, noisy_labels
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.networks import MLP
from claimcheck.engine.single import per_run
from claimcheck.engine.train import cross_entropy, train

from .hardware import run_batching, run_cards  # noqa: F401
from .networks import Convolutional, Deep
from .published import counts
from .sequences import run_chains, run_generation, run_lengths  # noqa: F401
from .shifts import shifted

run_lengths_gpu = run_lengths


@per_run
def run_counts(run, context) -> dict[str, float]:
    """Weights and multiplications of a published network, and how many of them are in convolutions."""
    return counts(run.network)


def _drawn(runs: pd.DataFrame, context, examples: int) -> tuple[tuple[int, ...], dict[str, Data]]:
    """Shape of an example, and what each unit drew: the first `examples` of its training set, validation and test sets.

    Images are averaged over squares of `average_pooling` pixels a side; values have mean 0 and deviation 1 over the pool.
    """
    name = runs["dataset"].iloc[0]
    sizes = context.settings.data[name]
    own = draw_each(context, name, runs["seed"], train=sizes["train"] + sizes["valid"], test=sizes["test"])
    pool = _scaled(name, context.data_dir, sizes.get("average_pooling", 1)).to(context.device)
    learnt = {"x": pool.x_train, "y": pool.y_train}
    return tuple(pool.x_train.shape[1:]), {
        "train": Data(learnt, subset=own.train[:, :examples]),
        "valid": Data(learnt, subset=own.train[:, sizes["train"] :]),
        "test": Data({"x": pool.x_test, "y": pool.y_test}, subset=own.test),
    }


@lru_cache(maxsize=4)
def _scaled(name: str, data_dir: Path, side: int) -> Examples:
    """The pool as it is learnt from, made once for all ensembles."""
    pool = pools.load(name, data_dir)
    if pool.x_train.dim() == 4:  # images of one channel
        smaller = {each: F.avg_pool2d(getattr(pool, each), side).squeeze(1) for each in ("x_train", "x_test")}
        pool = replace(pool, **smaller)
    return pool.rescaled()


def _measured(sets: dict[str, Data]) -> dict[str, Data]:
    return {name: sets[name] for name in ("valid", "test")}


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
    shape, sets = _drawn(runs, context, s.data[runs["dataset"].iloc[0]][runs["amount"].iloc[0]])
    how = {"hyper": {"schedule": s.schedule}, "evaluate": _measured(sets)}
    return train(runs, context, network=_shallow(shape, s), data=sets["train"], **how).records


def run_speed(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Updates until the loss of the last `window` minibatches is at the target of the data set.

    A run that does not get there is given all updates of the part, which is too few; one that diverges has no number.
    """
    s, name = context.settings, runs["dataset"].iloc[0]
    shape, sets = _drawn(runs, context, s.data[name][s.amount])
    at = range(s.window, s.steps + 1, s.every)
    how = {"batch_loss_window": s.window, "evaluate_at": at}
    records = train(runs, context, network=_shallow(shape, s), data=sets["train"], **how).records
    there = records[records["batch_loss"] <= s.targets[name]].groupby("run")["step"].min()
    last = records[records["step"] == at[-1]].drop(columns="step")
    updates = last["run"].map(there).fillna(s.steps).astype(float)
    return last.assign(updates=updates.where(last["status"] == "ok"))


def run_growth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Errors of one hidden layer by number of training examples, some of whose labels may be wrong."""
    s, examples = context.settings, int(runs["examples"].iloc[0])
    shape, sets = _drawn(runs, context, examples)
    data = sets["train"]
    if (runs["noise"] > 0).any():
        labels = [
            noisy_labels(data.shared["y"][rows], run.noise, 10, context.generator(run.seed, "noise"))
            for run, rows in zip(runs.itertuples(), data.subset, strict=True)
        ]
        y = data.shared["y"].repeat(len(runs), 1).scatter(1, data.subset, torch.stack(labels))
        data = Data({"x": data.shared["x"]}, {"y": y}, data.subset)

    def network(run, generator):
        return MLP(int(np.prod(shape)), s.width, 10, generator=generator)

    how = {"hyper": {"schedule": s.schedule}, "evaluate": _measured(sets)}
    return train(runs, context, network=network, data=data, **how).records


def ingredients_of(settings, without: str) -> dict:
    """What the recipe consists of with something left out: those ingredients are as in 1998."""
    left = settings.left_out.get(without, [without])
    return {**settings.today, **{name: settings.in_1998[name] for name in left}}


def run_recipe(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Errors of a deep network by the whole recipe of today, and with something of it left out.

    The tuned `rate` is relative to the centre of the arm's grid.
    """
    s, first = context.settings, runs.iloc[0]
    name, said = first["dataset"], ingredients_of(s, first["without"])
    shape, sets = _drawn(runs, context, s.data[name]["train"])
    reach = s.data[name]["reach"] if said["shifts"] else 0

    def network(run, generator):
        return Deep(
            shape, s.widths[first["network"]], 10, generator=generator, depth=s.depth, kind=first["network"],
            activation=said["activation"], norm=said["norm"], residual=said["residual"], init=said["init"],
            dropout=said["dropout"],
        )  # fmt: skip

    @for_ensembles
    def loss(predict, batch, hyper):
        return cross_entropy(predict, {**batch, "x": shifted(batch["x"], batch["key"], reach, len(shape))}, hyper)

    runs = runs.assign(learning_rate=runs["rate"] * s.centres.get(first["without"], s.centres["others"]))
    hyper = {**s.schedules[said["schedule"]], "weight_decay": said["weight_decay"]}
    how = {"optimizer": said["optimizer"], "hyper": hyper, "evaluate": _measured(sets)}
    return train(runs, context, network=network, data=sets["train"], loss=loss, **how).records
