"""A project folder with the toy lecture in it, and Snakemake run there as a user would."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from filelock import FileLock

from . import slurm_cluster
from .preloaded import Preloaded

REPOSITORY = Path(__file__).parents[2]
TOY = Path(__file__).parent / "studies"

pytest.importorskip("snakemake", reason="Snakemake is not installed")


@cache
def preloaded() -> Preloaded:
    """One for all calls of this process of the tests."""
    return Preloaded()


@dataclass
class Project:
    """A working folder with studies of its own, beside the repository's Snakefile and engine."""

    folder: Path
    studies: Path
    snakefile: Path = REPOSITORY / "Snakefile"
    before: Callable[[], None] | None = None
    """Called in the new process before Snakemake takes its place."""

    def command(self, *words: str, **config: object) -> list[str]:
        """The words of a call of Snakemake for this folder."""
        chosen = {"studies_dir": self.studies, "scale": "smoke", "data_dir": self.folder / "data", **config}
        settings = [f"{key}={value}" for key, value in chosen.items()]
        snakemake = [sys.executable, "-m", "snakemake", "--snakefile", str(self.snakefile)]
        return [*snakemake, "--cores", "2", *words, "--config", *settings]

    def snakemake(
        self, *words: str, environment: dict[str, str] | None = None, **config: object
    ) -> subprocess.CompletedProcess:
        """Run Snakemake and give what it said (standard output and error together)."""
        command = self.command(*words, **config)
        if environment is None and self.before is None:
            command[0] = str(preloaded().python)
        return self.run(command, environment)

    def run(self, command: list[str], environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
        """Run a command in the project's folder."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**(environment or os.environ), "COLUMNS": "200"},
            preexec_fn=self.before,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )

    def planned(self, *words: str, **config: object) -> set[str]:
        """What would run: names of rules, with the study's after those that serve several."""
        said = self.snakemake("--dry-run", *words, **config)
        assert said.returncode == 0, said.stdout
        blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", said.stdout, flags=re.MULTILINE)
        named = {(rule, re.search(r"wildcards: .*?study=(\w+)", body)) for rule, body in blocks}
        return {f"{rule} {study[1]}" if study else rule for rule, study in named} - {"all", "coin", "walk"}

    def claimcheck(self, step: str, *words: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Do one step by hand; its exit status, and all that it said."""
        command = [sys.executable, "-m", "claimcheck", step, *words, "--scale", "smoke"]
        said = subprocess.run(
            [*command, "--studies-dir", str(self.studies)],
            cwd=self.folder,
            env={**(environment or os.environ), "PYTHONPATH": str(self.snakefile.parent / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        return said.returncode, said.stdout

    def store(self, study: str) -> Path:
        """Folder that the pipeline works in."""
        return self.folder / "results/smoke/.store" / study

    def results(self, study: str, scale: str = "smoke") -> Path:
        """Folder of a study's results."""
        return self.folder / "results" / scale / study


def without_leave() -> None:
    """Make this process, and what it becomes, heed the modes of files even where root started it (capabilities(7))."""
    if os.geteuid() == 0:
        drop, override, read_search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        for capability in (override, read_search):
            if ctypes.CDLL(None, use_errno=True).prctl(drop, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "root may not give up its leave to write everywhere")


NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.pyc")


def clone(folder: Path) -> Project:
    """A project with a Snakefile, an engine and the toy lecture of its own, as a working copy of the repository has."""
    for name in ("src", "workflow", "profiles"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=NOT_COPIED)
    shutil.copytree(TOY, folder / "studies", ignore=NOT_COPIED)
    shutil.copy(REPOSITORY / "Snakefile", folder)
    return Project(folder, folder / "studies", folder / "Snakefile")


def copy_of(project: Project, folder: Path) -> Project:
    """The same project, results and all, in another place."""
    shutil.copytree(project.folder, folder)
    return Project(folder, folder / "studies")


@pytest.fixture(scope="session", autouse=True)
def interruptible():
    """Ctrl-C reaches what the tests start, also where the tests themselves run in a shell's background, deaf to it.

    And a Slurm that killed tests left behind slows no call of Snakemake.
    """
    slurm_cluster.tidy_up()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, request) -> Project:
    """The toy lecture, run to its report: once for all processes of the tests, each of which has a copy.

    Tests that change anything work on a copy of that.
    """
    above = tmp_path_factory.getbasetemp()
    folder = (above.parent if hasattr(request.config, "workerinput") else above) / "finished"
    first = Project(folder / "project", folder / "project/studies")
    with FileLock(folder.with_name("finished.lock")):
        if not (folder / "whole").exists():
            shutil.copytree(TOY, first.studies, ignore=NOT_COPIED, dirs_exist_ok=True)
            said = first.run(first.command())
            assert said.returncode == 0, said.stdout
            (folder / "whole").touch()
        return copy_of(first, tmp_path_factory.mktemp("finished") / "project")


@pytest.fixture
def project(finished, tmp_path) -> Project:
    """A copy of the finished project, to be changed."""
    return copy_of(finished, tmp_path / "project")


@pytest.fixture
def by_hand(project, monkeypatch, capsys, status_of):
    """by_hand(step, *words): a step by hand in the copied project, in this process; exit status, and all that it said."""

    def call(step: str, *words: str) -> tuple[int, str]:
        monkeypatch.chdir(project.folder)
        options = ["--scale", "smoke", "--studies-dir", str(project.studies)]
        return status_of(step, *words, *options), "".join(capsys.readouterr())

    return call


@pytest.fixture
def fresh(tmp_path) -> Project:
    """The toy lecture in a folder where nothing was run."""
    folder = tmp_path / "fresh"
    shutil.copytree(TOY, folder / "studies", ignore=NOT_COPIED)
    return Project(folder, folder / "studies")


def edit(path: Path, old: str, new: str) -> None:
    """Replace the one occurrence of `old` in a file."""
    text = path.read_text()
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))
