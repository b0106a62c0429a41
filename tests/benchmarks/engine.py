"""Microseconds of a network-step: the plain loop, the engine's ensemble, JAX, and the least that products alone take.

``make bench`` runs it. The work: train MLPs 40-w-…-w-10 by SGD with momentum on minibatches out of 4,000 examples,
every network with its own weights and data order; a network-step is one optimiser step of one network. The contestants
take turns, a chunk of steps each, after a warm-up in which they compile; the fastest chunk of each counts, in processor
time on a CPU, so that a busy machine disturbs the ratios little. One thread on a CPU.

    loop      one network, ``torch.optim``
    eager     the engine as it is at the scales that people try first
    graph     the same, recorded in a CUDA graph and replayed: what it does on a GPU
    compiled  the engine where a long design makes compiling pay (never at depth 30: there the rule says no)
    JAX       ``vmap`` over networks, ``scan`` over steps, ``jit`` around it, on a CPU
    limit     the step's matrix products at the rate of this machine's best square product
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")

from claimcheck import streams
from claimcheck.engine import networks
from claimcheck.engine.memory import keep_freed_memory
from claimcheck.engine.train import Data, train
from claimcheck.files import write_json
from claimcheck.results.provenance import machine, versions
from claimcheck.running.devices import has_compiler

from ..engine.reference import train_one

import numpy as np  # isort: skip
import pandas as pd  # isort: skip
import torch  # isort: skip

INPUTS, CLASSES, EXAMPLES = 40, 10, 4000
RATE, MOMENTUM = 1e-3, 0.9
ROUNDS = 8
SHALLOW = 5
"""More hidden layers than these are not compiled."""


@dataclass(frozen=True)
class Shape:
    """Networks of ``depth`` hidden layers of ``width`` units, minibatches of ``batch``, ``members`` trained at once."""

    width: int
    depth: int
    batch: int
    members: int

    @property
    def sizes(self) -> list[int]:
        """Units of each layer, inputs and classes included."""
        return [INPUTS, *[self.width] * self.depth, CLASSES]

    @property
    def operations(self) -> float:
        """Floating-point operations of a network-step's products: forward, weight gradients, input gradients."""
        products = [a * b for a, b in pairwise(self.sizes)]
        return 2.0 * self.batch * (3 * sum(products) - products[0])

    def network(self, run: Any, generator: torch.Generator) -> torch.nn.Module:
        """One network."""
        return networks.MLP(INPUTS, self.width, CLASSES, depth=self.depth, generator=generator)

    def runs(self, members: int) -> pd.DataFrame:
        """A row for each network."""
        return pd.DataFrame({"run": [f"r{i}" for i in range(members)], "seed": range(members), "learning_rate": RATE})


SHAPES = [
    Shape(width, depth, batch, members)
    for width, batch, members, shallow in [(32, 100, 32, 2), (100, 32, 64, 3), (32, 32, 96, 3)]
    for depth in (shallow, 30)
]


class Clock:
    """A context for the engine whose ``steps`` takes and times a chunk of the training loop when it is its turn."""

    memory_limit, design_runs = None, 0

    def __init__(self, device: torch.device, chunk: int, rounds: int = ROUNDS, eager: bool = False) -> None:
        self.device, self.chunk, self.rounds, self.eager = device, chunk, rounds, eager
        self.seconds: list[float] = []
        self.lines: list[str] = []
        self.log = self.lines.append
        self.settings: dict[str, Any] = {}
        self.notes: dict[str, Any] = {}
        self.go, self.done, self.error = threading.Semaphore(0), threading.Semaphore(0), None

    def steps(self, count: int, networks: int | None = None) -> Iterator[int]:
        """Yield step numbers, a chunk a turn; the first chunk warms up, the others are timed."""
        for start in range(0, count, self.chunk):
            self.go.acquire()
            synchronise(self.device)
            begin = now(self.device)
            yield from range(start, start + self.chunk)
            synchronise(self.device)
            if start:
                self.seconds.append(now(self.device) - begin)
            self.done.release()

    def run(self, contestant: Callable[[Clock], None]) -> threading.Thread:
        """Start the contestant in a thread of its own; it moves only in its turns."""

        def work() -> None:
            try:
                torch.set_num_threads(1)
                contestant(self)
            except Exception as error:
                self.error = error
                for _ in range(self.rounds + 1):
                    self.done.release()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    @property
    def total(self) -> int:
        """Steps of all turns."""
        return self.chunk * (self.rounds + 1)

    def advance(self, share: float) -> None:
        """No progress bar."""

    @staticmethod
    def key(seed: int, purpose: str) -> int:
        return streams.key("bench", seed, purpose)

    @staticmethod
    def generator(seed: int, purpose: str) -> torch.Generator:
        return streams.generator("bench", seed, purpose)


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def now(device: torch.device) -> float:
    """Seconds: processor time of this process on a CPU, which others hardly disturb; time on the wall on a GPU."""
    return time.perf_counter() if device.type == "cuda" else time.process_time()


def examples(device: torch.device) -> Data:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(EXAMPLES, INPUTS, generator=generator)
    return Data({"x": x, "y": torch.randint(CLASSES, (EXAMPLES,), generator=generator)}).to(device)


def ensemble(clock: Clock, shape: Shape, compile: bool = False) -> None:
    """The engine's own training loop."""
    train(
        shape.runs(shape.members),
        clock,
        network=shape.network,
        data=examples(clock.device),
        steps=clock.total,
        batch_size=shape.batch,
        optimizer="momentum",
        compile=compile,
    )
    if faults := [line for line in clock.lines if "eager after all" in line or "no CUDA graph" in line]:
        raise RuntimeError(faults)


