"""What a study's results are called, and which of them are there, whole and current. Asked here, and nowhere else.

Every file that follows from sources carries their digest in its name, so "current" means: the file of the present digest
is there. The pipeline works in a store, `results/<scale>/.store/`, and in each study's `parts/`; `view` publishes what is
current under the names that people read. Clocks and modification times decide nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.results import digests, outdated, seals
from claimcheck.results.commands import command
from claimcheck.results.parts import PartFiles
from claimcheck.results.provenance import Provenance, read_provenance
from claimcheck.results.registration import first_seed_of, registration_facts
from claimcheck.results.verdicts import read_controls, read_verdicts
from claimcheck.spec.config import Config, PilotConfig
from claimcheck.spec.models import Study
from claimcheck.spec.parts import ScaledPart
from claimcheck.spec.scaling import multiplied

if TYPE_CHECKING:
    import pandas as pd

STORE = ".store"
WORK = ".work"
"""Folder of finished ensembles, among a study's parts."""

REPORT = ("report.html", "report.pdf", "evidence.pdf")
SLIDES = ("slides.pptx", "slides.pdf")


@dataclass(frozen=True)
class Machine:
    """What a machine has that some parts need."""

    gpu: bool = False
    compiler: bool = False

    def compiler_fault(self) -> str:
        """What is wrong with the compiler, in words, where somebody has tried it."""
        return ""


