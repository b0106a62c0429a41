"""The study of representations: losses and measures against values known by hand, baselines that must be there,
figures.
"""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from claimcheck.data.words import LETTERS, PHONEMES
from claimcheck.results import records
from claimcheck.spec import design

from .asking import Asked

ASKED = Asked("representations")
STUDY = ASKED.study
RUNS, NETWORKS, LOSSES, EXAMPLES = (ASKED.module(name) for name in ("runs", "networks", "losses", "examples"))
JUDGED = [prediction for prediction in ASKED.predictions.values() if prediction.kind != "fact"]
BASELINES = {
    "pretraining": {"supervised", "augmented", "random", "raw"},
    "transfer": {"supervised", "random", "raw"},
    "next": {"random", "raw"},
}
"""What every accuracy of pretrained features stands beside, by part: without it, it says nothing.

Where all examples have labels, no prediction asks for the augmented network, and it is not run.
"""


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def context_of(part, scale="smoke", **settings):
    return ASKED.context(part, scale, **{**STUDY.at(scale)[part].settings, **settings})


# ---- baselines ----


def lacking(rows):
    """Baselines that are not beside the pretrained features of a part, by data set and share of labels."""
    missing = set()
    part = rows["part"].iloc[0]
    cell = ["dataset", "labels"] if "labels" in rows else ["dataset"]
    rows = rows[rows["task"] == "class"] if "task" in rows else rows
    for key, own in rows.groupby(cell):
        there = set(own[own["test_accuracy"].notna()]["arm"])
        wanted = BASELINES[part] - ({"augmented"} if "labels" in own and own["labels"].iloc[0] == 1.0 else set())
        missing |= {(*np.atleast_1d(key).tolist(), arm) for arm in wanted - there}
    return missing


@pytest.mark.parametrize("part", BASELINES)
def test_no_accuracy_of_features_is_without_its_baselines(smoke, part):
    assert not lacking(records.part_of(smoke, part))
    for scale in ("quick", "full"):
        runs = design.confirmatory_runs(STUDY.at(scale)[part])
        assert not lacking(runs.assign(part=part, test_accuracy=0.5))


@pytest.mark.parametrize("arm", ["augmented", "random"])
def test_a_baseline_that_is_dropped_is_missed(smoke, arm):
    rows = records.part_of(smoke, "pretraining")
    assert lacking(rows[rows["arm"] != arm])
    assert lacking(rows.assign(test_accuracy=rows["test_accuracy"].where(rows["arm"] != arm)))


# ---- networks and losses ----


def test_each_tower_sees_its_own_modality_only_and_gives_vectors_of_length_one():
    towers = NETWORKS.Towers(3, 5, 8, 4, seeded())
    x = torch.randn(6, 8, generator=seeded(1))
    one, other = towers(x).chunk(2, -1)
    changed = towers(torch.cat([x[:, :3], x[:, 3:] + 1.0], 1)).chunk(2, -1)
    assert torch.equal(changed[0], one)
    assert not torch.allclose(changed[1], other)
    assert torch.allclose(one.norm(dim=1), torch.ones(6), atol=1e-5)


def test_a_word_is_the_sum_of_its_neighbouring_pairs_and_padding_counts_nothing():
    towers = NETWORKS.WordTowers([5, 5], 3, seeded())
    word = torch.tensor([[1, 3, 4, 2, 0, 0, 1, 2, 0, 0, 0, 0]])
    table = towers.pairs[0]
    spelled = table[1 * 5 + 3] + table[3 * 5 + 4] + table[4 * 5 + 2] + table[2 * 5]
    assert torch.allclose(towers(word)[0, :3], NETWORKS.unit(spelled), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "x"),
    [
        (lambda g: NETWORKS.Encoder(4, 6, [5], 3, g), torch.randn(2, 7, 4, generator=seeded(3))),
        (lambda g: NETWORKS.Towers(2, 2, 6, 3, g), torch.randn(2, 7, 4, generator=seeded(3))),
        (lambda g: NETWORKS.WordTowers([6, 6], 3, g), torch.randint(0, 6, (2, 7, 8), generator=seeded(3))),
        (lambda g: NETWORKS.Dictionary(4, 9, g), torch.randn(2, 7, 4, generator=seeded(3))),
    ],
)
def test_stacked_networks_give_what_each_gives_alone(make, x):
    alone = [make(seeded(seed)) for seed in range(2)]
    values = {name: torch.stack([dict(each.named_parameters())[name] for each in alone]) for name, _ in
              alone[0].named_parameters()}  # fmt: skip
    together = torch.func.functional_call(alone[0], values, (x,))
    for one, own, found in zip(alone, x, together, strict=True):
        assert torch.allclose(one(own), found, atol=1e-5)


