"""The study of representations: its measures against values known by hand."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.context import Settings
from claimcheck.spec import design

from .test_representations import ASKED, NETWORKS, RUNS, STUDY, context_of, seeded

DICTIONARIES, READING, RETRIEVAL = (ASKED.module(name) for name in ("dictionaries", "reading", "retrieval"))


def test_directions_are_recovered_up_to_order_and_sign():
    known = torch.eye(4)[None, :3]
    learnt = torch.stack([-known[0, 2], known[0, 0] * 5, (known[0, 1] + torch.eye(4)[3]) / 2])[None]
    assert DICTIONARIES.recovered(known, learnt) == pytest.approx([(2 + math.sqrt(0.5)) / 3])


def test_selectivity_is_one_for_one_class_none_for_all_and_leaves_out_what_is_seldom_active():
    classes = torch.arange(10).repeat(20)
    codes = torch.stack([(classes == 4).double(), torch.ones(200).double(), torch.zeros(200).double()], 1)
    codes[0, 2] = 1.0
    assert DICTIONARIES.selectivity(codes[None], classes[None], 0.01) == pytest.approx([0.5])
    third = (classes == 4).double() * 2.0 + 1.0
    assert DICTIONARIES.selectivity(third[None, :, None], classes[None], 0.01) == pytest.approx([0.5])


def test_a_threshold_leaves_a_unit_active_in_the_share_of_training_examples_that_is_asked_for():
    pool, test = (torch.randn(2, 200, 3, generator=seeded(seed)) + 1.0 for seed in range(2))
    shares = torch.tensor([[0.0, 0.1, 0.5], [0.995, 0.25, 0.01]], dtype=torch.float64)
    assert torch.equal(DICTIONARIES.activity(DICTIONARIES.as_sparse(pool, pool, shares)), shares)
    found = DICTIONARIES.as_sparse(pool, test, shares)
    assert torch.allclose(DICTIONARIES.activity(found), shares, atol=0.1)
    shift = (test - found)[0, :, 2][found[0, :, 2] > 0]
    assert torch.allclose(shift, shift[0].expand_as(shift), atol=1e-6)
    assert float(found.min()) == 0.0


def test_a_neuron_is_never_made_more_active_than_it_is():
    neurons = torch.randn(1, 200, 2, generator=seeded()).clamp(min=0.0) * torch.tensor([1.0, 0.0])
    own = DICTIONARIES.activity(neurons)
    assert torch.equal(DICTIONARIES.as_sparse(neurons, neurons, torch.full((1, 2), 0.9)), neurons)
    assert float(own[0, 1]) == 0.0


def test_the_most_active_neuron_is_held_against_the_most_active_features():
    shares, own = torch.tensor([[0.4, 0.1, 0.3, 0.2]]), torch.tensor([[0.5, 0.9]])
    assert DICTIONARIES.by_rank(shares, own).tolist() == [pytest.approx([0.175, 0.325])]
    assert DICTIONARIES.by_rank(shares, shares * 2)[0].argsort().tolist() == shares[0].argsort().tolist()


def test_what_is_compared_with_features_is_as_sparse_and_sparsity_alone_makes_it_more_selective():
    sizes = {"mnist1d_pool": {"pool": 1000, "validation": 0, "test": 1000}, "width": 32, "penalty": 1.2, "steps": 100}
    runs = design.confirmatory_runs(STUDY.at("quick")["activations"].on("mnist1d_pool"))
    runs = runs[(runs["dataset"] == "mnist1d_pool") & (runs["network"] == "trained") & (runs["dictionary"] == 64)]
    runs = runs[runs["seed"] < runs["seed"].min() + 3].reset_index(drop=True)
    found = RUNS.run_activations(runs, context_of("activations", "quick", **sizes)).merge(runs, on="run")
    active, selective = (
        found.pivot(index="seed", columns="reads", values=name) for name in ("activity", "selectivity")
    )
    assert (active["random"] > active["features"] + 0.15).all()
    assert (active["neurons"] > active["features"] + 0.05).all()
    assert np.allclose(active["sparse_random"], active["features"], atol=0.02)
    assert np.allclose(active["sparse_neurons"], active["features"], atol=0.03)
    assert (selective["sparse_random"] > selective["random"]).all()
    assert (selective["sparse_neurons"] > selective["neurons"]).all()


def test_the_random_directions_are_those_that_features_began_as():
    units = pd.DataFrame({"run": ["a", "b"], "seed": [3, 4]})
    context = context_of("activations", steps=2, learning_rate=0.0)
    x = torch.randn(2, 64, 5, generator=seeded())
    new, unmoved = (READING.autoencoders(units, context, x, 7, trained) for trained in (False, True))
    assert torch.equal(new.named()["directions"], unmoved.named()["encoder.weight"])


def test_superposed_directions_have_length_one_and_examples_the_mean_square_of_their_dimensions():
    settings = Settings({"directions": 32, "inputs": 16, "density": 0.05, "examples": 20000, "fresh": 10})
    directions, x, fresh = DICTIONARIES.superposed(settings, seeded())
    assert torch.allclose(directions.norm(dim=1), torch.ones(32), atol=1e-5)
    # E a^2 = 1/3 where present; cross terms of random directions add a few per cent
    assert float(x.square().sum(1).mean()) == pytest.approx(16, rel=0.15)
    assert len(fresh) == 10


def test_hardly_an_example_of_known_directions_holds_one_alone():
    settings = STUDY.at("quick")["superposition"].settings
    directions, x, _ = DICTIONARIES.superposed(Settings(settings), seeded())
    alone = (NETWORKS.unit(x) @ directions.mT > 1.0 - 1e-4).any(1)
    assert float(alone.double().mean()) < 0.005
    count, density = settings["directions"], settings["density"]
    assert count * density * (1 - density) ** (count - 1) / (1 - (1 - density) ** count) < 0.001
    easy, x, _ = DICTIONARIES.superposed(Settings({**settings, "density": 1.6 / count}), seeded())
    assert float((NETWORKS.unit(x) @ easy.mT > 1.0 - 1e-4).any(1).double().mean()) > 0.3


def test_centres_are_those_of_the_examples_that_are_nearest_to_them():
    x = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0], [5.0, 1.0], [0.6, 0.8]])
    assert torch.allclose(DICTIONARIES.centres(x, 2, 0), torch.eye(2))
    first, second = NETWORKS.unit(x[[0]]) + NETWORKS.unit(x[[3]]), NETWORKS.unit(x[[1]]) + NETWORKS.unit(x[[4]])
    expected = NETWORKS.unit(torch.cat([first, second]))
    assert torch.allclose(DICTIONARIES.centres(x, 2, 1), expected)
    half_angles = (math.atan(1 / 5) / 2, math.atan(3 / 4) / 2)
    assert DICTIONARIES.recovered(torch.eye(2)[None], expected[None])[0] == pytest.approx(
        sum(map(math.cos, half_angles)) / 2
    )


@pytest.mark.parametrize("whitened", [False, True])
def test_centres_find_directions_that_come_alone(whitened):
    directions = NETWORKS.unit(torch.tensor([[1.0, 0.2, 0.0], [0.6, 1.0, 0.1], [0.0, 0.7, 1.0]]))
    amounts = torch.eye(3)[torch.randint(0, 3, (3000,), generator=seeded())] * torch.rand(3000, 1, generator=seeded(1))
    found = DICTIONARIES.centres(amounts @ directions, 24, 20, whitened)
    assert DICTIONARIES.recovered(directions[None], found[None])[0] > (0.93 if whitened else 0.999)


def test_whitened_centres_are_led_back_to_the_space_of_the_inputs():
    x = torch.randn(5000, 3, generator=seeded()) @ torch.tensor([[3.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.2]])
    assert torch.allclose(DICTIONARIES.centres(x, 40, 0, whitened=True), NETWORKS.unit(x[:40] - x.mean(0)), atol=1e-3)


def test_an_autoencoder_is_dense_without_the_penalty():
    units = pd.DataFrame({"run": ["a"], "seed": [3]})
    context = context_of("superposition", steps=150)
    x = torch.randn(1, 500, 5, generator=seeded())
    sparse, dense = (READING.autoencoders(units, context, x, 10, sparse=each) for each in (True, False))
    quality = [DICTIONARIES.quality(each, x) for each in (sparse, dense)]
    assert quality[1]["active"][0] > quality[0]["active"][0] + 1.0
    assert quality[1]["explained"][0] > quality[0]["explained"][0]


def test_a_word_s_own_partner_is_found_among_so_many_and_words_that_sound_alike_are_no_error():
    one = torch.eye(4)[None]
    swapped = torch.eye(4)[[1, 0, 2, 3]][None]
    whole = {"test_of_256": [0.5], "test_of_4096": [0.5]}  # all four, where there are no more
    assert RETRIEVAL.own_partner((one, swapped), "test", [4]) == {"test_of_4": [0.5], **whole}
    alike = torch.eye(4)[[0, 0, 2, 3]][None]
    assert RETRIEVAL.own_partner((alike, alike), "test", [4])["test_of_4"] == [1.0]
    moved = torch.eye(4)[[2, 1, 0, 3]][None]
    assert RETRIEVAL.own_partner((one, moved), "test", [2])["test_of_2"] == [1.0]


def test_neighbours_are_counted_across_modalities_and_within_them():
    classes = torch.tensor([[0, 0, 9, 9]])
    images = NETWORKS.unit(torch.tensor([[[1.0, 0.1], [1.0, 0.2], [0.1, 1.0], [0.2, 1.0]]]))
    signals = NETWORKS.unit(torch.tensor([[[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]]]))
    each = torch.arange(4)[None]
    found = RETRIEVAL.by_class((images, signals), classes, each, across=True, last=1)
    assert found["image_neighbours"] == [1.0]
    assert found["signal_neighbours"] == [0.0]
    assert found["last_to_signals"] == [1.0]
    assert math.isnan(RETRIEVAL.by_class((images, signals), classes, each, across=False, last=1)["to_signals"][0])


def test_an_image_of_two_pairs_is_no_neighbour_of_itself():
    classes = torch.tensor([[0, 0, 9]])
    images = torch.tensor([[[1.0, 0.1], [1.0, 0.1], [0.1, 1.0]]])
    again = RETRIEVAL.by_class((images, images), classes, torch.tensor([[0, 0, 1]]), across=True, last=1)
    assert again["image_neighbours"] == [0.0], "only one other image is left, of another class"
    twice = RETRIEVAL.by_class((images, images), classes, torch.tensor([[0, 1, 2]]), across=True, last=1)
    assert twice["image_neighbours"] == [pytest.approx(2 / 3)]


def test_the_plane_has_the_greatest_spread_first():
    x = torch.randn(50, 5, generator=seeded()) * torch.tensor([1.0, 5.0, 0.1, 3.0, 0.1])
    plane = RETRIEVAL.in_the_plane([x[:25], x[25:]], torch.zeros(25, dtype=torch.int64))
    assert plane["first"].std() == pytest.approx(float(x[:, 1].std()), rel=0.1)
    assert plane["second"].std() == pytest.approx(float(x[:, 3].std()), rel=0.1)
