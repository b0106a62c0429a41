"""Does a batch run through the model, and does a finite gradient reach every parameter?"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from claimcheck.checklist.findings import Batch, Finding, Loss, dense, loss_of, names_of, own_copy


def gradient(model: nn.Module, batch: Batch, loss: Loss) -> list[Finding]:
    """Run the batch forwards and backwards once, and once more after a small step where a gradient was all zero.

    The second time is for layers that begin at zero on purpose, such as the last of a residual block or of LoRA: they
    let no gradient through until they have moved.
    """
    model = own_copy(model)
    found, silent = _backward(model, batch, loss)
    if found or not silent:
        return found
    _small_step(model)
    found, still = _backward(model, batch, loss)
    silent = [name for name in silent if name in still]
    if found or not silent:
        return found
    return [
        Finding(
            "gradient", "the gradient is zero in every element", names_of(silent), "0, also after a first step",
            "some that are not", "look for dead units, weights that are all zero, "
            "and operations like rounding or argmax",
        )
    ]  # fmt: skip


def _backward(model: nn.Module, batch: Batch, loss: Loss) -> tuple[list[Finding], list[str]]:
    """What is wrong with one pass, and the parameters whose gradients are all zero. Gradients stay in the model."""
    model.zero_grad(set_to_none=True)
    try:
        value = loss_of(model, batch, loss)
    except Exception as error:
        return [_not_run("model or loss fails", error)], []
    if fault := _fault_of(value):
        return [fault], []
    try:
        value.backward()
    except Exception as error:
        return [_not_run("the backward pass fails", error)], []
    wanted = [(name, each) for name, each in model.named_parameters() if each.requires_grad]
    without = [name for name, each in wanted if each.grad is None]
    if without:
        return [
            Finding(
                "gradient", "no gradient reaches a parameter", names_of(without), f"{len(without)} without a gradient",
                "one for each that asks for it", "look for detach, no_grad, .data, .item "
                "and layers that are never called",
            )
        ], []  # fmt: skip
    sizes = torch.stack([dense(each.grad).abs().amax() for _, each in wanted if each.numel()]).tolist()
    names = [name for name, each in wanted if each.numel()]
    bad = [name for name, size in zip(names, sizes) if not size < float("inf")]
    if bad:
        return [
            Finding(
                "gradient", "the gradient is not finite", names_of(bad), "NaN or infinity", "finite numbers",
                "call claimcheck.checklist.trace, which names the operation",
            )
        ], []  # fmt: skip
    return [], [name for name, size in zip(names, sizes) if size == 0]


def _fault_of(value: Tensor) -> Finding | None:
    """What is wrong with the loss itself."""
    if value.numel() != 1:
        seen = f"shape {tuple(value.shape)}"
        return Finding("gradient", "the loss is no scalar", "loss", seen, "one number", "take its mean over examples")
    if not value.requires_grad:
        return Finding(
            "gradient", "the loss does not depend on any parameter", "loss", "no graph", "a graph to the parameters",
            "look for detach, no_grad, .item and argmax between model and loss",
        )  # fmt: skip
    if not bool(torch.isfinite(value.detach()).all()):
        return Finding(
            "gradient", "the loss is not finite", "loss", f"{float(value.detach())}", "a finite number",
            "check the data, then call claimcheck.checklist.trace, which names the operation",
        )  # fmt: skip
    return None


def _not_run(what: str, error: Exception) -> Finding:
    line = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
    return Finding(
        "gradient", what, type(error).__name__, line, "a batch that runs",
        "compare shapes, types, devices and the range of labels",
    )  # fmt: skip


@torch.no_grad()
def _small_step(model: nn.Module) -> None:
    """Move every parameter against its gradient, by a hundredth of a unit in all."""
    own = [each for each in model.parameters() if each.grad is not None]
    norm = torch.stack([dense(each.grad).norm() for each in own]).norm()
    if float(norm) > 0:
        for each in own:
            each.sub_(dense(each.grad) * (1e-2 / norm))
