"""Do the lowest versions that pyproject.toml allows work? Not a test of the suite: it installs them and takes minutes.

    python tests/lowest_versions.py                              every package at its lower bound
    python tests/lowest_versions.py --locked torch torchvision   these at the versions of requirements.lock instead

They go into an environment of their own below a temporary folder, where a copy of the project runs the toy studies to
their report and packs them up. Exit status 0 means that every lower bound holds; the versions are printed, so that one that does not can be
raised. Needs uv, and a network or a filled cache.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
TOY = REPOSITORY / "tests" / "end_to_end" / "studies"


def main() -> int:
    """Resolve, install, run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locked", nargs="*", default=[], metavar="PACKAGE", help="packages at their locked version")
    parser.add_argument("--python", default="3.11", help="version of Python (the lowest that the project supports)")
    chosen = parser.parse_args()
    uv = shutil.which("uv") or sys.exit("lowest_versions: uv was not found; run: make env, and activate .venv")
    with tempfile.TemporaryDirectory(prefix="claimcheck-lowest-") as folder:
        return _try_out(uv, Path(folder), chosen.locked, chosen.python)


def _try_out(uv: str, folder: Path, locked: list[str], version: str) -> int:
    python, wanted = folder / ".venv" / "bin" / "python", folder / "lowest.txt"
    overrides = folder / "locked.txt"
    overrides.write_text("\n".join(_locked(name) for name in locked) + "\n", encoding="utf-8")
    how = ["--resolution", "lowest-direct", "--python-version", version, "--override", str(overrides), "--quiet"]
    source = [str(REPOSITORY / "pyproject.toml"), "--extra", "pipeline", "--no-emit-package", "claimcheck"]
    steps = [
        [uv, "pip", "compile", *how, *source, "--no-annotate", "--no-header", "--output-file", str(wanted)],
        [uv, "venv", "--quiet", "--python", version, str(folder / ".venv")],
        [uv, "pip", "install", "--quiet", "--python", str(python), "--requirement", str(wanted)],
        [str(python), "-m", "snakemake", "--cores", "1", "--config", "studies_dir=studies", "scale=smoke"],
        [str(python), "-m", "claimcheck", "crate", "crate", "--scale", "smoke", "--studies-dir", "studies"],
        [str(python), "-m", "claimcheck", "doctor", "--studies-dir", "studies"],
    ]
    for place in ("src", "workflow", "profiles"):
        shutil.copytree(REPOSITORY / place, folder / place, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(REPOSITORY / "Snakefile", folder / "Snakefile")
    shutil.copytree(TOY, folder / "studies", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    for step in steps:
        print("$", *step, flush=True)
        if subprocess.run(step, cwd=folder, env=environment, check=False).returncode:
            print("lowest_versions: this step failed with the versions above", file=sys.stderr)
            return 1
        if wanted.is_file() and step[1:3] == ["pip", "compile"]:
            print(wanted.read_text(encoding="utf-8"))
    print("lowest_versions: the lower bounds hold")
    return 0


def _locked(name: str) -> str:
    """The version of a package in requirements.lock, as a requirement."""
    lock = (REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    found = re.search(rf"^({re.escape(name)}==\S+)", lock, flags=re.MULTILINE)
    return found[1] if found else sys.exit(f"lowest_versions: {name} is not in requirements.lock")


if __name__ == "__main__":
    sys.exit(main())
