"""R networks of one shape held as one: the module's skeleton, and parameters and buffers stacked along dimension 0.

The trained parameters are one matrix ``[R, P]``, a row per network: an optimiser's step, a gradient's norm or a check
for infinities is then one elementwise or row-wise operation for all networks and layers at once. Each parameter begins
at a multiple of 64 bytes in its row, so that a network's arithmetic does not depend on which row it is in.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from claimcheck.engine import (
    rounding,  # noqa: F401  (its setting must come before the first matrix product)
    trees,
)
from claimcheck.engine.data import Data
from claimcheck.engine.layers import know_ensembles
from claimcheck.errors import ClaimcheckError

ALIGNMENT = 16  # float32 numbers in 64 bytes, a cache line and the widest vector register
DATA_BYTES = 1 << 28
"""How much data is evaluated at a time, counted once for each member: a network's activations are about as large."""


PLAIN = (bool, int, float, str, type(None))


def structure_of(module: nn.Module) -> tuple[str, list[dict[str, Any]]]:
    """What members of an ensemble must have in common: layers, and what modules keep in plain attributes.

    The members' forward pass is that of one of them, which would decide for all; whether it is in training is not theirs
    to say.
    """
    return repr(module), [
        {name: value for name, value in vars(each).items() if isinstance(value, PLAIN) and name != "training"}
        for each in module.modules()
    ]


