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
    style.curves(axis, rows, x=x, y="risk", by="penalty", labels=PENALTIES, average="median", joined=False)
    axis.set(yscale="log", ylim=(None, 100 * problem.noise))


def plot_risk(records):
    """Risk over parameters per example, two problems, without and with ridge, on the closed forms."""
    places = np.geomspace(records["gamma"].min(), records["gamma"].max(), 400)
    for axis, model, rows in style.panels(records, "model", {name: name for name in PROBLEMS}):
        _risk(axis, rows, "gamma", PROBLEMS[model], places, places)
        style.threshold(axis, 1.0, "parameters = examples")
    labels = {"xlabel": "parameters per example", "ylabel": "excess risk (median)"}
    return style.finish(axis, records, log_ticks=[0.1, 0.3, 1, 3, 10], **labels)


def plot_samples(records):
    """Risk of least squares with a fixed number of features over the number of examples, on the closed forms."""
    axis = style.axis()
    places = np.geomspace(records["examples"].min(), records["examples"].max(), 600)
    _risk(axis, records, "examples", PROBLEMS["isotropic"], places, FEATURES / places)
    style.threshold(axis, FEATURES, "examples = parameters")
    labels = {"xlabel": "training examples", "ylabel": "excess risk (median)"}
    return style.finish(axis, records, log_ticks=[20, 40, 100, 200, 500, 1000], **labels)


def plot_network_samples(records):
    """Train error, test error and their gap for a network of one width, over the number of examples."""
    axis = style.axis()
    columns = {"noisy_test_error": "test error", "train_error": "train error", "gap": "gap"}
    style.column_curves(axis, records, x="examples", columns=columns, times=100)
    labels = {"xlabel": "training examples", "ylabel": "error (labels with noise) / %"}
    return style.finish(axis, records, log_ticks=sorted(records["examples"].unique()), **labels, ylim=(0, None))


def plot_features(records):
    """Test error of random features over their number, with and without label noise, and with ridge."""
    kinds = {(0.15, 0.0): "noisy labels", (0.0, 0.0): "clean labels", (0.15, 0.01): "noisy labels, ridge"}
    kind = [kinds[key] for key in zip(records["label_noise"], records["ridge"], strict=True)]
    looks, titles = style.looks(kinds.values()), {"digits": "digits", "mnist1d": "MNIST-1D"}
    for axis, _, rows in style.panels(records.assign(kind=kind), "dataset", titles):
        style.curves(axis, rows, x="width", y="test_error", by="kind", looks=looks, times=100)
        style.threshold(axis, rows["examples"].iloc[0], "features = examples")
    labels = {"xlabel": "random features", "ylabel": "test error / %"}
    return style.finish(axis, records, log_ticks=[10, 50, 200, 1000], **labels)


def plot_network(records, xlabel="hidden units", every=1):
    """Train and test error over width, a panel for each share of wrong labels, the highest first."""
    rates = sorted(records["label_noise"].unique(), reverse=True)
    titles = {rate: f"{100 * rate:.0f} % noise" for rate in rates}
    for axis, _, rows in style.panels(records, "label_noise", titles, sharey=True):
        style.column_curves(axis, rows, x="width", columns=ERRORS, times=100)
        style.threshold(axis, _interpolation_width(rows), FITTED)
    ticks, top = sorted(records["width"].unique())[::every], min(50, axis.get_ylim()[1])
    return style.finish(axis, records, log_ticks=ticks, xlabel=xlabel, ylabel="error / %", ylim=(0, top))


def plot_convolution(records):
    """The five-layer CNN."""
    return plot_network(records, "channels", every=2)


def plot_network_signals(records):
    """Networks with one hidden layer on MNIST-1D, noisy and clean labels; test error on a scale of its own."""
    labels, begins = {0.15: "noisy labels", 0.0: "clean labels"}, records[records["label_noise"] > 0]
    test, train = style.side_by_side("test error / %", "train error / %")
    for axis, column in ((test, "test_error"), (train, "train_error")):
        style.curves(axis, records, x="width", y=column, by="label_noise", labels=labels, times=100)
        style.threshold(axis, _interpolation_width(begins), FITTED)
    train.set_ylim(0, None)
    return style.finish(train, records, log_ticks=[4, 8, 14, 26, 48, 90], xlabel="hidden units")


def plot_decomposition(records):
    """Noise, squared bias and variance stacked over width; dots: error on fresh targets, from other training sets."""
    terms = {"noise": "noise", "squared_bias": "squared bias", "variance": "variance"}
    fills = {"colors": ["#d9d9d9", "#fdae6b", "#9ecae1"], "hatch": ["", "..", "//"], "edgecolor": "#555555"}
    titles = {"resamples": "random features", "network_resamples": "networks"}
    sizes = {"resamples": "random features", "network_resamples": "hidden units"}
    for axis, part, rows in style.panels(records, "part", titles):
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
        axis.set(xlabel=sizes[part], ylim=(0, 1.1 * means["error"].max()))
    return style.finish(axis, rows, ylabel="mean squared error")
