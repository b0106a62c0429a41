"""Commands that make results: runs, verdicts, figures, report. Each step of the pipeline is one of them."""

from __future__ import annotations

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
    Expected,
    Force,
    Into,
    KeepView,
    MemoryLimit,
    OnlyStudies,
    PartName,
    ReportsDir,
    ResultsDir,
    ScaleOption,
    Seeds,
    StudiesDir,
    StudyName,
    StudyOrPart,
    all_results,
    config_of,
    listening,
    named,
    one_part,
    only_known,
    parts_of,
    print_table,
    publish_unless,
    results_of,
    shard_of,
)
from claimcheck.errors import ClaimcheckError


@app.command()
def run(
    study: StudyOrPart,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    shard: Annotated[str | None, typer.Option(help="i/n: only the i-th of n pieces of a part, for `merge`.")] = None,
    memory_limit_mb: MemoryLimit = None,
    force: Force = False,
    keep_view: KeepView = False,
    digest: Expected = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Train the networks of a study, or of one part of it. A killed run goes on where it stopped."""
    name, part = named(study)
    options = {"scale": scale, "seeds": seeds, "results_dir": results_dir, "studies_dir": studies_dir}
    options |= {"data_dir": data_dir, "memory_limit_mb": memory_limit_mb}
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
    from claimcheck.running import runner
    from claimcheck.running.devices import leased_device

    if missing or piece is not None:
        with listening(study) as listener, leased_device(device, listener.log) as leased:
            leased_results = results_of(name, device=leased, **options)
            if piece is not None:
                print(f"{study}: {runner.run_shard(leased_results, part, piece, listener, again=force)}")
                return
            runner.run_parts(leased_results, wanted, listener, again=force)
    if part is not None:
        print(f"{study}: records in {results.parts[part].records}")
        return
    runner.assemble(results)
    publish_unless(results, keep_view)
    print(f"{study}: records in {results.records if keep_view else results.view}")


@app.command()
def tune(
    part: PartName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    memory_limit_mb: MemoryLimit = None,
    force: Force = False,
    digest: Expected = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
) -> None:
    """Run a part's pilots and choose the tuned factor's value for each arm."""
    from claimcheck.running import runner
    from claimcheck.running.devices import leased_device

    name, wanted = one_part(part)
    options = {"scale": scale, "seeds": seeds, "results_dir": results_dir, "studies_dir": studies_dir}
    options |= {"data_dir": data_dir, "memory_limit_mb": memory_limit_mb}
    parts_of(results_of(name, device=device, **options), wanted, digest)
    with listening(part) as listener, leased_device(device, listener.log) as leased:
        found = results_of(name, device=leased, **options)
        print(f"{part}: choice in {runner.tune_part(found, wanted, listener, again=force)}")


@app.command()
def merge(
    part: PartName,
    shards: Annotated[int, typer.Option(min=1, help="Number of pieces it was cut into.")],
    digest: Expected = None,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    data_dir: DataDir = DATA,
    device: Device = "auto",
) -> None:
    """Join the pieces that `run --shard i/n` made: the same records as of an uncut run, bit for bit."""
    from claimcheck.running import runner

    name, wanted = one_part(part)
    results = results_of(
        name,
        scale=scale,
        seeds=seeds,
        device=device,
        results_dir=results_dir,
        studies_dir=studies_dir,
        data_dir=data_dir,
    )
    parts_of(results, wanted, digest)
    print(f"{part}: records in {runner.join_shards(results, wanted, shards)}")


@app.command()
def assemble(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    keep_view: KeepView = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Put a study's parts together; `run` does so by itself."""
    from claimcheck.running import runner

    results = results_of(
        study, scale=scale, seeds=seeds, device=device, results_dir=results_dir, studies_dir=studies_dir
    )
    runner.assemble(results)
    publish_unless(results, keep_view)
    print(f"{study}: records in {results.records if keep_view else results.view}")


@app.command()
def judge(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    keep_view: KeepView = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Hold a study's records against its predictions and write the verdicts."""
    from claimcheck.judging import judge as judging

    results = results_of(
        study, scale=scale, seeds=seeds, device=device, results_dir=results_dir, studies_dir=studies_dir
    )
    verdicts = judging.judge(results)
    publish_unless(results, keep_view)
    rows = []
    for entry in verdicts:
        estimate = entry["estimate"]
        shown = "" if estimate is None else f"{estimate:.4g} {entry['unit']}" if estimate == estimate else "nan"
        rows.append((entry["claim"], entry["prediction"], entry["kind"], entry["verdict"], shown, entry["n"]))
    print_table(["claim", "prediction", "kind", "verdict", "estimate", "n"], [], rows)


@app.command()
def plot(
    study: StudyName,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    keep_view: KeepView = False,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Draw a study's figures from its records."""
    from claimcheck.figures import drawing

    results = results_of(
        study, scale=scale, seeds=seeds, device=device, results_dir=results_dir, studies_dir=studies_dir
    )
    drawn = drawing.plot_study(results)
    publish_unless(results, keep_view)
    for path in drawn:
        print(path if keep_view else results.view / "figures" / path.name)


@app.command()
def publish(
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="A study; left out with --report.")] = None,
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    the_report: Annotated[bool, typer.Option("--report", help="Publish the report.")] = False,
    only: OnlyStudies = None,
    into: Into = None,
    results_dir: ResultsDir = RESULTS,
    reports_dir: ReportsDir = REPORTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Put a study's present results, or the report, under the names that people read."""
    from claimcheck.results import view
    from claimcheck.results.state import Collection

    options = {"scale": scale, "seeds": seeds, "device": device, "results_dir": results_dir}
    options |= {"studies_dir": studies_dir, "reports_dir": reports_dir}
    if the_report == (study is not None):
        raise ClaimcheckError("name a study, or give --report", where="publish")
    if study is not None:
        made = view.publish(results_of(study, **options), into)
    else:
        chosen = only_known(only, studies_dir)
        found = {name: each for name, each in all_results(**options).items() if not chosen or name in chosen}
        made = view.publish_report(Collection(config_of(**options), found), into)
    for path in made:
        print(path)


@app.command()
def report(
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    keep_view: KeepView = False,
    only: OnlyStudies = None,
    into: Into = None,
    results_dir: ResultsDir = RESULTS,
    reports_dir: ReportsDir = REPORTS,
    studies_dir: StudiesDir = STUDIES,
) -> None:
    """Gather verdicts and figures into report.html and report.pdf; studies that are not there are named so."""
    from claimcheck.report import build as reporting

    options = {"scale": scale, "seeds": seeds, "device": device, "results_dir": results_dir}
    options |= {"studies_dir": studies_dir, "reports_dir": reports_dir}
    chosen, found = only_known(only, studies_dir), all_results(**options)
    for path in reporting.build(config_of(**options), found, chosen, publish=not keep_view, into=into):
        print(path)


@app.command()
def calibrate(
    scale: ScaleOption = SCALE,
    seeds: Seeds = None,
    device: Device = "auto",
    only: OnlyStudies = None,
    results_dir: ResultsDir = RESULTS,
    studies_dir: StudiesDir = STUDIES,
    n: Annotated[int | None, typer.Option(min=2, help="Seeds; the report's own when left out.")] = None,
    predictions: Annotated[int | None, typer.Option(min=1, help="Predictions in a report; the report's own.")] = None,
) -> None:
    """Simulate reports in which nothing is true: how often does one say otherwise, and what effect is found?"""
    from claimcheck.files import write_json
    from claimcheck.judging import calibration
    from claimcheck.results.seals import sealed
    from claimcheck.results.state import Collection

    options = {"scale": scale, "seeds": seeds, "device": device, "results_dir": results_dir, "studies_dir": studies_dir}
    chosen = only_known(only, studies_dir)
    there = {k: each for k, each in all_results(**options).items() if (k in chosen if chosen else each.judged())}
    found = [verdict for each in there.values() for verdict in each.read_verdicts()]
    result = calibration.calibrate_verdicts(found, n=n, m=predictions)
    if n is None and predictions is None:
        write_json(Collection(config_of(**options), there).calibration, sealed(result))
    print("\n".join(calibration.summary(result)))
