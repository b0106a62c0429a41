"""The study of the debugging checklist: hosts, bugs, faults and tools by hand, statistics on made records, figures."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Adam

from claimcheck.checklist import training
from claimcheck.results.records import part_of

from .asking import Asked

ASKED = Asked("debugging_checklist")
STUDY, PREDICTIONS = ASKED.study, ASKED.predictions
BUGS, FAULTS, FIGURES, HOSTS, RUNS, STATISTICS, TOOLS = (
    ASKED.module(name) for name in ("bugs", "faults", "figures", "hosts", "runs", "statistics", "tools")
)
SHAPES = {"mlp": (40,), "cnn": (1, 8, 8), "transformer": (1, 7, 7)}


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def case(host="mlp", examples=40):
    model = HOSTS.HOSTS[host](torch.Size(SHAPES[host]), 8, draws())
    sets = [
        (torch.randn(n, *SHAPES[host], generator=draws(n)), torch.randint(10, (n,), generator=draws(n)))
        for n in (examples, 30)
    ]
    return BUGS.Case(model, *sets, F.cross_entropy, lambda model: Adam(model.parameters(), lr=0.01, fused=True))


def with_bug(name, host="mlp"):
    return BUGS.BUGS[name](case(host), draws(7))


# ---- hosts and bugs ----


@pytest.mark.parametrize("host", list(SHAPES))
def test_every_parameter_of_a_healthy_host_gets_a_gradient(host):
    healthy = case(host)
    healthy.loss(healthy.model(healthy.train[0]), healthy.train[1]).backward()
    assert all(float(each.grad.abs().max()) > 0 for each in healthy.model.parameters())


@pytest.mark.parametrize("host", list(SHAPES))
def test_hosts_keep_examples_apart_and_every_unit_has_one(host):
    healthy = case(host)
    model, x = healthy.model.eval(), healthy.test[0]
    assert torch.allclose(model(x)[:3], model(x[:3]), atol=1e-5)
    assert {HOSTS.host_of(seed) for seed in range(100_000, 100_003)} == set(SHAPES)


def test_attention_is_a_mean_of_values_by_softmax_of_scaled_products():
    attention, x = HOSTS.Attention(8, 2, draws()), torch.randn(3, 5, 8, generator=draws(1))
    query, key, value = (part.view(3, 5, 2, 4).transpose(1, 2) for part in attention.asked(x).split(8, -1))
    chances = (query @ key.transpose(-1, -2) / 4**0.5).softmax(-1)  # Vaswani et al. 2017, equation 1
    mixed = (chances @ value).transpose(1, 2).reshape(3, 5, 8)
    assert torch.allclose(attention(x), attention.out(mixed), atol=1e-6)


def test_bugs_of_the_data_are_what_they_say():
    healthy = case()
    x, y = healthy.train
    assert torch.equal(with_bug("scale").train[0], 1000 * x)
    assert torch.isnan(BUGS._sprinkled(float("nan"), 0.5)(x, draws())).float().mean() == pytest.approx(0.5, abs=0.05)
    assert (BUGS._sprinkled(-999.0, 0.01)(torch.zeros(10_000), draws()) == -999).sum() == pytest.approx(100, abs=40)
    assert torch.equal(with_bug("repeated").train[0][7], x[0])
    assert torch.equal(with_bug("label_range").train[1], y + 1)
    shuffled = with_bug("shuffled").train[1]
    assert not torch.equal(shuffled, y)
    assert torch.equal(shuffled.sort().values, y.sort().values)
    ordered = with_bug("sorted").train
    assert torch.equal(ordered[1], y.sort().values)
    pairs = {(float(row[0]), int(label)) for row, label in zip(x, y)}
    assert {(float(row[0]), int(label)) for row, label in zip(*ordered)} == pairs
    leaked = with_bug("leak")
    assert torch.equal(leaked.test[0][:3], x[:3])
    assert torch.equal(leaked.test[0][3:], healthy.test[0][3:])


def test_bugs_of_the_loss_are_what_they_say():
    z, y = torch.randn(6, 10, generator=draws()), torch.arange(6)
    p = z.softmax(-1)
    expected = {
        "softmax_twice": -(p.softmax(-1)[y, y]).log().mean(),
        "sign": p[y, y].log().mean(),
        "wrong_axis": -(z.softmax(0)[y, y]).log().mean(),
        "summed": -(p[y, y]).log().sum(),
    }
    for name, value in expected.items():
        assert float(with_bug(name).loss(z, y)) == pytest.approx(float(value), rel=1e-5)


def test_probabilities_for_logits_leave_a_floor():
    """The least cross-entropy of a softmax of probabilities among ten classes is ln(1 + 9/e)."""
    sure = torch.full((10, 10), -1e4).fill_diagonal_(1e4)
    assert float(with_bug("softmax_twice").loss(sure, torch.arange(10))) == pytest.approx(
        np.log(1 + 9 / np.e), rel=1e-5
    )


@pytest.mark.parametrize("host", list(SHAPES))
@pytest.mark.parametrize("name", ["detached", "rounded", "unused", "zero_weights", "dead_units"])
def test_bugs_of_the_gradients_path_leave_a_parameter_without_one(host, name):
    sick = with_bug(name, host)
    sick.loss(sick.model(sick.train[0]), sick.train[1]).backward()
    assert any(each.grad is None or not bool(each.grad.any()) for each in sick.model.parameters())


def test_bugs_of_the_model_are_what_they_say():
    x = case().train[0]
    assert torch.equal(BUGS.Mixed()(torch.arange(6.0).view(2, 3)), torch.tensor([[0.0, 3, 1], [4, 2, 5]]))
    linear = with_bug("no_activations").model
    assert torch.allclose(linear(2 * x) - linear(0 * x), 2 * (linear(x) - linear(0 * x)), atol=1e-4)
    large, usual = with_bug("large_weights").model, case().model
    assert torch.allclose(large.head.weight, 10 * usual.head.weight)
    assert not with_bug("dead_units").model.second(with_bug("dead_units").model.first(x)).any()


def test_bugs_of_the_optimiser_are_what_they_say():
    rates = {name: with_bug(name).optimizer(case().model).param_groups[0]["lr"] for name in ("rate_high", "rate_low")}
    assert rates == pytest.approx({"rate_high": 1.0, "rate_low": 1e-5})
    sick = with_bug("left_out")
    given = {id(each) for group in sick.optimizer(sick.model).param_groups for each in group["params"]}
    missing = [name for name, each in sick.model.named_parameters() if id(each) not in given]
    assert missing == ["second.0.weight", "second.0.bias"]
    sick = with_bug("never_reset")
    optimizer, sums = sick.optimizer(sick.model), []
    for _ in range(2):
        optimizer.zero_grad()
        sick.loss(sick.model(sick.train[0]), sick.train[1]).backward()
        sums.append(sick.model.head.bias.grad.clone())
    assert torch.allclose(sums[1], 2 * sums[0], atol=1e-6)


# ---- faults and tools ----


def faulty(fault, place=2):
    return FAULTS.network(12, 8, 3, fault, place, draws())


BATCH = torch.randn(20, 12, generator=draws(3)), torch.randint(10, (20,), generator=draws(4))


@pytest.mark.parametrize("fault", list(FAULTS.FAULTS))
def test_a_fault_goes_wrong_where_it_says_and_is_named_by_the_tools_that_can(fault):
    model = faulty(fault)
    value = F.cross_entropy(model(BATCH[0]), BATCH[1])
    forwards = fault in ("log", "div", "sqrt", "exp", "acos", "pow")
    assert bool(torch.isfinite(value)) is not forwards
    value.backward()
    assert not torch.isfinite(model.linear2.weight.grad).all()
    right = {
        tool: RUNS._is_right(tool, each(faulty(fault), BATCH), FAULTS.culprit_of(fault), 2)
        for tool, each in TOOLS.TOOLS.items()
    }
    masked = fault.startswith("masked")
    expected = {"symptom": False, "last": not forwards, "anomaly": masked, "hooks": forwards, "trace": True}
    assert right == expected


def test_no_tool_names_anything_in_a_healthy_network():
    healthy = [each(FAULTS.network(12, 8, 3, "none", 0, draws()), BATCH) for each in TOOLS.TOOLS.values()]
    assert healthy == [(None, None)] * len(TOOLS.TOOLS)


# ---- spikes ----


def test_a_blank_image_has_no_norm_and_no_logarithm():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    assert torch.equal(RUNS._read(x, "none"), x)
    assert RUNS._read(x, "divisor")[1].tolist() == pytest.approx([1.5 / 5, 2.0 / 5])  # less the mean image
    assert RUNS._read(x, "log")[1].tolist() == pytest.approx([3 - np.log(3.5), 4 - np.log(3.5)])
    for fault in ("divisor", "log"):
        assert not torch.isfinite(RUNS._read(x, fault)[0]).any()
        assert torch.isfinite(RUNS._read(x, fault, 1e-6)).all()
    assert RUNS._read(x, "divisor", 1e-6)[0].tolist() == pytest.approx([-1.5e6, -2.0e6])
    assert RUNS._read(x, "log", 1e-6)[0].tolist() == pytest.approx([-np.log(1e-6)] * 2)


# ---- statistics ----


def test_the_area_is_the_chance_that_a_failure_scores_higher():
    scores, failed = np.array([1.0, 2.0, 2.0, 3.0, 5.0]), np.array([False, True, False, False, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[failed] for b in scores[~failed]]
    assert STATISTICS.area(scores, failed) == pytest.approx(np.mean(pairs))
    assert np.isnan(STATISTICS.area(scores, np.zeros(5, dtype=bool)))


def trials():
    """Two units on two data sets: a norm above 100 fails, from other weights, too; with both remedies it trains."""
    rows = []
    for seed, dataset, optimizer, trial in (
        (s, d, o, t) for s in (0, 1) for d in ("digits", "mnist5k") for o in ("momentum", "adam") for t in range(4)
    ):
        norm = [1.0, 50.0, 200.0, 900.0][trial]
        rows.append((seed, dataset, optimizer, trial, norm, float(norm < 100), 0.0 if norm > 100 else np.nan, 1.0))
    columns = ["seed", "dataset", "optimizer", "trial", "norm", "trained", "trained_again", "trained_both"]
    return pd.DataFrame(rows, columns=columns)


def test_norms_that_foretell_failure_have_an_area_of_one_and_remedies_are_counted_where_they_are_large():
    rows = trials()
    assert STATISTICS.auc(rows, "momentum").to_dict() == {0: 1.0, 1: 1.0}
    assert STATISTICS.auc(rows.assign(norm=-rows["norm"]), "adam")[0] == 0.0
    assert [STATISTICS.rescued(rows, remedy)[1] for remedy in ("again", "both")] == [0.0, 1.0]
    assert np.isnan(STATISTICS.rescued(rows.assign(norm=1.0), "both")[0])


def test_large_norms_count_where_most_of_them_fail_and_more_than_of_the_others():
    rows = trials().query("dataset == 'digits' and optimizer == 'momentum'")
    assert STATISTICS.failures_where_large(rows).to_dict() == {0: 1.0, 1: 1.0}
    assert STATISTICS.failures_where_large(rows, by="small")[0] == -1.0
    assert STATISTICS.failures_where_large(rows, by="next")[0] == 0.0  # those above 100 go to one that trains, too
    unwarned = rows.assign(norm=rows["norm"].where(rows["trial"] != 3, 0.0))  # lost before its norm was large
    assert STATISTICS.failures_where_large(unwarned)[0] == pytest.approx(1.0 - 1 / 3)
    assert STATISTICS.failures_where_large(rows.assign(trained=1.0))[0] == 0.0
    assert np.isnan(STATISTICS.failures_where_large(rows.assign(norm=1.0))[0])


def test_an_early_norm_counts_until_the_loss_is_ten_times_the_first_or_that_of_guessing():
    inf, nan = np.inf, np.nan
    norms = np.array([[5, 20, 300, 9e9], [400, 7, 6, 5], [5, 9e9, 10, 600], [5, nan, nan, nan], [5, inf, 9, 9]])
    losses = np.array([[1, 2, 22, 24], [50, 499, 9, 2], [2.5, 26, 2, 2], [2, nan, nan, nan], [2, 3, 3, 3]])
    assert RUNS.largest_before_lost(norms, losses, 10.0).tolist() == [300, 400, 5, 5, 5]  # 10 ln 10 is 23.03


def test_shallow_networks_lead_and_best_rates_are_counted_in_steps():
    cells = [
        (s, d, r, k, t)
        for s in (0, 1)
        for d in ("digits", "mnist5k")
        for r in ("none", "norm_residual")
        for k in ("shallow", "deep")
        for t in range(4)
    ]
    rows = pd.DataFrame(cells, columns=["seed", "dataset", "remedy", "shape", "trial"])
    shallow, plain = rows["shape"] == "shallow", rows["remedy"] == "none"
    rows["trained"] = (rows["trial"] < np.where(shallow, 3, np.where(plain, 0, 2))).astype(float)
    assert STATISTICS.lead_narrowed(rows)[0] == pytest.approx(0.75 - 0.25)
    rates = rows.rename(columns={"trial": "rate"})
    best = np.where(shallow, 3, np.where(plain, 1, 3))
    rates["train_loss"] = (rates["rate"] - best).abs().astype(float)
    own = rates[rates["dataset"] == "digits"]
    assert STATISTICS.rate_steps(own, "none").to_dict() == {0: 2.0, 1: 2.0}
    assert STATISTICS.lost_by_carrying_over(own, "norm_residual").to_dict() == {0: 0.0, 1: 0.0}
    assert STATISTICS.lost_by_carrying_over(own, "none")[0] == pytest.approx(2.0 / np.log(10))
    assert STATISTICS.lost_by_carrying_over(own.assign(train_loss=2.4), "none").isna().all()


def test_a_bug_is_found_when_any_of_the_checks_finds_it():
    cries = {("nan", "data"), ("leak", "duplicates")}
    cells = [(bug, check) for bug in ("none", "nan", "leak") for check in ("gradient", "data", "duplicates")]
    rows = [(bug, check, float((bug, check) in cries), 3) for bug, check in cells]
    rows = pd.DataFrame(rows, columns=["bug", "check", "found", "seed"])
    assert STATISTICS.found_by_lecture(rows)[3] == 0.5
    assert STATISTICS.found_by_lecture(rows, healthy=True)[3] == 0.0
    assert STATISTICS.found_by_any(rows, ["duplicates"], ["leak"])[3] == 1.0


def test_spikes_count_where_no_number_is_bad():
    rows = pd.DataFrame(
        {"seed": [0, 0, 1, 1], "dataset": ["a", "b"] * 2, "spikes": [2.0, 1.0, 2.0, 0.0], "bad": [0.0, 0.0, 0.0, 1.0]}
    )
    assert STATISTICS.spikes_without_bad_numbers(rows.assign(fault="none", speed="high")).to_dict() == {0: 3.0, 1: -1.0}


def test_the_cheapest_set_is_the_smallest_that_finds_most():
    found = {"gradient": {"unused"}, "overfit": {"sign", "unused"}, "duplicates": {"leak"}}
    cost = {"gradient": 1, "overfit": 30}
    rows = [
        (seed, bug, check, float(bug in found.get(check, ())), float(cost.get(check, 0)))
        for seed in (0, 1) for bug in ("none", "unused", "sign", "leak") for check in FIGURES.CHECKS
    ]  # fmt: skip
    table = FIGURES.sets_of_checks(pd.DataFrame(rows, columns=["seed", "bug", "check", "found", "cost"]))
    assert table["bugs"].tolist()[:3] == [2, 3, 3]
    assert set(table["names"][1]) == {"overfit", "duplicates"}
    assert table["cost"].tolist()[:2] == [30, 30]


# ---- the study at smoke ----


def test_remedies_are_tried_where_a_trial_fails_with_a_large_norm_and_in_the_first_trials(smoke):
    rows = part_of(smoke, "trials")
    needed = (rows["norm"] > STATISTICS.LARGE) & (rows["trained"] < 0.5)
    for name, first in ASKED.study.at("smoke")["trials"].settings["remedies"].items():
        assert (rows[f"trained_{name}"].notna() == (needed | (rows["trial"] < first))).all()


def test_bugs_that_must_be_found_are_found_and_healthy_hosts_pass(smoke):
    for name in ("gradient-bugs-found", "wrong-losses-found", "trace-names-all", "two-more-checks-find-more"):
        for data in PREDICTIONS[name].on or [None]:
            rows = part_of(smoke, PREDICTIONS[name].part)
            assert (ASKED.answer(name, rows, "smoke", data=data) > 0.9).all(), (name, data)
    for name in ("gradient-no-false-alarm", "data-no-false-alarm", "overfit-no-false-alarm"):
        assert (ASKED.answer(name, part_of(smoke, PREDICTIONS[name].part), "smoke") == 0).all(), name


def test_no_control_passes(controls_that_passed):
    assert controls_that_passed == set()


def test_costs_are_counted_in_losses_computed(smoke):
    cost = part_of(smoke, "bench").query("bug == 'none'").groupby("check")["cost"].agg(["min", "max"])
    assert cost.loc["gradient"].tolist() == [1, 1]
    assert cost.loc["gradient_norms"].tolist() == [training.FIRST_STEPS] * 2
    assert cost.loc[["data", "duplicates", "label_order"]].to_numpy().max() == 0
    assert cost.loc["overfit", "max"] < training.STEPS


@pytest.mark.parametrize("figure", STUDY.figures, ids=lambda figure: figure.id)
def test_figures_are_drawn_without_problems_of_layout(figure, drawn_well):
    drawn_well(figure)


def test_bench_names_every_bug_and_the_figures_do_too():
    assert set(STUDY.at("quick")["bench"].factors["bug"].values) == set(BUGS.BUGS) == set(FIGURES.BUGS)
    assert set(STUDY.at("quick")["tools"].factors["fault"].values) == set(FAULTS.FAULTS)
    assert set(FIGURES.TOOLS) == set(TOOLS.TOOLS)
    assert isinstance(case().model, nn.Module)
