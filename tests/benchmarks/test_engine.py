"""What `make bench` holds: the ensemble's speed as ratios within one run, and the file that it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from .engine import SHAPES, Shape, compete

REPOSITORY = Path(__file__).parents[2]
ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="the promise for a CPU")


@pytest.fixture(scope="module")
def rows(request: pytest.FixtureRequest) -> dict[tuple[int, int, int], dict[str, float]]:
    """The benchmark's table, (width, depth, batch) -> row."""
    if "bench" not in (request.config.option.markexpr or ""):
        pytest.skip("measures speed: run by make bench")
    output = REPOSITORY / "results/bench/bench.json"
    program = [sys.executable, "-m", "tests.benchmarks.engine", "--output", str(output)]
    subprocess.run(program, check=True, cwd=REPOSITORY)
    result = json.loads(output.read_text(encoding="utf-8"))
    assert len(result["rows"]) == len(SHAPES)
    return {(row["width"], row["depth"], row["batch"]): row for row in result["rows"]}


@pytest.mark.bench
@ON_CPU
@pytest.mark.parametrize(("shape", "times"), [((32, 2, 100), 6.0), ((100, 3, 32), 4.0), ((32, 30, 32), 8.0)])
def test_an_eager_ensemble_is_that_many_times_faster_than_the_loop(rows, shape: tuple, times: float) -> None:
    assert rows[shape]["loop"] / rows[shape]["eager"] >= times


@pytest.mark.bench
@ON_CPU
def test_at_every_shape_the_engine_has_four_fifths_of_the_speed_of_jax(rows) -> None:
    if any("jax" not in row for row in rows.values()):
        pytest.skip("jax is not installed")
    ratios = {shape: row["jax"] / min(row["eager"], row.get("compiled", row["eager"])) for shape, row in rows.items()}
    assert min(ratios.values()) >= 0.8, ratios


@pytest.mark.bench
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="the promise for a GPU")
def test_a_gpu_trains_512_networks_a_hundred_times_faster_than_its_loop() -> None:
    times = compete(Shape(100, 3, 32, 512), torch.device("cuda"), ["loop", "graph"])
    assert times["loop"] / times["graph"] >= 100
