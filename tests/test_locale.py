"""Whatever the locale: files and pipes of ours are UTF-8, names of folders are right, and a terminal shows a substitute."""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
LETTERS = "σ ≥ ½, 中, 🎲 and é"
QUESTION = f"question: Is a letter such as {LETTERS} shown?"


@pytest.fixture(scope="session")
def latin9(tmp_path_factory):
    """The variables of a locale whose letters are ISO 8859-15, as de_DE@euro."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("no localedef")
    command = ["localedef", "-i", "de_DE@euro", "-f", "ISO-8859-15", str(folder / "de_DE@euro")]
    subprocess.run(command, capture_output=True, check=False)
    if not (folder / "de_DE@euro").is_dir():
        pytest.skip("the system has no description of de_DE@euro")
    return {"LC_ALL": "de_DE@euro", "LOCPATH": str(folder)}


LOCALES = {
    "ASCII, and Python's UTF-8 mode switched off": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "C": {"LC_ALL": "C"},
    "POSIX, from LANG": {"LANG": "POSIX"},
    "one that is not installed": {"LC_ALL": "xx_XX.nonsense"},
    "UTF-8, and Python told to write ASCII": {"LANG": "C.UTF-8", "PYTHONIOENCODING": "ascii"},
    "UTF-8, and Python told to write UTF-16": {"LANG": "C.UTF-8", "PYTHONIOENCODING": "utf-16"},
    "ISO 8859-15": None,
}


@pytest.fixture(params=LOCALES)
def environment(request):
    """The variables of a process in each locale."""
    chosen = LOCALES[request.param]
    chosen = request.getfixturevalue("latin9") if chosen is None else chosen
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    return {**kept, "PYTHONPATH": str(REPOSITORY / "src"), "TERM": "dumb", **chosen}


@pytest.fixture
def project(studies, tmp_path):
    """A folder with letters in its name, and in it studies with letters in their text."""
    folder = tmp_path / "Ünï 中"
    folder.mkdir()
    shutil.move(studies, folder / "studies")
    path = folder / "studies" / "coin" / "study.yaml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(QUESTION if line.startswith("question:") else line for line in lines), encoding="utf-8")
    assert QUESTION in path.read_text(encoding="utf-8")
    return folder


def command(*words):
    return [sys.executable, "-P", "-m", "claimcheck", *words]


def on_terminal(words, folder, environment):
    """What a terminal receives, and the exit status."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.execve(words[0], words, environment)
    said = b""
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:
            piece = b""
        if not piece:
            break
        said += piece
    return said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_pipe_gets_utf8(project, environment):
    done = subprocess.run(command("list"), cwd=project, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert LETTERS in " ".join(done.stdout.decode("utf-8").split())


def test_an_error_is_one_line_of_utf8(project, environment):
    done = subprocess.run(command("why", "nö-中"), cwd=project, env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.decode("utf-8").splitlines()
    assert "nö-中" in line


def test_folders_have_the_names_that_were_asked_for(project, environment):
    shutil.copytree(project / "studies", project / "Fächer" / "中 🎲")
    words = command("new", "mine", "--studies-dir", "Fächer/中 🎲")
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (project / "Fächer" / "中 🎲" / "mine" / "study.yaml").is_file()


def test_a_terminal_shows_a_substitute_for_a_letter_that_it_lacks(project, latin9):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHON"))}
    kept |= {"PYTHONPATH": str(REPOSITORY / "src"), "TERM": "dumb", "COLUMNS": "300"}
    ascii_alone = LOCALES["ASCII, and Python's UTF-8 mode switched off"]
    said, status = on_terminal(command("why", "nö-中"), project, {**kept, **ascii_alone})
    assert (status, b"n?-?" in said) == (2, True), said
    said, status = on_terminal(command("why", "nö-中"), project, {**kept, **latin9})
    assert (status, "nö-?".encode("iso-8859-15") in said) == (2, True), said
    said, status = on_terminal(command("why", "nö-中"), project, {**kept, "LC_ALL": "C.UTF-8"})
    assert (status, "nö-中".encode() in said) == (2, True), said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ASCII, and Python's UTF-8 mode switched off", "ISO 8859-15"])
def test_a_study_is_run_judged_drawn_and_reported_in_any_locale(name, project, request):
    chosen = LOCALES[name] or request.getfixturevalue("latin9")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    kept |= {"PYTHONPATH": str(REPOSITORY / "src"), **chosen}
    path = project / "studies" / "coin" / "study.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(LETTERS, "σ ≥ ½ and é"), encoding="utf-8")
    for step in (["run", "coin"], ["judge", "coin"], ["plot", "coin"], ["report", "--study", "coin"]):
        words = command(*step, "--scale", "smoke", "--results-dir", "Ergebnisse für 中")
        done = subprocess.run(words, cwd=project, env=kept, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
    assert "σ ≥ ½ and é" in (project / "reports" / "smoke" / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_snakemake_says_in_one_line_when_its_locale_cannot_spell_a_folder(project):
    pytest.importorskip("snakemake", reason="Snakemake is not installed")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON"))}
    kept |= LOCALES["ASCII, and Python's UTF-8 mode switched off"]
    config = ["studies_dir=studies", "scale=smoke", "results_dir=für mich"]
    words = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile"), "--dry-run"]
    words = [*words, "--config", *config]
    done = subprocess.run(words, cwd=project, env=kept, capture_output=True, check=False)
    assert done.returncode != 0
    said = (done.stdout + done.stderr).decode(errors="replace")
    assert "the locale cannot spell the folders' names; run: export PYTHONUTF8=1" in said
    assert "UnicodeEncodeError" not in said
    done = subprocess.run(words, cwd=project, env={**kept, "PYTHONUTF8": "1"}, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
