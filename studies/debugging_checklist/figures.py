"""Figures of the debugging checklist: which check finds what, sets of checks, early norms, depth, spikes, tools."""

from itertools import combinations

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.figures.look import projected

from .statistics import LARGE

DATA = {name: title(name) for name in ("digits", "mnist5k")}
CHECKS = {
    "gradient": "gradient",
    "data": "data",
    "overfit": "few\nexamples",
    "learning_rate": "rate\nramp",
    "gradient_norms": "early\nnorms",
    "duplicates": "duplicates\n(ours)",
    "label_order": "label order\n(ours)",
}
BUGS = {
    "none": "healthy host",
    "scale": "inputs × 1000",
    "nan": "NaN in inputs",
    "sentinel": "−999 in inputs",
    "repeated": "one image for all labels",
    "label_range": "labels from 1",
    "shuffled": "labels shuffled",
    "sorted": "sorted by class",
    "leak": "test in training data",
    "softmax_twice": "softmax twice",
    "sign": "sign of the loss",
    "wrong_axis": "softmax over the batch",
    "summed": "loss summed",
    "detached": "detached stage",
    "rounded": "rounded signals",
    "unused": "stage never called",
    "zero_weights": "weights all zero",
    "dead_units": "dead ReLUs",
    "large_weights": "weights × 10",
    "mixed": "examples mixed",
    "no_activations": "ReLUs forgotten",
    "rate_high": "rate × 100",
    "rate_low": "rate / 1000",
    "left_out": "stage not optimised",
    "never_reset": "gradients not reset",
}
REMEDIES = {"none": "plain", "norm_residual": "norm, residuals"}
SHAPES = {"shallow": "2 layers", "deep": "8 layers", "narrow": "2 layers, half as wide"}
SPIKES = {
    "none/usual": "healthy, usual rate",
    "none/high": "healthy, high rate",
    "guarded log/usual": "zero in a logarithm",
    "guarded divisor/usual": "zero in a divisor",
}
TOOLS = {
    "symptom": "first bad gradient",
    "last": "last bad gradient",
    "anomaly": "anomaly detection",
    "hooks": "forward hooks",
    "trace": "our trace",
}


def plot_matrix(records):
    """Share of units and hosts in which each check cries, bug by bug; the first row shows false alarms."""
    shares = 100 * records.pivot_table(index="bug", columns="check", values="found")[list(CHECKS)]
    cried = shares.index[shares.max(axis=1) > 0] if projected() else shares.index
    bugs = [bug for bug in BUGS if bug in cried or (bug == "none" and bug in shares.index)]
    table = shares.loc[bugs]
    axis, size = style.axis(height=0.6 + 0.21 * len(bugs)), 9.0 if projected() else 7.5
    axis.imshow(table, aspect="auto", cmap="Blues", vmin=0, vmax=130)
    for row, column in np.ndindex(table.shape):
        share = table.iloc[row, column]
        colour = style.GREY if share < 0.5 else "white" if share > 75 else "black"
        axis.text(column, row, f"{share:.0f}", ha="center", va="center", color=colour, fontsize=size)
    axis.set_xticks(range(len(CHECKS)), CHECKS.values())
    axis.set_yticks(range(len(bugs)), [BUGS[bug] for bug in bugs])
    axis.axhline(0.5, color="black", linewidth=1.0, label="_")
    axis.axvline(4.5, color="black", linewidth=1.0, label="_")
    axis.tick_params(length=0, labelsize=size)
    axis.grid(False)
    return style.finish(axis, records, "share of cries / %" + ", bugs found by any check" * projected())


def sets_of_checks(records):
    """For each number of checks the set that finds most, the cheapest of these: size, share, cost, names.

    A bug counts as found where more than half of all units and hosts are. Cost is what a healthy host takes.
    """
    planted = records[records["bug"] != "none"]
    runs = planted.pivot_table(index=["seed", "bug"], columns="check", values="found")
    cost = records[records["bug"] == "none"].groupby("check")["cost"].mean()
    rows = []
    for size in range(1, len(CHECKS) + 1):
        every = []
        for names in combinations(CHECKS, size):
            share = runs[list(names)].max(axis=1).groupby("bug").mean()
            every.append((-(share > 0.5).sum(), cost[list(names)].sum(), names, share.mean()))
        found, price, names, mean = min(every)
        rows.append({"size": size, "bugs": -found, "cost": price, "names": names, "share": mean})
    return pd.DataFrame(rows)


def plot_sets(records):
    """How many bugs the best set of each size finds, and what it costs."""
    table = sets_of_checks(records)
    left, right = style.side_by_side("bugs found", "cost / losses computed", height=2.6)
    look = next(iter(style.looks(["best set"]).values()))
    left.plot(table["size"], table["bugs"], label="best set of so many checks", **look)
    right.plot(table["size"], table["cost"], label="best set of so many checks", **look)
    style.level(left, records["bug"].nunique() - 1, "all that were planted")
    left.set_ylim(0, None)
    right.set_ylim(0, None)
    return style.finish(right, records, xlabel="checks in the set", xticks=range(1, len(CHECKS) + 1))


