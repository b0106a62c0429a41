"""Figures of double descent: curves of risk and error over size, on theory where there is one."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style

from .problems import FEATURES, PROBLEMS
from .statistics import CHANCE

PENALTIES = {"none": "least norm", "optimal": "optimal ridge"}
ERRORS = {"test_error": "test error", "train_error": "train error"}
LEARNERS = {"form": "known form", "wrong": "wrong form", "network": "network"}
LAWS = {name: title(name) for name in ("fall", "gravity")}
TITLES = {name: title(name) for name in ("digits", "mnist1d_pool")}
FITTED = "train error ≤ 10 %"


def _interpolation_width(rows, x="units"):
    """The first width with a mean train error of at most 10 % (epsilon of Nakkiran et al. 2020); else the widest."""
    error = rows.fillna({"train_error": CHANCE}).groupby(x)["train_error"].mean()
    return min(error.index[error <= 0.1], default=error.index[-1])


def plot_laws(records):
    """Error of two laws over the number of examples, within the range of these and outside of it, by learner."""
    places = {"inside": "within the range", "outside": "outside of it"}
    titles = {f"{law} {where}": f"{LAWS[law]}, {said}" for where, said in places.items() for law in LAWS}
    rows = [records.assign(panel=records["dataset"] + f" {where}", error=records[f"{where}_error"]) for where in places]
    for axis, _, own in style.panels(pd.concat(rows), "panel", titles, columns=2, sharey=True):
        style.curves(axis, own, x="examples", y="error", by="learner", labels=LEARNERS, average="median")
    labels = {"xlabel": "training examples", "ylabel": "error (median)", "yscale": "log", "raised": True}
    return style.finish(axis, records, log_ticks=sorted(records["examples"].unique()), **labels)


def plot_features(records):
    """Test error of random features over their number, with and without label noise, and with ridge."""
    kinds = {(0.15, 0.0): "noisy labels", (0.0, 0.0): "clean labels", (0.15, 0.01): "noisy labels, ridge"}
    kind = [kinds[key] for key in zip(records["label_noise"], records["ridge"], strict=True)]
    looks = style.looks(kinds.values())
    for axis, _, rows in style.panels(records.assign(kind=kind), "dataset", TITLES):
        style.curves(axis, rows, x="width", y="test_error", by="kind", looks=looks, times=100)
        style.threshold(axis, rows["examples"].iloc[0], "features = examples")
    labels = {"xlabel": "random features", "ylabel": "test error / %"}
    return style.finish(axis, records, log_ticks=[10, 50, 200, 1000], **labels)


def plot_network(records):
    """Test error, and below it train error, of networks over width, noisy and clean labels."""
    kinds = {0.15: "noisy labels", 0.0: "clean labels"}
    titles = {f"{data} {column}": f"{name}, {said}" for column, said in ERRORS.items() for data, name in TITLES.items()}
    rows = [records.assign(panel=records["dataset"] + f" {column}", error=records[column]) for column in ERRORS]
    for axis, _, own in style.panels(pd.concat(rows), "panel", titles, columns=2):
        style.curves(axis, own, x="units", y="error", by="label_noise", labels=kinds, times=100)
        style.threshold(axis, _interpolation_width(own[own["label_noise"] > 0]), FITTED)
        style.log_axis(axis, sorted(own["units"][own["label_noise"] > 0].unique()))
    return style.finish(axis, records, xlabel="hidden units", ylabel="error / %", raised=True)


def plot_decomposition(records):
    """Noise, squared bias and variance stacked over width; dots: error on fresh targets, from other training sets."""
    terms = {"noise": "noise", "squared_bias": "squared bias", "variance": "variance"}
    fills = {"colors": ["#d9d9d9", "#fdae6b", "#9ecae1"], "hatch": ["", "..", "//"], "edgecolor": "#555555"}
    kinds = {"resamples": "random features", "network_resamples": "networks"}
    titles = {f"{part} {data}": f"{kind}, {name}" for part, kind in kinds.items() for data, name in TITLES.items()}
    records = records[records["part"].isin(kinds)]
    size = records["width"] if "units" not in records else records["units"].fillna(records["width"])
    panel = records["part"].astype(str) + " " + records["dataset"].astype(str)
    for axis, name, rows in style.panels(
        records.assign(panel=panel, units=size), "panel", titles, columns=2, height=4.8
    ):
        means = rows.groupby("units")[[*terms, "error"]].mean()
        networks = name.startswith("network")
        threshold = _interpolation_width(rows) if networks else rows["examples"].iloc[0]
        if not networks:
            means.loc[threshold] = np.nan  # off the scale
        parts = means[[*terms]]
        axis.stackplot(means.index, parts.T, labels=terms.values(), linewidth=0, **fills)
        axis.plot(means.index, parts.cumsum(axis=1), color="black", linewidth=0.7, marker="", linestyle="-")
        axis.plot(means.index, means["error"], linestyle="", marker="o", color="black", label="measured error")
        style.threshold(axis, threshold)
        style.log_axis(axis, means.index if networks else [10, 20, 50, 150, 400, 800])
        axis.set(xlabel="hidden units" if networks else "random features", ylim=(0, 1.1 * means["error"].max()))
    return style.finish(axis, rows, ylabel="mean squared error", raised=True)


def plot_samples(records):
    """Train error, test error and their gap for a network of one width, over the number of examples."""
    columns = {"seen_error": "test error", "train_error": "train error", "gap": "gap"}
    kinds = {0.0: "clean labels", 0.15: "15 % wrong"}
    titles = {f"{data} {rate}": f"{name}, {said}" for rate, said in kinds.items() for data, name in TITLES.items()}
    rows = records.assign(
        panel=records["dataset"] + " " + records["label_noise"].astype(str),
        seen_error=records["gap"] + records["train_error"],
    )
    for axis, _, own in style.panels(rows, "panel", titles, columns=2, sharey=True):
        style.column_curves(axis, own, x="examples", columns=columns, times=100)
        style.log_axis(axis, sorted(own["examples"].unique()))
        if own["label_noise"].iloc[0]:
            axis.axhline(100 * own["label_noise"].iloc[0], color=style.GREY, linestyle=":", linewidth=1.0)
    labels = {"xlabel": "training examples", "ylabel": "error / %"}
    return style.finish(axis, records, **labels, ylim=(0, 100), raised=True)


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


def plot_linear_samples(records):
    """Risk of least squares with a fixed number of features over the number of examples, on the closed forms."""
    axis = style.axis()
    places = np.geomspace(records["examples"].min(), records["examples"].max(), 600)
    _risk(axis, records, "examples", PROBLEMS["isotropic"], places, FEATURES / places)
    style.threshold(axis, FEATURES, "examples = parameters")
    labels = {"xlabel": "training examples", "ylabel": "excess risk (median)"}
    return style.finish(axis, records, log_ticks=[20, 40, 100, 200, 500, 1000], **labels)


def plot_convolution(records):
    """Train and test error of the five-layer CNN over channels, a panel for each share of wrong labels."""
    rates = sorted(records["label_noise"].unique(), reverse=True)
    titles = {rate: f"{100 * rate:.0f} % noise" for rate in rates}
    for axis, _, rows in style.panels(records, "label_noise", titles, sharey=True):
        style.column_curves(axis, rows, x="width", columns=ERRORS, times=100)
        style.threshold(axis, _interpolation_width(rows, "width"), FITTED)
    ticks, top = sorted(records["width"].unique())[::2], min(50, axis.get_ylim()[1])
    return style.finish(axis, records, log_ticks=ticks, xlabel="channels", ylabel="error / %", ylim=(0, top))
