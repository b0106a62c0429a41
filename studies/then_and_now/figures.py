"""The figures: what each ingredient is worth, then and now; data, hardware, lengths."""

import numpy as np
import pandas as pd
from matplotlib.ticker import MultipleLocator

from claimcheck.data.names import title
from claimcheck.figures import style

from .statistics import gains, main_effects, worths

DATA = {name: title(name) for name in ("mnist5k", "mnist1d_pool", "fashion_mnist")}
KINDS = {"attention": "attention", "gru": "GRU", "lstm": "LSTM", "rnn": "plain RNN"}
SINGLE = {
    "residual": "skip connections",
    "norm": "layer norm",
    "init": "He's init",
    "activation": "ReLU (tanh)",
    "optimizer": "AdamW (SGD)",
    "schedule": "warmup, cosine",
    "shifts": "random shifts",
    "dropout": "dropout",
}
"""What is left out, as the axis calls it; in brackets what is there instead."""

SEVERAL = {
    "regularisation": "all regularisation",
    "norm_residual_init": "skip, norm, init",
    "everything": "all of it (1998)",
    "shallow_1998": "all, 2 layers deep",
}
INGREDIENTS = {
    "activation": "ReLU\nfor tanh",
    "dropout": "dropout",
    "amount": "ten times\nthe data",
    "size": "twice\nthe width",
}


LEFT_END = -16.0
"""Points at which the axis of what ingredients are worth ends: one that does more harm would squeeze all others."""


