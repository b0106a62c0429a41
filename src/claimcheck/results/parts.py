"""A part's files: what they are called, which are there and whole, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claimcheck.errors import ClaimcheckError
from claimcheck.results import digests
from claimcheck.results.provenance import PartFacts, check_study, part_facts
from claimcheck.spec.parts import ScaledPart

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class PartFiles:
    """A part, what it is made from, and the files that hold it."""

    study: str
    part: ScaledPart
    ingredients: digests.Ingredients
    folder: Path
    remedy: str

    @cached_property
    def digest(self) -> str:
        """Hash of all ingredients."""
        return digests.digest(self.ingredients)

    @property
    def records(self) -> Path:
        """The part's records."""
        return self.folder / f"{self.part.name}-{self.digest}.records.parquet"

    @property
    def tuning(self) -> Path | None:
        """The pilots' table, for a part that tunes."""
        return self.folder / f"{self.part.name}-{self.digest}.tuning.parquet" if self.part.tune else None

    def shard(self, number: int, shards: int) -> Path:
        """One of the pieces that the part is cut into."""
        return self.folder / f"{self.part.name}-{self.digest}.{number}-of-{shards}.parquet"

    @property
    def files(self) -> list[Path]:
        """What must be there: records, and the pilots' table of a part that tunes."""
        return [path for path in (self.tuning, self.records) if path is not None]

    def missing(self) -> bool:
        """Whether a file of the part is not there, or not whole."""
        from claimcheck.results import records  # not at the top: a pipeline asks for names alone, without pandas

        return not all(records.whole(path) for path in self.files)

    def read(self) -> tuple[pd.DataFrame, PartFacts]:
        """The part's rows and facts.

        Raises:
            ClaimcheckError: not there, cut off, changed, or of another part or digest than its name says, or without facts
                that are read of it.
        """
        frame, _, facts = self._read(self.records, self.remedy)
        return frame, facts

    def read_tuning(self) -> tuple[pd.DataFrame, dict[str, Any]]:
        """The pilots' table of a part that tunes, and its facts as they are noted; raises as `read` does."""
        assert self.tuning is not None
        return self._read(self.tuning, self.remedy)[:2]

    def read_shard(self, number: int, shards: int) -> tuple[pd.DataFrame, dict[str, Any]]:
        """One of the pieces that the part is cut into, and its facts as they are noted; raises as `read` does."""
        return self._read(self.shard(number, shards), f"{self.remedy} --shard {number}/{shards}")[:2]

    def _read(self, path: Path, remedy: str) -> tuple[pd.DataFrame, dict[str, Any], PartFacts]:
        from claimcheck.results import records

        frame, raw = records.read_sealed(path, remedy)
        facts = part_facts(raw, path, f"make it again: {remedy}")
        check_study(facts, self.study, path, remedy)
        again = f"make it again: {remedy} --force"  # it is whole, so that without force it would be kept
        if facts.part != self.part.name:
            raise ClaimcheckError(
                "is of another part than its name says",
                where=path,
                found=facts.part,
                expected=self.part.name,
                hint=again,
            )
        if self.digest not in (facts.digest, (facts.model_extra or {}).get("imported_as")):
            raise ClaimcheckError("is of another digest than its name says", where=path, found=facts.digest, hint=again)
        return frame, raw, facts
