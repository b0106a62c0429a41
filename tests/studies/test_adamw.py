"""The study of AdamW: formulas, the printed update against a plain loop, convolutions, statistics, controls, figures."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from claimcheck.data import words
from claimcheck.engine.ensemble import Ensemble
from claimcheck.judging import rule
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of

from .asking import Asked

ASKED = Asked("adamw")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
answer, run_part = ASKED.answer, ASKED.run_part
RUNS, FORMULAS, STATISTICS, CONVOLUTIONS = (
    ASKED.module(name) for name in ("runs", "formulas", "statistics", "convolutions")
)


# ---- formulas ----


def settings_of(name, **changes):
    return ASKED.context(name, **{**STUDY.at("quick")[name].settings, **changes}).settings


def test_facts_hold(smoke):
    ASKED.facts_hold(smoke)


def test_the_printed_update_is_not_torch_s():
    """The comparison can fail: it finds the printed form far from AdamW, and AdamW with another β₂, too."""
    settings = settings_of("identities")
    start, gradients = torch.randn(5, generator=torch.Generator().manual_seed(0)).double(), torch.ones(50, 5).double()
    ours = FORMULAS.torch_path(torch.optim.AdamW, start, gradients, settings)
    printed = FORMULAS.update(start, gradients, settings, corrected=False)
    other = FORMULAS.update(start, gradients, settings_of("identities", betas=[0.9, 0.99]), corrected=True)
    assert float((printed - ours).abs().max()) > 0.05
    assert torch.allclose(FORMULAS.update(start, gradients, settings, corrected=True), ours, atol=1e-12)
    assert torch.allclose(other, ours, atol=1e-12), "of a constant gradient no β matters once corrected"


@pytest.mark.parametrize("beta2", [0.99, 0.9])
def test_the_printed_first_step_is_one_over_the_root_of_one_less_beta2(beta2):
    found = FORMULAS.identities(settings_of("identities", betas=[0.9, beta2]), torch.Generator().manual_seed(0))
    assert found["first_step"] == pytest.approx(1 / math.sqrt(1 - beta2), rel=1e-4)


def test_training_by_each_form_equals_a_plain_loop():
    context = ASKED.context("printed", **{**STUDY.at("smoke")["printed"].settings, "steps": 12})
    rows = [{"run": form, "seed": 3, "dataset": "mnist1d_pool", "form": form} for form in ("published", "printed")]
    runs = pd.DataFrame(rows).assign(learning_rate=0.01)
    found = RUNS.run_printed(runs, context).set_index("run")
    build, data, own = RUNS._classified(runs, context)
    for row, run in enumerate(runs.itertuples(index=False)):
        network = build(run, context.generator(3, "init"))
        settings = SimpleNamespace(betas=(0.9, 0.999), eps=1e-8, rate=0.01, decay=0.0)
        names = [name for name, _ in network.named_parameters()]
        shapes = [p.shape for p in network.parameters()]
        w, mean, square = torch.cat([p.detach().flatten() for p in network.parameters()]), 0.0, 0.0
        order = RUNS.printed.Order([3], lambda seed: context.generator(seed, "order"), len(data), 32, "cpu")
        for t, positions in zip(range(1, 13), order):
            batch = data.members([row]).rows(positions)
            w = w.requires_grad_()
            sizes = [math.prod(shape) for shape in shapes]
            values = {n: p.view(s) for n, p, s in zip(names, w.split(sizes), shapes)}
            loss = F.cross_entropy(functional_call(network, values, (batch["x"][0],)), batch["y"][0])
            (g,) = torch.autograd.grad(loss, w)
            mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
            seen = square / (1 - 0.999**t) if run.form == "published" else square
            w = (w - settings.rate * mean / (1 - 0.9**t) / (seen.sqrt() + 1e-8)).detach()
        values = {n: p.view(s) for n, p, s in zip(names, w.split(sizes), shapes)}
        test = own.test.members([row]).whole()[0]
        logits = functional_call(network, values, (test["x"][0],))
        assert found.loc[run.run, "test_loss"] == pytest.approx(float(F.cross_entropy(logits, test["y"][0])), rel=1e-3)


# ---- convolutions ----


@pytest.mark.parametrize("shape", [(40,), (1, 14, 14)])
def test_windows_times_a_matrix_are_torch_s_convolutions_for_one_network_and_for_many(shape):
    runs = pd.DataFrame({"run": ["a", "b", "c"], "seed": [0, 1, 2]})
    build = lambda run, generator: CONVOLUTIONS.Cnn(  # noqa: E731
        shape, (3, 5), 10, kernel=4, stride=2, generator=generator
    )
    ensemble = Ensemble.build(runs, build, lambda seed: torch.Generator().manual_seed(seed))
    x = torch.randn(3, 6, *shape, generator=torch.Generator().manual_seed(9))
    together = functional_call(ensemble.skeleton, ensemble.named(), (x,))
    for member, run in enumerate(runs["run"]):
        network = ensemble.network(run)
        assert torch.allclose(network(x[member]), together[member], atol=1e-5)
        h, directions = x[member].reshape(6, 1, *shape[-2:] if len(shape) > 1 else shape), min(len(shape), 2)
        convolve = {1: F.conv1d, 2: F.conv2d}[directions]
        for layer in network.windows:
            channels = h.shape[1]
            weight = layer.weight.view(-1, channels, *[4] * directions)
            h = torch.relu(convolve(h, weight, layer.bias, stride=2))
        flat = h.movedim(1, -1).flatten(1)
        assert torch.allclose(network.output(flat), together[member], atol=1e-5)


# ---- what is trained on ----


def rows_of(part, **factors):
    """The first run of a part at quick with these levels, and its context."""
    scaled = STUDY.at("quick")[part]
    runs = design.confirmatory_runs(scaled)
    chosen = runs[(runs[list(factors)] == pd.Series(factors)).all(axis=1)].head(1).reset_index(drop=True)
    return chosen, ASKED.context(part, **scaled.settings)


@pytest.mark.parametrize(("network", "pixels"), [("mlp", 7), ("cnn", 14)])
def test_images_are_finer_for_the_convolutions(network, pixels):
    runs, context = rows_of("rates", dataset="mnist5k", network=network)
    own = RUNS._classified(runs, context)[2]
    assert {part.shared["x"].shape[1:] for part in (own.training, own.test)} == {(1, pixels, pixels)}


def test_words_are_cut_to_what_the_decoder_reads():
    runs, context = rows_of("rates", dataset="cmudict", network="spellings")
    cut = ASKED.context("rates", **{**context.settings, "steps": 1, "cmudict": {"training": 40, "test": 10}})
    assert np.isfinite(RUNS.run_rates(runs, cut)["test_loss"]).all(), "longer words would be refused"


def test_each_arm_of_decay_gets_its_own_optimiser_and_strength():
    """Without a decay the arms that share an optimiser are one network; AdamW and Adam then differ by nothing, too."""
    arms = STUDY.at("smoke")["decay"].settings["arms"]
    still = {name: {**arm, "decay": dict.fromkeys(arm["decay"], 0.0)} for name, arm in arms.items()}
    found = {
        name: run_part("decay", seeds=1, rate=0.01, factors={"dataset": ["mnist1d_pool"]}, arms=each, steps=20)
        for name, each in (("as set", arms), ("still", still))
    }
    losses = {name: rows.set_index("arm")["test_loss"] for name, rows in found.items()}
    assert losses["still"].nunique() == 1
    assert losses["as set"].nunique() == 3
    assert losses["as set"]["none"] == losses["still"]["none"]


# ---- statistics ----


def grid_of(values, optimizer="adamw", network="mlp", data="mnist1d_pool", part="rates"):
    """Records of one run: losses by learning rate, half a decade apart from 0.001."""
    rates = [0.001, 0.0032, 0.01, 0.032][: len(values)]
    rows = [
        {"seed": 0, "dataset": data, "network": network, "optimizer": optimizer, "learning_rate": rate,
         "test_loss": value, "test_error": value / 10, "part": part}
        for rate, value in zip(rates, values)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_regret_is_what_a_rate_costs_against_the_best_and_nothing_is_worse_than_guessing():
    rows = pd.concat([grid_of([1.5, 1.2, 1.0, 9.0]), grid_of([1.0, 1.0, 1.0, math.nan], network="cnn")])
    assert STATISTICS.regret(rows, "adamw", 0.001).tolist() == pytest.approx([0.25])
    assert STATISTICS.regret(rows, "adamw", 0.032).tolist() == pytest.approx([math.log(10) - 1.0])


def test_a_good_range_ends_where_a_straight_line_leaves_the_tolerance():
    """Flat over one step, then half a tolerance's worth of a step of 0.1: half of it counts."""
    assert STATISTICS._width(np.array([1.0, 1.0, 1.1, 2.0]), 0.05) == pytest.approx(1.5)
    assert STATISTICS._width(np.array([2.0, 1.0, 2.0]), 0.05) == pytest.approx(0.1)
    rows = grid_of([1.0, 1.0, 1.1, 2.0])
    assert STATISTICS.good_range(rows, "adamw", 0.05).tolist() == pytest.approx([0.75], abs=0.01)