def _tall(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Seeds by name as rows of seed, `name` and points, without those that a seed lacks."""
    return table.rename_axis(columns=name).stack().dropna().rename("points").reset_index()


def plot_recipe(records):
    """What today's recipe loses without an ingredient, and the network of 1998 gains by it alone; fully connected."""
    return _worths_of(records, ["recipe", "added"])


def plot_recipe_convolutional(records):
    """The same of convolutional networks, of which quick trains some arms only."""
    return _worths_of(records, ["recipe_cnn", "added_cnn"])


def _worths_of(records, parts):
    """A panel for each data set. What is added to 1998's has fewer units, the first of those that have its error."""
    rows = records[records["part"].isin(parts)]
    lost, gained = (
        pd.concat([_tall(found(own), "without").assign(dataset=data) for data, own in rows.groupby("dataset")])
        for found in (worths, gains)
    )
    order = lost.groupby("without")["points"].mean().sort_values(ascending=False).index
    several = {name: said for name, said in SEVERAL.items() if name in order}
    names = {name: SINGLE[name] for name in order if name in SINGLE} | several
    alone = {name: f"{said}, alone" for name, said in names.items()}  # in the table; the axis has the other names
    left_out, added = ({"color": style.COLOURS[c], "marker": m} for c, m in (("blue", "o"), ("vermillion", "s")))
    how, tall = (
        {"x": "without", "y": "points", "horizontal": True},
        (1.0 + 0.42 * len(names)) * -(-lost["dataset"].nunique() // 2),
    )
    for axis, data, own in style.panels(lost, "dataset", DATA, columns=2, height=tall, sharex=True, sharey=True):
        by_itself = gained[gained["dataset"] == data]
        if len(by_itself):
            style.points(axis, by_itself, labels=alone, looks=dict.fromkeys(names, added), aside=0.18, **how)
            _tell_beyond(axis, by_itself, own, list(names), added["color"])
        style.points(axis, own, labels=names, looks=dict.fromkeys(names, left_out), aside=-0.22, **how)
        axis.axvline(0, color=style.GREY, linewidth=1.0)
        axis.xaxis.set_major_locator(MultipleLocator(10))
        for row in range(0, len(names), 2):
            axis.axhspan(row - 0.5, row + 0.5, color=style.GREY, alpha=0.08, linewidth=0, zorder=0)
        axis.plot([], [], linestyle="", label="left out of today's", **left_out)
        if len(gained):
            axis.plot([], [], linestyle="", label="added to 1998's", **added)
    if axis.get_xlim()[0] < LEFT_END:
        axis.set_xlim(left=LEFT_END)
    return style.finish(axis, lost, xlabel="test error taken off / points")


def _tell_beyond(axis, added, left_out, names, colour):
    """Say right of a row's dots how many lie left of the axis' end, and where their mean is, if it does, too."""
    dots = pd.concat([added, left_out])
    for place, name in enumerate(names):
        points = added.loc[added["without"] == name, "points"]
        beyond, mean = (points < LEFT_END).sum(), points.mean()
        if not beyond:
            continue
        told = f"{beyond} of {len(points)} beyond"
        if mean < LEFT_END:
            told = f"mean −{-mean:.0f},\n{told}"
            arrow = {"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.6}
            end = {"xy": (0, place + 0.38), "xycoords": ("axes fraction", "data")}  # as high as the interval's bar
            axis.annotate("", xytext=(9, 0), textcoords="offset points", arrowprops=arrow, **end)
        near = dots["without"].isin(names[max(place - 1, 0) : place + 2])  # two lines are higher than a slide's row
        look = {"color": colour, "fontsize": "small", "va": "center", "linespacing": 1.0}
        axis.text(max(dots.loc[near, "points"].max(), 0) + 1.5, place + 0.2, f"← {told}", **look)


def plot_ingredients(records):
    """Main effects of the factorial on the test error."""
    panels = records.groupby("dataset", sort=False)
    rows = pd.concat([_tall(main_effects(own), "ingredient").assign(dataset=data) for data, own in panels])
    for axis, _, own in style.panels(rows, "dataset", DATA, height=2.9, sharey=True):
        style.points(axis, own, x="ingredient", y="points", labels=INGREDIENTS)
        axis.axhline(0, color=style.GREY, linewidth=1.0)
    return style.finish(axis, rows, ylabel="change of test error / points")


def plot_interactions(records):
    """Test error by examples, dropout and size."""
    names = {"large0.0": "large", "large0.5": "large, dropout", "small0.0": "small", "small0.5": "small, dropout"}
    rows = records.assign(arm=records["size"] + records["dropout"].astype(str), few=records["amount"] == "few")
    rows = rows.groupby(["dataset", "seed", "arm", "few"], as_index=False)["test_error"].mean()
    rows = rows.assign(place=np.where(rows["few"], 0, 1))
    for axis, _, own in style.panels(rows, "dataset", DATA, height=2.9):
        style.curves(axis, own, x="place", y="test_error", by="arm", labels=names, times=100)
        axis.set_xticks([0, 1], ["few", "many"])
        axis.set_xlim(-0.3, 1.3)
    return style.finish(axis, rows, xlabel="training examples", ylabel="test error / %")


def _ratios(records, column, by, above, below):
    """Ratios of a column between two levels of factor `by`, a row per seed and what else is in the records' `group`."""
    table = records.pivot(index=["seed", "group"], columns=by, values=column)
    return (table[above] / table[below]).rename("ratio").reset_index()


def plot_speed(records):
    """Updates with ReLU over those with tanh, by data set."""
    rows = _ratios(records.assign(group=records["dataset"]), "updates", "activation", "relu", "tanh")
    axis, labels = style.axis(height=2.8), {name: said for name, said in DATA.items() if name in set(rows["group"])}
    style.points(axis, rows, x="group", y="ratio", labels=labels, average="median")
    axis.axhline(1, color=style.GREY, linewidth=1.0)
    style.level(axis, 1 / 6, "Krizhevsky et al. 2012")
    style.log_axis(axis, [0.125, 0.25, 0.5, 1, 2, 4], ["⅛", "¼", "½", "1", "2", "4"], across="y")
    return style.finish(axis, rows.assign(dataset=rows["group"]), "median", ylabel="updates, ReLU / tanh")


def plot_batching(records):
    """Time at once over time one by one."""
    rows = _ratios(records.assign(group=records["workload"]), "seconds", "way", "at_once", "one_by_one")
    axis = style.axis(height=2.8)
    labels = {"examples": "LeNet-5,\n32 examples", "networks": "32 tiny\nnetworks"}
    style.points(axis, rows, x="group", y="ratio", labels=labels, average="median")
    axis.axhline(1, color=style.GREY, linewidth=1.0)
    style.log_axis(axis, [0.0625, 0.125, 0.25, 0.5, 1], ["1/16", "⅛", "¼", "½", "1"], across="y")
    return style.finish(axis, rows, "median", ylabel="time at once / one by one")


def plot_growth(records):
    """Test error over number of training examples, on logarithmic axes."""
    rows = records[(records["part"] == "growth") | (records["part"] == "growth_noise") & (records["noise"] > 0)]
    names = {0.0: "clean", 0.4: "40 % wrong"}
    for axis, _, own in style.panels(rows, "dataset", DATA, height=2.9, sharey=True):
        style.curves(axis, own, x="examples", y="test_error", by="noise", labels=names, times=100)
        axis.set_yscale("log")
        style.log_axis(axis, [5, 10, 20, 50, 100], across="y")
    ticks = sorted(rows["examples"].unique())
    return style.finish(axis, rows, log_ticks=ticks, xlabel="training examples", ylabel="test error / %")


def plot_lengths(records):
    """Time and rate of attention and recurrences by length."""
    left, right = style.side_by_side("time / ms", "rate / product of matrices", height=2.9)
    style.curves(left, records, x="length", y="seconds", by="kind", labels=KINDS, times=1000)
    style.curves(right, records, x="length", y="share_of_product", by="kind", labels=KINDS)
    style.log_axis(left, [5, 10, 20, 50, 100, 200], across="y")
    right.set_ylim(0, 0.9)
    ticks = sorted(records["length"].unique())
    return style.finish(right, records, log_ticks=ticks, xlabel="length of the sequences")


def plot_generation(records):
    """Time of one token more."""
    axis, ticks = style.axis(height=2.8), sorted(records["length"].unique())
    style.curves(axis, records, x="length", y="seconds", by="kind", labels=KINDS, times=1e6)
    style.log_axis(axis, [100, 200, 500, 1000, 2000], across="y")
    return style.finish(axis, records, log_ticks=ticks, xlabel="tokens before", ylabel="time of a token / µs")
