"""The study of gated units: equal parameters, the network that is trained, time by turns, predictions, figures."""

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine.transformers import FORMS, FeedForward, hidden_units
from claimcheck.judging import judge, rule
from claimcheck.spec import design

from .asking import Asked

ASKED = Asked("gated_units")
STUDY, PREDICTIONS, answer, RUNS = ASKED.study, ASKED.predictions, ASKED.answer, ASKED.module("runs")


def context_of(part, scale="smoke"):
    return ASKED.context(part, scale, **STUDY.at(scale)[part].settings)


def parameters(network):
    return sum(value.numel() for value in network.parameters())


# ---- what is compared ----


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("part", ["language", "timing", "sizes"])
def test_transformers_of_all_forms_have_equally_many_parameters(part, scale):
    settings = context_of(part, scale).settings
    draws = torch.Generator().manual_seed(0)
    counts = {form: parameters(RUNS._decoder(form, 29, settings)(None, draws)) for form in FORMS}
    assert max(counts.values()) <= 1.01 * min(counts.values())


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("inputs", [40, 64])
def test_classifiers_of_all_forms_have_equally_many_parameters(inputs, scale):
    units, draws = STUDY.at(scale)["classifiers"].settings["hidden"], torch.Generator().manual_seed(0)
    counts = {
        form: parameters(FeedForward(inputs, hidden_units(form, units, inputs, 10), 10, form, generator=draws))
        for form in FORMS
    }
    assert max(counts.values()) <= 1.02 * min(counts.values())


def test_each_writing_has_its_symbols():
    """The network of each data set has that writing's symbols: 29 for spellings, 42 for phonemes."""
    for writing, symbols in (("spellings", 29), ("phonemes", 42)):
        text = RUNS.draw_text(context_of("language"), "cmudict", writing, [0], train=20, test=10, length=11)
        assert len(text.vocabulary) == symbols
        assert int(text.train.shared["x"].max()) < symbols


# ---- predictions ----

LOSSES = {"relu": 2.50, "swish": 2.505, "bilinear": 2.49, "reglu": 2.48, "geglu": 2.481, "swiglu": 2.48}


SECONDS = {"relu": 1.0, "swish": 1.1, "swiglu": 1.2}


def columns_of(name):
    """What a run of a part has where every prediction is true."""
    losses = {**LOSSES, "swiglu": 2.6} if name == "classifiers" else LOSSES
    return {
        "timing": lambda run, settings: {"seconds": run.times * SECONDS[run.form]},
        "sizes": lambda run, settings: {"parameters": 1000.0, "off": 0.001},
    }.get(name, lambda run, settings: {"test_loss": losses[run.form], "test_error": 0.5, "step": 1})


def made(name, scale="quick"):
    return ASKED.made(name, columns_of(name), scale)


@pytest.mark.parametrize("scale", ["quick", "full"])
@pytest.mark.parametrize("prediction", PREDICTIONS.values(), ids=lambda prediction: prediction.id)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction, scale):
    ASKED.told_from_controls(prediction, made(prediction.part, scale), scale)


def test_a_form_of_other_size_is_noticed():
    rows = made("sizes").assign(off=0.02)
    assert not judge.fact_holds(answer("parameters-are-equal", rows).to_numpy(), PREDICTIONS["parameters-are-equal"])


def test_gains_are_those_of_the_same_unit_in_the_order_of_the_names():
    rows, asked = made("language"), {"data": "spellings"}
    assert answer("swiglu-beats-relu", rows, **asked).tolist() == pytest.approx([-0.02, -0.02])
    assert answer("swiglu-beats-relu", rows, control="against", **asked).tolist() == pytest.approx([0.02, 0.02])
    last = rows["seed"] == rows["seed"].max()
    rows.loc[last & (rows["form"] == "swiglu"), ["status", "test_loss"]] = "diverged", np.nan
    found = answer("swiglu-beats-relu", rows, **asked).to_numpy()
    assert not rule.inside(found, PREDICTIONS["swiglu-beats-relu"].region)[1], "a network that diverged is no better"


def test_no_control_passes(controls_that_passed):
    assert not controls_that_passed


# ---- runs and figures ----


def test_every_prediction_gives_each_seed_a_number(smoke):
    for prediction, values in ASKED.answers(smoke):
        assert np.isfinite(values.to_numpy()).all(), prediction.id


@pytest.mark.parametrize("part", ["language", "classifiers"])
def test_a_run_does_not_depend_on_its_company(part):
    runs = design.confirmatory_runs(STUDY.at("smoke")[part]).assign(learning_rate=0.01)
    runs = runs[(runs["form"] == "swiglu") & (runs["dataset"] == runs["dataset"].iloc[0])].reset_index(drop=True)
    function = getattr(RUNS, f"run_{part}")
    whole = function(runs, context_of(part)).set_index("run")
    piece = function(runs.iloc[[2]], context_of(part)).set_index("run")
    pd.testing.assert_frame_equal(whole.loc[piece.index], piece, check_exact=True)


def test_times_are_told_of_the_network_that_took_them(monkeypatch):
    """A made clock: a network takes as long as it has parameters, whatever its turn."""
    monkeypatch.setattr(RUNS, "_seconds", lambda network, batch, calls: float(parameters(network)))
    runs = design.confirmatory_runs(STUDY.at("smoke")["timing"].model_copy(update={"seeds": 1}))
    found = RUNS.run_timing(runs, context_of("timing")).set_index("run")["seconds"]
    settings, draws = context_of("timing").settings, torch.Generator().manual_seed(0)
    for run in runs.itertuples(index=False):
        network = RUNS._decoder(run.form, settings.symbols, settings, settings.hidden * run.times)(run, draws)
        assert found[run.run] == parameters(network)


def test_a_pass_takes_time():
    network = RUNS._decoder("swiglu", 29, context_of("timing").settings)(None, torch.Generator().manual_seed(0))
    assert RUNS._seconds(network, {"x": torch.ones(2, 5, dtype=torch.int64)}, 1) > 0


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_are_drawn(figure, drawn_well):
    drawn_well(figure)
