"""Random shifts inside a training step: who moves, how far, and what stays."""

import torch

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
