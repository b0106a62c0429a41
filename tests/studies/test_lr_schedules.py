"""The study of learning-rate schedules: starts, range test, edge of stability, predictions, figures."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import measure, schedules
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import MLP
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of

from .asking import Asked

ASKED = Asked("lr_schedules")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part, context_of = ASKED.answer, ASKED.run_part, ASKED.context
RUNS, CONSTANTS = (ASKED.module(name) for name in ("runs", "constants"))


# ---- data and starts ----


def test_a_unit_trains_validates_and_tests_on_examples_of_its_own():
    runs = pd.DataFrame({"run": ["a", "b", "c"], "seed": [1, 1, 2], "dataset": "digits"})
    inputs, data = RUNS._data(
        runs, context_of("schedules", examples={"digits": {"train": 80, "valid": 20, "test": 50}})
    )
    assert inputs == 64
    rows = {name: each.subset for name, each in data.items()}
    assert [rows[name].shape for name in ("train", "valid", "test")] == [(3, 80), (3, 20), (3, 50)]
    assert torch.equal(rows["train"][0], rows["train"][1]), "arms of a unit are paired"
    assert not torch.equal(rows["train"][0], rows["train"][2])
    for member in range(3):
        seen = torch.cat([rows[name][member] for name in rows])
        assert len(seen.unique()) == 150, "nothing is used twice"


def peaks(starts, **settings):
    runs = pd.DataFrame({"start": starts, "seed": 3, "dataset": "digits", "regime": "adam", "octaves": 0.0})
    runs.insert(0, "run", [f"r{i}" for i in runs.index])
    rates = {"optimizer": "adam", "gain": 1.0, "rates": {"digits": 0.02}}
    small = {"examples": {"digits": {"train": 200, "valid": 0, "test": 50}}, "width": 16, "depth": 1, "batch_size": 20}
    how = {"regimes": {"adam": rates}, "warmups": {"warmup": 0.3}, "trained_steps": 100, "cautious": 0.5, **small}
    return RUNS.run_peaks(runs, context_of("peaks", **{**how, **settings})).set_index("run")


def test_trained_weights_are_where_the_second_training_starts():
    found = peaks(["random", "trained"], steps=1)
    assert found.loc["r1", "train_loss"] < 0.5 * found.loc["r0", "train_loss"]
    untrained = peaks(["random", "trained"], steps=1, trained_steps=1, cautious=1e-9)
    assert untrained.loc["r1", "train_loss"] == pytest.approx(untrained.loc["r0", "train_loss"], rel=0.3)


def test_a_run_has_failed_when_it_has_learnt_nothing_or_is_not_finite():
    assert peaks(["random"], steps=100)["failed"].tolist() == [0.0]
    lost = {"optimizer": "momentum", "gain": 1.0, "rates": {"digits": 1e12}}
    assert peaks(["random"], steps=20, regimes={"adam": lost})["failed"].tolist() == [1.0]


def test_a_cautious_rate_is_a_tenth_of_the_best_one_and_has_the_steps_that_patience_gives_it():
    for scale in ("quick", "full"):
        parts = STUDY.at(scale)
        part, patience = parts["cautious_peaks"], parts["patience"].settings
        (octaves,), rates = part.factors["octaves"].values, part.settings["regimes"]["adam"]["rates"]
        for data in part.factors["dataset"].values:
            best = patience["best_rates"]["adam"][data]
            assert rates[data] * 2.0**octaves == pytest.approx(patience["low"] * best, rel=1e-3)
        assert part.settings["steps"] == max(patience["budgets"]) * parts["peaks"].settings["steps"]


def test_trained_and_random_weights_are_compared_after_as_many_updates_of_warmup():
    for scale in ("quick", "full"):
        s = STUDY.at(scale)["peaks"].settings
        assert {round(s["warmups"][start] * s["steps"]) for start in ("brief", "trained_brief")} == {10}


def test_a_drop_is_measured_from_its_own_updates():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [4, 4], "dataset": "digits", "recipe": ["step", "cosine"]})
    examples = {"digits": {"train": 200, "valid": 0, "test": 50}}
    how = {"width": 16, "depth": 1, "batch_size": 20, "optimizer": "momentum", "steps": 60, "last": 0.01, "window": 10}
    found = RUNS.run_drops(runs, context_of("drops", examples=examples, mean_rates={"digits": 0.03}, **how))
    assert sorted(found["run"]) == ["a", "b"]
    assert (found["jump"] < 0).all()


def test_grid_tells_plateaus_from_runs_that_blow_up():
    runs = pd.DataFrame({"run": ["still", "best", "lost"], "seed": 5, "dataset": "digits", "optimizer": "momentum"})
    runs = runs.assign(gain=1.0, half_decades=[-10, 0, 8])
    examples = {"digits": {"train": 200, "valid": 0, "test": 50}}
    how = {"width": 16, "depth": 2, "batch_size": 20, "steps": 80, "best_rates": {"momentum": {"digits": 0.05}}}
    how["learnt"] = {"digits": 1.2}
    found = RUNS.run_grid(runs, context_of("grid", examples=examples, **how)).set_index("run")
    assert found["plateau"].to_dict() == {"still": 1.0, "best": 0.0, "lost": 0.0}
    assert found["flat"].to_dict() == {"still": 1.0, "best": 0.0, "lost": 0.0}, "lost: its loss is far above guessing"
    assert found["blown_up"].to_dict() == {"still": 0.0, "best": 0.0, "lost": 1.0}
    assert found["learnt"].to_dict() == {"still": 0.0, "best": 1.0, "lost": 0.0}


def test_a_run_whose_loss_shoots_up_and_comes_back_to_guessing_has_blown_up():
    runs = pd.DataFrame({"run": ["best", "high"], "seed": 5, "dataset": "digits", "optimizer": "adam"})
    runs = runs.assign(gain=1.0, half_decades=[0, 5])
    examples = {"digits": {"train": 200, "valid": 0, "test": 50}}
    how = {"width": 32, "depth": 4, "batch_size": 50, "steps": 160, "best_rates": {"adam": {"digits": 0.01}}}
    how["learnt"] = {"digits": 1.2}
    found = RUNS.run_grid(runs, context_of("grid", examples=examples, **how)).set_index("run")
    assert found.loc["high", "train_loss"] < 2 * math.log(10.0), "by the last loss alone nothing is seen"
    assert found["blown_up"].to_dict() == {"best": 0.0, "high": 1.0}
    assert found.loc["high", ["plateau", "flat"]].tolist() == [0.0, 1.0]


# ---- range test ----


def test_suggestions_find_the_bottom_and_the_steepest_fall_of_a_known_curve():
    rates = 10.0 ** np.linspace(-4, 1, 1000)
    place = np.log10(rates)
    losses = 2.3 - 1.5 / (1 + np.exp(-4 * (place + 2))) + np.where(place > -1, 3 * (place + 1) ** 2, 0.0)
    at_minimum, steepest = RUNS.suggestions(rates, losses, smoothing=0.5)
    assert math.log10(at_minimum) == pytest.approx(place[np.argmin(losses)], abs=0.05)
    assert math.log10(steepest) == pytest.approx(-2.0, abs=0.05)


def test_suggestions_survive_a_run_that_diverges():
    rates = 10.0 ** np.linspace(-4, 1, 100)
    losses = np.where(rates < 0.1, 2.0 - np.log10(rates / 1e-4), np.nan)
    at_minimum, _ = RUNS.suggestions(rates, losses, smoothing=0.5)
    assert at_minimum == pytest.approx(rates[rates < 0.1][-1])


# ---- edge of stability ----


def test_sharpness_is_the_largest_eigenvalue_of_the_hessian():
    g = torch.Generator().manual_seed(0)
    x, target = torch.randn(20, 4, generator=g), torch.randn(20, 2, generator=g)

    def network(run, generator):
        return MLP(4, [3], 2, generator=generator, activation="tanh", init="lecun")

    runs = pd.DataFrame({"run": ["a"], "seed": [1]})
    ensemble = Ensemble.build(runs, network, lambda seed: torch.Generator().manual_seed(seed))
    module = ensemble.network("a")
    names = [name for name, _ in module.named_parameters()]

    def loss(*values):
        out = torch.func.functional_call(module, dict(zip(names, values)), (x,))
        return 0.5 * (out - target).square().sum(1).mean()

    values = tuple(value.detach() for value in module.parameters())
    blocks = torch.autograd.functional.hessian(loss, values)
    rows = [torch.cat([b.reshape(v.numel(), -1) for b in row], 1) for v, row in zip(values, blocks)]
    largest = torch.linalg.eigvalsh(torch.cat(rows)).abs().max()
    found = measure.sharpness(ensemble, Data({"x": x, "target": target}), RUNS.squared_error, iterations=100)[
        "sharpness"
    ]
    assert found[0] == pytest.approx(float(largest), rel=1e-3)


def test_a_quadratic_diverges_beyond_two_over_sharpness_and_only_there():
    runs = pd.DataFrame({"run": ["below", "beyond"], "seed": [0, 0], "multiple": [0.9, 1.2], "dataset": "digits"})
    examples = {"digits": {"train": 100, "valid": 0, "test": 1}}
    settings = {"examples": examples, "width": 1, "depth": 0, "steps": 200, "iterations": 30}
    found = RUNS.run_edge(runs, context_of("edge", **settings)).set_index(["run", "step"])["loss"]
    assert found["below"][200] < found["below"][0]
    assert not found["beyond"][200] < 1e3 * found["beyond"][0]


# ---- predictions on records made by hand ----


def peak_records(part, failed):
    """Two seeds; `failed(start, octaves)`, the same in every regime."""
    factors = STUDY.at("quick")[part].factors
    cells = [
        (s, regime, start, o)
        for s in (0, 1) for regime in factors["regime"].values for start in factors["start"].values for o in factors["octaves"].values
    ]  # fmt: skip
    table = pd.DataFrame(cells, columns=["seed", "regime", "start", "octaves"])
    values = [float(failed(*cell[2:])) for cell in cells]
    return table.assign(failed=values, test_error=0.5, dataset="digits", step=160, status="ok")


def test_what_training_starts_from_is_worth_octaves_of_the_rate():
    limits = {"random": 0.0, "warmup": 1.0, "trained": 0.5, "brief": 0.5, "trained_brief": 1.0}
    table = peak_records("peaks", lambda start, octaves: octaves > limits[start])
    assert answer("warmup-moves-the-limit", table).to_dict() == pytest.approx({0: 1.0, 1: 1.0})
    assert answer("trained-weights-take-higher-rates", table)[0] == pytest.approx(0.5)
    assert answer("warmup-moves-the-limit", table, control="never")[0] == 0.0
    assert answer("warmup-moves-the-limit", table, control="against")[0] == pytest.approx(-1.0)
    table = peak_records("momentum_peaks", lambda start, octaves: octaves > limits[start])
    lost = table.assign(status=np.where(table["failed"] == 1, "diverged", "ok"))
    for each in (table, lost):  # a run that is not finite is one that has failed, not a unit without a number
        assert answer("warmup-momentum", each)[0] == pytest.approx(1.0)
        assert answer("large-random-weights-are-the-danger", each)[0] == pytest.approx(0.5)


def test_warmup_is_idle_where_a_network_hardly_gains_by_it():
    cells = [(seed, start) for seed in (0, 1) for start in ("random", "warmup")]
    table = pd.DataFrame(cells, columns=["seed", "start"]).assign(
        regime="adam", octaves=-6.644, dataset="digits", step=800, status="ok", test_error=[0.105, 0.1, 0.115, 0.1]
    )
    name = "warmup-idle-at-cautious-rates"
    assert answer(name, table).to_dict() == pytest.approx({0: 0.005, 1: 0.015})
    assert ASKED.true_in(name, table) == 1
    for control, part, starts_at in (("never", "peaks", -0.25), ("against", "momentum_peaks", -1)):
        other = peak_records(part, lambda start, octaves: 0.0)
        other = other.assign(test_error=0.9 - 0.6 * (other["octaves"] == starts_at))
        assert answer(name, other, control=control)[0] == pytest.approx(0.6)
        other.loc[other["octaves"] == 2, "test_error"] = np.nan
        assert answer(name, other, control=control)[0] == pytest.approx(0.6), "not finite counts as guessing"


@pytest.mark.parametrize("part", ["peaks", "momentum_peaks", "centred_peaks"])
@pytest.mark.parametrize("scale", ["quick", "full"])
def test_octaves_are_counted_in_the_steps_of_the_grid_and_no_region_ends_on_one(part, scale):
    octaves = STUDY.at(scale)[part].factors["octaves"].values
    step = octaves[1] - octaves[0]
    asked = [p for p in PREDICTIONS.values() if p.part == part and p.measure and p.measure.column == "failed"]
    assert asked
    assert {each.measure.times for each in asked} == {len(octaves) * step}
    assert all(0.04 < each.region[0] / step % 1 < 0.96 for each in asked)


def test_schedules_are_compared_with_a_cosine_and_a_diverged_one_counts_as_guessing():
    loss = {"constant": 1.3, "epoch_step": 1.12, "exponential": 1.125, "linear": 1.11, "cosine": 1.1}
    rows = [(s, name, loss[name]) for s in (0, 1, 2) for name in loss]
    table = pd.DataFrame(rows, columns=["seed", "recipe", "test_loss"]).assign(step=360, status="ok")
    expected = {"annealing-beats-constant": 0.2, "step-worse-than-cosine": 0.02, "linear-like-cosine": 0.01}
    expected["steps-worse-than-smooth"] = -0.005
    for name, value in expected.items():
        assert answer(name, table)[0] == pytest.approx(value)
    table.loc[table["recipe"] == "constant", "test_loss"] = np.nan
    assert answer("annealing-beats-constant", table)[0] == pytest.approx(math.log(10) - 1.1)


def test_a_drop_harms_where_the_loss_rises_more_than_at_the_same_updates_of_a_cosine():
    table = pd.DataFrame({"seed": 0, "recipe": ["step", "cosine"], "jump": [-0.3, -0.1], "status": "ok"})
    assert answer("drop-harms", table)[0] == pytest.approx(-0.2)
    assert answer("drop-harms", table, control="against")[0] == pytest.approx(0.2)


def test_plateaus_and_blow_ups_are_counted_on_both_sides_of_the_best_rate():
    rows = pd.DataFrame(
        {"half_decades": [-2, -1, 0, 1, 2, 3], "plateau": [1, 0, 1, 1, 1, 0], "blown_up": [0, 0, 0, 0, 0, 1]}
    )
    rows = rows.assign(flat=rows["plateau"] + rows["blown_up"], seed=0, gain=1.0, status="ok")
    table = pd.concat([rows.assign(optimizer=name) for name in ("adam", "momentum")], ignore_index=True)
    assert answer("plateaus-below-momentum", table)[0] == pytest.approx(1 / 3), "one at the best rate is on no side"
    assert answer("plateaus-below-adam", table)[0] == pytest.approx(1 / 3)
    assert answer("flat-ends-lie-above-adam", table)[0] == pytest.approx(1 / 4)
    assert answer("flat-ends-lie-above-adam", table, control="against")[0] == pytest.approx(3 / 4)
    assert answer("plateaus-below-adam", table, control="never")[0] == 0.0
    assert np.isnan(answer("plateaus-below-adam", table.assign(plateau=0))[0]), "none ended so: no number"
    for name in ("highest-rate-blows-up-momentum", "highest-rate-blows-up-adam"):
        assert answer(name, table)[0] == 1.0
        assert answer(name, table, control="never")[0] == 0.0


def test_a_lower_rate_mends_a_run_where_its_own_weights_learn_at_any_that_is_lower_and_no_other_rate_counts():
    places, small, large = [-1, 0, 1, 2], [0, 1, 0, 0], [0, 0, 0, 1]
    rows = [(gain, h, up) for gain in (1.0, 2.0) for h, up in zip(places, [0, 0, 1, 1])]
    table = pd.DataFrame(rows, columns=["gain", "half_decades", "blown_up"]).assign(seed=0, plateau=0.0, status="ok")
    table = table.assign(learnt=small + large, optimizer="momentum").sample(frac=1.0, random_state=1)
    assert answer("lower-rate-mends-momentum", table)[0] == 0.5, "the larger weights learn at a higher rate alone"
    assert answer("lower-rate-mends-large-weights", table, control="against")[0] == 0.25
    assert np.isnan(answer("lower-rate-mends-momentum", table, control="never")[0]), "no plateau: no number"
    table.loc[(table["gain"] == 2.0) & (table["half_decades"] == -1), "learnt"] = 1
    assert answer("lower-rate-mends-adam", table.assign(optimizer="adam"))[0] == 1.0


def test_patience_leaves_a_share_of_the_gap_and_the_ordinary_budget_all_of_it():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [6, 7], "dataset": "digits"})
    examples = {"digits": {"train": 200, "valid": 0, "test": 50}}
    how = {"width": 16, "depth": 1, "batch_size": 20, "steps": 20, "low": 0.1, "budgets": [1, 2, 5]}
    rates = {"best_rates": {"momentum": {"digits": 0.1}}, "optimizer": "momentum"}
    found = RUNS.run_patience(runs, context_of("patience", examples=examples, **how, **rates))
    shares = found.pivot(index="run", columns="budget", values="gap_left")
    assert (shares[1] == 1.0).all()
    assert (shares[5] < shares[2]).all()
    assert (shares[2] < 1.0).all()


def test_regret_of_a_range_test_is_nought_at_the_best_of_the_grid():
    runs = pd.DataFrame({"run": ["a", "b"], "seed": [8, 8], "dataset": "digits", "ramp": [0.5, 2.0]})
    runs = runs.assign(optimizer="momentum")
    examples = {"digits": {"train": 200, "valid": 0, "test": 50}}
    how = {"width": 16, "depth": 1, "batch_size": 20, "steps": 20, "half_decades": [-6, 0], "smoothing": 0.9}
    ramp = {"lowest": 1e-4, "highest": 10.0, "divided_by": 10.0, "defaults": {"momentum": 0.1}, "longer": 0.0}
    rates = {"best_rates": {"momentum": {"digits": 0.1}}}
    found = RUNS.run_range_test(runs, context_of("range_test", examples=examples, **how, **ramp, **rates))
    assert sorted(found["run"]) == ["a", "b"]
    assert (found["regret_lowest"] > 0.5).all(), "a thousandth of the best rate has learnt next to nothing"
    assert (found["regret_at_minimum"] < 0.5).all()
    assert found["regret_default"].tolist() == [0.0, 0.0], "the usual rate is the best of this grid"
    assert (found["ahead_lowest"] == -found["regret_lowest"]).all()


def test_the_edge_is_late_sharpness_and_a_diverged_run_never_comes_to_rest():
    steps = (0, 50, 350, 500)
    rows = [(s, m, t, 1.1 if t > 50 else m, 2.0 - t / 500) for s in (0, 1) for m in (1.2, 2.0) for t in steps]
    table = pd.DataFrame(rows, columns=["seed", "multiple", "step", "stability", "loss"]).assign(status="ok")
    table.loc[(table["seed"] == 1) & (table["multiple"] == 2.0) & (table["step"] > 0), ["stability", "loss"]] = np.nan
    assert answer("sharpness-at-the-edge", table).to_dict() == {0: pytest.approx(1.1), 1: np.inf}
    assert answer("sharpness-at-the-edge", table, control="never")[0] == pytest.approx(1.6)
    assert answer("sharpness-at-the-edge", table, control="against")[0] == 2.0
    assert answer("beyond-the-edge-survives", table).to_dict() == {0: 0.5, 1: np.inf}
    assert answer("beyond-the-edge-survives", table, control="never").to_dict() == {0: 1.0, 1: 1.0}
    assert answer("beyond-the-edge-survives", table, control="against")[0] == 2.0


def test_sharpness_is_judged_on_the_last_three_steps_of_each_scale_and_on_no_earlier_one():
    for scale in STUDY.scales:
        steps = STUDY.at(scale)["edge"].settings["steps"]
        measured = [round(steps * share) for share in (0, 0.1, 0.3, 0.7, 0.85, 1)]
        judged = PREDICTIONS["sharpness-at-the-edge"].measure.of["step"]
        assert [step for step in measured if step in judged] == measured[3:]


def test_every_regime_says_how_it_trains_on_every_data_set():
    for scale in ("quick", "full"):
        for name in ("peaks", "momentum_peaks", "cautious_peaks"):
            part = STUDY.at(scale)[name]
            for regime in part.factors["regime"].values:
                assert set(part.factors["dataset"].values) <= set(part.settings["regimes"][regime]["rates"])


def test_every_recipe_is_a_schedule():
    asked = {name for part in ("schedules", "drops") for name in STUDY.parts[part].factors["recipe"].values}
    assert asked <= set(CONSTANTS.RECIPES)
    for schedule, warmup in CONSTANTS.RECIPES.values():
        assert len(schedules.multipliers(schedule, 10, warmup)) == 10


# ---- the whole of it, small ----


def on(rows, prediction, data):
    """The rows of the prediction's part, on one data set."""
    rows = records.part_of(rows, prediction.part)
    return rows if data is None else rows[rows["dataset"] == data].reset_index(drop=True)