def plot_norms(records):
    """ROC curves: failures against successes above each threshold of the early norm, plain networks."""
    bare = records[records["part"].isin(["trials", "trials_adam"])]
    names = {"momentum": "momentum SGD", "adam": "Adam"}
    looks = style.looks(names)
    for axis, _, rows in style.panels(bare, "dataset", DATA, height=3.0, sharey=True):
        for optimizer, name in names.items():
            own = rows[rows["optimizer"] == optimizer].sort_values("norm", ascending=False)
            failed = own["trained"].to_numpy() < 0.5
            if failed.all() or not failed.any():
                continue
            false, true = (100 * np.concatenate([[0.0], each.cumsum() / each.sum()]) for each in (~failed, failed))
            axis.plot(false, true, label=name, **{**looks[optimizer], "marker": ""})
            large = int((own["norm"] > LARGE).sum())
            mark = {"color": looks[optimizer]["color"], "marker": "o", "linestyle": "", "label": f"_{name}, norm 100"}
            axis.plot([false[large]], [true[large]], **mark)
        style.theory(axis, [0, 100], [0, 100], label="knows nothing")
    labels = {"xlabel": "successes above the threshold / %", "ylabel": "failures above it / %"}
    return style.finish(axis, bare, raised=True, xlim=(-2, 102), ylim=(-2, 102), **labels)


def _intervals(axis, units, across, names, by, labels):
    """Means of `trained` with 95 % intervals: a place for each of `names`, side by side by `by`."""
    looks = style.looks(labels)
    for place, level in enumerate(names):
        for shift, (other, label) in zip((-0.14, 0.14, 0.0), labels.items()):
            values = 100 * units[(units[across] == level) & (units[by] == other)]["trained"]
            if values.empty:
                continue
            half = 1.96 * values.std() / np.sqrt(len(values)) if len(values) > 1 else 0.0
            axis.errorbar([place + shift], [values.mean()], [[half], [half]], capsize=2.5, label=label,
                          **{**looks[other], "linestyle": ""})  # fmt: skip
    axis.set_xticks(range(len(names)), names.values())
    axis.set_xlim(-0.6, len(names) - 0.4)
    axis.grid(False, axis="x")


def plot_remedies(records):
    """Share of trials that train with remedies, by what the plain network does."""
    large, failed = records["norm"] > LARGE, records["trained"] < 0.5
    plain = np.select([failed & large, failed], ["large", "small"], "none")
    remedies = {"both": "layer norm and clipping", "again": "plain, from other weights"}
    rows = pd.concat(records.assign(plain=plain, remedy=name, trained=records[f"trained_{name}"]) for name in remedies)
    units = rows.groupby(["seed", "dataset", "remedy", "plain"], as_index=False)["trained"].mean().dropna()
    names = {"large": "fails,\nlarge\nnorm", "small": "fails,\nno large\nnorm", "none": "trains"}
    for axis, _, own in style.panels(units, "dataset", DATA, height=2.8, sharey=True):
        _intervals(axis, own, "plain", names, "remedy", remedies)
    labels = {"xlabel": "what the plain network does", "ylabel": "trials that train / %"}
    return style.finish(axis, records, **labels, ylim=(-3, 103), raised=True)


def plot_depth(records):
    """Share of trials that train, shallow and deep, plain and with normalisation and residual connections."""
    units = records.groupby(["seed", "dataset", "remedy", "shape"], as_index=False)["trained"].mean()
    names = {"none": "plain", "norm_residual": "layer norm\nand residuals"}
    for axis, _, own in style.panels(units, "dataset", DATA, height=2.8, sharey=True):
        _intervals(axis, own, "remedy", names, "shape", SHAPES)
    return style.finish(axis, records, ylabel="trials that train / %", ylim=(-3, 103), raised=True)


def plot_transfer(records):
    """Train loss over the rate, shallow and deep, plain and with norm and residuals."""
    titles = {
        f"{remedy}/{data}": f"{REMEDIES[remedy]},\n{DATA[data]}"
        for remedy in ("none", "norm_residual")
        for data in DATA
    }
    rows = records.assign(panel=records["remedy"] + "/" + records["dataset"])
    for axis, _, own in style.panels(rows, "panel", titles, height=2.8, sharey=True):
        style.curves(axis, own, x="rate", y="train_loss", by="shape", labels=SHAPES, average="median", cut=2.5)
    ticks = sorted(records["rate"].unique())[::2]
    return style.finish(axis, records, xlabel="learning rate", ylabel="train loss / nats", log_ticks=ticks, raised=True)


def plot_spikes(records):
    """Spikes of a run, healthy at two rates, and with guarded zeros."""
    rows = records.assign(arm=records["fault"] + "/" + records["speed"])
    rows = rows[rows["arm"].isin(SPIKES)]
    for axis, _, own in style.panels(rows, "dataset", DATA, height=2.6, sharey=True):
        style.points(axis, own, x="arm", y="spikes", labels=SPIKES, horizontal=True)
    return style.finish(axis, rows, xlabel="spikes a run", raised=True)


def plot_tools(records):
    """Share of planted operations that each tool names."""
    units = records.groupby(["seed", "dataset", "tool"], as_index=False)["named"].mean()
    for axis, _, rows in style.panels(units, "dataset", DATA, height=2.6, sharey=True):
        style.points(axis, rows, x="tool", y="named", labels=TOOLS, times=100, horizontal=True)
    return style.finish(axis, records, xlabel="operations named / %", xlim=(-3, 103), raised=True)


def plot_slowdown(records):
    """Time of a step with each tool, over that without."""
    axis = style.axis(height=2.2)
    style.points(
        axis,
        records,
        x="tool",
        y="slowdown",
        labels={k: TOOLS[k] for k in ("anomaly", "hooks", "trace")},
        looks=style.looks(TOOLS),
        horizontal=True,
    )
    style.threshold(axis, 1.0, "_without")
    return style.finish(axis, records, xlabel="time of a step / time without tools")
