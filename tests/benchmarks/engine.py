"""How fast the ensemble is: against the plain loop, hand-written batched products, and JAX. ``make bench`` runs it.

The work: train MLPs 40-w-w-10 by AdamW on minibatches of 100 out of 4,000 examples, every network with its own weights
and data order. A network-step is one optimiser step of one network. The contestants take turns, a chunk of steps each,
after a warm-up in which they compile; the fastest chunk of each counts, in processor time on a CPU, so that a busy
machine disturbs the ratios little. One thread on a CPU.

Matrix products bound all of them. On an AMD EPYC with AVX-512, torch 2.13's MKL takes its AVX2 path (80 GFLOP/s a core
on these batched products), JAX 0.10's own kernels AVX-512 (140 to 200, "jax products / torch" says by how much they
differ). A compiled step has AVX-512 kernels, too (:mod:`claimcheck.engine.products`), and takes the members in blocks
that stay in the cache. What would close the rest at width 100: the gradients written where the optimiser reads them,
without a copy, and bias, activation and its mask taken along in the products.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator
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

from ..engine.reference import train_one

import numpy as np  # isort: skip
import pandas as pd  # isort: skip
import torch  # isort: skip

INPUTS, CLASSES, EXAMPLES, BATCH = 40, 10, 4000, 100
RATE, DECAY, BETAS, EPS = 1e-3, 1e-2, (0.9, 0.999), 1e-8
ROUNDS = 8


class Clock:
    """A context for the engine whose ``steps`` takes and times a chunk of the training loop when it is its turn."""

    memory_limit, design_runs = None, 0

    def __init__(self, device: torch.device, chunk: int) -> None:
        self.device, self.chunk, self.seconds, self.lines = device, chunk, [], []
        self.log = self.lines.append
        self.settings: dict[str, Any] = {}
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
                for _ in range(ROUNDS + 1):
                    self.done.release()

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

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


def examples() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(EXAMPLES, INPUTS, generator=generator), torch.randint(CLASSES, (EXAMPLES,), generator=generator)


def network_of(width: int) -> Callable[..., torch.nn.Module]:
    return lambda run, generator: networks.MLP(INPUTS, [width, width], CLASSES, generator=generator)


def runs_of(members: int) -> pd.DataFrame:
    columns = {"learning_rate": RATE, "weight_decay": DECAY}
    return pd.DataFrame({"run": [f"r{i}" for i in range(members)], "seed": range(members), **columns})


def ensemble(clock: Clock, width: int, members: int, compile: bool) -> None:
    """The engine's own training loop."""
    x, y = examples()
    train(
        runs_of(members),
        clock,
        network=network_of(width),
        data=Data({"x": x, "y": y}).to(clock.device),
        steps=clock.chunk * (ROUNDS + 1),
        batch_size=BATCH,
        optimizer="adamw",
        compile=compile,
    )
    if any("eager after all" in line for line in clock.lines):
        raise RuntimeError(clock.lines)


def loop(clock: Clock, width: int) -> None:
    """One network's steps with ``torch.optim``."""
    x, y = examples()
    run = next(runs_of(1).itertuples(index=False))

    def network(run: Any, generator: torch.Generator) -> torch.nn.Module:
        return network_of(width)(run, generator).to(clock.device)

    data = Data({"x": x, "y": y}).to(clock.device)
    steps = clock.chunk * (ROUNDS + 1)
    train_one(run, clock, network=network, data=data, steps=steps, batch_size=BATCH, optimizer="adamw")


