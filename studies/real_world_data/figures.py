"""Figures of data as they come: worst group and average, shift, sources, balance, costs, leaks, calibration, loops."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.theory import feedback
from claimcheck.theory.decisions import bayes_threshold
from claimcheck.theory.selection import leaked_accuracy

from .statistics import EXAMPLES, GUESS, KEPT

TITLES = {name: title(name) for name in ("digits", "mnist5k", "mnist1d_pool", "breast_cancer")}


def plot_worst_group(records):
    """Error of the group, of the others and of all by the group's share."""
    names = {"minority": "the group", "majority": "the others", "all": "all, a tenth\nof them the group"}
    shown = records[records["tested"].isin(names)]
    for axis, _, rows in style.panels(shown, "dataset", TITLES, sharey=True):
        style.curves(axis, rows, x="share", y="error", by="tested", labels=names, times=100, lost=GUESS)
        ticks = sorted(rows["share"].unique())
        style.log_axis(axis, ticks, [f"{100 * tick:g}" for tick in ticks])
    return style.finish(
        axis, shown, xlabel="share of the group in training / %", ylabel="test error / %", ylim=(0, 100)
    )


def plot_shift(records):
    """Error and calibration error on both ranges of angles."""
    names = {
        "near near": "near\n→ near",
        "near far": "near\n→ far",
        "both near": "both\n→ near",
        "both far": "both\n→ far",
    }
    rows = records[records["tested"].isin(["near", "far"])]
    rows = rows.assign(arm=rows["trained_on"] + " " + rows["tested"])
    columns = {"error": "error", "ece": "calibration error"}
    titles = {f"{data} {column}": f"{TITLES[data]}: {said}" for data in ("digits", "mnist5k") for column, said in
              columns.items()}  # fmt: skip
    tables = [rows.assign(panel=rows["dataset"] + f" {column}", value=rows[column]) for column in columns]
    for axis, _, own in style.panels(pd.concat(tables), "panel", titles, columns=2):
        style.points(axis, own, x="arm", y="value", labels=names, times=100)
        axis.set_ylim(bottom=0)
    return style.finish(axis, rows, xlabel="angles trained on → tested on", ylabel="%", raised=True)


def plot_sources(records):
    """Error by where the training examples come from."""
    names = {"rows": "random\nsplit", "many": "many\nsources", "few": "few\nsources"}
    rows = records[records["tested"] == "test"]
    for axis, _, own in style.panels(rows, "dataset", TITLES):
        style.points(axis, own, x="sources", y="error", labels=names, times=100, lost=GUESS)
        axis.set_ylim(bottom=0)
    return style.finish(axis, rows, ylabel="test error / %")


ARMS = {
    "even": "1:1", "fiftieth": "50:1", "weighted": "50:1, weights", "thrown_away": "50:1, thrown away",
}  # fmt: skip


def plot_balance(records):
    """Recall, balanced accuracy and ranking by arm, as trained and corrected."""
    columns = {"recall": "recall", "accuracy": "balanced accuracy", "auc": "ROC area"}
    rows = records[(records["tested"] != "adjusted") | (records["arm"] == "fiftieth")]  # others: the same as trained
    rows = rows.assign(accuracy=1 - rows["error"])
    titles = {f"{data} {column}": f"{TITLES[data]}\n{said}" for data in ("digits", "mnist5k") for column, said in
              columns.items()}  # fmt: skip
    tables = [rows.assign(panel=rows["dataset"] + f" {column}", value=rows[column]) for column in columns]
    shared = {"columns": 3, "height": 4.4, "sharex": True, "sharey": True}
    looks = style.looks(["as trained", "corrected"])
    arms = {"corrected": {arm: f"{said}, corrected" for arm, said in ARMS.items()}, "as trained": ARMS}
    for axis, _, own in style.panels(pd.concat(tables), "panel", titles, **shared):
        for said, tested in {"corrected": "adjusted", "as trained": "plain"}.items():
            how = {"labels": arms[said], "looks": dict.fromkeys(ARMS, looks[said]), "times": 100, "horizontal": True}
            style.points(axis, own[own["tested"] == tested], x="arm", y="value", **how)
    for said, look in looks.items():
        axis.plot([], [], label=said, **{**look, "linestyle": ""})
    return style.finish(axis, rows, xlabel="%", xlim=(0, 103), raised=True)


def plot_costs(records):
    """Cost and error by the threshold, of probabilities as they are and sharpened."""
    names, shown = {1: "cost", 5: "cost, logits × 5"}, records[records["threshold"] <= 0.7]
    for axis, _, own in style.panels(shown, "dataset", TITLES, height=3.2):
        style.curves(axis, own, x="threshold", y="cost", by="sharpened", labels=names, times=100)
        plain = own[own["sharpened"] == 1]
        errors = style.looks([*names, "error"])
        style.curves(axis, plain, x="threshold", y="error", looks={"error": errors["error"]},
                     labels={"error": "wrong decisions"}, times=100)  # fmt: skip
        style.threshold(axis, bayes_threshold(10), "Bayes' threshold")
        style.log_axis(axis, [0.01, 0.03, 0.1, 0.3])
        axis.set_ylim(bottom=0)
    return style.finish(axis, records, xlabel="threshold", ylabel="per 100 cases")