def test_best_of_k_draws_is_its_expectation():
    values = np.array([[3.0, 1.0, 2.0]])
    assert STATISTICS.best_of(values, 1) == pytest.approx([2.0])
    pairs = [min(a, b) for a in (1, 2, 3) for b in (1, 2, 3)]
    assert STATISTICS.best_of(values, 2) == pytest.approx([np.mean(pairs)])
    assert STATISTICS.best_of(values, 1000) == pytest.approx([1.0])


def test_an_area_is_a_share_of_the_grid():
    rows = pd.concat([grid_of([1.0, 1.1, 3.0]).assign(weight_decay=decay) for decay in (0.0, 0.1)])
    assert STATISTICS.area(rows, "adamw", 0.02).tolist() == pytest.approx([4 / 6])
    assert STATISTICS.area(rows, "adamw", 1.0).tolist() == [1.0]


# ---- predictions on made records ----

LOG10 = math.log(10)


def rated(run):
    """AdamW is best at 0.0032 and flat, SGD at 0.032 and steep; longer runs move AdamW's best to its default."""
    best, steepness = {"adamw": (0.001, 0.02), "momentum": (0.032, 0.3)}[run.optimizer]
    return {"test_loss": min(1.0 + steepness * abs(math.log10(run.learning_rate / best)) * 2, LOG10)}


