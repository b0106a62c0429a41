"""What members train on and are tested on: their unit's own draw, in parts that never overlap."""

from pathlib import Path

import torch

from claimcheck.engine.context import Context, Settings
from claimcheck.engine.samples import first, mislabelled, own_columns, samples, shrunk

SIZES = {"training": 60, "validation": 30, "test": 40}


CONTEXT = Context("study", "smoke", "part", Settings({}), torch.device("cpu"), Path("data"))


def drawn(name="digits", seeds=(0, 1, 0), **sizes):
    return samples(CONTEXT, name, seeds, {**SIZES, **sizes})


def test_no_example_is_in_two_parts_and_members_of_a_seed_share_theirs():
    own = drawn()
    for member in range(3):
        rows = torch.cat([part.subset[member] for part in own])
        assert len(rows) == len(rows.unique()) == 130
    assert torch.equal(own.training.subset[0], own.training.subset[2])
    assert not torch.equal(own.training.subset[0], own.training.subset[1])


def test_inputs_have_mean_zero_and_deviation_one_over_the_whole_data_set():
    x = drawn().training.shared["x"]
    assert abs(float(x.mean())) < 1e-5
    assert abs(float(x.std()) - 1) < 1e-5


def test_shrinking_averages_squares_of_pixels():
    images = torch.arange(16.0).view(1, 1, 4, 4)
    assert shrunk(images, 2).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert shrunk(images, 1) is images
    assert drawn("mnist5k", shrink=4).test.shared["x"].shape[1:] == (1, 7, 7)


def test_fewer_examples_are_a_part_of_more():
    own = drawn().training
    assert torch.equal(first(own, 20).subset, own.subset[:, :20])
    assert len(first(own, 20)) == 20


def test_own_columns_are_the_same_examples_with_some_columns_replaced():
    own = drawn().training
    labels = torch.zeros(3, 60, dtype=torch.int64)
    columns = own_columns(own, y=labels)
    positions = torch.tensor([[3, 5]] * 3)
    assert torch.equal(columns.rows(positions)["x"], own.rows(positions)["x"])
    assert columns.rows(positions)["y"].tolist() == [[0, 0]] * 3


def test_a_share_of_the_labels_is_wrong_the_same_for_members_of_a_seed():
    own = drawn().training
    given, right = mislabelled(own, CONTEXT, (0, 1, 0), 0.3).per_member["y"], own.shared["y"][own.subset]
    assert (given != right).sum(1).tolist() == [18, 18, 18]
    assert torch.equal(given[0], given[2])
    assert not torch.equal((given != right)[0], (given != right)[1])
