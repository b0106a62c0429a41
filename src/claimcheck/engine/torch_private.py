"""The parts of PyTorch in use that it does not promise to keep: all of them here, and what is done where one is gone.

=============================================  ===================================================================
``torch.fx.experimental.proxy_tensor.make_fx``  steps are not compiled but taken in eager mode
``torch._inductor.compile``                     the same
``torch.ops._inductor_test.realize``            the compiler repeats whole numbers: slower to compile, same numbers
``torch.ops.aten._unsafe_view``                 a product behind such a view is not merged with its transposition
``torch.ops.aten.threshold_backward``           ``torch.where``, which is slower and gives the same numbers
=============================================  ===================================================================

Nothing else in the package names a private part of PyTorch.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, fx

from claimcheck.errors import ClaimcheckError


def trace(program: Callable[..., Any], *inputs: Tensor | None) -> fx.GraphModule:
    """The operations that ``program`` executes on ``inputs``, those of ``torch.func`` included, as a graph.

    Raises:
        ClaimcheckError: this version of PyTorch has no such tracer.
    """
    make_fx = _found("torch.fx.experimental.proxy_tensor", "make_fx", "f")
    return make_fx(program)(*inputs)


def compile_graph(graph: fx.GraphModule, inputs: Sequence[Tensor | None]) -> Callable[..., Any]:
    """The graph as a program of TorchInductor for inputs of these shapes; compiled in this process alone.

    The compiler settles on a cache folder when it is imported, which is at the first call.

    Raises:
        ClaimcheckError: this version of PyTorch has no such compiler.
    """
    compiler = _found("torch._inductor", "compile", "gm", "example_inputs", "options")
    return compiler(graph, inputs, options={"compile_threads": 1})


def storing_operation() -> Any | None:
    """An operation that returns its argument and has the compiler store it; None where there is none."""
    try:
        importlib.import_module("torch._inductor.test_operators")  # registers it
        return torch.ops._inductor_test.realize.default
    except (ImportError, AttributeError):
        return None


def view_operations() -> tuple[Any, ...]:
    """Operations that show a tensor in another shape and copy nothing, as they occur in a traced graph."""
    names = ("view", "_unsafe_view", "expand")
    return tuple(getattr(torch.ops.aten, name).default for name in names if hasattr(torch.ops.aten, name))


_THRESHOLD_BACKWARD = getattr(torch.ops.aten, "threshold_backward", None)


def relu_gradient(gradient: Tensor, entered: Tensor) -> Tensor:
    """What goes back through a ReLU: zero where the numbers that ``entered`` it are at most zero."""
    if _THRESHOLD_BACKWARD is None:
        return torch.where(entered <= 0.0, 0.0, gradient)
    return _THRESHOLD_BACKWARD(gradient, entered, 0.0)


def _found(module: str, name: str, *parameters: str) -> Callable[..., Any]:
    """The function of that name, if it is there and still has these parameters."""
    try:
        function = getattr(importlib.import_module(module), name)
        fits = set(parameters) <= set(inspect.signature(function).parameters)
    except (ImportError, AttributeError, TypeError, ValueError):
        fits = False
    if not fits:
        raise ClaimcheckError(
            f"PyTorch {torch.__version__} has no {module}.{name}({', '.join(parameters)})",
            hint="claimcheck.engine.torch_private is where to say what took its place",
        )
    return function
