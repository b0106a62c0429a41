"""Figures of distillation: accuracy of students by temperature, labels and teacher; gradients; the class left out."""

import numpy as np

from claimcheck.figures import style
from claimcheck.theory.logit_matching import expected_cosine

from .statistics import GUESS

TITLES = {"digits": "digits", "mnist1d": "MNIST-1D", "fashion_mnist": "Fashion-MNIST"}
TEACHERS = {
    "none": "no teacher",
    "equal": "same data",
    "dropout": "+ dropout",
    "shifts": "+ shifts",
    "both": "+ both",
    "rich": "whole pool,\nshifts",
    "smoothed": "the same,\nsmoothed",
}


def plot_temperature(records):
    """Test accuracy over temperature by width, with the level of labels alone (thin) and of the teacher (dashed)."""
    names = {width: f"{width} units" for width in sorted(records["width"].unique())}
    looks = style.looks(names)
    thin = {"markerfacecolor": "white", "linewidth": 0.8, "linestyle": "-", "markevery": [0]}
    for axis, _, rows in style.panels(records, "dataset", TITLES, height=3.2):
        soft = rows[(rows["teacher"] == "rich") & (rows["label_share"] == 0)]
        style.curves(axis, soft, x="temperature", y="test_accuracy", by="width", labels=names, times=100)
        ends = soft["temperature"].agg(["min", "max"])
        for width, alone in rows[rows["label_share"] == 1].groupby("width")["test_accuracy"]:
            axis.plot(ends, [100 * alone.fillna(GUESS).mean()] * 2, **looks[width] | thin)
        axis.plot([], [], color=style.GREY, marker="o", label="labels alone", **thin)
        style.level(axis, 100 * soft["teacher_accuracy"].mean(), "teacher")
        style.log_axis(axis, sorted(soft["temperature"].unique()))
    return style.finish(axis, records, xlabel="temperature", ylabel="test accuracy / %")


plot_images = plot_temperature


def _widest(records):
    """The widest students, those at T = 4 and those of labels alone."""
    rows = records[records["width"] == records["width"].max()]
    return rows[(rows["temperature"] == 4) | (rows["label_share"] == 1)]


def plot_arms(records):
    """The widest students on digits, T = 4, by share of the labels in the loss."""
    rows = _widest(records[(records["dataset"] == "digits") & (records["teacher"] == "rich")])
    axis = style.axis(height=2.7)
    style.points(axis, rows, x="label_share", y="test_accuracy", times=100)
    return style.finish(axis, rows, xlabel="share of the labels in the loss, α", ylabel="test accuracy / %")


def plot_teachers(records):
    """The widest students at T = 4 by what their teacher had, with the teachers' own mean accuracy."""
    rows = _widest(records)
    rows, alone = rows[rows["label_share"].isin([0, 1])], rows["label_share"] == 1
    rows = rows.assign(
        teacher=rows["teacher"].mask(alone, "none"), teacher_accuracy=rows["teacher_accuracy"].mask(alone)
    )
    for axis, _, own in style.panels(rows, "dataset", TITLES, columns=1, height=4.8):
        kinds = [kind for kind in TEACHERS if kind in set(own["teacher"])]
        style.points(axis, own, x="teacher", y="test_accuracy", levels=kinds, labels=TEACHERS, times=100)
        means = 100 * own.groupby("teacher")["teacher_accuracy"].mean()[kinds]
        places = np.arange(len(kinds))
        axis.hlines(means, places - 0.35, places + 0.35, color="black", linewidth=1.4, label="teacher itself")
    return style.finish(axis, rows, ylabel="test accuracy / %")


def plot_gradient(records):
    """Norm of the soft loss's gradient over temperature, with and without the factor."""
    axis = style.axis()
    style.column_curves(axis, records, x="temperature", columns={"norm": "T² KL", "norm_without": "KL"})
    hot = records["temperature"].max()
    limit = records[records["temperature"] == hot]["norm"].mean()
    for end in (limit, limit / hot**2):
        style.theory(axis, [1, hot], [limit, end], label="limit of high T")
    labels = {"xlabel": "temperature", "ylabel": "norm of the weights' gradient"}
    return style.finish(axis, records, log_ticks=sorted(records["temperature"].unique()), yscale="log", **labels)


def plot_matching(records):
    """Cosine of the soft gradient to the difference of logits, for normal logits, on its expectation."""
    axis, ticks = style.axis(), sorted(records["temperature"].unique())
    grid = np.geomspace(ticks[0], ticks[-1], 25)
    style.theory(axis, grid, [expected_cosine(float(t)) for t in grid], label="expected")
    style.column_curves(axis, records, x="temperature", columns={"cosine": "measured"}, joined=False)
    return style.finish(axis, records, log_ticks=ticks, xlabel="temperature", ylabel="cosine to logit matching")


def plot_left_out(records):
    """Recall of the class that was left out of the transfer set, before and after its bias is raised."""
    hot = "T = " + records["temperature"].astype(int).astype(str)
    rows = records.assign(arm=hot.where(records["label_share"] == 0, "labels"))
    levels = ["labels", *hot.loc[records["temperature"].sort_values().index].unique()]
    axes = style.side_by_side("recall of the missing class / %", "", height=2.9, sharey=True)
    for axis, column, title in zip(axes, ("plain_recall", "corrected_recall"), ("as trained", "bias corrected")):
        style.points(axis, rows, x="arm", y=column, levels=levels, times=100)
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0)
        axis.set_title(title)
    return style.finish(axis, records)
