"""Faults that people meet elsewhere, on the toy lecture: names of folders, force, what may not be written."""

import json
import shutil
import subprocess
import sys
import time

import pytest

from .conftest import REPOSITORY, clone, copy_of, without_leave
from .test_staleness import REPORT, again, files_of


def starts(project, study):
    """When the published parts of a study were begun."""
    facts = json.loads((project.results(study) / "provenance.json").read_text())
    return {name: part["start"] for name, part in facts["parts"].items()}


FORCES = {
    "a study": (("coin", "-R", "run_coin"), {}, {"coin"}),
    "everything of a study, in pieces": (("walk", "-F"), {"shards": 2}, {"walk"}),
    "a target": (("-f", "run_walk"), {}, {"walk"}),
}


@pytest.mark.parametrize("what", FORCES)
def test_forced_means_trained(project, by_hand, what):
    words, config, trained = FORCES[what]
    before = {study: starts(project, study) for study in ("coin", "walk")}
    time.sleep(1.1)  # starts are written in seconds
    said = project.snakemake(*words, **config)
    assert said.returncode == 0, said.stdout
    if what == "a target":
        assert project.planned() == {"publish_walk"}, "what people read no longer shows what is there"
        assert project.snakemake("walk").returncode == 0
    for study in before:
        after = starts(project, study)
        renewed = {name for name in after if after[name] > before[study][name]}
        assert renewed == (set(after) if study in trained else set())
    assert project.planned() <= REPORT
    if what == "a study":
        status, said = by_hand("report")
        assert status == 0, said


def test_what_is_forced_is_followed_by_what_is_made_from_it(finished):
    assert finished.planned("-R", "run_coin") == again("coin", "run", "judge", "plot")
    assert finished.planned("-R", "plot_coin") == again("coin", "plot")
    assert finished.planned("-R", "report") == REPORT - {"slides"}


def test_pilots_that_are_forced_are_followed_by_the_runs_they_tune(finished):
    cut = {"shards": 2}
    assert finished.planned(**cut) == set()
    after = {"tune walk", "piece walk", "join walk", "assemble_walk"} | again("walk", "judge", "plot")
    assert finished.planned("-R", "tune", **cut) == after
    table = next(finished.results("walk").glob("parts/*.tuning.parquet")).relative_to(finished.folder)
    assert finished.planned("-R", str(table), **cut) == after
    assert finished.planned("-R", "judge_walk", **cut) == again("walk", "judge"), "and no others"


NAMES = {
    "all that a shell reads, letters of the world": """it's "re" 1 50%41 $HOME `id` &;*[a]?#b\\n Übung \u00a0 結果 🙂""",
    "here": ".",
    "a step up, hidden": "../.elsewhere",
    "like the scale and the store": "smoke/.store/y",
    "like an option": "./--force",
}


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder_works(fresh, name):
    fresh.studies.rename(fresh.folder / "my {lecture}'s")
    fresh.studies = fresh.folder / "my {lecture}'s"
    (fresh.folder / "it's").write_text("mine")
    said = fresh.snakemake("coin", results_dir=NAMES[name], reports_dir="~/re ports", data_dir="my data")
    assert said.returncode == 0, said.stdout
    assert (fresh.folder / NAMES[name] / "smoke/coin/verdicts.json").is_file()
    assert (fresh.folder / "it's").read_text() == "mine"


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("results_dir", "my {results}"),
        ("results_dir", "tab\tinside"),
        ("reports_dir", "half {"),
        ("data_dir", "data{}"),
    ],
)
def test_a_name_that_snakemake_cannot_use_is_one_line_before_anything_is_written(fresh, key, name):
    before = files_of(fresh.folder)
    said = fresh.snakemake(**{key: name})
    assert said.returncode != 0
    (told,) = [line for line in said.stdout.splitlines() if line.startswith("claimcheck: ")]
    assert f"config.yaml: {key}: " in told
    assert files_of(fresh.folder) == before


CUT = [
    ("results_dir", "a #b"),
    ("results_dir", "&a b"),
    ("reports_dir", "a "),
    ("data_dir", "!a b"),
    ("studies_dir", "a\nb"),
]


