"""A small world for the engine's tests: synthetic data, named streams, one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from claimcheck import streams
from claimcheck.engine import lora, networks
from claimcheck.engine.data import Data
from claimcheck.engine.residual import Stack


@pytest.fixture(autouse=True)
def same_numbers() -> None:
    """What a test draws without a generator is the same each time: a bound on rounding holds always or never."""
    torch.manual_seed(0)


@dataclass
class World:
    """The part of a study's context that the engine reads."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    memory_limit: int | None = None
    design_runs: int = 0
    settings: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def key(self, seed: int, purpose: str) -> int:
        return streams.key("test", seed, purpose)

    def generator(self, seed: int, purpose: str) -> torch.Generator:
        return streams.generator("test", seed, purpose)

    def log(self, text: str) -> None:
        self.lines.append(text)

    def steps(self, count: int, networks: int | None = None) -> range:
        return range(count)

    def advance(self, share: float) -> None:
        self.told = [*getattr(self, "told", []), share]


@pytest.fixture
def context() -> World:
    return World()


@pytest.fixture
def make_context() -> type[World]:
    return World


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _series(examples: int = 200, features: int = 20) -> Data:
    """Ten noisy prototypes: something that can be learnt."""
    generator = torch.Generator().manual_seed(7)
    prototypes = torch.randn(10, features, generator=generator)
    y = torch.randint(10, (examples,), generator=generator)
    return Data({"x": prototypes[y] + 0.7 * torch.randn(examples, features, generator=generator), "y": y})


def _images(examples: int = 120) -> Data:
    data = _series(examples, 64)
    return Data({"x": data.shared["x"].view(-1, 8, 8), "y": data.shared["y"]})


def _runs_of(seeds: list[int], **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"run": [f"run-{i}" for i in range(len(seeds))], "seed": seeds, **columns})


Network = Callable[[Any, torch.Generator], nn.Module]

NETWORKS: dict[str, tuple[Network, Callable[[], Data]]] = {
    "mlp": (lambda run, g: networks.MLP(20, [17, 32], 10, generator=g), _series),
    "mlp tanh": (lambda run, g: networks.MLP(20, [17, 32], 10, activation="tanh", generator=g), _series),
    "mlp swish": (lambda run, g: networks.MLP(20, [17, 32], 10, activation="swish", generator=g), _series),
    "mlp gelu": (lambda run, g: networks.MLP(20, [17, 32], 10, activation="gelu", generator=g), _series),
    "mlp sigmoid": (lambda run, g: networks.MLP(20, [17, 32], 10, activation="sigmoid", generator=g), _series),
    "mlp batch": (lambda run, g: networks.MLP(20, 16, 10, depth=3, norm="batch", generator=g), _series),
    "mlp layer": (lambda run, g: networks.MLP(20, 16, 10, depth=3, norm="layer", generator=g), _series),
    "mlp rms": (lambda run, g: networks.MLP(20, 17, 10, depth=3, norm="rms", generator=g), _series),
    "mlp residual": (lambda run, g: networks.MLP(20, 16, 10, depth=4, residual="scaled", generator=g), _series),
    "mlp pre-norm": (lambda run, g: networks.MLP(20, 16, 10, depth=4, residual="pre_norm", generator=g), _series),
    "mlp dropout": (lambda run, g: networks.MLP(20, [32, 32], 10, dropout=0.1 * (run.seed % 3), generator=g), _series),
    "mlp batch 17": (lambda run, g: networks.MLP(20, [17, 17], 10, norm="batch", generator=g), _series),
    "mlp low-rank": (lambda run, g: lora.adapted(networks.MLP(20, [17, 32], 10, generator=g), 3, generator=g), _series),
    "stack": (lambda run, g: Stack(20, 17, 10, 4, ["plain", "scaled"][run.seed % 2], generator=g), _series),
    "stack pre-norm": (lambda run, g: Stack(20, 16, 10, 4, "pre_norm", generator=g), _series),
    "cnn 2d": (lambda run, g: networks.Cnn2d(1, 10, channels=4, generator=g), _images),
    "resnet": (lambda run, g: networks.ResNet(1, 10, channels=4, generator=g), _images),
    "rnn": (lambda run, g: networks.Rnn(2, 9, 10, generator=g), _series),
}
"""Every kind of network that the studies use: name -> (factory, data)."""


@pytest.fixture
def series() -> Callable[..., Data]:
    return _series


@pytest.fixture
def images() -> Callable[..., Data]:
    return _images


@pytest.fixture
def runs_of() -> Callable[..., pd.DataFrame]:
    return _runs_of


@dataclass
class Kind:
    """One kind of network and data that it can learn."""

    name: str
    network: Network
    data: Data


@pytest.fixture(params=NETWORKS)
def kind(request: pytest.FixtureRequest) -> Kind:
    network, data = NETWORKS[request.param]
    return Kind(request.param, network, data())
