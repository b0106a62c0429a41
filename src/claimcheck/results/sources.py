"""Which code some functions of a study's module reach, as hashes: that much decides whether a result is of today's code.

Read from syntax trees alone: nothing is imported or executed. Inside a study the tree is followed function by
function, in the package module by module; what a study's module does when it is imported counts, whoever uses it.
Comments, layout and docstrings do not count: they change no number.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from claimcheck.errors import ClaimcheckError
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

ONLY_WRAP = frozenset(
    {"cache", "lru_cache", "wraps", "total_ordering", "dataclass", "contextmanager", "asynccontextmanager"}
    | {"final", "overload", "no_grad", "inference_mode", "enable_grad", "compile"}
    | {"per_run", "per_seed", "for_ensembles"}
)
"""Decorators after which a definition is still found by its name alone; any other may enter it in a table."""

_IMPORT = (ast.Import, ast.ImportFrom)


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
        executed_alone = not wanted and name != module
        try:
            tree = _tree(file, file.read_bytes())
        except ClaimcheckError:
            if executed_alone:  # told where its code is reached, and by Python where it is run
                continue
            raise
        statements = _effects(tree) if executed_alone else _statements(tree, wanted)
        if statements or not executed_alone:
            found.hashes[file.relative_to(folder).as_posix()] = _hash(statements)
        found.words |= set().union(*(_names_and_texts(node)[1] for node in statements))
        above = name.rpartition(".")[0]
        within = name if file.name == "__init__.py" else above
        own, imported, packages = _imports(statements, within)
        for other, names in _executed(tree, within).items():
            own.setdefault(other, set()).update(names)
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
        if name in found or name in WITHOUT_EFFECT or (path := _module_path(name)) is None:
            continue
        found[name], imports, others = _module(path)
        waiting += imports
        if not name.startswith("data."):  # what a data set is made with counts for the parts that use it
            packages |= set(others)
    return dict(sorted(found.items())), packages


def function_hash(module: str, *names: str) -> str:
    """Hash of what some functions of one of the package's modules reach inside it."""
    path = _module_path(module)
    assert path is not None, module
    return _hash(_statements(_tree(path, path.read_bytes()), names))


def _statements(tree: ast.Module, roots: Iterable[str]) -> tuple[ast.stmt, ...]:
    """The top-level statements that `roots` reach, in the file's order; all of them for the root "*"."""
    return tuple(tree.body) if "*" in roots else tuple(reached(tree, roots))


@lru_cache(maxsize=512)
def _effects(tree: ast.Module) -> tuple[ast.stmt, ...]:
    """What a file's top level does when it is imported, whatever of it is used."""
    body = [node for node in tree.body if not _runs_as_program(node)]
    return tuple(reached(ast.Module(body=body, type_ignores=[]), ()))


def _runs_as_program(node: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`, which does nothing in a module that is imported."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


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
    (constants) count when a name they bind is reached. What does something whether or not its name is used always
    counts: a definition that a decorator may enter in a table, a change of what is imported, anything else.
    """
    bound: dict[str, list[ast.stmt]] = {}
    found: list[ast.stmt] = []
    own = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    imported = {name for node in tree.body if isinstance(node, _IMPORT) for name in _bound_names(node)}
    for node in tree.body:
        names = _bound_names(node)
        if names and not _registers(node, own) and not _changes(node, imported):
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


def _registers(node: ast.stmt, own: dict[str, ast.FunctionDef]) -> bool:
    """Whether a decorator of a definition may do more than wrap it. `own`: the functions of the same file."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return not all(_only_wraps(each, own) for each in decorators)


def _only_wraps(decorator: ast.expr, own: dict[str, ast.FunctionDef]) -> bool:
    if isinstance(decorator, ast.Name) and decorator.id in own:  # it defines functions and gives one back: no table
        *inner, last = own[decorator.id].body
        gives_name = isinstance(last, ast.Return) and isinstance(last.value, ast.Name)
        return gives_name and all(isinstance(each, ast.FunctionDef) and not _registers(each, {}) for each in inner)
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    return name in ONLY_WRAP and name not in own


def _changes(node: ast.stmt, imported: set[str]) -> bool:
    """Whether an assignment sets an entry or attribute of something imported, which others may read there."""
    for target in _targets(node):
        place = target
        while isinstance(place, ast.Subscript | ast.Attribute):
            place = place.value
        if place is not target and isinstance(place, ast.Name) and place.id in imported:
            return True
    return False


def _targets(node: ast.stmt) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []


def _needed(node: ast.stmt, names: set[str]) -> ast.stmt:
    """An import without what none of `names` uses; any other statement as it is."""
    if not isinstance(node, _IMPORT) or not _bound_names(node):
        return node
    return _narrowed(node, tuple(alias for alias in node.names if _bound_by(alias) in names))


@lru_cache(maxsize=8192)
def _narrowed(node: ast.Import | ast.ImportFrom, kept: tuple[ast.alias, ...]) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.copy_location(ast.Import(names=list(kept)), node)
    return ast.copy_location(ast.ImportFrom(module=node.module, names=list(kept), level=node.level), node)


def _bound_names(node: ast.stmt) -> list[str]:
    """Names that a definition, an import or an assignment binds; none for other statements.

    Nobody looks for what is called `_`: an assignment to it is made for what it does.
    """
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, _IMPORT):
        names = [_bound_by(alias) for alias in node.names]
        return [] if "*" in names else names
    inside = (name for target in _targets(node) for name in ast.walk(target) if isinstance(name, ast.Name))
    return [name.id for name in inside if name.id != "_"]


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
    return tuple(inner for inner in _statements_in(node) if isinstance(inner, _IMPORT))


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


@lru_cache(maxsize=512)
def _executed(tree: ast.Module, within: str) -> dict[str, set[str]]:
    """Modules of the study that a file's top level imports, and so executes, whatever of them is used.

    A module that is imported by itself and never named again is there for what it does: it counts whole ("*").
    """
    outside = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    named = frozenset().union(*(_names_and_texts(node)[0] for node in tree.body))
    imports = [node for statement in outside for node in _imports_in(statement)]
    idle = [_narrowed(node, tuple(each for each in node.names if _bound_by(each) not in named)) for node in imports]
    found: dict[str, set[str]] = {module: set() for module in _imports(outside, within)[0]}
    return found | {module: names & {"*"} for module, names in _imports(idle, within)[0].items()}


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


def _module(path: Path) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Hash of a module's code, with the C++ beside it; the package's modules and the packages that it imports.

    The files are read each time: a run asks again whether they are still what they were.
    """
    beside = path.with_suffix(".cpp")
    return _module_of(path, path.read_bytes(), beside.read_bytes() if beside.exists() else b"")


@lru_cache(maxsize=512)
def _module_of(path: Path, code: bytes, beside: bytes) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    runtime = [node for node in _tree(path, code).body if not _is_type_checking(node)]
    _, inside, packages = _imports(runtime)
    return _hash(runtime, beside), tuple(sorted(inside)), tuple(sorted(packages))


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
