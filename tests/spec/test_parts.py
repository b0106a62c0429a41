"""Parts that extend others, and what scales make of them: the same design as when everything is written out."""

import pytest

from claimcheck.spec.design import confirmatory_runs, pilot_runs
from claimcheck.spec.parts import Part
from claimcheck.spec.scaling import scaled

BASE = {
    "describes": "All of it",
    "factors": {"norm": {"values": ["none", "batch"], "static": True}, "gain": {"values": [0.25, 1.0, 4.0]}},
    "settings": {"width": 16, "steps": 100},
    "index": ["step"],
    "seeds": 16,
    "tune": {"factor": "learning_rate", "values": [0.1, 0.2], "minimise": "loss", "seeds": 3},
}


def parts(**others):
    """The base part and others by name."""
    return {name: Part.model_validate(raw) for name, raw in {"base": BASE, **others}.items()}


def same(one, other):
    """Two scaled parts give the same runs, pilots and settings, names of runs aside."""
    for frame in (confirmatory_runs, pilot_runs):
        left, right = (frame(part).drop(columns="run") for part in (one, other))
        assert left.equals(right)
    assert (one.settings, one.index, one.seeds, one.tune) == (other.settings, other.index, other.seeds, other.tune)


def test_a_part_that_extends_another_and_says_nothing_is_that_part():
    both = parts(copy={"extends": "base"})
    same(scaled("copy", both, {}), scaled("base", both, {}))


def test_only_keeps_cells_and_the_rest_is_laid_over():
    more = {"extends": "base", "only": {"norm": "batch", "gain": [4.0, 0.25]}, "seeds": 96, "settings": {"steps": 50}}
    written = {
        **BASE,
        "factors": {"norm": {"values": ["batch"], "static": True}, "gain": {"values": [0.25, 4.0]}},
        "settings": {"width": 16, "steps": 50},
        "seeds": 96,
    }
    both = parts(more=more, written=written)
    same(scaled("more", both, {}), scaled("written", both, {}))
    assert scaled("more", both, {}).factors["norm"].static


def test_tuning_is_laid_over_key_by_key_and_null_removes_it():
    both = parts(
        finer={"extends": "base", "tune": {"values": [0.1, 0.15, 0.2]}}, fixed={"extends": "base", "tune": None}
    )
    finer = scaled("finer", both, {}).tune
    assert (finer.values, finer.minimise, finer.seeds) == ([0.1, 0.15, 0.2], "loss", 3)
    assert scaled("fixed", both, {}).tune is None


def test_cells_that_the_base_excludes_or_includes_follow():
    base = {**BASE, "exclude": [{"norm": "batch", "gain": 1.0}], "include": [{"norm": "layer", "gain": 9.0}]}
    both = {
        name: Part.model_validate(raw)
        for name, raw in {
            "base": base,
            "more": {"extends": "base", "exclude": [{"norm": "none", "gain": 4.0}]},
            "less": {"extends": "base", "only": {"norm": ["none"]}},
        }.items()
    }
    cells = scaled("more", both, {}).cells()
    assert {"norm": "layer", "gain": 9.0} in cells
    assert not [cell for cell in cells if cell in ({"norm": "batch", "gain": 1.0}, {"norm": "none", "gain": 4.0})]
    assert [cell["norm"] for cell in scaled("less", both, {}).cells()] == ["none"] * 3


def test_a_scale_overrides_a_base_once_for_all_that_extend_it():
    both = parts(more={"extends": "base", "only": {"norm": "batch"}, "seeds": 96})
    quick = {"seeds": 4, "base": {"width": 8, "gain": [1.0], "tune": {"seeds": 2}, "seeds": 5}}
    base, more = scaled("base", both, quick), scaled("more", both, quick)
    assert (base.settings["width"], base.seeds, base.tune.seeds) == (8, 5, 2)
    assert (more.settings["width"], more.seeds, more.tune.seeds) == (8, 96, 2), "its own number of seeds stands"
    assert more.cells() == [{"norm": "batch", "gain": 1.0}]


