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


def _temperatures(axis, rows):
    style.log_axis(axis, sorted(rows["temperature"].unique()))
    axis.set_xlabel("temperature")


def plot_temperature(records):
    """Test accuracy over temperature by width, with the level of labels alone (thin) and of the teacher (dashed)."""
    _, panels = style.panels(records, "dataset", TITLES, height=3.2)
    looks = style.looks(sorted(records["width"].unique()))
    names = {width: f"{width} units" for width in looks}
    thin = {"markerfacecolor": "white", "linewidth": 0.8, "linestyle": "-", "markevery": [0]}
    for axis, _, rows in panels:
        for width, look in looks.items():  # the last panel's legend names widths of the others, too
            axis.plot([], [], label=names[width], **look)
        soft = rows[(rows["teacher"] == "rich") & (rows["label_share"] == 0)]
        style.curves(axis, soft, x="temperature", y="test_accuracy", by="width", looks=looks, labels=names, times=100)
        ends = soft["temperature"].agg(["min", "max"])
        for width, alone in rows[rows["label_share"] == 1].groupby("width")["test_accuracy"]:
            axis.plot(ends, [100 * alone.fillna(GUESS).mean()] * 2, **looks[width] | thin)
        axis.plot([], [], color=style.GREY, marker="o", label="labels alone", **thin)
        style.theory(axis, None, 100 * soft["teacher_accuracy"].mean(), label="teacher")
        _temperatures(axis, soft)
    panels[0].axis.set_ylabel("test accuracy / %")
    return style.finish(axis, records)


plot_images = plot_temperature


def _widest(records):
    """The widest students, those at T = 4 and those of labels alone."""
    rows = records[records["width"] == records["width"].max()]
    return rows[(rows["temperature"] == 4) | (rows["label_share"] == 1)]


def plot_arms(records):
    """The widest students on digits, T = 4, by share of the labels in the loss."""
    rows = _widest(records[(records["dataset"] == "digits") & (records["teacher"] == "rich")])
    _, axis = style.figure(height=2.7)
    levels = sorted(rows["label_share"].unique())
    style.points(axis, rows, x="label_share", y="test_accuracy", levels=levels, times=100)
    return style.finish(axis, rows, xlabel="share of the labels in the loss, α", ylabel="test accuracy / %")


def plot_teachers(records):
    """The widest students at T = 4 by what their teacher had, with the teachers' own mean accuracy."""
    rows = _widest(records)
    rows, alone = rows[rows["label_share"].isin([0, 1])], rows["label_share"] == 1
    rows = rows.assign(
        teacher=rows["teacher"].mask(alone, "none"), teacher_accuracy=rows["teacher_accuracy"].mask(alone)
    )
    figure, panels = style.panels(rows, "dataset", TITLES, columns=1, height=4.8)
    looks = style.looks(TEACHERS)
    for axis, _, rows in panels:
        kinds = [kind for kind in TEACHERS if kind in set(rows["teacher"])]
        style.points(axis, rows, x="teacher", y="test_accuracy", levels=kinds, looks=looks, labels=TEACHERS, times=100)
        own = 100 * rows.groupby("teacher")["teacher_accuracy"].mean()[kinds]
        places = np.arange(len(kinds))
        axis.hlines(own, places - 0.35, places + 0.35, color="black", linewidth=1.4, label="teacher itself")
        axis.set_ylabel("test accuracy / %")
        style.count(axis, rows)
    style.legend(panels[0].axis)
    return figure


def plot_gradient(records):
    """Norm of the soft loss's gradient over temperature, with and without the factor."""
    _, axis = style.figure()
    style.column_curves(axis, records, x="temperature", columns={"norm": "T² KL", "norm_without": "KL"})
    hot = records["temperature"].max()
    level = records[records["temperature"] == hot]["norm"].mean()
    for end in (level, level / hot**2):
        style.theory(axis, [1, hot], [level, end], label="limit of high T")
    _temperatures(axis, records)
    return style.finish(axis, records, yscale="log", ylabel="norm of the weights' gradient")


def plot_matching(records):
    """Cosine of the soft gradient to the difference of logits, for normal logits, on its expectation."""
    _, axis = style.figure()
    grid = np.geomspace(records["temperature"].min(), records["temperature"].max(), 25)
    style.theory(axis, grid, [expected_cosine(float(t)) for t in grid], label="expected")
    style.column_curves(axis, records, x="temperature", columns={"cosine": "measured"})
    style.unjoined(axis, ["measured"])
    _temperatures(axis, records)
    return style.finish(axis, records, ylabel="cosine to logit matching", ylim=(None, 1.01))


def plot_left_out(records):
    """Recall of the class that was left out of the transfer set, before and after its bias is raised."""
    _, axes = style.figure(1, 2, height=2.9, sharey=True)
    hot = "T = " + records["temperature"].astype(int).astype(str)
    rows = records.assign(arm=hot.where(records["label_share"] == 0, "labels"))
    levels = ["labels", *hot.loc[records["temperature"].sort_values().index].unique()]
    for axis, (name, title) in zip(axes, {"plain": "as trained", "corrected": "bias corrected"}.items(), strict=True):
        style.points(axis, rows, x="arm", y=f"{name}_recall", levels=levels, times=100)
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0)
        axis.set_title(title)
    axes[0].set_ylabel("recall of the missing class / %")
    return style.finish(axis, records)
