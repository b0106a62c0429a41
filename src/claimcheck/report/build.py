"""The report: made from verdicts, figures and the studies' texts, as HTML and PDF.

`build` reads results and studies and writes report.html (one file that loads nothing), evidence.pdf (the same Markdown
source), report.pdf (a short one, of the same parts), and verdicts.csv. It trains nothing, judges nothing, and types no
number.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_text, write_atomically, write_text
from claimcheck.judging import rule
from claimcheck.report import (
    convert,
    dots,
    doubts,
    explain,
    letters,
    notes,
    pages,
    phrases,
    pictures,
    rows,
    rule_page,
    summary,
    text,
    works,
)
from claimcheck.report.gather import ReportView, StudyView, gather
from claimcheck.report.places import places
from claimcheck.results import view
from claimcheck.results.state import REPORT, Collection, Results
from claimcheck.results.verdicts import table
from claimcheck.spec.config import Config
from claimcheck.spec.references import BIBLIOGRAPHY

EPOCH = 1_000_000_000
"""The PDF's date, in seconds since 1970, where nothing was run (2001-09-09)."""

GLOSSARY = "words.md"
"""Beside lecture.yaml: what the words mean that its studies use."""

SIZE_LIMIT = 9_000_000
"""Bytes of report.html above which a remark is made: a page that mail takes, and that opens at once on a phone."""


def build(
    config: Config,
    results: Mapping[str, Results],
    only: Sequence[str] | None = None,
    *,
    publish: bool = True,
    into: Path | None = None,
) -> list[Path]:
    """Write the report from whatever results there are, to the store, and publish it.

    Args:
        results: every study's, at the scale.
        only: studies whose results are shown, or said to be missing; all, when left out.
        publish: put it where people read; else the store alone has it.
        into: the folder of all results that people read, and that the report links to, if not the configured one.

    Returns:
        The files written: report.html, report.pdf, evidence.pdf and verdicts.csv; with `publish` the slides, too, where
        the store has them.

    Raises:
        ClaimcheckError: a study or result cannot be read, notes name something unknown, or a text cannot be set.
    """
    chosen = named_in(results, only)
    collection = Collection(config, chosen, into=into).as_it_is()
    if publish:
        for each in collection.results.values():
            view.check(each)
    seen = gather(config, chosen)
    try:
        html, *pdfs = _make(seen, Path(os.path.relpath(config.readable(into), config.reports)), config.studies_dir)
    except OSError as error:
        raise ClaimcheckError(f"cannot write the report ({error.strerror or error})", where=config.reports) from error
    if (size := len(html.encode())) > SIZE_LIMIT:
        print(f"report.html is large ({size / 1e6:.1f} MB); rasterise dense figures", file=sys.stderr)
    target = collection.report
    write_text(target / "report.html", html)
    for name, pdf in zip(REPORT[1:], pdfs, strict=True):
        if isinstance(pdf, ClaimcheckError):
            if publish:
                view.publish_page(collection)
            raise pdf
        with write_atomically(target / name) as temporary:
            temporary.write_bytes(pdf)
    verdicts = {name: each.read_verdicts() for name, each in chosen.items() if each.judged()}
    write_text(target / "verdicts.csv", table(verdicts))
    if publish:
        return view.publish_report(collection, into)
    return [target / name for name in (*REPORT, "verdicts.csv")]


def named_in(results: Mapping[str, Results], only: Sequence[str] | None) -> dict[str, Results]:
    """The studies of which a report says how far they are: those that are named, or all."""
    return {name: each for name, each in results.items() if not only or name in only}


def _make(seen: ReportView, results: Path, studies_dir: Path) -> list[Any]:
    """Set the report in a folder of its own: HTML, short PDF, whole PDF; why in the place of a PDF that cannot be set.

    Args:
        results: the way from where it is published to the scale's results.
    """
    with tempfile.TemporaryDirectory(prefix="claimcheck-report-") as name:
        folder, time = Path(name), timestamp(seen)
        write_pictures(seen, folder)
        copy_bibliography(studies_dir, folder)
        names = _names(seen, results, works.listed(seen, studies_dir), glossary(studies_dir))
        for stem in ("report", "brief"):
            (folder / f"{stem}.md").write_text(markdown(f"{stem}.md.j2", names), encoding="utf-8")
        with ThreadPoolExecutor(max_workers=3) as all_three:
            page = all_three.submit(convert.to_html, folder, "report")
            documents = [all_three.submit(convert.to_pdf, folder, stem, time) for stem in ("brief", "report")]
    if isinstance(fault := page.exception(), ClaimcheckError):
        raise placed(fault, seen)
    made: list[Any] = [page.result()]
    for document in documents:
        fault = document.exception()
        made.append(placed(fault, seen) if isinstance(fault, ClaimcheckError) else document.result()[0])
    found = [document.result()[1] for document in documents if document.exception() is None]
    _remark_on(set(filter(letters.name, set().union(*found))), seen)
    return made


def _remark_on(named: set[str], seen: ReportView) -> None:
    """Say which texts have letters that the PDF shows by their names."""
    found: dict[str, list[str]] = {}
    for letter in sorted(named):
        for place in _places(letter, seen) or ["report"]:
            found.setdefault(place, []).append(letter)
    for place, own in found.items():
        shown = " ".join(map(letters.name, own[:3])) + (" …" if len(own) > 3 else "")
        print(
            f"{place}: no font has {' '.join(own)}; report.pdf shows {shown}, report.html the letters", file=sys.stderr
        )


def placed(error: ClaimcheckError, seen: ReportView) -> ClaimcheckError:
    """The error with the file and key that what was found comes from."""
    where = _places(str(error.found), seen) if error.found else []
    return ClaimcheckError(
        error.what, where=", ".join(where) or error.where, found=error.found, expected=error.expected, hint=error.hint
    )


