"""Progress while the pipeline runs: what is told on a terminal and in a log, and when it will be done."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from claimcheck.cli import options
from claimcheck.cli.progress import SHARE, Display

RULES = {"run_walk": 1, "judge_walk": 1, "plot_walk": 1, "run_coin": 1, "publish_walk": 1, "report": 1, "total": 6}


class Clock:
    """Seconds that a test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def display() -> Display:
    return Display(io.StringIO(), Clock())


def said(display: Display) -> list[str]:
    return display.console.file.getvalue().splitlines()


def begin(display: Display, log: Path, percent: float | None = None) -> None:
    if percent is not None:
        log.write_text(
            f"some words\n{SHARE.format(study='walk', percent=10)}\n{SHARE.format(study='walk', percent=percent)}\n"
        )
    display.start(1, "run_walk", [str(log)], [])


def test_in_a_log_each_step_is_a_line_without_signs_for_terminals(display: Display, tmp_path: Path) -> None:
    display.plan(RULES)
    begin(display, tmp_path / "run.log")
    display.plan_.clock.now += 90
    display.finish(1)
    display.start(2, "judge_walk", [], [])
    display.finish(2)
    display.start(3, "publish_report", [], ["results/.view-1", "reports/quick/report.html"])
    display.finish(3)
    display.close()
    assert said(display) == [
        "6 steps; 2 studies to train",
        "walk: trained in 90 s, 1 of 2, about 90 s left",
        "walk: judged",
        "reports/quick/report.html, after 90 s",
    ]
    assert "\x1b" not in display.console.file.getvalue()


def test_of_studies_cut_into_pieces_every_piece_is_told_under_its_study(display: Display) -> None:
    display.plan({"tune": 1, "piece": 2, "join": 1, "assemble_walk": 1, "judge_walk": 1, "total": 6})
    walks = {"study": "walk", "part": "walks", "digest": "0123456789abcdef"}
    pieces = [("piece", {**walks, "piece": number}) for number in "12"]
    for job, (rule, wildcards) in enumerate([("tune", walks), *pieces, ("join", walks), ("assemble_walk", {})]):
        display.start(job, rule, [], [], wildcards)
        display.plan_.clock.now += 10
        display.finish(job)
        state = display._state(display.plan_.rows()["walk"])
        assert state == ["1 piece trained", "2 pieces trained", *["3 pieces trained"] * 2, "trained"][job]
    assert said(display) == [
        "6 steps; 3 pieces to train",
        "walk/walks: tuned in 10 s, 1 of 3, about 20 s left",
        "walk/walks, piece 1: trained in 10 s, 2 of 3, about 10 s left",
        "walk/walks, piece 2: trained in 10 s, 3 of 3",
        "walk/walks: joined",
        "walk: trained",
    ]


def test_a_training_that_failed_is_not_done_and_says_nothing_of_how_long_others_take(display: Display) -> None:
    display.plan({"run_walk": 1, "run_coin": 1, "run_third": 1, "total": 1})
    for job, study in enumerate(("coin", "walk")):
        display.start(job, f"run_{study}", [], [])
    display.plan_.clock.now += 2
    display.fail(0)
    assert display.plan_.seconds_left() is None
    display.plan_.clock.now += 88
    display.finish(1)
    assert said(display) == ["1 step; 3 studies to train", "walk: trained in 90 s, 1 of 3, about 90 s left"]


@pytest.mark.parametrize(("percent", "left"), [(None, None), (2, None), (25, 30 + 40)])
def test_the_time_left_follows_from_what_the_steps_tell(
    display: Display, tmp_path: Path, percent: float | None, left: float | None
) -> None:
    """A quarter took 10 s: the study takes 30 s more, and one that waits as long as it in all."""
    display.plan(RULES)
    begin(display, tmp_path / "run.log", percent)
    display.plan_.clock.now += 10
    assert display.plan_.seconds_left() == (None if left is None else pytest.approx(left))


def test_two_at_a_time_take_half_as_long(display: Display, tmp_path: Path) -> None:
    display.plan({**RULES, "run_third": 1, "run_fourth": 1})
    begin(display, tmp_path / "run.log", 50)
    display.start(2, "run_coin", [str(tmp_path / "run.log")], [])
    display.plan_.clock.now += 10
    assert display.plan_.seconds_left() == pytest.approx((10 + 10 + 20 + 20) / 2)


def test_on_a_terminal_every_study_has_a_row(display: Display, tmp_path: Path) -> None:
    display.plan_.expect(RULES)
    begin(display, tmp_path / "run.log", 25)
    display.plan_.clock.now += 10
    shown = Console(width=100, file=io.StringIO())
    shown.print(display._table())
    rows = [" ".join(line.replace("━", "").split()) for line in shown.file.getvalue().splitlines()]
    assert rows[0] == "coin waiting"
    assert rows[1].startswith("walk")
    assert rows[1].endswith("25%, about 30 s left")
    assert rows[2:] == ["report waiting", "training takes about 70 s more"]


def test_of_a_job_that_failed_its_log_is_shown_and_other_faults_in_snakemakes_words(tmp_path: Path) -> None:
    from snakemake_interface_logger_plugins.common import LogEvent

    from snakemake_logger_plugin_claimcheck import LogHandler

    handler = LogHandler(SimpleNamespace(stdout=False, dryrun=False, verbose=False), None)
    handler.display = Display(io.StringIO(), Clock())
    log = str(tmp_path / "run.log")
    Path(log).write_text("claimcheck: runs.py: failed\n", encoding="utf-8")
    for level, words, more in (
        (logging.INFO, "Building DAG of jobs...", {}),
        (logging.INFO, "", {"event": LogEvent.RUN_INFO, "stats": RULES}),
        (logging.INFO, "", {"event": LogEvent.JOB_INFO, "jobid": 4, "rule_name": "run_coin", "log": [], "output": []}),
        (logging.ERROR, "CalledProcessError in ...", {"event": LogEvent.ERROR, "exception": "RuleException"}),
        (
            logging.ERROR,
            "Error in rule run_coin",
            {"event": LogEvent.JOB_ERROR, "jobid": 4, "rule_name": "run_coin", "log": [log]},
        ),
        (logging.ERROR, "At least one job did not complete successfully.", {}),
        (logging.INFO, "Nothing to be done (all requested files are present and up to date).", {}),
    ):
        record = logging.LogRecord("snakemake", level, "", 0, words, None, None)
        record.__dict__.update(more)
        handler.emit(record)
    handler.close()
    told = said(handler.display)
    assert told[1:] == [
        f"run_coin failed. {log}:",
        "    claimcheck: runs.py: failed",
        "At least one job did not complete successfully.",
        "Nothing to do: everything is there, and of the present sources.",
    ]
    assert handler.display._state(handler.display.plan_.rows()["coin"]) == "failed"


def test_a_step_tells_its_log_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    update = options._shares("walk", clock)
    for done in range(1, 21):
        clock.now += 1
        update(done, 20, "part")
    assert capsys.readouterr().err.splitlines() == [f"walk: {percent} % done" for percent in (25, 50, 75, 100)]
