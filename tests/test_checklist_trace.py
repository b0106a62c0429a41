"""The operation that made the first bad number is named: hand-made cases, forwards and backwards."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from claimcheck.checklist import trace


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))


def batch_of(count=64):
    g = torch.Generator().manual_seed(2)
    return torch.randn(count, 8, generator=g), torch.randint(3, (count,), generator=g)


class Faulty(nn.Module):
    """A network with one more operation after its first layer."""

    def __init__(self, operation):
        super().__init__()
        self.first, self.second = nn.Sequential(nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 3)
        self.operation = operation

    def forward(self, x):
        return self.second(self.operation(self.first(x)))


def test_a_healthy_network_has_no_bad_number_even_with_a_masks_infinities():
    assert trace(small(), batch_of(), F.cross_entropy) is None
    masked = Faulty(lambda h: h.masked_fill(h < 0, -math.inf).softmax(-1))
    x, y = batch_of(16)
    assert trace(masked, (x.abs() + 1, y), lambda z, y: F.cross_entropy(z.nan_to_num(), y)) is None


@pytest.mark.parametrize(
    ("operation", "name", "when"),
    [
        (lambda h: h.relu().log(), "log", "forwards"),
        (lambda h: torch.sqrt(h), "sqrt", "forwards"),
        (lambda h: torch.where(h > 0, h.sqrt(), 0.0), "SqrtBackward0", "backwards"),
        (lambda h: h + (h - h.detach()).square().sum(-1, keepdim=True).sqrt(), "SqrtBackward0", "backwards"),
    ],
)
def test_the_operation_is_named_and_where_it_ran(operation, name, when):
    finding = trace(Faulty(operation), batch_of(), F.cross_entropy)
    assert finding.what == name
    assert finding.where == "the model itself"
    assert when in finding.measured


def log_into_a_column(h):
    h = h.clone()
    h[:, 0] = torch.log(h[:, 0] * 0)
    return h


def log_of_a_column_in_place(h):
    h = h.clone()
    h[:, 0].mul_(0).log_()
    return h


def cleaned_and_made_bad_again(h):
    h = (h * 0).log()
    return h.zero_().sub_(math.inf)


@pytest.mark.parametrize(
    ("operation", "name"),
    [(log_into_a_column, "log"), (log_of_a_column_in_place, "log"), (cleaned_and_made_bad_again, "sub")],
)
def test_what_is_written_in_place_is_followed(operation, name):
    assert trace(Faulty(operation), batch_of(), F.cross_entropy).what == name


def test_a_bad_number_that_a_mask_keeps_from_every_parameter_is_not_told():
    """The logarithm's NaN at zero ends at the ReLU before it, whose backward pass replaces what comes in."""
    assert trace(Faulty(lambda h: torch.where(h > 0, h.relu().log(), 0.0)), batch_of(), F.cross_entropy) is None


def test_bad_numbers_that_were_given_are_told_as_such():
    x, y = batch_of()
    assert trace(small(), (x / 0, y), F.cross_entropy).where == "inputs"
    model = small()
    nn.init.constant_(model[2].weight, math.nan)
    assert trace(model, (x, y), F.cross_entropy).where == "2.weight"
    normed = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 3)).eval()
    normed[1].running_mean.fill_(math.nan)
    assert trace(normed, (x, y), F.cross_entropy).where == "1.running_mean"
