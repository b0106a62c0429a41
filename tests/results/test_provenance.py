"""Where results come from: the commit of the package's own repository, versions, machine; nobody's name."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.results import sources
from claimcheck.results.provenance import Git, git_state, machine, made_by_all, read_provenance, versions
from claimcheck.results.seals import sealed

REPOSITORY = Path(__file__).parents[2]
ASK = "from claimcheck.results.provenance import git_state; print(git_state().model_dump_json())"


def git(folder, *words):
    """Git in `folder`, without settings from elsewhere."""
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | own
    who = ["-c", "user.name=Nobody", "-c", "user.email=nobody@example.org"]
    done = subprocess.run(
        ["git", *who, *words], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def another(tmp_path):
    """Another repository, with a commit."""
    folder = tmp_path / "another"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "file").write_text("1")
    git(folder, "add", "file")
    git(folder, "commit", "-q", "-m", "A file")
    return folder


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
in_a_clone = pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="not in a clone of the repository")


@needs_git
@in_a_clone
def test_the_commit_is_that_of_the_package_wherever_one_works(another, monkeypatch):
    expected = git(REPOSITORY, "rev-parse", "HEAD")
    monkeypatch.chdir(another)
    assert git_state().commit == expected
    monkeypatch.setenv("GIT_DIR", str(another / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(another))
    monkeypatch.setenv("GIT_INDEX_FILE", str(another / "none"))
    assert git_state().commit == expected


def asked(package, folder):
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    words = [sys.executable, "-c", ASK]
    said = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout
    return Git.model_validate_json(said)


@needs_git
def test_a_package_in_somebody_elses_repository_has_no_commit_until_it_is_tracked_there(another, tmp_path):
    package = another / "lib" / "claimcheck"
    shutil.copytree(sources.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert asked(package, tmp_path) == Git(), "installed beside somebody's files"
    git(another, "add", "lib")
    git(another, "commit", "-q", "-m", "The package")
    commit = git(another, "rev-parse", "HEAD")
    assert asked(package, tmp_path) == Git(commit=commit, dirty=False)
    (another / "notes").write_text("untracked")
    assert asked(package, tmp_path).dirty is False
    (another / "file").write_text("2")
    assert asked(package, tmp_path) == Git(commit=commit, dirty=True)


@needs_git
def test_a_package_in_no_repository_has_no_commit(tmp_path):
    package = tmp_path / "lib" / "claimcheck"
    shutil.copytree(sources.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    assert asked(package, tmp_path) == Git(commit=None, dirty=None)


def test_versions_name_what_changes_numbers():
    found = versions()
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert {"torch", "numpy", "claimcheck"} <= set(found)
    assert found["torch"][0].isdigit()


def test_nothing_names_the_machines_owner():
    assert set(machine()) == {"system", "architecture", "processor", "instructions", "cores", "memory_gib", "device"}


def test_what_was_made_in_pieces_names_every_machine_commit_and_version_once():
    here = {"processor": "A", "cores": 2, "device": "cpu"}
    there = {"processor": "B", "cores": 2, "device": "cuda", "accelerator": "H100"}
    pieces = [
        {"git": {"commit": "1" * 40, "dirty": False}, "versions": {"torch": "2.12"}, "machine": here},
        {"git": {"commit": "1" * 40, "dirty": True}, "versions": {"torch": "2.13"}, "machine": there},
    ]
    made = made_by_all([*pieces, made_by_all(pieces)])
    assert made["git"] == {"commit": "1" * 40, "dirty": True}
    assert made["versions"] == {"torch": "2.12; 2.13"}
    assert made["machine"] == {"processor": "A; B", "cores": 2, "device": "cpu; cuda", "accelerator": "H100"}
    assert made_by_all(pieces[:1]) == pieces[0]
    nowhere = {"git": {"commit": None, "dirty": None}, "versions": {}, "machine": {"cores": 4}}
    assert made_by_all([nowhere])["git"] == nowhere["git"]
    assert made_by_all([pieces[0], nowhere])["machine"]["cores"] == "2; 4"


def test_a_studys_provenance_is_that_of_its_parts(locate, make):
    walk = make(locate("walk"), "run", "assemble")
    facts = walk.read_provenance()
    assert (facts.study, facts.scale, facts.digest) == ("walk", "smoke", walk.records_digest)
    assert facts.seeds == {"walks": 14, "aimed": 14}
    assert {name: part.digest for name, part in facts.parts.items()} == {
        name: files.digest for name, files in walk.parts.items()
    }
    assert [each.name for each in facts.ensembles] == [
        "walks/confirm/drift=0.0", "walks/confirm/drift=0.5", "aimed/pilot", "aimed/confirm"
    ]  # fmt: skip
    # two goals x four pushes x eight pilot seeds; two goals x fourteen seeds
    assert [each.runs for each in facts.ensembles] == [14, 14, 64, 28]
    aimed = facts.parts["aimed"]
    assert (aimed.pilot_seeds, aimed.arms) == (8, 2)
    assert aimed.ingredients == walk.parts["aimed"].ingredients
    assert set(facts.files) == {"records.parquet", "tuning.parquet"}


def test_no_user_host_or_folder_is_named(locate, make, tmp_path, monkeypatch):
    user, host = "a-user-of-this-machine", "a-name-of-this-machine"
    system, named = os.uname(), platform.uname()._replace(node=host)
    monkeypatch.setenv("LOGNAME", user)  # which `getpass` asks first
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((system.sysname, host, *system[2:])))
    monkeypatch.setattr(platform, "uname", lambda: named)
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert (getpass.getuser(), platform.node(), os.uname().nodename) == (user, host, host)
    text = make(locate("coin"), "run", "assemble").provenance.read_text()
    for private in (user, host, str(tmp_path), str(REPOSITORY)):
        assert private not in text


CHANGES = {
    "seeds in words": lambda facts: facts.update(seeds={"tosses": "many"}),
    "a list of files": lambda facts: facts.update(files=[]),
    "no parts": lambda facts: facts.pop("parts"),
    "a part without ingredients": lambda facts: facts["parts"]["tosses"].pop("ingredients"),
    "an ensemble without anything": lambda facts: facts["parts"]["tosses"]["ensembles"].append({}),
    "a list of cores": lambda facts: facts["parts"]["tosses"]["machine"].update(cores=[2]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_provenance_of_another_shape_is_one_line(locate, make, name):
    path = make(locate("coin"), "run", "assemble").provenance
    facts = read_json(path)
    facts.pop("checksum")
    CHANGES[name](facts)
    write_json(path, sealed(facts))
    with pytest.raises(ClaimcheckError, match=r"strange shape.*make it again: claimcheck run coin") as raised:
        read_provenance(path, "claimcheck run coin")
    assert "\n" not in str(raised.value)
    assert path.name in str(raised.value)
