"""An ensemble is the loop: every network against ``torch.optim`` and ``torch.optim.lr_scheduler`` themselves.

Batch-normalised networks are compared without the biases that batch normalisation cancels: their gradient is zero but
for rounding, and Adam divides by its size.
"""

from __future__ import annotations

import pytest
import torch

from claimcheck.engine import networks
from claimcheck.engine.data import Data, noisy_labels
from claimcheck.engine.layers import for_ensembles, know_ensembles
from claimcheck.engine.schedules import SCHEDULES
from claimcheck.engine.train import train

from .reference import train_one

STEPS = 20
SINGLE = {"seeds": [4], "learning_rate": [0.02], "weight_decay": [0.05]}
MIXED = {
    "seeds": [0, 1, 2, 0, 1],
    "learning_rate": [0.01, 0.02, 0.03, 0.005, 0.05],
    "weight_decay": [0.0, 0.1, 0.01, 0.05, 0.2],
    "momentum": [0.9, 0.5, 0.0, 0.95, 0.8],
    "beta1": [0.9, 0.8, 0.5, 0.9, 0.0],
    "beta2": [0.999, 0.99, 0.9, 0.95, 0.999],
    "eps": [1e-8, 1e-6, 1e-3, 1e-8, 1e-4],
    "clip": [0.5, 1.0, float("inf"), 0.1, 2.0],
    "warmup": [0.0, 0.25, 0.5, 0.1, 0.0],
    "dropout": [0.0, 0.1, 0.5, 0.3, 0.2],
}


def assert_equals_loop(runs, context, network, data: Data, **how) -> None:
    """Relative distance of all parameters of a run from the loop's, float32 against float32: at most 1e-5."""
    trained = train(runs, context, network=network, data=data, steps=STEPS, **how)
    for row, run in enumerate(runs.itertuples(index=False)):
        module, _ = train_one(run, context, network=network, data=data.members([row]), steps=STEPS, **how)
        ours, theirs = trained.ensemble.network(run.run).state_dict(), module.state_dict()
        for name, reference in theirs.items():
            distance = (ours[name].double() - reference.double()).norm()
            assert distance <= 1e-5 * reference.double().norm() + 1e-7, (run, name, float(distance))


@pytest.mark.parametrize("norm", [None, "batch", "layer", "rms"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_one_network(optimizer, schedule, norm, runs_of, context, series) -> None:
    def network(run, generator):
        return networks.MLP(
            20, 16, 10, depth=2, norm=norm, activation="tanh", bias=norm != "batch", generator=generator
        )

    runs = runs_of(**SINGLE, schedule=schedule)
    assert_equals_loop(runs, context, network, series(), batch_size=32, optimizer=optimizer)


@pytest.mark.parametrize("norm", [None, "batch", "layer", "rms"])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam", "adamw"])
def test_five_networks_that_share_nothing(optimizer, norm, runs_of, context, series) -> None:
    def network(run, generator):
        return networks.MLP(
            20,
            16,
            10,
            depth=2,
            norm=norm,
            activation="swish",
            bias=norm != "batch",
            dropout=run.dropout,
            generator=generator,
        )

    runs = runs_of(**MIXED, schedule=["constant", "step", "cosine", "linear", "cosine"])
    assert_equals_loop(runs, context, network, series(), batch_size=32, optimizer=optimizer)


def test_every_kind_of_network(kind, runs_of, context) -> None:
    runs = runs_of([0, 1], learning_rate=[0.01, 0.02])
    assert_equals_loop(runs, context, kind.network, kind.data, batch_size=24, optimizer="momentum")


class Tied(networks.MLP):
    """Two hidden layers of one weight, each with its own bias."""

    def __init__(self, generator: torch.Generator, **how) -> None:
        super().__init__(20, [20, 20], 10, generator=generator, **how)
        self.hidden[1].weight = self.hidden[0].weight


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_tied_weights_are_one_weight(activation, together, runs_of, context, series) -> None:
    """Of all members at once, and mapped over them."""
    made = for_ensembles(type("Marked", (Tied,), {})) if together else Tied

    def network(run, generator):
        return made(generator, activation=activation)

    assert know_ensembles(network(None, torch.Generator())) == together
    runs = runs_of([0, 1, 2], learning_rate=[0.01, 0.02, 0.05])
    assert_equals_loop(runs, context, network, series(), batch_size=32, optimizer="momentum")


def test_own_labels_and_own_subsets(runs_of, context, series) -> None:
    data = series()
    labels = torch.stack(
        [noisy_labels(data.shared["y"], rate, 10, context.generator(0, "labels")) for rate in (0.0, 0.4)]
    )
    subset = torch.stack([torch.arange(100), torch.arange(200).flip(0)[:100]])
    own = Data({"x": data.shared["x"]}, per_member={"y": labels}, subset=subset)
    runs = runs_of([0, 1], learning_rate=[0.01, 0.02])
    for batch_size in (25, None):
        assert_equals_loop(
            runs,
            context,
            lambda run, g: networks.MLP(20, 16, 10, generator=g),
            own,
            batch_size=batch_size,
            optimizer="adam",
        )


def test_a_hyperparameter_of_the_loss_is_each_runs_own(runs_of, context, series) -> None:
    def smoothed(predict, batch, hyper):
        logits = predict(batch["x"]) / hyper["temperature"]
        return -logits.log_softmax(1).gather(1, batch["y"][:, None]).mean() * hyper["weight"]

    runs = runs_of([0, 0, 1], learning_rate=0.1, temperature=[0.5, 1.0, 3.0])
    assert_equals_loop(
        runs,
        context,
        lambda run, g: networks.MLP(20, 16, 10, generator=g),
        series(),
        batch_size=20,
        loss=smoothed,
        hyper={"weight": 0.5},
    )
