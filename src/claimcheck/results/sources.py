"""Which code of a study.py some of its functions reach: that much is hashed for a step, and that much is executed in it.

Code that a step's hash does not cover cannot change what the step does, since it is not there; and a step pays for no
import that it does not use: judging needs no PyTorch, training no seaborn.
"""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from claimcheck.errors import ClaimcheckError


def reached(tree: ast.Module, roots: Iterable[str]) -> tuple[list[ast.stmt], set[str]]:
    """The top-level statements of a file that `roots` reach, in its order, and every name that these mention.

    A definition is reached when its name occurs in reached code. Statements that are neither definitions nor imports
    (constants) count when a name they bind is reached; anything else at the top level always counts.
    """
    bound: dict[str, list[ast.stmt]] = {}
    found: list[ast.stmt] = []
    for node in tree.body:
        names = _bound_names(node)
        if names:
            for name in names:
                bound.setdefault(name, []).append(node)
        elif not _is_docstring(node):
            found.append(node)
    waiting = [*roots, *(name for node in found for name in _names_in(node))]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in bound.get(name, []):
            if node not in found:
                found.append(node)
                waiting += _names_in(node)
    return sorted(found, key=lambda node: node.lineno), seen


def load(path: Path, name: str, roots: Iterable[str] | None = None) -> ModuleType:
    """Execute a file as the module `name`: all of it, or what `roots` reach.

    Raises:
        ClaimcheckError: it is not Python, or fails while it is executed.
    """
    loader = _Loader(name, path, roots)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except ClaimcheckError:
        raise
    except Exception as error:
        raise ClaimcheckError(f"cannot be imported ({type(error).__name__}: {error})", where=path) from error
    return module


class _Loader(SourceFileLoader):
    """Loads what `roots` reach of a file; lines keep their numbers."""

    def __init__(self, name: str, path: Path, roots: Iterable[str] | None) -> None:
        super().__init__(name, str(path))
        self.roots = roots

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path), filename=self.path)
        if self.roots is not None:
            statements, names = reached(tree, self.roots)
            future = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
            tree.body = [*future, *(_needed(node, names) for node in statements if node not in future)]
        return self.source_to_code(tree, self.path)


def _needed(node: ast.stmt, names: set[str]) -> ast.stmt:
    """An import without what none of `names` uses; any other statement as it is."""
    if not isinstance(node, ast.Import | ast.ImportFrom) or not _bound_names(node):
        return node
    node.names = [alias for alias in node.names if _bound_by(alias) in names]
    return node


def _bound_names(node: ast.stmt) -> list[str]:
    """Names that a definition, an import or an assignment binds; none for other statements."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [_bound_by(alias) for alias in node.names]
        return [] if "*" in names else names
    if isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
    return []


def _bound_by(alias: ast.alias) -> str:
    return (alias.asname or alias.name).split(".")[0]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _names_in(node: ast.stmt) -> list[str]:
    return [inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)]