def batched_products(clock: Clock, width: int, members: int) -> None:
    """The same by hand: batched matrix products forward and backward, no autograd, one AdamW per tensor."""
    device, chunk = clock.device, clock.chunk
    x, y = (tensor.to(device) for tensor in examples())
    sizes = [INPUTS, width, width, CLASSES]
    shapes = [shape for a, b in pairwise(sizes) for shape in ((members, a, b), (members, 1, b))]
    weights = [torch.randn(shape, device=device) * (2.0 / shape[1]) ** 0.5 for shape in shapes]
    means, squares = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    positions = torch.randint(EXAMPLES, (chunk, members, BATCH), device=device)
    one_hot = torch.nn.functional.one_hot(y, CLASSES).float()
    for number in clock.steps(chunk * (ROUNDS + 1)):
        rows = positions[number % chunk].reshape(-1)
        inputs = [x.index_select(0, rows).view(members, BATCH, -1)]
        for layer in range(3):
            z = torch.baddbmm(weights[2 * layer + 1], inputs[-1], weights[2 * layer])
            inputs.append(z.relu_() if layer < 2 else z)
        delta = (inputs.pop().softmax(-1) - one_hot.index_select(0, rows).view(members, BATCH, -1)) / BATCH
        for layer in (2, 1, 0):
            h = inputs[layer]
            gradients = [h.mT @ delta, delta.sum(1, keepdim=True)]
            if layer:
                delta = (delta @ weights[2 * layer].mT).mul_(h > 0)
            for i, gradient in zip((2 * layer, 2 * layer + 1), gradients):
                adamw(weights[i], gradient, means[i], squares[i], number + 1)


def adamw(weight: torch.Tensor, gradient: torch.Tensor, mean: torch.Tensor, square: torch.Tensor, step: int) -> None:
    """One AdamW step in place."""
    weight.mul_(1.0 - RATE * DECAY)
    mean.lerp_(gradient, 1.0 - BETAS[0])
    square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1.0 - BETAS[1])
    denominator = square.sqrt().div_((1.0 - BETAS[1] ** step) ** 0.5).add_(EPS)
    weight.addcdiv_(mean, denominator, value=-RATE / (1.0 - BETAS[0] ** step))


def jax_program(clock: Clock, width: int, members: int) -> None:
    """The same in JAX: ``vmap`` over networks, ``scan`` over steps, ``jit`` around it."""
    import jax
    import jax.numpy as jnp

    x, y = (jnp.asarray(tensor.numpy()) for tensor in examples())
    sizes = [INPUTS, width, width, CLASSES]

    def start(key):
        keys = jax.random.split(key, 3)
        return [
            (jax.random.normal(k, (a, b)) * (2.0 / a) ** 0.5, jnp.zeros(b))
            for k, a, b in zip(keys, sizes[:-1], sizes[1:])
        ]

    def loss(weights, x, y):
        for w, b in weights[:-1]:
            x = jax.nn.relu(x @ w + b)
        logits = x @ weights[-1][0] + weights[-1][1]
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()

    def step(weights, means, squares, rows, t):
        gradients = jax.grad(loss)(weights, x[rows], y[rows])
        means = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, means, gradients)
        squares = jax.tree.map(lambda s, g: BETAS[1] * s + (1 - BETAS[1]) * g * g, squares, gradients)

        def move(w, m, s):
            return w * (1 - RATE * DECAY) - RATE / (1 - BETAS[0] ** t) * m / (jnp.sqrt(s / (1 - BETAS[1] ** t)) + EPS)

        return jax.tree.map(move, weights, means, squares), means, squares

    @jax.jit
    def steps(state, positions):
        def one(state, rows):
            *trees, t = state
            return (*jax.vmap(step, in_axes=(0, 0, 0, 0, None))(*trees, rows, t), t + 1.0), None

        return jax.lax.scan(one, state, positions)[0]

    weights = jax.vmap(start)(jax.random.split(jax.random.key(0), members))
    zeros = jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros, zeros, 1.0)
    for start in clock.steps(clock.chunk * (ROUNDS + 1)):
        if start % clock.chunk == 0:
            shape = (clock.chunk, members, BATCH)
            positions = jnp.asarray(np.random.default_rng(start).integers(0, EXAMPLES, shape, dtype=np.int32))
            state = jax.block_until_ready(steps(state, positions))


def operations(width: int) -> float:
    """Floating-point operations of a network-step's matrix products: forward, weight gradients, input gradients."""
    products = [INPUTS * width, width * width, width * CLASSES]
    return 2.0 * BATCH * (3 * sum(products) - products[0])


