"""The dry estimate: what a rehearsal cuts, counts and multiplies out, against what a run then does."""

import dataclasses
from pathlib import Path

import pytest
import torch

from claimcheck.results.state import locate
from claimcheck.running import cost, runner
from claimcheck.running.cost import Rehearsal
from claimcheck.running.devices import machine_for, memory_limit
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_config, load_study

ROOT = Path(__file__).parents[2]

CODE = """
import pandas as pd
import torch

def run_tosses(runs, context):
    s = context.settings
    shared = torch.ones(s.fixed_mib * 2**18)
    own = torch.ones(len(runs), s.own_mib * 2**18)
    size = int(runs["size"].iloc[0])
    a, b = torch.rand(len(runs), size, size), torch.rand(len(runs), size, size)
    for _ in context.steps(30):
        torch.bmm(a, b)
    return pd.DataFrame({"run": runs["run"], "heads": (own.sum(1) + shared.sum()).double()})
"""


@pytest.fixture
def products(studies, edit, config):
    """products(seeds, fixed_mib, own_mib): a study of matrix products, each run with memory of its own, beside what is
    there once; and the configuration."""

    def make(seeds=16, fixed=1, own=1):
        def change(raw):
            factors = {"size": {"values": [96, 128], "static": True}, "arm": {"values": [0, 1]}}
            raw["parts"]["tosses"] = {"factors": factors, "settings": {"fixed_mib": fixed, "own_mib": own}}
            raw["scales"] = {"smoke": {"seeds": seeds}}
            prediction = raw["claims"][0]["predictions"][0]
            prediction["measure"] = {"value": "heads", "mean_over": ["size", "arm"]}
            prediction["controls"] = {"none": "It is the products that are asked about."}

        edit("coin", change)
        (studies / "coin" / "runs.py").write_text(CODE)
        return load_study(studies, "coin"), config

    return make


def test_rehearsal_multiplies_a_step_out(monkeypatch):
    now = iter([0, 9, 10, 13, *range(20, 40)])  # the first step takes 9, the second 3, the others 1
    rehearsal = Rehearsal(torch.device("cpu"), members=4)
    monkeypatch.setattr(rehearsal, "_clock", lambda: float(next(now)))
    left, right = torch.ones(4, 5), torch.ones(5, 6)
    taken = 0
    for _ in rehearsal.steps(100):
        taken += 1
        left @ right
    assert taken == 7
    assert rehearsal.flops == 100 * 2 * 4 * 5 * 6
    assert rehearsal.network_steps == 4 * 100
    assert rehearsal.loops == 100.0
    assert rehearsal.once == 8.0 + 2.0


def test_a_loop_of_some_of_the_networks_counts_those():
    rehearsal = Rehearsal(torch.device("cpu"), members=4)
    for networks in (None, 3, 1):
        assert len(list(rehearsal.steps(10, networks))) == 7
    assert rehearsal.network_steps == 10 * (4 + 3 + 1)
    assert rehearsal.sequential_steps == 3 * 10


def test_estimate_counts_runs_steps_and_operations_of_the_whole_study(products):
    found = cost.estimate(*products())
    assert found.runs == 2 * 2 * 16
    assert found.network_steps == 30 * found.runs
    assert found.sequential_steps == 30 * 2, "a step takes all networks of an ensemble, and there are two"
    assert found.flops == pytest.approx(32 * 30 * 2 * (96**3 + 128**3))


def test_a_long_estimate_says_how_far_it_is(products, monkeypatch):
    study, config = products()
    monkeypatch.setattr(cost, "SECONDS_OF_SILENCE", -1.0)
    told = []
    cost.estimate(study, config, told.append)
    assert told[0] == f"{study.name}: 0 of {len(told)} ensembles rehearsed"


def test_estimated_memory_is_within_a_factor_of_two_of_what_a_run_takes(products):
    """64 MiB there once and 4 MiB for each of 32 members, of which a rehearsal takes a few."""
    study, config = products(16, 64, 4)
    before = cost.settled_mib(torch.device("cpu"))
    estimated = cost.estimate(study, config).memory_mib - before
    before = cost.settled_mib(torch.device("cpu"))
    results = locate(study, config, machine_for("cpu"))
    runner.run_parts(results, results.parts)
    taken = cost.peak_mib(torch.device("cpu")) - before
    assert taken > 64 + 32 * 4
    assert 0.5 < estimated / taken < 2


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(4, 8.0)], 32.0),  # nothing to compare with: in proportion
        ([(2, 5.0), (4, 6.0)], 12.0),  # 4 once, 1/2 for each
        ([(2, 9.0), (4, 6.0)], 6.0),  # the first was cold: all of it is there once
        ([(2, 1.0), (4, 8.0)], 32.0),  # never more than in proportion
    ],
)
def test_all_members_lie_on_the_line_through_two_rehearsals(found, expected):
    rehearsals = [Rehearsal(torch.device("cpu"), members, rest=rest) for members, rest in found]
    assert cost._of_all("rest", rehearsals, 16) == expected


