"""Random shifts inside a training step: who moves, how far, and what stays."""

import pytest
import torch

from claimcheck.engine import noise
from claimcheck.engine.shifts import shifted


def test_a_series_is_moved_around_its_end():
    x = torch.arange(12.0).expand(200, 12)
    moved = shifted(x, torch.tensor(5), 6)
    first = moved[:, :1]
    assert torch.equal(moved, (torch.arange(12.0) + first) % 12)
    assert set(first.flatten().tolist()) == set(range(12))


def test_an_image_is_moved_as_a_whole_and_filled_with_its_darkest_value():
    x = torch.full((300, 1, 5, 5), -1.0)
    x[:, 0, 2, 2] = 1.0
    moved = shifted(x, torch.tensor(9), 2)
    assert torch.equal(moved.flatten(1).sum(1), x.flatten(1).sum(1))
    assert len({int(row.argmax()) for row in moved.flatten(1)}) == 25


def test_strength_zero_leaves_examples_alone():
    x = torch.randn(10, 1, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(shifted(x, torch.tensor(1), 2, 0.0), x)
    assert torch.equal(shifted(x.flatten(1), torch.tensor(1), 2, 0.0), x.flatten(1))


@pytest.mark.parametrize("shape", [(7, 12), (7, 1, 5, 6)], ids=["series", "images"])
def test_members_at_once_are_moved_as_each_alone(shape):
    keys = noise.fold(torch.arange(4), 3)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    strength = torch.tensor([1.0, 0.0, 1.0, 1.0])
    alone = [shifted(*each[:2], 2, each[2]) for each in zip(x, keys, strength, strict=True)]
    assert torch.equal(shifted(x, keys, 2, strength), torch.stack(alone))
    assert not torch.equal(alone[0], x[0])
    shared = x[:1].expand(4, *shape)
    assert torch.equal(shifted(shared, keys, 2), torch.stack([shifted(x[0], key, 2) for key in keys]))
