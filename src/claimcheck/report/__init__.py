"""The report: one Markdown source, made from verdicts, figures and the studies' texts, as HTML and PDF.

`build` reads results and studies and writes reports/<scale>/: report.md with its pictures, report.html (one file that
loads nothing) and report.pdf. It trains nothing, judges nothing, and types no number.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_atomically, write_text
from claimcheck.judging import judge, statistics
from claimcheck.report import convert, phrases, pictures, summary, text
from claimcheck.report.gather import ReportView, gather
from claimcheck.spec.models import Config

EPOCH = 1_000_000_000
"""The PDF's date, in seconds since 1970, where nothing was run (2001-09-09)."""

SIZE_LIMIT = 6_000_000
"""Bytes of report.html above which a remark is made: a page that opens at once on a phone."""


def build(
    scale: str, results_dir: Path, reports_dir: Path, studies_dir: Path, config: Config | None = None
) -> list[Path]:
    """Write the report of `scale` from whatever results there are.

    Args:
        config: the run's configuration where it differs from the default (data folder).

    Returns:
        the files written: report.html, report.pdf, report.md and verdicts.csv.

    Raises:
        ClaimcheckError: a study or result cannot be read, notes name something unknown, or a text cannot be set.
    """
    results_dir, reports_dir = Path(results_dir), Path(reports_dir)
    view = gather(scale, results_dir, Path(studies_dir), config)
    target = reports_dir / scale
    try:
        html, pdf = _make(view, target)
    except OSError as error:
        raise ClaimcheckError(f"cannot write the report ({error.strerror or error})", where=target) from error
    if len(html) > SIZE_LIMIT:
        print(f"report.html is large ({len(html) / 1e6:.1f} MB); rasterise dense figures", file=sys.stderr)
    write_text(target / "report.html", html)
    with write_atomically(target / "report.pdf") as temporary:
        temporary.write_bytes(pdf)
    made = [target / f"report.{ending}" for ending in ("html", "pdf", "md")]
    return [*made, judge.collect(scale, results_dir)]


def _make(view: ReportView, target: Path) -> tuple[str, bytes]:
    """Set the report in a folder of its own; report.md and its pictures go to `target`, HTML and PDF are returned."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="claimcheck-report-") as name:
        folder = Path(name)
        _write_pictures(view, folder)
        (folder / "report.md").write_text(_markdown(view, target), encoding="utf-8")
        with ThreadPoolExecutor(max_workers=2) as both:
            page, document = both.submit(convert.to_html, folder), both.submit(convert.to_pdf, folder, timestamp(view))
        html, pdf = page.result(), document.result()
        _publish(folder, target)
    return html, pdf


def timestamp(view: ReportView) -> int:
    """Seconds since 1970 of the newest result (its start), which is the report's date."""
    starts = [datetime.fromisoformat(fact["start"]) for fact in view.provenances() if fact.get("start")]
    return int(max(starts).timestamp()) if starts else EPOCH


def _write_pictures(view: ReportView, folder: Path) -> None:
    """Figures under figures/<study>/, regions and verdict shapes under pictures/."""
    drawn = folder / "pictures"
    drawn.mkdir()
    for state in pictures.STATES:
        (drawn / f"verdict-{pictures.slug(state)}.svg").write_text(pictures.shape(state), encoding="utf-8")
    (drawn / "share.svg").write_text(pictures.share_bar(view.counts()), encoding="utf-8")
    for study in view.studies:
        for prediction in study.predictions():
            if prediction.measured:
                spec = prediction.spec
                numbers = prediction.estimate, prediction.ends, spec.region
                picture = pictures.region(*numbers, prediction.state, spec.unit)
                (drawn / f"{study.spec.name}.{spec.id}.svg").write_text(picture, encoding="utf-8")
                small = pictures.strip(*numbers, prediction.state)
                (drawn / f"{study.spec.name}.{spec.id}.strip.svg").write_text(small, encoding="utf-8")
        for figure, source in study.figures:
            if source is not None:
                path = folder / "figures" / study.spec.name / f"{figure.id}.svg"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, path)


def _publish(folder: Path, target: Path) -> None:
    """Put the Markdown source and the pictures that it shows into the report's folder."""
    for kind in ("pictures", "figures"):
        if (folder / kind).is_dir():
            shutil.rmtree(target / kind, ignore_errors=True)
            shutil.copytree(folder / kind, target / kind)
    write_text(target / "report.md", (folder / "report.md").read_text(encoding="utf-8"))


def _markdown(view: ReportView, target: Path) -> str:
    """The report's source."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError

    environment = Environment(
        loader=PackageLoader("claimcheck.report", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        comment_start_string="<##",
        comment_end_string="##>",
        autoescape=False,
    )
    environment.filters |= _filters()
    try:
        return environment.get_template("report.md.j2").render(_names(view, target))
    except TemplateError as error:
        raise ClaimcheckError(f"the report's template fails ({error})", where="report") from error


def _filters() -> dict[str, Any]:
    return {
        "escape": text.escape,
        "inline": text.inline,
        "cell": text.cell,
        "block": text.block,
        "citation": text.citation,
        "number": text.number,
        "region": text.region,
        "percent": phrases.percent,
        "mark": phrases.mark,
        "prediction_mark": phrases.prediction_mark,
        "attribute": phrases.attribute,
        "slug": pictures.slug,
    }


def _names(view: ReportView, target: Path) -> dict[str, Any]:
    """What the templates see beside the view."""
    facts = summary.facts(view)
    counts = view.counts()
    functions = (
        "outline_claim outline_strip outline_measured outline_limits contradiction measured test_line region_alt reference_line "
        "hash_of amendment published part_name varied fixed cost"
    )
    return {
        "view": view,
        "facts": facts,
        "share_alt": "; ".join(f"{count} {state}" for state, count in counts.items() if count),
        "rehearsal": view.scale == "smoke",
        "unfinished": [study for study in view.studies if study.problem],
        "contradicted": [claim for claim in view.claims.values() if claim.state == "contradicted"],
        "commands": lambda study: phrases.commands(study, view.scale),
        "study_notes": phrases.notes_of,
        "links": {study.spec.name: _links(study.records, target) for study in view.studies},
        "rule": statistics.RULE,
        "rule_amendment": statistics.AMENDMENT,
        "confidence": phrases.percent(statistics.CONFIDENCE),
        "level_text": f"{phrases.percent(statistics.LEVEL)}",
        "level_number": text.number(statistics.LEVEL),
        "chance_text": summary.chance(facts["decided"]),
        "fragile": sum(p.decided and p.row.get("robust") == "fragile" for p in view.predictions()),
        "shuffled": summary.shuffled_rows(view),
        "amendments": summary.amendments(view),
        "environment": summary.environment(view),
        "runtime": summary.runtime(view),
        "references_all": summary.references(view),
        "rate": summary.rate,
        "effect": summary.effect,
        **{name: getattr(phrases, name) for name in functions.split()},
    }


def _links(files: tuple[Path, ...], target: Path) -> list[tuple[str, str]]:
    """Names of a study's result files and the way to them from the report's folder."""
    return [(path.name, Path(os.path.relpath(path, target)).as_posix()) for path in files]