def loop(clock: Clock, shape: Shape) -> None:
    """One network's steps with ``torch.optim``."""
    run = next(shape.runs(1).itertuples(index=False))

    def network(run: Any, generator: torch.Generator) -> torch.nn.Module:
        return shape.network(run, generator).to(clock.device)

    how = {"data": examples(clock.device), "batch_size": shape.batch, "optimizer": "momentum"}
    train_one(run, clock, network=network, steps=clock.total, **how)


def jax_program(clock: Clock, shape: Shape) -> None:
    """The same in JAX."""
    import jax
    import jax.numpy as jnp

    data = examples(torch.device("cpu")).shared
    x, y = jnp.asarray(data["x"].numpy()), jnp.asarray(data["y"].numpy())

    def start(key):
        keys = jax.random.split(key, shape.depth + 1)
        pairs = zip(keys, pairwise(shape.sizes))
        return [(jax.random.normal(k, (a, b)) * (2.0 / a) ** 0.5, jnp.zeros(b)) for k, (a, b) in pairs]

    def loss(weights, x, y):
        for w, b in weights[:-1]:
            x = jax.nn.relu(x @ w + b)
        logits = x @ weights[-1][0] + weights[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    def step(weights, velocities, rows):
        gradients = jax.grad(loss)(weights, x[rows], y[rows])
        velocities = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocities, gradients)
        return jax.tree.map(lambda w, v: w - RATE * v, weights, velocities), velocities

    @jax.jit
    def steps(state, positions):
        return jax.lax.scan(lambda state, rows: (jax.vmap(step)(*state, rows), None), state, positions)[0]

    weights = jax.vmap(start)(jax.random.split(jax.random.key(0), shape.members))
    state = (weights, jax.tree.map(jnp.zeros_like, weights))
    for number in clock.steps(clock.total):
        if number % clock.chunk == 0:
            size = (clock.chunk, shape.members, shape.batch)
            positions = jnp.asarray(np.random.default_rng(number).integers(0, EXAMPLES, size, dtype=np.int32))
            state = jax.block_until_ready(steps(state, positions))


WAYS: dict[str, Callable[[Clock, Shape], None]] = {
    "loop": loop,
    "eager": ensemble,
    "graph": ensemble,
    "compiled": lambda clock, shape: ensemble(clock, shape, compile=True),
    "jax": jax_program,
}


def ways_of(shape: Shape, device: torch.device) -> list[str]:
    """The contestants that there are for such networks on such a device."""
    there = {
        "graph": device.type == "cuda",
        "compiled": shape.depth <= SHALLOW and (device.type == "cuda" or has_compiler()),
        "jax": device.type == "cpu" and importlib.util.find_spec("jax") is not None,
    }
    return [name for name in WAYS if there.get(name, True)]


def compete(shape: Shape, device: torch.device, ways: Iterable[str], rounds: int = ROUNDS) -> dict[str, float]:
    """Microseconds per network-step of each way to train, from the fastest of so many rounds."""
    guess = shape.members * (8e-6 * (shape.depth + 1) + shape.operations / 1.5e10)  # seconds of a step, on a CPU
    chunk = max(30 if device.type == "cuda" else 3, min(200, round(0.15 / guess)))
    clocks = {name: Clock(device, chunk, rounds, eager=name == "eager") for name in ways}
    threads = [clock.run(lambda clock, way=WAYS[name]: way(clock, shape)) for name, clock in clocks.items()]
    for _ in range(rounds + 1):
        for clock in clocks.values():
            clock.go.release()
            clock.done.acquire()
            if clock.error is not None:
                raise clock.error
    for thread in threads:
        thread.join()
    trained = {name: 1 if name == "loop" else shape.members for name in clocks}
    return {name: min(clock.seconds) / (chunk * trained[name]) * 1e6 for name, clock in clocks.items()}


def product_rate(device: torch.device) -> float:
    """The machine's matrix-product rate, operations a second: the best of square float32 products."""
    size, best = (4096 if device.type == "cuda" else 512), float("inf")
    a = torch.randn(size, size, device=device)
    for _ in range(30):
        synchronise(device)
        begin = now(device)
        a @ a
        synchronise(device)
        best = min(best, now(device) - begin)
    return 2.0 * size**3 / best


def settle() -> None:
    """One thread, of PyTorch and of JAX, which takes as many as the process may use."""
    torch.set_num_threads(1)
    keep_freed_memory()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def row_of(shape: Shape, times: dict[str, float], rate: float) -> dict[str, Any]:
    """A line of the table: what was trained, microseconds per network-step, and what they come to."""
    limit = shape.operations / rate * 1e6
    return {**asdict(shape), **times, "limit": limit, "loop / eager": times["loop"] / times["eager"]}


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text."""
    shown = pd.DataFrame([{"network": f"{row['depth']} x {row['width']}", **row} for row in rows])
    names = {"members": "networks", "jax": "JAX"}
    shown = shown.drop(columns=["width", "depth"]).rename(columns=names)
    return shown.to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep="–")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path("results/bench/bench.json"))
    arguments = parser.parse_args()
    settle()
    device, rows = torch.device(arguments.device), []
    rate = product_rate(device)
    for shape in SHAPES:
        print(f"{shape.depth} x {shape.width}, minibatches of {shape.batch} …", file=sys.stderr, flush=True)
        rows.append(row_of(shape, compete(shape, device, ways_of(shape, device)), rate))
    found = machine(device)
    print(f"\nMicroseconds per network-step on {found.get('accelerator', found['processor'])}", end="")
    print(f"; products at {rate / 1e9:,.0f} GFLOP/s\n\n{table(rows)}")
    result = {"unit": "microseconds per network-step", "machine": found, "versions": versions(), "product_rate": rate}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.output, {**result, "rows": rows})


if __name__ == "__main__":
    main()
