"""Which code some functions of a study's module reach, as hashes: that much decides whether a result is of today's code.

Read from syntax trees alone: nothing is imported or executed. Inside a study the tree is followed function by
function, in the package module by module. Comments, layout and docstrings do not count: they change no number.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from claimcheck.spec.modules import syntax_tree

PACKAGE = Path(__file__).parents[1]

WITHOUT_EFFECT = frozenset(
    {"errors", "files", "spec.parts", "spec.scaling", "spec.models", "spec.config", "spec.reading", "spec.modules"}
    | {"data.downloads"}
)
"""Modules that cannot change a number: words of errors, writing of files, downloads, and the schema, whose outcome is
hashed by itself."""

PACKAGES = {
    "torch": "torch",
    "torchvision": "torchvision",
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "seaborn": "seaborn",
}
"""Modules whose versions change numbers or pictures, and the distributions that they come from."""


@dataclass
class Reached:
    """What code reaches.

    Attributes:
        hashes: file of the study (with the functions looked for) or module of the package -> hash of what is reached.
        packages: distributions of other people that it imports, of `PACKAGES`.
        words: text constants in the study's own code, such as names of data sets.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    words: set[str] = field(default_factory=set)


def reach(folder: Path, module: str, roots: Iterable[str], package_modules: Iterable[str] = ()) -> Reached:
    """What the functions `roots` of `<module>.py` in a study's folder reach, there, in the study and in the package.

    Args:
        package_modules: modules of claimcheck that are used beside those that the code imports.
    """
    found = Reached()
    waiting: dict[str, set[str]] = {module: set(roots)}
    done: dict[str, set[str]] = {}
    engine = set(package_modules)
    while waiting:
        name, wanted = waiting.popitem()
        wanted |= done.get(name, set())
        if wanted == done.get(name):
            continue
        done[name] = wanted
        file = _own_file(folder, name)
        statements = _statements(file, frozenset(wanted))
        found.hashes[file.relative_to(folder).as_posix()] = _hash(statements)
        found.words |= set().union(*(_names_and_texts(node)[1] for node in statements))
        above = name.rpartition(".")[0]
        own, imported, packages = _imports(statements, name if file.name == "__init__.py" else above)
        if above and _own_file(folder, above).is_file():  # Python executes it first
            own.setdefault(above, set()).add("*")
        engine |= imported
        found.packages |= packages
        for other, names in own.items():
            if _own_file(folder, other).is_file():
                waiting.setdefault(other, set()).update(names)
    modules, packages = closure(engine)
    found.hashes |= {f"claimcheck.{name}": digest for name, digest in modules.items()}
    found.packages |= packages
    return found


def closure(names: Iterable[str]) -> tuple[dict[str, str], set[str]]:
    """The package's modules reached from `names` by import, with hashes, in order of name; and others' packages."""
    waiting, found, packages = list(names), {}, set()
    while waiting:
        name = waiting.pop()
        if name in found or name in WITHOUT_EFFECT or _module_path(name) is None:
            continue
        found[name], imports, others = _module(name)
        waiting += imports
        if not name.startswith("data."):  # what a data set is made with counts for the parts that use it
            packages |= set(others)
    return dict(sorted(found.items())), packages


def function_hash(module: str, *names: str) -> str:
    """Hash of what some functions of one of the package's modules reach inside it."""
    path = _module_path(module)
    assert path is not None, module
    return _hash(_statements(path, frozenset(names)))


def _statements(path: Path, roots: frozenset[str]) -> tuple[ast.stmt, ...]:
    """The top-level statements that `roots` reach, in the file's order; all of them for the root "*"."""
    tree = _tree(path, path.read_bytes())
    return tuple(tree.body) if "*" in roots else tuple(reached(tree, roots))


@lru_cache(maxsize=512)
def _tree(path: Path, content: bytes) -> ast.Module:
    tree = syntax_tree(content, path)
    for node in _statements_in(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.body = [inner for inner in node.body if not _is_docstring(inner)] or [ast.Pass()]
    return tree


def _statements_in(node: ast.AST) -> Iterator[ast.AST]:
    """A module or statement and all statements inside it: a tenth of the nodes that `ast.walk` visits."""
    yield node
    for block in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, block, ()):
            yield from _statements_in(inner)


