"""The view: the present results under the names that people read, whole and of one digest; nothing else touched."""

from __future__ import annotations

import shutil

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.results import view
from claimcheck.results.state import Collection

FARTHER = ("walk/study.yaml", "walks: {steps: 200}", "walks: {steps: 300}")
BACK = (FARTHER[0], FARTHER[2], FARTHER[1])


def shown(results, listed):
    """The view's files and their checksums, parts and receipts aside."""
    names = [name for name in listed(results.view) if not name.startswith(("parts/", ".view-"))]
    return {name: sha256(results.view / name) for name in names}


def receipts(results):
    return list(results.view.glob(".view-*"))


def test_it_shows_what_the_store_holds(locate, make, listed):
    walk = make(locate("walk"))
    stored = {
        "records.parquet": walk.records,
        "tuning.parquet": walk.tuning,
        "provenance.json": walk.provenance,
        "verdicts.json": walk.verdicts,
        "controls.json": walk.controls,
        **{f"figures/{path.name}": path for path in walk.drawings},
    }
    assert shown(walk, listed) == {name: sha256(path) for name, path in stored.items()}
    assert receipts(walk) == [walk.receipt]
    view.check(walk)


def test_publishing_what_is_current_touches_nothing_and_what_was_changed_is_put_right(locate, make):
    walk = make(locate("walk"))
    files = [walk.receipt, walk.view / "verdicts.json"]
    before = [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files]
    view.publish(walk)
    assert [(path.stat().st_ino, path.stat().st_mtime_ns) for path in files] == before, "not even for a moment"
    files[1].write_text("edited")
    view.publish(walk)
    assert sha256(files[1]) == sha256(walk.verdicts)
    (walk.view / ".view-0123456789abcdef").touch()
    view.publish(walk)
    assert receipts(walk) == [walk.receipt]


def test_without_verdicts_or_figures_there_is_no_receipt(locate, make, listed):
    coin = locate("coin")
    for steps in (("run", "assemble"), ("judge",)):
        make(coin, *steps, "publish")
        assert receipts(coin) == []
    assert set(shown(coin, listed)) == {"records.parquet", "provenance.json", "verdicts.json", "controls.json"}


def test_what_is_not_of_the_present_digest_is_taken_out(locate, make, change, listed):
    make(locate("walk"))
    change("walk/study.yaml", "[-4, 4]", "[-3, 4]")
    walk = locate("walk")
    make(walk, "publish")
    assert receipts(walk) == []
    assert "verdicts.json" not in shown(walk, listed)
    assert {"records.parquet", "figures/ends.svg"} <= set(shown(walk, listed))


def test_there_and_back_again_nothing_is_made_and_the_same_is_shown(locate, make, change, listed):
    first = make(locate("walk"))
    before = shown(first, listed)
    change(*FARTHER)
    other = make(locate("walk"))
    assert shown(other, listed)["verdicts.json"] != before["verdicts.json"]
    assert receipts(other) == [other.receipt]
    change(*BACK)
    again = locate("walk")
    assert again.judged()
    assert again.drawn()
    assert not again.receipt.is_file(), "the view shows the others"
    view.publish(again)
    assert shown(again, listed) == before
    assert receipts(again) == [again.receipt]


def test_files_of_ones_own_beside_ours_stay(locate, make, change):
    walk = make(locate("walk"))
    own = [walk.view / "thoughts.md", walk.view / "figures" / "sketch.svg", walk.view / "run.log"]
    for path in own:
        path.write_text("mine")
    change(*FARTHER)
    make(locate("walk"))
    change("walk/study.yaml", "{id: ends, part: walks, caption", "{id: ways, part: walks, caption")
    change("walk/figures.py", "def plot_ends", "def plot_ways")
    view.publish(locate("walk"))
    assert [path.read_text() for path in own] == ["mine"] * 3
    assert not (walk.view / "figures" / "ends.svg").exists(), "a figure of ours that is no more"


def test_what_is_there_with_the_same_bytes_is_not_written_again(locate, make):
    coin = make(locate("coin"))
    path = coin.view / "records.parquet"
    before = path.stat().st_ino
    view.publish(coin)
    assert path.stat().st_ino == before


def test_it_can_be_published_into_another_folder(locate, make, tmp_path, listed):
    coin = make(locate("coin"))
    view.publish(coin, tmp_path / "elsewhere")
    there = tmp_path / "elsewhere" / "smoke" / "coin"
    assert {name for name in listed(there) if "view" not in name} == set(shown(coin, listed))
    assert (there / coin.receipt.name).is_file()


