"""k of n: the words, the table, the verdicts and the pictures say the same of every prediction, data set by data set."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from scipy.stats import binom

from claimcheck.judging import rule
from claimcheck.report import build, pages, phrases, rows, rule_page, summary, text
from claimcheck.report.gather import PartView, PredictionView, ReportView, gather
from claimcheck.results.provenance import Git, PartFacts
from claimcheck.results.state import Results

SVG = "{http://www.w3.org/2000/svg}"
JUDGED = ["effect", "infinite", "law", "mean-is-zero", "arms-differ", "mean-is-large", "sign-decides"]
FACTS = ["exact-one", "two-arms", "circle"]


@pytest.fixture(scope="module")
def seen(project: Path, find: Callable[..., Any]) -> ReportView:
    return gather(*find(project))


@pytest.fixture(scope="module")
def source(project: Path) -> str:
    return (project / "reports/quick/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def table(project: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (project / "results/quick/verdicts.csv").open(encoding="utf-8", newline="") as file:
        return {(row["prediction"], row["data"]): row for row in csv.DictReader(file)}


def named(seen: ReportView, name: str) -> PredictionView:
    return next(view for view in seen.predictions() if view.spec.id == name)


def card(source: str, name: str) -> str:
    """A prediction's card in the page, from its id to that of whatever follows."""
    (begin,) = [found.start() for found in re.finditer(rf'id="prediction-\w+-{name}"', source)]
    end = source.find('<div id="', begin + 10)
    return source[begin : end if end > 0 else len(source)]


def words(markup: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", re.sub(r"<svg.*?</svg>", " ", markup, flags=re.DOTALL)).split())


def drawings(markup: str, kind: str) -> list[ElementTree.Element]:
    found = re.findall(rf'<svg [^>]*class="{kind}".*?</svg>', markup, re.DOTALL)
    return [ElementTree.fromstring(each.replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1)) for each in found]


def counted(picture: ElementTree.Element, row: int, height: int) -> tuple[int, int]:
    """Marks of true units, and of all, in a row of a picture: counted off the picture alone."""
    true = whole = 0
    for path in picture.iter(f"{SVG}path"):
        if "unit" in path.get("class").split():
            heights = [float(y) for y in re.findall(r"M-?[\d.]+ (-?[\d.]+)", path.get("d"))]
            mine = sum(row * height <= y < (row + 1) * height for y in heights)
            whole += mine
            true += mine if "true" in path.get("class").split() else 0
    return true, whole


@pytest.mark.parametrize("name", JUDGED)
def test_words_table_and_picture_say_the_same(name: str, seen: ReportView, source: str, table: dict) -> None:
    view = named(seen, name)
    (picture,) = drawings(card(source, name), "region")
    said, drawn = words(card(source, name)), [each.text for each in picture.iter(f"{SVG}text")]
    rows = [row for (prediction, _), row in table.items() if prediction == name]
    assert len(rows) == len(view.outcomes) == len(view.spec.on or [None])
    for place, (row, outcome) in enumerate(zip(rows, view.outcomes, strict=True)):
        k, n, share = int(float(row["k"])), int(float(row["n"])), float(row["share"])
        assert (k, n, share) == (outcome.k, outcome.n, view.spec.share)
        assert n == len(outcome.values)
        told = f"{row['data']}: {k} of {n} runs" if row["data"] else f"{k} of {n} runs"
        assert told.replace(":", "") in said
        assert told in drawn
        assert told in picture.get("aria-label")
        assert counted(picture, place, 50) == (k, n)
        assert f"in more than {100 * share:g} % of runs" in said
        decision = rule.decide(outcome.values, view.spec.region, share)
        assert (row["data_verdict"], decision.verdict) == (outcome.verdict, outcome.verdict)


