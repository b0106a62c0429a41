"""The study of learning-rate schedules: formulas, range test, edge of stability, predictions, figures, full-scale path."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import measure, schedules
from claimcheck.engine.context import Context, Settings
from claimcheck.engine.data import Data
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import MLP
from claimcheck.judging.measures import evaluate
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study

ROOT = Path(__file__).parents[2]
STUDY = load_study(ROOT / "studies", "lr_schedules")
RUNS, STATISTICS = (study_module(STUDY.folder, name) for name in ("runs", "statistics"))
PREDICTIONS = {prediction.id: prediction for _, prediction in STUDY.predictions()}
CONTROLLED = [name for name, prediction in PREDICTIONS.items() if prediction.kind != "fact"]


def context_of(part, data_dir=Path("data"), **settings):
    where = {"device": torch.device("cpu"), "data_dir": data_dir}
    return Context(study="lr_schedules", scale="smoke", part=part, settings=Settings(settings), **where)


def answer(name, rows, scale="quick", control=None):
    """What a prediction, or one of its controls, measures on the records of its part, a number for each seed."""
    prediction = PREDICTIONS[name]
    prediction = applied(prediction, control_of(prediction, control)) if control else prediction
    if prediction.measure is None:
        return getattr(STATISTICS, prediction.statistic)(rows, **prediction.arguments)
    return evaluate(prediction.measure, rows, STUDY.at(scale)[prediction.part])


def run_part(name, scale="smoke", seeds=None, data_dir=Path("data"), fewer=None, **settings):
    """Records of one part as the runner makes them, without files; `fewer` cuts factors' values."""
    part = STUDY.at(scale)[name]
    cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (fewer or {}).items()}
    part = part.model_copy(update={"factors": {**part.factors, **cut}, "seeds": seeds or part.seeds})
    runs = design.confirmatory_runs(part)
    if part.tune:
        runs = runs.assign(learning_rate=part.tune.values[0])
    frames = []
    for piece in design.ensembles(part, runs, "confirm"):
        context = context_of(name, data_dir, **{**part.settings, **settings})
        raw = getattr(RUNS, STUDY.run_function(name))(piece.runs.copy(), context)
        frames.append(records.check_outcome(raw, piece.runs, part, where=name))
    return pd.concat(frames, ignore_index=True)


# ---- formulas ----


