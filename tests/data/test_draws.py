"""A unit's own data: hung on study, seed and purpose alone; nothing tested was trained on."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from claimcheck.data import downloads
from claimcheck.data.draws import draw, draw_each, draw_vectors
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.data import Data
from claimcheck.errors import ClaimcheckError
from claimcheck.results import sources

SMALL = ["digits", "mnist5k", "breast_cancer", "cmudict"]
NAMES = ("x_train", "y_train", "x_test", "y_test")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture
def context(data_dir):
    return a_context(data_dir)


def a_context(data_dir, study="toy", part="first"):
    return Context(study, "quick", part, Settings({}), torch.device("cpu"), data_dir)


def same(one, other, names=NAMES):
    return all(torch.equal(getattr(one, name), getattr(other, name)) for name in names)


def shared_rows(own):
    """How many rows of the pool are both trained and tested on."""
    return len(set(own.train[0].tolist()) & set(own.test[0].tolist()))


@pytest.mark.parametrize("name", SMALL)
def test_no_example_is_both_trained_and_tested_on(context, name):
    for seed in range(20):
        own = draw_each(context, name, [seed], train=300, test=269)
        assert shared_rows(own) == 0
        assert len(set(own.train[0].tolist())) == 300
        assert len(set(own.test[0].tolist())) == 269


def test_all_that_training_leaves_is_tested(context):
    own = draw_each(context, "digits", [0], train=1297)
    assert own.test.shape == (1, 500)
    assert shared_rows(own) == 0


def test_a_test_set_of_its_own_is_whole_and_the_same_for_all_unless_asked(context):
    whole = draw_each(context, "mnist1d_pool", [0, 1], train=4000)
    assert whole.test.tolist() == list(range(10_000))
    assert same(whole.of(0), whole.of(1), ("x_test", "y_test"))
    part = draw_each(context, "mnist1d_pool", [0, 1], train=4000, test=500)
    assert part.test.shape == (2, 500)
    assert part.test[0].tolist() != part.test[1].tolist()
    assert torch.equal(part.train, whole.train)


def test_a_draw_is_the_same_alone_in_company_and_in_any_part(context, data_dir):
    alone = draw(context, "digits", 7, train=400, test=200)
    company = draw_each(context, "digits", [3, 7, 7, 10_000], train=400, test=200)
    assert same(alone, company.of(1))
    assert same(alone, company.of(2))
    assert same(alone, draw(a_context(data_dir, part="second"), "digits", 7, train=400, test=200))


def test_study_seed_and_purpose_each_make_another_draw(context, data_dir):
    one = draw(context, "digits", 7, train=400, test=200)
    others = [
        draw(a_context(data_dir, study="other"), "digits", 7, train=400, test=200),
        draw(context, "digits", 8, train=400, test=200),
        draw(context, "digits", 7, train=400, test=200, purpose="teacher data"),
    ]
    assert not any(same(one, other, [name]) for other in others for name in NAMES)


@pytest.mark.parametrize("name", ["digits", "mnist1d_pool"])
def test_fewer_are_a_part_of_more_and_neither_side_moves_the_other(context, name):
    small, large = draw(context, name, 1, train=100, test=50), draw(context, name, 1, train=600, test=400)
    assert torch.equal(small.x_train, large.x_train[:100])
    assert torch.equal(small.x_test, large.x_test[:50])


def test_examples_keep_their_labels(context):
    whole = draw(context, "digits", 1, train=1796, test=1)
    labels = {tuple(x.flatten().tolist()): int(y) for x, y in zip(whole.x_train, whole.y_train)}
    own = draw(context, "digits", 2, train=300, test=200)
    known = [(labels.get(tuple(x.flatten().tolist())), int(y)) for x, y in zip(own.x_train, own.y_train)]
    assert all(expected == found for expected, found in known if expected is not None)


def test_every_example_is_drawn_equally_often(context):
    own = draw_each(context, "breast_cancer", range(2000), train=200, test=100)
    for rows, share in ((own.train, 200 / 569), (own.test, 100 / 569)):
        often = rows.flatten().bincount(minlength=569).double() / 2000
        deviation = (share * (1 - share) / 2000) ** 0.5
        assert 0.8 < float(((often - share) / deviation).square().mean()) < 1.2


def test_an_ensemble_trains_on_what_each_member_drew(context):
    own = draw_each(context, "digits", [4, 5], train=64, test=32)
    data = Data({"x": own.pool.x_train, "y": own.pool.y_train}, subset=own.train)
    batch = data.rows(torch.arange(64).expand(2, 64))
    assert torch.equal(batch["x"][1], draw(context, "digits", 5, train=64, test=32).x_train)
    assert torch.equal(batch["y"][0], own.of(0).y_train)


def test_a_study_that_draws_depends_on_the_pool_and_one_that_does_not_does_not(tmp_path):
    using = 'from claimcheck.data.draws import draw\n\n\ndef run(runs, context):\n    draw(context, "mnist5k", 0, train=1)\n'
    (tmp_path / "runs.py").write_text(using + "\n\ndef other(runs, context):\n    pass\n")
    found = {name: sources.reach(tmp_path, "runs", [name], ["engine.context"]) for name in ("run", "other")}
    assert "mnist5k" in found["run"].words & set(downloads.NAMES)
    assert {"claimcheck.data.draws", "claimcheck.data.pools"} <= found["run"].hashes.keys()
    assert not {"claimcheck.data.draws", "claimcheck.data.pools"} & found["other"].hashes.keys()


def test_sequences_keep_their_vocabularies(context):
    own = draw(context, "cmudict", 0, train=1000, test=100)
    assert own.x_train.shape == own.y_train.shape == (1000, 17)
    assert (own.x_vocabulary[3], own.y_vocabulary[3], own.classes) == ("a", "AA", 42)


@pytest.mark.parametrize(("name", "apart"), [("digits", False), ("mnist1d_pool", True)])
def test_a_pool_on_another_device_is_kept_once(data_dir, name, apart):
    there = replace(a_context(data_dir), device=torch.device("meta"))
    pool = draw_each(there, name, [0], train=100, test=50).pool
    assert pool.x_train.device.type == "meta"
    assert pool.test_apart == apart


@pytest.mark.parametrize(
    ("name", "train", "test", "said"),
    [
        ("digits", 1500, 298, "found 'train 1500, test 298'; expected at most 1797 together"),
        ("digits", 1798, None, "expected at most 1797 together"),
        ("mnist1d_pool", 100_001, None, "expected at most 100000 to train and 10000 to test"),
        ("mnist1d_pool", 10, 10_001, "expected at most 100000 to train and 10000 to test"),
        ("digits", 10**14, 10**14, "expected at most 1797 together"),
        ("digits", 0, 10, "draw from digits: train; found 0; expected a whole number, at least 1"),
        ("digits", 10, -1, "draw from digits: test; found -1; expected a whole number, at least 0"),
        ("digits", 10.0, 10, "draw from digits: train; found 10.0"),
        ("digits", True, 10, "draw from digits: train; found True"),
    ],
)
def test_more_than_there_is_or_no_number_is_one_line(context, name, train, test, said):
    with pytest.raises(ClaimcheckError) as told:
        draw(context, name, 0, train=train, test=test)
    assert str(told.value).startswith("study toy, part first: draw from ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("name", "train", "test", "tested"),
    [
        ("digits", 1797, None, 0),
        ("digits", 1, 1796, 1796),
        ("digits", 9, 0, 0),
        ("mnist1d_pool", 100_000, 10_000, 10_000),
    ],
)
def test_all_there_is_can_be_asked_for(context, name, train, test, tested):
    own = draw_each(context, name, [0], train=train, test=test)
    assert [len(set(rows[0].tolist())) for rows in (own.train, own.test)] == [train, tested]


def test_vectors_are_the_same_draws_averaged_and_scaled(context):
    plain = draw_each(context, "mnist5k", [3], train=100)
    vectors = draw_vectors(context, "mnist5k", [3], train={"mnist5k": 100, "digits": 7}, average_pooling=2)
    assert torch.equal(plain.train, vectors.train)
    assert torch.equal(plain.test, vectors.test)
    image, vector = plain.pool.x_train[5].squeeze(), vectors.pool.x_train[5]
    averaged = image.reshape(14, 2, 14, 2).mean((1, 3)).flatten()
    centred = averaged - averaged.mean()
    torch.testing.assert_close(vector - vector.mean(), centred * (vector.std() / averaged.std()))
    everything = vectors.pool.x_train.double()
    assert everything.mean().abs() < 1e-3
    assert (everything.std() - 1).abs() < 1e-3
    assert draw_vectors(context, "digits", [3], train=7, average_pooling=2).pool.x_train.shape[1] == 64
