"""What the commands share: the options, and how options become studies and results."""

from __future__ import annotations

import inspect
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from claimcheck.cli.progress import SHARE
from claimcheck.errors import ClaimcheckError, closest

if TYPE_CHECKING:
    from claimcheck.results.state import Results
    from claimcheck.spec.config import Config
    from claimcheck.spec.models import Study
    from claimcheck.spec.parts import ScaledPart


Command = TypeVar("Command", bound=Callable[..., None])


class Scale(StrEnum):
    """How much is run."""

    smoke = "smoke"
    quick = "quick"
    full = "full"


def folder(name: str | Path) -> Path:
    """The folder of a name in which ~ may stand for the user's home: after `--results-dir=` a shell leaves it."""
    if not str(name):
        raise typer.BadParameter("a folder's name must not be empty")
    path = Path(os.path.expanduser(name))
    if path.exists() and not path.is_dir():
        raise typer.BadParameter(f"{path} is there, but is no folder")
    return path


StudyOrPart = Annotated[
    str, typer.Argument(metavar="STUDY[/PART]", help="A study (see `claimcheck list`), or one part of it.")
]
PartName = Annotated[str, typer.Argument(metavar="STUDY/PART", help="A part of a study.")]
StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name of a folder in studies/ (see `claimcheck list`).")
]


def _folder_option(help: str) -> Any:
    return Annotated[Path, typer.Option(parser=folder, metavar="FOLDER", help=help)]


SHARED: dict[str, tuple[Any, Any]] = {
    "scale": (
        Annotated[Scale, typer.Option(help="smoke tests the plumbing, quick takes minutes, full is the evidence.")],
        Scale.quick,
    ),
    "seeds": (Annotated[int | None, typer.Option(min=1, help="Number of seeds, instead of the study's own.")], None),
    "registration_offset": (
        Annotated[int, typer.Option(min=0, help="Judge on the block of seeds so many after the registered one.")],
        0,
    ),
    "device": (Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")], "auto"),
    "memory_limit_mb": (
        Annotated[int | None, typer.Option(help="Split ensembles to stay below this many MiB.")],
        None,
    ),
    "force": (Annotated[bool, typer.Option("--force", help="Train even what is there already.")], False),
    "keep_view": (
        Annotated[
            bool, typer.Option("--keep-view", help="Write the store alone; `publish` puts it where people read.")
        ],
        False,
    ),
    "digest": (
        Annotated[
            str | None, typer.Option(help="The part's digest where the job was planned; another machine must agree.")
        ],
        None,
    ),
    "only": (
        Annotated[list[str] | None, typer.Option("--study", help="This study's results alone (may be repeated).")],
        None,
    ),
    "into": (
        Annotated[
            Path | None,
            typer.Option(
                parser=folder,
                metavar="FOLDER",
                help="Folder of the results that people read, where it is not --results-dir.",
            ),
        ],
        None,
    ),
    "results_dir": (_folder_option("Folder that results are written to."), Path("results")),
    "reports_dir": (_folder_option("Folder that reports are written to."), Path("reports")),
    "studies_dir": (_folder_option("Folder of the studies and lecture.yaml."), Path("studies")),
    "data_dir": (_folder_option("Folder of downloaded data sets."), Path("data")),
}
"""Options of more than one command: what typer is told of each, and its default. Most are fields of `Config`."""

CHOICE = ("scale", "seeds", "registration_offset", "device")
"""What decides which results a study has, in the order of help."""


def takes(*names: str) -> Callable[[Command], Command]:
    """Give a command its options, in the order of help: shared ones, and parameters of its own.

    The command may name a shared option as a plain parameter; those that it does not name reach it together, as
    `**options`, to be handed on to `results_of` and the like.
    """

    def declare(command: Command) -> Command:
        own = dict(inspect.signature(command, eval_str=True).parameters)
        rest = own.pop("options", None)
        shown = [each for name, each in own.items() if name not in names]  # arguments
        for name in names:
            if name not in SHARED:
                shown.append(own[name])
                continue
            assert name in own or rest is not None, f"{command.__name__} does not take {name}"
            annotation, default = SHARED[name]
            shown.append(
                inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
            )
        shown = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in shown]
        command.__signature__ = inspect.Signature(shown)  # typer reads both
        command.__annotations__ = {each.name: each.annotation for each in shown}
        return command

    return declare


