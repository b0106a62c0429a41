"""Feed-forward layers with and without a gate: in transformers that read words, alone as classifiers, and their cost.

Layers of all forms that are compared have the same number of weights: a gated one gets fewer hidden units.
"""

import math
import time

import numpy as np
import torch
from torch.utils.benchmark import Timer

from claimcheck.data.draws import draw_each
from claimcheck.engine.data import Data
from claimcheck.engine.single import per_run, per_seed
from claimcheck.engine.train import train
from claimcheck.engine.transformers import (
    Decoder,
    FeedForward,
    draw_text,
    hidden_units,
    next_token,
    next_token_loss,
)

CLASSES = 10


def _decoder(form, symbols, settings, hidden=None):
    """Makes a decoder with feed-forward layers of one form from a run and its generator.

    Those are drawn last, so that the forms of one unit begin with the same numbers in all other layers.
    """
    width, units = settings.width, hidden or settings.hidden
    sizes = symbols, width, settings.heads, settings.depth, units, "relu"

    def make(run, generator):
        network = Decoder(*sizes, generator=generator, length=settings.length)
        how = {"generator": generator, "gain": 1 / math.sqrt(2 * settings.depth)}
        for block in network.blocks:
            block.feed_forward = FeedForward(width, hidden_units(form, units), width, form, **how)
        return network

    return make


def _how(settings):
    """What the optimiser is given."""
    return {"hyper": {name: settings[name] for name in ("schedule", "warmup", "beta2")}, "compile": False}


def run_language(runs, context):
    """Test loss (nats a symbol) of transformers that predict the next letter, or phoneme, of a word."""
    settings, form, writing = context.settings, runs["form"].iloc[0], runs["dataset"].iloc[0]
    sizes = {"train": settings.words, "test": settings.test_words, "length": settings.length}
    text = draw_text(context, "cmudict", writing, runs["seed"], **sizes)
    return train(
        runs, context, network=_decoder(form, len(text.vocabulary), settings), data=text.train, loss=next_token_loss,
        evaluate={"test": (text.test, next_token)}, **_how(settings),
    ).records  # fmt: skip


def run_classifiers(runs, context):
    """Test error of one feed-forward layer from the inputs of an example to its classes."""
    settings, form, name = context.settings, runs["form"].iloc[0], runs["dataset"].iloc[0]
    own = draw_each(context, name, runs["seed"], **settings.examples[name])
    data = own.pool.rescaled().flat()
    inputs = data.x_train.shape[1]
    hidden = hidden_units(form, settings.hidden, inputs, CLASSES)
    training, testing = Data.training(data), Data.testing(data)
    return train(
        runs, context, data=Data(training.shared, subset=own.train),
        network=lambda run, generator: FeedForward(inputs, hidden, CLASSES, form, generator=generator),
        evaluate={"test": Data(testing.shared, subset=own.test)}, **_how(settings),
    ).records  # fmt: skip


@per_run
def run_sizes(run, context):
    """Parameters of a decoder, and how far `off` those of one with ReLU they are, as a share of these."""
    settings, draws = context.settings, context.generator(run.seed, "init")

    def count(form):
        network = _decoder(form, settings.symbols, settings)(run, draws)
        return float(sum(value.numel() for value in network.parameters()))

    return {"parameters": count(run.form), "off": abs(count(run.form) / count("relu") - 1)}


@per_seed
def run_timing(runs, context):
    """Time of a forward and backward pass of one decoder of each form, the median over turns.

    In every turn all are timed, each first in its turn, so that what else the machine does meets all alike; on a CPU
    the time is the process's own, on a GPU the clock's. `times` multiplies the hidden units.
    """
    settings, rows = context.settings, list(runs.itertuples(index=False))
    draws = context.generator(rows[0].seed, "timing")
    shape = settings.batch_size, settings.length + 1
    batch = {"x": torch.randint(1, settings.symbols, shape, generator=draws).to(context.device)}
    networks = [
        _decoder(run.form, settings.symbols, settings, settings.hidden * run.times)(run, draws).to(context.device)
        for run in rows
    ]
    turns = []
    for turn in range(settings.turns):
        order = np.roll(np.arange(len(rows)), turn)
        taken = {place: _seconds(networks[place], batch, settings.calls) for place in order}
        turns.append([taken[place] for place in range(len(rows))])
    return [{"run": run.run, "seconds": float(value)} for run, value in zip(rows, np.median(turns, 0), strict=True)]


def _seconds(network, batch, calls):
    """Time of a forward and backward pass, mean of `calls` after one that does not count."""

    def both_ways():
        torch.autograd.grad(next_token_loss(network, batch, {}), list(network.parameters()))

    clock = {} if batch["x"].is_cuda else {"timer": time.process_time}
    timer = Timer("both_ways()", globals={"both_ways": both_ways}, num_threads=torch.get_num_threads(), **clock)
    return timer.timeit(calls).mean