def test_what_a_scale_says_of_the_part_itself_wins():
    both = parts(more={"extends": "base", "seeds": 96})
    quick = {"base": {"width": 8}, "more": {"width": 4, "units": 2}}
    more = scaled("more", both, quick)
    assert (more.settings["width"], more.seeds) == (4, 2)


@pytest.mark.parametrize(("asked", "given"), [(None, 0), (3, 0)])
def test_a_part_that_a_scale_does_not_run_is_not_run_for_more_seeds(asked, given):
    assert scaled("base", parts(), {"base": {"seeds": 0}}, seeds=asked).seeds == given


DATA = {"dataset": {"values": ["digits", "mnist5k"], "static": True}, "arm": {"values": [0, 1]}}


def test_data_sets_may_differ_in_their_seeds():
    both = {"one": Part(factors=DATA), "other": Part(extends="one", only={"dataset": "mnist5k"})}
    quick = {"one": {"seeds": {"mnist5k": 5, "digits": 2}}}
    one, other = (scaled(name, both, quick, first_seed=100) for name in both)
    runs = confirmatory_runs(one)
    assert runs.groupby(["dataset", "arm"])["seed"].agg(list).to_dict() == {
        **{("digits", arm): [100, 101] for arm in (0, 1)},
        **{("mnist5k", arm): [100, 101, 102, 103, 104] for arm in (0, 1)},
    }
    assert len(one.judged_runs) == len(runs) == 14
    assert (one.seeds, one.on("digits").seeds, one.on("mnist5k").seeds, one.on(None)) == (5, 2, 5, one)
    assert (confirmatory_runs(one.on("digits")) == runs[:4]).all(axis=None)
    assert (other.seeds, len(other.judged_runs)) == (5, 10), "an extending part keeps those of its own data sets"
    assert len(scaled("one", both, quick, seeds=3).judged_runs) == 12, "a number for all replaces them"


@pytest.mark.parametrize("said", [{"digits": 2}, {"digits": 2, "mnist5k": 5, "mnist": 3}, {"arms": 2}])
def test_seeds_are_said_of_each_data_set_of_the_part_and_of_no_other(said):
    with pytest.raises(ValueError, match=r"seeds are given for .*, but the data sets are digits, mnist5k"):
        scaled("one", {"one": Part(factors=DATA)}, {"one": {"seeds": said}})


def test_parts_that_extend_each_other_are_refused():
    both = {"one": Part(extends="other"), "other": Part(extends="one")}
    with pytest.raises(ValueError, match="one -> other -> one"):
        scaled("one", both, {})


def test_pilots_run_the_cells_that_tuning_keeps_and_no_arm_is_left_out():
    tune = {**BASE["tune"], "within": ["norm"], "only": {"gain": 1.0}}
    part = scaled("base", {"base": Part.model_validate({**BASE, "tune": tune})}, {})
    assert set(pilot_runs(part)["gain"]) == {1.0}
    assert len(pilot_runs(part)) == 2 * 2 * 3
    assert set(confirmatory_runs(part)["gain"]) == {0.25, 1.0, 4.0}
    for wrong, said in (({"gain": 2.0}, "all cells of an arm"), ({"depth": 2}, "tune.only names")):
        with pytest.raises(ValueError, match=said):
            Part.model_validate({**BASE, "tune": {**tune, "only": wrong}})


def test_a_copy_has_cells_of_its_own_and_nobody_changes_those_of_another():
    whole = scaled("base", parts(), {})
    for cell in whole.cells():
        cell["norm"] = "layer"
    assert [cell["norm"] for cell in whole.cells()] == ["none"] * 3 + ["batch"] * 3
    fewer = whole.model_copy(update={"factors": {"gain": whole.factors["gain"]}})
    assert fewer.cells() == [{"gain": 0.25}, {"gain": 1.0}, {"gain": 4.0}]
    assert fewer.model_dump(exclude={"factors"}) == whole.model_dump(exclude={"factors"})
    assert whole == scaled("base", parts(), {}), "what was counted out is no part of the design"
