"""Commands that make results: runs, verdicts, figures, report. Each step of the pipeline is one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import (
    CHOICE,
    PartName,
    Scale,
    StudyName,
    StudyOrPart,
    all_results,
    check_settings,
    config_of,
    factors_of,
    listening,
    log_line,
    named,
    one_part,
    only_known,
    parts_of,
    print_table,
    publish_unless,
    results_of,
    shard_of,
    takes,
    with_results,
)
from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.results.state import Results


@app.command()
@takes(*CHOICE, "shard", "memory_limit_mb", "force", "keep_view", "digest", "results_dir", "studies_dir", "data_dir")
def run(
    study: StudyOrPart,
    device: str,
    force: bool,
    keep_view: bool,
    digest: str | None,
    shard: Annotated[str | None, typer.Option(help="i/n: only the i-th of n pieces of a part, for `merge`.")] = None,
    **options: object,
) -> None:
    """Train the networks of a study, or of one part of it. A killed run goes on where it stopped."""
    name, part = named(study)
    results = results_of(name, device=device, **options)
    wanted = parts_of(results, part, digest)
    piece = shard_of(shard)
    if piece is not None and part is None:
        raise ClaimcheckError("a shard is one of a part", where="--shard", found=study, expected="STUDY/PART")
    missing = [each for each in wanted if force or results.parts[each].missing()]
    if piece is None and not missing and (part is not None or results.whole()):
        publish_unless(results, keep_view or part is not None)
        print(f"{study}: up to date at scale {results.config.scale} (--force runs it all the same)")
        return
    from claimcheck.results.busy import busy
    from claimcheck.running import runner
    from claimcheck.running.devices import leased_device

    if missing or piece is not None:
        with listening(study) as listener, leased_device(device, listener.log) as leased, busy(results):
            _warn_of_registration(results, listener.log)
            there = results if leased == device else results_of(name, device=leased, **options)
            if piece is not None:
                print(f"{study}: {runner.run_shard(there, part, piece, listener, again=force)}")
                return
            runner.run_parts(there, wanted, listener, again=force)
    if part is not None:
        _assemble_again(results, keep_view)
        print(f"{study}: records in {results.parts[part].records}")
        return
    runner.assemble(results)
    publish_unless(results, keep_view)
    print(f"{study}: records in {results.records if keep_view else results.view}")


def _warn_of_registration(results: Results, log: Callable[[str], None]) -> None:
    """Say before the judged seeds are spent what the judge would refuse afterwards."""
    from claimcheck.results.registration import check_registration

    try:
        check_registration(results.study, results.config)
    except ClaimcheckError as error:
        log(f"the judge will refuse these runs: {error}")


@app.command()
@takes(*CHOICE, "memory_limit_mb", "force", "digest", "results_dir", "studies_dir", "data_dir")
def tune(part: PartName, device: str, force: bool, digest: str | None, **options: object) -> None:
    """Run a part's pilots and choose the tuned factor's value for each arm."""
    from claimcheck.results.busy import busy
    from claimcheck.running import runner
    from claimcheck.running.devices import leased_device

    name, wanted = one_part(part)
    results = results_of(name, device=device, **options)
    parts_of(results, wanted, digest)
    with listening(part) as listener, leased_device(device, listener.log) as leased, busy(results):
        found = results_of(name, device=leased, **options)
        print(f"{part}: choice in {runner.tune_part(found, wanted, listener, again=force)}")
    if force and digest is None and not found.parts[wanted].missing():
        print(f"{part}: its records are of the earlier choice; make them again: {found.parts[wanted].remedy} --force")


@app.command()
@takes("shards", "digest", *CHOICE[:-1], "results_dir", "studies_dir", "data_dir", "device")
def merge(
    part: PartName,
    shards: Annotated[int, typer.Option(min=1, help="Number of pieces it was cut into.")],
    digest: str | None,
    **options: object,
) -> None:
    """Join the pieces that `run --shard i/n` made: the same records as of an uncut run, bit for bit."""
    from claimcheck.running import runner

    name, wanted = one_part(part)
    results = results_of(name, **options)
    parts_of(results, wanted, digest)
    print(f"{part}: records in {runner.join_shards(results, wanted, shards)}")
    if digest is None:  # by hand: in a pipeline the step that follows assembles
        _assemble_again(results, keep_view=False)


def _assemble_again(results: Results, keep_view: bool) -> None:
    """Put a study's parts together where that was done before one of them was made again by hand."""
    from claimcheck.running import runner

    if results.has_records() and not results.missing_parts():
        runner.assemble(results)
        publish_unless(results, keep_view)


