"""Records that were replaced under the same digest: what was made from the earlier ones is neither current nor kept."""

from __future__ import annotations

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results import records as recording
from claimcheck.results import view
from claimcheck.results.reasons import explain
from claimcheck.results.state import Collection

OTHER_REGION = ("walk/study.yaml", "[-4, 4]", "[-3, 4]")


@pytest.fixture
def run_again(make):
    """run_again(results): a run whose numbers differ from those of the run before, as measured times do."""

    def replace(results):
        files = results.parts["walks"]
        frame, facts = recording.read_sealed(files.records, "")
        recording.write_sealed(files.records, frame.assign(end=frame["end"] + 1.0), facts)
        make(results, "assemble")

    return replace


def test_verdicts_and_figures_of_replaced_records_are_not_current_and_not_read(locate, make, run_again):
    walk = make(locate("walk"))
    run_again(walk)
    assert (walk.has_records(), walk.judged(), walk.drawn()) == (True, False, False)
    with pytest.raises(ClaimcheckError, match=r"was judged from other records.*claimcheck judge walk --scale smoke"):
        walk.read_verdicts()
    with pytest.raises(ClaimcheckError, match=r"was drawn from other records.*claimcheck plot walk --scale smoke"):
        walk.figure_files()
    with pytest.raises(ClaimcheckError, match="from other records"):
        view.check(walk)
    lines = explain(walk)
    assert lines[1].startswith("assemble: up to date")
    assert [line.split(":")[:2] for line in lines[2:]] == [["judge", " would run"], ["plot", " would run"]]


@pytest.mark.parametrize("after", [view.withdraw, view.publish], ids=["in the store alone", "published"])
def test_what_follows_from_replaced_records_is_taken_away(locate, make, run_again, after):
    walk = make(locate("walk"))
    run_again(walk)
    after(walk)
    assert not any(path.exists() for path in (walk.verdicts, walk.controls, walk.figures, walk.receipt))
    assert all(path.is_file() for path in walk.assembled)
    view.publish(make(walk, "judge", "plot"))
    assert walk.receipt.is_file()
    view.check(walk)


def test_verdicts_of_another_judge_go_too_and_those_of_another_design_stay(locate, make, run_again, change):
    elsewhere = locate("walk", seeds=3)
    first = make(make(elsewhere, "run", "assemble", "judge") and locate("walk"))
    change(*OTHER_REGION)
    second = make(locate("walk"))
    assert (first.records, first.verdicts == second.verdicts) == (second.records, False)
    run_again(second)
    view.withdraw(second)
    assert not first.verdicts.exists(), "changed back, it would be taken for current"
    assert elsewhere.verdicts.is_file()
    assert elsewhere.judged()


def test_the_same_numbers_again_change_nothing(locate, make, listed, config):
    walk = make(locate("walk"))
    before = listed(config.results)
    make(walk, "assemble")
    view.withdraw(walk)
    assert listed(config.results) == before
    assert (walk.judged(), walk.drawn(), walk.receipt.is_file()) == (True, True, True)


@pytest.mark.parametrize("reports", ["reports", "elsewhere"])
def test_a_report_of_replaced_records_is_made_again(locate, make, run_again, tmp_path, reports):
    """Also where it was published into a folder that the run does not know of, once the study is published there."""
    walk = make(locate("walk", reports_dir=tmp_path / reports))
    found = Collection(walk.config, {"walk": walk})
    found.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        (found.report / name).write_text(name)
    view.publish_report(found)
    run_again(walk)
    view.withdraw(locate("walk"))
    assert not found.report.exists()
    view.publish(make(walk, "judge", "plot"))
    assert not found.receipt.is_file()


def test_a_published_report_that_the_store_holds_keeps_its_receipt(locate, make):
    walk = make(locate("walk"))
    found = Collection(walk.config, {"walk": walk})
    found.report.mkdir(parents=True)
    found.receipt.parent.mkdir(parents=True)
    found.receipt.touch()
    view.publish(walk)
    assert found.receipt.is_file()
