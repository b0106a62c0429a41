"""Faults that people meet elsewhere, on the toy lecture: names of folders, force, what may not be written."""

import json
import os
import shutil
import subprocess
import time

import pytest

from .conftest import REPOSITORY, copy_of
from .test_staleness import REPORT, again, files_of


def starts(project, study):
    """When the published parts of a study were begun."""
    facts = json.loads((project.results(study) / "provenance.json").read_text())
    return {name: part["start"] for name, part in facts["parts"].items()}


FORCES = {
    "a study": (("-R", "run_coin"), {}, {"coin"}),
    "everything": (("-F",), {}, {"coin", "walk"}),
    "everything, in pieces": (("-F",), {"shards": 2}, {"coin", "walk"}),
    "a target": (("-f", "run_walk"), {}, {"walk"}),
}


@pytest.mark.parametrize("what", FORCES)
def test_forced_means_trained(project, what):
    words, config, trained = FORCES[what]
    before = {study: starts(project, study) for study in ("coin", "walk")}
    time.sleep(1.1)  # starts are written in seconds
    said = project.snakemake(*words, **config)
    assert said.returncode == 0, said.stdout
    if what == "a target":
        assert project.planned() == {"publish_walk"}, "what people read no longer shows what is there"
        assert project.snakemake().returncode == 0
    for study in before:
        after = starts(project, study)
        renewed = {name for name in after if after[name] > before[study][name]}
        assert renewed == (set(after) if study in trained else set())
    assert project.planned() == set()
    status, said = project.claimcheck("report")
    assert status == 0, said


def test_what_is_forced_is_followed_by_what_is_made_from_it(finished):
    assert finished.planned("-R", "run_coin") == again("coin", "run", "judge", "plot")
    assert finished.planned("-R", "plot_coin") == again("coin", "plot")
    assert finished.planned("-R", "report") == REPORT


NAMES = {
    "everything a shell reads": """it's "re" 1 50%41 $HOME `id` &;*[a]?#b\\n""",
    "letters of the world": "Übung \u00a0 結果 🙂",
    "here": ".",
    "hidden": ".results",
    "a step up": "../elsewhere",
    "like the scale": "smoke",
    "like the store": "x/smoke/.store/y",
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


@pytest.mark.parametrize("place", ["the working folder", "the project's folder"])
def test_folders_that_are_read_are_looked_for_where_one_works_and_then_in_the_project(finished, tmp_path, place):
    project = copy_of(finished, tmp_path / "project")
    if place == "the project's folder":
        shutil.rmtree(project.studies)
    named = {"the working folder": "studies", "the project's folder": "tests/end_to_end/studies"}[place]
    assert project.planned(studies_dir=named, data_dir="data") == set()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("what", ["results", "reports", "studies"])
def test_a_dry_run_needs_no_leave_to_write(project, what):
    folder = project.folder / what
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    assert project.planned() == set()
    assert "run_coin" in project.planned(seeds=14)


def test_no_file_of_the_repository_is_a_symbolic_link():
    listed = subprocess.run(["git", "ls-files", "-s"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not in a clone of the repository")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]
    assert (REPOSITORY / "profiles/default/config.yaml").is_file()
