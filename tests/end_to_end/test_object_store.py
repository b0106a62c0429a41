"""The pipeline without a shared file system: files in an object store, jobs in folders of their own."""

import shutil
import subprocess

import pytest

from claimcheck.files import sha256

from .conftest import clone, edit
from .object_store import install, store


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """Snakemake's plugins for object stores and for other schedulers, and a server."""
    folder = tmp_path_factory.mktemp("packages") / "installed"
    if reason := install(folder):
        pytest.skip(reason)
    return folder


def listed_by_git(folder):
    """A working copy with the toy lecture in it: jobs get what git lists, and nothing else."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed: jobs get the files that it lists")
    made = clone(folder)
    (folder / ".gitignore").write_text("/.snakemake/\n/results/\n/reports/\n")
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return made


@pytest.mark.slow
def test_an_object_store_and_jobs_in_folders_of_their_own_give_the_same_records(finished, packages, tmp_path):
    here = listed_by_git(tmp_path / "clone")
    with store(packages, tmp_path / "store") as kept:
        settings = {"environment": kept.environment, "studies_dir": "studies", "data_dir": "data", "studies": "[walk]"}
        said = here.snakemake(*kept.words, *kept.elsewhere, **settings)
        assert said.returncode == 0, said.stdout + kept.said()
        ran = [path for path in kept.jobs.iterdir() if (path / "work/Snakefile").is_file()]
        assert len(ran) > 8, "every step but publishing is a job elsewhere"
        for name in ("records.parquet", "tuning.parquet", "verdicts.json", "controls.json"):
            assert sha256(here.results("walk") / name) == sha256(finished.results("walk") / name), name
        assert not list(here.results("walk").glob("parts/*")), "parts stay in the store"
        assert (here.folder / "reports/smoke/report.pdf").is_file()
        page = (here.folder / "reports/smoke/report.html").read_text()
        assert "has not been run" not in page, "what a report shows is fetched for it"
        assert "walk/figures/ends" in page
        before = page.encode()
        again = here.snakemake(*kept.words, *kept.elsewhere, **settings)
        assert "Nothing to be done" in again.stdout, again.stdout
        edit(here.studies / "walk/runs.py", "    ends = ", '    raise RuntimeError("lost")\n    ends = ')
        failed = here.snakemake(*kept.words, **settings)
        assert failed.returncode != 0
        assert "the report in reports/smoke is left as it is" in failed.stdout, failed.stdout
        assert (here.folder / "reports/smoke/report.html").read_bytes() == before, "of what lies in the store, not here"
        other = listed_by_git(tmp_path / "other")
        planned = other.planned(*kept.words, **settings)
        assert planned == {"publish_walk", "publish_report"}, "another clone asks the store"
