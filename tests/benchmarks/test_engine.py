"""What `make bench` holds: the ensemble's speed as ratios within one run, and the file that it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.benchmarks.engine"]


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> dict[tuple[int, int], dict[str, float]]:
    """The benchmark's table, (width, R) -> row."""
    if "bench" not in (request.config.option.markexpr or ""):
        pytest.skip("measures speed: run by make bench")
    output = REPOSITORY / "results/bench/bench.json"
    subprocess.run([*PROGRAM, "--output", str(output)], check=True, cwd=REPOSITORY)
    result = json.loads(output.read_text())
    assert result["product_rate"] > 0
    return {(row["width"], row["R"]): row for row in result["rows"]}


@pytest.mark.bench
@pytest.mark.skipif(torch.cuda.is_available(), reason="the promise for a CPU")
@pytest.mark.parametrize(("width", "times"), [(32, 10.0), (100, 4.0)])
def test_32_networks_are_that_many_times_faster_than_the_loop(rows, width: int, times: float) -> None:
    assert rows[width, 32]["loop / ours"] >= times


@pytest.mark.bench
@pytest.mark.skipif(torch.cuda.is_available(), reason="the promise for a CPU")
@pytest.mark.parametrize("width", [32, 100])
def test_32_networks_have_four_fifths_of_the_speed_of_jax(rows, width: int) -> None:
    row = rows[width, 32]
    if "jax / ours" not in row:
        pytest.skip("jax is not installed")
    assert row["jax / ours"] >= 0.8


@pytest.mark.bench
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the promise for a GPU")
def test_a_gpu_is_a_hundred_times_faster_than_its_loop(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    arguments = ["--widths", "100", "--members", "512", "--output", str(output)]
    subprocess.run([*PROGRAM, *arguments], check=True, cwd=REPOSITORY)
    assert json.loads(output.read_text())["rows"][0]["loop / ours"] >= 100
