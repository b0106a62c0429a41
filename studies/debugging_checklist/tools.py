"""Who names the operation that made the first bad number: torch's anomaly detection, forward hooks, our trace, nobody.

Each tool is given a model, a batch and a loss, and says an operation and a module, either of which may be None.
"""

from __future__ import annotations

import re
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
        with torch.autograd.set_detect_anomaly(True):
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


def torchs_own(model: nn.Module, batch: Batch) -> Named:
    """Forward hooks first; where they find nothing, anomaly detection."""
    found = hooks(model, batch)
    return found if found[1] else anomaly(model, batch)


def ours(model: nn.Module, batch: Batch) -> Named:
    """`claimcheck.checklist.trace`."""
    found = trace(model, batch, F.cross_entropy)
    return (None, None) if found is None else (re.sub(r"Backward\d*$", "", found.what).lower(), found.where)


def symptom(model: nn.Module, batch: Batch) -> Named:
    """Without tools: the layer nearest the loss whose gradient is not finite."""
    F.cross_entropy(model(batch[0]), batch[1]).backward()
    bad = [name for name, each in model.named_parameters() if not bool(torch.isfinite(each.grad).all())]
    return None, bad[-1].rpartition(".")[0] if bad else None


TOOLS: dict[str, Callable[[nn.Module, Batch], Named]] = {
    "symptom": symptom,
    "anomaly": anomaly,
    "hooks": hooks,
    "torchs_own": torchs_own,
    "trace": ours,
}
