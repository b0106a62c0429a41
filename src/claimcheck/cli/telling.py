"""Commands for people who tell others: slides, and what stands behind a number."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import CHOICE, all_results, config_of, only_known, takes, with_results
from claimcheck.errors import ClaimcheckError

Ids = list[str] | None


@app.command()
@takes("claims", "sections", *CHOICE, "keep_view", "only", "into", "results_dir", "reports_dir", "studies_dir")
def slides(
    keep_view: bool,
    only: Ids,
    into: Path | None,
    studies_dir: Path,
    claims: Annotated[Ids, typer.Option(help="Slides of these claims alone: ids of lecture.yaml, with commas.")] = None,
    sections: Annotated[Ids, typer.Option(help="Slides of these sections' claims alone, with commas.")] = None,
    **options: object,
) -> None:
    """Make slides of the lecture's claims, one each, from verdicts and figures: slides.pptx and slides.pdf."""
    from claimcheck.report.slides import build_slides

    options["studies_dir"] = studies_dir
    chosen, found = only_known(only, studies_dir), all_results(**options)
    some = {"claims": _split("--claims", claims), "sections": _split("--sections", sections)}
    config = with_results(config_of(**options))
    for path in build_slides(config, found, chosen, publish=not keep_view, into=into, **some):
        print(path)


@app.command()
@takes(*CHOICE, "results_dir", "studies_dir", "data_dir")
def show(
    prediction: Annotated[str, typer.Argument(metavar="PREDICTION", help="A prediction's id, or STUDY/PREDICTION.")],
    **options: object,
) -> None:
    """Explain a number: what is measured, every run's value, how to make it again, how to read its records."""
    from claimcheck.report import explain
    from claimcheck.report.gather import gather

    config = config_of(**options)
    seen = gather(config, all_results(**options))
    study, view = explain.find(seen, prediction)
    chosen = {name: getattr(config, name) for name in ("device", "results_dir", "studies_dir", "data_dir")}
    for line in explain.lines(explain.explained(study, view, seen, config.results.as_posix(), **chosen)):
        print(line)


def _split(option: str, names: Ids) -> list[str]:
    found = [name.strip() for each in names or [] for name in each.split(",") if name.strip()]
    if names and not found:
        raise ClaimcheckError("names nothing", where=option, found=",".join(names), expected="ids of lecture.yaml")
    return found