@dataclass(frozen=True)
class Results:
    """A study's results at one scale, as the present sources and settings would make them.

    Attributes:
        parts: the parts that are asked for here, by name, in the study's order.
        not_run: why a part is not, for the others.
    """

    study: Study
    config: Config
    parts: Mapping[str, PartFiles]
    not_run: Mapping[str, str]

    @property
    def store(self) -> Path:
        """Folder that the pipeline works in."""
        return self.config.results / STORE / self.study.name

    @property
    def view(self) -> Path:
        """Folder that people read."""
        return self.config.results / self.study.name

    @cached_property
    def records_digest(self) -> str:
        """Digest of the assembled records."""
        parts = {name: files.digest for name, files in self.parts.items()}
        return digests.digest(digests.records_ingredients(parts))

    @cached_property
    def verdicts_ingredients(self) -> digests.Ingredients:
        """What the verdicts are made from."""
        config = self.config
        made = digests.judge_ingredients(self.study, config.scale, config.seeds, self.records_digest)
        return {**made, "registration": digests.digest(registration_facts(self.study, self.config))}

    @cached_property
    def verdicts_digest(self) -> str:
        """Digest of the verdicts."""
        return digests.digest(self.verdicts_ingredients)

    @cached_property
    def figures_ingredients(self) -> digests.Ingredients:
        """What the figures are made from."""
        return digests.plot_ingredients(self.study, self.records_digest)

    @cached_property
    def figures_digest(self) -> str:
        """Digest of the figures."""
        return digests.digest(self.figures_ingredients)

    @property
    def records(self) -> Path:
        """The study's records: its parts, assembled."""
        return self.store / f"records-{self.records_digest}.parquet"

    @property
    def tuning(self) -> Path | None:
        """All pilots' tables, assembled, for a study that tunes."""
        tuned = any(files.part.tune for files in self.parts.values())
        return self.store / f"tuning-{self.records_digest}.parquet" if tuned else None

    @property
    def provenance(self) -> Path:
        """Where the records come from."""
        return self.store / f"provenance-{self.records_digest}.json"

    @property
    def verdicts(self) -> Path:
        """The verdicts."""
        return self.store / f"verdicts-{self.verdicts_digest}.json"

    @property
    def controls(self) -> Path:
        """What came of the controls."""
        return self.store / f"controls-{self.verdicts_digest}.json"

    @property
    def figures(self) -> Path:
        """Folder of the figures."""
        return self.store / f"figures-{self.figures_digest}"

    @property
    def drawings(self) -> list[Path]:
        """The files of all figures whose part is run here, and the list of their checksums."""
        drawn = [each.id for each in self.study.figures if each.part is None or each.part in self.parts]
        names = [f"{name}.{ending}" for name in drawn for ending in ("svg", "csv", "png")]
        return [self.figures / name for name in (*names, seals.FIGURES)]

    @property
    def assembled(self) -> list[Path]:
        """Files that assembling makes."""
        return [path for path in (self.records, self.tuning, self.provenance) if path is not None]

    @property
    def receipt(self) -> Path:
        """The file that is there when, and only when, these results are what the view shows."""
        name = digests.digest({"verdicts": self.verdicts_digest, "figures": self.figures_digest})
        return self.view / f".view-{name}"

    def remedy(self, step: str) -> str:
        """The command that makes a step's results again."""
        return command(step, self.study.name, self.config)

    def prediction_hashes(self) -> dict[str, str]:
        """For each prediction the hash of itself (measure, region, controls) and of its design."""
        parts = self.study.at(self.config.scale, self.config.seeds)
        return {one.id: digests.prediction_hash(one, parts) for _, one in self.study.predictions()}

    def sections(self) -> dict[str, str]:
        """The lecture's section of each claim."""
        return digests.sections_of(self.study)

    def missing_parts(self) -> list[PartFiles]:
        """Parts whose files are not there, or not whole."""
        return [files for files in self.parts.values() if files.missing()]

    def has_records(self) -> bool:
        """Whether the assembled records are there (whether they are whole is seen when they are read)."""
        return all(path.is_file() for path in self.assembled)

    def whole(self) -> bool:
        """Whether the assembled records are there as they were written."""
        if not self.has_records():
            return False
        try:
            noted = self.read_provenance().files
        except ClaimcheckError:
            return False
        made = {"records.parquet": self.records, "tuning.parquet": self.tuning}
        return all(path is None or noted.get(name) == sha256(path) for name, path in made.items())

    def judged(self) -> bool:
        """Whether records and verdicts are there, and the verdicts were judged from these very records."""
        there = self.has_records() and self.verdicts.is_file() and self.controls.is_file()
        return there and not self._of_others(outdated.records_of_verdicts(self.verdicts))

    def drawn(self) -> bool:
        """Whether the figures are there, and were drawn from the very records that are there."""
        listed = self.figures / seals.FIGURES
        return listed.is_file() and not self._of_others(outdated.records_of_figures(listed))

    def outdated(self) -> list[Path]:
        """What the store made from records of the present digest that are no longer there: others are in their place.

        Numbers that differ from run to run (measured times) do so without a change of the digest.
        """
        made = outdated.made_from(self.records_digest, self.store)
        return [path for paths, checksum in made if self._of_others(checksum) for path in paths]

    def _of_others(self, checksum: str | None) -> bool:
        """Whether a checksum is of other records than those that are there; one that cannot be told is not."""
        try:
            noted = self.read_provenance().files.get("records.parquet")
        except ClaimcheckError:
            return False
        return None not in (noted, checksum) and noted != checksum

    def read_provenance(self) -> Provenance:
        """Where the records come from, checked."""
        return read_provenance(self.provenance, self.remedy("run"), self.study.name)

    def read_records(self) -> pd.DataFrame:
        """The study's records, checked against their provenance.

        Raises:
            ClaimcheckError: not there, cut off, or changed after they were written.
        """
        from claimcheck.results import records

        if not self.records.is_file():
            raise ClaimcheckError(
                f"study {self.study.name} has no records that fit its present sources at scale {self.config.scale}",
                where=self.store,
                hint=f"make them: {self.remedy('run')} ({self.remedy('why')} says what changed)",
            )
        self._check_noted("records.parquet", self.records)
        return records.read(self.records)

    def read_tuning(self) -> pd.DataFrame | None:
        """The pilots' tables of the parts that tune, checked as the records are; None for a study without."""
        from claimcheck.results import records

        if self.tuning is None or not self.tuning.is_file():
            return None
        self._check_noted("tuning.parquet", self.tuning)
        return records.read(self.tuning)

    def _check_noted(self, name: str, path: Path) -> None:
        """Refuse a file that is not the one of which the provenance notes the checksum under `name`."""
        if self.read_provenance().files.get(name) != sha256(path):
            hint = f"make it again: {self.remedy('run')}"
            raise ClaimcheckError("was cut off or changed after it was written", where=path, hint=hint)

    def read_verdicts(self) -> list[dict]:
        """The verdicts, checked.

        Raises:
            ClaimcheckError: missing, changed after they were judged, or judged from other records than are there.
        """
        found = read_verdicts(self.verdicts, self.remedy("judge"))
        self._check_made_from("was judged", outdated.records_of_verdicts(self.verdicts), self.verdicts, "judge")
        return found

    def read_controls(self) -> dict | None:
        """What came of the controls, checked, or None where nothing was judged."""
        return read_controls(self.controls, self.remedy("judge")) if self.controls.is_file() else None

    def figure_files(self) -> list[Path]:
        """The figures, checked as the verdicts are."""
        found, listed = seals.figure_files(self.figures, self.remedy("plot")), self.figures / seals.FIGURES
        self._check_made_from("was drawn", outdated.records_of_figures(listed), listed, "plot")
        return found

    def _check_made_from(self, how: str, checksum: str | None, path: Path, step: str) -> None:
        if self._of_others(checksum):
            hint = f"make it again: {self.remedy(step)}"
            raise ClaimcheckError(f"{how} from other records than are there now", where=path, hint=hint)


