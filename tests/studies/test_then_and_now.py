"""Then and now: networks against torch's own layers, published counts, chains, statistics on hand-made records, figures."""

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.context import Settings
from claimcheck.results import records as recording
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES

from .asking import Asked

ASKED = Asked("then_and_now")
STUDY, PREDICTIONS, answer = ASKED.study, ASKED.predictions, ASKED.answer
RUNS, STATISTICS, networks, published, sequences, hardware = (
    ASKED.module(name) for name in ("runs", "statistics", "networks", "published", "sequences", "hardware")
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def context_of(part, scale="smoke", **settings):
    return ASKED.context(part, scale, **{**STUDY.at(scale)[part].settings, **settings})


# ---- the recipe ----


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_every_arm_leaves_out_what_its_name_says_and_nothing_else(scale):
    parts = [STUDY.at(scale)[name] for name in ("recipe", "added")]
    today, then = (parts[0].settings[name] for name in ("today", "in_1998"))
    assert set(today) == set(then)
    assert all(today[name] != then[name] for name in today)
    found = {arm: RUNS.ingredients_of(Settings(p.settings), arm) for p in parts for arm in p.factors["without"].values}
    changed = {arm: {name for name in today if said[name] != today[name]} for arm, said in found.items()}
    assert changed["nothing"] == set()
    assert changed["everything"] == set(today)
    assert changed["norm_residual_init"] == {"norm", "residual", "init"}
    assert all(arm in changed[arm] for arm in STATISTICS.SINGLE)
    for arm in STATISTICS.SINGLE:  # what one arm leaves out, another has alone
        assert changed[STATISTICS.ALL_BUT + arm] == set(today) - changed[arm]


SMALL = {
    "depth": 2,
    "depths": {"shallow_1998": 1},
    "widths": {"mlp": 4, "cnn": 2},
    "steps": 4,
    "batch_size": 8,
    "evaluate": ["test"],
}


def trained(arms, network="mlp", scale="smoke", **data):
    """Records of two units of some arms, trained together."""
    of = {**STUDY.at(scale)["recipe"].settings["data"]["mnist5k"], "training": 40, "validation": 20, "test": 50, **data}
    runs = pd.DataFrame([(arm, seed) for arm in arms for seed in (0, 1)], columns=["without", "seed"])
    runs = runs.assign(run=runs["without"] + runs["seed"].astype(str), dataset="mnist5k", network=network, rate=1.0)
    return RUNS.run_recipe(runs, context_of("recipe", scale, **SMALL, data={"mnist5k": of})).set_index("run")


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_arms_are_trained_as_they_are_alone(network):
    arms = ["nothing", "schedule", "dropout", "regularisation", "residual", "init", "everything", "all_but_residual"]
    together = trained(arms, network)
    for arm in ("nothing", "dropout", "regularisation", "residual", "all_but_residual"):
        alone = trained([arm], network)
        assert alone["test_loss"].equals(together.loc[alone.index, "test_loss"]), arm
    assert together["test_loss"].nunique() == len(together), "no two arms are the same"


def test_rates_are_relative_to_the_centre_of_the_arm():
    settings = Settings(STUDY.at("quick")["recipe"].settings)
    runs = pd.DataFrame({"dataset": "mnist5k", "network": "mlp", "without": ["norm", "optimizer"], "rate": [1.0, 2.0]})
    found = RUNS.as_columns(runs, settings)
    centres = settings.centres["mlp"]["mnist5k"]
    assert found["learning_rate"].tolist() == [centres["norm"], 2 * centres["optimizer"]]
    assert found["strength"].tolist() == [1.0, 1.0]
    assert found["weight_decay"].tolist() == [settings.today["weight_decay"], 0.0]


def test_the_shallow_network_of_1998_is_that_of_1998_but_for_its_layers():
    settings = Settings(STUDY.at("quick")["recipe"].settings)
    runs = pd.DataFrame(
        {"dataset": "mnist5k", "network": "mlp", "without": ["everything", "shallow_1998"], "rate": 1.0}
    )
    deep, shallow = RUNS.as_columns(runs, settings).drop(columns=["without", "learning_rate"]).to_dict("records")
    assert (deep.pop("depth"), shallow.pop("depth")) == (settings.depth, 1)
    assert deep == shallow
    assert trained(["shallow_1998"])["test_loss"].nunique() == 2


def test_all_arms_of_a_comparison_have_the_same_pilots():
    for name in ("ingredients", "speed", "growth", "recipe", "added"):
        part = STUDY.at("quick")[name]
        assert design.pilot_runs(part).groupby(list(part.factors)).size().nunique() == 1
        assert part.tune.seeds == 8
        assert part.tune.settings.get("steps", part.settings["steps"]) >= part.settings["steps"] / 2


@pytest.mark.parametrize("scale", ["smoke", "quick", "full"])
@pytest.mark.parametrize("kind", ["", "_cnn"])
def test_what_is_added_to_1998_is_paired_with_it_and_trained_alike(scale, kind):
    """The figure subtracts errors of one part from those of the other, seed by seed."""
    recipe, added = (STUDY.at(scale)[name + kind] for name in ("recipe", "added"))
    if not added.seeds:
        pytest.skip(f"nothing is added{kind} at {scale}")
    assert set(added.judged_seeds) <= set(recipe.judged_seeds)
    assert (added.settings, added.tune) == (recipe.settings, recipe.tune)
    assert not set(added.factors["without"].values) & set(recipe.factors["without"].values)


def test_convolutional_arms_at_quick_are_those_that_are_asked_for():
    part, whole = (STUDY.at(scale)["recipe_cnn"] for scale in ("quick", "full"))
    assert {cell["without"] for cell in part.cells()} == {"nothing", "norm", "residual", "shifts", "everything"}
    assert {cell["without"] for cell in whole.cells()} >= set(STATISTICS.SINGLE)
    assert {cell["network"] for cell in part.cells()} == {"cnn"}


# ---- counts and chains ----


def test_lenet5_of_1998_layer_by_layer():
    """Table of LeCun et al. 1998: C1 156, S2 12, C3 1,516, S4 32, C5 48,120, F6 10,164 weights."""
    network = published.lenet5_of_1998()
    sizes = [sum(each.numel() for each in layer.parameters()) for layer in network]
    assert [size for size in sizes if size] == [156, 12, 1516, 32, 48120, 10164]
    assert published.counts("lenet5_of_1998")["parameters"] == 60000


def test_multiplications_of_lenet5_by_hand():
    found = published.counts("lenet5")
    convolutions = 28 * 28 * 25 * 6 + 10 * 10 * 25 * 6 * 16 + 400 * 120
    assert found["multiplications"] == convolutions + 120 * 84 + 84 * 10
    assert found["parameters"] == 61706


def test_the_longest_chain_is_that_of_the_operations():
    x = torch.ones(3, requires_grad=True)
    assert sequences.longest_chain((x * 2).relu() + x) == sequences.longest_chain((x * 2).relu()) + 1


def test_layers_that_are_timed_have_weights_as_many_and_see_what_came_before():
    settings = STUDY.at("quick")["lengths"].settings
    device = torch.device("cpu")
    sizes = [
        sum(each.numel() for each in sequences.layer_of(kind, settings, device).parameters())
        for kind in ("attention", "gru", "lstm", "rnn")
    ]
    assert max(sizes) / min(sizes) < 1.01


def test_a_token_more_is_the_last_of_the_whole_sequence():
    block = sequences.Transformer(8, 2)
    with torch.no_grad():
        for place, each in enumerate(block.parameters()):
            each.copy_(torch.randn(each.shape, generator=generator(place)) / 3)
        x = torch.randn(2, 5, 8, generator=generator(9))
        parts = block.into(block.norms[0](x)).unflatten(-1, (3, 2, -1)).unbind(-3)
        kept = [each.transpose(1, 2)[:, :, :4] for each in parts[1:]]
        torch.testing.assert_close(block(x[:, 4:], kept)[:, 0], block(x)[:, 4])


def test_works_are_timed_by_turns():
    done = []
    works = {name: lambda name=name: done.append(name) for name in "abc"}
    found = sequences.by_turns(works, 3, torch.device("cpu"))
    assert set(found) == set("abc")
    assert "".join(done) == "cab" + "abc" + "bca" + "cab"


@pytest.mark.parametrize("workload", ["examples", "networks"])
def test_at_once_and_one_by_one_are_the_same_work(workload):
    works = hardware.WORKLOADS[workload](context_of("batching").settings, generator())
    assert set(works) == {"at_once", "one_by_one"}
    for work in works.values():
        work()


# ---- statistics ----


def factorial(effects, dropout=lambda size: 0.0):
    """Records of one seed whose test error falls by `effects`."""
    rows = []
    for activation in ("tanh", "relu"):
        for rate in (0.0, 0.5):
            for examples in ("few", "many"):
                for size in ("small", "large"):
                    error = 0.5 + effects["relu"] * (activation == "relu") + effects["many"] * (examples == "many")
                    error += effects["large"] * (size == "large") + (dropout(size) if rate else 0.0)
                    rows.append((0, activation, rate, examples, size, error, "ok"))
    return pd.DataFrame(rows, columns=["seed", "activation", "dropout", "amount", "size", "test_error", "status"])


def test_main_effects_are_those_that_were_put_in():
    rows = factorial({"relu": -0.02, "many": -0.2, "large": -0.05}, lambda size: 0.04 if size == "small" else 0.0)
    found = STATISTICS.main_effects(rows).iloc[0]
    assert found.to_dict() == pytest.approx({"activation": -2, "dropout": 2, "amount": -20, "size": -7})
    assert answer("relu-lowers-error", rows)[0] == pytest.approx(-2)
    assert answer("dropout-lowers-error", rows)[0] == pytest.approx(2)
    assert answer("dropout-hurts-the-small", rows)[0] == pytest.approx(4)
    assert answer("data-beats-the-rest", rows)[0] == pytest.approx(20 - 7 - 2), "harm by dropout counts as nothing"
    assert answer("data-beats-the-rest", rows, control="never")[0] < 0


def recipe(errors):
    """Records of one seed: test errors by what is left out."""
    rows = [(0, "mlp", name, error, "ok" if np.isfinite(error) else "diverged") for name, error in errors.items()]
    return pd.DataFrame(rows, columns=["seed", "network", "without", "test_error", "status"])


ERRORS = {
    **dict.fromkeys(STATISTICS.SINGLE, 0.22),
    "nothing": 0.2,
    "residual": 0.5,
    "regularisation": 0.3,
    "norm_residual_init": np.nan,
    "everything": 0.6,
}


def test_worth_is_the_error_without_it_less_that_with_all():
    rows = recipe(ERRORS)
    assert STATISTICS.worths(rows).loc[0, "residual"] == pytest.approx(30)
    assert answer("today-beats-1998", rows)[0] == pytest.approx(40)
    assert answer("norm-or-residual-counts-most", rows)[0] == pytest.approx(30 - 2)
    assert answer("norm-or-residual-counts-most", rows, control="never")[0] == pytest.approx(2 - 30)
    assert answer("every-ingredient-counts", rows)[0] == pytest.approx(2)
    assert answer("every-ingredient-counts", recipe({**ERRORS, "init": 0.19}))[0] == pytest.approx(-1)
    assert answer("any-one-can-go", rows)[0] == pytest.approx(30)
    assert answer("all-three-cannot-go", rows)[0] == pytest.approx(70), "one that diverged counts as guessing"


def test_the_largest_worth_is_among_what_was_left_out():
    rows = recipe({"nothing": 0.3, "norm": 0.32, "residual": 0.4, "shifts": 0.37, "everything": 0.5})
    assert answer("norm-or-residual-counts-most-convolutional", rows)[0] == pytest.approx(3)
    assert answer("norm-or-residual-counts-most-convolutional", rows, control="never")[0] == pytest.approx(-8)


def test_what_an_ingredient_gains_alone_is_counted_from_1998():
    alone = {STATISTICS.ALL_BUT + name: 0.58 for name in STATISTICS.SINGLE}
    rows = recipe({**ERRORS, **alone, "all_but_residual": 0.45, "all_but_norm": np.nan})
    assert STATISTICS.gains(rows).loc[0, ["residual", "init", "norm"]].tolist() == pytest.approx([15, 2, -30])
    assert STATISTICS.worths(rows).loc[0, "residual"] == pytest.approx(30), "the other arms do not matter to it"
    assert answer("skip-connections-alone-help", rows)[0] == pytest.approx(15)


def growth(errors, noise=0.0, column="test_error"):
    rows = [(0, n, noise, error, "ok") for n, error in errors.items()]
    return pd.DataFrame(rows, columns=["seed", "examples", "noise", column, "status"])


def test_a_power_law_has_its_exponent_and_is_explained():
    rows = growth({n: n**-0.4 for n in (64, 256, 1024, 4096)})
    assert answer("error-falls", rows)[0] == pytest.approx(-0.4)
    assert answer("error-falls", rows, control="against")[0] == pytest.approx(0.4)
    assert answer("a-power-law", rows)[0] == pytest.approx(1)
    assert answer("a-power-law", rows, control="never")[0] < 0.5
    bent = growth({64: 0.5, 256: 0.1, 1024: 0.1, 4096: 0.1})
    assert answer("a-power-law", bent)[0] == pytest.approx(0.6)


def test_noise_is_flatter_where_its_slope_is_nearer_to_nought():
    sizes = (64, 256, 1024)
    rows = pd.concat([growth({n: n**-0.4 for n in sizes}), growth({n: n**-0.1 for n in sizes}, 0.4)])
    assert answer("wrong-labels-flatten", rows)[0] == pytest.approx(0.3)
    assert answer("wrong-labels-flatten", rows, control="never")[0] == 0
    assert answer("wrong-labels-flatten", rows, control="against")[0] == pytest.approx(-0.3)


# ---- the whole of it, small ----


CASES = [(name, data) for name, each in PREDICTIONS.items() for data in each.on or [None] if data != "fashion_mnist"]


@pytest.mark.parametrize(("name", "data"), CASES)
def test_every_prediction_and_control_gives_each_seed_a_number(smoke, name, data):
    prediction = PREDICTIONS[name]
    rows = recording.part_of(smoke, prediction.part)
    if rows.empty:
        pytest.skip(f"part {prediction.part} is not run at smoke")
    rows = rows if data is None else rows[rows["dataset"] == data].reset_index(drop=True)
    for control in (None, *NAMES) if prediction.kind != "fact" else (None,):
        found = answer(name, rows, "smoke", control=control)
        assert sorted(found.index) == sorted(rows["seed"].unique())
        assert np.isfinite(found.to_numpy(dtype=float)).all()


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_full_scale_code_runs(network):
    """Images that are not shrunk, in networks of both kinds."""
    assert np.isfinite(trained(["nothing", "everything"], network, "full")["test_error"]).all()


def test_facts_hold(smoke):
    ASKED.facts_hold(smoke)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()