@pytest.mark.parametrize("name", ["effect", "mean-is-zero", "mean-is-large", "sign-decides"])
def test_the_first_table_says_what_the_card_says(name: str, seen: ReportView, source: str) -> None:
    view = named(seen, name)
    claim = next(each for each in seen.claims.values() if view in each.predictions)
    (row,) = re.findall(rf'<tr>\s*<td[^>]*><a href="#{claim.anchor}">.*?</tr>', source, re.DOTALL)
    (picture,) = drawings(row, "strip")
    for place, outcome in enumerate(view.outcomes):
        assert f"{outcome.k} of {outcome.n} runs" in words(row)
        assert counted(picture, place, 18) == (outcome.k, outcome.n)
    assert words(row).index(" runs") < words(row).index("median")
    assert "p =" not in words(row), "words of statistics only where they are needed"


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_has_a_value_and_neither_runs_nor_p(name: str, seen: ReportView, source: str, table: dict) -> None:
    said, view = words(card(source, name)), named(seen, name)
    assert view.state in said
    assert "runs" not in said
    assert "p =" not in said
    for (prediction, _), row in table.items():
        if prediction == name:
            assert (row["kind"], row["verdict"]) == ("fact", view.state)
            assert not row["k"] + row["n"] + row["p"]
    (low, high), region, beyond = rows.band(view), view.spec.region, view.spec.tolerance
    assert (low, high) == (pytest.approx(region[0] - beyond), pytest.approx(region[1] + beyond))
    values = [value for outcome in view.outcomes for value in outcome.values]
    assert all(low <= value <= high for value in values) == (view.state == "holds")
    (picture,) = drawings(card(source, name), "region")
    assert f"within {text.number(beyond, 3)}" in picture.get("aria-label")
    holding = int(view.state == "holds")
    assert [counted(picture, place, 50) for place in range(len(view.outcomes))] == [(holding, 1)] * len(view.outcomes)


def test_a_claim_of_facts_alone_is_shown_as_a_fact(seen: ReportView, source: str) -> None:
    assert seen.claims["one-is-one"].is_fact
    assert (seen.claims["one-is-one"].state, seen.claims["pi-is-three"].state) == ("holds", "does not hold")
    assert not seen.claims["depends-on-data"].is_fact, "a fact beside a prediction does not make it one"
    assert seen.claims["depends-on-data"].state == "mixed", "nor does it take part in the verdict"
    shown = words(source)
    assert "no test decides them: 2 (with those beside tested claims 3, of which 2 hold)" in shown
    assert "One is one by arithmetic. (a fact)" in shown


def test_a_mixed_prediction_says_on_which_data_it_depends(source: str) -> None:
    assert "depends on the data: supported on clear, contradicted on digits" in words(card(source, "effect"))
    assert "Where it depends" in words(source)


def test_missing_numbers_are_told_and_are_not_true(source: str) -> None:
    assert "3 runs have no number and count as not true." in words(card(source, "infinite"))


def test_what_cannot_be_decided_says_why_it_is_kept(source: str) -> None:
    said = words(card(source, "law"))
    assert "So few runs cannot support that it is true in more than 90 % of runs" in said
    assert "Kept though its runs cannot decide: Eighty-eight would be needed." in said


def test_controls_are_shown_and_one_that_passed_is_told(seen: ReportView, source: str) -> None:
    said = words(card(source, "effect"))
    assert "the first arm against itself (must not be supported): true in 0 of 32 runs on clear, contradicted" in said
    assert "which it must not be" in words(card(source, "infinite"))
    assert "none. A law | of large numbers." in words(card(source, "mean-is-zero"))
    row = next(each for each in summary.controls(seen) if each["title"] == "Planted")
    asked = sum(len(outcome.controls) for study in seen.studies for v in study.predictions() for outcome in v.outcomes)
    assert (row["asked"], row["without"], row["count"]) == (asked, 1, 1)
    assert row["passed"] == r"[infinite](#prediction-planted-infinite) \(never\)"
    assert 0 < row["by_form"] < asked
    named = [v for v in seen.predictions() if v.spec.controls.never and v.spec.controls.against and v.outcomes]
    assert named
    assert not any(map(summary._by_form, named)), "what study.yaml names is not by form"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (
            {"number": 2, "of": 2, "offset": 0, "first_seed": 100_000, "seeds": None},
            "registration 2 of 2, judged on seeds that nothing had used",
        ),
        (
            {"number": None, "of": 1, "offset": 0, "first_seed": 0, "seeds": None},
            "draft: not registered as it stands; nothing vouches that its seeds had not been seen",
        ),
        (
            {"number": 1, "of": 1, "offset": 0, "first_seed": 0, "seeds": None},
            "registration 1 of 1, judged on seeds from 0",
        ),
        (
            {"number": 2, "of": 2, "offset": 1, "first_seed": 105_000, "seeds": None},
            "registration 2 of 2, judged on another block of seeds that nothing had used (number 1 after the registered one)",
        ),
        (
            {"number": 2, "of": 3, "offset": 0, "first_seed": 100_000, "seeds": 200},
            "not registered: the design is that of registration 2 of 3, but on 200 seeds in place of the registered number",
        ),
    ],
)
def test_which_registration_is_said_in_words(facts: dict, said: str) -> None:
    assert summary.registration_words(facts) == said


