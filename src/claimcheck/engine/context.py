"""What a run function is given besides its runs: settings, named random streams, data, device, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claimcheck import streams
from claimcheck.errors import ClaimcheckError, closest

if TYPE_CHECKING:
    import numpy
    import torch

    from claimcheck.data.datasets import Dataset


class Settings(Mapping[str, Any]):
    """A part's free settings, read as attributes; a misspelling is told by name."""

    def __init__(self, values: Mapping[str, Any], where: str = "settings") -> None:
        self._values, self._where = dict(values), where

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise ClaimcheckError(
                "runs.py asks for a setting that study.yaml does not give",
                where=self._where,
                found=name,
                expected=f"one of {', '.join(self._values)}",
                hint=closest(name, self._values),
            ) from None

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self):
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def all_steps(count: int, networks: int | None = None) -> range:
    """The steps of a training loop: all of them, however many networks it trains."""
    return range(count)


@dataclass(frozen=True)
class Context:
    """One ensemble's surroundings.

    Attributes:
        study, scale, part: names.
        settings: the part's free settings at this scale.
        device: where tensors live.
        data_dir: folder of downloaded data sets.
        memory_limit: bytes above which an ensemble is split, or None.
        design_runs: rows of the whole ensemble in the design, however shards cut it.
        log: writes a line to the log.
        advance: tells the progress bar that a share (0 … 1) of this ensemble's work is done.
        notes: facts for the provenance that the engine fills (peak memory, splits, compile decisions).
        steps: what training loops run over: steps(n) gives 0, 1, …, n - 1; steps(n, R) says that only R of the runs'
            networks are trained. A rehearsal (`claimcheck cost`) substitutes its own, which stops after a few steps and
            estimates what the others would take.
        eager: steps are neither compiled nor recorded, for a rehearsal that counts operations.
    """

    study: str
    scale: str
    part: str
    settings: Settings
    device: torch.device
    data_dir: Path
    memory_limit: int | None = None
    design_runs: int = 0
    log: Callable[[str], None] = lambda text: None
    advance: Callable[[float], None] = lambda share: None
    notes: dict[str, Any] = field(default_factory=dict)
    steps: Callable[..., Iterable[int]] = all_steps
    eager: bool = False

    def key(self, seed: int, purpose: str) -> int:
        """63-bit name of the stream (study, seed, purpose)."""
        return streams.key(self.study, seed, purpose)

    def generator(self, seed: int, purpose: str) -> torch.Generator:
        """A fresh CPU generator at the beginning of the stream (study, seed, purpose)."""
        return streams.generator(self.study, seed, purpose)

    def numpy_generator(self, seed: int, purpose: str) -> numpy.random.Generator:
        """A fresh NumPy generator at the beginning of the stream (study, seed, purpose)."""
        return streams.numpy_generator(self.study, seed, purpose)

    def dataset(self, name: str) -> Dataset:
        """A data set by name, its tensors on `device`."""
        from claimcheck.data import datasets

        return datasets.load(name, self.data_dir).to(self.device)
