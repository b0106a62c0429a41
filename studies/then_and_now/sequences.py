"""Attention and recurrences of equal size, timed by turns: whole sequences forward and backward, and a token at a time.

The time of a pass is the process's own, so that waiting for a busy machine does not count; the kinds that are compared
are timed one after the other, in another order at every turn.
"""

import time
from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from claimcheck.engine.single import per_run, per_seed

RECURRENCES = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Transformer(nn.Module):
    """A pre-norm block (Vaswani et al. 2017; Xiong et al. 2020): causal attention, then a layer four times as wide."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, kept: list[Tensor] | None = None) -> Tensor:
        """Sequences ``[B, T, width]``; `kept`, keys and values ``[B, heads, T', width / heads]`` of what came before, is
        for one token more."""
        query, *own = self.into(self.norms[0](x)).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        query, *own = (each.transpose(1, 2) for each in (query, *own))
        if kept is not None:
            own = [torch.cat([before, now], 2) for before, now in zip(kept, own, strict=True)]
        found = F.scaled_dot_product_attention(query, *own, is_causal=kept is None)
        x = x + self.out(found.transpose(1, 2).flatten(2))
        return x + self.narrow(F.gelu(self.wide(self.norms[1](x))))


def layer_of(kind: str, settings: Mapping, device: torch.device) -> nn.Module:
    """What maps sequences ``[B, T, width]``: a transformer's block, or two recurrent layers of about as many weights."""

    def make() -> nn.Module:
        if kind == "attention":
            return Transformer(settings["width"], settings["heads"])
        how = {"num_layers": 2, "batch_first": True}
        return RECURRENCES[kind](settings["width"], settings["recurrent_widths"][kind], **how)

    return filled(make, device)


def filled(make: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """The module that `make` makes, with weights whose values matter to no clock: all 0.01. Nothing is drawn."""
    with torch.device("meta"):
        module = make()
    module = module.to_empty(device=device)
    with torch.no_grad():
        for each in module.parameters():
            each.fill_(0.01)
    return module


def multiplications(layer: nn.Module, length: int) -> float:
    """Of one token's forward pass, with causal attention over half the length on average."""
    weights = sum(each.numel() for each in layer.parameters() if each.dim() > 1)
    return weights + (length * layer.out.in_features if isinstance(layer, Transformer) else 0)


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long it takes: processor time on a CPU, the clock's on a GPU."""
    on_gpu = torch.device(device).type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    if on_gpu:
        torch.cuda.synchronize(device)
    start = clock()
    work()
    if on_gpu:
        torch.cuda.synchronize(device)
    return clock() - start


def by_turns(works: Mapping[str, Callable[[], object]], turns: int, device: torch.device) -> dict[str, float]:
    """Median time of each of `works` over turns, each of which begins with another one; a turn before is not counted."""
    names, times = list(works), {name: [] for name in works}
    for turn in range(-1, turns):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken = seconds(works[name], device)
            if turn >= 0:
                times[name].append(taken)
    return {name: float(np.median(each)) for name, each in times.items()}


def _device(context) -> torch.device:
    """The CPU where the part says so, else the run's device."""
    return torch.device("cpu") if context.settings.device == "cpu" else context.device


def _both_ways(layer: nn.Module, x: Tensor) -> Callable[[], None]:
    def work() -> None:
        found = layer(x)
        (found if isinstance(layer, Transformer) else found[0]).sum().backward()
        layer.zero_grad(set_to_none=True)

    return work


def _product(side: int, device: torch.device) -> Callable[[], Tensor]:
    matrix = torch.ones(side, side, device=device)
    return lambda: matrix @ matrix


@per_seed
def run_lengths(runs, context):
    """Time of a forward and backward pass by kind and length, a fixed number of tokens at once.

    `share_of_product` is the rate of multiplications, over that of the machine's own product of two large matrices.
    """
    s, rows = context.settings, []
    device, draws = _device(context), context.generator(int(runs["seed"].iloc[0]), "sequences")
    for length, own in runs.groupby("length", sort=False):
        x = torch.randn(max(s.tokens // length, 1), length, s.width, generator=draws).to(device)
        layers = {kind: layer_of(kind, s, device) for kind in own["kind"]}
        works = {kind: _both_ways(layer, x) for kind, layer in layers.items()}
        found = by_turns({**works, "product": _product(s.product_side, device)}, s.turns, device)
        rate = s.product_side**3 / found.pop("product")
        for run in own.itertuples():
            work = 3 * multiplications(layers[run.kind], length) * x.shape[0] * length
            share = work / found[run.kind] / rate
            rows.append({"run": run.run, "seconds": found[run.kind], "share_of_product": share})
    return rows


def _next_token(layer: nn.Module, before: int, settings: Mapping, device: torch.device) -> Callable[[], object]:
    """A token more after `before` of them, whose keys and values, or state, are kept."""
    batch, width = settings["batch"], settings["width"]
    token = torch.ones(batch, 1, width, device=device)
    if isinstance(layer, Transformer):
        kept = [torch.ones(batch, layer.heads, before, width // layer.heads, device=device) for _ in range(2)]
        return lambda: layer(token, kept)
    _, state = layer(token)
    return lambda: layer(token, state)


@per_seed
def run_generation(runs, context):
    """Time of one token more by kind and by how many came before."""
    s, device, rows = context.settings, _device(context), []
    for length, own in runs.groupby("length", sort=False):
        with torch.no_grad():
            steps = {kind: _next_token(layer_of(kind, s, device), length, s, device) for kind in own["kind"]}
            works = {kind: lambda step=step: [step() for _ in range(s.calls)] for kind, step in steps.items()}
            found = by_turns(works, s.turns, device)
        rows += [{"run": run.run, "seconds": found[run.kind] / s.calls} for run in own.itertuples()]
    return rows


def longest_chain(output: Tensor) -> int:
    """Operations on the longest way from the inputs to `output`, each of which waits for the one before: autograd's own
    record of what was done."""
    depths: dict[object, int] = {}
    waiting = [output.grad_fn]
    while waiting:
        node = waiting[-1]
        before = [following for following, _ in node.next_functions if following is not None]
        unknown = [each for each in before if each not in depths]
        if unknown:
            waiting += unknown
            continue
        depths[waiting.pop()] = 1 + max((depths[each] for each in before), default=0)
    return depths[output.grad_fn]


@per_run
def run_chains(run, context):
    """How many operations wait for one another in a sequence's forward pass; and the weights of the layer."""
    layer = layer_of(run.kind, context.settings, torch.device("cpu"))
    found = layer(torch.ones(1, run.length, context.settings.width))
    found = found if isinstance(layer, Transformer) else found[0]
    weights = sum(each.numel() for each in layer.parameters())
    return {"chain": float(longest_chain(found)), "parameters": float(weights)}
