"""Why results would be made again, and which step's last attempt failed: in words, for people. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from claimcheck.errors import ClaimcheckError
from claimcheck.results import digests
from claimcheck.results.provenance import read_provenance
from claimcheck.results.seals import FIGURES, read_sealed
from claimcheck.results.state import Collection, PartFiles, Results
from claimcheck.results.view import shown_in_report

DONE = ": done"
"""How the pipeline ends the log of a step that did its work, after the step's name."""


_NONE = "there {} of these sources"


def explain(results: Results) -> list[str]:
    """Sentences: what of the study would be made again, and because of what; what is there and is refused; or that all
    is up to date."""
    lines = []
    for name, files in results.parts.items():
        if reasons := _part_reasons(results, name, files):
            lines.append(f"part {name}: would run: {'; '.join(reasons)}")
    if not lines:
        lines.append("parts: up to date")
    lines += [f"part {name}: not run: {reason}" for name, reason in results.not_run.items()]
    retrained = any(line.startswith("part ") and "would run" in line for line in lines)
    none = "there are no records of these parts"
    lines.append(_step("assemble", results.has_records(), retrained, none, results.read_records, results.read_tuning))
    remade = retrained or not results.has_records()
    judged = _why_not(results.view / "controls.json", results.verdicts_ingredients, _NONE.format("are no verdicts"))
    lines.append(_step("judge", results.judged(), remade, judged, results.read_verdicts, results.read_controls))
    drawn = _why_not(results.view / "figures" / FIGURES, results.figures_ingredients, _NONE.format("are no figures"))
    lines.append(_step("plot", results.drawn(), remade, drawn, results.figure_files))
    return lines


def _part_reasons(results: Results, name: str, files: PartFiles) -> list[str]:
    from claimcheck.results import records

    absent = [path for path in files.files if not path.is_file()]
    if not absent:
        return [f"{path.name} was cut off or changed" for path in files.files if not records.whole(path)]
    kept = _ingredients_of_last(results, name)
    changed = digests.differences(kept, files.ingredients) if kept else []
    return changed or [f"there is no {path.name}" for path in absent]


def _ingredients_of_last(results: Results, name: str) -> Mapping[str, str] | None:
    """What the part that the view shows was made from, or None."""
    path = results.view / "provenance.json"
    if not path.is_file():
        return None
    try:
        part = read_provenance(path, "").parts.get(name)
    except ClaimcheckError:
        return None
    return part.ingredients if part else None


def explain_report(collection: Collection) -> str:
    """A sentence: whether the published report is of these results, or because of what it would be written again."""
    if shown_in_report(collection):
        return "report: up to date"
    reason = _NONE.format("is none")
    for receipt in collection.config.reports.glob(".view-*"):
        reason = _why_not(receipt, collection.report_ingredients, reason)
    return f"report: would be written again: {reason}"


def _why_not(published: Path, now: Mapping[str, str], none: str) -> str:
    """What changed since the view's verdicts, figures or report were made, or `none`."""
    try:
        kept = read_sealed(published, "").get("ingredients")
    except ClaimcheckError:
        kept = None
    changed = digests.differences(kept, now) if isinstance(kept, dict) else []
    return "; ".join(changed) or none


def _step(step: str, there: bool, upstream: bool, reason: str, *reads: Callable[[], object]) -> str:
    if upstream:
        return f"{step}: would run: its {'parts' if step == 'assemble' else 'records'} are made again"
    if not there:
        return f"{step}: would run: {reason}"
    try:
        for read in reads:
            read()
    except ClaimcheckError as error:  # by name current, but cut off, changed, or moved along with a renamed study
        return f"{step}: is refused: {error}"
    return f"{step}: up to date"


def last_failure(results: Results) -> str:
    """One sentence on the first step whose last attempt did not end, from the logs that the pipeline leaves; or empty.

    A step that ends says so in its log; one that does not (an error, a kill, a machine that went away) leaves it as it
    was. What a step made may be gone, or of other sources by now, and the step has ended well all the same.
    """
    made = {"run": results.has_records(), "judge": results.judged(), "plot": results.drawn()}
    for step, there in made.items():
        log = None if there else _log_of(results, step)
        if log is None:
            continue
        last = _last_line(log)
        said = f", which ends: {last.removeprefix('claimcheck: ')[:400]}" if last else ""
        return f"The last attempt to {step} it did not end well; see {log}{said}"
    return ""


def _log_of(results: Results, step: str) -> Path | None:
    """The log of a step that did not end; of a run in pieces the newest of a part that is not there, errors first."""
    logs = [results.view / f"{step}.log"]
    for name, files in results.parts.items() if step == "run" else ():
        if not all(path.is_file() for path in files.files):
            logs += results.view.glob(f"*-{name}-{files.digest}*.log")
    found = [log for log in logs if log.is_file() and not _last_line(log).endswith(DONE)]
    return max(found, key=lambda log: (_last_line(log).startswith("claimcheck: "), log.stat().st_mtime), default=None)


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
