"""Figures of double descent: curves of risk and error over size, on theory where there is one."""

import numpy as np

from claimcheck.figures import style

from .problems import FEATURES, PROBLEMS
from .statistics import interpolation_width

PENALTIES = {"none": "least norm", "optimal": "optimal ridge"}
ERRORS = {"test_error": "test error", "train_error": "train error"}
FITTED = "train error ≤ 10 %"


def _labelled(figure, last, records):
    """The figure with a legend beside its last panel and the number of seeds above it."""
    style.legend(last)
    style.count(last, records)
    return figure


def _risk(axis, rows, x, problem, gamma, places):
    """Median risk over `x` as marks on its closed forms, which are drawn at `places`; gamma(x): parameters per example."""
    ratio = np.array([gamma(place) for place in places])
    for side, ridge in ((ratio < 0.985, False), (ratio > 1.015, False), (ratio > 0, True)):
        law = [problem.expected(each, ridge) for each in ratio[side]]
        style.theory(axis, places[side], law, label="closed form")
    looks = style.looks(PENALTIES)
    style.curves(axis, rows, x=x, y="risk", by="penalty", looks=looks, labels=PENALTIES, average="median")
    style.unjoined(axis, PENALTIES.values())
    axis.set_yscale("log")
    axis.set_ylim(top=100 * problem.noise)


def plot_risk(records):
    """Risk over parameters per example, two problems, without and with ridge, on the closed forms."""
    figure, panels = style.panels(records, "model", {name: name for name in PROBLEMS})
    places = np.geomspace(records["gamma"].min(), records["gamma"].max(), 400)
    for axis, model, rows in panels:
        _risk(axis, rows, "gamma", PROBLEMS[model], float, places)
        style.threshold(axis, 1.0, "parameters = examples")
        style.log_axis(axis, [0.1, 0.3, 1, 3, 10])
        axis.set_xlabel("parameters per example")
    panels[0].axis.set_ylabel("excess risk (median)")
    return _labelled(figure, axis, records)


def plot_samples(records):
    """Risk of least squares with a fixed number of features over the number of examples, on the closed forms."""
    figure, axis = style.figure()
    places = np.geomspace(records["examples"].min(), records["examples"].max(), 600)
    _risk(axis, records, "examples", PROBLEMS["isotropic"], lambda examples: FEATURES / examples, places)
    style.threshold(axis, FEATURES, "examples = parameters")
    style.log_axis(axis, [20, 40, 100, 200, 500, 1000])
    axis.set(xlabel="training examples", ylabel="excess risk (median)")
    return _labelled(figure, axis, records)


def plot_network_samples(records):
    """Train error, test error and their gap for a network of one width, over the number of examples."""
    figure, axis = style.figure()
    rows = records.assign(gap=records["noisy_test_error"] - records["train_error"])
    columns = {"noisy_test_error": "test error", "train_error": "train error", "gap": "gap"}
    style.column_curves(axis, rows, x="examples", columns=columns, times=100)
    style.log_axis(axis, sorted(records["examples"].unique()))
    axis.set(xlabel="training examples", ylabel="error (labels with noise) / %", ylim=(0, None))
    return _labelled(figure, axis, records)


def plot_features(records):
    """Test error of random features over their number, with and without label noise, and with ridge."""
    kinds = {(0.15, 0.0): "noisy labels", (0.0, 0.0): "clean labels", (0.15, 0.01): "noisy labels, ridge"}
    kind = [kinds[key] for key in zip(records["label_noise"], records["ridge"], strict=True)]
    titles = {"digits": "digits", "mnist1d": "MNIST-1D"}
    figure, panels = style.panels(records.assign(kind=kind), "dataset", titles)
    for axis, _, rows in panels:
        style.curves(axis, rows, x="width", y="test_error", by="kind", looks=style.looks(kinds.values()), times=100)
        style.threshold(axis, rows["examples"].iloc[0], "features = examples")
        style.log_axis(axis, [10, 50, 200, 1000])
        axis.set_xlabel("random features")
    panels[0].axis.set_ylabel("test error / %")
    return _labelled(figure, axis, records)