def by_all_names(module: nn.Module, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Parameters and buffers by every name that they have: ``values`` has tied ones once, by their first name."""
    first: dict[Tensor, str] = {}
    every = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: values[first.setdefault(tensor, name)] for name, tensor in every}


class Layout:
    """Where each parameter lies in a network's row of P numbers."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.shapes = {name: tuple(value.shape) for name, value in parameters.items()}
        self.sizes: list[int] = []
        for shape in self.shapes.values():
            numbers = math.prod(shape)
            self.sizes += [numbers, -numbers % ALIGNMENT]
        self.length = sum(self.sizes)

    def views(self, matrix: Tensor) -> dict[str, Tensor]:
        """Name -> ``[R, *shape]``, views of ``matrix`` ``[R, P]``."""
        pieces = matrix.split(self.sizes, dim=1)[::2]
        return {
            name: piece.unflatten(1, shape) if shape else piece[:, 0]
            for (name, shape), piece in zip(self.shapes.items(), pieces)
        }

    def flatten(self, values: Mapping[str, Tensor]) -> Tensor:
        """The inverse of :meth:`views`: ``[R, P]``, with zeros between parameters."""
        members = len(next(iter(values.values())))
        pieces = []
        for name, gap in zip(self.shapes, self.sizes[1::2]):
            pieces.append(values[name].reshape(members, -1))
            if gap:
                pieces.append(pieces[-1].new_zeros(members, gap))
        return torch.cat(pieces, 1)


class Ensemble:
    """Networks of one shape, as tensors along a first dimension of R members.

    Attributes:
        skeleton: the module whose ``forward`` is used; its own numbers are not.
        layout: how a row of ``parameters`` is cut into named parameters.
        parameters: ``[R, P]``, what is trained (all with ``requires_grad``).
        fixed: parameters that are not trained, name -> ``[R, ...]``.
        buffers: batch-norm statistics, dropout keys, ..., name -> ``[R, ...]``.
        hyper: the runs' numeric columns, name -> ``[R]``.
        runs: ids of the members.
    """

    def __init__(self, skeleton, layout, parameters, fixed, buffers, hyper, runs) -> None:
        self.skeleton: nn.Module = skeleton
        self.layout: Layout = layout
        self.parameters: Tensor = parameters
        self.fixed: dict[str, Tensor] = fixed
        self.buffers: dict[str, Tensor] = buffers
        self.hyper: dict[str, Tensor] = hyper
        self.runs: list[str] = list(runs)

    @classmethod
    def build(
        cls,
        runs: pd.DataFrame,
        network: Callable[[Any, torch.Generator], nn.Module],
        generator: Callable[[int], torch.Generator],
        hyper: Mapping[str, Tensor] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> Ensemble:
        """Make each run's network on the CPU, from its seed's stream, and stack them.

        ``network(run, generator)`` gets the run's row (attributes are its columns) and a generator at the beginning of
        ``generator(seed)``.
        """
        skeleton, layout, rows, fixed, buffers = None, None, [], [], []
        for run in runs.itertuples(index=False):
            module = network(run, generator(int(run.seed)))
            trained = {name: value.detach() for name, value in module.named_parameters() if value.requires_grad}
            if skeleton is None:
                skeleton, layout, structure = module, Layout(trained), structure_of(module)
            if structure_of(module) != structure or {k: tuple(v.shape) for k, v in trained.items()} != layout.shapes:
                raise ClaimcheckError(
                    "networks of one ensemble differ in shape or layers",
                    where=f"run {run.run}",
                    hint="mark the factor that shapes the network static: true in study.yaml",
                )
            rows.append(layout.flatten({name: value[None] for name, value in trained.items()}))
            fixed.append({k: v.detach() for k, v in module.named_parameters() if not v.requires_grad})
            buffers.append(dict(module.named_buffers()))

        def stacked(values: list[dict[str, Tensor]]) -> dict[str, Tensor]:
            return {k: _cast(torch.stack([value[k] for value in values]), device, dtype) for k in values[0]}

        return cls(
            skeleton.to(device),
            layout,
            _cast(torch.cat(rows), device, dtype),
            stacked(fixed),
            stacked(buffers),
            hyper_of(runs, device=device, dtype=dtype) if hyper is None else dict(hyper),
            runs["run"],
        )

    def __len__(self) -> int:
        return len(self.parameters)

    def named(self) -> dict[str, Tensor]:
        """Name -> ``[R, *shape]`` of the trained parameters (views)."""
        return self.layout.views(self.parameters)

    def members(self, rows: Sequence[int]) -> Ensemble:
        """An ensemble of some of the members."""
        index = torch.as_tensor(list(rows), device=self.parameters.device)

        def take(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: value[index] for name, value in values.items()}

        return Ensemble(
            self.skeleton,
            self.layout,
            self.parameters[index],
            take(self.fixed),
            take(self.buffers),
            take(self.hyper),
            [self.runs[i] for i in index.tolist()],
        )

    def network(self, run: str) -> nn.Module:
        """One member as an ordinary module, a copy, in eval mode."""
        row = self.runs.index(run)
        module = copy.deepcopy(self.skeleton).to(self.parameters.dtype).eval()
        values = by_all_names(module, {**self.named(), **self.fixed, **self.buffers})
        module.load_state_dict({name: value[row] for name, value in values.items()})
        return module

    def together(self, function: Callable[..., Any]) -> bool:
        """Whether the function can be called on all members' tensors at once, as :func:`for_ensembles` says."""
        return getattr(function, "for_ensembles", False) and not self.fixed and know_ensembles(self.skeleton)

    def apply(
        self,
        function: Callable[..., Any],
        values: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        batch: Mapping[str, Tensor],
        dims: Mapping[str, int | None],
        *extra: Any,
    ) -> Any:
        """``function(predict, batch, hyper, *extra)`` of each member: by ``vmap``, or of all members at once where
        function and network are made for it.

        ``values`` are named parameters ``[R, ...]`` and may carry gradients. ``buffers`` are changed in place by
        modules that keep statistics. ``extra`` tensors (or trees of them) are mapped along dimension 0.
        """
        if not extra and self.together(function):

            def predict_all(*inputs: Tensor) -> Tensor:
                return functional_call(self.skeleton, (dict(values), dict(buffers)), inputs)

            return function(predict_all, expanded(batch, dims, len(self)), self.hyper)

        def member(values, fixed, buffers, batch, hyper, *extra):
            def predict(*inputs: Tensor) -> Tensor:
                return functional_call(self.skeleton, ({**values, **fixed}, buffers), inputs)

            return function(predict, batch, hyper, *extra)

        dimensions = (0, 0, 0, dict(dims), 0, *([0] * len(extra)))
        return vmap(member, in_dims=dimensions)(
            dict(values), self.fixed, dict(buffers), dict(batch), self.hyper, *extra
        )

    def map(
        self, function: Callable[..., Any], data: Data | Mapping[str, Tensor], *, mode: str = "eval", members: int = 16
    ) -> Any:
        """``function(predict, batch, hyper)`` of every member on whole data, without gradients, ``[R, ...]``.

        ``mode`` "train" uses batch statistics and dropout but keeps the members' buffers as they are. At most
        ``members`` are taken at a time, fewer where there is much data. This bounds memory and changes no result.
        """
        data = data if isinstance(data, Data) else Data(data)
        data.check(len(self))
        members = max(min(members, DATA_BYTES // data.bytes_of_one()), 2)
        was = self.skeleton.training
        self.skeleton.train(mode == "train")
        results = []
        try:
            with torch.no_grad():
                for start in range(0, len(self), members):
                    rows = list(range(start, min(start + members, len(self))))
                    part = self.members(twins(rows))
                    batch, dims = data.members(twins(rows)).whole()
                    found = part.apply(function, part.named(), part.buffers, batch, dims)
                    results.append(trees.mapped(lambda value: value[: len(rows)], found))  # noqa: B023
        finally:
            self.skeleton.train(was)
        return trees.mapped(lambda *parts: torch.cat(parts), *results)


def for_ensembles(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a loss or metrics function whose operations take a leading dimension of members, too.

    Written for batches ``[B, ...]`` of one network, it gives the members' results ``[R]`` for batches ``[R, B, ...]``:
    it counts dimensions from the last one. Hyperparameters are scalars of one network and ``[R]`` of all: beside
    examples ``[..., B]`` it takes ``hyper["share"][..., None]``. Members are then not mapped one by one.
    """
    function.for_ensembles = True
    return function


def expanded(batch: Mapping[str, Tensor], dims: Mapping[str, int | None], members: int) -> dict[str, Tensor]:
    """The columns of a batch, each ``[R, ...]``: views where all members share it."""
    return {
        name: column.expand(members, *column.shape) if dims[name] is None else column for name, column in batch.items()
    }


def twins(rows: list[int]) -> list[int]:
    """The rows, a lone one twice: some kernels round differently for one network (see `rounding`)."""
    return rows * 2 if len(rows) == 1 else rows


def join(parts: Iterable[Ensemble]) -> Ensemble:
    """One ensemble of several of the same shape, in their order."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]

    def together(values: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return {name: torch.cat([value[name] for value in values]) for name in values[0]}

    return Ensemble(
        parts[0].skeleton,
        parts[0].layout,
        torch.cat([part.parameters for part in parts]),
        together([part.fixed for part in parts]),
        together([part.buffers for part in parts]),
        together([part.hyper for part in parts]),
        [run for part in parts for run in part.runs],
    )


def hyper_of(
    runs: pd.DataFrame, defaults: Mapping[str, Any] | None = None, device="cpu", dtype=torch.float32
) -> dict[str, Tensor]:
    """The numeric columns of ``runs`` and the numeric ``defaults`` that are not columns, name -> ``[R]``."""
    columns: dict[str, Any] = {name: value for name, value in (defaults or {}).items() if not isinstance(value, str)}
    columns |= {
        name: runs[name].to_numpy(dtype="float64", copy=True)
        for name in runs
        if pd.api.types.is_numeric_dtype(runs[name])
    }
    made = {}
    for name, value in columns.items():
        tensor = torch.as_tensor(value, dtype=torch.float64).expand(len(runs)).contiguous()
        made[name] = tensor.to(device=device, dtype=dtype)
    return made


def _cast(tensor: Tensor, device: torch.device | str, dtype: torch.dtype) -> Tensor:
    return tensor.to(device, dtype) if tensor.is_floating_point() else tensor.to(device)


def untrained(
    runs: pd.DataFrame,
    context: Any,
    network: Callable[[Any, torch.Generator], nn.Module],
    dtype: torch.dtype = torch.float32,
) -> Ensemble:
    """Each run's network as it is before training: from its seed's stream "init", on the context's device."""
    return Ensemble.build(
        runs, network, lambda seed: context.generator(seed, "init"), device=context.device, dtype=dtype
    )
