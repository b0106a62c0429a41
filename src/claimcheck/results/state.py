"""In words: what of a study would run again, and because of what. Compares hashes; runs nothing."""

from __future__ import annotations

from pathlib import Path

from claimcheck.results import digests as fingerprint
from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.results.seals import check_figures, read_provenance
from claimcheck.spec.models import Config, Study


def explain(study: Study, config: Config) -> list[str]:
    """Sentences, one a step of the study: up to date, or what would rerun it."""
    folder = config.results_of(study.name)
    if not (folder / "provenance.json").is_file() or not (folder / "records.parquet").is_file():
        return [f"run: would run, there are no finished records in {folder}"]
    kept = read_provenance(folder / "provenance.json", required=("ingredients", "files"))
    reasons = fingerprint.differences(kept["ingredients"], fingerprint.run_parts(study, config.scale, config))
    damaged = [name for name, digest in kept["files"].items() if not _same(folder / name, digest)]
    reasons += [f"{name} is not the file that the run wrote" for name in damaged]
    lines = [_line("run", reasons)]
    lines.append(_line("judge", _judge_reasons(study, config, folder, bool(reasons))))
    drawn = [spec.id for spec in study.figures if spec.part not in kept.get("not_run", ())]
    missing = [name for name in drawn if not (folder / "figures" / f"{name}.svg").is_file()]
    faults = [f"figure {name} is missing" for name in missing] or _figure_faults(folder)
    lines.append(_line("plot", ["run reruns"] if reasons else faults))
    return lines


def _figure_faults(folder: Path) -> list[str]:
    try:
        check_figures(folder / "figures", sha256(folder / "records.parquet"))
    except ClaimcheckError as fault:
        return [str(fault)]
    return []


def _same(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _judge_reasons(study: Study, config: Config, folder: Path, rerun: bool) -> list[str]:
    from claimcheck.judging.judge import judged_with, load_verdicts

    if rerun:
        return ["run reruns"]
    if not (folder / "verdicts.json").is_file():
        return ["there are no verdicts"]
    entries, records = load_verdicts(folder / "verdicts.json"), sha256(folder / "records.parquet")
    reasons = []
    if any(entry.get("records_sha256") != records for entry in entries):
        reasons.append("the verdicts were given on other records")
    if any(entry.get("judged_with") != judged_with(study, config.scale, config.seeds) for entry in entries):
        reasons.append("the claims, a statistic or the judge changed")
    return reasons


def _line(step: str, reasons: list[str]) -> str:
    return f"{step}: would rerun: {'; '.join(reasons)}" if reasons else f"{step}: up to date"
