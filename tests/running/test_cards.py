"""Counted operations and what they would take on a card: against programs whose work is known."""

import pytest
import torch

from claimcheck.running.cards import OF_BANDWIDTH, OF_PRODUCTS, STARTING, Card, counting, seconds_on, total_flops
from claimcheck.running.cost import Rehearsal, on_each_card

CARD = Card(bandwidth=1e9, products=1e9)


def counted(program, *inputs):
    with counting() as work:
        program(*inputs)
    return dict(work)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (lambda a: a @ a, {(3 * 4 * 100, 2 * 1000): 1}),
        (lambda a: a + a, {(3 * 4 * 100, 0): 1}),
        (lambda a: a.add_(a).add_(a), {(3 * 4 * 100, 0): 2}),
        (lambda a: a.double(), {(4 * 100 + 8 * 100, 0): 1}),
        (lambda a: a.t().view(-1, 10)[2:].unsqueeze(1), {}),  # looks at it in other ways
        (lambda a: torch.empty_like(a), {}),
        (lambda a: a[:, [0, 1]], {(4 * 100 + 2 * 8 + 4 * 20, 0): 1}),
    ],
)
def test_operations_are_counted_with_their_bytes(program, expected):
    assert counted(program, torch.ones(10, 10)) == expected


def test_what_is_expanded_is_in_memory_once():
    row, matrix = torch.ones(1, 10), torch.ones(10, 10)
    assert counted(lambda: row.expand(10, 10) + matrix) == {(4 * 10 + 2 * 4 * 100, 0): 1}


def test_operations_of_an_ensemble_are_those_of_all_its_networks():
    weights, images = torch.ones(7, 10, 20), torch.ones(7, 5, 10)
    found = counted(lambda: torch.func.vmap(torch.mm)(images, weights))
    assert found == {(4 * 7 * (50 + 200 + 100), 7 * 2 * 5 * 10 * 20): 1}


def test_backward_is_counted_too():
    weights = torch.ones(10, 20, requires_grad=True)
    images = torch.ones(5, 10)
    found = counted(lambda: torch.autograd.grad((images @ weights).sum(), weights))
    products = [times for (_, flops), times in found.items() if flops == 2 * 5 * 10 * 20]
    assert sum(products) == 2


def test_an_operation_takes_its_start_its_bytes_or_its_products():
    assert seconds_on(CARD, {(8.0, 8.0): 3}) == pytest.approx(3 * STARTING)
    assert seconds_on(CARD, {(1e9, 8.0): 1}) == pytest.approx(1 / OF_BANDWIDTH)
    assert seconds_on(CARD, {(8.0, 1e9): 1}) == pytest.approx(1 / OF_PRODUCTS)
    assert seconds_on(CARD, {(1e9, 8.0): 1, (8.0, 1e9): 2}, 10) == pytest.approx(10 / OF_BANDWIDTH + 20 / OF_PRODUCTS)
    assert seconds_on(CARD, {(8.0, 8.0): 1}, 10) == pytest.approx(STARTING), "ten times as little is still a start"


def rehearsed(members, networks=None):
    rehearsal = Rehearsal(torch.device("cpu"), members)
    matrices = torch.ones(members, 100, 100)
    for _ in rehearsal.steps(50, networks):
        torch.bmm(matrices, matrices)
    return rehearsal


def test_loops_of_all_networks_are_reckoned_from_those_that_were_rehearsed():
    few, many = rehearsed(2), rehearsed(64)
    assert few.work == [(50, {(3 * 4 * 2 * 100**2, 2 * 2 * 100**3): 1})]
    assert total_flops(few.work[0][1]) == 2 * 2 * 100**3
    for card, seconds in on_each_card(few, 64, 50).items():
        assert seconds == pytest.approx(on_each_card(many, 64, 50)[card])


def test_networks_one_after_the_other_take_more_steps_and_no_larger_ones():
    one = rehearsed(1, networks=1)
    for card, seconds in on_each_card(one, 64, 64 * 50).items():
        assert seconds == pytest.approx(64 * on_each_card(one, 1, 50)[card])


def test_what_has_no_loop_takes_no_time_there():
    assert on_each_card(Rehearsal(torch.device("cpu"), 3), 12, 0) == {}
