"""Can torch.compile make programs for the CPU here? One trial decides: a name on the search path promises nothing.

PyTorch's compiler calls the program that CXX names (one program, without options; else g++, on macOS clang++), and what
it compiles includes Python.h, uses OpenMP on Linux, is linked and loaded. So does the trial. A success is remembered in
`.cache` of the working folder for as long as compiler and Python stay what they are; a failure is tried again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_text

PROGRAM = """
#include <Python.h>
#include <cmath>
#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif
extern "C" int trial() {
    std::vector<double> squares(9);
    #pragma omp parallel for
    for (int i = 0; i < 9; ++i) squares[i] = std::sqrt(double(i) * i);
    return PY_MAJOR_VERSION * 100 + int(squares[8]);
}
"""
ANSWER = 308
LOADING = f"import ctypes, sys; sys.exit(ctypes.CDLL(sys.argv[1]).trial() != {ANSWER})"
SECONDS = 60


@cache
def compiler_fault() -> str | None:
    """Why torch.compile cannot make programs for the CPU here, in a few words; None where it can."""
    return fault(os.environ, Path(".cache"))


def fault(environment: Mapping[str, str], folder: Path | None) -> str | None:
    """The same for the compiler that `environment` names; a success is remembered in `folder`, if one is given."""
    named = environment.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    program = shutil.which(named, path=environment.get("PATH"))
    if program is None:
        if len(named.split()) > 1:
            return f"CXX is {named!r}, but must name one program without options"
        return f"{named or 'CXX, which is empty,'} was not found" + (
            "" if "CXX" in environment else " and CXX is not set"
        )
    mark = folder / f"compiler-{_identity(program)}" if folder else None
    if mark is not None and mark.is_file():
        return None
    found = _trial(program, environment)
    if found is None and mark is not None:
        try:
            write_text(mark, f"{program} compiles what torch.compile needs.\n")
        except ClaimcheckError:
            return None  # a folder that cannot be written: the next process tries again
    return found


def _identity(program: str) -> str:
    """What the outcome hangs on: the compiler's file, Python and its headers, the trial."""
    facts = [Path(program).resolve(), sys.version, sys.prefix, _include() / "Python.h"]
    for path in (Path(program), _include() / "Python.h"):
        state = path.stat() if path.exists() else None
        facts.append((state.st_size, state.st_mtime_ns) if state else None)
    return hashlib.sha256("\n".join(map(str, [*facts, PROGRAM])).encode()).hexdigest()[:16]


def _include() -> Path:
    return Path(sysconfig.get_path("include"))


def _trial(program: str, environment: Mapping[str, str]) -> str | None:
    """Compile, link and load (in a process of its own) a program of a few lines."""
    english = {**environment, "LC_ALL": "C"}
    how = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": SECONDS, "env": english}
    options = ["-std=c++20", "-O1", "-fPIC", "-shared", f"-I{_include()}"]
    options += ["-fopenmp"] if sys.platform == "linux" else ["-undefined", "dynamic_lookup"]
    name = Path(program).name
    try:
        with tempfile.TemporaryDirectory(prefix="claimcheck-trial-") as folder:
            source, made = Path(folder, "trial.cpp"), Path(folder, "trial.so")
            source.write_text(PROGRAM, encoding="utf-8")
            done = subprocess.run([program, *options, str(source), "-o", str(made)], check=False, **how)
            if done.returncode or not made.is_file():
                return f"{name} does not compile a program that uses Python.h and OpenMP ({_reason(done)})"
            if subprocess.run([sys.executable, "-I", "-c", LOADING, str(made)], check=False, **how).returncode:
                return f"what {name} compiles cannot be loaded"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{name} cannot be used ({' '.join(str(error).split())[:200]})"
    return None


def _reason(done: subprocess.CompletedProcess) -> str:
    """The first line of a compiler's complaints that says "error", without the temporary folder's name; else the first."""
    lines = [line.strip() for line in done.stderr.decode(errors="replace").splitlines() if line.strip()]
    told = next((line for line in lines if "error" in line.lower()), lines[0] if lines else "")
    return (told.rpartition("trial.cpp:")[2] or f"exit status {done.returncode}")[:200]
