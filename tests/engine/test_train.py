"""Divergence, memory, evaluation: what training promises beside its arithmetic."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.data import Data, noisy_labels
from claimcheck.engine.optimizers import clip
from claimcheck.engine.train import classification, train
from claimcheck.errors import ClaimcheckError


def small(run, generator):
    return networks.MLP(20, [16, 16], 10, generator=generator)


@pytest.fixture
def records(series, make_context):
    """Train runs and return their records: run 20 steps of SGD, evaluated at 0, 10, 20."""
    data = series()

    def of(runs: pd.DataFrame, network=small, context=None, **how) -> pd.DataFrame:
        how = {"optimizer": "momentum", "batch_size": 25, "evaluate_at": [0, 10, 20], **how}
        evaluate = {"train": (data, classification)}
        return train(
            runs, context or make_context(), network=network, data=data, steps=20, evaluate=evaluate, **how
        ).records

    return of


@pytest.mark.parametrize(("norm", "rate"), [(None, 1e6), ("batch", 1e30)])
def test_a_member_that_diverges_is_marked_and_changes_no_neighbour(norm, rate, records, runs_of) -> None:
    def network(run, generator):
        return networks.MLP(20, [16, 16], 10, norm=norm, generator=generator)

    runs = runs_of([0, 1, 2, 3], learning_rate=[0.01, 0.02, rate, 0.03])
    together, without = records(runs, network), records(runs.iloc[[0, 1, 3]], network)
    bad = together[together["run"] == "run-2"]
    assert list(bad["status"]) == ["ok", "diverged", "diverged"]
    assert bad[["train_loss", "train_error"]].iloc[1:].isna().all(axis=None)
    others = together[together["run"] != "run-2"].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, without, check_exact=True)
    assert set(others["status"]) == {"ok"}


def test_a_member_that_diverges_keeps_its_last_finite_parameters(runs_of, series, context) -> None:
    runs = runs_of([0, 1], learning_rate=[0.01, 1e6])
    trained = train(runs, context, network=small, data=series(), steps=20, batch_size=25, optimizer="momentum")
    assert trained.diverged_at[0] == -1
    assert 1 <= trained.diverged_at[1] <= 20
    assert bool(torch.isfinite(trained.ensemble.parameters).all())


def test_a_memory_limit_cuts_the_ensemble_and_changes_nothing(records, runs_of, make_context) -> None:
    runs = runs_of([0, 1, 2, 3, 0], learning_rate=[0.01, 0.02, 0.03, 0.04, 0.05])
    free, tight = make_context(), make_context(memory_limit=100_000)
    whole, cut = records(runs, context=free), records(runs, context=tight)
    assert tight.notes["tiles"] >= 3
    assert any("tiles" in line for line in tight.lines)
    order = ["run", "step"]
    pd.testing.assert_frame_equal(
        whole.sort_values(order, ignore_index=True), cut.sort_values(order, ignore_index=True), check_exact=True
    )


def test_a_limit_below_one_network_is_an_error(records, runs_of, make_context) -> None:
    with pytest.raises(ClaimcheckError, match="memory limit"):
        records(runs_of([0, 1], learning_rate=0.1), context=make_context(memory_limit=1000))


def test_out_of_gpu_memory_halves_the_tiles(make_context) -> None:
    from claimcheck.engine import memory

    def work(rows: list[int]) -> list[int]:
        if len(rows) > 2:
            raise torch.cuda.OutOfMemoryError("no room")
        return rows

    context = make_context()
    tiles = memory.in_tiles(work, 7, context, 1)
    assert [row for tile in tiles for row in tile] == list(range(7))
    assert "trying" in context.lines[0]


def test_records_are_tidy_and_learning_happens(records, runs_of) -> None:
    runs = runs_of([0, 1, 2], learning_rate=[0.1, 0.05, 0.01])
    table = records(runs, batch_loss_window=5)
    assert list(table.columns) == ["run", "step", "batch_loss", "train_loss", "train_error", "status"]
    assert not table.duplicated(["run", "step"]).any()
    assert len(table) == 9
    assert all(table[name].dtype == np.float64 for name in ("batch_loss", "train_loss", "train_error"))
    assert (table.loc[table["step"] == 20, "train_loss"].to_numpy() < table.loc[table["step"] == 0, "train_loss"]).all()
    assert table.loc[table["step"] == 0, "batch_loss"].isna().all()


def test_losses_of_every_minibatch_are_had_without_evaluating_and_end_where_a_member_diverges(
    runs_of, series, context
) -> None:
    runs, how = runs_of([0, 1], learning_rate=[0.01, 1e6]), {"network": small, "data": series(), "steps": 20}
    how |= {"batch_size": 25, "optimizer": "momentum", "evaluate": {}}
    each = train(runs, context, **how, batch_loss_window=1, evaluate_at=range(1, 21)).records
    each = each.pivot(index="run", columns="step", values="batch_loss").loc[runs["run"]].to_numpy()
    found = train(runs, context, **how, batch_loss_window=20)
    np.testing.assert_array_equal(found.batch_losses, each)
    assert np.isfinite(each[0]).all()
    assert np.isnan(each[1]).sum() == 21 - found.diverged_at[1]
    assert train(runs, context, **how).batch_losses.shape == (2, 0)


def test_a_metric_of_the_ensemble_is_that_of_the_networks_at_the_step(runs_of, series, context) -> None:
    def norm(ensemble, data):
        return {"norm": measure.gradient_of(ensemble, data).norm(dim=1)}

    runs, data = runs_of([0, 1], learning_rate=0.05), series()
    how = {"network": small, "data": data, "batch_size": 25}
    found = train(runs, context, **how, steps=20, evaluate={"g": (data, norm, "ensemble")}, evaluate_at=[5, 20]).records
    for step, own in found.groupby("step"):
        alone = train(runs, context, **how, steps=step).ensemble
        np.testing.assert_allclose(own["g_norm"], norm(alone, data)["norm"].numpy(), rtol=1e-6)


def test_evaluation_changes_nothing(records, runs_of) -> None:
    def network(run, generator):
        return networks.MLP(20, [16, 16], 10, norm="batch", dropout=0.2, generator=generator)

    runs = runs_of([0, 1], learning_rate=0.05)
    often, once = records(runs, network), records(runs, network, evaluate_at=[20])
    pd.testing.assert_frame_equal(often[often["step"] == 20].reset_index(drop=True), once, check_exact=True)


def test_arms_of_one_seed_start_alike_and_see_the_same_batches(records, runs_of) -> None:
    table = records(runs_of([5, 5, 6], learning_rate=[0.05, 0.05, 0.05]))
    one, two, other = (table[table["run"] == f"run-{i}"]["train_loss"].to_numpy() for i in range(3))
    assert (one == two).all()
    assert (one != other).all()


def test_gain_scales_one_draw(runs_of, context) -> None:
    from claimcheck.engine.ensemble import Ensemble

    runs = runs_of([0, 0], gain=[1.0, 4.0])
    ensemble = Ensemble.build(
        runs,
        lambda run, g: networks.MLP(20, [16], 10, gain=run.gain, generator=g),
        lambda seed: context.generator(seed, "init"),
    )
    torch.testing.assert_close(ensemble.parameters[0] * 4.0, ensemble.parameters[1])


def test_parameters_without_gradient_are_kept_as_they_are(runs_of, series, context) -> None:
    def network(run, generator):
        module = small(run, generator)
        module.hidden[0].weight.requires_grad_(False)
        return module

    before = network(None, context.generator(3, "init")).hidden[0].weight
    trained = train(runs_of([3]), context, network=network, data=series(), steps=3, batch_size=25)
    assert torch.equal(trained.ensemble.fixed["hidden.0.weight"][0], before)
    assert "hidden.0.weight" not in trained.ensemble.named()


def test_networks_of_different_shapes_are_refused(runs_of, series, context) -> None:
    runs = runs_of([0, 1], width=[8, 9])
    with pytest.raises(ClaimcheckError, match="static"):
        train(
            runs,
            context,
            network=lambda run, g: networks.MLP(20, int(run.width), 10, generator=g),
            data=series(),
            steps=1,
        )


def test_data_for_another_number_of_runs_is_refused(runs_of, series, context) -> None:
    data = series()
    wrong = Data({"x": data.shared["x"]}, per_member={"y": data.shared["y"].expand(3, -1)})
    with pytest.raises(ClaimcheckError, match="2 rows"):
        train(runs_of([0, 1]), context, network=small, data=wrong, steps=1)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("own", ["columns", "subset"])
@pytest.mark.parametrize("metrics", [(), (classification,)])
def test_data_for_another_number_of_runs_are_no_more_evaluated_than_trained_on(
    rows, own, metrics, runs_of, series, context
) -> None:
    """With a row too many those of other runs would be measured."""
    data = series()
    if own == "columns":
        wrong = Data({"x": data.shared["x"]}, per_member={"y": data.shared["y"].expand(rows, -1)})
    else:
        wrong = Data(data.shared, subset=torch.arange(20).expand(rows, -1))
    evaluate = {"train": data, "test": (wrong, *metrics) if metrics else wrong}
    with pytest.raises(ClaimcheckError, match=rf"^evaluate\['test'\]: per-member data; found .*: {rows}}}; .* 2 rows"):
        train(runs_of([0, 1]), context, network=small, data=data, steps=1, evaluate=evaluate)


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"optimizer": "Adam"}, "unknown optimizer; found 'Adam'; .*adamw; did you mean 'adam'"),
        ({"batch_size": 201}, "batch_size; found 201; expected 1 to 200"),
        ({"batch_size": 0}, "batch_size; found 0; expected 1 to 200"),
        ({"batch_size": -5}, "batch_size; found -5; expected 1 to 200"),
    ],
)
def test_names_that_are_not_there_and_batches_that_cannot_be_are_told(how, told, runs_of, series, context):
    for settings in ({}, how):  # as a setting of the part, or as an argument
        context.settings = settings
        with pytest.raises(ClaimcheckError, match=told):
            train(runs_of([0, 1]), context, network=small, data=series(), steps=1, **({} if settings else how))


def test_a_misspelt_hyperparameter_is_told_and_one_of_the_loss_is_not(runs_of, series, context):
    how = {"network": small, "data": series(), "steps": 1, "batch_size": 25}
    with pytest.raises(
        ClaimcheckError, match="hyper: unknown hyperparameter; found 'momentun'; did you mean 'momentum'"
    ):
        train(runs_of([0, 1]), context, hyper={"momentun": 0.0}, **how)
    assert len(train(runs_of([0, 1]), context, hyper={"temperature": 2.0, "weight": 1.0}, **how).records) == 2


def test_an_epoch_shows_every_example_once(context) -> None:
    from claimcheck.engine.data import Order

    order = iter(Order([0, 1], lambda seed: context.generator(seed, "order"), 200, 50, torch.device("cpu")))
    epoch = torch.cat([next(order) for _ in range(4)], dim=1)
    assert (epoch.sort(1).values == torch.arange(200)).all()
    assert not torch.equal(epoch[0], epoch[1])


def test_noisy_labels_are_wrong_and_nested(context) -> None:
    labels = torch.arange(1000) % 10
    low, high = (noisy_labels(labels, rate, 10, context.generator(0, "labels")) for rate in (0.15, 0.3))
    moved_low, moved_high = low != labels, high != labels
    assert int(moved_low.sum()) == 150
    assert int(moved_high.sum()) == 300
    assert bool((moved_high | ~moved_low).all())
    assert torch.equal(low[moved_low], high[moved_low])
    assert int(high.min()) >= 0
    assert int(high.max()) <= 9


def test_global_random_state_is_left_alone(records, runs_of) -> None:
    before = torch.get_rng_state()
    records(runs_of([0, 1], learning_rate=0.01))
    assert torch.equal(before, torch.get_rng_state())


def test_networks_that_differ_in_what_their_modules_keep_to_themselves_are_refused(records, runs_of) -> None:
    """Their layers are alike, but the forward pass of one would serve for all."""

    def network(run, generator):
        return networks.MLP(20, [16, 16], 10, residual=run.residual, generator=generator)

    runs = runs_of([0, 1], learning_rate=0.1).assign(residual=["none", "unscaled"])
    with pytest.raises(ClaimcheckError, match="differ in shape or layers"):
        records(runs, network=network)


def test_who_is_not_clipped_is_left_alone_even_where_the_norm_overflows() -> None:
    gradient = torch.full((2, 3), 1e25)
    found = clip(gradient, torch.tensor([[torch.inf], [1.0]]))
    assert torch.equal(found[0], gradient[0])
    assert torch.equal(found[1], torch.zeros(3)), "a norm that is infinite leaves nothing"