def test_every_registration_of_every_study_is_listed(source: str, seen: ReportView) -> None:
    shown = words(source)
    assert "A first try on seeds from nought | of two arms. Superseded: The arms were swapped." in shown
    assert "3 supported, 1 contradicted" in shown
    assert "seeds from 100,000" in shown
    assert "registration 2 of 2, judged on seeds that nothing had used (1 study)" in shown
    assert [row["number"] for row in summary.registrations(seen)] == [1, 2]


def test_a_run_that_came_to_other_verdicts_than_the_judged_one_says_so(seen: ReportView) -> None:
    planted = next(study for study in seen.studies if study.spec.name == "planted")
    each = {view.row["prediction"]: view.row["verdict"] for view in planted.predictions()}
    judged = dict(Counter(each.values()))

    def with_noted(verdicts: dict[str, int], each: dict[str, str], **changes: object) -> ReportView:
        noted = {"verdicts": verdicts, "predictions": each, "machine": "a processor, AVX9"}
        entry = planted.spec.registrations[1].model_copy(update=noted)
        spec = planted.spec.model_copy(update={"registrations": [planted.spec.registrations[0], entry]})
        studies = [replace(each, spec=spec) if each is planted else each for each in seen.studies]
        return replace(seen, studies=tuple(studies), **changes)

    other = {**judged, "supported": judged["supported"] + 1, "inconclusive": judged["inconclusive"] - 1}
    counts = ", ".join(f"{judged[name]} {name} ({other[name]})" for name in ("inconclusive", "supported"))
    # Two that change places leave the counts as they are.
    one, two = (next(name for name in each if each[name] == verdict) for verdict in ("supported", "inconclusive"))
    swapped = {**each, one: "inconclusive", two: "supported"}
    places = [f"{name} {each[name]} ({swapped[name]})" for name in each if name in (one, two)]
    for there, said in ((with_noted(other, {}), counts), (with_noted(judged, swapped), ", ".join(places))):
        told = summary.other_verdicts(there)["planted"]
        assert told.startswith(f"{said}. Judged on a processor, AVX9, this run was made on ")
        assert torch.backends.cpu.get_cpu_capability() in told.partition("made on")[2]
        for template in ("report.md.j2", "brief.md.j2"):
            page = " ".join(build.markdown(template, build._names(there, Path("results"))).split())
            assert "In 1 study this run of the registered seeds came to" in page
    alike = (with_noted(judged, {}), with_noted(judged, each))
    for quiet in (seen, *alike, with_noted(other, {}, offset=1), with_noted(judged, swapped, seeds=3)):
        assert summary.other_verdicts(quiet) == {}


def test_a_part_that_was_made_from_several_states_of_the_code_names_them_all(seen: ReportView) -> None:
    study = seen.studies[0]
    git = Git(commit=f"{'a' * 40}; {'b' * 40}", dirty=True)
    parts = {name: part.model_copy(update={"git": git}) for name, part in study.provenance.parts.items()}
    pieces = replace(study, provenance=study.provenance.model_copy(update={"parts": parts}))
    told = dict(summary.environment(replace(seen, studies=(pieces,))))
    assert told["Commit"] == f"{'a' * 12}; {'b' * 12} with local changes"