def test_pair_contrast_is_the_mean_of_two_cross_entropies():
    z = NETWORKS.unit(torch.randn(5, 2, 4, generator=seeded())).flatten(1)
    a, b = z.chunk(2, -1)
    expected = (F.cross_entropy(a @ b.T / 0.3, torch.arange(5)) + F.cross_entropy(b @ a.T / 0.3, torch.arange(5))) / 2
    assert float(LOSSES.pair_contrast(0.3)(lambda x: x, {"x": z}, {})) == pytest.approx(float(expected), abs=1e-5)
    alone = LOSSES.pair_contrast(0.3, negatives=False)(lambda x: x, {"x": z}, {})
    assert float(alone) == pytest.approx(-float((a * b).sum(1).mean()) / 0.3, abs=1e-5)


def test_view_contrast_is_nt_xent_of_all_other_views():
    x, key = torch.randn(4, 6, generator=seeded()), torch.tensor(5)
    plain = LOSSES.Views(reach=0, scale=0.0, noise=0.0, bank=torch.zeros(64))
    found = LOSSES.view_contrast(plain, 6, 0.5)(lambda x: x, {"x": x, "key": key}, {})
    z = F.normalize(torch.cat([x, x]), dim=1)
    similar = (z @ z.T / 0.5).fill_diagonal_(-math.inf)
    assert float(found) == pytest.approx(float(F.cross_entropy(similar, (torch.arange(8) + 4) % 8)), abs=1e-4)


def test_a_view_is_moved_scaled_and_noisy_as_said_and_each_example_by_itself():
    x, bank = torch.arange(1.0, 13.0).expand(300, 12), torch.randn(4096, generator=seeded())
    still = LOSSES.Views(0, 0.0, 0.0, bank)(x, torch.tensor(7))
    moved = LOSSES.Views(6, 0.0, 0.0, bank)(x, torch.tensor(7))
    scaled = LOSSES.Views(0, 0.5, 0.0, bank)(x, torch.tensor(7)) / x
    noisy = LOSSES.Views(0, 0.0, 0.5, bank)(x, torch.tensor(7)) - x
    assert torch.equal(still, x)
    assert torch.equal(moved.sort(1)[0], x)
    assert len(moved[:, 0].unique()) == 12
    assert torch.allclose(scaled, scaled[:, :1].expand_as(scaled), atol=1e-5)
    assert float(scaled.min()) > 0.5
    assert float(scaled.max()) < 1.5
    assert float(noisy.std()) == pytest.approx(0.5, abs=0.08)
    assert len(noisy[:, 0].unique()) > 250


def test_windows_are_what_stands_before_each_value():
    before, after = LOSSES.windows(torch.arange(5.0)[None], 2)
    assert before.tolist() == [[[0, 1], [1, 2], [2, 3]]]
    assert after.tolist() == [[2, 3, 4]]
    before, after = LOSSES.windows(torch.tensor([[1, 3, 2, 0]]), 2, letters=4)
    assert before.unflatten(-1, (2, 4)).argmax(-1).tolist() == [[[0, 1], [1, 3], [3, 2]]]
    assert after.tolist() == [[3, 2, 0]]


def test_padding_is_not_predicted():
    tokens = torch.tensor([[1, 3, 2, 0, 0]])
    loss = LOSSES.next_loss(2, letters=4)
    said = torch.zeros(1, 4, 4)
    said[0, 0, 3] = said[0, 1, 2] = 50.0
    assert float(loss(lambda x: said, {"x": tokens}, {})) == pytest.approx(0.0, abs=1e-6)
    assert float(loss(lambda x: torch.zeros(1, 4, 4), {"x": tokens}, {})) == pytest.approx(math.log(4), abs=1e-6)


