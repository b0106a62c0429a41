"""The study of fine-tuning: its tasks, what each way to tune trains, memory, values by hand and figures."""

import mmap

import numpy as np
import pytest
import torch

from claimcheck.data import words
from claimcheck.engine import lora
from claimcheck.errors import ClaimcheckError
from claimcheck.results import records

from .asking import Asked

ASKED = Asked("fine_tuning")
STUDY, PREDICTIONS, answer = ASKED.study, ASKED.predictions, ASKED.answer
TASKS, PEAK = (ASKED.module(name) for name in ("tasks", "peak_memory"))
SEEDS = [0, 1]


def context_of(part):
    return ASKED.context(part, **STUDY.at("smoke")[part].settings)


def run_part(name, scale="smoke", **how):
    """Records of one part for two units."""
    return ASKED.run_part(name, scale, seeds=2, rate=0.01, **how)


# ---- tasks ----


@pytest.fixture(scope="module")
def drawn():
    return TASKS.drawn(context_of("classifiers"), "mnist5k", SEEDS)


def test_a_unit_s_examples_for_four_purposes_are_its_own_and_never_the_same(drawn):
    for member in range(2):
        every = torch.cat([part.x[member].flatten(1) for part in drawn.values()])
        assert len(every.unique(dim=0)) == len(every) == 100 + 500 + 60 + 60
    assert not torch.equal(drawn["source"].x[0], drawn["source"].x[1])


def shifted(drawn, shift, part="test"):
    found = TASKS.shifted(context_of("classifiers"), drawn[part], shift, part, SEEDS).per_member
    return found["x"], found["y"]


def test_other_names_are_one_order_of_the_classes_for_all_examples_of_a_unit(drawn):
    plain, (x, y) = drawn["test"], shifted(drawn, "renamed")
    assert torch.equal(x, plain.x.flatten(2))
    for member in range(2):
        pairs = {(int(a), int(b)) for a, b in zip(plain.y[member], y[member], strict=True)}
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    _, learnt = shifted(drawn, "renamed", "examples")
    names = dict(zip(plain.y[0].tolist(), y[0].tolist(), strict=True))
    assert all(names[int(a)] == b for a, b in zip(drawn["examples"].y[0], learnt[0], strict=True) if int(a) in names)


def test_scrambling_moves_every_example_of_a_unit_alike_and_each_unit_in_its_own_way(drawn):
    plain, (x, y) = drawn["test"].x.flatten(2), shifted(drawn, "scrambled")
    assert torch.equal(y, drawn["test"].y)
    assert torch.equal(x.sort(-1).values, plain.sort(-1).values)
    same = [(x[0, :, place, None] == plain[0]).all(0).any() for place in range(x.shape[-1])]
    assert all(same)
    assert not torch.equal(x[0].argsort(), x[1].argsort())


def test_noise_has_the_deviation_that_the_yaml_says(drawn):
    x, _ = shifted(drawn, "noisy")
    assert float((x - drawn["test"].x.flatten(2)).std()) == pytest.approx(0.1, rel=0.05)


def test_an_unknown_shift_is_told(drawn):
    with pytest.raises(ClaimcheckError, match="upside down"):
        shifted(drawn, "upside down")


def test_words_are_turned_within_their_marks():
    tokens = torch.tensor([[1, 5, 6, 7, 2, 0], [1, 9, 2, 0, 0, 0]])
    assert TASKS.backwards(tokens).tolist() == [[1, 7, 6, 5, 2, 0], [1, 9, 2, 0, 0, 0]]
    assert torch.equal(TASKS.backwards(TASKS.backwards(tokens)), tokens)


def test_words_are_whole_no_longer_than_said_and_never_in_two_parts():
    read = TASKS.spelt(context_of("words"), SEEDS)
    for member in range(2):
        every = torch.cat([part[member] for part in read.values()])
        assert (every == words.END).sum(1).eq(1).all()
        assert len(every.unique(dim=0)) == len(every)