def plot_leaks(records):
    """Accuracy that noise seems to reach, by the number of candidates."""
    axis, names = style.axis(), {"all": "chosen on all", "train": "chosen on the training half"}
    ticks = sorted(records["candidates"].unique())
    grid = np.geomspace(ticks[0], ticks[-1], 60)
    style.theory(axis, grid, [100 * leaked_accuracy(EXAMPLES, count, KEPT) for count in grid])
    style.curves(axis, records, x="candidates", y="accuracy", by="chosen_on", labels=names, times=100, joined=False)
    style.level(axis, 50, "guessing", linestyle=":")
    labels = {"xlabel": "features to choose 20 from", "ylabel": "test accuracy on noise / %"}
    return style.finish(axis, records, log_ticks=ticks, ylim=(40, 100), **labels)


def plot_copies(records):
    """Test error by the share of copies, and the line on which no copy errs."""
    rows = records[records["tested"] == "test"]
    for axis, _, own in style.panels(rows, "dataset", TITLES):
        honest, shares = 100 * own.loc[own["copied"] == 0, "error"].fillna(GUESS).mean(), own["copied"].unique()
        style.curves(axis, own.assign(every="measured"), x="copied", y="error", by="every", times=100, lost=GUESS)
        style.theory(axis, shares, honest * (1 - shares), label="no copy errs")
        axis.set_ylim(bottom=0)
    return style.finish(axis, rows, xlabel="share of copies", ylabel="test error / %")


def plot_reliability(records):
    """Accuracy by confidence in bins."""
    low, high = records["steps"].min(), records["steps"].max()
    shown = {
        "short": (low, "clean", 0, f"{low} steps"),
        "long": (high, "clean", 0, f"{high} steps"),
        "scaled": (high, "clean", 1, f"{high} steps, temperature"),
        "noisy": (high, "noisy", 1, f"{high} steps, temperature, noise"),
    }
    rows = records[(records["bin"] > 0) & (records["share"] > 0.002)]
    looks = style.looks(shown)
    for axis, _, own in style.panels(rows, "dataset", {"mnist5k": "MNIST", "mnist1d_pool": "MNIST-1D"}, height=3.4,
                                     sharey=True):  # fmt: skip
        style.theory(axis, [0, 100], [0, 100], label="confidence = accuracy")
        for name, (steps, tested, scaled, label) in shown.items():
            cell = own[(own["steps"] == steps) & (own["tested"] == tested) & (own["scaled"] == scaled)]
            reached = cell.groupby("bin")["seed"].nunique()
            cell = cell[cell["bin"].isin(reached.index[reached >= own["seed"].nunique() / 2])]
            middle = cell.assign(place=(100 * cell["bin"] - 50) / records["bin"].max(), accuracy=1 - cell["error"])
            how = {"looks": {name: looks[name]}, "labels": {name: label}, "times": 100, "within": (0, 100)}
            style.curves(axis, middle, x="place", y="accuracy", **how)
    return style.finish(axis, records, xlabel="confidence / %", ylabel="accuracy / %", xlim=(0, 100), ylim=(0, 100))


def plot_generations(records):
    """Test error by generation."""
    names = {share: "own labels alone" if share == 0 else f"{100 * share:g} % true labels" for share in
             sorted(records["real"].unique())}  # fmt: skip
    for axis, _, own in style.panels(records, "dataset", TITLES):
        style.curves(axis, own, x="generation", y="test_error", by="real", labels=names, times=100, lost=GUESS)
        axis.set_ylim(bottom=0)
    return style.finish(axis, records, xlabel="generation", ylabel="test error / %")


def plot_urn(records):
    """Distribution over units of the share of looks in the end."""
    names = {"proportional": "by what was found", "larger": "always the larger", "corrected": "corrected"}
    titles, looks = {"equal": "equal rates", "unequal": "rates 0.3 and 0.2"}, style.looks(names)
    for axis, rates, own in style.panels(records, "rates", titles, sharey=True):
        for rule in names:
            rows = own[own["rule"] == rule]
            shares = np.sort(rows["looks"].to_numpy())
            place = np.arange(1, len(shares) + 1) / len(shares)
            axis.step([0, *shares, 1], [0, *place, 1], where="post", label=names[rule],
                      **{**looks[rule], "marker": ""})  # fmt: skip
        if rates == "equal":
            grid = np.linspace(0, 1, 50)
            style.theory(axis, grid, feedback.urn_share_cdf(grid, (1, 1)))
        else:
            style.theory(axis, [0, 1], [feedback.lock_in((0.3, 0.2))] * 2)
        style.threshold(axis, 0.5 if rates == "equal" else 0.6, "true share")
    return style.finish(axis, records, xlabel="share of looks at the first place", ylabel="share of units")


def plot_collapse(records):
    """Log-variance by generation, with theory."""
    axis, names = style.axis(), {0.0: "own draws alone", 0.1: "a tenth real draws"}
    style.curves(axis, records, x="generation", y="log_variance", by="real", labels=names)
    n, last = int(records["n"].iloc[0]), int(records["generation"].max())
    style.theory(axis, [0, last], [0, last * feedback.log_variance_drift(n)])
    style.theory(
        axis, [0, last], [0, np.log(feedback.mean_variance(n, last))], label="of the mean variance", linestyle=":"
    )
    return style.finish(axis, records, xlabel="generation", ylabel="log-variance")
