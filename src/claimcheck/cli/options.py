"""What the commands share: the options, and how options become studies and results."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from claimcheck.errors import ClaimcheckError, closest

if TYPE_CHECKING:
    from claimcheck.results.state import Results
    from claimcheck.spec.config import Config
    from claimcheck.spec.models import Study


class Scale(StrEnum):
    """How much is run."""

    smoke = "smoke"
    quick = "quick"
    full = "full"


def folder(name: str | Path) -> Path:
    """The folder of a name in which ~ may stand for the user's home: after `--results-dir=` a shell leaves it."""
    return Path(os.path.expanduser(name))


StudyOrPart = Annotated[
    str, typer.Argument(metavar="STUDY[/PART]", help="A study (see `claimcheck list`), or one part of it.")
]
PartName = Annotated[str, typer.Argument(metavar="STUDY/PART", help="A part of a study.")]
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name of a folder in studies/ (see `claimcheck list`).")
]
ScaleOption = Annotated[
    Scale, typer.Option(help="smoke tests the plumbing, quick takes minutes, full is the evidence.")
]
ResultsDir = Annotated[Path, typer.Option(parser=folder, metavar="FOLDER", help="Folder that results are written to.")]
ReportsDir = Annotated[Path, typer.Option(parser=folder, metavar="FOLDER", help="Folder that reports are written to.")]
StudiesDir = Annotated[
    Path, typer.Option(parser=folder, metavar="FOLDER", help="Folder of the studies and lecture.yaml.")
]
DataDir = Annotated[Path, typer.Option(parser=folder, metavar="FOLDER", help="Folder of downloaded data sets.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, instead of the study's own.")]
Offset = Annotated[int, typer.Option(min=0, help="Judge on the block of seeds so many after the registered one.")]
KeepView = Annotated[
    bool, typer.Option("--keep-view", help="Write the store alone; `publish` puts it where people read.")
]
OnlyStudies = Annotated[list[str] | None, typer.Option("--study", help="This study's results alone (may be repeated).")]
Force = Annotated[bool, typer.Option("--force", help="Train even what is there already.")]
Into = Annotated[
    Path | None,
    typer.Option(
        parser=folder, metavar="FOLDER", help="Folder of the results that people read, where it is not --results-dir."
    ),
]
Expected = Annotated[
    str | None, typer.Option(help="The part's digest where the job was planned; another machine must agree.")
]
MemoryLimit = Annotated[int | None, typer.Option(help="Split ensembles to stay below this many MiB.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]

SCALE, RESULTS, REPORTS = Scale.quick, Path("results"), Path("reports")
STUDIES, DATA = Path("studies"), Path("data")


def config_of(**overrides: object) -> Config:
    from claimcheck.spec.reading import load_config

    chosen = {key: str(value) if isinstance(value, Path | StrEnum) else value for key, value in overrides.items()}
    return load_config(None, {key: value for key, value in chosen.items() if value is not None})


def study_of(name: str, studies_dir: Path) -> Study:
    from claimcheck.spec.reading import load_study

    return load_study(studies_dir, name)


def only_known(names: list[str] | None, studies_dir: Path) -> list[str] | None:
    """What `--study` names, each the name of a study."""
    from claimcheck.spec.reading import check_studies

    check_studies(names or [], studies_dir, "--study")
    return names


def results_of(study: str, **options: object) -> Results:
    """A study's results as the present sources and options would make them."""
    from claimcheck.results.state import locate
    from claimcheck.running.devices import machine_for

    config = config_of(**options)
    return locate(study_of(study, config.studies_dir), config, machine_for(config.device))


def all_results(**options: object) -> dict[str, Results]:
    """Every study's results, for the studies that have the scale."""
    from claimcheck.spec.reading import study_names

    config = config_of(**options)
    found = {name: study_of(name, config.studies_dir) for name in study_names(config.studies_dir)}
    return {name: results_of(name, **options) for name, study in found.items() if config.scale in study.scales}


def named(text: str) -> tuple[str, str | None]:
    """Study and part of "STUDY" or "STUDY/PART"."""
    study, _, part = text.partition("/")
    return study, part or None


def one_part(text: str) -> tuple[str, str]:
    """Study and part of "STUDY/PART"."""
    study, part = named(text)
    if part is None:
        raise ClaimcheckError("names no part", where=f"study {study}", found=text, expected="STUDY/PART")
    return study, part


def parts_of(results: Results, part: str | None, digest: str | None = None) -> list[str]:
    """The part named, or all parts that are asked for here.

    Raises:
        ClaimcheckError: no such part, one that is not run here, or not of the `digest` that was planned elsewhere.
    """
    where, known = f"study {results.study.name}", list(results.study.parts)
    if part is None:
        return list(results.parts)
    if part in results.not_run:
        raise ClaimcheckError("this part is not run here", where=where, found=f"{part}: {results.not_run[part]}")
    if part not in results.parts:
        raise ClaimcheckError(
            "no such part", where=where, found=part, expected=f"one of {', '.join(known)}", hint=closest(part, known)
        )
    if digest not in (None, results.parts[part].digest):
        raise ClaimcheckError(
            "this machine would make another part than the one that was planned",
            where=f"{where}: part {part}",
            found=results.parts[part].digest,
            expected=digest,
            hint="give all machines the same sources and package versions",
        )
    return [part]


def shard_of(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ClaimcheckError(
            "is not a shard", where="--shard", found=text, expected="i/n with 1 <= i <= n, such as 2/5"
        )
    return int(found[1]), int(found[2])


def publish_unless(results: Results, keep_view: bool) -> None:
    from claimcheck.results import view

    if keep_view:
        view.withdraw(results)
    else:
        view.publish(results)


def print_table(texts: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns of text, then columns of numbers; as wide as the terminal, or 160 characters in a log."""
    from rich.console import Console  # not at the top: most steps print no table
    from rich.table import Table

    table = Table(box=None, header_style="bold")
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*map(str, row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def listening(study: str):
    """A bar on a terminal, plain lines in a log."""

    from claimcheck.running.runner import Listener as Report

    @contextmanager
    def shown():
        if not sys.stderr.isatty():
            yield Report(log=lambda text: print(text, file=sys.stderr, flush=True))
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()]
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(study, total=1.0)
            yield Report(
                log=lambda text: bar.console.print(text, style="dim", markup=False, highlight=False),
                update=lambda done, total, name: bar.update(
                    task, completed=done / total, description=f"{study} {name.split('/')[0]}"
                ),
            )

    return shown()
