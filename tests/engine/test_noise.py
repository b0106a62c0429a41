"""Numbers from the hash look like independent uniforms and normals, whatever the key."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch.func import vmap

from claimcheck.engine import noise

KEYS = [int(noise.fold(torch.tensor(0), number)) for number in range(5)]


@pytest.mark.parametrize("key", KEYS)
def test_uniform_and_normal_pass_a_kolmogorov_smirnov_test(key: int) -> None:
    key = torch.tensor(key)
    assert stats.kstest(noise.uniform(key, (20_000,)).numpy(), "uniform").pvalue > 1e-4
    assert stats.kstest(noise.normal(key, (20_000,)).numpy(), "norm").pvalue > 1e-4


def test_uniform_numbers_never_reach_an_end() -> None:
    """Else a place that is drawn as a share of a length would lie one beyond it, once in 2^24 draws."""
    ends = noise._unit(torch.tensor([0, 0xFFFFFF00, 0xFFFFFFFF]))
    assert ends.min() > 0.0
    assert ends[1] == ends[2] == 1.0 - 2.0**-24


def test_streams_are_uncorrelated() -> None:
    draws = [noise.normal(noise.fold(torch.tensor(key), step), (5_000,)) for key in KEYS for step in range(3)]
    correlation = torch.corrcoef(torch.stack(draws)) - torch.eye(len(draws))
    assert float(correlation.abs().max()) < 5 / 5_000**0.5


def test_neighbours_are_uncorrelated() -> None:
    draw = noise.normal(torch.tensor(7), (50_000,))
    for lag in (1, 2, 16, 100):
        assert abs(float((draw[lag:] * draw[:-lag]).mean())) < 5 / 50_000**0.5


def test_members_draw_what_they_would_draw_alone() -> None:
    keys = torch.tensor(KEYS)
    mapped = vmap(lambda key: noise.uniform(key, (3, 4)))(keys)
    for together in (mapped, noise.uniform(keys, (3, 4))):
        assert all(torch.equal(row, noise.uniform(key, (3, 4))) for row, key in zip(together, keys))


def test_dropout_keeps_its_share_and_its_mean() -> None:
    layer = noise.Dropout(0.3, torch.Generator().manual_seed(0)).train()
    x = torch.ones(100, 200)
    first, second = layer(x), layer(x)
    assert float((first == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert float(first.mean()) == pytest.approx(1.0, abs=0.02)
    assert not torch.equal(first, second)
    assert torch.equal(layer.eval()(x), x)
