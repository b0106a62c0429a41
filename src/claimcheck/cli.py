"""The `claimcheck` command: parses, calls, and tells errors in one line. Every step of the pipeline is one command."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.spec.models import Config, Study

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Put a deep-learning lecture's claims to the test: run a study, judge it, draw it, report it.",
    epilog="A first look: claimcheck list; claimcheck run gradient_flow --scale smoke. "
    "The whole pipeline: snakemake --cores 2.",
)


class Scale(StrEnum):
    """How much is run."""

    smoke = "smoke"
    quick = "quick"
    full = "full"


StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="Name of a folder in studies/ (see `claimcheck list`).")
]
ScaleOption = Annotated[
    Scale, typer.Option(help="smoke tests the plumbing, quick takes minutes, full is the evidence.")
]
ResultsDir = Annotated[Path, typer.Option(help="Folder that results are written to.")]
ReportsDir = Annotated[Path, typer.Option(help="Folder that reports are written to.")]
StudiesDir = Annotated[Path, typer.Option(help="Folder of the studies and lecture.yaml.")]
DataDir = Annotated[Path, typer.Option(help="Folder of downloaded data sets.")]
Seeds = Annotated[int | None, typer.Option(min=1, help="Number of seeds, instead of the study's own.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]

SCALE, RESULTS, REPORTS = Scale.quick, Path("results"), Path("reports")
STUDIES, DATA = Path("studies"), Path("data")


def main() -> None:
    """Run the command; a ClaimcheckError is one line on standard error and exit status 2."""
    # One thread a job: the same bits in every run, and jobs side by side do not fight for cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        sys.exit(code if isinstance(code, int) else 0)
    except BrokenPipeError:
        # `claimcheck list | head` ends quietly. Not by the signal's default action, which would end a download, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except ClaimcheckError as error:
        print(f"claimcheck: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("claimcheck: stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        # Wrong words on the command line; typer has its own copy of click, whose classes have no lasting name.
        if not hasattr(error, "format_message"):
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.format_message())
        else:
            words = " ".join(error.format_message().removesuffix(".").split()).replace("Value error, ", "")
            print(f"claimcheck: {words}; see claimcheck --help", file=sys.stderr)
        sys.exit(2)


def _config(**overrides: object) -> Config:
    from claimcheck.spec.reading import load_config

    chosen = {key: str(value) if isinstance(value, Path | StrEnum) else value for key, value in overrides.items()}
    return load_config(None, {key: value for key, value in chosen.items() if value is not None})


def _study(name: str, studies_dir: Path) -> Study:
    from claimcheck.spec.reading import load_study

    return load_study(studies_dir, name)


@app.command("list")
def list_studies(studies_dir: StudiesDir = STUDIES) -> None:
    """Show every study: its question, its claims, how many runs each scale takes."""
    from claimcheck.spec import design
    from claimcheck.spec.reading import study_names

    rows = []
    for name in study_names(studies_dir):
        study = _study(name, studies_dir)
        counts = []
        for scale in Scale:
            parts = study.at(scale.value).values() if scale.value in study.scales else []
            counts.append(sum(len(design.combinations(part)) * part.seeds for part in parts))
        rows.append((name, study.question, len(study.claims), len(study.predictions()), *(f"{n:,}" for n in counts)))
    _print_table(["study", "question"], ["claims", "predictions", *(f"runs at {scale.value}" for scale in Scale)], rows)


@app.command()
def run(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    shard: Annotated[str | None, typer.Option(help="i/n: only the i-th of n pieces, for `merge` to join.")] = None,
    memory_limit_mb: Annotated[int | None, typer.Option(help="Split ensembles to stay below this many MiB.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Run even when the records are up to date.")] = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Train a study's networks and write its records. A killed run goes on where it stopped."""
    spec = _study(study, studies_dir)
    config = _config(
        scale=scale,
        seeds=seeds,
        device=device,
        memory_limit_mb=memory_limit_mb,
        results_dir=results_dir,
        studies_dir=studies_dir,
        data_dir=data_dir,
    )
    spec.at(config.scale, config.seeds)
    piece = _shard(shard)
    from claimcheck.running import runner

    if piece == (1, 1) and not force and runner.up_to_date(spec, config):
        print(f"{study}: up to date at scale {config.scale} (--force runs it all the same)")
        return
    from claimcheck.running.devices import leased_device

    with _progress(study) as progress, leased_device(config.device, progress.log) as leased:
        folder = runner.run_study(spec, config.model_copy(update={"device": leased}), progress, piece)
    print(f"{study}: records in {folder}")


