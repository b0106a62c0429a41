"""What an ensemble trains on: a pool of examples shared by all members, what each member sees of it, and in what order.

Draws no random number except the data order, which comes from the stream (study, seed, "order"): members of one seed
see the same examples in the same order, whatever their arm.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.data.datasets import Dataset


@dataclass(frozen=True)
class Data:
    """Examples for an ensemble of R members.

    Attributes:
        shared: columns common to all members, each ``[N, ...]``, such as ``x`` and ``y``.
        per_member: columns of each member's own, each ``[R, N, ...]`` in the order of the runs (noisy labels, say).
        subset: example numbers that are used, ``[n]`` for all members or ``[R, n]``; None for all N.
    """

    shared: Mapping[str, Tensor]
    per_member: Mapping[str, Tensor] = field(default_factory=dict)
    subset: Tensor | None = None

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.shared.items()}
        lengths |= {name: column.shape[1] for name, column in self.per_member.items()}
        if len(set(lengths.values())) != 1:
            raise ClaimcheckError(
                "columns of Data differ in length", found=lengths, expected="the same number of examples"
            )

    @classmethod
    def training(cls, dataset: Dataset) -> Data:
        """The training examples of a data set as columns ``x`` and ``y``."""
        return cls({"x": dataset.x_train, "y": dataset.y_train})

    @classmethod
    def testing(cls, dataset: Dataset) -> Data:
        """The test examples of a data set."""
        return cls({"x": dataset.x_test, "y": dataset.y_test})

    def __len__(self) -> int:
        """Number of examples that a member sees."""
        if self.subset is not None:
            return self.subset.shape[-1]
        return (
            next(iter(self.per_member.values())).shape[1] if self.per_member else len(next(iter(self.shared.values())))
        )

    @property
    def names(self) -> list[str]:
        return [*self.shared, *self.per_member]

    def members(self, rows: Sequence[int]) -> Data:
        """The data of some of the members."""
        if not self.per_member and (self.subset is None or self.subset.dim() == 1):
            return self
        index = torch.as_tensor(list(rows))
        own = {name: column[index.to(column.device)] for name, column in self.per_member.items()}
        subset = self.subset
        return Data(
            self.shared, own, subset[index.to(subset.device)] if subset is not None and subset.dim() == 2 else subset
        )

    def check(self, members: int, where: str | None = None) -> None:
        """Refuse per-member columns that do not have a row for each member.

        Raises:
            ClaimcheckError: they have more or fewer; ``where`` says which data these are.
        """
        rows = {name: column.shape[0] for name, column in self.per_member.items()}
        if self.subset is not None and self.subset.dim() == 2:
            rows["subset"] = self.subset.shape[0]
        if any(count != members for count in rows.values()):
            raise ClaimcheckError(
                "per-member data",
                where=where,
                found=rows,
                expected=f"{members} rows, one for each run",
                hint="Data.members(rows) takes those of some of the runs",
            )

    def to(self, device: torch.device) -> Data:
        """The same data on a device; integer columns stay integer."""
        subset = None if self.subset is None else self.subset.to(device)
        return Data(
            {name: column.to(device) for name, column in self.shared.items()},
            {name: column.to(device) for name, column in self.per_member.items()},
            subset,
        )

    def bytes_of_one(self) -> int:
        """Size of what a member sees, all columns, in bytes; at least 1."""
        example = [column[:1] for column in self.shared.values()] + [
            column[:1, :1] for column in self.per_member.values()
        ]
        return max(len(self) * sum(column.nbytes for column in example), 1)

    def whole(self) -> tuple[dict[str, Tensor], dict[str, int | None]]:
        """All examples that members see, and for each column the dimension of the members (None: shared by all)."""
        subset, batch, dims = self.subset, {}, {}
        for name, column in self.shared.items():
            batch[name] = column if subset is None else column[subset]
            dims[name] = None if subset is None or subset.dim() == 1 else 0
        for name, column in self.per_member.items():
            batch[name], dims[name] = self._own(column, subset), 0
        return batch, dims

    def rows(self, positions: Tensor) -> dict[str, Tensor]:
        """Minibatches: examples at ``positions`` ``[R, B]`` of what each member sees; columns ``[R, B, ...]``."""
        index = positions
        if self.subset is not None:
            index = self.subset[positions] if self.subset.dim() == 1 else self.subset.gather(1, positions)
        flat = index.reshape(-1)
        batch = {
            name: column.index_select(0, flat).view(*index.shape, *column.shape[1:])
            for name, column in self.shared.items()
        }
        return batch | {name: self._own(column, index) for name, column in self.per_member.items()}

    @staticmethod
    def _own(column: Tensor, index: Tensor | None) -> Tensor:
        if index is None:
            return column
        if index.dim() == 1:
            return column[:, index]
        # Four times as fast as column[member, index], which works element by element.
        first = torch.arange(len(column), device=column.device)[:, None] * column.shape[1]
        return column.flatten(0, 1).index_select(0, (index + first).flatten()).view(*index.shape, *column.shape[2:])


def check_batch_size(batch_size: int, examples: int) -> None:
    """Refuse minibatches that are empty, or larger than what a member sees.

    Raises:
        ClaimcheckError: there is no such batch.
    """
    if not 0 < batch_size <= examples:
        raise ClaimcheckError("batch_size", found=batch_size, expected=f"1 to {examples}, the number of examples")


class Order:
    """Which examples each member sees at each step: epochs of permutations, the last partial batch dropped.

    Args:
        seeds: seed of each member.
        generator: gives the stream of a seed, at its beginning.
        examples: how many a member sees. batch_size: examples a step.
    """

    def __init__(self, seeds: Sequence[int], generator, examples: int, batch_size: int, device: torch.device) -> None:
        check_batch_size(batch_size, examples)
        self.unique = sorted(set(seeds))
        self.generators = [generator(seed) for seed in self.unique]
        self.member = torch.tensor([self.unique.index(seed) for seed in seeds], device=device)
        self.examples, self.batch_size, self.device = examples, batch_size, device
        self.steps_per_epoch = examples // batch_size

    def epoch(self) -> Tensor:
        """The next epoch of each seed, ``[seeds, steps, batch]`` int64."""
        used = self.steps_per_epoch * self.batch_size
        rows = [torch.randperm(self.examples, generator=g)[:used] for g in self.generators]
        return torch.stack(rows).view(len(rows), self.steps_per_epoch, self.batch_size).to(self.device)

    def __iter__(self) -> Iterator[Tensor]:
        """Positions ``[R, B]`` of each step, without end."""
        while True:
            epoch = self.epoch()
            for step in range(self.steps_per_epoch):
                yield epoch[:, step][self.member]


def noisy_labels(labels: Tensor, rate: float, classes: int, generator: torch.Generator) -> Tensor:
    """Labels ``[N]`` of which ``round(rate * N)``, chosen at random, are moved to another class chosen evenly.

    A moved label is always wrong; with one generator, a lower rate moves a subset of what a higher rate moves.
    """
    flat = labels.cpu()
    chosen = torch.randperm(len(flat), generator=generator)[: round(float(rate) * len(flat))]
    shift = torch.randint(1, classes, (len(flat),), generator=generator)
    noisy = flat.clone()
    noisy[chosen] = (flat[chosen] + shift[chosen]) % classes
    return noisy.to(labels.device)
