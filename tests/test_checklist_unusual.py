"""The checklist on models and losses out of the ordinary: numbers for a loss, sparse gradients, lazy layers, complex data."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from claimcheck.checklist import check, trace
from claimcheck.checklist.data import data
from claimcheck.checklist.gradients import gradient

from .test_checklist import batch_of, found, small


def test_a_loss_that_is_no_tensor_is_told_by_every_check_that_trains_and_by_trace():
    def number(outputs, targets):
        return F.cross_entropy(outputs, targets).item()

    findings = check(small(), batch_of(), number)
    assert found(findings) == {"gradient", "overfit", "learning_rate", "gradient_norms"}
    assert {finding.measured for finding in findings} == {
        "the loss is of type float, not a tensor: leave out float and .item"
    }
    with pytest.raises(TypeError, match="of type float, not a tensor"):
        trace(small(), batch_of(), number)


def test_an_embedding_with_sparse_gradients_is_healthy_and_one_without_any_is_told():
    words = torch.arange(40) % 10
    model = nn.Sequential(nn.Embedding(10, 8, sparse=True), nn.Linear(8, 5))
    findings = check(
        model, (words, words % 5), F.cross_entropy, optimizer=lambda m: torch.optim.SGD(m.parameters(), lr=1.0)
    )
    assert findings == []
    assert trace(model, (words, words % 5), F.cross_entropy) is None
    nn.init.zeros_(model[1].weight)
    assert gradient(model, (words, words % 5), F.cross_entropy) == [], "after a step of the last layer"
    blocked = nn.Sequential(model[0], nn.Hardtanh(5.0, 6.0), nn.Linear(8, 5))
    (finding,) = gradient(blocked, (words, words % 5), F.cross_entropy)
    assert (finding.what, finding.where) == ("the gradient is zero in every element", "0.weight")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_model_is_refused_and_left_alone():
    model = nn.Sequential(torch.jit.script(nn.Linear(8, 3)))
    findings = check(model, batch_of(), F.cross_entropy)
    assert found(findings) == {"gradient", "overfit", "learning_rate", "gradient_norms"}
    assert {finding.measured for finding in findings} == {
        "a scripted model cannot be copied: give the one that it was made of"
    }
    assert [each.grad for each in model.parameters()] == [None, None]


def test_a_compiled_model_is_copied_whole():
    model = torch.compile(small(), backend="eager")
    before = [each.detach().clone() for each in model.parameters()]
    assert check(model, batch_of(), F.cross_entropy, checks=["gradient", "overfit"], steps=400) == []
    assert all(map(torch.equal, before, model.parameters()))
    assert [each.grad for each in model.parameters() if each.grad is not None] == []


def test_a_loss_without_a_graph_is_traced_forwards():
    x, y = batch_of()
    assert trace(small(), (x, y), lambda z, y: F.cross_entropy(z.detach(), y)) is None
    assert trace(small(), (x, y), lambda z, y: (z.detach() - z.detach()).log().sum()).what == "log"


def test_lazy_layers_can_be_traced():
    model, (x, y) = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 4)), batch_of()
    assert trace(model, (x, y), F.cross_entropy) is None
    assert trace(model, (x, y), lambda z, y: F.cross_entropy(z, y) + z.sub(z).log().sum()).what == "log"


def test_complex_inputs_are_looked_through_in_both_parts():
    values = torch.complex(torch.randn(40, 8), torch.randn(40, 8))
    assert data(values) == []
    values[3, 2] = complex(0.0, float("inf"))
    (finding,) = data(values)
    assert (finding.what, finding.measured) == ("values are not finite", "1 of 640")