def locate(
    study: Study, config: Config, machine: Machine, exists: Callable[[str], bool] = lambda path: Path(path).is_file()
) -> Results:
    """The results of `study` under `config`.

    A part that needs what the machine lacks is asked for all the same where its records are there already, from another
    machine.

    Args:
        exists: whether a file is there; a pipeline that keeps its files elsewhere asks there.
    """
    folder = config.results / study.name / "parts"
    parts, not_run = {}, {}
    for name, part in study.at(config.scale, config.seeds, first_seed_of(study, config)).items():
        if part.seeds == 0:
            not_run[name] = f"it is not run at scale {config.scale}"
            continue
        if isinstance(config, PilotConfig) and config.times:
            planned, part = part, multiplied(part, config.times)
            if part is planned:
                not_run[name] = f"it has no setting {' or '.join(config.times)}"
                continue
        remedy = command("run", study.name, config, part=name)
        files = PartFiles(study.name, part, digests.part_ingredients(study, part), folder, remedy)
        missing = lacks(part, machine)
        if missing is None or exists(str(files.records)):
            parts[name] = files
        else:
            not_run[name] = f"it needs {missing}"
    return Results(study, config, parts, not_run)


def lacks(part: ScaledPart, machine: Machine) -> str | None:
    """What the part needs that the machine has not, in words, or None."""
    if part.needs_gpu and not machine.gpu:
        return "a GPU"
    if part.needs_compiler and not machine.compiler:
        return f"a C++ compiler; {machine.compiler_fault()}".removesuffix("; ")
    return None


@dataclass(frozen=True)
class Collection:
    """The studies' results that one report shows, and the files made of all of them.

    Attributes:
        results: by study; others are no part of the report, which says so.
        lacking: studies of which it says how far they are, because they are not judged and drawn yet.
        into: the folder of all results that people read, where it is not the one that the store is in.
    """

    config: Config
    results: Mapping[str, Results]
    lacking: tuple[str, ...] = ()
    into: Path | None = None

    @cached_property
    def report_ingredients(self) -> digests.Ingredients:
        """What the report is made from."""
        shown: dict[str, Any] = {name: [one.verdicts_digest, one.figures_digest] for name, one in self.results.items()}
        shown |= dict.fromkeys(self.lacking, "not made")
        folders = self.config.readable(self.into), self.config.reports
        return digests.report_ingredients(self.config.studies_dir, shown, folders)

    @cached_property
    def report_digest(self) -> str:
        """Digest of the report."""
        return digests.digest(self.report_ingredients)

    @property
    def report(self) -> Path:
        """Folder of the report."""
        return self.config.results / STORE / f"report-{self.report_digest}"

    def as_it_is(self) -> Collection:
        """What a report that is made now shows: the studies that are judged and drawn, and which are not.

        It is another report than the one of all of them, so that it does not pass for that one once they are made.
        """
        made = {name: each for name, each in self.results.items() if each.judged() and each.drawn()}
        return replace(self, results=made, lacking=tuple(sorted({*self.lacking, *self.results} - {*made})))

    def forms(self) -> list[Collection]:
        """The reports that there may be: of all, of those that are made with word of the others, and without."""
        now = self.as_it_is()
        return [self, now, replace(now, lacking=())]

    @property
    def receipt(self) -> Path:
        """The file that is there when, and only when, the published report is this one."""
        return self.config.reports / f".view-{self.report_digest}"