# ---- what is tuned ----


def test_every_way_trains_what_its_name_says(smoke):
    rows = smoke[smoke["dataset"] == "mnist1d_pool"].groupby("tuned")["share"].unique()
    inputs, width = 40, 16
    head = 10 * width + 10
    whole = inputs * width + width + width**2 + width + head
    low_rank = {f"rank{rank}": rank * (inputs + width + 2 * width) + head for rank in (1, 2)}
    low_rank["rank2_same_rate"] = low_rank["rank2"]
    trained = {"head": head, "whole": whole, "scratch": whole} | low_rank
    assert {way: list(share) for way, share in rows.items()} == {
        way: pytest.approx([count / whole]) for way, count in trained.items()
    }


def test_arms_begin_with_their_unit_s_network_and_only_scratch_with_a_new_one():
    """Without a step, accuracy is the untuned network's, on the new task and on the first."""
    found = run_part("classifiers", steps=0)
    known = found[found["tuned"] != "scratch"]
    assert (known["accuracy"] == known["untuned_accuracy"]).all()
    assert (known["kept_accuracy"] == known["source_accuracy"]).all()
    new = found[found["tuned"] == "scratch"]
    assert (new["accuracy"] != new["untuned_accuracy"]).any()


def test_the_rate_of_the_whole_network_is_chosen_by_how_the_whole_network_validates(smoke):
    rows = smoke[smoke["shift"] == "renamed"].set_index(["dataset", "seed"]).sort_index()
    same, whole, own = (rows[rows["tuned"] == way] for way in ("rank2_same_rate", "whole", "rank2"))
    assert same["validation_accuracy"].equals(whole["validation_accuracy"])
    assert not same["validation_accuracy"].equals(own["validation_accuracy"])
    assert same["accuracy"].equals(own["accuracy"])  # at smoke all ways have one rate


