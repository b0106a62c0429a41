"""Which operation made the first number that is not finite? For a loss or gradient that has become NaN or infinite.

Forwards every function of PyTorch that runs is watched, backwards every node of the graph. An infinity that is meant,
such as a mask before a softmax, is not told: what is told is where the bad numbers *that reach the loss* began.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode, resolve_name

from claimcheck.checklist.findings import Batch, Finding, Loss, dense, loss_of, own_copy, tensors_of


def trace(model: nn.Module, batch: Batch, loss: Loss) -> Finding | None:
    """Run the batch forwards and backwards once; the operation where bad numbers begin, or None where all are finite.

    `what` of the finding is the operation's name in PyTorch (forwards such as ``log``, backwards such as
    ``SqrtBackward0``), `where` the module that called it, or that its forward operation ran in.
    """
    model = own_copy(model)
    if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
        loss_of(model, batch, loss)  # which gives these layers their shapes
    given = [*tensors_of(batch[0], "inputs"), *tensors_of(batch[1], "targets")]
    for name, values in [*given, *model.named_parameters(), *model.named_buffers()]:
        if values.is_floating_point() and not _finite(values):
            return _finding(
                "not made by any operation", name, "in what the model is given", "look at the data and weights"
            )
    place = _Place(model)
    try:
        with _Watch(place) as watch:
            value = loss_of(model, batch, loss)
    finally:
        place.forget()
    if not _finite(value):
        operation, module = watch.origin_of(value)
        return _finding(operation, module, "forwards", "keep its argument away from zero, or its size down")
    return _backwards(model, value, watch.modules) if value.requires_grad else None  # else there is no way back


class _Place:
    """The module that runs: the innermost one whose forward has begun and has not ended."""

    def __init__(self, model: nn.Module) -> None:
        self.stack: list[str] = []
        self._hooks = []
        for name, module in model.named_modules():
            self._hooks.append(module.register_forward_pre_hook(self._entering(name or "the model itself")))
            self._hooks.append(module.register_forward_hook(self._leaving, always_call=True))

    def _entering(self, name: str) -> Callable[..., None]:
        return lambda module, inputs: self.stack.append(name)

    def _leaving(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        self.stack.pop()

    @property
    def now(self) -> str:
        return self.stack[-1] if self.stack else "the loss"

    def forget(self) -> None:
        """Take the hooks away."""
        for hook in self._hooks:
            hook.remove()


class _Watch(TorchFunctionMode):
    """Remembers of every tensor with bad numbers in it which operation they come from, and of every node its module.

    Of its memory, that is: what writes into a view has written into the whole.
    """

    def __init__(self, place: _Place) -> None:
        super().__init__()
        self._place = place
        self._bad: dict[int, tuple[Tensor, tuple[str, str]]] = {}  # tensors are kept, so that no other gets their place
        self.modules: dict[Any, str] = {}

    def __torch_function__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        here, origin = (_name_of(function), self._place.now), None
        written = [args[0]] if _writes(function) else []
        for _, tensor in tensors_of([result, written], ""):
            if tensor.grad_fn is not None:
                self.modules.setdefault(tensor.grad_fn, self._place.now)
            if tensor.is_floating_point() and not _finite(tensor):
                origin = origin or self._before([args, kwargs or {}]) or here
                self._bad[_place_of(tensor)] = tensor, origin
            elif written and tensor.nbytes == tensor.untyped_storage().nbytes():
                self._bad.pop(_place_of(tensor), None)  # overwritten with what is finite
        return result

    def _before(self, arguments: Any) -> tuple[str, str] | None:
        """Where the bad numbers among the arguments began, if there are any."""
        for _, tensor in tensors_of(arguments, ""):
            if _place_of(tensor) in self._bad and not _finite(tensor):
                return self._bad[_place_of(tensor)][1]
        return None

    def origin_of(self, tensor: Tensor) -> tuple[str, str]:
        """Operation and module in which the bad numbers of a tensor began."""
        unknown = "an operation that is no function of PyTorch", "loss"
        return self._bad[_place_of(tensor)][1] if _place_of(tensor) in self._bad else unknown


def _place_of(tensor: Tensor) -> int:
    """Where a tensor's memory begins: the same of all its views."""
    return tensor.untyped_storage().data_ptr()


def _writes(function: Callable[..., Any]) -> bool:
    """Whether a function of PyTorch changes its first argument: `__setitem__`, and those in place, such as `log_`."""
    name = getattr(function, "__name__", "")
    return name == "__setitem__" or (name.endswith("_") and not name.endswith("__"))


def _backwards(model: nn.Module, value: Tensor, modules: dict[Any, str]) -> Finding | None:
    """The first node that turns a finite gradient into one that is not, where any parameter's gradient is not."""
    found: list[tuple[str, str]] = []
    hooks = []

    def watched(node: Any) -> Callable[..., None]:
        def hook(given, received) -> None:
            if not found and not _all_finite(given) and _all_finite(received):
                found.append((node.name(), modules.get(node, "unknown module")))

        return hook

    for node in _nodes(value):
        hooks.append(node.register_hook(watched(node)))
    try:
        value.backward()
    finally:
        for hook in hooks:
            hook.remove()
    if not found or all(_finite(each.grad) for each in model.parameters() if each.grad is not None):
        return None
    return _finding(
        *found[0], "backwards", "its slope is infinite there, or infinity times zero: move the argument away"
    )


def _nodes(value: Tensor) -> Iterator[Any]:
    """Every node of a tensor's graph, once."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting += [before for before, _ in node.next_functions]


def _all_finite(tensors: Any) -> bool:
    return all(_finite(each) for _, each in tensors_of(tensors, "") if each.is_floating_point())


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(dense(tensor)).all())


def _name_of(function: Any) -> str:
    """The last part of a function's public name: "log" of torch.log and of Tensor.log, "pow" of the operator."""
    return (resolve_name(function) or getattr(function, "__name__", str(function))).rpartition(".")[2].strip("_")


def _finding(what: str, where: str, when: str, advice: str) -> Finding:
    return Finding("trace", what, where, f"NaN or infinity, {when}", "finite numbers", advice)
