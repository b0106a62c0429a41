"""The environment: pinned by hash, and its own. Half-made, copied or moved it is made anew; no setting reaches into it.

Making one takes minutes and a network, so most tests watch `make` call a Python that only notes what it is told.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="no make")


def test_every_package_of_the_lock_is_pinned_by_hash_and_by_no_index():
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = re.findall(r"^[A-Za-z0-9][\w.\-]*==\S+", lock, flags=re.MULTILINE)
    hashed = re.findall(r"^[A-Za-z0-9][\w.\-]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", lock, flags=re.MULTILINE)
    assert len(pinned) == len(hashed) > 100
    assert "http" not in lock
    assert "--index" not in lock


# ---- make env ----

PYTHON = """#!/bin/sh
# A Python that notes what it is told; `-m venv` copies it, `-m pip` puts a uv beside it that notes as well.
echo "$(basename "$0") $*" >> "$NOTES"
env > "$NOTES.environment"
case "$*" in
    *"-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-m pip"*) test "$STOP_AT" = pip && exit 1; cp "$0" .venv/bin/uv ;;
    *"$STOP_AT"*) test -n "$STOP_AT" && exit 1 ;;
esac
exit 0
"""
STEPS = ["python3 -c", "python3 -m venv", "python -m pip", "uv pip sync", "uv pip install"]


class Clone:
    """A folder with the project's Makefile and a lock, and the noting Python on the search path."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder, self.tools, self.notes = folder, tools, tools / "notes"

    def make(self, *words: str, **variables: str) -> list[str]:
        """What `make env` called, by the first words of each call."""
        self.notes.unlink(missing_ok=True)
        own = {"PATH": f"{self.tools}:{os.environ['PATH']}", "NOTES": str(self.notes), "STOP_AT": ""}
        command = ["make", "env", *words]
        # Not what `make test PYTHON=...`, which runs these tests, was told.
        rest = {
            name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKEOVERRIDES", "PYTHON")
        }
        subprocess.run(command, cwd=self.folder, env={**rest, **own, **variables}, capture_output=True, check=False)
        called = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [" ".join(line.split()[: 2 if "-c" in line.split() else 3]) for line in called]

    def seen(self) -> dict[str, str]:
        """The variables that the last call saw."""
        lines = self.notes.with_name("notes.environment").read_text().splitlines()
        return dict(line.partition("=")[::2] for line in lines if "=" in line)


@pytest.fixture
def clone(tmp_path):
    tools, folder = tmp_path / "tools", tmp_path / "a clone"
    for each in (tools, folder):
        each.mkdir()
    shutil.copy(REPOSITORY / "Makefile", folder)
    (folder / "requirements.lock").write_text("uv==0.9.0 \\\n    --hash=sha256:0\n")
    (folder / "requirements-bench.lock").touch()
    (tools / "python3").write_text(PYTHON)
    (tools / "python3").chmod(0o755)
    return Clone(folder, tools)


@needs_make
def test_an_environment_is_made_once_and_follows_the_lock(clone):
    assert clone.make() == STEPS
    assert clone.make() == []
    (clone.folder / "requirements.lock").touch()
    assert clone.make() == []
    with (clone.folder / "requirements.lock").open("a") as lock:
        lock.write("pip==26.0\n")
    assert clone.make() == STEPS[2:]
    assert clone.make() == []


@needs_make
@pytest.mark.parametrize("step", ["pip", "sync", "editable"])
@pytest.mark.parametrize("stamped", [False, True])
def test_a_half_made_environment_is_made_anew(step, stamped, clone):
    """Stopped at any step of the first making, or of the one after the lock changed."""
    if stamped:
        clone.make()
        (clone.folder / "requirements.lock").write_text("uv==0.10.0 \\\n    --hash=sha256:0\n")
    clone.make(STOP_AT=step)
    assert clone.make() == STEPS
    assert clone.make() == []


@needs_make
def test_an_environment_without_the_mark_of_a_whole_one_is_made_anew(clone):
    """What an interrupted `python -m venv` leaves: a Python, and no pip."""
    (clone.folder / ".venv" / "bin").mkdir(parents=True)
    shutil.copy(clone.tools / "python3", clone.folder / ".venv" / "bin" / "python")
    assert clone.make() == STEPS


def copied(clone):
    shutil.copytree(clone.folder, clone.folder.with_name("copy"), symlinks=True)
    return Clone(clone.folder.with_name("copy"), clone.tools)


def moved(clone):
    return Clone(clone.folder.rename(clone.folder.with_name("moved")), clone.tools)


def another_machine(clone):
    mark = clone.folder / ".venv" / ".made-for"
    place, _, python = mark.read_text().splitlines()
    mark.write_text(f"{place}\nDarwin arm64\n{python}\n")
    return clone


def python_removed(clone):
    program = clone.folder / ".venv" / "bin" / "python"
    program.unlink()
    program.symlink_to(clone.tools / "python3.10-that-was-removed")
    return clone


def python_upgraded(clone):
    program = clone.folder / ".venv" / "bin" / "python"
    shutil.copy(program, clone.tools / "python3.14")
    program.unlink()
    program.symlink_to(clone.tools / "python3.14")
    return clone


@needs_make
@pytest.mark.parametrize("change", [copied, moved, another_machine, python_removed, python_upgraded])
def test_an_environment_that_was_made_for_another_place_or_python_is_made_anew(change, clone):
    clone.make()
    other = change(clone)
    assert other.make() == STEPS
    assert other.make() == []
    if change is copied:
        assert clone.make() == [], "the first clone keeps its own"