CASES = [(name, data) for name, each in PREDICTIONS.items() for data in each.on or [None] if data != "fashion_mnist"]


@pytest.mark.parametrize(("name", "data"), CASES)
def test_every_prediction_and_control_gives_each_seed_a_number(smoke, name, data):
    prediction = PREDICTIONS[name]
    seeds = sorted(records.part_of(smoke, prediction.part)["seed"].unique())
    assert sorted(answer(name, on(smoke, prediction, data), "smoke").index) == seeds
    for control in NAMES if prediction.kind != "fact" else ():
        asked = applied(prediction, control_of(prediction, control))
        assert sorted(answer(name, on(smoke, asked, data), "smoke", control=control).index) == seeds


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


@pytest.mark.parametrize(
    ("part", "fewer"),
    [
        ("peaks", {"start": ["trained_brief"], "octaves": [0]}),
        ("schedules", {"recipe": ["epoch_step"]}),
        ("drops", {"recipe": ["step"]}),
        ("grid", {"optimizer": ["adam"], "gain": [1.0], "half_decades": [0]}),
        ("large_weights", {"half_decades": [0]}),
        ("patience", {}),
        ("range_test", {"ramp": [3]}),
        ("edge", {"multiple": [1.2]}),
    ],
)
def test_full_scale_code_runs(part, fewer, fashion):
    examples = {"fashion_mnist": {"train": 100, "valid": 20, "test": 30}}
    small = {"width": 8, "depth": 1, "steps": 4, "batch_size": 16, "examples": examples, "iterations": 2}
    small |= {"trained_steps": 2, "window": 1}
    found = run_part(part, "full", seeds=2, data_dir=fashion, factors={**fewer, "dataset": ["fashion_mnist"]}, **small)
    assert found["seed"].nunique() == 2


def test_every_schedule_is_tuned_with_the_same_budget():
    runs = design.pilot_runs(STUDY.at("quick")["schedules"])
    assert runs.groupby(["dataset", "recipe"]).size().nunique() == 1


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
