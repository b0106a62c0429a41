"""A run's result does not depend on its company: same bits alone, among others, elsewhere, in shards, in tiles."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from claimcheck.engine.train import classification, train

SEEDS = [3, 0, 1, 2, 3]
RATES = [0.02, 0.05, 0.01, 0.1, 0.03]
NO_CARD = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_CARD])])
def records(kind, runs_of, make_context, request):
    """Train some of the runs of one design: rows -> records."""

    def of(rows: list[int], steps: int = 12, compile: bool = False) -> pd.DataFrame:
        context = make_context(device=torch.device(request.param))
        trained = train(
            runs_of(SEEDS, learning_rate=RATES, clip=1.0).iloc[rows],
            context,
            network=kind.network,
            data=kind.data,
            steps=steps,
            batch_size=25,
            optimizer="adamw",
            compile=compile,
            evaluate_at=[0, steps],
            batch_loss_window=3,
            evaluate={"train": (kind.data, classification), "batch": (kind.data, classification, "train")},
        )
        assert not any("eager after all" in line for line in context.lines)
        return trained.records.sort_values(["run", "step"], ignore_index=True)

    return of


def assert_same(whole: pd.DataFrame, *parts: pd.DataFrame) -> None:
    joined = pd.concat(parts).sort_values(["run", "step"], ignore_index=True)
    pd.testing.assert_frame_equal(whole, joined, check_exact=True)


def test_same_bits_alone_among_others_elsewhere_and_in_shards(records) -> None:
    whole = records([0, 1, 2, 3, 4])
    assert_same(whole, records([4, 3, 2, 1, 0]))
    assert_same(whole, records([0, 1]), records([2, 3, 4]))
    assert_same(whole, *[records([row]) for row in range(5)])


@pytest.mark.bench
def test_compiled_too_it_is_the_same_bits(records, kind, request) -> None:
    """Half a minute of compiling for each kind: on demand, not with every change."""
    if "bench" not in (request.config.option.markexpr or ""):
        pytest.skip("compiles every kind of network: make bench ARGS=tests/engine/test_company.py")
    if "cnn" in kind.name or kind.name == "resnet":
        pytest.skip("convolutions are never compiled")
    whole = records([0, 1, 2, 3, 4], compile=True)
    assert_same(whole, records([4, 3, 2, 1, 0], compile=True))
    assert_same(whole, records([0, 1], compile=True), records([2, 3, 4], compile=True))
    assert_same(whole, *[records([row], compile=True) for row in range(5)])