def _plot_networks(records, xlabel, ticks):
    """Train and test error over width, a panel for each share of wrong labels, the highest first."""
    rates = sorted(records["label_noise"].unique(), reverse=True)
    titles = {rate: f"{100 * rate:.0f} % noise" for rate in rates}
    figure, panels = style.panels(records, "label_noise", titles, sharey=True)
    for axis, _, rows in panels:
        style.column_curves(axis, rows, x="width", columns=ERRORS, times=100)
        style.threshold(axis, interpolation_width(rows), FITTED)
        style.log_axis(axis, ticks)
        axis.set_xlabel(xlabel)
    panels[0].axis.set(ylabel="error / %", ylim=(0, min(50, axis.get_ylim()[1])))
    return _labelled(figure, axis, records)


def plot_network(records):
    """Networks with one hidden layer, noisy and clean labels."""
    return _plot_networks(records, "hidden units", sorted(records["width"].unique()))


def plot_convolution(records):
    """The five-layer CNN, three shares of wrong labels."""
    return _plot_networks(records, "channels", sorted(records["width"].unique())[::2])


def plot_network_signals(records):
    """Networks with one hidden layer on MNIST-1D, noisy and clean labels; test error on a scale of its own."""
    figure, axes = style.figure(1, 2)
    kinds = {0.15: "noisy labels", 0.0: "clean labels"}
    looks, begins = style.looks(kinds), interpolation_width(records[records["label_noise"] > 0])
    for axis, (column, name) in zip(axes, ERRORS.items(), strict=True):
        style.curves(axis, records, x="width", y=column, by="label_noise", looks=looks, labels=kinds, times=100)
        style.threshold(axis, begins, FITTED)
        style.log_axis(axis, [4, 8, 14, 26, 48, 90])
        axis.set(xlabel="hidden units", ylabel=f"{name} / %")
    axis.set_ylim(0, None)
    return _labelled(figure, axis, records)


FILLS = {"noise": ("#d9d9d9", ""), "squared_bias": ("#fdae6b", ".."), "variance": ("#9ecae1", "//")}
"""Colour and hatch of the terms that add up to the error, from the bottom up."""


def _stack(axis, means):
    """Noise, squared bias and variance on one another, each with its own hatch, and the measured error as dots."""
    bottom = 0 * means["error"]
    for column, (colour, hatch) in FILLS.items():
        top = bottom + means[column]
        look = {"facecolor": colour, "hatch": hatch, "edgecolor": "#555555", "linewidth": 0}
        axis.fill_between(means.index, bottom, top, label=column.replace("_", " "), **look)
        axis.plot(means.index, top, color="black", linewidth=0.7, marker="", linestyle="-")
        bottom = top
    axis.plot(means.index, means["error"], linestyle="", marker="o", color="black", label="measured error")
    axis.set_ylim(0, 1.1 * means["error"].max())


def plot_decomposition(records):
    """Noise, squared bias and variance stacked over width; dots: error on fresh targets, from other training sets."""
    figure, (left, right) = style.figure(1, 2)
    means = records.groupby(["part", "width"])[[*FILLS, "error"]].mean()
    features, of_networks = means.loc["resamples"], means.loc["network_resamples"]
    examples = records[records["part"] == "resamples"]["examples"].iloc[0]
    below, above = features[features.index < examples], features[features.index > examples]
    for side in (below, above):  # at the threshold the error is off the scale
        _stack(left, side)
    left.set_ylim(0, 1.1 * max(below["error"].max(), above["error"].max()))
    style.threshold(left, examples)
    style.log_axis(left, [10, 20, 50, 150, 400, 800])
    left.set(xlabel="random features", ylabel="mean squared error", title="random features")
    _stack(right, of_networks)
    rows = records[records["part"] == "network_resamples"]
    style.threshold(right, interpolation_width(rows))
    style.log_axis(right, of_networks.index)
    right.set(xlabel="hidden units", title="networks")
    return _labelled(figure, right, rows)
