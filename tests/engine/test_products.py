"""The product kernels: torch's products to rounding, each member by itself, in the place of every product of a step."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from claimcheck.engine import products
from claimcheck.engine.torch_private import trace
from claimcheck.errors import ClaimcheckError

SHAPES = [(1, 1, 1, 1), (3, 100, 40, 32), (2, 100, 100, 100), (2, 25, 7, 10), (2, 13, 33, 49), (5, 1, 16, 17)]


@pytest.fixture(scope="module", autouse=True)
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kernels")
    try:
        products.library(folder)
    except ClaimcheckError as error:
        pytest.skip(str(error))
    return folder


def bmm(a: torch.Tensor, b: torch.Tensor, turn_a: bool = False, turn_b: bool = False) -> torch.Tensor:
    return torch.ops.claimcheck.bmm(a, b, turn_a, turn_b)


@pytest.mark.parametrize(("members", "rows", "depth", "columns"), SHAPES)
@pytest.mark.parametrize("turn_a", [False, True])
@pytest.mark.parametrize("turn_b", [False, True])
def test_the_products_are_torchs_to_rounding(members, rows, depth, columns, turn_a, turn_b) -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(members, *((depth, rows) if turn_a else (rows, depth)), generator=generator)
    b = torch.randn(members, *((columns, depth) if turn_b else (depth, columns)), generator=generator)
    expected = torch.bmm((a.mT if turn_a else a).double(), (b.mT if turn_b else b).double())
    torch.testing.assert_close(bmm(a, b, turn_a, turn_b).double(), expected, rtol=1e-4, atol=1e-5)


def test_operands_may_lie_anywhere_in_memory() -> None:
    matrix = torch.randn(3, 7 * 20 + 5)
    view = matrix[:, 3:143].unflatten(1, (7, 20))
    other = torch.randn(3, 20, 40)[:, :, ::2]
    torch.testing.assert_close(bmm(view, other), torch.bmm(view, other))


def test_a_member_has_the_same_bits_in_any_place_and_company() -> None:
    a, b = torch.randn(9, 100, 40), torch.randn(9, 40, 33)
    whole = bmm(a, b)
    assert torch.equal(whole.flip(0), bmm(a.flip(0), b.flip(0)))
    for member in range(9):
        shifted = torch.empty(1, 100 * 40 + 1)[:, 1:].unflatten(1, (100, 40)).copy_(a[member])
        assert torch.equal(whole[member], bmm(shifted, b[member, None])[0])


def test_what_is_not_a_number_stays_in_its_row() -> None:
    a, b = torch.randn(2, 30, 8), torch.randn(2, 8, 5)
    a[1, 3, 2], a[1, 4, 2] = torch.nan, torch.inf
    found = bmm(a, b)
    assert found[1, 3].isnan().all()
    assert not found[1, 4].isfinite().any()
    assert found[0].isfinite().all()
    assert found[1, [0, 1, 2, 5, 29]].isfinite().all()


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (torch.zeros(2, 3, 4), torch.zeros(2, 5, 6)),
        (torch.zeros(2, 3, 4), torch.zeros(3, 4, 6)),
        (torch.zeros(2, 3, 4, dtype=torch.float64), torch.zeros(2, 4, 6, dtype=torch.float64)),
        (torch.zeros(3, 4), torch.zeros(4, 6)),
    ],
)
def test_operands_that_do_not_fit_are_refused(a, b) -> None:
    with pytest.raises(RuntimeError, match="claimcheck::bmm"):
        bmm(a, b)


def test_every_product_of_a_layers_gradient_is_replaced(kernels) -> None:
    weight, x = torch.randn(3, 10, 20), torch.randn(3, 7, 20)

    def gradient(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda w: torch.bmm(x, w.mT).square().sum())(weight)

    graph = trace(gradient, weight, x)
    expected = graph(weight, x)
    assert "2 products" in products.replace(graph, kernels)
    targets = [node.target for node in graph.graph.nodes]
    assert torch.ops.aten.bmm.default not in targets
    assert targets.count(torch.ops.claimcheck.bmm.default) == 2
    torch.testing.assert_close(graph(weight, x), expected, rtol=1e-4, atol=1e-4)  # sums of some hundred products


def test_products_of_other_numbers_are_left_to_torch(kernels) -> None:
    a, b = torch.randn(2, 3, 4, dtype=torch.float64), torch.randn(2, 4, 5, dtype=torch.float64)
    graph = trace(torch.bmm, a, b)
    assert "no product of float32" in products.replace(graph, kernels)
    assert torch.equal(graph(a, b), torch.bmm(a, b))


def test_without_a_compiler_torch_multiplies_and_says_so(tmp_path) -> None:
    """In a process of its own: here they are loaded already."""
    code = f"""
import torch
from pathlib import Path
from claimcheck.engine import products
from claimcheck.engine.torch_private import trace
graph = trace(torch.bmm, torch.randn(2, 3, 4), torch.randn(2, 4, 5))
print(products.replace(graph, Path({str(tmp_path)!r})), [str(node.target) for node in graph.graph.nodes])
"""
    environment = {**os.environ, "CXX": "no-such-compiler"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert "no C++ compiler" in done.stdout
    assert "aten.bmm" in done.stdout
