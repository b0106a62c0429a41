"""The first page's facts and the appendix: where the numbers come from, what they cost, how far they can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from claimcheck.judging import statistics
from claimcheck.report import text
from claimcheck.report.gather import ReportView
from claimcheck.report.phrases import earlier_region, percent
from claimcheck.results.provenance import PartFacts


def rate(entry: dict[str, float]) -> str:
    """A simulated rate with its interval."""
    return text.escape(f"{percent(entry['rate'])} [{percent(entry['low'])}, {percent(entry['high'])}]")


def effect(entry: dict[str, float]) -> str:
    """A simulated effect size with its interval."""
    low, high = entry["low"], entry["high"]
    return f"**{text.estimate(entry['effect'], low, high)}** {text.escape(text.interval(low, high))}"


def shuffled_rows(view: ReportView) -> list[dict[str, Any]]:
    """One row a study that has a null run."""
    rows = []
    for study in view.studies:
        if study.shuffled and not study.changed:
            entries = {e["prediction"]: e for e in study.shuffled.get("verdicts", [])}
            names = [name for name in study.shuffled.get("suspicious", []) if name in entries]
            links = ", ".join(f"[{text.escape(name)}](#prediction-{study.spec.name}-{name})" for name in names)
            rows.append(
                {
                    "title": study.spec.title,
                    "judged": study.shuffled.get("predictions", 0),
                    "supported": study.shuffled.get("supported", 0),
                    "suspicious": links or "none",
                }
            )
    return rows


def amendments(view: ReportView) -> list[dict[str, Any]]:
    """Every change of a region or of how it is tested; a study's predictions changed alike, for one reason, are one row."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    for study in view.studies:
        for prediction in study.predictions():
            spec = prediction.spec
            region = text.escape(text.region(spec.region))
            link = f"[{text.escape(spec.id)}](#prediction-{study.spec.name}-{spec.id}) ({region})"
            for change in prediction.amended:
                was = earlier_region(change.was)
                row = {"links": [], "date": change.date, "was": was, "reason": change.reason}
                rows.setdefault((study.spec.name, change.date, was, change.reason), row)["links"].append(link)
    return list(rows.values())


def environment(view: ReportView) -> list[tuple[str, str]]:
    """Versions, machine and commit; where parts differ, all that occur."""
    facts = view.provenances()
    if not facts:
        return []
    rows = [("Machine", _all(facts, _machine))]
    rows += [("Operating system", _all(facts, lambda f: f"{f.machine['system']} on {f.machine['architecture']}"))]
    rows += [("Commit", _all(facts, _commit))]
    names = list(dict.fromkeys(name for fact in facts for name in fact.versions))
    rows += [(name, _all(facts, lambda f, name=name: f.versions.get(name, "–"))) for name in names]
    return [*rows, ("Threads per study", _all(facts, lambda f: str(f.threads)))]


def _all(facts: list[PartFacts], read: Callable[[PartFacts], str]) -> str:
    return "; ".join(dict.fromkeys(read(fact) for fact in facts))


def _machine(fact: PartFacts) -> str:
    machine = fact.machine
    processor = machine.get("processor", "unknown processor")
    words = f"{processor}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB"
    if machine.get("accelerator"):
        words += f"; {machine['accelerator']}, {machine.get('accelerator_memory_gib')} GiB"
    return words


def _commit(fact: PartFacts) -> str:
    if not fact.git.commit:
        return "not under version control"
    return fact.git.commit[:12] + (" with local changes" if fact.git.dirty else "")


def runtime(view: ReportView) -> list[dict[str, str]]:
    """What each study took."""
    rows = []
    for study in view.studies:
        facts = study.provenance
        if facts:
            rows.append(
                {
                    "name": study.spec.name,
                    "title": study.spec.title,
                    "runs": text.number(sum(entry.runs for entry in facts.ensembles), 9),
                    "wall": text.duration(facts.seconds),
                    "cpu": text.duration(sum(entry.cpu_seconds for entry in facts.ensembles)),
                    "memory": f"{text.number(facts.peak_memory_mib, 3)} MiB",
                    "device": ", ".join(dict.fromkeys(str(p.machine.get("device", "–")) for p in facts.parts.values())),
                    "fingerprint": facts.digest,
                }
            )
    return rows


def facts(view: ReportView) -> dict[str, Any]:
    """Figures and lines of the first page."""
    made = view.provenances()
    lines = []
    if made:
        lines = [
            ("Date", _days(made)),
            ("Machine", _all(made, _machine)),
            ("Wall time", text.duration(sum(fact.seconds for fact in made))),
            ("Code", _code(made)),
        ]
    decided = [prediction for prediction in view.predictions() if prediction.decided]
    limits = [prediction.state for prediction in decided if prediction.spec.kind == "limit"]
    return {
        "decided": len(decided),
        "amended": sum(bool(prediction.amended) for prediction in decided),
        "limits": len(limits),
        "limits_found": limits.count("supported"),
        "networks": sum(entry.runs for fact in made for entry in fact.ensembles),
        "lines": lines,
    }


def _code(made: list[PartFacts]) -> str:
    """The commit that all results come from, or how many there are (the appendix names them)."""
    commits = set(map(_commit, made))
    return commits.pop() if len(commits) == 1 else f"{len(commits)} states of the code, named at the end"


def _days(made: list[PartFacts]) -> str:
    days = sorted({fact.start[:10] for fact in made})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "–"


def chance(decided: int) -> str:
    """The chance of any wrong verdict among `decided`, as a percentage."""
    return percent(min(1.0, statistics.LEVEL * decided))


def references(view: ReportView) -> list[str]:
    """Every reference that a study names, once (the same arXiv number or DOI is the same work), in order of name."""
    entries: dict[str, str] = {}
    for study in view.studies:
        for entry in study.spec.references:
            line = " ".join(entry.split())
            entries.setdefault(text.work(line), line)
    return sorted(entries.values(), key=str.casefold)
