"""One prediction's number explained: what is measured, every run's value, how to make it again, how to read it.

The same for `claimcheck show` and for the page. Computes nothing: values are the verdict's own.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.report import phrases, text
from claimcheck.report.gather import PredictionView, ReportView, StudyView
from claimcheck.results import commands


@dataclass(frozen=True)
class Series:
    """The runs of one data set: its name (empty for the only one), what came of it, and seed, value, truth of each run."""

    data: str
    told: str
    runs: tuple[tuple[int, float, bool], ...]

    @property
    def first(self) -> int:
        """The seed of the first run."""
        return self.runs[0][0]

    @property
    def in_a_row(self) -> bool:
        """Whether there are several runs, whose seeds follow one another."""
        seeds = [seed for seed, _, _ in self.runs]
        return len(seeds) > 1 and seeds == list(range(seeds[0], seeds[0] + len(seeds)))


@dataclass(frozen=True)
class Explained:
    """A prediction with all that stands behind its number, as plain text.

    Attributes:
        publishing: the command that puts these records where `reading` reads them, should those of other settings be
            there; empty for the settings that a study has by itself.
        lacking: why there are no numbers; empty where there are some.
    """

    name: str
    says: str
    verdict: str
    wanted: str
    measure: str
    series: tuple[Series, ...]
    again: str
    reading: str
    publishing: str = ""
    lacking: str = ""


def explained(study: StudyView, view: PredictionView, seen: ReportView, results: str, **chosen: Any) -> Explained:
    """What stands behind `view`'s number.

    Args:
        results: the folder of the scale's results, as it is typed.
        chosen: what else the commands have to name, by the name of the field of the configuration: folders, the device.
    """
    spec, tests = view.spec, view.row.get("tests", ())
    series = []
    for outcome, test in zip(view.outcomes, tests):
        verdict = "too few runs to decide" if outcome.verdict == "not run" else outcome.verdict
        told = verdict if view.is_fact else f"{phrases.runs(outcome)}, {verdict}"
        number = f"{'value' if view.is_fact else 'median'} {phrases.number_of(view, outcome)}"
        runs = zip(test["seeds"], outcome.values, view.truths(outcome), strict=True)
        series.append(Series(outcome.on, f"{told}; {number}", tuple(runs)))
    return Explained(
        f"{study.spec.name}/{spec.id}",
        " ".join(spec.says.split()),
        view.state,
        phrases.plain_region(spec),
        _measure(view),
        tuple(series),
        _again(study, view, seen, chosen),
        _reading(study, view, results),
        _publishing(study, seen, chosen) if seen.seeds is not None or seen.offset else "",
        "" if series else _lacking(view),
    )


def _lacking(view: PredictionView) -> str:
    """Why there are no numbers: of what was judged, the reason that the judge noted."""
    if view.state == "not run" and view.row:
        return view.row.get("note") or "its data are not run at this scale"
    return "it has not been judged as it stands now at this scale"


def _measure(view: PredictionView) -> str:
    """What is computed of each run, as study.yaml says it."""
    spec = view.spec
    if spec.measure is None:
        arguments = ", ".join(f"{name}={value!r}" for name, value in spec.arguments.items())
        return f"statistics.py: {spec.statistic}({arguments})"
    said = spec.measure.model_dump(exclude_defaults=True)
    return "; ".join(f"{name}: {_plain(value)}" for name, value in said.items())


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(entry)}" for key, entry in value.items())
    return text.value(list(value)) if isinstance(value, tuple) else text.value(value)


def _again(study: StudyView, view: PredictionView, seen: ReportView, chosen: Mapping[str, Any]) -> str:
    """The commands that make the number again, from networks to verdict."""
    every = {"scale": seen.scale, "seeds": seen.seeds, "registration_offset": seen.offset, **chosen}
    options = commands.options({name: value for name, value in every.items() if name != "data_dir"})
    part = f"/{view.spec.part}" if view.spec.part else ""
    forced = f"claimcheck run {study.spec.name}{part} {commands.options(every)} --force"
    assembled = [f"claimcheck assemble {study.spec.name} {options}"] if part else []
    return " && ".join([forced, *assembled, f"claimcheck judge {study.spec.name} {options}"])


def _publishing(study: StudyView, seen: ReportView, chosen: Mapping[str, Any]) -> str:
    every = {"scale": seen.scale, "seeds": seen.seeds, "registration_offset": seen.offset, **chosen}
    return (
        f"claimcheck publish {study.spec.name} {commands.options({k: v for k, v in every.items() if k != 'data_dir'})}"
    )


def _reading(study: StudyView, view: PredictionView, results: str) -> str:
    """The line of pandas that reads the records behind the number."""
    part = f', part="{view.spec.part}"' if view.spec.part else ""
    asked, column, measure = [], "", view.spec.measure
    if measure is not None:
        cells = [measure.of, *([{**measure.of, **measure.second}] if measure.second else [])]
        levels = {name: [cell[name] for cell in cells if name in cell] for cell in cells for name in cell}
        known = {name: each for name, each in levels.items() if len(each) == len(cells) and all(map(_fixed, each))}
        asked = [_asked(name, each) for name, each in known.items()]
        index = study.spec.parts[view.spec.part].index if view.spec.part else []
        column = f"[{json.dumps(['run', 'seed', *index, measure.column])}]"
    query = f'.query("{" and ".join(asked)}")' if asked else ""
    return f'load_records("{results}/{study.spec.name}"{part}){query}{column}'


def _fixed(level: Any) -> bool:
    levels = level if isinstance(level, Sequence) and not isinstance(level, str) else [level]
    return all(isinstance(each, int | float | str) and each not in ("lowest", "highest", "all") for each in levels)


def _asked(name: str, levels: list[Any]) -> str:
    """What a query says of a factor, whose level, or several, each cell gives."""
    every = [each if isinstance(each, Sequence) and not isinstance(each, str) else [each] for each in levels]
    found = list(dict.fromkeys(itertools.chain.from_iterable(every)))
    return f"{name} in {found!r}" if len(found) > 1 else f"{name} == {found[0]!r}"


def find(seen: ReportView, name: str) -> tuple[StudyView, PredictionView]:
    """The prediction of "PREDICTION" or "STUDY/PREDICTION".

    Raises:
        ClaimcheckError: there is none of that name, or several studies have one.
    """
    every = [(study, view) for study in seen.studies for view in study.predictions()]
    names = {f"{study.spec.name}/{view.spec.id}": (study, view) for study, view in every}
    found = [full for full in names if name in (full, full.partition("/")[2])]
    if len(found) == 1:
        return names[found[0]]
    if found:
        raise ClaimcheckError("several studies have a prediction of this name", found=name, expected=" or ".join(found))
    hint = closest(name, [*names, *(full.partition("/")[2] for full in names)])
    raise ClaimcheckError("no such prediction", found=name, hint=hint or "results/<scale>/verdicts.csv names all")


def lines(found: Explained) -> list[str]:
    """All of it for a terminal."""
    told = [found.says, "", f"prediction  {found.name}", f"verdict     {found.verdict}", f"wanted      {found.wanted}"]
    told.append(f"measure     {found.measure}")
    for each in found.series:
        told += ["", f"{each.data + ': ' if each.data else ''}{each.told}"]
        told += [
            f"  seed {seed:<8} {text.number(value, 6):>14}  {'true' if true else 'not true'}"
            for seed, value, true in each.runs
        ]
    if found.lacking:
        told += ["", f"No numbers: {found.lacking}."]
    told += ["", "Make it again:", f"  {found.again}", ""]
    told += (
        ["Read its records, once they are published:", f"  {found.publishing}"]
        if found.publishing
        else ["Read its records:"]
    )
    return [*told, "  from claimcheck import load_records", f"  {found.reading}"]
