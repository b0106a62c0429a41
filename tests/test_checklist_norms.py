"""Early gradient norms: growth and vanishing are told, whatever the unit of the loss or the norm at the start."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import mnasnet0_5

from claimcheck.checklist.training import early_norms, gradient_norms


class Bowl(nn.Module):
    """One parameter, 1 at the start, and outputs that are all equal to it."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0]))

    def forward(self, x):
        return self.w.expand(len(x))


def sgd(model, rate=0.01):
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)


def still(model):
    """Moves nothing, so that every step is the first."""
    return torch.optim.SGD(model.parameters(), lr=0.0)


BLANK = torch.zeros(4, 1), torch.zeros(4)


def found(model, loss, optimizer=None, batch=BLANK):
    return [(each.what, each.where) for each in gradient_norms(model, batch, loss, optimizer)]


def seeded(make):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return make()


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e6])
def test_the_unit_of_the_loss_does_not_matter(unit):
    assert found(Bowl(), lambda w, y: unit * w.mean(), still) == []
    assert found(Bowl(), lambda w, y: unit * (1 + 0.001 * w.mean()), still) == [("small gradients", "step 0")]


def test_gradients_that_grow_are_told_where_the_rate_is_the_users():
    """Curvature 10 at a rate of 1: each step multiplies w by -9, so that norms are 10, 90, 810; 30 times 10 is 300."""

    def loss(w, y):
        return 5 * w.square().mean()

    assert found(Bowl(), loss, lambda model: torch.optim.SGD(model.parameters(), lr=1.0)) == [
        ("gradients grow", "step 2")
    ]
    assert found(Bowl(), loss, lambda model: torch.optim.SGD(model.parameters(), lr=0.15)) == []
    assert found(Bowl(), loss) == []


def test_a_gradient_that_is_not_finite_is_told():
    assert found(Bowl(), lambda w, y: (w - w.detach()).square().sum().sqrt()) == [
        ("gradients are not finite", "step 0")
    ]


def test_a_batch_that_is_learnt_at_once_leaves_small_gradients_and_no_finding():
    model = seeded(lambda: nn.Sequential(nn.Linear(8, 512), nn.ReLU(), nn.Linear(512, 3)))
    batch = seeded(lambda: (torch.randn(16, 8), torch.randint(3, (16,))))

    def fast(model):
        return torch.optim.Adam(model.parameters(), lr=0.1)

    trained = copy.deepcopy(model)
    norms, _ = early_norms(trained, batch, F.cross_entropy, fast(trained))
    assert min(norms) < 0.05 * norms[0]
    assert found(model, F.cross_entropy, fast, batch) == []


@pytest.mark.parametrize("optimizer", [None, sgd])
def test_a_healthy_model_may_begin_with_any_norm(optimizer):
    """Batch norm over few examples makes gradients large; the model is trained without trouble all the same."""
    model = seeded(lambda: mnasnet0_5(num_classes=5))
    batch = seeded(lambda: (torch.randn(16, 3, 16, 16), torch.randint(5, (16,))))
    assert early_norms(copy.deepcopy(model), batch, F.cross_entropy, still(model))[0][0] > 1000
    assert found(model, F.cross_entropy, optimizer, batch) == []
