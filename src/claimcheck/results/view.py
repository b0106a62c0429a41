"""The view: the current results under the names that people read, published last, whole, and of one digest.

What the store made from records that others have replaced is taken away here, with the receipts that vouch for it, so
that the pipeline, which asks what is there, makes it again.

A receipt whose name carries the digest is there when, and only when, the view shows just these results: publishing
removes every other receipt first and writes its own last. Files that somebody else put beside ours are left alone.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from claimcheck.errors import ClaimcheckError
from claimcheck.files import make_folder, read_json, read_text, sha256, write_atomically, write_json, write_text
from claimcheck.results.commands import report_command
from claimcheck.results.seals import FIGURES, sealed
from claimcheck.results.state import REPORT, SLIDES, STORE, Collection, Results

NAMES = ("records.parquet", "tuning.parquet", "provenance.json", "verdicts.json", "controls.json")
"""A study's files in the view, beside its figures."""

SLIDES_NOTED = ".slides.sha256"
"""Beside the report: the checksums of the slides that were published, by which edited ones are known."""


def publish(results: Results, into: Path | None = None) -> list[Path]:
    """Publish what the store holds of `results`; what it does not hold yet is taken out of the view.

    Args:
        into: the folder of all results that people read, where it is not the one that the store is in.

    Returns:
        The files of the view.

    Raises:
        ClaimcheckError: a file of the store was cut off or changed; nothing is published then.
    """
    _check_store(results)
    _take_away_outdated(results)
    view = results.view if into is None else Path(into) / results.config.scale / results.study.name
    there = _published(results)
    if view == results.view:
        _remove_receipts_of_lost_reports(results)
    left_over = [view / name for name in (*NAMES, *_figures_of_view(view)) if name not in there]
    only_these = [path.name for path in view.glob(".view-*")] == [results.receipt.name]
    if only_these and not any(map(Path.exists, left_over)) and all(_alike(there[name], view / name) for name in there):
        return [view / name for name in there]  # whoever looks meanwhile finds it current all the time
    _remove_receipts(view)
    for path in left_over:
        path.unlink(missing_ok=True)
    for name, source in there.items():
        copy(source, view / name)
    if results.judged() and results.drawn():
        write_text(view / results.receipt.name, "This folder shows the results of the digest in this file's name.\n")
    return [view / name for name in there]


def withdraw(results: Results) -> None:
    """Take away what was made from records that are no longer there, and the receipt of a view that shows such records."""
    _take_away_outdated(results)
    if not results.receipt.is_file():
        return
    for path in results.assembled:
        name = path.name.replace(f"-{results.records_digest}", "")
        if not (shown := results.view / name).is_file() or sha256(shown) != sha256(path):
            results.receipt.unlink(missing_ok=True)


