"""What a stage of the day is given: the device, its time, a place for what it finds, and a folder with a limit."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from claimcheck.files import read_json, write_json
from claimcheck.spec.config import Config

LIMIT = 8_000_000
"""Bytes that the folder of a day takes at most, so that it can be sent and kept."""
FOR_SUMMARY = 500_000
"""Of these, what stages leave for the summary and the logs."""


@dataclass
class Day:
    """One stage's view of the day. Notes are on disk after each line, so that one that is stopped has told something.

    Attributes:
        stage: its name. folder: what is kept. work: what is not. device: cuda, or cpu in a rehearsal.
        deadline: when the stage is stopped, in seconds of the system's clock.
        studies_dir, data_dir: as in :class:`claimcheck.spec.config.Config`.
        tables: title -> rows. lines: remarks. faults: what is not as it must be.
    """

    stage: str
    folder: str
    work: str
    device: str
    deadline: float
    studies_dir: str = "studies"
    data_dir: str = "data"
    tables: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def given(cls, text: str) -> Day:
        """The day that :meth:`told` wrote."""
        return cls(**json.loads(text))

    def told(self) -> str:
        """As text, for another process."""
        return json.dumps(asdict(self))

    @property
    def rehearsal(self) -> bool:
        """Whether this is the rehearsal on a CPU: less of everything."""
        return self.device == "cpu"

    @property
    def left(self) -> float:
        """Seconds that the stage has left."""
        return self.deadline - time.time()

    @property
    def notes(self) -> Path:
        """The file of tables, lines and faults."""
        return Path(self.work) / f"{self.stage}.json"

    def read(self) -> None:
        """Take over what the stage's process has noted."""
        if self.notes.is_file():
            for name, value in read_json(self.notes).items():
                setattr(self, name, value)

    def write(self) -> None:
        """Put what there is on disk."""
        write_json(self.notes, {"tables": self.tables, "lines": self.lines, "faults": self.faults})

    def row(self, table: str, **cells: Any) -> None:
        """Add a row to a table."""
        self.tables.setdefault(table, []).append(cells)
        self.write()

    def say(self, line: str) -> None:
        """Add a remark."""
        self.lines.append(line)
        self.write()

    def fault(self, line: str) -> None:
        """Add something that is not as it must be."""
        self.faults.append(line)
        self.write()

    def config(self, scale: str, side: str, device: str) -> Config:
        """Settings for runs at a scale whose results lie in a folder of their own, named after a `side`."""
        folders = {"studies_dir": Path(self.studies_dir), "data_dir": Path(self.data_dir)}
        return Config(scale=scale, device=device, results_dir=Path(self.work) / side, **folders)

    def keep(self, path: Path, name: str) -> bool:
        """Copy a file into the folder, if it fits; otherwise say that it does not."""
        size, target = path.stat().st_size, Path(self.folder) / name
        if size_of(Path(self.folder)) + size > LIMIT - FOR_SUMMARY:
            self.say(f"{name} ({size / 1e6:.1f} MB) was left out: the folder would take more than {LIMIT / 1e6:.0f} MB")
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        return True


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