def test_sparse_loss_weighs_codes_by_the_length_of_their_direction():
    network = NETWORKS.Dictionary(3, 5, seeded())
    with torch.no_grad():
        network.directions.mul_(2.0)
    x = torch.randn(6, 3, generator=seeded(1))
    codes = F.relu(x @ network.encoder.weight.T)
    lengths = network.directions.norm(dim=1)
    expected = ((codes @ network.directions - x) ** 2).sum(1).mean() + 0.7 * (codes * lengths).sum(1).mean()
    found = LOSSES.sparse_reconstruction(3, 0.7)(network, {"x": x}, {})
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


# ---- examples ----


def test_syllables_are_vowels_that_sound():
    def tokens(word):
        return [1, *(PHONEMES.index(sound) for sound in word.split()), 2]

    words = ["T AH M EY T OW", "K AE T Z Z Z", "Y UW N AH V ER S", "AE B AH AH AH AE"]
    found = EXAMPLES.syllables(torch.tensor([tokens(word)[:8] for word in words[:1] + words[1:2] + words[3:]]))
    assert found.tolist() == [2, 0, 3]
    assert len(EXAMPLES.VOWELS) == 15


def test_the_heaviest_quarter_is_where_most_is():
    image = torch.zeros(4, 4, 4)
    for quarter, (row, column) in enumerate([(0, 1), (1, 3), (2, 0), (3, 2)]):
        image[quarter, row, column] = 1.0
    assert EXAMPLES.heaviest_quarter(image.flatten(1), side=4).tolist() == [0, 1, 2, 3]
    assert EXAMPLES.heaviest_quarter(torch.eye(8)[[0, 3, 7]]).tolist() == [0, 1, 3]


def test_a_unit_s_examples_are_its_own_and_never_on_two_sides():
    sizes = {"pool": 40, "validation": 20, "test": 20, "shrink": 2}
    sets = EXAMPLES.drawn(context_of("pretraining"), "mnist5k", [0, 1], sizes)
    every = torch.cat([sets[split].x for split in ("pool", "validation", "test")], 1)
    assert every.shape == (2, 80, 196)
    assert len(every[0].unique(dim=0)) == 80
    assert not torch.equal(sets["pool"].x[0], sets["pool"].x[1])
    words = EXAMPLES.drawn(context_of("next"), "cmudict", [0], sizes)["pool"]
    assert int(words.x.max()) < len(LETTERS)
    assert set(words.y.unique().tolist()) <= {0, 1, 2, 3}


def test_towers_without_some_classes_never_see_them(monkeypatch):
    seen = []
    whole = RUNS.train
    monkeypatch.setattr(
        RUNS, "train", lambda runs, context, **how: seen.append(how["data"]) or whole(runs, context, **how)
    )
    rows = design.confirmatory_runs(STUDY.at("smoke")["towers"].model_copy(update={"seeds": 2}))
    RUNS.run_towers(rows[(rows["arm"] == "unseen") & (rows["dataset"] == "digits")], context_of("towers"))
    assert set(seen[0].per_member["y"].unique().tolist()) == set(range(8))


def test_a_probe_takes_so_many_times_the_rate_that_is_tuned_and_a_network_takes_that_rate():
    runs = design.confirmatory_runs(STUDY.at("smoke")["transfer"].model_copy(update={"seeds": 1}))
    runs = runs[(runs["dataset"] == "mnist1d_pool") & runs["arm"].isin(["raw", "supervised"])]
    found = [
        RUNS.run_transfer(
            runs.assign(learning_rate=rate), context_of("transfer", probe_rate={"features": 1, "raw": times})
        ).set_index("run")
        for rate, times in ((0.01, 4), (0.04, 1))
    ]
    raw, supervised = (runs.loc[runs["arm"] == arm, "run"].item() for arm in ("raw", "supervised"))
    assert found[0].loc[raw].equals(found[1].loc[raw])
    assert not found[0].loc[supervised].equals(found[1].loc[supervised])


