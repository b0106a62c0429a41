"""Memory that training takes beyond that of a process that has PyTorch: measured by the operating system, not counted.

Run as a program, since a process that has trained before keeps memory of its own: it reads jobs (JSON, a list) and
prints a result for each. A job's network is built here and trained in a fork, whose highest resident size is read.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import torch
from torch import Generator, nn

from claimcheck.engine import lora
from claimcheck.engine.networks import MLP

MIB = 1 << 20
SMALLEST = {"width": 1, "batch_size": 1}
START = "import runpy, sys; sys.path.insert(0, sys.argv[1]); runpy.run_path(sys.argv[2], run_name='__main__')"
"""Runs this file with the package that runs now, installed or not, wherever its folder lies."""

STEPS = 2
"""Adam's state is made at the end of the first step; in the second one everything is there at once."""


def measured(jobs: list[dict]) -> list[dict[str, float]]:
    """For each job, in MiB: `peak`, the most that training took; `counted`, what it should be; `state`, Adam's.

    Large blocks go back to the system as soon as they are freed (a setting of the C library), so that what is resident
    is what is in use.
    """
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(1 << 14), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    command = [sys.executable, "-c", START, str(Path(lora.__file__).parents[2]), str(Path(__file__).resolve())]
    done = subprocess.run(command, input=json.dumps(jobs), capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout)


def network(job: dict) -> nn.Module:
    """What a job trains: all of a network, or low-rank products alone."""
    generator = Generator().manual_seed(job["key"])
    whole = MLP(job["width"], [job["width"]] * job["depth"], 10, generator=generator)
    return lora.adapted(whole, job["rank"], generator=generator) if job["rank"] else whole


def state_bytes(module: nn.Module) -> int:
    """Bytes of Adam's two running means, as a step leaves them."""
    optimizer = torch.optim.Adam(module.parameters())
    for parameter in optimizer.param_groups[0]["params"]:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    tensors = [value for state in optimizer.state.values() for value in state.values() if value.dim()]
    return sum(value.nbytes for value in tensors)


def train(module: nn.Module, job: dict) -> None:
    """A few steps of Adam on made examples."""
    generator = Generator().manual_seed(job["key"] + 1)
    x = torch.randn(job["batch_size"], job["width"], generator=generator)
    y = torch.randint(10, (job["batch_size"],), generator=generator)
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()


def counted(job: dict) -> float:
    """MiB that must be there at once, by counting numbers of four bytes.

    Whole: weights, gradients and Adam's two means, or, at a large batch, all of these but the gradients, which come as
    activations go, and the activations. With low-rank products, whose own are left out: weights and activations.
    """
    width, depth, examples = job["width"], job["depth"], job["batch_size"]
    weights, activations = depth * width**2, (depth + 1) * examples * width
    whole = max(4 * weights, 3 * weights + activations)
    return 4 * (weights + activations if job["rank"] else whole) / MIB


def _highest(module: nn.Module, job: dict) -> int:
    """Bytes, at most, that a fork of this process had in memory while it trained the module.

    Without pages of files: they are programs, and how many of them a product reads depends on the processor. All were
    read by the first step, and the peak comes after it, so that those that are there at the end were there then.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        train(module, job)
        os.write(writing, str(_status("VmHWM") - _status("RssFile")).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as said:
        found = said.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit(f"training in a fork ended with status {status}")
    return int(found)


def _status(name: str) -> int:
    """Bytes that Linux reports of this process under that name, as proc(5) says."""
    return 1024 * int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])


def _peak(job: dict) -> dict[str, float]:
    """What a job's network and its training take beyond those of the smallest network, which uses the same libraries."""
    least = job | SMALLEST
    state_bytes(network(least))  # loads what an optimiser needs, which a fork would load again
    empty = _highest(network(least), least)
    module = network(job)
    peak = (_highest(module, job) - empty) / MIB
    return {"peak": peak, "counted": counted(job), "state": state_bytes(module) / MIB}


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump([_peak(job) for job in json.load(sys.stdin)], sys.stdout)
