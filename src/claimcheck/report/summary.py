"""The first page's facts and the appendix: which registration, which controls, where the numbers come from, what they cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

from claimcheck.data.names import title
from claimcheck.report import text
from claimcheck.report.gather import DECIDED, PartView, PredictionView, ReportView, StudyView
from claimcheck.report.pictures import FACTS, STATES
from claimcheck.results.provenance import PartFacts, machines, processor_of
from claimcheck.spec.controls import NAMES
from claimcheck.streams import FIRST_BLOCK


def registration_words(registration: dict[str, Any]) -> str:
    """Which registration verdicts are of, and what had been seen of its seeds."""
    number, offset = registration["number"], registration["offset"]
    if number is None:
        return "draft: not registered as it stands; nothing vouches that its seeds had not been seen"
    if registration.get("seeds") is not None:
        asked = f"{text.number(registration['seeds'], 9)} seeds in place of the registered number"
        return f"not registered: the design is that of registration {number} of {registration['of']}, but on {asked}"
    words = f"registration {number} of {registration['of']}, judged on"
    if registration["first_seed"] < FIRST_BLOCK:
        return f"{words} seeds from {text.number(registration['first_seed'], 9)}"
    if offset:
        return f"{words} another block of seeds that nothing had used (number {offset} after the registered one)"
    return f"{words} seeds that nothing had used"


def registered(view: ReportView) -> list[tuple[str, list[str]]]:
    """What the verdicts are of, with the titles of the studies that it is true of."""
    found: dict[str, list[str]] = {}
    for study in view.studies:
        if study.registration is not None:
            found.setdefault(registration_words(study.registration), []).append(study.spec.title)
    return list(found.items())


def registration_line(view: ReportView) -> str:
    """The same in one line: together where all studies were judged on seeds that nothing had used, else counted."""
    found = registered(view)
    all_of_them = [study.registration for study in view.studies if study.registration is not None]
    numbers = [each["number"] for each in all_of_them if each["number"] == each["of"] and not each["offset"]]
    fresh = all(words.endswith("judged on seeds that nothing had used") for words, _ in found)
    if len(found) > 1 and fresh and len(numbers) == len(all_of_them):
        few, most = min(numbers), max(numbers)
        return f"the last of each study's {few} to {most} registrations, judged on seeds that nothing had used"
    return "; ".join(f"{words} ({_studies(len(names))})" if len(found) > 1 else words for words, names in found)


def registrations(view: ReportView) -> list[dict[str, Any]]:
    """Every registration of every study, in order."""
    return [
        {
            "study": study.spec,
            "number": entry.number,
            "date": entry.date,
            "seeds": text.number(entry.first_seed, 9),
            "says": entry.says,
            "superseded": entry.superseded,
            "verdicts": ", ".join(
                f"{entry.verdicts[state]} {state}"
                for state in sorted(entry.verdicts, key=[*STATES, *entry.verdicts].index)
            ),
        }
        for study in view.studies
        for entry in study.spec.registrations
    ]


def other_verdicts(view: ReportView) -> dict[str, str]:
    """Of each study, by name, whose registered seeds came to other verdicts here than in the run that was judged:
    which, those of that run in brackets, and where the two were made.
    """
    if view.scale != "quick" or view.seeds is not None or view.offset:
        return {}
    found = {}
    for study in view.studies:
        entry, rows = study.spec.registration, [each.row for each in study.predictions()]
        if entry is None or study.provenance is None or not all(row and row["registration"]["number"] for row in rows):
            continue
        words = _moved(rows, entry.predictions) if entry.predictions else _counted(rows, entry.verdicts)
        if words:
            there, here = entry.machine or "a machine that is not noted", machines(study.provenance.parts.values())
            found[study.spec.name] = f"{words}. Judged on {there}, this run was made on {here}"
    return found


def _moved(rows: list[dict[str, Any]], judged: dict[str, str]) -> str:
    """Predictions on which the verdict is another one than the judged run's, which is in brackets."""
    other = [row for row in rows if row["verdict"] != judged.get(row["prediction"], row["verdict"])]
    return ", ".join(f"{row['prediction']} {row['verdict']} ({judged[row['prediction']]})" for row in other)