def longer(run):
    return {"test_loss": 1.0 if run.optimizer == "adamw" else 1.2}


def gridded(run):
    return {"test_error": 0.3 if run.learning_rate in (0.01, 0.032) else 0.5}


def varied(run):
    return {"test_loss": {"default": 1.0, "eps_huge": 1.5}.get(run.variant, 1.1)}


def by_form(run):
    slow = {0.0001: 2.0, 0.001: 1.5, 0.0032: 1.2, 0.01: 1.0}[run.learning_rate]
    return {"training_loss": slow if run.form == "published" else {0.0001: 1.6, 0.01: 2.2}.get(run.learning_rate, slow)}


MADE = {
    "rates": rated,
    "longer": longer,
    "variants": varied,
    "grid": gridded,
    "decay": lambda run: {"test_error": {"none": 0.3, "adamw": 0.25, "l2": 0.25}[run.arm]},
    "printed": by_form,
}
"""Records in which the predictions are true, but for those in `CONTRADICTED`."""

CONTRADICTED = {"printed-trains-like-adamw", "default-costs-less-in-longer-runs"}
"""What made records deny: the printed update is not AdamW; AdamW's default is made the best rate in short runs, too."""


def made(name, scale="quick"):
    """Records of a part as a scale has it, two seeds, with made columns."""
    return ASKED.made(name, lambda run, settings: MADE[name](run), scale).assign(part=name)


@pytest.mark.parametrize(
    "prediction", [p for p in PREDICTIONS.values() if p.kind != "fact"], ids=lambda prediction: prediction.id
)
def test_a_prediction_is_true_where_it_should_be_and_its_controls_are_not(prediction):
    for scale in ("quick", "full"):
        parts = [prediction.part] if prediction.part else ["rates", "longer"]
        rows = pd.concat([made(part, scale) for part in parts], ignore_index=True)
        for data in prediction.on or [None]:
            found = answer(prediction, rows, scale, data=data).to_numpy()
            assert rule.inside(found, prediction.region).all() != (prediction.id in CONTRADICTED), (data, found)
            for name in NAMES:
                if name == "against" and prediction.id in CONTRADICTED:
                    continue
                asked = applied(prediction, control_of(prediction, name))
                found = answer(asked, rows, scale, data=data).to_numpy()
                assert not rule.inside(found, asked.region).any(), (scale, data, name)


def test_longer_runs_are_compared_with_short_ones_of_the_same_task():
    long, short = grid_of([1.1, 1.0, 1.3], part="longer"), grid_of([1.5, 1.2, 1.0])
    found = STATISTICS.regret_in_longer_runs(pd.concat([long, short]), "longer", "rates")
    assert found.tolist() == pytest.approx([0.1 - 0.5])


# ---- runs and figures ----


@pytest.mark.parametrize("part", ["rates", "decay", "printed", "variants"])
def test_a_run_does_not_depend_on_its_company(part):
    ASKED.same_in_any_company(part, seeds=2, rate=0.01)


def test_every_prediction_gives_each_seed_a_number(smoke):
    assert {prediction.id for prediction, _ in ASKED.answers(smoke)} == set(PREDICTIONS)


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_draw_without_problems(drawn_well, figure):
    drawn_well(figure)


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()


def test_an_optimiser_that_is_better_but_no_more_forgiving_gains_nothing_from_few_trials():
    """The same grid of losses, all lower by a third of a nat: what three draws cost is the same."""
    worse, better = grid_of([1.5, 1.0, 1.2, 2.0], optimizer="momentum"), grid_of([1.2, 0.7, 0.9, 1.7])
    found = STATISTICS.budget_difference(pd.concat([worse, better]), 3, "adamw", "momentum")
    assert found.tolist() == pytest.approx([0.0], abs=1e-12)


def test_guessing_is_among_the_symbols_that_there_are():
    assert {"spellings": len(words.LETTERS), "phonemes": len(words.PHONEMES)} == STATISTICS.CLASSES
    rows = grid_of([1.0, 3.6], data="cmudict", network="phonemes")
    assert STATISTICS.losses(rows, "adamw")["phonemes"].iloc[0].tolist() == pytest.approx([1.0, 3.6])