@needs_make
def test_a_link_to_the_folder_is_the_same_place(clone):
    clone.make()
    link = clone.folder.with_name("link")
    link.symlink_to(clone.folder)
    assert Clone(link, clone.tools).make() == []


ELSEWHERE = {
    "PIP_USER": "1",
    "PIP_TARGET": "/elsewhere",
    "PIP_PREFIX": "/elsewhere",
    "PIP_NO_DEPS": "1",
    "PIP_DRY_RUN": "1",
    "PIP_CONSTRAINT": "/elsewhere.txt",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "UV_SYSTEM_PYTHON": "1",
    "UV_CONSTRAINT": "/elsewhere.txt",
    "UV_OVERRIDE": "/elsewhere.txt",
    "UV_NO_BINARY": "1",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_PROJECT_ENVIRONMENT": "/elsewhere",
    "UV_COMPILE_BYTECODE": "0",
    "PYTHONPATH": "/elsewhere",
    "PYTHONHOME": "/elsewhere",
}
SOURCES = {
    "PIP_INDEX_URL": "https://mirror.example/packages",
    "PIP_EXTRA_INDEX_URL": "https://mirror.example/more",
    "PIP_TRUSTED_HOST": "mirror.example",
    "PIP_CERT": "/etc/own.pem",
    "PIP_PROXY": "http://proxy.example:3128",
    "PIP_CACHE_DIR": "/large/disk",
    "UV_INDEX_URL": "https://mirror.example/packages",
    "UV_DEFAULT_INDEX": "https://mirror.example/packages",
    "UV_INDEX_MIRROR_PASSWORD": "secret",
    "UV_FIND_LINKS": "/wheels",
    "UV_HTTP_TIMEOUT": "600",
    "UV_LINK_MODE": "copy",
    "UV_CACHE_DIR": "/large/disk",
}


@needs_make
def test_no_setting_of_the_user_reaches_into_the_environment_but_where_packages_come_from(clone):
    clone.make(**ELSEWHERE, **SOURCES)
    seen = clone.seen()
    left = {name: seen[name] for name in ELSEWHERE if name in seen}
    assert left == {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "UV_COMPILE_BYTECODE": "1"}
    assert {name: seen.get(name) for name in SOURCES} == SOURCES


@needs_make
def test_what_make_calls_speaks_utf8_and_draws_into_no_window(clone):
    clone.make(PYTHONUTF8="0", MPLBACKEND="module://matplotlib_inline.backend_inline")
    assert (clone.seen()["PYTHONUTF8"], clone.seen()["MPLBACKEND"]) == ("1", "agg")


def locked(*names):
    """The lines of requirements.lock for some packages."""
    lock = (REPOSITORY / "requirements.lock").read_text()
    pattern = "|".join(map(re.escape, names))
    return "".join(
        found[0] for found in re.finditer(rf"^(?:{pattern})==(?:[^\n]*\\\n)*[^\n]*\n", lock, flags=re.MULTILINE)
    )


@needs_make
@pytest.mark.slow
@pytest.mark.network
def test_a_real_environment_is_made_under_settings_that_would_put_it_elsewhere(tmp_path):
    """With the real pip and uv, for a project of one module; then copied, it runs the copy's code."""
    first, second = tmp_path / "first", tmp_path / "second"
    (first / "src" / "claimcheck").mkdir(parents=True)
    (first / "src" / "claimcheck" / "__init__.py").write_text("NAME = 'first'\n")
    shutil.copy(REPOSITORY / "Makefile", first)
    (first / "requirements-bench.lock").touch()
    build = ["hatchling", "packaging", "pathspec", "pluggy", "trove-classifiers", "editables", "uv"]
    (first / "requirements.lock").write_text(locked(*build))
    project = (
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n[project]\nname = "claimcheck"\n'
    )
    wheel = (
        '[tool.hatch.build]\ndev-mode-dirs = ["src"]\n[tool.hatch.build.targets.wheel]\npackages = ["src/claimcheck"]\n'
    )
    (first / "pyproject.toml").write_text(f'{project}version = "0"\n{wheel}')
    (tmp_path / "pip.conf").write_text("[install]\nuser = true\n")
    spoilt = {"PIP_USER": "1", "PIP_NO_DEPS": "1", "UV_SYSTEM_PYTHON": "1", "PYTHONPATH": str(tmp_path)}

    def made(folder):
        command = ["make", "env", f"PYTHON={sys.executable}"]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **spoilt}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        code = "import claimcheck, hatchling; print(claimcheck.NAME, hatchling.__file__)"
        said = subprocess.run(
            [folder / ".venv/bin/python", "-I", "-c", code], capture_output=True, text=True, check=True
        )
        return said.stdout.split()

    name, place = made(first)
    assert name == "first"
    assert place.startswith(str(first))
    shutil.copytree(first, second, symlinks=True)
    (second / "src" / "claimcheck" / "__init__.py").write_text("NAME = 'second'\n")
    name, place = made(second)
    assert name == "second"
    assert place.startswith(str(second))


def test_the_suite_tests_the_code_beside_it_whatever_is_installed():
    import claimcheck

    assert Path(claimcheck.__file__).is_relative_to(REPOSITORY)
    assert tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"][
        "pythonpath"
    ] == ["src"]