def _counted(rows: list[dict[str, Any]], judged: dict[str, int]) -> str:
    """Verdicts of which there are more or fewer than in the judged run, whose count is in brackets."""
    now = Counter(row["verdict"] for row in rows)
    other = [name for name in sorted({*now, *judged}) if judged and now[name] != judged.get(name, 0)]
    return ", ".join(f"{now[name]} {name} ({judged.get(name, 0)})" for name in other)


def controls(view: ReportView) -> list[dict[str, Any]]:
    """One row a study whose controls were asked, with links to what passed though it must not."""
    rows = []
    for study in view.studies:
        if study.controls is not None:
            judged = [each for each in study.predictions() if each.measured and not each.is_fact]
            rows.append(
                {
                    "title": study.spec.title,
                    "judged": len(judged),
                    "asked": study.controls["asked"],
                    "by_form": sum(map(_by_form, judged)),
                    "without": sum(each.spec.controls.none is not None for each in judged),
                    "count": len(study.controls["passed"]),
                    "passed": "; ".join(_passed(study, name) for name in study.controls["passed"]) or "none",
                }
            )
    return rows


def _by_form(view: PredictionView) -> int:
    """How many of its controls nobody named: an arm against itself, and the arms swapped."""
    return sum(
        name in outcome.controls and getattr(view.spec.controls, name) is None
        for outcome in view.outcomes
        for name in NAMES
    )


def _passed(study: StudyView, told: str) -> str:
    """A link to the prediction of a control, which the judge names as "prediction (control)"."""
    name, _, control = told.partition(" ")
    return f"[{text.escape(name)}](#prediction-{study.spec.name}-{name}) {text.escape(control)}"


def tuning(view: ReportView) -> list[dict[str, Any]]:
    """One row a part that tuned: how many arms chose an end of their grid, how many failed throughout, what was chosen."""
    rows = []
    for study in view.studies:
        for part in study.parts:
            if part.part.tune is not None and part.facts is not None and part.facts.arms:
                facts = part.facts
                counts = {"arms": facts.arms, "edge": facts.arms_at_edge, "failed": facts.arms_failed}
                name, factor = (each.replace("_", " ") for each in (part.part.name, part.part.tune.factor))
                rows.append({"study": study.spec, "part": name, "factor": factor, "chosen": _chosen(part), **counts})
    return rows


def _chosen(part: PartView) -> dict[str, str]:
    """Each chosen value, from small to large, and the arms that chose it, in words: those of a data set (or of another first
    factor's level) together, which are not listed where all of them chose it."""
    factor, found, of_level = part.part.tune.factor, {}, Counter()
    for arm in sorted(part.chosen, key=lambda arm: (arm["failed"], arm[factor])):
        value = "none, since all failed" if arm["failed"] else text.value(arm[factor])
        level, *others = _levels(arm, factor)
        rest = ", ".join(others) + " (an end)" * (arm["at_edge"] and not arm["failed"])
        found.setdefault(value, {}).setdefault(level, []).append(rest.strip())
        of_level[level] += 1
    return {
        value: "; ".join(_arms(level, arms, of_level[level]) for level, arms in levels.items())
        for value, levels in found.items()
    }


def _arms(level: str, arms: list[str], of: int) -> str:
    if len(arms) == of > 1 and not any("(an end)" in arm for arm in arms):
        return f"{level}, all {of}"
    return f"{level} ({'; '.join(arms)})" if any(arms) else level


def _levels(arm: dict[str, Any], factor: str) -> list[str]:
    """The levels of its factors in words."""
    return [
        title(level) if isinstance(level, str) else f"{name.replace('_', ' ')} {text.value(level)}"
        for name, level in arm.items()
        if name not in (factor, "at_edge", "failed")
    ] or ["all runs"]


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
    words = f"{processor_of(fact)}, {machine.get('cores')} cores, {machine.get('memory_gib')} GiB"
    if machine.get("accelerator"):
        words += f"; {machine['accelerator']}, {machine.get('accelerator_memory_gib')} GiB"
    return words


