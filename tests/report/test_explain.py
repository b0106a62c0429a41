"""From a card to its records: every run's number, the command that makes it again, the line that reads its records."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from claimcheck import load_records
from claimcheck.cli import app
from claimcheck.errors import ClaimcheckError
from claimcheck.report import explain, pages
from claimcheck.report.gather import ReportView, gather
from claimcheck.results.state import Results
from claimcheck.spec.config import Config

Find = Callable[..., tuple[Config, dict[str, Results]]]


@pytest.fixture(scope="module")
def seen(project: Path, find: Find) -> ReportView:
    return gather(*find(project))


def told(seen: ReportView, name: str, results: str = "results/quick") -> explain.Explained:
    return explain.explained(*explain.find(seen, name), seen, results)


def test_every_runs_number_is_the_verdicts_own_and_k_of_them_are_true(seen: ReportView) -> None:
    found = told(seen, "mean-is-zero")
    (outcome,) = explain.find(seen, "mean-is-zero")[1].outcomes
    (series,) = found.series
    assert [value for _, value, _ in series.runs] == list(outcome.values)
    assert sum(true for _, _, true in series.runs) == outcome.k
    assert series.told.startswith(f"{outcome.k} of {outcome.n} runs, supported; median")
    assert [seed for seed, _, _ in series.runs] == list(range(16))


def test_the_line_of_pandas_reads_the_records_behind_the_number(project: Path, seen: ReportView) -> None:
    found = told(seen, "mean-is-zero", str(project / "results/quick"))
    rows = eval(found.reading, {"load_records": load_records})  # what a reader would type
    assert list(rows.columns) == ["run", "seed", "step", "x"]
    own = rows.groupby("seed")["x"].mean()
    assert [value for _, value, _ in found.series[0].runs] == pytest.approx(own.to_list())


def test_of_two_cells_the_rows_of_both_are_read(project: Path, seen: ReportView) -> None:
    found = told(seen, "effect", str(project / "results/quick"))
    assert "arm in ['treated', 'untreated']" in found.reading
    rows = eval(found.reading, {"load_records": load_records})
    assert rows["seed"].value_counts().unique().tolist() == [4], "two arms on two data sets"


def test_the_command_names_the_part_and_goes_on_to_the_verdict(seen: ReportView) -> None:
    assert told(seen, "mean-is-zero").again == (
        "claimcheck run coins/tosses --scale quick --force && claimcheck assemble coins --scale quick"
        " && claimcheck judge coins --scale quick"
    )
    assert told(seen, "sign-decides").again.startswith("claimcheck run coins --scale quick --force && claimcheck judge")


def test_the_commands_name_seeds_and_block_where_they_are_not_the_studys_own(seen: ReportView) -> None:
    other = replace(seen, seeds=3, offset=1)
    options = "--scale quick --seeds 3 --registration-offset 1"
    assert told(other, "sign-decides").again == (
        f"claimcheck run coins {options} --force && claimcheck judge coins {options}"
    )
    assert told(other, "sign-decides").publishing == f"claimcheck publish coins {options}"
    assert f"  claimcheck publish coins {options}" in explain.lines(told(other, "sign-decides"))
    assert not any("publish" in line for line in explain.lines(told(seen, "sign-decides")))
    study, _ = explain.find(other, "sign-decides")
    steps = [f"claimcheck {step} coins {options}" for step in ("run", "judge", "plot")]
    assert pages.commands(study, other).split("\n") == [*steps, f"claimcheck report {options}"]


def test_data_sets_stand_apart_and_what_was_not_judged_says_so(seen: ReportView) -> None:
    assert [each.data for each in told(seen, "effect").series] == ["clear", "digits"]
    lines = explain.lines(told(seen, "never-run-mean"))
    assert "No numbers: it has not been judged as it stands now at this scale." in lines
    study, view = explain.find(seen, "effect")
    for note, words in (("part gpu: it needs a GPU",) * 2, ("", "its data are not run at this scale")):
        idle = replace(view, state="not run", row={**view.row, "tests": [], "note": note})
        lines = explain.lines(explain.explained(study, idle, seen, "results/quick"))
        assert f"No numbers: {words}." in lines, "it was judged, and this came of it"


def test_a_name_may_be_mistyped_or_of_two_studies(seen: ReportView) -> None:
    with pytest.raises(ClaimcheckError, match="no such prediction; found 'mean-is-zerro'; did you mean 'mean-is-zero'"):
        explain.find(seen, "mean-is-zerro")
    assert explain.find(seen, "coins/mean-is-zero")[1].spec.id == "mean-is-zero"


def test_the_page_has_the_same_folded(project: Path, seen: ReportView) -> None:
    page = (project / "reports/quick/report.html").read_text(encoding="utf-8")
    card = page[page.index('id="prediction-coins-mean-is-zero"') :]
    folded = re.search(r'<details class="explained">(.*?)</details>', card, re.DOTALL)[1]
    found = told(seen, "mean-is-zero")
    plain = re.sub(r"<[^>]+>", "", folded).replace("&quot;", '"').replace("&amp;", "&")
    assert found.reading in plain
    assert found.again in plain
    assert len(re.findall(r"\S+ [✓✗]", plain.partition("(First seed")[0])) == 16
    assert "0: " in plain, "the first seed; the others follow it"


def test_runs_that_are_too_few_are_called_so(project: Path, find: Find) -> None:
    few = gather(*find(project))
    study, view = explain.find(few, "mean-is-zero")
    tests = [{**test, "verdict": "not run"} for test in view.row["tests"]]
    (series,) = explain.explained(study, replace(view, row={**view.row, "tests": tests}), few, "results").series
    assert series.told.startswith("16 of 16 runs, too few runs to decide; median")


def test_the_command_prints_it(project: Path, capsys: pytest.CaptureFixture) -> None:
    folders = [f"--results-dir={project / 'results'}", f"--studies-dir={project / 'studies'}", "--device=cpu"]
    app(["show", "coins/mean-is-zero", *folders, "--data-dir=my data"], standalone_mode=False)
    said = capsys.readouterr().out
    assert said.startswith("The mean $\\bar x$ is zero.")
    assert len(re.findall(r"^  seed \d+ ", said, re.MULTILINE)) == 16
    assert "of 16 runs, supported; median" in said
    (steps,) = [line.split(" && ") for line in said.splitlines() if line.startswith("  claimcheck run")]
    where = f"--scale quick --device cpu --results-dir {project / 'results'} --studies-dir {project / 'studies'}"
    assert [step.strip() for step in steps] == [
        f"claimcheck run coins/tosses {where} --data-dir 'my data' --force",
        *(f"claimcheck {step} coins {where}" for step in ("assemble", "judge")),
    ], "what made these results, not others; and each with options that it has"
