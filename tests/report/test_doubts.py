"""Which verdicts the fewest runs could overturn, and what stands for a number that is infinite."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from claimcheck.judging import rule
from claimcheck.report import build, notes, phrases, rows
from claimcheck.report import gather as gathering
from claimcheck.report.doubts import least_certain
from claimcheck.report.gather import ClaimView, PredictionView, ReportView, gather
from claimcheck.spec.models import Lecture, LectureClaim, Prediction
from claimcheck.spec.reading import load_study


def prediction(values: list[float], unit: str = "", region: rule.Region = (0, None), **more: object) -> PredictionView:
    """A prediction, "above zero" unless another region is given, judged on `values`."""
    spec = Prediction(
        id="p", says="It is.", statistic="s", region=region, why="So.", unit=unit, controls={"none": "x"}, **more
    )
    found = rule.decide(np.array(values), spec.region)
    names = ("verdict", "k", "n", "p", "median", "low", "high")
    test = {"data": None, "values": values, "controls": {}, **{name: getattr(found, name) for name in names}}
    return PredictionView(spec, found.verdict, {"tests": [test]})


def claim(name: str, state: str, *views: PredictionView) -> ClaimView:
    entry = LectureClaim(id=name, says=f"It is {name}.", study="s")
    return ClaimView(name, entry.says, state, None, views, entry)


def report(*claims: ClaimView) -> ReportView:
    sections = [
        {
            "id": "one",
            "title": "One",
            "chapter": "Basics",
            "claims": [c.lecture.model_dump(exclude={"lines"}) for c in claims],
        }
    ]
    lecture = Lecture(title="L", author="A", sections=sections)
    return ReportView("quick", lecture, (), {each.id: each for each in claims})


def truths(k: int, n: int) -> list[float]:
    """Numbers of which k of n are above zero, all of them as far from it."""
    return [1.0 + place / n if place < k else -1.0 - place / n for place in range(n)]


def test_the_verdict_that_the_fewest_runs_could_overturn_comes_first() -> None:
    seen = report(
        claim("sure", "supported", prediction(truths(32, 32))),
        claim("wobbly", "supported", prediction(truths(27, 32))),
        claim("open", "inconclusive", prediction(truths(16, 32))),
        claim("wrong", "contradicted", prediction(truths(2, 32))),
    )
    assert (rule.fewest_true(32, 0.5), rule.most_true(32, 0.5)) == (27, 5), "the rule's own numbers"
    found, as_few = least_certain(seen)
    assert as_few == 0
    assert [(each.claim.id, each.margin, each.needed) for each in found] == [
        ("wobbly", 1, 27),
        ("wrong", 4, 5),
        ("sure", 6, 27),
    ]
    line = phrases.doubt_line(found[0])
    assert "**27 of 32 runs**, where the verdict takes at least 27. One run the other way, and it falls." in line
    assert "takes at most 5. 4 runs the other way" in phrases.doubt_line(found[1])


@pytest.mark.parametrize(
    ("region", "nearest"),
    [
        ((2.0, None), 1.0),
        ((-2.0, None), 5.0),
        ((None, 10.0), 3.9),
        ((2.0, 10.0), 1.0),
        ((-2.0, 7.0), 0.9),
        ((None, 2.0), 1.0),
    ],
)
def test_the_gap_is_the_nearest_runs_way_to_the_regions_nearest_end_in_middle_halves_of_the_runs(
    region: rule.Region, nearest: float
) -> None:
    values = [3 + place / 10 for place in range(32)]
    view = prediction(values, region=region)
    (doubt,) = least_certain(report(claim("a", view.state, view)))[0]
    assert doubt.gap == pytest.approx(nearest / 1.55), "from the 8.75th of the runs to the 24.25th"


def test_of_verdicts_that_as_many_runs_could_overturn_the_one_nearer_to_its_regions_end_comes_first() -> None:
    values = [3 + place / 10 for place in range(32)]
    views = {name: prediction(values, region=(end, None)) for name, end in (("far", -2.5), ("near", 2.5))}
    seen = report(*(claim(name, "supported", view) for name, view in views.items()))
    assert [each.claim.id for each in least_certain(seen)[0]] == ["near", "far"]


def test_runs_without_spread_are_the_farthest_from_a_regions_end() -> None:
    views = {"same": [1.0] * 32, "spread": [3 + place / 10 for place in range(32)], "endless": [math.inf] * 32}
    seen = report(*(claim(name, "supported", prediction(values)) for name, values in views.items()))
    assert [(each.claim.id, each.gap == math.inf) for each in least_certain(seen)[0]] == [
        ("spread", False),
        ("same", True),
        ("endless", True),
    ]


def test_claims_that_as_few_runs_could_overturn_as_the_last_shown_are_counted() -> None:
    names = {"one": 27, "two": 27, "three": 28, "four": 28, "five": 28, "six": 29}
    shown, as_few = least_certain(report(*(claim(n, "supported", prediction(truths(k, 32))) for n, k in names.items())))
    assert ([each.margin for each in shown], as_few) == ([1, 1, 2], 2)


def test_what_all_must_support_is_as_safe_as_the_weakest_and_what_one_contradicts_as_the_strongest() -> None:
    weak, strong = prediction(truths(28, 32)), prediction(truths(32, 32))
    against, more = prediction(truths(4, 32)), prediction(truths(0, 32))
    (supported,), _ = least_certain(report(claim("a", "supported", strong, weak)))
    (contradicted,), _ = least_certain(report(claim("a", "contradicted", against, more)))
    (mixed,), _ = least_certain(report(claim("a", "mixed", strong, weak, against)))
    assert (supported.margin, contradicted.margin, mixed.margin) == (2, 6, 2)


def test_overturning_so_many_runs_and_no_fewer_changes_the_verdict() -> None:
    (doubt,), _ = least_certain(report(claim("a", "supported", prediction(truths(29, 32)))))
    verdicts = [
        rule.decide(np.array(truths(29 - flipped, 32)), (0, None)).verdict
        for flipped in (doubt.margin - 1, doubt.margin)
    ]
    assert verdicts == ["supported", "inconclusive"]


@pytest.mark.parametrize(
    ("unit", "said"),
    [("share of updates", "never reached it"), ("epochs", "never reached it"), ("nats", "∞")],
)
def test_what_no_run_reached_is_said_in_words(unit: str, said: str) -> None:
    view = prediction([math.inf] * 32, unit)
    assert phrases.size_of(view, view.outcomes[0]) == said
    assert unit not in phrases.size_line(view)
    assert said in rows.picture_alt(view)
    assert notes._estimate(view, view.outcomes[0]) == said


def test_the_interval_of_a_number_that_some_never_reached_says_never() -> None:
    view = prediction([*truths(20, 20), *[math.inf] * 12], "updates")
    assert phrases.number_of(view, view.outcomes[0]).endswith(", never]")


@pytest.mark.parametrize(("named", "shown"), [("coins/by-step", True), ("someday/recipe", False), (None, False)])
def test_the_first_page_opens_with_the_figure_that_the_lecture_names_where_there_is_one(
    project: Path, find: Callable, tmp_path: Path, named: str | None, shown: bool
) -> None:
    shutil.copytree(project / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("__pycache__"))
    lecture = tmp_path / "studies/lecture.yaml"
    words = lecture.read_text(encoding="utf-8")
    lecture.write_text(words + (f"headline: {named}\n" if named else ""), encoding="utf-8")
    seen = gather(*find(project, studies=tmp_path / "studies"))
    for template in ("report.md.j2", "brief.md.j2"):
        first_page = build.markdown(template, build._names(seen, Path("results"))).partition("{#outline}")[0]
        assert ("### Coins {#headline}" in first_page) == shown
        assert ("(figures/coins/by-step.svg)" in first_page) == shown
    lecture.write_text(words + f"headline: {named}\nheadline_says: What noise does\n", encoding="utf-8")
    if shown:
        seen = gather(*find(project, studies=tmp_path / "studies"))
        assert "### What noise does {#headline}" in build.markdown("brief.md.j2", build._names(seen, Path("results")))


def test_a_lecture_that_explains_its_words_has_them_in_the_report_and_another_has_none(
    project: Path, find: Callable, tmp_path: Path
) -> None:
    seen = gather(*find(project))
    assert build.glossary(tmp_path) == ""
    assert "{#words}" not in build.markdown("report.md.j2", build._names(seen, Path("results")))
    (tmp_path / "words.md").write_text("A *coin* falls.\n", encoding="utf-8")
    names = build._names(seen, Path("results"), None, build.glossary(tmp_path))
    assert "## Words {#words}\n\n``` {.study-text}\nA *coin* falls.\n```" in build.markdown("report.md.j2", names)


def test_one_claim_one_prediction_and_one_unit_are_told_in_the_singular() -> None:
    view = prediction([1.0] * 32, "points")
    alone = claim("alone", "supported", view)
    first_page = build.markdown("brief.md.j2", build._names(report(alone), Path("results"))).partition("{#outline}")[0]
    said = " ".join(first_page.split())
    assert (
        "makes **1 claim** that can be written down. **1** of them was put to the test here, with 1 prediction" in said
    )
    assert phrases.size_line(view).startswith("median **1** point")
    assert "(median 1 point, wanted" in phrases.found(alone)
    several = prediction([2.0] * 32, "points")
    assert phrases.size_line(several).startswith("median **2** points")


def test_a_limit_that_is_out_of_date_is_not_told_to_be_not_run() -> None:
    limit = prediction(truths(32, 32), kind="limit")
    old = PredictionView(limit.spec, "out of date", limit.row, limit.state)
    assert phrases.outline_limits(claim("a", "supported", limit, old, old)) == "1 supported, 2 out of date"


def test_no_hash_of_what_stood_there_before_is_shown_beside_what_stands_there_now() -> None:
    view = prediction(truths(32, 32))
    view.row["fixed"] = "0123456789abcdef"
    assert "0123456789abcdef" in phrases.hash_of(view)
    assert phrases.hash_of(PredictionView(view.spec, "out of date", view.row, view.state)) == ""


def test_a_title_and_an_alternative_text_with_signs_of_markdown_are_shown_as_they_are_written() -> None:
    seen = report(claim("alone", "supported", prediction([1.0] * 32)))
    seen = replace(seen, lecture=seen.lecture.model_copy(update={"title": "A *star*"}))
    for template in ("report.md.j2", "brief.md.j2"):
        head = build.markdown(template, build._names(seen, Path("results"))).partition("{#glance}")[0]
        assert head.count(r"A \\*star\\*") == 2, "title and pagetitle"
    assert phrases.attribute('a < b &lt; "c"') == 'a < b &amp;lt; \\"c\\"'


def test_what_turns_with_size_is_told_of_predictions_that_decide_and_are_decided() -> None:
    wide: dict = {"turns": "Four times as wide it is so."}
    seen = report(
        claim("turned", "contradicted", prediction(truths(0, 32)), prediction(truths(1, 32), **wide)),
        claim("open", "inconclusive", prediction(truths(16, 32), **wide)),
        claim("limited", "supported", prediction(truths(32, 32)), prediction(truths(32, 32), kind="limit", **wide)),
    )
    (told,) = seen.turning()
    (view,) = told.turning
    assert (told.id, view) == ("turned", told.predictions[1])
    assert "Part of it [turns with size or machine](#turns)." in phrases.contradiction(told)


def test_what_turns_is_told_of_a_prediction_that_is_decided_on_one_data_set_alone() -> None:
    tests = [
        {**prediction(truths(k, 44)).row["tests"][0], "data": data} for data, k in (("mnist5k", 44), ("digits", 14))
    ]
    plain = prediction(truths(14, 44), turns="Four times as wide it is so.")
    torn = PredictionView(plain.spec, "inconclusive", {"tests": tests})
    (told,) = report(claim("steps", "contradicted", prediction(truths(0, 44)), torn)).turning()
    (view,) = told.turning
    assert (told.id, view) == ("steps", torn)


def test_what_is_said_of_verdicts_at_quick_is_not_said_at_another_scale(project: Path) -> None:
    claim = load_study(project / "studies", "coins").claims[1]
    asked = claim.predictions[0].model_copy(update={"turns": "Of larger coins it is."})
    turned = claim.model_copy(update={"predictions": [asked]})
    said = [gathering._at(turned, scale).predictions[0].turns for scale in ("quick", "smoke", "full")]
    assert said == ["Of larger coins it is.", None, None]


@pytest.mark.parametrize("turned", [False, True])
def test_the_first_page_and_the_prediction_say_what_turns_and_nothing_is_judged_anew_for_it(
    project: Path, find: Callable, tmp_path: Path, turned: bool
) -> None:
    shutil.copytree(project / "studies", tmp_path / "studies", ignore=shutil.ignore_patterns("__pycache__"))
    spec = tmp_path / "studies/coins/study.yaml"
    words, asked = spec.read_text(encoding="utf-8"), "says: The mean is above ten.\n"
    assert asked in words
    if turned:
        spec.write_text(words.replace(asked, f"{asked}        turns: Of larger coins it is.\n"), encoding="utf-8")
    seen = gather(*find(project, studies=tmp_path / "studies"))
    assert seen.claims["noise-is-large"].state == "contradicted"
    for template in ("report.md.j2", "brief.md.j2"):
        first_page, _, rest = build.markdown(template, build._names(seen, Path("results"))).partition("{#outline}")
        assert ("turn with size" in first_page) == turned
        assert ("It [turns with size or machine](#turns)." in first_page) == turned
        assert (r"_The mean is above ten\._ Of larger coins it is\." in " ".join(first_page.split())) == turned
        if template == "report.md.j2":
            assert ("Turns\n:   Of larger coins it is" in rest) == turned


def test_a_contradicted_claim_names_what_one_data_set_says_for_it() -> None:
    against = prediction(truths(0, 24))
    tests = [
        {**prediction(truths(k, 44)).row["tests"][0], "data": data} for data, k in (("mnist5k", 44), ("digits", 14))
    ]
    torn = PredictionView(against.spec, "inconclusive", {"tests": tests})
    line = phrases.contradiction(claim("steps", "contradicted", against, torn))
    assert "True in **0 of 24 runs**" in line
    assert r"But: It is\. True in **44 of 44 runs** on MNIST, **14 of 44 runs** on digits." in line
    open_ = PredictionView(against.spec, "inconclusive", {"tests": tests[1:]})
    assert "But" not in phrases.contradiction(claim("steps", "contradicted", against, open_))
