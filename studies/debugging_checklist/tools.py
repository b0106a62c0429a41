"""Who names the operation that made the first bad number: torch's anomaly detection, forward hooks, our trace, nobody.

Each tool is given a model, a batch and a loss, and says an operation and a module, either of which may be None.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from claimcheck.checklist import trace

Batch = tuple[Tensor, Tensor]
Named = tuple[str | None, str | None]


def anomaly(model: nn.Module, batch: Batch) -> Named:
    """The node that anomaly detection blames, as its operation: "log" for LogBackward0."""
    try:
        with warnings.catch_warnings(), torch.autograd.set_detect_anomaly(True):
            warnings.simplefilter("ignore")  # the traceback, which repeats what the error says
            F.cross_entropy(model(batch[0]), batch[1]).backward()
    except RuntimeError as error:
        found = re.search(r"Function '(\w+?)Backward\d*'", str(error))
        return (found[1].lower() if found else None), None
    return None, None


def hooks(model: nn.Module, batch: Batch) -> Named:
    """The first module, in the order of calls, that puts out numbers that are not finite."""
    bad: list[str] = []

    def watching(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            if not bad and not bool(torch.isfinite(output).all()):
                bad.append(name)

        return hook

    leaves = [(name, each) for name, each in model.named_modules() if not list(each.children())]
    handles = [each.register_forward_hook(watching(name)) for name, each in leaves]
    try:
        F.cross_entropy(model(batch[0]), batch[1]).backward()
    finally:
        for handle in handles:
            handle.remove()
    return None, bad[0] if bad else None


def ours(model: nn.Module, batch: Batch) -> Named:
    """`claimcheck.checklist.trace`."""
    found = trace(model, batch, F.cross_entropy)
    return (None, None) if found is None else (re.sub(r"Backward\d*$", "", found.what).lower(), found.where)


def symptom(model: nn.Module, batch: Batch) -> Named:
    """Without tools: the first layer whose gradient is not finite, in a loop over the parameters."""
    return None, _bad_layers(model, batch)[0]


def last(model: nn.Module, batch: Batch) -> Named:
    """Without tools, and wiser: the last such layer, since bad gradients spread towards the inputs."""
    return None, _bad_layers(model, batch)[-1]


def _bad_layers(model: nn.Module, batch: Batch) -> list[str | None]:
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    bad = [name for name, each in model.named_parameters() if not bool(torch.isfinite(each.grad).all())]
    return [name.rpartition(".")[0] for name in bad] or [None]


TOOLS: dict[str, Callable[[nn.Module, Batch], Named]] = {
    "symptom": symptom,
    "last": last,
    "anomaly": anomaly,
    "hooks": hooks,
    "trace": ours,
}
