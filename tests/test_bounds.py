"""What pyproject.toml allows was tried: each lower bound is a version that ran, and no file says otherwise."""

from __future__ import annotations

import ast
import re
import runpy
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
SCRIPT = runpy.run_path(str(REPOSITORY / "tests/lowest_versions.py"))
ASKED = SCRIPT["direct"]()


def pins(path: str) -> list[Requirement]:
    """Every `name==version` that begins a line of a file."""
    lines = re.findall(r"^[\w.-]+==[^\s;]+", (REPOSITORY / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [Requirement(line) for line in lines]


def version_of(pin: Requirement) -> Version:
    (each,) = pin.specifier
    return Version(each.version)


def lowest(specifier: str) -> Version:
    """The one version that a lower bound names."""
    (each,) = SpecifierSet(specifier)
    assert each.operator == ">=", f"{specifier} is no lower bound"
    return Version(each.version)


def test_each_lower_bound_is_a_version_that_was_tried():
    tried = {pin.name: version_of(pin) for pin in pins("tests/lowest_versions.txt")}
    assert tried == {name: lowest(specifier) for name, specifier in ASKED.items()}, "run tests/lowest_versions.py"


@pytest.mark.parametrize("path", ["requirements.lock", "requirements-bench.lock", "requirements.in"])
def test_what_is_installed_is_allowed(path):
    found = [pin for pin in pins(path) if pin.name in ASKED]
    assert found
    for pin in found:
        assert version_of(pin) in SpecifierSet(ASKED[pin.name]), pin


PYTHON = {
    "pyproject.toml": r'^requires-python = ">=([\d.]+)"',
    "environment.yml": r"^  - python=([\d.]+)$",
    "README.md": r"Python ≥ ([\d.]+) ",
    "Makefile": r"^COMPILE = .*--python-version ([\d.]+) ",
    "tests/lowest_versions.txt": r"^# Tried with Python ([\d.]+) ",
}


@pytest.mark.parametrize("path", PYTHON)
def test_the_lowest_python_is_the_same_wherever_it_is_said(path):
    (said,) = re.findall(PYTHON[path], (REPOSITORY / path).read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert said == "3.11"
    assert PROJECT["tool"]["ruff"]["target-version"] == "py311"


def test_conda_installs_what_was_locked_and_nothing_of_its_own():
    asked = yaml.safe_load((REPOSITORY / "environment.yml").read_text(encoding="utf-8"))
    assert asked["dependencies"] == ["python=3.11", "pip", {"pip": ["--requirement requirements.lock"]}]
    assert asked["channels"] == ["conda-forge"]


def test_what_the_code_imports_is_asked_for():
    """What is there only because another package needs it may be gone at other versions."""
    sources = [*(REPOSITORY / "src").rglob("*.py"), *(REPOSITORY / "studies").rglob("*.py")]
    nodes = [node for path in sources for node in ast.walk(ast.parse(path.read_bytes()))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    imported = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"claimcheck"}
    comes_from = metadata.packages_distributions()
    asked = {re.sub(r"[-_.]+", "-", name).lower() for name in ASKED}
    strangers = {
        name
        for name in imported
        if not asked & {re.sub(r"[-_.]+", "-", each).lower() for each in comes_from.get(name, ())}
    }
    assert not strangers