@pytest.mark.parametrize("part", ["classifiers", "words"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2, rate=0.01)


# ---- memory ----


JOB = {"width": 128, "depth": 8, "rank": 0, "batch_size": 8, "key": 1}


def test_state_of_adam_is_two_numbers_for_each_that_is_trained():
    for rank in (0, 4):
        network = PEAK.network(JOB | {"rank": rank})
        assert PEAK.state_bytes(network) == 8 * lora.trained(network)
    assert lora.trained(PEAK.network(JOB)) == 8 * (128**2 + 128) + 10 * 128 + 10


def test_memory_is_measured_with_the_package_that_runs_installed_or_not(tmp_path, monkeypatch):
    (tmp_path / "claimcheck").mkdir()
    (tmp_path / "claimcheck/__init__.py").write_text("raise ImportError('another one')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (found,) = PEAK.measured([{"key": 1, "width": 8, "depth": 1, "rank": 0, "batch_size": 2}])
    assert set(found) == {"peak", "counted", "state"}


def test_the_system_reports_about_what_is_counted_and_low_rank_needs_less():
    jobs = [JOB, JOB | {"rank": 4}, JOB | {"batch_size": 1024}]
    whole, low, large = (each["peak"] for each in PEAK.measured(jobs))
    # Linux adds up a process's pages in batches, so that a network of two MiB is a tenth off now and then.
    assert 0.8 < whole / PEAK.counted(jobs[0]) < 1.7
    assert low < whole / 2
    assert 0.8 < large / PEAK.counted(jobs[2]) < 1.7


def test_pages_of_programs_are_not_memory_of_training(tmp_path, monkeypatch):
    """How many of them a product reads is up to the processor: they made LoRA look as if it needed half as much."""
    size, kept = 64 * PEAK.MIB, []
    program = tmp_path / "program"
    program.write_bytes(bytes(size))

    def read_file(module, job):
        with program.open("rb") as file:
            kept.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        sum(kept[0][:: mmap.PAGESIZE])

    def fill_memory(module, job):
        kept.append(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE))  # no memory that was freed before
        kept[-1].write(bytes(size))

    nothing, read, filled = (
        (monkeypatch.setattr(PEAK, "train", each), PEAK._highest(None, JOB))[1]
        for each in (lambda module, job: None, read_file, fill_memory)
    )
    assert read - nothing < size / 4
    assert filled - nothing > size / 2


def test_counts_of_numbers_are_those_done_by_hand():
    weights = 8 * 128**2
    assert PEAK.counted(JOB) * 2**20 == pytest.approx(16 * weights)
    assert PEAK.counted(JOB | {"rank": 4}) * 2**20 == pytest.approx(4 * (weights + 9 * 8 * 128))
    assert PEAK.counted(JOB | {"batch_size": 1024}) * 2**20 == pytest.approx(4 * (3 * weights + 9 * 1024 * 128))


# ---- predictions ----


SHARES = {"rank1": 0.05, "rank2": 0.09, "rank2_same_rate": 0.09, "head": 0.04}


def tuned(run):
    """Records as the claims have them."""
    arm, few = (run.shift, run.tuned), run.examples == 50
    accuracy = {
        ("renamed", "head"): 0.85 if few else 0.895, ("renamed", "scratch"): 0.55 if few else 0.8,
        ("renamed", "rank2"): 0.885, ("renamed", "rank2_same_rate"): 0.87,
        ("scrambled", "rank1"): 0.6, ("scrambled", "rank2"): 0.7, ("scrambled", "head"): 0.5,
    }.get(arm, 0.9)  # fmt: skip
    kept = 0.5 if run.tuned == "rank1" and not few else 0.3
    return {"accuracy": accuracy, "kept_accuracy": kept, "source_accuracy": 0.95, "untuned_accuracy": 0.12,
            "forgotten": 0.95 - kept, "untuned_lead": 0.12 - accuracy, "noise_costs": 0.01, "shift_costs": 0.83,
            "share": SHARES.get(run.tuned, 1.0)}  # fmt: skip


def read(run):
    accuracy, gain = (0.24, 0.4) if run.tuned == "rank4" else (0.25, 0.44)
    return {"accuracy": accuracy, "gain": gain, "untuned_lead": 0.18 - accuracy, "share": 0.2}


def used(run):
    large, low = run.batch_size > 100, run.tuned == "rank4"
    return {"peak": (8.0 if low else 9.0) if large else (1.0 if low else 2.7), "state": 0.07 if low else 1.0}


MADE = {"classifiers": tuned, "few": tuned, "many": tuned, "words": read, "memory": used}


def made(name, scale="quick"):
    """Records of a part as a scale has it, two seeds, with made columns."""
    return ASKED.made(name, lambda run, settings: MADE[name](run), scale)


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction, scale):
    ASKED.told_from_controls(prediction, made(prediction.part, scale), scale)


def test_gains_and_what_is_lost_are_those_done_by_hand(smoke):
    for part in ("classifiers", "words"):
        rows = records.part_of(smoke, part)
        gain = rows["accuracy"] - rows["untuned_accuracy"]
        assert rows["untuned_lead"].to_numpy() == pytest.approx(-gain.to_numpy())
        assert rows["gain"].to_numpy() == pytest.approx((rows["untuned_loss"] - rows["loss"]).to_numpy())
        lost = rows["source_accuracy"] - rows["kept_accuracy"]
        assert rows["forgotten"].to_numpy() == pytest.approx(lost.to_numpy())
        costs = rows["source_accuracy"] - rows["untuned_accuracy"]
        assert rows["shift_costs"].to_numpy() == pytest.approx(costs.to_numpy())


def test_every_prediction_gives_each_seed_a_number(smoke):
    for prediction, values in ASKED.answers(smoke):
        if prediction.id != "fifty-gain-most":  # none where so small a network gains nothing
            assert np.isfinite(values.to_numpy(dtype=float)).all(), prediction.id


# ---- figures ----


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
