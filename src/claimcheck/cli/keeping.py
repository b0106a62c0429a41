"""Commands that bring in, pack up or clear away: studies, data, results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import (
    DATA,
    REPORTS,
    RESULTS,
    SCALE,
    STUDIES,
    DataDir,
    Device,
    Offset,
    ReportsDir,
    ResultsDir,
    ScaleOption,
    Seeds,
    StudiesDir,
    StudyName,
    all_results,
    config_of,
    publish_unless,
    results_of,
    study_of,
)
from claimcheck.errors import ClaimcheckError

data = typer.Typer(no_args_is_help=True, help="Download data sets, checked against their published checksums.")
app.add_typer(data, name="data")


@app.command()
def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the study: lower-case letters, digits, underscores.")
    ],
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Make a small study that runs at once, to be changed into yours."""
    from claimcheck.spec.new import create

    folder = create(name, studies_dir)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    print(f"try: claimcheck run {name} --scale smoke && claimcheck judge {name} --scale smoke")


@app.command("import")
def import_results(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A study's result folder, written by `claimcheck run` elsewhere.")
    ],
    study: Annotated[str | None, typer.Option(help="Name of the study; the folder's name when left out.")] = None,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    registration_offset: Offset = 0,
    device: Device = "auto",
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Take over a study's parts made on another machine, with that machine's provenance, after checking every hash."""
    from claimcheck.results.importing import import_parts
    from claimcheck.running import runner

    name = study or folder.resolve().name
    options = {
        "scale": scale,
        "seeds": seeds,
        "registration_offset": registration_offset,
        "device": device,
        "results_dir": results_dir,
    }
    for remark in import_parts(folder, results_of(name, studies_dir=studies_dir, **options)):
        print(f"{name}: {remark}")
    results = results_of(name, studies_dir=studies_dir, **options)
    if missing := [files.part.name for files in results.missing_parts()]:
        print(f"{name}: missing still: {', '.join(missing)}; make them: {results.remedy('run')}")
        return
    runner.assemble(results)
    publish_unless(results, keep_view=False)
    print(f"{name}: judge and plot it next")


@app.command()
def crate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write it to; must not exist yet.")],
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    registration_offset: Offset = 0,
    device: Device = "auto",
    results_dir: ResultsDir = RESULTS,
    reports_dir: ReportsDir = REPORTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Export results and report as a Workflow Run RO-Crate, for archives and other tools."""
    from claimcheck.results.crate import export, left_out

    options = {
        "scale": scale,
        "seeds": seeds,
        "registration_offset": registration_offset,
        "device": device,
        "results_dir": results_dir,
    }
    options |= {"studies_dir": studies_dir, "reports_dir": reports_dir}
    config, found = config_of(**options), all_results(**options)
    print(export(config, found, folder))
    for line in left_out(config, found):
        print(line, file=sys.stderr)


@app.command()
def prune(
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    registration_offset: Offset = 0,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed, and remove nothing.")] = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Remove results that the present sources and settings no longer ask for: what earlier versions left behind."""
    from claimcheck.results import pruning
    from claimcheck.results.state import Collection

    options = {
        "scale": scale,
        "seeds": seeds,
        "registration_offset": registration_offset,
        "device": device,
        "results_dir": results_dir,
        "studies_dir": studies_dir,
    }
    found = all_results(**options)
    for line in pruning.prune(Collection(config_of(**options), found), dry_run=dry_run):
        print(line)


@data.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist, fashion_mnist or cifar10.")],
    data_dir: DataDir = DATA,
) -> None:
    """Download a data set where it is missing or damaged; one that is whole opens no connection."""
    from claimcheck.data.downloads import fetch

    fetch(name, data_dir)


@data.command("list")
def data_list(data_dir: DataDir = DATA) -> None:
    """Say which downloaded data sets are there and whole."""
    from claimcheck.data.downloads import SOURCES, faults

    for name in SOURCES:
        wrong = faults(name, data_dir)
        print(f"{name}: {'whole' if not wrong else '; '.join(f'{path} {fault}' for path, fault in wrong.items())}")


@app.command()
def register(
    study: StudyName,
    says: Annotated[str | None, typer.Option(help="What is registered, in a few sentences.")] = None,
    superseded: Annotated[str | None, typer.Option(help="What was wrong with the registration that stands.")] = None,
    counts: Annotated[bool, typer.Option("--counts", help="Note the verdicts of the judged run instead.")] = False,
    scale: ScaleOption = SCALE,
    device: Device = "auto",
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Write down, before the judged run, what it will hold the study to; seeds of its own are chosen."""
    from collections import Counter

    from claimcheck.judging.controls import summary
    from claimcheck.results.digests import registration_digest
    from claimcheck.spec import registering

    spec = study_of(study, studies_dir)
    if counts:
        found = results_of(study, scale=scale, device=device, results_dir=results_dir, studies_dir=studies_dir)
        entries = found.read_verdicts()
        print(registering.note_verdicts(spec, dict(Counter(entry["verdict"] for entry in entries)), summary(entries)))
        return
    if says is None:
        raise ClaimcheckError("say what is registered", where="register", hint="--says TEXT")
    print(registering.register(spec, registration_digest(spec), says, superseded))
