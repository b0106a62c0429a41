"""A part's files: what they are called, which are there and whole, and what they hold."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

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
            ClaimcheckError: not there, cut off, changed, or of another digest than its name says, or without facts that are read of it.
        """
        from claimcheck.results import records

        frame, raw = records.read_sealed(self.records, self.remedy)
        facts = part_facts(raw, self.records, f"make it again: {self.remedy}")
        check_study(facts, self.study, self.records, self.remedy)
        if self.digest not in (facts.digest, (facts.model_extra or {}).get("imported_as")):
            raise ClaimcheckError(
                "holds records of another digest than its name says",
                where=self.records,
                found=facts.digest,
                hint=f"make it again: {self.remedy}",
            )
        return frame, facts