def test_one_rehearsal_says_that_steps_of_all_networks_are_not_repeated():
    rehearsal = Rehearsal(torch.device("cpu"), members=4)
    for networks in (None, 4, 2):
        list(rehearsal.steps(10, networks))
    assert cost._in_sequence([rehearsal], 40) == 10 + 10 + 10 * 10
    other = Rehearsal(torch.device("cpu"), members=8, sequential_steps=50)
    assert cost._in_sequence([rehearsal, other], 40) == pytest.approx(50 + 5 * 32)


def test_all_arms_of_some_seeds_are_rehearsed(products, monkeypatch):
    study, config = products()
    part = next(iter(study.at("smoke").values()))
    piece = next(iter(cost.pieces(part)))
    seen = []
    monkeypatch.setattr(study_module(study.folder, "runs"), "run_tosses", lambda runs, context: seen.append(runs))
    found = cost._rehearse(study, part, piece, 2, config, torch.device("cpu"), eager=True)
    assert found.members == 4
    assert seen[0][["arm", "seed"]].values.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([(1.0, 100.0, 30)], True),  # one never tells what is there once …
        ([(9.0, 100.0, 30)], False),  # … which is little beside nine seconds
        ([(9.0, 100.0, 0)], True),  # not trained: the seeds may come one after the other
        ([(0.1, 100.0, 30), (0.2, 200.0, 30)], True),  # too little time to tell
        ([(0.5, 100.0, 30), (1.0, 200.0, 30)], False),
        ([(0.5, 100.0, 30), (1.0, 101.0, 30)], True),  # 1 MiB may be chance
        ([(0.5, 100.0, 0), (1.0, 200.0, 0)], True),
        ([(0.5, 100.0, 0), (1.0, 200.0, 0), (2.0, 210.0, 0)], False),
    ],
)
def test_more_seeds_are_rehearsed_until_time_and_memory_are_clear(found, expected):
    rehearsals = [
        Rehearsal(torch.device("cpu"), rest=seconds, memory_mib=memory, network_steps=steps)
        for seconds, memory, steps in found
    ]
    assert cost._needs_another(rehearsals) is expected


def test_a_lone_network_is_not_rehearsed(products):
    """It would be trained as two."""
    study, config = products()
    part = next(iter(study.at("smoke").values()))
    piece = next(iter(cost.pieces(part)))
    lone = dataclasses.replace(piece, runs=piece.runs[piece.runs["arm"] == 0])
    for each in (piece, lone):  # one seed of two arms, two seeds of one
        assert cost._rehearsed(study, part, each, config, torch.device("cpu"))[0].members == 2


@pytest.mark.parametrize(("device", "gib"), [("cpu", 3), ("cuda", 12)])
def test_ensembles_are_cut_below_what_is_configured_or_else_what_a_job_may_take(products, device, gib):
    _, config = products()
    assert memory_limit(config, torch.device(device)) == gib * 2**30
    limited = config.model_copy(update={"memory_limit_mb": 100})
    assert memory_limit(limited, torch.device(device)) == 100 * 2**20


def test_operations_are_counted_in_eager_steps_and_the_time_is_of_the_real_ones():
    """Inside a compiled program there is nothing to count."""
    study = load_study(ROOT / "studies", "double_descent")
    part = study.at("full")["network"].model_copy(update={"seeds": 2})
    piece = next(piece for piece in cost.pieces(part) if piece.phase == "confirm")
    config = load_config(None, {"scale": "full", "device": "cpu", "studies_dir": str(ROOT / "studies")})
    counted = cost._rehearse(study, part, piece, 2, config, torch.device("cpu"), eager=True)
    assert counted.flops > 0
    assert not counted.faster  # two networks do not pay for a compiler
    wide = dataclasses.replace(piece, design_runs=10**6)
    counted = cost._rehearse(study, part, wide, 2, config, torch.device("cpu"), eager=True)
    assert counted.flops > 0
    assert counted.faster