def test_the_first_page_counts_the_predictions_of_the_lectures_claims_and_earlier_ones_that_were_decided(
    seen: ReportView,
) -> None:
    told = summary.facts(seen)
    mine = [view for claim in seen.claims.values() for view in claim.predictions if view.decided]
    assert named(seen, "ones").decided, "of a claim beyond the lecture"
    assert named(seen, "ones") not in mine
    assert (told["decided"], told["before"], told["pilots"]) == (len(mine), 4, False)
    planted = next(study for study in seen.studies if study.spec.name == "planted")
    earlier = planted.spec.registrations[0].model_copy(update={"verdicts": {"mixed": 1, "holds": 5, "not run": 2}})
    spec = planted.spec.model_copy(update={"registrations": [earlier, planted.spec.registrations[1]]})
    assert summary.facts(replace(seen, studies=(replace(planted, spec=spec),)))["before"] == 1


def test_the_chance_of_any_wrong_verdict_is_that_of_all_tests(seen: ReportView, source: str) -> None:
    tests = [
        o for view in seen.predictions() for o in view.outcomes if view.spec.kind != "fact" and o.verdict != "not run"
    ]
    assert len(rule_page.tests_of(seen)) == len(tests) == 10
    assert (
        f"at most {phrases.percent(len(tests) * rule.LEVEL)} ({len(tests)} × {phrases.percent(rule.LEVEL)})"
        in words(source).replace("\N{NO-BREAK SPACE}", " ").replace(" %", "\N{NO-BREAK SPACE}%")
    )


def test_the_printed_chance_is_the_sum_of_what_the_tests_attain() -> None:
    for n, share in ((14, 0.5), (32, 0.5), (96, 0.9), (3, 0.5)):
        wrong = [
            (
                binom.pmf(
                    [k for k in range(n + 1) if rule.decide(_true(k, n), (0, None), share).verdict == verdict], n, true
                )
            ).sum()
            for true in np.linspace(0.01, 0.99, 99)
            for verdict in ["supported" if true <= share + 1e-9 else "contradicted"]
        ]
        assert rule_page.attained(n, share) >= max(wrong) - 1e-12
        assert rule_page.attained(n, share) <= rule.LEVEL
    assert rule_page.any_wrong([(14, 0.5)] * 10) == pytest.approx(10 * 0.5**14)
    assert rule_page._bound(0.0418961) == phrases.percent(0.0419), "rounded up: it stays a bound"
    assert rule_page._bound(0.0418011) == phrases.percent(0.0419)


def _true(k: int, n: int) -> list[float]:
    return [1.0] * k + [-1.0] * (n - k)


def test_the_rule_is_told_without_a_typed_number() -> None:
    path = Path(rule_page.__file__).parent / "templates/rule.md.j2"
    typed = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#\w+\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not re.search(r"\d", typed)


@pytest.mark.parametrize("share", rule.SHARES)
def test_the_power_table_is_the_rules(share: float) -> None:
    rows = {row["n"]: row for row in rule_page.power_table(share, [20])}
    assert {20, *rule_page.UNITS} == set(rows)
    for n, row in rows.items():
        needed = rule.fewest_true(n, share)
        assert row["supports"] == ("never" if needed is None else str(needed))
        assert len(row["power"]) == len(rule_page.TRUE_SHARES)
    assert rows[32]["supports"] == {0.5: "27", 0.9: "never"}[share]
    assert rows[128]["supports"] == {0.5: "86", 0.9: "127"}[share]
    if share == 0.5:
        assert rows[32]["power"][3] == "90.6\N{NO-BREAK SPACE}%"


def test_arms_of_tuning_at_an_edge_or_failed_are_counted() -> None:
    tune = SimpleNamespace(factor="learning_rate", seeds=8, values=[0.1, 1.0])
    facts = PartFacts.model_construct(arms=12, arms_at_edge=3, arms_failed=1)
    view = PartView(SimpleNamespace(factors={}, tune=tune), facts)
    assert "3 of 12 arms chose an end of the grid; 1 of 12 arms failed at every value" in pages.varied(view)
    assert "(tuned on 8 other runs;" in pages.varied(view)
    tune.seeds = 1
    assert "(tuned on 1 other run;" in pages.varied(view)