@pytest.mark.parametrize(("key", "said"), CUT, ids=["comment", "anchor", "blank", "tag", "line break"])
def test_a_name_that_yaml_would_cut_is_one_line_before_anything_is_written(fresh, key, said):
    before = files_of(fresh.folder)
    told = fresh.snakemake("--dry-run", **{key: said})
    assert told.returncode != 0
    (line,) = [line for line in told.stdout.splitlines() if line.startswith("claimcheck: ")]
    assert f"--config {key}: is cut or changed" in line
    assert "quotes of its own" in line
    assert files_of(fresh.folder) == before


def test_a_name_in_quotes_of_its_own_is_taken_as_it_is(finished):
    assert "publish_coin" in finished.planned(results_dir='"a #b"')
    assert "publish_coin" in finished.planned(results_dir="'a #b '")


def test_the_project_may_lie_in_a_folder_of_any_name(tmp_path):
    name = "a:b; it's {50%}#1 $HOME"
    (tmp_path / name).mkdir()
    project = clone(tmp_path / name)
    with (project.folder / "src/claimcheck/cli/app.py").open("a") as file:
        file.write('\nprint("the code of this folder")\n')
    said = project.snakemake("coin", studies_dir="studies", data_dir="data")
    assert said.returncode == 0, said.stdout
    assert "the code of this folder" in (project.results("coin") / "judge.log").read_text()


@pytest.mark.parametrize("place", ["the working folder", "the project's folder"])
def test_folders_that_are_read_are_looked_for_where_one_works_and_then_in_the_project(finished, tmp_path, place):
    project = copy_of(finished, tmp_path / "project")
    if place == "the project's folder":
        shutil.rmtree(project.studies)
    named = {"the working folder": "studies", "the project's folder": "tests/end_to_end/studies"}[place]
    assert project.planned(studies_dir=named, data_dir="data") == set()


@pytest.mark.parametrize("what", ["results", "reports", "studies"])
def test_a_dry_run_needs_no_leave_to_write(project, what):
    folder = project.folder / what
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    project.before = without_leave
    refused = project.run([sys.executable, "-c", "import sys; open(sys.argv[1], 'w')", str(folder / "new")])
    assert "Permission denied" in refused.stdout, "the folder can be written to after all"
    assert project.planned() == set()
    assert {"run_coin", "publish_coin", "publish_report"} <= project.planned(seeds=15)


def test_no_file_of_the_repository_is_a_symbolic_link():
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not in a clone of the repository")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]
    assert (REPOSITORY / "profiles/default/config.yaml").is_file()


@pytest.mark.parametrize("key", ["results_dir", "reports_dir", "data_dir"])
@pytest.mark.parametrize(
    ("name", "told"),
    [("/dev/null", "is no folder"), ("/dev/null/within", "Not a directory"), ("x" * 300, "File name too long")],
    ids=["a device", "within a device", "too long"],
)
def test_what_can_be_no_folder_is_one_line_before_anything_is_written(fresh, key, name, told):
    before = files_of(fresh.folder)
    one_line_of(fresh.snakemake("--dry-run", **{key: name}), name, told)
    assert files_of(fresh.folder) == before


def test_code_that_may_not_be_read_is_one_line(fresh):
    (fresh.studies / "coin" / "runs.py").chmod(0)
    fresh.before = without_leave
    one_line_of(fresh.snakemake("--dry-run"), "coin/runs.py", "Permission denied")


def test_links_to_nothing_among_the_results_stop_no_pipeline(project):
    for name in (".#notes.md", "smoke/.#notes.md", "smoke/coin/.#notes.md"):
        (project.folder / "results" / name).symlink_to("somebody@host.123:456")
    (project.folder / "results" / "smoke" / "itself").symlink_to("itself")
    (project.store("coin") / "records").symlink_to("nothing")
    said = project.snakemake("coin", scale="smoke", seeds=15)
    assert said.returncode == 0, said.stdout


def one_line_of(said, *pieces):
    """Snakemake failed with one line that holds all `pieces`."""
    assert said.returncode != 0
    (told,) = [line for line in said.stdout.splitlines() if line.startswith("claimcheck: ")]
    assert [piece for piece in pieces if piece not in told] == []
    assert "Traceback" not in said.stdout