def product_rate(device: torch.device) -> float:
    """The machine's matrix-product rate, operations a second: the best of square float32 products."""
    size, best = (4096 if device.type == "cuda" else 768), float("inf")
    a = torch.randn(size, size, device=device)
    for _ in range(12):
        synchronise(device)
        begin = now(device)
        a @ a
        synchronise(device)
        best = min(best, now(device) - begin)
    return 2.0 * size**3 / best


def torch_products(width: int) -> float:
    """Operations a second of batched products ``[32, 100, w] x [32, w, w]`` in torch, on a CPU."""
    a, b = torch.randn(32, BATCH, width), torch.randn(32, width, width)
    return 2.0 * 32 * BATCH * width**2 / fastest(lambda: torch.bmm(a, b))


def jax_products(width: int) -> float:
    """The same in JAX: its CPU backend brings matrix kernels of its own, so the two may differ widely."""
    import jax
    import jax.numpy as jnp

    a, b = jnp.ones((32, BATCH, width)), jnp.ones((32, width, width))
    product = jax.jit(jnp.matmul)
    return 2.0 * 32 * BATCH * width**2 / fastest(lambda: product(a, b).block_until_ready())


def fastest(work: Callable[[], Any]) -> float:
    """Seconds of the fastest of many calls."""
    best = float("inf")
    for _ in range(200):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def compete(width: int, members: int, device: torch.device) -> dict[str, float]:
    """Microseconds per network-step of each way to train."""
    guess = members * 1e-6 * (20.0 + 0.01 * width * width)  # seconds of a step
    chunk = max(3, min(200, round(0.15 / guess)))
    ways = {
        "loop": (1, lambda clock: loop(clock, width)),
        "baddbmm": (members, lambda clock: batched_products(clock, width, members)),
        "eager": (members, lambda clock: ensemble(clock, width, members, False)),
        "compiled": (members, lambda clock: ensemble(clock, width, members, True)),
        "jax": (members, lambda clock: jax_program(clock, width, members)),
    }
    if importlib.util.find_spec("jax") is None or device.type != "cpu":
        print("no JAX for this device: its column is left out", file=sys.stderr)
        del ways["jax"]
    clocks = {name: Clock(device, chunk) for name in ways}
    threads = [clocks[name].run(way) for name, (_, way) in ways.items()]
    for _ in range(ROUNDS + 1):
        for clock in clocks.values():
            clock.go.release()
            clock.done.acquire()
            if clock.error is not None:
                raise clock.error
    for thread in threads:
        thread.join()
    return {name: min(clock.seconds) / (chunk * ways[name][0]) * 1e6 for name, clock in clocks.items()}


def machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    cpu = Path("/proc/cpuinfo")
    if device.type == "cpu" and cpu.exists():
        name = next((line.split(":")[1].strip() for line in cpu.read_text().splitlines() if "model name" in line), name)
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as text: microseconds per network-step, and what they come to."""
    return pd.DataFrame(rows).to_string(index=False, float_format=lambda value: f"{value:.3g}", na_rep="-")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 100, 256])
    parser.add_argument("--members", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--output", type=Path, default=Path("results/bench/bench.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    if hasattr(os, "sched_setaffinity"):  # JAX takes its threads from what the process may use
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    device, rows = torch.device(arguments.device), []
    rate = product_rate(device)
    for width in arguments.widths:
        for members in arguments.members:
            times = compete(width, members, device)
            ours = times["compiled"]
            ratios = {"loop / ours": times["loop"] / ours}
            if "jax" in times:
                ratios["jax / ours"] = times["jax"] / ours
                ratios["jax products / torch"] = jax_products(width) / torch_products(width)
            share = operations(width) / (ours * 1e-6) / rate
            rows.append({"width": width, "R": members, **times, **ratios, "share of product rate": share})
            print(table(rows[-1:]), flush=True)
    print(f"\nMicroseconds per network-step; products at {rate / 1e9:.0f} GFLOP/s\n{table(rows)}")
    result = {"unit": "microseconds per network-step", "machine": machine(device), "product_rate": rate, "rows": rows}
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_json(arguments.output, result)


if __name__ == "__main__":
    main()
