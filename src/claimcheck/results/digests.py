"""What a result depends on, as hashes: the answer to "what would rerun, and because of what?".

A study's records depend on its design at the scale, on the functions of study.py that its run functions reach, on the
engine modules these import (transitively), on the data sets named in its settings, and on torch's version. Captions,
notes, regions and figures are judged, drawn and printed from records; they train nothing.
"""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache
from importlib import metadata
from pathlib import Path

from claimcheck.results import sources as reach
from claimcheck.files import hash_of
from claimcheck.spec.models import Config, Study

PACKAGE = Path(__file__).parent

ALWAYS_REACHED = ("design", "streams", "context")
"""Modules that every run passes through without study.py naming them."""

WITHOUT_EFFECT = frozenset({"errors", "files", "spec", "loading"})
"""Modules that cannot change a number: words of errors, writing of files, and the schema, whose outcome is hashed."""


def run_parts(study: Study, scale: str, config: Config) -> dict[str, str]:
    """What `study`'s records depend on at `scale`: name of the ingredient -> hash."""
    parts = study.at(scale, config.seeds)
    code, imports = _reached_code(study.code_path, study.functions_of("run"))
    closure = _module_closure([*imports, *ALWAYS_REACHED])
    design = {name: part.model_dump(exclude={"describes"}) for name, part in parts.items()}
    running = {name: each for name, each in design.items() if parts[name].seeds}
    return {
        "design": hash_of(design),
        "study.py (what the runs reach)": code,
        **{f"claimcheck.{name}": digest for name, digest in closure.items()},
        **{f"data {name}": digest for name, digest in _data(running, config.data_dir).items()},
        "torch": _version("torch"),
    }


def judge_parts(study: Study, scale: str, config: Config) -> dict[str, str]:
    """What `study`'s verdicts depend on beside its records."""
    claims = [claim.model_dump() for claim in study.claims]
    code, imports = _reached_code(study.code_path, study.functions_of("judge"))
    return {
        "claims": hash_of(claims),
        "design": hash_of(
            {name: part.model_dump(exclude={"describes"}) for name, part in study.at(scale, config.seeds).items()}
        ),
        "study.py (statistics)": code,
        **{f"claimcheck.{name}": digest for name, digest in _module_closure([*imports, "judging.judge"]).items()},
    }


def plot_parts(study: Study, scale: str, config: Config) -> dict[str, str]:
    """What `study`'s figures depend on beside its records."""
    code, imports = _reached_code(study.code_path, study.functions_of("plot"))
    return {
        "figures": hash_of([{"id": figure.id, "part": figure.part} for figure in study.figures]),
        "study.py (figures)": code,
        **{f"claimcheck.{name}": digest for name, digest in _module_closure([*imports, "figures", "style"]).items()},
    }


def combined(parts: dict[str, str]) -> str:
    """One hash of all ingredients."""
    return hash_of(parts)


def differences(old: dict[str, str], new: dict[str, str]) -> list[str]:
    """What changed between two sets of ingredients, in words."""
    changed = [f"{name} changed" for name in new if name in old and old[name] != new[name]]
    added = [f"{name} is new" for name in new if name not in old]
    removed = [f"{name} is no longer used" for name in old if name not in new]
    return changed + added + removed


def _reached_code(path: Path, roots: list[str]) -> tuple[str, list[str]]:
    """Hash of the top-level code that `roots` reach in the file, and the claimcheck modules that the code imports."""
    statements, _ = reach.reached(ast.parse(path.read_text(encoding="utf-8")), roots)
    text = "\n".join(ast.unparse(node) for node in statements)
    return hashlib.sha256(text.encode()).hexdigest()[:16], _imports(statements)


def _imports(nodes: list[ast.stmt] | list[ast.AST]) -> list[str]:
    """Modules of claimcheck that the code imports, by their names inside the package."""
    found: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.startswith("claimcheck."):
                    found.add(alias.name.removeprefix("claimcheck."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "claimcheck":
            inside = node.module.removeprefix("claimcheck").removeprefix(".")
            found |= {f"{inside}.{alias.name}".strip(".") for alias in node.names} | {inside}
    return sorted(name for name in found if name and _module_path(name))


def _module_path(name: str) -> Path | None:
    base = PACKAGE.joinpath(*name.split("."))
    if base.with_suffix(".py").is_file():
        return base.with_suffix(".py")
    return base / "__init__.py" if (base / "__init__.py").is_file() else None


@lru_cache(maxsize=256)
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Hash of a module's code (comments and layout aside), with the C++ beside it, and the modules that it imports."""
    path = _module_path(name)
    assert path is not None
    tree = ast.parse(path.read_text(encoding="utf-8"))
    runtime = [node for node in tree.body if not _is_type_checking(node)]
    digest = hashlib.sha256(ast.dump(tree).encode())
    if path.with_suffix(".cpp").exists():
        digest.update(path.with_suffix(".cpp").read_bytes())
    return digest.hexdigest()[:16], tuple(_imports(runtime))


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _module_closure(names: list[str]) -> dict[str, str]:
    """The modules reached from `names` by import, with their hashes, sorted by name."""
    waiting, found = list(names), {}
    while waiting:
        name = waiting.pop()
        if name in found or name in WITHOUT_EFFECT or _module_path(name) is None:
            continue
        found[name], imports = _module(name)
        waiting += imports
    return dict(sorted(found.items()))


def _data(design: dict, data_dir: Path) -> dict[str, str]:
    """Checksums of the downloaded archives that the design of the parts that run names."""
    from claimcheck.files import sha256

    folders = {"mnist": "MNIST/raw", "fashion_mnist": "FashionMNIST/raw", "cifar10": "cifar-10-batches-py"}
    named = {value for value in _strings(design) if value in folders}
    result = {}
    for name in sorted(named):
        files = sorted(path for path in (Path(data_dir) / folders[name]).glob("*") if path.suffix != ".gz")
        result[name] = hash_of({path.name: sha256(path) for path in files}) if files else "absent"
    return result


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for entry in value.values() for text in _strings(entry)]
    if isinstance(value, list | tuple):
        return [text for entry in value for text in _strings(entry)]
    return [value] if isinstance(value, str) else []


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"