def test_what_results_took_that_are_out_of_date_is_not_known_and_they_were_run(seen: ReportView) -> None:
    old = next(study for study in seen.studies if study.spec.name == "old")
    assert pages.cost(old).startswith("What it took is not known of the present sources.")
    never = next(study for study in seen.studies if study.spec.name == "never")
    assert pages.cost(never).startswith("It has not been run here.")


def test_parts_that_ran_side_by_side_took_their_wall_time_together() -> None:
    parts = [
        ("2026-01-01T10:00:00+00:00", 60.0),
        ("2026-01-01T10:00:30+00:00", 10.0),
        ("2026-01-01T11:00:50+01:00", 20.0),
    ]
    made = [PartFacts.model_construct(start=start, seconds=seconds) for start, seconds in parts]
    assert summary._wall_seconds(made) == 70.0
    later = PartFacts.model_construct(start="2026-01-02T00:00:00+00:00", seconds=5.0)
    assert summary._wall_seconds([later, *made]) == 75.0


def test_a_part_that_is_not_run_here_says_why_and_has_no_models() -> None:
    part = SimpleNamespace(seeds=22, seeds_on={}, judged_runs=range(88))
    assert (PartView(part).units, PartView(part).models) == ("22", 88)
    missing = PartView(part, missing="it needs a GPU")
    assert (missing.units, missing.models) == ("not run: it needs a GPU", None)


def test_what_each_arm_of_tuning_chose_is_told() -> None:
    part = SimpleNamespace(name="recipe_cnn", tune=SimpleNamespace(factor="learning_rate"))
    facts = PartFacts.model_construct(arms=4, arms_at_edge=1, arms_failed=1)
    names = ("dataset", "kind", "gain", "learning_rate", "at_edge", "failed")
    arms = [
        ("mnist1d_pool", "no_norm", 4.0, 0.1, True, False),
        ("mnist1d_pool", "norm", 4.0, 0.1, False, False),
        ("mnist5k", "norm", 1.0, 0.1, False, False),
        ("mnist5k", "norm", 2.0, 0.1, False, False),
        ("digits", "no_norm", 0.25, 0.0016, False, False),
        ("digits", "norm", 1.0, 0.1, False, False),
        ("digits", "norm", 9.0, 0.001, True, True),
    ]
    alone = {"learning_rate": 2.0, "at_edge": False, "failed": False}
    parts = [
        PartView(part, facts, tuple(dict(zip(names, arm, strict=True)) for arm in arms)),
        PartView(part, facts, (alone,)),
    ]
    first, second = summary.tuning(SimpleNamespace(studies=(SimpleNamespace(spec=None, parts=parts),)))
    assert list(first["chosen"].items()) == [
        ("0.0016", "digits (no norm, gain 0.25)"),
        ("0.1", "MNIST-1D (no norm, gain 4 (an end); norm, gain 4); MNIST, all 2; digits (norm, gain 1)"),
        ("none, since all failed", "digits (norm, gain 9)"),
    ]
    assert second["chosen"] == {"2": "all runs"}


def test_figures_that_were_not_drawn_are_told_beside_verdicts_that_are_current(
    project: Path, find: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Results, "drawn", lambda results: False)
    log = project / "results/quick/coins/plot.log"
    log.write_text("claimcheck: figures.py: no ink\n", encoding="utf-8")
    study = next(each for each in gather(*find(project)).studies if each.spec.name == "coins")
    log.unlink()
    assert study.current
    assert study.problem.startswith("Its figures have not been drawn. The last attempt to plot it did not end well")
    assert study.problem.endswith("which ends: figures.py: no ink")


def test_verdicts_and_report_count_alike(project: Path, seen: ReportView) -> None:
    entries = json.loads((project / "results/quick/planted/verdicts.json").read_text(encoding="utf-8"))
    for entry in entries:
        for test, outcome in zip(entry["tests"], named(seen, entry["prediction"]).outcomes, strict=True):
            true = named(seen, entry["prediction"]).truths(outcome)
            assert sum(true) == test.get("k", len(true) if entry["verdict"] == "holds" else 0)
