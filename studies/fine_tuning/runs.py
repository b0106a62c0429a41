"""Fine-tuning: networks trained on one task, then tuned on a few examples of another, whole or in part.

A unit's network is trained once beforehand; all its arms begin with that one, or from scratch. Everything is judged at
the last step, on examples that nothing was trained or chosen on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import nn

from claimcheck.engine import lora
from claimcheck.engine.networks import MLP
from claimcheck.engine.train import Data, Trained, classification, cross_entropy, train
from claimcheck.engine.transformers import Decoder, next_token, next_token_loss

from . import peak_memory, tasks

RANKS = {"rank1": 1, "rank2": 2, "rank4": 4}
"""Ways to tune that train a low-rank product for each matrix, and its rank."""

SAME_RATE = {"rank2_same_rate": "rank2"}
"""Ways that have the rate of the whole network: what they report for the choice is how well that one validates."""


class First(NamedTuple):
    """What the units were trained on beforehand, and what came of it.

    Attributes:
        seeds: of the units. trained: their networks. fresh: makes a new one, (run, generator) -> module.
        network: a unit's own by its seed; one module however often it is asked for, which nobody changes.
        test: examples of the first task. loss, metrics: of one network.
    """

    seeds: list[int]
    trained: Trained
    fresh: Callable[[Any, torch.Generator], nn.Module]
    network: Callable[[int], nn.Module]
    test: Data
    loss: Callable
    metrics: Callable


def run_classifiers(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Accuracy on a shifted task by shift, number of examples and what is tuned, and what is left of the first task."""
    s, seeds = context.settings, sorted(runs["seed"].unique())
    sizes = s[runs["dataset"].iloc[0]]
    raw = tasks.drawn(context, runs["dataset"].iloc[0], seeds)

    def shifted(shift: str) -> dict[str, Data]:
        return {part: tasks.shifted(context, raw[part], shift, part, seeds) for part in tasks.PARTS}

    def fresh(run, generator):
        return MLP(raw["test"].x[0, 0].numel(), [sizes["width"]] * s.depth, 10, generator=generator)

    first = _first(seeds, context, fresh, shifted("none"), sizes, cross_entropy, classification)
    noisy = _untuned(first, shifted("noisy"))["accuracy"].set_axis(seeds)
    found = _trials(runs, context, first, shifted)
    costs = found["source_accuracy"] - noisy[found["seed"]].to_numpy()
    return found.assign(noise_costs=costs).drop(columns="seed")


run_many = run_classifiers