@pytest.mark.parametrize("part", ["pretraining", "transfer", "next"])
def test_raw_inputs_are_read_as_they_are_and_features_standardised_one_by_one(part, monkeypatch):
    seen = {}
    whole = RUNS._read_out
    monkeypatch.setattr(
        RUNS,
        "_read_out",
        lambda runs, context, sets, kind: seen.update({kind: sets}) or whole(runs, context, sets, kind),
    )
    rows = design.confirmatory_runs(STUDY.at("smoke")[part].model_copy(update={"seeds": 1}))
    rows = rows[(rows["dataset"] == "mnist1d_pool") & rows["arm"].isin(["raw", "random"])]
    context = context_of(part)
    getattr(RUNS, f"run_{part}")(rows.assign(learning_rate=0.01), context)
    sizes = context.settings["mnist1d_pool"]
    drawn = EXAMPLES.drawn(context, "mnist1d_pool", rows["seed"].unique(), sizes)["test"]
    if part == "transfer":
        drawn = drawn.of(drawn.y >= 5, sizes["tested"])
    assert torch.equal(seen["raw"]["test"].x[:1], drawn.x)
    if part != "transfer":  # there the examples of the source classes say mean and deviation
        deviation = seen["features"]["pool"].x[0].std(0)
        assert deviation[deviation > 0].tolist() == pytest.approx([1.0] * int((deviation > 0).sum()), abs=1e-4)


# ---- predictions ----


def accuracy(run):
    """As the claims have it: contrast beats what is not pretrained, its own augmentation and all labels beat contrast."""
    base = {"raw": 0.5, "random": 0.45, "supervised": 0.55, "augmented": 0.7, "contrastive": 0.6, "autoregressive": 0.6}
    right = base[run.arm] + 0.1 * math.log10(100 * getattr(run, "labels", 0.1))
    if run.arm == "supervised" and getattr(run, "labels", 0.1) == 1.0:
        right += 0.3
    if getattr(run, "task", "class") == "place":
        right = {"raw": 0.9, "random": 0.7, "contrastive": 0.6}[run.arm]
    disturbed = {"supervised": 0.2, "contrastive": 0.4, "augmented": 0.5}.get(run.arm, 0.1)
    return {"test_accuracy": right, "moved_accuracy": disturbed, "noisy_accuracy": disturbed}


def matched(run):
    good = {"pairs": 0.8, "raw": 0.6, "untrained": 0.1, "attraction": 0.12, "unseen": 0.7}[run.arm]
    last = 0.02 if run.arm == "unseen" else good
    names = ("to_signals", "to_images", "signal_neighbours", "image_neighbours")
    return {**dict.fromkeys(names, good), "last_to_signals": last}


def read(run):
    base = {"neurons": 0.4, "random": 0.45, "sparse_neurons": 0.5, "sparse_random": 0.55, "features": 0.7}[run.reads]
    base -= 0.1 if run.network == "untrained" else 0.0
    return {"selectivity": base, "dead": run.dictionary / 1000, "agreement": 0.6}


MADE = {
    "towers": matched,
    "words": lambda run: dict.fromkeys(("test_of_256", "test_of_4096"), 0.9 if run.arm == "pairs" else 0.0002),
    "superposition": lambda run: {
        "recovered": 0.95 if run.method == "sparse" else 0.6,
        "dead": run.dictionary / 1000,
    },
    "activations": read,
    "pretraining": accuracy,
    "transfer": accuracy,
    "next": accuracy,
}
"""Records in which every prediction is true: the columns of a run, by part."""


@pytest.mark.parametrize("prediction", JUDGED, ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction):
    for scale in ("quick", "full"):
        rows = ASKED.made(prediction.part, lambda run, settings: MADE[prediction.part](run), scale)
        ASKED.told_from_controls(prediction, rows, scale)


# ---- runs and figures ----


@pytest.mark.parametrize("part", ["towers", "words", "superposition", "activations", "pretraining", "transfer", "next"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2, rate=0.01)


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
