"""Counted operations and what they would take on a card: against programs whose work is known."""

import pytest
import torch

from claimcheck.running import cards
from claimcheck.running.cards import OF_BANDWIDTH, OF_PRODUCTS, RECORDED, STARTED, Card, Count, counting, seconds_on
from claimcheck.spec.reading import load_study

CARD = Card(bandwidth=1e9, products=1e9)
PRODUCT = (3 * 4 * 100**2, 2 * 100**3)
"""Bytes and operations of a product of two matrices 100 x 100."""


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


def test_gradients_are_counted_however_they_are_asked_for():
    """With modules called before, the counter's own hooks fail where a leaf is asked for."""
    module, images = torch.nn.Linear(10, 20), torch.ones(5, 10, requires_grad=True)

    def gradients():
        outputs = module(images)
        rows = torch.eye(100).view(100, 5, 20)
        torch.func.vmap(lambda row: torch.autograd.grad(outputs, images, row, retain_graph=True)[0])(rows)
        outputs.sum().backward()

    assert sum(times for (_, flops), times in counted(gradients).items() if flops) >= 3


def test_an_operation_takes_its_start_its_bytes_or_its_products():
    assert seconds_on(CARD, {(8.0, 8.0): 3}, STARTED) == pytest.approx(3 * STARTED)
    assert seconds_on(CARD, {(1e9, 8.0): 1}, STARTED) == pytest.approx(1 / OF_BANDWIDTH)
    assert seconds_on(CARD, {(8.0, 1e9): 1}, STARTED) == pytest.approx(1 / OF_PRODUCTS)
    both = {(1e9, 8.0): 1, (8.0, 1e9): 2}
    assert seconds_on(CARD, both, RECORDED, 10) == pytest.approx(10 / OF_BANDWIDTH + 20 / OF_PRODUCTS)
    assert seconds_on(CARD, {(8.0, 8.0): 1}, RECORDED, 10) == pytest.approx(RECORDED), "ten times as little: a start"


def test_a_loop_is_counted_by_one_step_and_what_is_no_loop_apart():
    matrix, count = torch.ones(100, 100), Count(members=3)
    taken = 0
    with counting(count.rest):
        for networks in (None, 1):
            matrix @ matrix
            for _ in count.steps(50, networks):
                matrix @ matrix
                taken += 1
    assert taken == 2 * 2
    assert count.rest == {PRODUCT: 2}
    assert count.loops == [(50, {PRODUCT: 1})] * 2
    assert (count.steps_taken, count.network_steps) == (100, 50 * (3 + 1))


def test_loops_of_all_networks_are_reckoned_from_those_that_were_rehearsed():
    def rehearsed(members, networks=None):
        count, matrices = Count(members), torch.ones(members, 100, 100)
        for _ in count.steps(50, networks):
            torch.bmm(matrices, matrices)
        return count

    few, many = rehearsed(2), rehearsed(64)
    expected = many.seconds_of_loops(CARD, 50, 50 * 64)
    assert expected == pytest.approx(50 * 64 * PRODUCT[1] / (OF_PRODUCTS * CARD.products))
    assert few.seconds_of_loops(CARD, 50, 50 * 64) == pytest.approx(expected)
    alone = rehearsed(1, 1)  # one network after the other: more steps, and no larger ones
    assert alone.seconds_of_loops(CARD, 64 * 50, 64 * 50) == pytest.approx(64 * alone.seconds_of_loops(CARD, 50, 50))
    assert Count(3).seconds_of_loops(CARD, 0, 0) == 0.0


CODE = """
import time
import pandas as pd
import torch

def run_tosses(runs, context):
    matrices = torch.ones(len(runs), 100, 100)
    for _ in context.steps(30):
        torch.bmm(matrices, matrices)
    for _ in range(len(runs)):
        matrices[0] @ matrices[0]
        time.sleep(0.02)
    return pd.DataFrame({"run": runs["run"], "heads": 0.0})
"""


@pytest.mark.parametrize("timing", [False, True])
def test_a_study_is_reckoned_from_a_few_of_its_units(studies, edit, config, timing):
    def change(raw):
        raw["parts"]["tosses"] = {"factors": {"arm": {"values": [0, 1]}}, "timing": timing}
        raw["scales"] = {"smoke": {"seeds": 20}}
        raw["claims"][0]["predictions"][0]["measure"] = {"value": "heads", "of": {"arm": 1}}
        raw["claims"][0]["predictions"][0]["controls"] = {"none": "It is the products that are asked about."}

    edit("coin", change)
    (studies / "coin" / "runs.py").write_text(CODE)
    found = cards.reckon(load_study(studies, "coin"), config, CARD)
    assert found.runs == 40
    product = PRODUCT[1] / (OF_PRODUCTS * CARD.products)
    assert found.loops == pytest.approx(30 * 40 * product)
    assert 40 * product < found.operations < 41 * product
    assert (found.python == 0.0) if timing else (40 * 0.02 < found.python < 3 * 40 * 0.02)
    assert found.seconds == found.loops + found.operations + found.python
