"""Commands that look and change no result."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import (
    CHOICE,
    Scale,
    StudyName,
    all_results,
    config_of,
    log_line,
    print_table,
    results_of,
    study_of,
    takes,
)
from claimcheck.errors import ClaimcheckError

if TYPE_CHECKING:
    from claimcheck.running.cards import Reckoning
    from claimcheck.running.cost import Estimate


@app.command("list")
@takes("studies_dir")
def list_studies(studies_dir: Path) -> None:
    """Show every study: its question, its claims, how many runs each scale takes."""
    from claimcheck.spec.reading import study_names

    rows = []
    for name in study_names(studies_dir):
        study = study_of(name, studies_dir)
        counts = []
        for scale in Scale:
            parts = study.at(scale.value).values() if scale.value in study.scales else []
            counts.append(sum(len(part.judged_runs) for part in parts))
        rows.append((name, study.question, len(study.claims), len(study.predictions()), *(f"{n:,}" for n in counts)))
    print_table(["study", "question"], ["claims", "predictions", *(f"runs at {scale.value}" for scale in Scale)], rows)


@app.command()
@takes(*CHOICE, "results_dir", "reports_dir", "studies_dir")
def why(study: StudyName, **options: object) -> None:
    """Say what of a study would be made again, and because of what."""
    from claimcheck.results.reasons import explain, explain_report
    from claimcheck.results.state import Collection

    for line in explain(results_of(study, **options)):
        print(line)
    print(explain_report(Collection(config_of(**options), all_results(**options))))


@app.command()
@takes(*CHOICE, "studies_dir", "data_dir")
def cost(
    studies_dir: Path,
    device: str,
    studies: Annotated[list[str] | None, typer.Argument(metavar="[STUDY]...", help="All when left out.")] = None,
    card: Annotated[str | None, typer.Option(help="A GPU that is not here, such as a100-80gb: reckoned.")] = None,
    **options: object,
) -> None:
    """Estimate time, operations and memory on this machine by rehearsing a few steps of everything."""
    from claimcheck.running.cards import CARDS, reckon
    from claimcheck.running.cost import estimate
    from claimcheck.running.devices import leased_device
    from claimcheck.spec.reading import study_names

    if card is not None and card not in CARDS:
        raise ClaimcheckError("no such card is known", where="--card", found=card, expected=" or ".join(CARDS))
    config = config_of(studies_dir=studies_dir, device=device, **options)
    chosen = {name: study_of(name, studies_dir) for name in studies or study_names(studies_dir)}
    found: dict[str, Any] = {}
    try:
        with leased_device("cpu" if card else config.device, log_line) as leased:  # a card that is not here: on the CPU
            here = config if card else config.model_copy(update={"device": leased})
            for name, study in chosen.items():
                log_line(f"rehearsing {name}")
                found[name] = reckon(study, here, CARDS[card], log_line) if card else estimate(study, here, log_line)
    finally:  # what was rehearsed is told, even where a later study cannot be
        if found:
            _print_reckoned(found, card) if card else _print_costs(found)


def _print_costs(found: Mapping[str, Estimate]) -> None:
    rows = []
    for name, each in found.items():
        counts = (f"{count:,.0f}" for count in (each.runs, each.network_steps, each.sequential_steps))
        rows.append((name, *counts, f"{each.flops / 1e12:.3g}", f"{each.memory_mib:,.0f}", f"{each.seconds:,.1f}"))
    rows.append(("all", "", "", "", "", "", f"{sum(each.seconds for each in found.values()):,.1f}"))
    print_table(["study"], ["runs", "network-steps", "in sequence", "TFLOP", "peak MiB", "seconds"], rows)


def _print_reckoned(found: Mapping[str, Reckoning], card: str) -> None:
    from claimcheck.running.cards import Reckoning

    rows = []
    for name, each in [*found.items(), ("all", sum(found.values(), start=Reckoning()))]:
        seconds = (each.loops, each.operations, each.python, each.seconds)
        rows.append((name, f"{each.runs:,}", *(f"{number:,.1f}" for number in seconds)))
    print_table(["study"], ["runs", "s training", "s other operations", "s Python", "seconds"], rows)
    print(f"{card}: by counted operations and its data sheet, Python as on this machine; not measured.")
    print("Parts that need a GPU are left out, since they cannot be rehearsed without one.")


@app.command()
def verify(
    first: Annotated[Path, typer.Argument(metavar="A", help="A result tree, such as results/quick.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another, such as a colleague's results/quick.")],
) -> None:
    """Compare two result trees: same bits, same numbers, same verdicts, or what differs."""
    from claimcheck.results import compare

    sys.exit(compare.main(first, second))


@app.command()
@takes("studies_dir", "results_dir", "data_dir")
def doctor(studies_dir: Path, results_dir: Path, data_dir: Path) -> None:
    """Check versions, compiler, GPU, disk, data and studies; exit status 1 when something is broken."""
    from claimcheck.cli.doctor import examine

    checks = examine(studies_dir, results_dir, data_dir)
    print_table(["what", "state", "found"], [], [(check.subject, check.state, check.found) for check in checks])
    sys.exit(1 if any(check.state == "broken" for check in checks) else 0)