def run_words(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The same for transformers that predict the next letter, of words read forwards and then backwards."""
    s, seeds = context.settings, sorted(runs["seed"].unique())
    sizes = s.words
    read = tasks.spelt(context, seeds)

    def shifted(shift: str) -> dict[str, Data]:
        turn = tasks.backwards if shift == "backwards" else lambda tokens: tokens
        return {part: Data({}, {"x": turn(tokens)}) for part, tokens in read.items()}

    def fresh(run, generator):
        return Decoder(tasks.LETTERS, s.width, s.heads, s.depth, s.hidden, s.form, generator=generator)

    first = _first(seeds, context, fresh, shifted("none"), sizes, next_token_loss, next_token)
    return _trials(runs, context, first, shifted).drop(columns="seed")


def _first(seeds, context, fresh, task: Mapping[str, Data], sizes, loss, metrics) -> First:
    """Each seed's network, trained on the first task."""
    runs = pd.DataFrame({"run": [str(seed) for seed in seeds], "seed": seeds})
    trained = train(
        runs, context, network=fresh, data=task["source"], steps=sizes["source_steps"], loss=loss, streams="source/",
        batch_size=sizes["source_batch_size"], evaluate={"test": (task["test"], metrics)},
        hyper={"learning_rate": sizes["source_rate"], "schedule": context.settings.schedule},
    )  # fmt: skip
    network = cache(lambda seed: trained.ensemble.network(str(seed)).cpu())  # where all networks are made
    return First(seeds, trained, fresh, network, task["test"], loss, metrics)


def _trials(runs: pd.DataFrame, context, first: First, shifted: Callable[[str], dict[str, Data]]) -> pd.DataFrame:
    """Tune for each shifted task, and measure."""
    frames, source = [], first.trained.records[["test_error", "test_loss"]].to_numpy()
    for shift, those in runs.groupby("shift", sort=False):
        task = shifted(shift)
        before = _untuned(first, task)
        for (tuned, examples), own in those.groupby(["tuned", "examples"], sort=False):
            rows = torch.tensor([first.seeds.index(seed) for seed in own["seed"]])
            found = _tuned(own, context, first, task, tuned, int(examples), rows)
            then = before.iloc[rows.numpy()].reset_index(drop=True).add_prefix("untuned_")
            frames.append(found.join(then).assign(source_accuracy=1 - source[rows, 0], source_loss=source[rows, 1]))
    table = pd.concat(frames, ignore_index=True)
    costs, lead = table["source_accuracy"] - table["untuned_accuracy"], table["untuned_accuracy"] - table["accuracy"]
    gain, forgotten = table["untuned_loss"] - table["loss"], table["source_accuracy"] - table["kept_accuracy"]
    return table.assign(shift_costs=costs, untuned_lead=lead, gain=gain, forgotten=forgotten)


def _untuned(first: First, task: Mapping[str, Data]) -> pd.DataFrame:
    """Accuracy and loss of each unit's network on a task that it was not tuned for."""
    found = first.trained.ensemble.map(first.metrics, task["test"])
    loss, error = (found[name].double().cpu().numpy() for name in ("loss", "error"))
    return pd.DataFrame({"accuracy": 1 - error, "loss": loss})


def _tuned(own, context, first: First, task: Mapping[str, Data], tuned: str, examples: int, rows) -> pd.DataFrame:
    """One way to tune, on one number of examples: accuracies on the new task and on the first one."""

    def trained(way: str, sets: Collection[str] = ("validation", "test", "kept")) -> Trained:
        return _trained(own, context, first, task, way, examples, rows, sets)

    way = trained(SAME_RATE.get(tuned, tuned))
    found, whole = way.records, lora.trained(first.fresh(None, torch.Generator()))
    chosen_by = trained("whole", ["validation"]).records if tuned in SAME_RATE else found
    return (
        own[["run", "seed"]]
        .merge(found[["run", "status"]], on="run")
        .assign(
            accuracy=1 - found["test_error"],
            loss=found["test_loss"],
            kept_accuracy=1 - found["kept_error"],
            validation_accuracy=1 - chosen_by["validation_error"],
            validation_loss=chosen_by["validation_loss"],
            share=lora.trained(way.ensemble.skeleton) / whole,
        )
    )


def _trained(
    own, context, first: First, task: Mapping[str, Data], way: str, examples: int, rows, sets: Collection[str]
) -> Trained:
    """Each run's network, tuned in one way on the first `examples` of the new task, and measured on some sets."""
    s, there = context.settings, {**task, "kept": first.test}

    def network(run, generator):
        if way == "scratch":
            return first.fresh(run, generator)
        known = first.network(run.seed)
        if way == "head":
            return lora.frozen(known, but="output")
        how = {"generator": generator, "alpha": s.alpha, "whole": s.whole_layer}
        return deepcopy(known) if way == "whole" else lora.adapted(known, RANKS[way], **how)

    return train(
        own, context, network=network, data=_some(task["examples"], rows, examples), loss=first.loss,
        batch_size=min(s.batch_size, examples), hyper={"schedule": s.schedule},
        evaluate={name: (there[name].members(rows), first.metrics) for name in sets},
    )  # fmt: skip


def _some(data: Data, rows: torch.Tensor, count: int) -> Data:
    """The first `count` examples of some of the units."""
    return Data({}, {name: column[rows, :count] for name, column in data.per_member.items()})


def run_memory(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Memory that training takes, measured by the operating system, and that of the optimiser's state, in MiB."""
    s = context.settings
    jobs = [
        {
            "width": s.width,
            "depth": s.depth,
            "rank": RANKS.get(run.tuned, 0),
            "batch_size": int(run.batch_size),
            "key": context.key(run.seed, "memory"),
        }
        for run in runs.itertuples()
    ]
    return runs[["run"]].join(pd.DataFrame(peak_memory.measured(jobs), runs.index))
