"""Commands that bring in, pack up or clear away: studies, data, results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import (
    CHOICE,
    StudyName,
    all_results,
    config_of,
    publish_unless,
    results_of,
    study_of,
    takes,
)
from claimcheck.errors import ClaimcheckError
from claimcheck.results.commands import options as typed

data = typer.Typer(no_args_is_help=True, help="Download data sets, checked against their published checksums.")
app.add_typer(data, name="data")


@app.command()
@takes("studies_dir")
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the study: lower-case letters, digits, underscores.")
    ],
    studies_dir: Path,
) -> None:
    """Make a small study that runs at once, to be changed into yours."""
    from claimcheck.spec.new import create

    folder = create(name, studies_dir)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    chosen = typed({"scale": "smoke", "studies_dir": studies_dir})
    print(f"try: claimcheck run {name} {chosen} && claimcheck judge {name} {chosen}")


@app.command("import")
@takes("study", *CHOICE, "results_dir", "studies_dir")
def import_results(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A study's result folder, written by `claimcheck run` elsewhere.")
    ],
    study: Annotated[str | None, typer.Option(help="Name of the study; the folder's name when left out.")] = None,
    **options: object,
) -> None:
    """Take over a study's parts made on another machine, with that machine's provenance, after checking every hash."""
    from claimcheck.results.importing import import_parts
    from claimcheck.running import runner

    name = folder.resolve().name if study is None else study
    for remark in import_parts(folder, results_of(name, **options)):
        print(f"{name}: {remark}")
    results = results_of(name, **options)
    if missing := [files.part.name for files in results.missing_parts()]:
        print(f"{name}: missing still: {', '.join(missing)}; make them: {results.remedy('run')}")
        return
    runner.assemble(results)
    publish_unless(results, keep_view=False)
    print(f"{name}: judge and plot it next")


@app.command()
@takes(*CHOICE, "results_dir", "reports_dir", "studies_dir")
def crate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write it to; must not exist yet.")],
    **options: object,
) -> None:
    """Export results and report as a Workflow Run RO-Crate, for archives and other tools."""
    from claimcheck.results.crate import export, left_out

    config, found = config_of(**options), all_results(**options)
    print(export(config, found, folder))
    for line in left_out(config, found):
        print(line, file=sys.stderr)


@app.command()
@takes(*CHOICE, "dry_run", "results_dir", "reports_dir", "studies_dir")
def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    **options: object,
) -> None:
    """Remove results that the present sources and these settings do not ask for.

    That is what earlier versions left behind, and finished results of present ones at other --seeds or another
    --registration-offset, and the pilots of `claimcheck power`. Not while a pipeline or a study is running.
    """
    from claimcheck.results import pruning
    from claimcheck.results.state import Collection

    found = all_results(**options)
    for line in pruning.prune(Collection(config_of(**options), found), dry_run=dry_run):
        print(line)


@data.command("fetch")
@takes("data_dir")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist, fashion_mnist or cifar10.")],
    data_dir: Path,
) -> None:
    """Download a data set where it is missing or damaged; one that is whole opens no connection."""
    from claimcheck.data.downloads import fetch

    fetch(name, data_dir)


@data.command("list")
@takes("data_dir")
def data_list(data_dir: Path) -> None:
    """Say which downloaded data sets are there and whole."""
    from claimcheck.data.downloads import SOURCES, faults

    for name in SOURCES:
        wrong = faults(name, data_dir)
        print(f"{name}: {'whole' if not wrong else '; '.join(f'{path} {fault}' for path, fault in wrong.items())}")


@app.command()
@takes("says", "superseded", "counts", "device", "results_dir", "studies_dir")
def register(
    study: StudyName,
    studies_dir: Path,
    says: Annotated[str | None, typer.Option(help="What is registered, in a few sentences.")] = None,
    superseded: Annotated[str | None, typer.Option(help="What was wrong with the registration that stands.")] = None,
    counts: Annotated[
        bool, typer.Option("--counts", help="Note the verdicts of the judged run, at scale quick, instead.")
    ] = False,
    **options: object,
) -> None:
    """Write down, before the judged run, what it will hold the study to; seeds of its own are chosen."""
    from claimcheck.judging.controls import summary
    from claimcheck.results import provenance
    from claimcheck.results.digests import registration_digest
    from claimcheck.spec import registering

    if counts and (says is not None or superseded is not None):
        option = "--says" if says is not None else "--superseded"
        raise ClaimcheckError("goes with a new registration, --counts with one that stands", where=option)
    spec = study_of(study, studies_dir)
    if counts:
        found = results_of(study, scale=registering.JUDGED, studies_dir=studies_dir, **options)
        entries = found.read_verdicts()
        verdicts = {entry["prediction"]: entry["verdict"] for entry in entries}
        machines = provenance.machines(found.read_provenance().parts.values())
        print(registering.note_verdicts(spec, verdicts, summary(entries), machines))
        return
    if says is None:
        raise ClaimcheckError("say what is registered", where="register", hint="--says TEXT")
    print(registering.register(spec, registration_digest(spec), says, superseded))