@app.command()
def merge(
    study: StudyName,
    shards: Annotated[int, typer.Option(min=1, help="Number of pieces it was cut into.")],
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Join the pieces that `run --shard i/n` made: the same records as an uncut run, bit for bit."""
    spec = _study(study, studies_dir)
    config = _config(scale=scale, seeds=seeds, results_dir=results_dir, studies_dir=studies_dir, data_dir=data_dir)
    from claimcheck.running import runner

    print(f"{study}: records in {runner.merge_shards(spec, config, shards)}")


@app.command()
def judge(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    shuffle: Annotated[
        bool, typer.Option("--shuffle", help="Permute arm labels within each seed first: what does noise support?")
    ] = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Hold a study's records against its predictions and write the verdicts."""
    from claimcheck.judging import judge as judging

    spec = _study(study, studies_dir)
    verdicts = judging.judge_study(spec, scale.value, results_dir, shuffle=shuffle, seeds=seeds)
    if shuffle:
        print(f"{study}: arms shuffled, see {Path(results_dir) / scale.value / study / 'shuffled.json'}")
        return
    rows = []
    for entry in verdicts:
        estimate = entry["estimate"]
        shown = "" if estimate is None else f"{estimate:.4g} {entry['unit']}" if estimate == estimate else "nan"
        rows.append((entry["claim"], entry["prediction"], entry["kind"], entry["verdict"], shown, entry["n"]))
    _print_table(["claim", "prediction", "kind", "verdict", "estimate", "n"], [], rows)


@app.command()
def plot(
    study: StudyName, scale: ScaleOption = SCALE, results_dir: ResultsDir = RESULTS, studies_dir: StudiesDir = STUDIES
) -> None:
    """Draw a study's figures from its records."""
    from claimcheck.figures import drawing as figures

    for path in figures.plot_study(_study(study, studies_dir), scale.value, results_dir):
        print(path)


@app.command()
def report(
    scale: ScaleOption = SCALE,
    results_dir: ResultsDir = RESULTS,
    reports_dir: ReportsDir = REPORTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Gather verdicts and figures into report.html and report.pdf; studies that are not there are named so."""
    from claimcheck.results import seals as integrity
    from claimcheck import report as reporting

    integrity.check_results(results_dir, scale.value)
    for path in reporting.build(scale.value, results_dir, reports_dir, studies_dir):
        print(path)


@app.command()
def calibrate(
    scale: ScaleOption = SCALE,
    results_dir: ResultsDir = RESULTS,
    n: Annotated[int | None, typer.Option(min=2, help="Seeds; the report's own when left out.")] = None,
    predictions: Annotated[int | None, typer.Option(min=1, help="Predictions in a report; the report's own.")] = None,
) -> None:
    """Simulate reports in which nothing is true: how often does one say otherwise, and what effect is found?"""
    from claimcheck.judging import calibration

    calibration.main(scale.value, results_dir, n=n, m=predictions)


@app.command()
def why(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Say what of a study would run again, and because of what."""
    from claimcheck.results import state as staleness

    config = _config(scale=scale, seeds=seeds, results_dir=results_dir, studies_dir=studies_dir, data_dir=data_dir)
    for line in staleness.explain(_study(study, studies_dir), config):
        print(line)


@app.command()
def cost(
    studies: Annotated[list[str] | None, typer.Argument(metavar="[STUDY]...", help="All when left out.")] = None,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Estimate time, operations and memory on this machine by rehearsing a few steps of everything."""
    from claimcheck.running.cost import estimate
    from claimcheck.spec.reading import study_names

    config = _config(scale=scale, seeds=seeds, device=device, studies_dir=studies_dir, data_dir=data_dir)
    rows, total = [], 0.0
    for name in studies or study_names(studies_dir):
        print(f"rehearsing {name}", file=sys.stderr, flush=True)
        found = estimate(_study(name, studies_dir), config)
        total += found.seconds
        figures = (f"{found.runs:,}", f"{found.network_steps:,.0f}", f"{found.flops / 1e12:.3g}")
        rows.append((name, *figures, f"{found.memory_mib:,.0f}", f"{found.seconds:,.1f}"))
    rows.append(("all", "", "", "", "", f"{total:,.1f}"))
    _print_table(["study"], ["runs", "network-steps", "TFLOP", "peak MiB", "seconds"], rows)


@app.command()
def verify(
    first: Annotated[Path, typer.Argument(metavar="A", help="A result tree, such as results/quick.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, such as a colleague's results/quick.")],
) -> None:
    """Compare two result trees: same bits, same numbers, same verdicts, or what differs."""
    from claimcheck.results import compare as comparison

    sys.exit(comparison.main(first, second))


@app.command()
def crate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder to write it to; must not exist yet.")],
    scale: ScaleOption = SCALE,
    results_dir: ResultsDir = RESULTS,
    reports_dir: ReportsDir = REPORTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Export results and report as a Workflow Run RO-Crate, for archives and other tools."""
    from claimcheck.results.crate import export

    print(export(scale.value, results_dir, reports_dir, studies_dir.resolve().parent, folder))


@app.command("import")
def import_results(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A study's result folder, written by `claimcheck run` elsewhere.")
    ],
    study: Annotated[str | None, typer.Option(help="Name of the study; the folder's name when left out.")] = None,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Take over records made on another machine, with that machine's provenance, after checking every hash."""
    from claimcheck.results.importing import import_results as take_over

    name = study or folder.resolve().name
    config = _config(scale=scale, seeds=seeds, results_dir=results_dir, studies_dir=studies_dir, data_dir=data_dir)
    for remark in take_over(folder, _study(name, studies_dir), config):
        print(f"{name}: {remark}")
    print(f"{name}: records in {config.results_of(name)}; judge and plot them next")


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
    print(f"{folder}: study.yaml and study.py")
    print(f"try: claimcheck run {name} --scale smoke && claimcheck judge {name} --scale smoke")


@app.command()
def doctor(studies_dir: StudiesDir = STUDIES, results_dir: ResultsDir = RESULTS, data_dir: DataDir = DATA) -> None:
    """Check versions, compiler, GPU, disk, data and studies; exit status 1 when something is broken."""
    from claimcheck.running.doctor import examine

    checks = examine(studies_dir, results_dir, data_dir)
    _print_table(["what", "state", "found"], [], [(check.subject, check.state, check.found) for check in checks])
    sys.exit(1 if any(check.state == "broken" for check in checks) else 0)


data = typer.Typer(no_args_is_help=True, help="Download data sets, checked against their published checksums.")
app.add_typer(data, name="data")


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


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return (1, 1)
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise ClaimcheckError(
            "is not a shard", where="--shard", found=text, expected="i/n with 1 <= i <= n, such as 2/5"
        )
    return int(found[1]), int(found[2])


def _print_table(texts: Sequence[str], numbers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
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


def _progress(study: str):
    """A bar on a terminal, plain lines in a log."""
    from contextlib import contextmanager

    from claimcheck.running.runner import Progress as Report

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
