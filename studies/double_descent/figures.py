"""Figures of double descent: curves of risk and error over size, on theory where there is one."""

import numpy as np

from claimcheck.figures import style

from .problems import FEATURES, PROBLEMS
from .statistics import CHANCE

PENALTIES = {"none": "least norm", "optimal": "optimal ridge"}
ERRORS = {"test_error": "test error", "train_error": "train error"}
FITTED = "train error ≤ 10 %"


def _interpolation_width(rows):
    """The first width with a mean train error of at most 10 % (epsilon of Nakkiran et al. 2020); else the widest."""
    error = rows.fillna({"train_error": CHANCE}).groupby("width")["train_error"].mean()
    return min(error.index[error <= 0.1], default=error.index[-1])


def _risk(axis, rows, x, problem, places, gamma):
    """Median risk over `x` as marks on its closed forms, drawn at `places`, of `gamma` parameters per example each."""
    for side, ridge in ((gamma < 0.985, False), (gamma > 1.015, False), (gamma > 0, True)):
        style.theory(axis, places[side], [problem.expected(each, ridge) for each in gamma[side]], label="closed form")
    looks = style.looks(PENALTIES)
    style.curves(axis, rows, x=x, y="risk", by="penalty", looks=looks, labels=PENALTIES, average="median")
    style.unjoined(axis, PENALTIES.values())
    axis.set(yscale="log", ylim=(None, 100 * problem.noise))


def plot_risk(records):
    """Risk over parameters per example, two problems, without and with ridge, on the closed forms."""
    _, panels = style.panels(records, "model", {name: name for name in PROBLEMS})
    places = np.geomspace(records["gamma"].min(), records["gamma"].max(), 400)
    for axis, model, rows in panels:
        _risk(axis, rows, "gamma", PROBLEMS[model], places, places)
        style.threshold(axis, 1.0, "parameters = examples")
        style.log_axis(axis, [0.1, 0.3, 1, 3, 10])
        axis.set_xlabel("parameters per example")
    panels[0].axis.set_ylabel("excess risk (median)")
    return style.finish(axis, records)


def plot_samples(records):
    """Risk of least squares with a fixed number of features over the number of examples, on the closed forms."""
    _, axis = style.figure()
    places = np.geomspace(records["examples"].min(), records["examples"].max(), 600)
    _risk(axis, records, "examples", PROBLEMS["isotropic"], places, FEATURES / places)
    style.threshold(axis, FEATURES, "examples = parameters")
    style.log_axis(axis, [20, 40, 100, 200, 500, 1000])
    return style.finish(axis, records, xlabel="training examples", ylabel="excess risk (median)")


def plot_network_samples(records):
    """Train error, test error and their gap for a network of one width, over the number of examples."""
    _, axis = style.figure()
    rows = records.assign(gap=records["noisy_test_error"] - records["train_error"])
    columns = {"noisy_test_error": "test error", "train_error": "train error", "gap": "gap"}
    style.column_curves(axis, rows, x="examples", columns=columns, times=100)
    style.log_axis(axis, sorted(records["examples"].unique()))
    labels = {"xlabel": "training examples", "ylabel": "error (labels with noise) / %"}
    return style.finish(axis, records, **labels, ylim=(0, None))


def plot_features(records):
    """Test error of random features over their number, with and without label noise, and with ridge."""
    kinds = {(0.15, 0.0): "noisy labels", (0.0, 0.0): "clean labels", (0.15, 0.01): "noisy labels, ridge"}
    kind = [kinds[key] for key in zip(records["label_noise"], records["ridge"], strict=True)]
    titles = {"digits": "digits", "mnist1d": "MNIST-1D"}
    _, panels = style.panels(records.assign(kind=kind), "dataset", titles)
    for axis, _, rows in panels:
        style.curves(axis, rows, x="width", y="test_error", by="kind", looks=style.looks(kinds.values()), times=100)
        style.threshold(axis, rows["examples"].iloc[0], "features = examples")
        style.log_axis(axis, [10, 50, 200, 1000])
        axis.set_xlabel("random features")
    panels[0].axis.set_ylabel("test error / %")
    return style.finish(axis, records)


def plot_network(records, xlabel="hidden units", every=1):
    """Train and test error over width, a panel for each share of wrong labels, the highest first."""
    rates = sorted(records["label_noise"].unique(), reverse=True)
    titles = {rate: f"{100 * rate:.0f} % noise" for rate in rates}
    _, panels = style.panels(records, "label_noise", titles, sharey=True)
    for axis, _, rows in panels:
        style.column_curves(axis, rows, x="width", columns=ERRORS, times=100)
        style.threshold(axis, _interpolation_width(rows), FITTED)
        style.log_axis(axis, sorted(records["width"].unique())[::every])
        axis.set_xlabel(xlabel)
    panels[0].axis.set(ylabel="error / %", ylim=(0, min(50, axis.get_ylim()[1])))
    return style.finish(axis, records)


def plot_convolution(records):
    """The five-layer CNN."""
    return plot_network(records, "channels", every=2)


def plot_network_signals(records):
    """Networks with one hidden layer on MNIST-1D, noisy and clean labels; test error on a scale of its own."""
    _, axes = style.figure(1, 2)
    kinds = {0.15: "noisy labels", 0.0: "clean labels"}
    looks, begins = style.looks(kinds), _interpolation_width(records[records["label_noise"] > 0])
    for axis, (column, name) in zip(axes, ERRORS.items(), strict=True):
        style.curves(axis, records, x="width", y=column, by="label_noise", looks=looks, labels=kinds, times=100)
        style.threshold(axis, begins, FITTED)
        style.log_axis(axis, [4, 8, 14, 26, 48, 90])
        axis.set(xlabel="hidden units", ylabel=f"{name} / %")
    return style.finish(axis, records, ylim=(0, None))


def plot_decomposition(records):
    """Noise, squared bias and variance stacked over width; dots: error on fresh targets, from other training sets."""
    terms = {"noise": "noise", "squared_bias": "squared bias", "variance": "variance"}
    fills = {"colors": ["#d9d9d9", "#fdae6b", "#9ecae1"], "hatch": ["", "..", "//"], "edgecolor": "#555555"}
    _, panels = style.panels(records, "part", {"resamples": "random features", "network_resamples": "networks"})
    for axis, part, rows in panels:
        means, threshold = rows.groupby("width")[[*terms, "error"]].mean(), _interpolation_width(rows)
        if part == "resamples":
            threshold = rows["examples"].iloc[0]
            means.loc[threshold] = np.nan  # off the scale
        parts = means[[*terms]]
        axis.stackplot(means.index, parts.T, labels=terms.values(), linewidth=0, **fills)
        axis.plot(means.index, parts.cumsum(axis=1), color="black", linewidth=0.7, marker="", linestyle="-")
        axis.plot(means.index, means["error"], linestyle="", marker="o", color="black", label="measured error")
        style.threshold(axis, threshold)
        style.log_axis(axis, means.index if part == "network_resamples" else [10, 20, 50, 150, 400, 800])
        axis.set(xlabel="hidden units", ylim=(0, 1.1 * means["error"].max()))
    panels[0].axis.set(xlabel="random features", ylabel="mean squared error")
    return style.finish(axis, rows)