def config_of(*, pilots: bool = False, times: Mapping[str, float] | None = None, **overrides: object) -> Config:
    """The configuration that options say; with `pilots` that of `claimcheck power`, to which `times` belongs."""
    from claimcheck.spec.config import PilotConfig
    from claimcheck.spec.reading import load_config

    chosen = {key: str(value) if isinstance(value, Path | StrEnum) else value for key, value in overrides.items()}
    config = load_config(None, {key: value for key, value in chosen.items() if value is not None})
    return PilotConfig(**dict(config), times=times or {}) if pilots else config


def with_results(config: Config) -> Config:
    """The configuration, where there is a folder of results: a misspelt one would be told of as a report of nothing.

    Raises:
        ClaimcheckError: there is no such folder.
    """
    if not config.results.is_dir():
        hint = "make them: snakemake --cores all; or name their folder: --results-dir"
        raise ClaimcheckError(f"no results at scale {config.scale}", where=config.results, hint=hint)
    return config


def factors_of(said: Sequence[str]) -> dict[str, float]:
    """What `--times` says: names of settings, and the factors by which they are multiplied."""
    found: dict[str, float] = {}
    for entry in said:
        written = re.fullmatch(r"([a-z][a-z0-9_]*)=(\d+(?:\.\d+)?|\.\d+)", entry)
        if not written or not 0 < float(written[2]) < math.inf or written[1] in found:
            raise ClaimcheckError(
                "is said twice" if written and written[1] in found else "is no factor of a setting",
                where="--times", found=entry[:40], expected="SETTING=FACTOR, each setting once, such as width=2",
            )  # fmt: skip
        found[written[1]] = float(written[2])
    return found


def check_settings(parts: Mapping[str, ScaledPart], times: Mapping[str, float], where: Path) -> None:
    """Refuse a factor of a setting that no part has."""
    from claimcheck.spec.scaling import settings_in

    known = sorted(settings_in(parts.values()))
    for name in times:
        if name not in known:
            raise ClaimcheckError(
                "no part has this setting, as a number",
                where=f"{where}: --times",
                found=name,
                expected=f"one of {', '.join(known) or 'none'}",
                hint=closest(name, known),
            )


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
    from claimcheck.results.state import locate
    from claimcheck.running.devices import machine_for
    from claimcheck.spec.reading import study_names

    config = config_of(**options)
    machine = machine_for(config.device)
    found = {name: study_of(name, config.studies_dir) for name in study_names(config.studies_dir)}
    return {name: locate(study, config, machine) for name, study in found.items() if config.scale in study.scales}


def named(text: str) -> tuple[str, str | None]:
    """Study and part of "STUDY" or "STUDY/PART"."""
    study, slash, part = text.partition("/")
    if slash and not part:
        raise ClaimcheckError("names no part", found=text, expected=f"{study} or {study}/PART")
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
        if digest is not None:
            raise ClaimcheckError("a digest is one of a part", where="--digest", found=digest, expected="STUDY/PART")
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
    from claimcheck.spec.config import MOST_SHARDS

    found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]) <= MOST_SHARDS:
        expected = f"i/n with 1 <= i <= n <= {MOST_SHARDS}, such as 2/5"
        raise ClaimcheckError("is not a shard", where="--shard", found=text[:40], expected=expected)
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
    from rich.text import Text

    table = Table(box=None, header_style="bold")
    for column in texts:
        table.add_column(column, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))  # a plain str would be read as markup
    Console(width=None if sys.stdout.isatty() else 160).print(table)


SECONDS_BETWEEN_SHARES = 5.0
"""Of lines in a log on how much is done."""


def listening(study: str):
    """A bar on a terminal, plain lines in a log."""

    from claimcheck.running.runner import Listener as Report

    @contextmanager
    def shown():
        if not sys.stderr.isatty():
            yield Report(log=log_line, update=_shares(study))
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(study, total=1.0)
            yield Report(
                log=lambda text: bar.console.print(text, style="dim", markup=False, highlight=False),
                update=lambda done, total, name: bar.update(
                    task, completed=done / total, description=f"{study} {name.split('/')[0]}"
                ),
            )

    return shown()


def log_line(text: str) -> None:
    """A line of the log."""
    print(text, file=sys.stderr, flush=True)


def _shares(study: str, clock: Callable[[], float] = time.monotonic) -> Callable[[float, float, str], None]:
    """A line of the log on how much is done, where the last one is some seconds old."""
    told = clock()

    def tell(done: float, total: float, name: str) -> None:
        nonlocal told
        if clock() - told >= SECONDS_BETWEEN_SHARES:
            told = clock()
            log_line(SHARE.format(study=study, percent=100 * done / total))

    return tell