def test_schedules_are_the_lectures_formulas():
    t, steps = np.arange(200), 200
    assert np.allclose(schedules.multipliers("cosine", steps), 0.5 * (1 + np.cos(np.pi * t / steps)), atol=1e-12)
    warm = schedules.multipliers("constant", steps, 0.1)
    assert np.allclose(warm[:20], (t[:20] + 1) / 20)
    assert (warm[20:] == 1).all()
    step = schedules.multipliers("step", steps)
    assert np.allclose(step[[0, 99, 100, 149, 150, 199]], [1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize("name", ["warmup", "step", "cosine", "linear", "exponential", "warmup_cosine"])
def test_schedules_equal_torchs(name):
    assert RUNS.formula_error(name, 400) < 1e-12


def test_a_wrong_formula_would_be_noticed(monkeypatch):
    right = schedules.multipliers
    monkeypatch.setattr(schedules, "multipliers", lambda *a, **k: right(*a, **k) ** 1.01)
    assert RUNS.formula_error("cosine", 400) > 1e-4


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
    runs = pd.DataFrame({"run": ["below", "beyond"], "seed": [0, 0], "multiple": [0.9, 1.2]})
    settings = {"dataset": "mnist1d", "examples": 100, "width": 1, "depth": 0, "steps": 200, "iterations": 30}
    found = RUNS.run_edge(runs, context_of("edge", **settings)).set_index(["run", "step"])["loss"]
    assert found["below"][200] < found["below"][0]
    assert not found["beyond"][200] < 1e3 * found["beyond"][0]


# ---- predictions on records made by hand ----


def warmup_records(failed):
    """Two seeds; `failed(regime, warmup, doublings)`."""
    cells = [
        (s, regime, w, d)
        for s in (0, 1) for regime in STUDY.parts["warmup"].factors["regime"].values for w in (0.0, 0.1, 0.3) for d in (-6, -3, 0, 1, 2)
    ]  # fmt: skip
    table = pd.DataFrame(cells, columns=["seed", "regime", "warmup", "doublings"])
    values = [float(failed(*cell[1:])) for cell in cells]
    losses = [2.3 if failed else 1.5 for failed in values]
    table = table.assign(failed=values, train_loss=losses, test_loss=losses, test_error=0.5, learning_rate=0.1)
    return table.assign(step=160, status="ok")


def test_warmup_is_credited_with_log2_of_the_largest_stable_rates():
    table = warmup_records(lambda regime, w, d: d > (1 if w == 0.3 else -3))
    assert answer("warmup-moves-the-limit", table).to_dict() == {0: 4.0, 1: 4.0}
    assert answer("short-warmup-adam", table).to_dict() == {0: 0.0, 1: 0.0}
    assert answer("warmup-moves-the-limit", table, control="never").to_dict() == {0: 0.0, 1: 0.0}
    assert answer("warmup-moves-the-limit", table, control="against").to_dict() == {0: -4.0, 1: -4.0}
    table = warmup_records(lambda regime, w, d: w == 0.0 or d > 0)
    assert answer("warmup-momentum", table)[0] == 0.0 - (-7.0), "where every rate fails, one doubling below the grid"


def test_a_failure_at_a_low_rate_does_not_make_a_higher_one_unstable():
    table = warmup_records(lambda regime, w, d: d == -6 or d > 1)
    assert answer("warmup-large-init", table)[0] == 0.0
    table = warmup_records(lambda regime, w, d: d == -6 or (d > -3 and w == 0.0))
    assert answer("warmup-large-init", table)[0] == 2.0 - (-3.0)


def test_where_warmup_may_use_low_rates_only_it_moves_the_limit_down():
    table = warmup_records(lambda regime, w, d: d > 0)
    assert answer("warmup-momentum", table)[0] == 0.0
    assert [answer("warmup-momentum", table, control=name)[0] for name in NAMES] == [-3.0, -3.0]


def test_at_the_ends_both_good_initialisations_must_train_or_both_fail():
    table = warmup_records(lambda regime, w, d: regime == "adam" and d == 2)
    table = table[(table["regime"] != "momentum_large_init") & (table["warmup"] == 0.0)]
    assert answer("highest-rate-fails", table)[1] == 1.5, "momentum SGD trains"
    assert answer("lowest-rate-trains", table)[1] == 1.5
    assert answer("lowest-rate-trains", table, control="never")[1] == 2.3, "Adam at the highest rate"
    assert answer("highest-rate-fails", table, control="never")[1] == 1.5, "Adam at the lowest rate"
    diverged = (table["regime"] == "momentum") & (table["doublings"] == 2)
    table.loc[diverged, "status"] = "diverged"
    assert answer("highest-rate-fails", table)[1] == 2.3, "a run that diverged has failed: the lesser loss is Adam's"
    assert np.isinf(answer("lowest-rate-trains", table, control="against")[1])


def test_at_a_cautious_rate_warmup_is_compared_with_none_in_points():
    table = warmup_records(lambda *cell: False)
    chosen = (table["regime"] == "adam") & (table["doublings"] == -3) & (table["warmup"] == 0.3)
    table.loc[chosen, "test_error"] = 0.52
    assert answer("warmup-conservative", table)[0] == pytest.approx(2.0)


def schedule_records():
    loss = {"constant": 1.3, "step": 1.12, "linear": 1.11, "wsd": 1.0, "cosine": 1.1, "warmup_cosine": 1.1}
    rows = [(s, name, loss[name], loss[name] - 0.7 + 0.01 * s) for s in (0, 1, 2) for name in loss]
    table = pd.DataFrame(rows, columns=["seed", "recipe", "test_loss", "test_error"])
    return table.assign(step=480, status="ok")


def test_schedules_are_compared_with_a_cosine():
    table = schedule_records()
    assert answer("annealing-beats-constant", table)[0] == pytest.approx(0.2)
    assert answer("step-worse-than-cosine", table)[0] == pytest.approx(0.02)
    assert answer("linear-like-cosine", table)[0] == pytest.approx(0.01)
    assert answer("linear-like-cosine", table, control="never")[0] == pytest.approx(0.2)
    assert answer("warmup-cosine-not-worse", table)[2] == pytest.approx(10.0), "against wsd, in points"
    assert answer("warmup-cosine-not-worse", table, control="never")[2] == pytest.approx(30.0)


def test_a_diverged_schedule_counts_as_guessing():
    table = schedule_records()
    table.loc[table["recipe"] == "constant", ["test_loss", "test_error"]] = np.nan
    assert answer("annealing-beats-constant", table)[0] == pytest.approx(math.log(10) - 1.1)


def grid_records():
    rows = [(s, rate, loss) for s in (0, 1) for rate, loss in ((1e-3, 2.0), (0.08, 0.5), (1.0, np.nan))]
    table = pd.DataFrame(rows, columns=["seed", "learning_rate", "train_loss"])
    return table.assign(part="grid", step=240, status="ok")


def test_arms_of_the_u_are_measured_from_the_best_rate():
    table = grid_records()
    assert answer("low-rate-plateaus", table)[0] == pytest.approx(2.0)
    assert answer("high-rate-diverges", table)[0] == pytest.approx(math.log2(2 * math.log(10) / 0.5))


def test_patience_leaves_a_share_of_the_gap_and_the_ordinary_budget_all_of_it():
    losses = {10: 1.5, 20: 1.3, 100: 0.7}
    patience = pd.DataFrame({"part": "patience", "seed": 0, "step": losses.keys(), "train_loss": losses.values()})
    whole = pd.concat([grid_records().query("seed == 0"), patience], ignore_index=True)
    assert answer("low-rate-is-only-slow", whole)[0] == pytest.approx(0.2)
    assert answer("low-rate-is-only-slow", whole, control="never")[0] == pytest.approx(1.0)
    assert answer("low-rate-is-only-slow", whole, control="against")[0] == pytest.approx(0.8)
    whole.loc[np.isclose(whole["learning_rate"], 0.08), "train_loss"] = np.nan
    assert np.isnan(answer("low-rate-is-only-slow", whole)[0]), "no gap to a best rate that diverged"


def test_range_tests_are_compared_with_the_best_constant_rate():
    rows = [(0, 80, 1.6, 0.1), (0, 240, 0.8, 0.8), (0, 720, 0.4, 0.001)]
    ramps = pd.DataFrame(rows, columns=["seed", "ramp", "at_minimum", "steepest"]).assign(part="range_test")
    assert answer("range-test-suggests", ramps)[0] == pytest.approx(0.0)
    assert answer("range-test-suggests", ramps, control="never")[0] == pytest.approx(math.log10(0.08 / 0.003))
    assert answer("range-test-depends-on-its-speed", ramps)[0] == pytest.approx(math.log10(0.25))
    assert answer("range-test-depends-on-its-speed", ramps, control="against")[0] == pytest.approx(math.log10(4.0))
    assert answer("range-test-steepest", ramps)[0] == pytest.approx(1.0)
    assert answer("range-test-steepest", ramps, control="against")[0] == pytest.approx(-1.0)
    for name in ("range-test-depends-on-its-speed", "range-test-steepest"):
        assert answer(name, ramps, control="never")[0] == 0.0


def test_the_best_constant_rate_is_the_same_everywhere():
    assert {each.arguments["best"] for each in PREDICTIONS.values() if "best" in each.arguments} == {0.08}
    named = [each.measure.to for each in PREDICTIONS.values() if each.measure is not None and each.part == "grid"]
    assert named == [{"learning_rate": 0.08}] * 2
    assert study_module(STUDY.folder, "constants").BEST_RATE == 0.08
    for scale in STUDY.scales:
        assert 0.08 in STUDY.at(scale)["grid"].factors["learning_rate"].values


def test_the_edge_is_late_sharpness_and_a_diverged_run_never_comes_to_rest():
    steps = (0, 80, 560, 800)
    rows = [(s, m, t, 1.1 if t > 80 else m, 2.0 - t / 800) for s in (0, 1) for m in (1.2, 2.0) for t in steps]
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


def test_every_regime_says_how_it_trains():
    part = STUDY.parts["warmup"]
    assert set(part.settings["regimes"]) == set(part.factors["regime"].values)


def test_every_recipe_is_a_schedule():
    for schedule, warmup in RUNS.RECIPES.values():
        assert len(schedules.multipliers(schedule, 10, warmup)) == 10
    assert set(RUNS.RECIPES) == set(STUDY.parts["schedules"].factors["recipe"].values)


# ---- the whole of it, small ----


def test_every_prediction_gives_each_seed_a_number(smoke):
    for _, prediction in STUDY.predictions():
        values = answer(prediction.id, records.part_of(smoke, prediction.part), "smoke")
        seeds = [0] if prediction.kind == "fact" else [0, 1, 2, 3]
        assert sorted(values.index) == seeds, prediction.id
        assert values.notna().all(), prediction.id


@pytest.mark.parametrize("control", NAMES)
@pytest.mark.parametrize("name", CONTROLLED)
def test_every_control_has_an_answer_for_every_seed(smoke, name, control):
    found = records.part_of(smoke, control_of(PREDICTIONS[name], control).part or PREDICTIONS[name].part)
    assert sorted(answer(name, found, "smoke", control).index) == [0, 1, 2, 3]


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(smoke, drawn_well, figure):
    drawn_well(STUDY, figure, smoke)


@pytest.mark.parametrize(
    ("part", "fewer"),
    [
        ("warmup", {"regime": ["adam"], "warmup": [0.3], "doublings": [0]}),
        ("schedules", {"recipe": ["warmup_cosine"]}),
        ("grid", {"learning_rate": [0.08]}),
        ("patience", {}),
        ("range_test", {"ramp": [3]}),
        ("edge", {"multiple": [1.2]}),
    ],
)
def test_full_scale_code_runs(part, fewer, fashion):
    small = {"width": 8, "depth": 1, "steps": 2} | (
        {"examples": 50, "iterations": 2} if part == "edge" else {"batch_size": 16}
    )
    found = run_part(part, "full", seeds=2, data_dir=fashion, fewer=fewer, **small)
    assert found["seed"].unique().tolist() == [0, 1]


@pytest.mark.parametrize("scale", ["smoke", "quick", "full"])
def test_pilot_and_confirmatory_seeds_never_meet(scale):
    part = STUDY.at(scale)["schedules"]
    pilot, confirm = set(design.pilot_runs(part)["seed"]), set(design.confirmatory_runs(part)["seed"])
    assert pilot
    assert not pilot & confirm


def test_every_schedule_is_tuned_with_the_same_budget():
    runs = design.pilot_runs(STUDY.at("quick")["schedules"])
    assert runs.groupby("recipe").size().nunique() == 1
