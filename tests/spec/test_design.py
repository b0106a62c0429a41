"""The design: every combination once, pilots apart from judged seeds, shards that cover."""

import pandas as pd

from claimcheck import streams
from claimcheck.spec import design
from claimcheck.spec.parts import Factor, ScaledPart, Tune


def part(**changes):
    given = {
        "name": "main",
        "seeds": 3,
        "factors": {"activation": Factor(values=["relu", "tanh"], static=True), "gain": Factor(values=[0.5, 1, 2])},
    }
    return ScaledPart(**{**given, **changes})


def test_every_combination_and_seed_is_one_run():
    runs = design.confirmatory_runs(part())
    assert len(runs) == 2 * 3 * 3 == runs["run"].nunique()
    assert sorted(runs["seed"].unique()) == [0, 1, 2]
    assert not runs.duplicated(["activation", "gain", "seed"]).any()


def test_exclude_and_include():
    changed = part(exclude=[{"activation": "relu", "gain": [1, 2]}], include=[{"activation": "gelu", "gain": 4}])
    cells = changed.cells()
    assert len(cells) == 3 * 2 - 2 + 1
    assert {"activation": "gelu", "gain": 4} in cells


def test_pilot_seeds_never_meet_judged_seeds():
    tuned = part(tune=Tune(factor="learning_rate", values=[0.1, 0.2], minimise="loss", seeds=4))
    pilots, judged = design.pilot_runs(tuned), design.confirmatory_runs(tuned)
    assert set(pilots["seed"]).isdisjoint(judged["seed"])
    assert pilots["seed"].min() >= streams.PILOT_SEED > judged["seed"].max()
    assert len(pilots) == 2 * 3 * 2 * 4


def test_ensembles_share_static_factors_only():
    pieces = list(design.ensembles(part(), design.confirmatory_runs(part()), "confirm"))
    assert [piece.static for piece in pieces] == [{"activation": "relu"}, {"activation": "tanh"}]
    assert all(len(piece.runs) == piece.design_runs == 9 for piece in pieces)


def test_shards_cover_every_run_once():
    runs = design.confirmatory_runs(part())
    pieces = [piece.runs for i in range(1, 6) for piece in design.ensembles(part(), runs, "confirm", (i, 5))]
    assert sorted(pd.concat(pieces)["run"]) == sorted(runs["run"])


def test_streams_are_named_by_study_seed_and_purpose_alone():
    import torch

    def draw(*name):
        return torch.rand(4, generator=streams.generator(*name)).tolist()

    assert draw("a", 1, "init") == draw("a", 1, "init")
    assert (
        len({tuple(draw(*name)) for name in [("a", 1, "init"), ("b", 1, "init"), ("a", 2, "init"), ("a", 1, "order")]})
        == 4
    )