def _take_away_outdated(results: Results) -> None:
    """Take verdicts and figures of replaced records out of the store, and reports: a report does not note its records."""
    if not (outdated := results.outdated()):
        return
    _remove_receipts(results.view)
    for path in (*outdated, *(results.config.results / STORE).glob("report-*")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _remove_receipts_of_lost_reports(results)


def _remove_receipts_of_lost_reports(results: Results) -> None:
    for receipt in results.config.reports.glob(".view-*"):
        if not (results.config.results / STORE / receipt.name.replace(".view-", "report-")).is_dir():
            receipt.unlink(missing_ok=True)


def _check_store(results: Results) -> None:
    if results.has_records():
        results.read_provenance()  # what is wrong with it is told as such
    if results.has_records() and not results.whole():
        raise ClaimcheckError(
            "was cut off or changed after it was written, or a file beside it was",
            where=results.records,
            hint=f"make it again: {results.remedy('run')}",
        )
    if results.judged():
        results.read_verdicts()
        results.read_controls()


def _published(results: Results) -> dict[str, Path]:
    """What the store holds of `results`, by its name in the view."""
    made = (results.records, results.tuning, results.provenance, results.verdicts, results.controls)
    there = {name: path for name, path in zip(NAMES, made) if path is not None and path.is_file()}
    if results.drawn():
        listed = [path.name for path in results.figure_files()]
        there |= {f"figures/{name}": results.figures / name for name in (*listed, FIGURES)}
    return there


def publish_report(collection: Collection, into: Path | None = None) -> list[Path]:
    """Publish the report that the store holds, with its slides and the table of verdicts beside the results.

    Slides that the store lacks are taken away: those that are there belong to another report. Slides that somebody has
    edited are kept under another name.

    Args:
        into: the folder of all results that people read, where it is not the one that the store is in.

    Raises:
        ClaimcheckError: the store holds no report of these studies; nothing is published then.
    """
    collection = _reported(collection)
    config = collection.config
    results = config.results if into is None else Path(into) / config.scale
    named = {collection.report / name: config.reports / name for name in (*REPORT, *SLIDES)}
    named[collection.report / "verdicts.csv"] = results / "verdicts.csv"
    _remove_receipts(config.reports)
    lacking = [source for source in named if source.name in SLIDES and not source.is_file()]
    stale = [named.pop(source) for source in lacking]
    for name in SLIDES:
        _keep_edited(config.reports / name, config.results / STORE)
    for source, target in named.items():
        copy(source, target)
    for target in stale:
        target.unlink(missing_ok=True)
    _note_slides(config.reports)
    says = "This folder shows the report of the digest in this file's name."
    write_json(collection.receipt, sealed({"says": says, "ingredients": collection.report_ingredients}))
    return list(named.values())


def _reported(collection: Collection) -> Collection:
    """The collection of which the store holds a report: this one, or what of it is judged and drawn."""
    for each in collection.forms():
        missing = [each.report / name for name in (*REPORT, "verdicts.csv") if not (each.report / name).is_file()]
        if not missing:
            return each
    raise ClaimcheckError(
        f"the store holds no report of the present results of {', '.join(collection.results) or 'any study'}",
        where=collection.config.results / STORE,
        hint="run the pipeline again where texts or code were changed while it ran; by hand: "
        + report_command(collection.config, collection.results),
    )


def publish_slides(collection: Collection) -> list[Path]:
    """Publish the slides that the store holds; the report beside them keeps its receipt only if it is of these results."""
    if not collection.receipt.is_file():
        _remove_receipts(collection.config.reports)
    targets = [collection.config.reports / name for name in SLIDES]
    for target in targets:
        _keep_edited(target, collection.config.results / STORE)
        copy(collection.report / target.name, target)
    _note_slides(collection.config.reports)
    return targets


def _note_slides(folder: Path) -> None:
    """Write down, as sha256sum does, which slides were published: the store may lose those that it made them from."""
    there = [folder / name for name in SLIDES if (folder / name).is_file()]
    if there:
        write_text(folder / SLIDES_NOTED, "".join(f"{sha256(path)}  {path.name}\n" for path in there))
    else:
        (folder / SLIDES_NOTED).unlink(missing_ok=True)


def _keep_edited(path: Path, store: Path) -> None:
    """Give a file that is neither noted as published nor one that the store's reports hold (edited, then) another name."""
    if not path.is_file():
        return
    noted = path.with_name(SLIDES_NOTED)
    ours = {line.split("  ")[0] for line in read_text(noted).splitlines()} if noted.is_file() else set()
    ours |= {sha256(made) for made in store.glob(f"report-*/{path.name}")}
    if sha256(path) not in ours:
        _rename(path, "edited")


def shown_in_report(collection: Collection) -> Collection | None:
    """What the published report shows, where that is the present results, as its receipt vouches."""
    return next((each for each in collection.forms() if each.receipt.is_file()), None)


def report_of_pipeline(collection: Collection) -> list[Path]:
    """The published report's files, where they show the present results and are as the store holds them."""
    if (shown := shown_in_report(collection)) is None:
        return []
    there = [(collection.config.reports / name, shown.report / name) for name in REPORT]
    return [path for path, made in there if path.is_file() and made.is_file() and sha256(path) == sha256(made)]


def keep_earlier(path: Path, content: bytes) -> None:
    """Give a file that is to hold `content` from now on, and holds anything else, another name: it may be edited."""
    if path.is_file() and path.read_bytes() != content:
        _rename(path, "earlier")


def _rename(path: Path, word: str) -> None:
    """Put `word`, and a number where that is taken, behind the name."""
    numbers = (f"-{number}" if number > 1 else "" for number in itertools.count(1))
    path.rename(
        next(free for number in numbers if not (free := path.with_stem(f"{path.stem}-{word}{number}")).exists())
    )


def publish_page(collection: Collection) -> Path:
    """Publish report.html alone, where the PDF that belongs to it cannot be made; there is no receipt then."""
    page = collection.config.reports / "report.html"
    _remove_receipts(page.parent)
    copy(collection.report / "report.html", page)
    return page


def copy(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; one that is there with the same bytes is left alone."""
    if _alike(source, target):
        return
    make_folder(target.parent)
    with write_atomically(target) as temporary:
        shutil.copyfile(source, temporary)


def _alike(source: Path, target: Path) -> bool:
    return target.is_file() and target.stat().st_size == source.stat().st_size and sha256(target) == sha256(source)


def check(results: Results) -> None:
    """Check that the view's files are those that were published, where the view shows the present results.

    Raises:
        ClaimcheckError: a file was changed or removed after it was published, or one of the store was.
    """
    if not results.receipt.is_file():
        return
    _check_store(results)  # what was damaged in the store is told as such
    for read in (results.read_provenance, results.read_verdicts, results.read_controls):
        read()
    for name, source in _published(results).items():
        path = results.view / name
        if not path.is_file() or sha256(path) != sha256(source):
            raise ClaimcheckError(
                "was changed after it was published (checksum differs)" if path.is_file() else "is gone",
                where=path,
                hint=f"publish it again: {results.remedy('publish')}",
            )


def _remove_receipts(folder: Path) -> None:
    for old in folder.glob(".view-*"):
        old.unlink(missing_ok=True)


def _figures_of_view(view: Path) -> list[str]:
    """Figures that an earlier publication put into the view."""
    try:
        files = read_json(view / "figures" / FIGURES)["files"]
    except (ClaimcheckError, KeyError, TypeError):
        return []
    return [f"figures/{name}" for name in (*files, FIGURES) if Path(name).name == name]