EDITS = {
    "a verdict is edited": ("verdicts.json", lambda path: path.write_text(path.read_text().replace("half", "hlaf"))),
    "records are cut off": ("records.parquet", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    "the pilots' table is cut off": ("tuning.parquet", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    "a figure is edited": ("figures/ends.svg", lambda path: path.write_text("<svg/>")),
    "a figure is gone": ("figures/ends.svg", lambda path: path.unlink()),
    "what came of the controls is gone": ("controls.json", lambda path: path.unlink()),
    "provenance is another": ("provenance.json", lambda path: path.write_text("{}")),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edited_view_is_refused_and_published_again(locate, make, name):
    file, edit = EDITS[name]
    walk = make(locate("walk"))
    edit(walk.view / file)
    if name == "a verdict is edited":
        (walk.view / file).write_text((walk.view / file).read_text() + " ")
    with pytest.raises(ClaimcheckError, match=r"publish it again: claimcheck publish walk --scale smoke") as raised:
        view.check(walk)
    assert str(walk.view / file) in str(raised.value)
    view.publish(walk)
    view.check(walk)


def test_a_view_of_earlier_results_is_not_held_against_the_present_ones(locate, make, change):
    make(locate("walk"))
    change(*FARTHER)
    view.check(locate("walk"))


DAMAGE = {
    "records": ("records", "run"),
    "the pilots' table": ("tuning", "run"),
    "provenance": ("provenance", "run"),
    "verdicts": ("verdicts", "judge"),
    "what came of the controls": ("controls", "judge"),
    "a figure": ("drawings", "plot"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_store_is_not_published(locate, make, listed, name):
    file, step = DAMAGE[name]
    walk = make(locate("walk"))
    before = shown(walk, listed)
    path = walk.drawings[0] if file == "drawings" else getattr(walk, file)
    path.write_bytes(path.read_bytes()[:-20])
    for ask in (view.check, view.publish):
        with pytest.raises(ClaimcheckError, match=f"claimcheck {step} walk --scale smoke") as raised:
            ask(walk)
        assert "\n" not in str(raised.value)
        assert str(walk.store) in str(raised.value), "not the whole file that people read"
    assert (shown(walk, listed), receipts(walk)) == (before, [walk.receipt])


@pytest.mark.parametrize("lacking", ["report.html", "report.pdf", "evidence.pdf", "verdicts.csv", None])
@pytest.mark.parametrize("names", [("coin",), ("coin", "walk")])
def test_a_report_that_the_store_does_not_hold_whole_is_not_published(locate, make, config, listed, lacking, names):
    found = Collection(config, {name: make(locate(name)) for name in names})
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        if lacking not in (None, name):
            found.report.mkdir(parents=True, exist_ok=True)
            (found.report / name).write_text(name)
    config.reports.mkdir(parents=True)
    (config.reports / ".view-0123456789abcdef").write_text("of an earlier report")
    before = listed(config.reports_dir), listed(config.results_dir)
    named = "" if len(names) == 2 else " --study coin"
    folders = [f"--{key}-dir {getattr(config, f'{key}_dir')}" for key in ("results", "studies", "reports")]
    with pytest.raises(ClaimcheckError) as raised:
        view.publish_report(found)
    assert f"by hand: claimcheck report --scale smoke --device cpu {' '.join(folders)}{named}" in str(raised.value)
    assert (listed(config.reports_dir), listed(config.results_dir)) == before


def test_a_report_of_what_is_judged_is_published_where_not_all_is(locate, make, config):
    coin = make(locate("coin"))
    made = Collection(config, {"coin": coin})
    made.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        (made.report / name).write_text(name)
    view.publish_report(Collection(config, {"coin": coin, "walk": locate("walk")}))
    assert made.receipt.is_file()


def test_the_report_is_published_with_its_table(locate, config, tmp_path):
    quick = config.model_copy(update={"scale": "quick", "reports_dir": tmp_path / "reports"})
    found = Collection(quick, {"coin": locate("coin", scale="quick")})
    found.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        (found.report / name).write_text(name)
    (quick.reports).mkdir(parents=True)
    (quick.reports / ".view-0123456789abcdef").write_text("of an earlier report")
    (quick.reports / "mine.txt").write_text("mine")
    view.publish_report(found)
    assert {path.name for path in quick.reports.iterdir()} == {
        "report.html", "report.pdf", "evidence.pdf", "mine.txt", found.receipt.name
    }  # fmt: skip
    assert (quick.results / "verdicts.csv").read_text() == "verdicts.csv"
    shutil.rmtree(quick.results / ".store")
    assert (quick.results / "verdicts.csv").is_file(), "a copy, not a link"


@pytest.mark.parametrize("publish", [view.publish_report, view.publish_slides])
def test_slides_that_somebody_has_edited_are_kept_under_another_name(locate, config, tmp_path, publish):
    quick = config.model_copy(update={"scale": "quick", "reports_dir": tmp_path / "reports"})
    found = Collection(quick, {"coin": locate("coin", scale="quick")})
    found.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv", "slides.pptx", "slides.pdf"):
        (found.report / name).write_text(name)
    publish(found)
    slides = quick.reports / "slides.pptx"
    publish(found)
    assert sorted(path.name for path in quick.reports.glob("slides*")) == ["slides.pdf", "slides.pptx"]
    for times, kept in enumerate(["slides-edited.pptx", "slides-edited-2.pptx"]):
        slides.write_text(f"edited {times}")
        publish(found)
        assert (quick.reports / kept).read_text() == f"edited {times}"
        assert slides.read_text() == "slides.pptx"


@pytest.mark.parametrize("publish", [view.publish_report, view.publish_slides])
def test_slides_that_nobody_has_edited_are_replaced_though_the_store_has_lost_them(locate, config, tmp_path, publish):
    quick = config.model_copy(update={"scale": "quick", "reports_dir": tmp_path / "reports"})
    found = Collection(quick, {"coin": locate("coin", scale="quick")})
    found.report.mkdir(parents=True)
    for edition in ("first", "second"):  # forced or pruned, the store no longer has the first
        for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv", "slides.pptx", "slides.pdf"):
            (found.report / name).write_text(edition)
        publish(found)
    assert sorted(path.name for path in quick.reports.glob("slides*")) == ["slides.pdf", "slides.pptx"]
    assert (quick.reports / "slides.pptx").read_text() == "second"