def reached(tree: ast.Module, roots: Iterable[str]) -> list[ast.stmt]:
    """The top-level statements of a file that `roots` reach, in its order.

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
        elif not isinstance(node, ast.Pass):
            found.append(node)
    waiting = [*roots, *(name for node in found for name in _names_and_texts(node)[0])]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for node in bound.get(name, []):
            if node not in found:
                found.append(node)
                waiting += _names_and_texts(node)[0]
    found = [_needed(node, seen) for node in found]
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _needed(node: ast.stmt, names: set[str]) -> ast.stmt:
    """An import without what none of `names` uses; any other statement as it is."""
    if not isinstance(node, ast.Import | ast.ImportFrom) or not _bound_names(node):
        return node
    return _narrowed(node, tuple(alias for alias in node.names if _bound_by(alias) in names))


@lru_cache(maxsize=8192)
def _narrowed(node: ast.Import | ast.ImportFrom, kept: tuple[ast.alias, ...]) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.copy_location(ast.Import(names=list(kept)), node)
    return ast.copy_location(ast.ImportFrom(module=node.module, names=list(kept), level=node.level), node)


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
    return isinstance(node, ast.Expr) and _is_text(node.value)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@lru_cache(maxsize=8192)
def _names_and_texts(node: ast.stmt) -> tuple[frozenset[str], frozenset[str]]:
    inside = list(ast.walk(node))
    names = frozenset(inner.id for inner in inside if isinstance(inner, ast.Name))
    return names, frozenset(inner.value for inner in inside if _is_text(inner))


def _hash(nodes: Iterable[ast.stmt], *more: bytes) -> str:
    digest = hashlib.sha256("\n".join(map(_dumped, nodes)).encode())
    for extra in more:
        digest.update(extra)
    return digest.hexdigest()[:16]


def _own_file(folder: Path, module: str) -> Path:
    """A module's file in a study's folder, whether or not it is there; of a folder in it, its `__init__.py`."""
    path = folder.joinpath(*module.split("."))
    return path / "__init__.py" if (path / "__init__.py").is_file() else path.with_suffix(".py")


@lru_cache(maxsize=8192)
def _dumped(statement: ast.stmt) -> str:
    return _dump(statement)


def _dump(node: object) -> str:
    """A syntax tree as text, the same under every version of Python: fields that are empty are left out."""
    if isinstance(node, ast.AST):
        fields = ((name, getattr(node, name, None)) for name in node._fields if name not in ("ctx", "kind"))
        return f"{type(node).__name__}({', '.join(f'{n}={_dump(v)}' for n, v in fields if v is not None and v != [])})"
    if isinstance(node, list):
        return f"[{', '.join(map(_dump, node))}]"
    return repr(node)


@lru_cache(maxsize=8192)
def _imports_in(node: ast.stmt) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(inner for inner in _statements_in(node) if isinstance(inner, ast.Import | ast.ImportFrom))


def _imports(nodes: Iterable[ast.stmt], within: str = "") -> tuple[dict[str, set[str]], set[str], set[str]]:
    """What code imports: names by module of its own study ("*" for a whole one), the package's modules, packages.

    Args:
        within: the folder of the study that the code lies in, with dots; empty for the study's own.
    """
    own: dict[str, set[str]] = {}
    inside: set[str] = set()
    packages: set[str] = set()
    for node in (inner for statement in nodes for inner in _imports_in(statement)):
        if isinstance(node, ast.ImportFrom) and node.level:
            above = within.split(".")[: len(within.split(".")) - node.level + 1]
            module = ".".join(filter(None, [*above, node.module]))
            if node.module:
                own.setdefault(module, set()).update(alias.name for alias in node.names)
            own.update((".".join(filter(None, [module, alias.name])), {"*"}) for alias in node.names)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                _sort(alias.name, inside, packages)
        elif isinstance(node, ast.ImportFrom) and node.module:
            _sort(node.module, inside, packages)
            if node.module.split(".")[0] == "claimcheck":
                for alias in node.names:
                    _sort(f"{node.module}.{alias.name}", inside, packages)
    return own, inside, packages


def _sort(name: str, inside: set[str], packages: set[str]) -> None:
    top, _, rest = name.partition(".")
    if top == "claimcheck" and rest and _module_path(rest):
        inside.add(rest)
    elif top in PACKAGES:
        packages.add(PACKAGES[top])


def _module_path(name: str) -> Path | None:
    base = PACKAGE.joinpath(*name.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


@lru_cache(maxsize=256)
def _module(name: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Hash of a module's code, with the C++ beside it; the package's modules and the packages that it imports."""
    path = _module_path(name)
    assert path is not None
    tree = _tree(path, path.read_bytes())
    runtime = [node for node in tree.body if not _is_type_checking(node)]
    _, inside, packages = _imports(runtime)
    beside = path.with_suffix(".cpp")
    digest = _hash(runtime, beside.read_bytes() if beside.exists() else b"")
    return digest, tuple(sorted(inside)), tuple(sorted(packages))


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
