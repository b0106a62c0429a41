"""workflow/config.yaml and the options of the command: what is run, at which scale, where."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from claimcheck.spec.parts import BLOCK, ROOM, Identifier, Model, ScaleName


def _names(value: Any) -> Any:
    """`all`, or a list of names: a single name and names with commas between them are lists, too."""
    named = value.split(",") if isinstance(value, str) else value
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise ValueError("must be all, the name of a study, or a list of names")
    named = list(dict.fromkeys(name.strip() for name in named if name.strip()))
    if not named:
        raise ValueError("names no study: give all, a name, or a list of names")
    return "all" if "all" in named else named


def _folder(value: Any) -> Any:
    """A folder's name; ~ is the user's home, also where no shell has seen to it."""
    if not isinstance(value, str | Path):
        raise ValueError("must be the name of a folder; write one that looks like a number or like nothing as ./2024")
    return os.path.expanduser(value)


Folder = Annotated[Path, BeforeValidator(_folder)]


MOST_SHARDS = 512
"""Pieces that one part may be cut into."""


class Config(Model):
    """What is run, at which scale, where."""

    scale: ScaleName = Field("quick", description="smoke tests the plumbing, quick convinces, full is the evidence")
    studies: Annotated[Literal["all"] | list[str], BeforeValidator(_names)] = Field(
        "all", description="all, the name of a study, or a list of names"
    )
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    seeds: int | None = Field(None, ge=1, le=BLOCK, description="overrides every study's number of seeds")
    registration_offset: int = Field(
        0, ge=0, lt=ROOM, description="judge on the block so many after the registered one"
    )
    shards: int = Field(1, ge=1, le=MOST_SHARDS, description="pieces a part is cut into, for more workers")
    memory_limit_mb: int | None = Field(
        None, ge=64, description="ensembles are cut to stay below it; null: 3 GiB, on a GPU 12"
    )
    studies_dir: Folder = Field(Path("studies"), description="folder of the studies and lecture.yaml")
    data_dir: Folder = Field(Path("data"), description="folder of downloaded data sets")
    results_dir: Folder = Field(Path("results"), description="folder that results are written to")
    reports_dir: Folder = Field(Path("reports"), description="folder that reports are written to")

    @property
    def results(self) -> Path:
        """Folder of all results at this scale."""
        return self.results_dir / self.scale

    @property
    def reports(self) -> Path:
        """Folder of the report of this scale."""
        return self.reports_dir / self.scale

    def readable(self, into: Path | None = None) -> Path:
        """Folder where people read the results at this scale: in `into`, where that is another one than the configured."""
        return self.results if into is None else Path(into) / self.scale


class PilotConfig(Config):
    """The configuration of `claimcheck power`, which runs pilot seeds in place of judged ones.

    No choice of a user's makes one, since no pipeline can judge pilots.
    """

    times: dict[Identifier, Annotated[float, Field(gt=0)]] = Field(
        {}, description="factors by which settings of these names are multiplied"
    )
