"""The two ways to the same environment: conda's file and make's lock agree, and every package is pinned by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from claimcheck.files import read_yaml

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("file", ["environment.yml", "workflow/envs/claimcheck.yaml"])
def test_conda_installs_the_lock_on_a_python_that_the_project_supports(file):
    environment = read_yaml(REPOSITORY / file)
    python, pip, packages = environment["dependencies"]
    assert (python, pip, environment["channels"]) == ("python=3.11", "pip", ["conda-forge"])
    lowest = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"]
    assert lowest == ">=3.11"
    (words,) = packages["pip"]
    option, lock = words.split()
    assert option == "--requirement"
    assert ((REPOSITORY / file).parent / lock).resolve() == REPOSITORY / "requirements.lock"


def test_every_package_of_the_lock_is_pinned_by_hash_and_by_no_index():
    lock = (REPOSITORY / "requirements.lock").read_text()
    pinned = re.findall(r"^[A-Za-z0-9][\w.\-]*==\S+", lock, flags=re.MULTILINE)
    hashed = re.findall(r"^[A-Za-z0-9][\w.\-]*==[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", lock, flags=re.MULTILINE)
    assert len(pinned) == len(hashed) > 100
    assert "http" not in lock
    assert "--index" not in lock