def _places(text: str, seen: ReportView) -> list[str]:
    return places(text, seen.lecture, [study.spec for study in seen.studies])


def timestamp(seen: ReportView) -> int:
    """Seconds since 1970 of the newest result (its start), which is the report's date."""
    starts = [datetime.fromisoformat(part.start) for part in seen.provenances()]
    return int(max(starts).timestamp()) if starts else EPOCH


def glossary(studies_dir: Path) -> str:
    """What the lecture's words mean, in the studies' words.md; empty where there is none."""
    path = Path(studies_dir) / GLOSSARY
    return read_text(path) if path.is_file() else ""


def copy_bibliography(studies_dir: Path, folder: Path) -> None:
    """Put the studies' bibliography, where they have one, beside the sources that cite it."""
    if (studies_dir / BIBLIOGRAPHY).is_file():
        shutil.copyfile(studies_dir / BIBLIOGRAPHY, folder / BIBLIOGRAPHY)


def write_pictures(seen: ReportView, folder: Path) -> None:
    """Figures under figures/<study>/; units against their regions, and shapes of verdicts, under pictures/."""
    drawn = folder / "pictures"
    drawn.mkdir()
    for state in pictures.STATES:
        (drawn / f"verdict-{pictures.slug(state)}.svg").write_text(pictures.shape(state), encoding="utf-8")
    (drawn / "share.svg").write_text(pictures.share_bar(seen.counts()), encoding="utf-8")
    for study in seen.studies:
        for prediction in study.predictions():
            if prediction.measured:
                shown, ends = rows.picture_rows(prediction), rows.band(prediction)
                name = f"{study.spec.name}.{prediction.spec.id}"
                large = dots.region(shown, ends, rows.picture_alt(prediction))
                (drawn / f"{name}.svg").write_text(large, encoding="utf-8")
                (drawn / f"{name}.strip.svg").write_text(dots.strip(shown, ends), encoding="utf-8")
        for figure, source in study.figures:
            if source is not None:
                path = folder / "figures" / study.spec.name / f"{figure.id}.svg"
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, path)


def markdown(template: str, names: dict[str, Any]) -> str:
    """The source that `template` makes of `names`."""
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
    environment.filters |= _filters() | {
        "citation": partial(text.citation, works=names.get("work_links", text.NO_LINKS))
    }
    try:
        return environment.get_template(template).render({"brief": template != "report.md.j2", **names})
    except TemplateError as error:
        raise ClaimcheckError(f"the report's template fails ({error})", where="report") from error


def _filters() -> dict[str, Any]:
    return {
        "escape": text.escape,
        "inline": text.inline,
        "cell": text.cell,
        "block": text.block,
        "number": text.number,
        "mark": phrases.mark,
        "prediction_mark": phrases.prediction_mark,
        "attribute": phrases.attribute,
        "slug": pictures.slug,
    }


def _names(
    seen: ReportView, results: Path, found_works: works.Works | None = None, words_meant: str = ""
) -> dict[str, Any]:
    """What the templates see beside the seen."""
    found_works = found_works or works.Works()
    facts = summary.facts(seen)
    counts = seen.counts()
    units = {outcome.n for view in seen.predictions() for outcome in view.outcomes if outcome.p is not None}
    words = (
        "outline_claim outline_strip outline_runs outline_limits outline_brief contradiction doubt_line study_claim not_measured true_in size_line test_line "
        "side_by_side controls_lines region_of reference_line hash_of"
    )
    on_pages = "best_figures more_figures published part_name varied fixed cost"
    return {
        "view": seen,
        "facts": facts,
        "groups": summary.groups(seen),
        "share_alt": "; ".join(f"{count} {state}" for state, count in counts.items() if count),
        "rehearsal": seen.scale == "smoke",
        "unfinished": [study for study in seen.studies if study.problem],
        "contradicted": [c for c in seen.claims.values() if c.state in ("contradicted", "does not hold")],
        "mixed": [claim for claim in seen.claims.values() if claim.state == "mixed"],
        "doubts": doubts.least_certain(seen),
        "headline": seen.headline(),
        "explain": lambda study, view: explain.explained(study, view, seen, f"results/{seen.scale}"),
        "commands": lambda study: pages.commands(study, seen),
        "study_notes": notes.notes_of,
        "file_of": lambda study, figure, kind: quote((results / study / "figures" / f"{figure}.{kind}").as_posix()),
        "links": {study.spec.name: _links(study, results) for study in seen.studies},
        "r": rule_page.rule_words(rule_page.tests_of(seen)),
        "power_tables": [
            (f"{name} (in more than {phrases.percent(share)} of runs)", rule_page.power_table(share, units))
            for name, share in zip(("Typically", "Nearly always"), rule.SHARES, strict=True)
        ],
        "registered": summary.registered(seen),
        "registration_line": summary.registration_line(seen),
        "registrations": summary.registrations(seen),
        "registration_words": summary.registration_words,
        "other_verdicts": summary.other_verdicts(seen),
        "controls": summary.controls(seen),
        "tuning": summary.tuning(seen),
        "environment": summary.environment(seen),
        "runtime": summary.runtime(seen),
        "glossary": words_meant,
        "works": found_works,
        "work_links": found_works.links(),
        "picture_alt": rows.picture_alt,
        **{name: getattr(phrases, name) for name in words.split()},
        **{name: getattr(pages, name) for name in on_pages.split()},
    }


def _links(study: StudyView, results: Path) -> list[tuple[str, str]]:
    """Names of a study's result files and the way to them from the report's folder."""
    return [(name, quote((results / study.spec.name / name).as_posix())) for name in study.files]