def _commit(fact: PartFacts) -> str:
    if not fact.git.commit:
        return "not under version control"
    commits = "; ".join(each[:12] for each in fact.git.commit.split("; "))  # several, where it was made in pieces
    return commits + (" with local changes" if fact.git.dirty else "")


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
                    "models": text.number(sum(entry.runs for entry in facts.ensembles), 9),
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
    lines = [("Registration", words)] if (words := registration_line(view)) else []
    if made:
        lines += [
            ("Date", _days(made)),
            ("Machine", _all(made, _machine)),
            ("Wall time", text.duration(_wall_seconds(made))),
            ("Code", _code(made)),
        ]
    tested = [claim for claim in view.claims.values() if claim.state in DECIDED]
    decided = [prediction for claim in tested for prediction in claim.predictions if prediction.decided]
    earlier = [entry.verdicts for study in view.studies for entry in study.spec.registrations[:-1]]
    return {
        "tested": len(tested),
        "decided": len(decided),
        "limits": sum(prediction.spec.kind == "limit" for prediction in decided),
        "before": sum(count for verdicts in earlier for state, count in verdicts.items() if state in DECIDED),
        "models": sum(entry.runs for fact in made for entry in fact.ensembles),
        "pilots": any(part.part.tune for study in view.studies if study.provenance for part in study.parts),
        "lines": lines,
    }


def _own_claims(view: ReportView) -> str:
    """What became of claims that are not the lecture's, in words; empty where there are none."""
    states = Counter(claim.state for study in view.studies for claim in study.claims if claim.lecture is None)
    count = states.total()
    told = ", ".join(f"{number} {state}" for state, number in states.items())
    return f" (and {count} beyond the lecture: {told})" if count else ""


def groups(view: ReportView) -> list[dict[str, Any]]:
    """The lecture's claims counted in three groups: tested, facts, not tested; with the states to show of each."""
    counts = view.counts()
    rest = [state for state in counts if state not in (*DECIDED, *FACTS)]
    shown = [state for state in rest if counts[state] or state in ("not testable", "planned")]
    named = (
        ("Empirical claims, put to the test", DECIDED),
        ("Facts, true or false by arithmetic or definition; no test decides them", FACTS),
        ("Not tested", shown),
    )
    known = [each.state for each in view.predictions() if each.is_fact and each.measured]
    beside = f" (with those beside tested claims {len(known)}, of which {_hold(known.count('holds'))})" if known else ""
    notes = {DECIDED: _own_claims(view), FACTS: beside}
    return [
        {
            "title": title,
            "states": states,
            "count": sum(counts[state] for state in states),
            "note": notes.get(tuple(states), ""),
        }
        for title, states in named
    ]


def _studies(count: int) -> str:
    return "1 study" if count == 1 else f"{count} studies"


def _hold(count: int) -> str:
    return "1 holds" if count == 1 else f"{count} hold"


def _wall_seconds(made: list[PartFacts]) -> float:
    """Time in which parts ran, those of several studies side by side."""
    total, ended = 0.0, -math.inf
    for start, seconds in sorted((datetime.fromisoformat(fact.start).timestamp(), fact.seconds) for fact in made):
        total += max(0.0, start + seconds - max(start, ended))
        ended = max(ended, start + seconds)
    return total


def _code(made: list[PartFacts]) -> str:
    """The commit that all results come from, or how many there are (evidence.pdf names them, under environment)."""
    commits = set(map(_commit, made))
    return commits.pop() if len(commits) == 1 else f"{len(commits)} states of the code, named in evidence.pdf"


def _days(made: list[PartFacts]) -> str:
    days = sorted({fact.start[:10] for fact in made})
    return days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}" if days else "–"
