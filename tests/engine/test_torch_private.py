"""Private parts of PyTorch stand in one module, and where one is gone the numbers stay."""

from __future__ import annotations

import ast
from pathlib import Path

import pandas as pd
import pytest
import torch

import claimcheck
from claimcheck.engine import acceleration, networks, noise, products, torch_private
from claimcheck.engine.train import classification, train
from claimcheck.errors import ClaimcheckError

SOURCES = sorted(Path(claimcheck.__file__).parent.rglob("*.py"))


def private_names(tree: ast.AST) -> list[str]:
    """Dotted names under ``torch`` of which a piece begins with one underscore, or is "experimental"."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            found.append(ast.unparse(node))
    pieces = {name: name.split(".") for name in found if name.split(".")[0] == "torch"}
    return [
        name
        for name, parts in pieces.items()
        if any(part == "experimental" or (part.startswith("_") and not part.startswith("__")) for part in parts)
    ]


def test_no_other_module_names_a_private_part_of_pytorch() -> None:
    found = {path.stem: private_names(ast.parse(path.read_text(encoding="utf-8"))) for path in SOURCES}
    assert [name for name, names in found.items() if names] == ["torch_private"]


def test_private_names_are_found() -> None:
    code = "import torch._inductor\nfrom torch.utils._pytree import tree_map\ntorch.ops._x(torch.__version__)"
    assert private_names(ast.parse(code)) == ["torch._inductor", "torch.utils._pytree.tree_map", "torch.ops._x"]


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [("torch._no_such_module", "compile", []), ("torch._inductor", "nothing", []), ("torch", "bmm", ["gm"])],
)
def test_what_is_gone_or_takes_other_arguments_is_told(module: str, name: str, parameters: list[str]) -> None:
    with pytest.raises(ClaimcheckError, match=rf"PyTorch .* has no {module}.{name}"):
        torch_private._found(module, name, *parameters)


@pytest.mark.parametrize("gone", ["trace", "compile_graph"])
def test_without_a_tracer_or_a_compiler_steps_are_eager_and_the_log_says_so(
    gone, runs_of, make_context, series, monkeypatch
) -> None:
    def missing(*_):
        torch_private._found("torch._inductor", "gone", "gm")

    monkeypatch.setattr(torch_private, gone, missing)
    context, data = make_context(), series()

    def records(compile: bool) -> pd.DataFrame:
        return train(
            runs_of([0, 1], learning_rate=0.01),
            context,
            network=lambda run, g: networks.MLP(20, [16], 10, generator=g),
            data=data,
            steps=5,
            batch_size=25,
            compile=compile,
            evaluate={"train": (data, classification)},
        ).records

    pd.testing.assert_frame_equal(records(compile=True), records(compile=False), check_exact=True)
    assert any("eager after all" in line and "has no torch._inductor.gone" in line for line in context.lines)


def test_without_the_storing_operation_the_compiled_hash_is_the_same(monkeypatch) -> None:
    def drawn(key: torch.Tensor) -> torch.Tensor:
        return noise.uniform(key, (8,))

    key = torch.tensor(0x1E3779B97F4A7C15)
    graphs = [torch_private.trace(drawn, key) for _ in range(2)]
    acceleration.store_whole_numbers(graphs[0])
    monkeypatch.setattr(torch_private, "storing_operation", lambda: None)
    acceleration.store_whole_numbers(graphs[1])
    assert len(graphs[0].graph.nodes) > len(graphs[1].graph.nodes)
    stored, repeated = (torch_private.compile_graph(graph, [key])(key) for graph in graphs)
    assert torch.equal(stored, repeated)
    assert torch.equal(stored, drawn(key))


def test_without_the_unsafe_view_the_products_are_the_same(tmp_path, monkeypatch) -> None:
    try:
        products.library(tmp_path)
    except ClaimcheckError as error:
        pytest.skip(str(error))
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(3, 10, 20, generator=generator), torch.randn(3, 7, 20, generator=generator)

    def gradient(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        def total(weight: torch.Tensor) -> torch.Tensor:
            return torch.func.vmap(torch.nn.functional.linear)(x, weight).square().sum()

        return torch.func.grad(total)(weight)

    found = []
    for views in (torch_private.view_operations(), ()):
        monkeypatch.setattr(products, "IDLE", views)
        graph = torch_private.trace(gradient, weight, x)
        products.replace(graph, tmp_path)
        found.append((len(graph.graph.nodes), graph(weight, x)))
    assert found[0][0] < found[1][0]
    assert torch.equal(found[0][1], found[1][1])


def test_without_its_own_operation_the_gradient_of_a_relu_is_the_same(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    gradient, entered = torch.randn(2, 33, 17, generator=generator)
    entered[0, :5] = torch.tensor([0.0, -0.0, torch.nan, torch.inf, -torch.inf])
    gradient[1, :2] = torch.tensor([torch.nan, torch.inf])
    own = torch_private.relu_gradient(gradient, entered)
    monkeypatch.setattr(torch_private, "_THRESHOLD_BACKWARD", None)
    assert torch.equal(own.nan_to_num(7.0), torch_private.relu_gradient(gradient, entered).nan_to_num(7.0))