@app.command()
@takes(*CHOICE, "keep_view", "results_dir", "studies_dir")
def assemble(study: StudyName, keep_view: bool, **options: object) -> None:
    """Put a study's parts together; `run` does so by itself."""
    from claimcheck.running import runner

    results = results_of(study, **options)
    runner.assemble(results)
    publish_unless(results, keep_view)
    print(f"{study}: records in {results.records if keep_view else results.view}")


@app.command()
@takes(*CHOICE, "keep_view", "results_dir", "studies_dir")
def judge(study: StudyName, keep_view: bool, **options: object) -> None:
    """Hold a study's records against its predictions and write the verdicts."""
    from claimcheck.judging import judge as judging

    results = results_of(study, **options)
    verdicts = judging.judge(results)
    publish_unless(results, keep_view)
    rows = []
    for entry in verdicts:
        for test in entry["tests"] or [{}]:
            k = f"{test['k']} of {test['n']}" if "k" in test else ""
            size = "" if test.get("median") is None else f"{test['median']:.4g} {entry['unit']}"
            name = entry["prediction"] + (f" on {test['data']}" if test.get("data") else "")
            verdict = test.get("verdict", entry["verdict"])
            if verdict == "not run":
                verdict += f" ({_why_not_run(entry, test)})"
            rows.append((entry["claim"], name, entry["kind"], verdict, k, size))
    print_table(["claim", "prediction", "kind", "verdict", "true in", "median"], [], rows)


def _why_not_run(entry: dict[str, Any], test: dict[str, Any]) -> str:
    """Why a prediction has no verdict: its part is not run here, nor its data at this scale, or too few units."""
    from claimcheck.judging.rule import decidable

    if "n" in test:
        fewest = next(n for n in count(1) if decidable(n, entry["share"]))
        return f"{fewest} units or more can decide"
    return entry["note"] or "its data are not run at this scale"


@app.command()
@takes(*CHOICE, "keep_view", "results_dir", "studies_dir")
def plot(study: StudyName, keep_view: bool, **options: object) -> None:
    """Draw a study's figures from its records."""
    from claimcheck.figures import drawing

    results = results_of(study, **options)
    drawn = drawing.plot_study(results)
    publish_unless(results, keep_view)
    for path in drawn:
        print(path if keep_view else results.view / "figures" / path.name)


@app.command()
@takes(*CHOICE, "the_report", "only", "into", "results_dir", "reports_dir", "studies_dir")
def publish(
    only: list[str] | None,
    into: Path | None,
    studies_dir: Path,
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="A study; left out with --report.")] = None,
    the_report: Annotated[bool, typer.Option("--report", help="Publish the report.")] = False,
    **options: object,
) -> None:
    """Put a study's present results, or the report, under the names that people read."""
    from claimcheck.results import view
    from claimcheck.results.state import Collection

    options["studies_dir"] = studies_dir
    if the_report == (study is not None):
        raise ClaimcheckError("name a study, or give --report", where="publish")
    if study is not None and only:
        raise ClaimcheckError("chooses the report's studies", where="--study", found=only[0], hint="--report")
    if study is not None:
        made = view.publish(results_of(study, **options), into)
    else:
        chosen = only_known(only, studies_dir)
        found = {name: each for name, each in all_results(**options).items() if not chosen or name in chosen}
        made = view.publish_report(Collection(config_of(**options), found, into=into), into)
    for path in made:
        print(path)


@app.command()
@takes(*CHOICE, "keep_view", "only", "into", "results_dir", "reports_dir", "studies_dir")
def report(keep_view: bool, only: list[str] | None, into: Path | None, studies_dir: Path, **options: object) -> None:
    """Gather verdicts and figures into report.html, report.pdf (short) and evidence.pdf (whole); what is missing is named so."""
    from claimcheck.report import build as reporting

    options["studies_dir"] = studies_dir
    chosen, found = only_known(only, studies_dir), all_results(**options)
    for path in reporting.build(with_results(config_of(**options)), found, chosen, publish=not keep_view, into=into):
        print(path)


