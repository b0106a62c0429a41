"""How the project is built: imports follow the data's way and never go back, files and functions stay readable."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src" / "claimcheck"

BASE = ("errors", "files", "garbage", "streams")
LAYERS = ("checklist", "spec", "data", "theory", "engine", "results", "running", "judging", "figures", "report", "cli")
"""Each may import those before it, all may import `BASE`, and what is in `BASE` imports only its own."""

PYTHON = sorted(
    path
    for folder in ("src", "studies", "tests", "workflow")
    for path in (REPOSITORY / folder).rglob("*.py")
    if "node_modules" not in path.parts
)


def _imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, anywhere in it, those for type checkers aside."""
    found = set()
    for node in _runtime(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.removeprefix("claimcheck.") for name in found if name.startswith("claimcheck.")}


def _runtime(node: ast.AST):
    """Every node below `node`, but nothing under `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _runtime(child)


def _place(name: str) -> str:
    return name.split(".")[0]


def _modules() -> dict[str, Path]:
    named = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__") or "__init__": path for path, name in named.items()}


def test_no_module_imports_one_of_a_later_layer():
    order = dict.fromkeys(BASE, -1) | {name: position for position, name in enumerate(LAYERS)}
    upwards = []
    for name, path in _modules().items():
        if _place(name) not in order:
            assert name in ("__init__", "__main__"), f"{name} has no place in the layout"
            continue
        for other in _imports(path):
            if _place(other) in order and order[_place(other)] > order[_place(name)]:
                upwards.append(f"{name} -> {other}")
    assert not upwards


def test_no_modules_import_each_other_in_a_circle():
    modules = _modules()
    graph = {name: {other for other in _imports(path) if other in modules} for name, path in modules.items()}
    while leaves := [name for name, others in graph.items() if not others & graph.keys() - {name}]:
        for name in leaves:
            del graph[name]
    assert not graph


def test_a_study_imports_what_its_step_needs_and_nothing_later():
    forbidden = {
        "runs.py": {"claimcheck.figures", "claimcheck.judging", "seaborn", "matplotlib"},
        "statistics.py": {"torch", "claimcheck.engine", "claimcheck.figures", "seaborn", "matplotlib"},
    }
    wrong = []
    for path in sorted((REPOSITORY / "studies").glob("*/*.py")):
        names = {name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in _named(node)}
        wrong += [
            f"{path.parent.name}/{path.name} -> {name}"
            for name in names
            for prefix in forbidden.get(path.name, ())
            if name == prefix or name.startswith(prefix + ".")
        ]
    assert not wrong


def _named(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_file_can_be_read_in_one_sitting_and_a_function_on_one_screen(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, f"{node.name} has {node.end_lineno - node.lineno + 1} lines"


def test_private_parts_of_pytorch_are_used_in_one_file():
    using = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for name in _named(node):
                if name.startswith("torch.") and any(piece.startswith("_") for piece in name.split(".")):
                    using[path.name].append(name)
    assert set(using) <= {"torch_private.py"}, dict(using)


def test_lint_sees_every_python_file():
    told = subprocess.run([sys.executable, "-m", "ruff", "check", "--show-files"], cwd=REPOSITORY, capture_output=True)
    seen = set(map(Path, told.stdout.decode().splitlines()))
    assert set(PYTHON) <= seen, sorted(set(PYTHON) - seen)


def test_the_layers_that_are_named_here_are_all_there_are():
    assert {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(LAYERS)


def test_nothing_is_unpickled_and_yaml_is_loaded_safely():
    paths = [path for path in PYTHON if not path.is_relative_to(REPOSITORY / "tests")]
    assert len(paths) > 80
    for path in paths:
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (c?[pP]ickle|dill|joblib|shelve|marshal)\b", text, re.M), path
        assert not re.search(r"\b(eval|exec)\(", re.sub(r"\.(eval|exec)\(|\bdef (eval|exec)\(", "", text)), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path
        for call in re.findall(r"yaml\.(?:unsafe_load|full_load|load)\([^\n]*", text):
            assert "Loader=_Loader" in call, path
