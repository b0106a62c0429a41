"""Training steps of published and of tiny networks: examples, or networks, one by one and at once, on a CPU and a GPU."""

import torch
import torch.nn.functional as F
from torch import nn

from claimcheck.engine.single import per_seed

from .published import NETWORKS
from .sequences import by_turns, filled


def _step(network: nn.Module, x: torch.Tensor, y: torch.Tensor):
    """Forward, backward and an update of plain SGD, as a function without arguments."""

    def work() -> None:
        F.cross_entropy(network(x), y).backward()
        with torch.no_grad():
            for each in network.parameters():
                each -= 1e-6 * each.grad
                each.grad = None

    return work


def _examples(name: str, count: int, generator: torch.Generator, device: torch.device):
    x = torch.randn(count, *NETWORKS[name][1], generator=generator)
    return x.to(device), torch.zeros(count, dtype=torch.int64, device=device)


def _one_by_one(settings, generator: torch.Generator):
    """LeNet-5: a batch at once, and its examples by themselves."""
    network = filled(NETWORKS["lenet5"][0], torch.device("cpu"))
    x, y = _examples("lenet5", settings.batch, generator, torch.device("cpu"))
    alone = [_step(network, x[k : k + 1], y[k : k + 1]) for k in range(len(x))]
    return {"at_once": _step(network, x, y), "one_by_one": lambda: [step() for step in alone]}


def _tiny_networks(settings, generator: torch.Generator):
    """Networks of one hidden layer: all as stacked matrices, and each by itself."""
    count, width, inputs = settings.networks, settings.tiny_width, settings.tiny_inputs
    x = torch.randn(count, settings.batch, inputs, generator=generator)
    y = torch.zeros(count, settings.batch, dtype=torch.int64)
    first, second = (nn.Parameter(torch.randn(count, a, b, generator=generator) / a**0.5)
                     for a, b in ((inputs, width), (width, 10)))  # fmt: skip

    def at_once() -> None:
        logits = torch.relu(x @ first) @ second
        (F.cross_entropy(logits.flatten(0, 1), y.flatten()) * count).backward()
        with torch.no_grad():
            for each in (first, second):
                each -= 1e-6 * each.grad
                each.grad = None

    def tiny() -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, width, bias=False), nn.ReLU(), nn.Linear(width, 10, bias=False))

    alone = [filled(tiny, torch.device("cpu")) for _ in range(count)]
    steps = [_step(*each) for each in zip(alone, x, y, strict=True)]
    return {"at_once": at_once, "one_by_one": lambda: [step() for step in steps]}


WORKLOADS = {"examples": _one_by_one, "networks": _tiny_networks}


@per_seed
def run_batching(runs, context):
    """Time of a training step of the same examples, or networks, at once and one by one."""
    rows = []
    for workload, own in runs.groupby("workload", sort=False):
        works = WORKLOADS[workload](context.settings, context.generator(int(own["seed"].iloc[0]), workload))
        found = by_turns(works, context.settings.turns, torch.device("cpu"))
        rows += [{"run": run.run, "seconds": found[run.way]} for run in own.itertuples()]
    return rows


@per_seed
def run_cards(runs, context):
    """Time of a training step on one core of the CPU and on the GPU, by network."""
    s, rows = context.settings, []
    for name, own in runs.groupby("network", sort=False):
        for where, rows_there in own.groupby("where", sort=False):
            device = torch.device("cpu") if where == "cpu" else context.device
            examples = _examples(name, s.batch, context.generator(int(own["seed"].iloc[0]), name), device)
            work = _step(filled(NETWORKS[name][0], device), *examples)
            found = by_turns({where: work}, s.turns, device)[where]
            rows += [{"run": run.run, "seconds": found} for run in rows_there.itertuples()]
    return rows