@app.command()
@takes("scale", "units", "times", "device", "results_dir", "studies_dir", "data_dir")
def power(
    study: StudyName,
    scale: Scale,
    device: str,
    units: Annotated[int, typer.Option(min=2, max=500, help="Pilot units; none of them is ever judged.")] = 16,
    times: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=FACTOR",
            help="Multiply a setting, such as width=2, where parts have it, and run these alone (may be repeated).",
        ),
    ] = None,
    **options: object,
) -> None:
    """Run pilot units and say how often each prediction is true of them, and how many units would show it."""
    from claimcheck.judging.evidence import Evidence
    from claimcheck.judging.power import powers
    from claimcheck.results import records
    from claimcheck.results.busy import busy
    from claimcheck.running import runner
    from claimcheck.running.devices import leased_device

    chosen = {"scale": scale, "seeds": units, "pilots": True, "times": factors_of(times or []), **options}
    results = results_of(study, device=device, **chosen)
    check_settings(results.study.at(scale.value), chosen["times"], results.study.yaml_path)
    judged = _judged(results_of(study, device=device, scale=scale, **options))
    runner.check_that_some_run(results)
    if any(files.missing() for files in results.parts.values()):
        with listening(study) as listener, leased_device(device, listener.log) as leased, busy(results):
            runner.run_parts(results_of(study, device=leased, **chosen), results.parts, listener)
    read = {name: files.read() for name, files in results.parts.items()}
    parts = {name: files.part for name, files in results.parts.items()}
    frame = records.assemble([rows for rows, _ in read.values()], parts)
    planned = results.study.at(scale.value)
    seconds = {
        name: sum(each.cpu_seconds for each in facts.ensembles if "/pilot" not in each.name) / units
        for name, (_, facts) in read.items()
    }
    found = Evidence(results.study, scale.value, parts, results.not_run, frame)
    rows = []
    # Measures may name places of an index, steps say, that multiplied settings move.
    for row in powers(found, planned, seconds, log_line if times else None):
        name = row.prediction + (f" on {row.data}" if row.data else "")
        cost = "" if row.seconds is None else f"{row.seconds:,.0f} s"
        now = judged.get((row.prediction, row.data), ""), row.planned, f"{row.reached:.0%}"
        rows.append((name, f"{row.k} of {row.n}", row.share, row.units or "–", cost, *now))
    numbers = ["true in", "share", "units for 90 %", "cost", "judged", "units now", "power now"]
    print_table(["prediction"], numbers, rows)


def _judged(results: Results) -> dict[tuple[str, str | None], str]:
    """Of how many judged units each prediction is true, on each data set; nothing where none were judged."""
    tests = [
        (entry["prediction"], test)
        for entry in (results.read_verdicts() if results.judged() else [])
        for test in entry["tests"]
    ]
    return {(name, test["data"]): f"{test['k']} of {test['n']}" for name, test in tests if "k" in test}


@app.command()
@takes(*CHOICE, "results_dir", "studies_dir")
def controls(study: StudyName, **options: object) -> None:
    """Ask the controls of a study's predictions of its records; exit status 1 when one passes that must not."""
    from claimcheck.judging.controls import outcomes
    from claimcheck.judging.evidence import read, values_of
    from claimcheck.judging.rule import decide

    results = results_of(study, **options)
    found, rows, passed = read(results), [], 0
    for _, each in results.study.predictions():
        for data in [] if each.kind == "fact" or found.reason_not_run(each) else found.asked_on(each):
            verdict = decide(values_of(found, each, data).to_numpy(), each.region, each.share).verdict
            for name, control in outcomes(found, each, verdict, data).items():
                passed += control["passed"]
                undecided = "too few runs to decide" if control["verdict"] == "not run" else "as it must be"
                state = "PASSED, it must not" if control["passed"] else undecided
                shown = (control["verdict"], f"{control['k']} of {control['n']}", state)
                rows.append((each.id + (f" on {data}" if data else ""), name, control["says"], *shown))
    print_table(["prediction", "control", "says", "verdict", "true in", "state"], [], rows)
    sys.exit(1 if passed else 0)
