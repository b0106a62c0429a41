"""A study's Python files, imported as the modules of a package that is the study's folder.

Each step imports only its own module (`runs`, `statistics` or `figures`), so that judging loads no PyTorch and training
no seaborn. Python's own importer does the work; the folder needs no `__init__.py` and is not put on `sys.path`. What a
function of theirs raises is told in one line.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from claimcheck.errors import ClaimcheckError, closest


def study_module(folder: Path, name: str) -> ModuleType:
    """The module `<name>.py` of the study in `folder`, executed at its first use.

    Raises:
        ClaimcheckError: there is no such file, it is not Python, or it fails while it is executed.
    """
    path = Path(folder) / f"{name}.py"
    if not path.is_file():
        raise ClaimcheckError("no such file", where=path, hint="every study has runs.py; see CONTRIBUTING.md")
    try:
        return importlib.import_module(f"{_package(Path(folder).resolve())}.{name}")
    except ClaimcheckError:
        raise
    except (Exception, SystemExit) as error:  # a study that exits would end a step as if it were done
        fault = f"cannot be imported{place_in(folder, error)} ({type(error).__name__}: {error})"
        raise ClaimcheckError(fault, where=path) from error


def place_in(folder: Path, error: BaseException) -> str:
    """ " at runs.py:31 in fit", where the error passed last through the study in `folder`; empty where it did not."""
    root = Path(folder).resolve()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).resolve().parent == root]
    return f" at {Path(frames[-1].filename).name}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""


def answer(question: Callable[[Any], Any], records: Any, path: Path, where: str) -> Any:
    """What a study's function says of records (a data frame).

    Args:
        path: the file that it is in; an error says which of its lines was at fault.

    Raises:
        ClaimcheckError: the function failed, or asked for a column or label that is not there.
    """
    try:
        return question(records)
    except ClaimcheckError:
        raise
    except KeyError as error:
        name = str(error.args[0] if error.args else "").removeprefix("Column not found: ")
        raise ClaimcheckError(
            f"asks for a column or label that is not there{_line_in(error, path)}",
            where=where,
            found=name,
            expected=f"one of {', '.join(map(str, records.columns))}",
            hint=closest(name, map(str, records.columns)),
        ) from error
    except (Exception, SystemExit) as error:
        fault = f"failed{_line_in(error, path)} ({type(error).__name__}: {error})"
        raise ClaimcheckError(fault, where=where) from error


def _line_in(error: BaseException, path: Path) -> str:
    """ " in line N" of the file, where the error passed through it."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.resolve()]
    return f" in line {lines[-1]}" if lines else ""


def defined_names(folder: Path, name: str) -> set[str]:
    """The names that `<name>.py` of the study in `folder` defines or imports at its top level; empty without the file.

    Raises:
        ClaimcheckError: the file is not Python.
    """
    path = Path(folder) / f"{name}.py"
    return _names_in(path.read_bytes(), path) if path.is_file() else set()


@lru_cache(maxsize=512)
def syntax_tree(code: bytes, path: Path) -> ast.Module:
    """The syntax tree of a file's content, read once; in bytes, since a byte-order mark and a line that names the encoding
    count, as for Python itself.

    Raises:
        ClaimcheckError: it is not Python.
    """
    try:
        return ast.parse(code, filename=str(path))
    except SyntaxError as error:
        place = f" in line {error.lineno}" if error.lineno else ""
        raise ClaimcheckError(f"is not valid Python{place} ({error.msg})", where=path) from None
    except ValueError as error:
        raise ClaimcheckError(f"is not valid Python ({error})", where=path) from None


@lru_cache(maxsize=64)
def _names_in(code: bytes, path: Path) -> set[str]:
    tree = syntax_tree(code, path)
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).split(".")[0] for alias in node.names}
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _package(folder: Path) -> str:
    """The name of the folder as a package. It follows the code, so that edited code is never run as it was before."""
    content = hashlib.sha256(str(folder).encode())
    for path in sorted(folder.glob("**/*.py")):
        content.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    name = f"claimcheck_study_{folder.name}_{content.hexdigest()[:12]}"
    if name not in sys.modules:
        spec = ModuleSpec(name, loader=None, is_package=True)
        spec.submodule_search_locations = [str(folder)]
        sys.modules[name] = module_from_spec(spec)
        importlib.invalidate_caches()
    return name
