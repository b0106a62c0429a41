"""Faults that people meet elsewhere: where results lie, what they are made from, what is taken for ours."""

from __future__ import annotations

import os
import shlex

import pytest

from claimcheck.cli import app
from claimcheck.results import digests, view
from claimcheck.results.crate import left_out
from claimcheck.results.state import Collection
from claimcheck.spec.config import Config

YEAR = 365 * 24 * 3600


def dated(folder, seconds):
    """Give every file below a folder a time of its own, `seconds` from what it was."""
    for path in folder.rglob("*"):
        os.utime(path, (path.stat().st_mtime + seconds,) * 2)


def upwards(results):
    """The digests of all that is made of a study."""
    return results.records_digest, results.verdicts_digest, results.figures_digest


CLOCKS = {
    "results from the future": lambda config, studies: dated(config.results, YEAR),
    "sources from the past": lambda config, studies: dated(studies, -YEAR),
    "both from the same moment": lambda config, studies: [dated(config.results, -YEAR), dated(studies, -YEAR)],
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_clocks_decide_nothing(locate, make, config, studies, change, clock):
    make(locate("coin"))
    CLOCKS[clock](config, studies)
    assert not locate("coin").missing_parts()
    change("coin/runs.py", "context.settings.tosses, bias)", "context.settings.tosses, bias - 0.2)")
    CLOCKS[clock](config, studies)
    assert [files.part.name for files in locate("coin").missing_parts()] == ["tosses"]
    assert not locate("coin").judged()
    assert not locate("coin").drawn()


BESIDE = {
    "a table": "odds.csv",
    "a file without an ending": "odds",
    "a file in a folder": "tables/of/odds.json",
    "code in another language": "tosses.cpp",
    "a file called like a text of ours in a folder": "tables/notes.md",
    "a file called nearly as what a desktop leaves": "thumbs.db.csv",
    "a file with a hash": "#1.csv",
}


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_the_code_counts(locate, studies, name):
    path = studies / "coin" / BESIDE[name]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("1")
    before = locate("coin")
    assert f"file {BESIDE[name]}" in before.parts["tosses"].ingredients
    path.write_text("2")
    after = locate("coin")
    assert before.parts["tosses"].digest != after.parts["tosses"].digest
    assert not set(upwards(before)) & set(upwards(after)), "figures and statistics may read it, too"
    path.unlink()
    assert locate("coin").parts["tosses"].digest != after.parts["tosses"].digest


LITTER = [
    ".DS_Store",
    ".ipynb_checkpoints/runs-checkpoint.py",
    "__pycache__/runs.cpython-311.pyc",
    "Thumbs.db",
    "tables/desktop.ini",
    "Icon\r",
    "runs.py~",
    "tables/odds.csv~",
    "#runs.py#",
    ".runs.py.swp",
    "study.yaml.bak",
    "runs.py.orig",
    "figures.py.rej",
    "runs.py.swo",
    "~$odds.xlsx",
]


@pytest.mark.parametrize("name", LITTER)
def test_what_desktops_and_tools_leave_beside_the_code_does_not_count(locate, studies, name):
    before = upwards(locate("coin"))
    path = studies / "coin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("1")
    assert upwards(locate("coin")) == before
    assert path not in digests.files_of(studies / "coin"), "nor is it packed"


def test_no_file_that_the_tests_make_lies_among_the_users_own(config, run_planted, plant, tmp_path):
    planted = run_planted(plant()).config
    for each in (config, planted):
        folders = [getattr(each, name) for name in type(each).model_fields if name.endswith("_dir")]
        assert all(folder.is_relative_to(tmp_path) for folder in folders), folders


@pytest.mark.parametrize("kind", ["a study that is gone", "a folder of one's own", "a file of one's own"])
def test_a_collection_shows_the_studies_that_exist_and_leaves_the_rest_alone(locate, make, config, kind):
    from claimcheck.results.verdicts import table

    make(locate("coin"))
    gone = make(locate("walk")).view
    if kind == "a folder of one's own":
        gone = gone.rename(gone.with_name("my notes"))
    elif kind == "a file of one's own":
        gone = gone / "plan.txt"
        gone.write_text("mine")
    shown = {"coin": locate("coin")}
    from claimcheck.report.build import build

    before = {path: path.read_bytes() for path in (gone.rglob("*") if gone.is_dir() else [gone]) if path.is_file()}
    build(config, shown)
    text = (config.results / "verdicts.csv").read_text()
    assert text == table({"coin": shown["coin"].read_verdicts()})
    assert "walk" not in text
    assert {path: path.read_bytes() for path in before} == before


FOLDERS = {
    "home": ("~/results", "{home}/results"),
    "home alone": ("~", "{home}"),
    "somebody unknown": ("~nobody-of-this-name/results", "~nobody-of-this-name/results"),
    "a tilde inside": ("my~results", "my~results"),
    "a folder called tilde": ("./~", "~"),
}


@pytest.mark.parametrize("name", FOLDERS)
@pytest.mark.parametrize("key", ["results_dir", "reports_dir", "studies_dir", "data_dir"])
def test_a_tilde_is_the_users_home(monkeypatch, tmp_path, name, key):
    from claimcheck.cli.options import folder

    monkeypatch.setenv("HOME", str(tmp_path))
    given, expected = FOLDERS[name]
    assert str(getattr(Config(**{key: given}), key)) == expected.format(home=tmp_path)
    assert str(folder(given)) == expected.format(home=tmp_path)


@pytest.mark.parametrize("value", [2024, 1e-3, None, True, ["results"]])
def test_what_is_no_name_of_a_folder_is_one_line(studies, value):
    from claimcheck.errors import ClaimcheckError
    from claimcheck.spec.reading import load_config

    with pytest.raises(ClaimcheckError, match=r"results_dir: must be the name of a folder.*\./2024") as raised:
        load_config(None, {"studies_dir": str(studies), "results_dir": value})
    assert "\n" not in str(raised.value)


def test_forced_records_take_the_receipt_of_the_old_ones_away(locate, make):
    from claimcheck.running import runner

    coin = make(locate("coin"))
    view.withdraw(coin)
    assert coin.receipt.is_file(), "the view shows what the store holds"
    facts = coin.read_provenance()
    for _ in range(20):  # on a fast machine it can take as many milliseconds again, which would be the same records
        runner.run_parts(coin, coin.parts, again=True)
        runner.assemble(coin)
        if coin.read_provenance().parts["tosses"].ensembles != facts.parts["tosses"].ensembles:
            break
    assert coin.read_provenance().parts["tosses"].ensembles != facts.parts["tosses"].ensembles
    view.withdraw(coin)
    assert not coin.receipt.is_file()
    make(coin, "publish")
    view.check(coin)
    assert coin.receipt.is_file()


@pytest.mark.parametrize("by", ["run", "merge"])
def test_a_part_that_is_made_again_by_hand_is_what_the_study_shows(locate, make, by):
    coin = make(locate("coin"))
    part, first = coin.parts["tosses"], coin.read_provenance().parts["tosses"].ensembles
    again = [f"{part.remedy} --force"]
    if by == "merge":
        merge = part.remedy.replace("claimcheck run", "claimcheck merge")
        again = [*(f"{part.remedy} --force --shard {i}/2" for i in (1, 2)), f"{merge} --shards 2"]
    for _ in range(20):  # on a fast machine it can take as many milliseconds again
        for command in again:
            app(shlex.split(command)[1:], standalone_mode=False)
        if part.read()[1].ensembles != first:
            break
    assert coin.read_provenance().parts["tosses"].ensembles == part.read()[1].ensembles != first
    view.check(coin)


def test_pilots_that_are_made_again_by_hand_say_what_to_make_after_them(locate, make, capsys):
    walk = make(locate("walk"))
    command = walk.parts["aimed"].remedy
    app(shlex.split(f"{command.replace('claimcheck run', 'claimcheck tune')} --force")[1:], standalone_mode=False)
    assert capsys.readouterr().out.endswith(f"of the earlier choice; make them again: {command} --force\n")


def test_a_crate_says_what_it_lacks(locate, make, config, tmp_path):
    config = config.model_copy(update={"reports_dir": tmp_path / "reports"})
    make(locate("coin"))
    lacking = left_out(config, {name: locate(name) for name in ("coin", "walk")})
    assert [line.partition(":")[0] for line in lacking[:1]] == ["walk"]
    assert all(f"claimcheck {step} walk --scale smoke" in lacking[0] for step in ("run", "judge", "plot"))
    named = ("report.html", "report.pdf", "evidence.pdf")
    assert all(name in line for name, line in zip(named, lacking[1:], strict=True))


def test_a_report_that_was_edited_is_not_packed(locate, make, config, tmp_path):
    pytest.importorskip("rocrate", reason="rocrate is not installed")
    from claimcheck.results.crate import export

    config = config.model_copy(update={"reports_dir": tmp_path / "reports"})
    found = Collection(config, {"coin": make(locate("coin"))})
    found.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        (found.report / name).write_text(name)
    view.publish_report(found)
    page = config.reports / "report.html"
    page.write_text("another verdict")
    export(config, found.results, tmp_path / "crate")
    packed = sorted(path.name for path in (tmp_path / "crate/reports/smoke").iterdir())
    assert packed == ["evidence.pdf", "report.pdf"]
    (line,) = left_out(config, found.results)
    assert line.startswith(f"{page}: not as the pipeline published it, left out (make it again: claimcheck report")


def test_a_report_of_earlier_results_is_not_packed_beside_those_that_followed(locate, make, config, change, tmp_path):
    pytest.importorskip("rocrate", reason="rocrate is not installed")
    from claimcheck.results.crate import export

    config = config.model_copy(update={"reports_dir": tmp_path / "reports"})
    found = Collection(config, {"coin": make(locate("coin"))})
    found.report.mkdir(parents=True)
    for name in ("report.html", "report.pdf", "evidence.pdf", "verdicts.csv"):
        (found.report / name).write_text(name)
    view.publish_report(found)
    change("coin/study.yaml", "[0.4, 0.6]", "[0.4, 0.7]")
    now = {"coin": make(locate("coin"))}
    export(config, now, tmp_path / "crate")
    assert not (tmp_path / "crate/reports").exists()
    lacking = [line.partition(": ")[2] for line in left_out(config, now)]
    assert len([line for line in lacking if line.startswith("not known to show the present results, ")]) == 3


def test_a_crate_packs_every_file_that_a_run_may_have_read(locate, make, config, studies, tmp_path):
    pytest.importorskip("rocrate", reason="rocrate is not installed")
    from claimcheck.results.crate import export

    (studies / "coin/tables").mkdir()
    for name in ("odds.csv", "tables/odds.json", "tables/bias.py"):
        (studies / "coin" / name).write_text("{}")
    make(locate("coin"))
    export(config, {"coin": locate("coin")}, tmp_path / "crate")
    packed = {
        str(path.relative_to(tmp_path / "crate/studies/coin"))
        for path in (tmp_path / "crate/studies/coin").rglob("*.*")
    }
    assert packed == {str(path.relative_to(studies / "coin")) for path in digests.files_of(studies / "coin")}
    assert {"study.yaml", "runs.py", "odds.csv", "tables/odds.json", "tables/bias.py"} <= packed
    assert (tmp_path / "crate/Snakefile").read_text().startswith("# The pipeline"), "the one that runs the studies"


@pytest.mark.parametrize("name", ["results #1", "100%", "50%41?", "a b&c", "it's"])
def test_links_lead_to_files_whatever_their_folder_is_called(locate, make, config, tmp_path, name):
    from urllib.parse import unquote, urlsplit

    from claimcheck.report.build import _links
    from claimcheck.report.gather import gather

    results = tmp_path / name
    coin = make(locate("coin", results_dir=results))
    config = config.model_copy(update={"results_dir": results, "reports_dir": tmp_path / "reports"})
    seen = gather(config, {"coin": coin})
    report = tmp_path / "reports" / "smoke"
    study = next(study for study in seen.studies if study.spec.name == "coin")
    found = _links(study, __import__("pathlib").Path(os.path.relpath(results / "smoke", report)))
    assert found
    for _, link in found:
        parts = urlsplit(link)
        assert (parts.query, parts.fragment) == ("", "")
        assert (report / unquote(parts.path)).resolve().is_file()
