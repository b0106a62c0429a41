"""Do the lowest versions that pyproject.toml allows work? Not a test of the suite: it installs them and takes minutes.

    python tests/lowest_versions.py                              every package at its lower bound
    python tests/lowest_versions.py --locked torch torchvision   these at the versions of requirements.lock instead

They go into an environment of their own below a temporary folder, with a copy of the project: each tool of development
does its work once, and all studies are run at smoke to their report and packed up. Exit status 0 means that every
lower bound holds. What was tried is then written to tests/lowest_versions.txt, which a test of the suite holds against
pyproject.toml (tests/test_bounds.py). With --folder, what was made is kept there, and a stopped run goes on. Needs uv,
and a network or a filled cache.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TRIED = Path(__file__).with_suffix(".txt")
MADE = {".git", ".venv", ".snakemake", "results", "reports", "data", "node_modules"}
"""Folders at the top that are made, not written."""
# The pages that are made from the models are the same (pydantic), and hypothesis, roc-validator, JAX and psutil are used.
JAX = """
import torch
from tests.benchmarks import engine
engine.compete(engine.Shape(width=32, depth=2, batch=8, members=4), torch.device("cpu"), ["jax"], rounds=1)
"""


def main() -> int:
    """Resolve, install, run, write down."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locked", nargs="*", default=[], metavar="PACKAGE", help="packages at their locked version")
    parser.add_argument("--python", default="3.11", help="version of Python (the lowest that the project supports)")
    parser.add_argument("--folder", type=Path, help="keep what is made here (default: a temporary folder)")
    chosen = parser.parse_args()
    uv = shutil.which("uv") or sys.exit("lowest_versions: uv was not found; run: make env, and activate .venv")
    with tempfile.TemporaryDirectory(prefix="claimcheck-lowest-") as temporary:
        resolved = _try_out(uv, (chosen.folder or Path(temporary)).absolute(), chosen.locked, chosen.python)
    if resolved is None:
        return 1
    if not chosen.locked:
        _write_down(resolved, chosen.python)
    print("lowest_versions: the lower bounds hold")
    return 0


def _try_out(uv: str, folder: Path, locked: list[str], version: str) -> str | None:
    """The versions that were resolved, one a line; None when a step failed with them."""
    project, python, wanted = folder / "project", folder / ".venv/bin/python", folder / "lowest.txt"
    overrides = folder / "locked.txt"
    folder.mkdir(parents=True, exist_ok=True)
    overrides.write_text("\n".join(_locked(name) for name in locked) + "\n", encoding="utf-8")
    shutil.copytree(
        REPOSITORY,
        project,
        dirs_exist_ok=True,
        ignore=lambda place, names: (MADE if Path(place) == REPOSITORY else set()) | {"__pycache__", "node_modules"},
    )
    how = ["--resolution", "lowest-direct", "--python-version", version, "--override", str(overrides), "--quiet"]
    what = ["pyproject.toml", "--extra", "dev", "--extra", "bench", "--no-emit-package", "claimcheck"]
    install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    steps = [
        [uv, "pip", "compile", *how, *what, "--no-annotate", "--no-header", "--output-file", str(wanted)],
        [uv, "venv", "--quiet", "--allow-existing", "--python", version, str(folder / ".venv")],
        [*install, "--requirement", str(wanted)],
        [*install, "--no-deps", "--no-build-isolation", "--editable", "."],
        ["ruff", "check"],
        ["snakefmt", "--check", "Snakefile", "workflow"],
        ["yamllint", "--strict", "studies", "workflow", "profiles", "tests"],
        ["pytest", "-q", "--numprocesses", "2", "tests/spec/test_schema.py", "tests/judging/test_measures.py"],
        ["pytest", "-q", "tests/results/test_crate.py"],
        ["python", "-c", JAX],
        ["python", "-c", "from tests.end_to_end import kills"],
        ["claimcheck", "doctor"],
        ["snakemake", "--cores", "all", "--config", "scale=smoke"],
        ["claimcheck", "crate", str(folder / "crate"), "--scale", "smoke"],
    ]
    shutil.rmtree(folder / "crate", ignore_errors=True)
    environment = {
        **{name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")},
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }
    for step in steps:
        print("$", *step, flush=True)
        if subprocess.run(step, cwd=project, env=environment, check=False).returncode:
            print("lowest_versions: this step failed with the versions above", file=sys.stderr)
            return None
        if step[1:3] == ["pip", "compile"]:
            print(wanted.read_text(encoding="utf-8"))
    return wanted.read_text(encoding="utf-8")


def direct() -> dict[str, str]:
    """What pyproject.toml asks for by itself: name of a package -> what its version must be."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [entry for named in project["optional-dependencies"].values() for entry in named]
    found = [re.fullmatch(r"([\w.-]+)(\[.*\])?(.*)", entry) for entry in [*project["dependencies"], *extras]]
    return {each[1].replace("_", "-").lower(): each[3] for each in found if each and each[1] != project["name"]}


def _write_down(resolved: str, version: str) -> None:
    """Keep what was tried of each package that pyproject.toml names."""
    versions = dict(line.split("==") for line in resolved.split() if "==" in line)
    lines = [f"# Tried with Python {version} by tests/lowest_versions.py, which writes this file when all of it works."]
    lines += [f"{name}=={versions[name]}" for name in sorted(direct())]
    unfinished = TRIED.with_suffix(".tmp")
    unfinished.write_text("\n".join(lines) + "\n", encoding="utf-8")
    unfinished.replace(TRIED)


def _locked(name: str) -> str:
    """The version of a package in requirements.lock, as a requirement."""
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    found = re.search(rf"^({re.escape(name)}==\S+)", lock, flags=re.MULTILINE)
    return found[1] if found else sys.exit(f"lowest_versions: {name} is not in requirements.lock")


if __name__ == "__main__":
    sys.exit(main())
