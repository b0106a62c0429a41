"""The command that makes slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from claimcheck.cli.app import app
from claimcheck.cli.options import CHOICE, all_results, config_of, only_known, takes

Ids = list[str] | None


@app.command()
@takes("claims", "sections", *CHOICE, "keep_view", "only", "results_dir", "reports_dir", "studies_dir")
def slides(
    keep_view: bool,
    only: Ids,
    studies_dir: Path,
    claims: Annotated[Ids, typer.Option(help="Slides of these claims alone: ids of lecture.yaml, with commas.")] = None,
    sections: Annotated[Ids, typer.Option(help="Slides of these sections' claims alone, with commas.")] = None,
    **options: object,
) -> None:
    """Make slides of the lecture's claims, one each, from verdicts and figures: slides.pptx and slides.pdf."""
    from claimcheck.report.slides import build_slides

    options["studies_dir"] = studies_dir
    chosen, found = only_known(only, studies_dir), all_results(**options)
    some = {"claims": _split(claims), "sections": _split(sections)}
    for path in build_slides(config_of(**options), found, chosen, publish=not keep_view, **some):
        print(path)


def _split(names: Ids) -> list[str]:
    return [name.strip() for each in names or [] for name in each.split(",") if name.strip()]
