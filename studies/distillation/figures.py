"""Figures of distillation: accuracy of students by temperature, labels and teacher; gradients; the class left out."""

import numpy as np
import pandas as pd

from claimcheck.figures import style
from claimcheck.theory.logit_matching import expected_cosine

from .statistics import GUESS, USUAL

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


def _temperature_axis(axis, rows):
    style.log_axis(axis, sorted(rows["temperature"].unique()))
    axis.set_xlabel("temperature")


def plot_temperature(records):
    """Test accuracy over temperature by width, with the level of labels alone (thin) and of the teacher (dashed)."""
    figure, panels = style.panels(records, "dataset", TITLES, height=3.2)
    looks = style.looks(sorted(records["width"].unique()))
    names = {width: f"{width} units" for width in looks}
    hollow = {"marker": "o", "markerfacecolor": "white", "linewidth": 0.8, "linestyle": "-"}
    for axis, _, rows in panels:
        for width, look in looks.items():  # the last panel's legend names widths of the others, too
            axis.plot([], [], label=names[width], **look)
        soft = rows[(rows["teacher"] == "rich") & (rows["label_share"] == 0)]
        style.curves(axis, soft, x="temperature", y="test_accuracy", by="width", looks=looks, labels=names, times=100)
        for width, alone in rows[rows["label_share"] == 1].groupby("width")["test_accuracy"]:
            level, look = 100 * alone.fillna(GUESS).mean(), looks[width]
            axis.axhline(level, color=look["color"], linestyle="-", linewidth=0.8)
            axis.plot(soft["temperature"].min(), level, **hollow | {"marker": look["marker"], "color": look["color"]})
        axis.plot([], [], color=style.GREY, label="labels alone", **hollow)
        style.theory(axis, None, 100 * soft["teacher_accuracy"].mean(), label="teacher")
        _temperature_axis(axis, soft)
    panels[0].axis.set_ylabel("test accuracy / %")
    style.legend(axis)
    style.count(axis, records)
    return figure


plot_images = plot_temperature


def plot_arms(records):
    """The widest students on digits, T = 4, by share of the labels in the loss."""
    rows = records[(records["dataset"] == "digits") & (records["teacher"] == "rich")]
    rows = rows[rows["width"] == rows["width"].max()]
    rows = rows[(rows["temperature"] == USUAL) | (rows["label_share"] == 1)]
    figure, axis = style.figure(height=2.7)
    levels = sorted(rows["label_share"].unique())
    style.points(axis, rows, x="label_share", y="test_accuracy", levels=levels, times=100)
    axis.set(xlabel="share of the labels in the loss, α", ylabel="test accuracy / %")
    style.count(axis, rows)
    return figure


def plot_teachers(records):
    """The widest students at T = 4 by what their teacher had, with the teachers' own mean accuracy."""
    widest = records[records["width"] == records["width"].max()]
    soft = widest[(widest["temperature"] == USUAL) & (widest["label_share"] == 0)]
    alone = widest[widest["label_share"] == 1].assign(teacher="none", teacher_accuracy=np.nan)
    figure, panels = style.panels(pd.concat([soft, alone]), "dataset", TITLES, columns=1, height=4.8)
    looks = style.looks(TEACHERS)
    for axis, _, rows in panels:
        kinds = [kind for kind in TEACHERS if kind in set(rows["teacher"])]
        style.points(axis, rows, x="teacher", y="test_accuracy", levels=kinds, looks=looks, labels=TEACHERS, times=100)
        own = 100 * rows.groupby("teacher")["teacher_accuracy"].mean()
        for place, kind in enumerate(kinds):
            axis.hlines(own[kind], place - 0.35, place + 0.35, color="black", linewidth=1.4, label="teacher itself")
        axis.set_ylabel("test accuracy / %")
        style.count(axis, rows)
    style.legend(panels[0].axis)
    return figure


def plot_gradient(records):
    """Norm of the soft loss's gradient over temperature, with and without the factor."""
    figure, axis = style.figure()
    style.column_curves(axis, records, x="temperature", columns={"norm": "T² KL", "norm_without": "KL"})
    hot = records["temperature"].max()
    level, grid = records[records["temperature"] == hot]["norm"].mean(), np.array([1.0, hot])
    style.theory(axis, grid, level + 0 * grid, label="limit of high T")
    style.theory(axis, grid, level / grid**2, label="limit of high T")
    axis.set_yscale("log")
    _temperature_axis(axis, records)
    axis.set_ylabel("norm of the weights' gradient")
    style.legend(axis)
    style.count(axis, records)
    return figure


def plot_matching(records):
    """Cosine of the soft gradient to the difference of logits, for normal logits, on its expectation."""
    figure, axis = style.figure()
    grid = np.geomspace(records["temperature"].min(), records["temperature"].max(), 25)
    style.theory(axis, grid, [expected_cosine(float(t)) for t in grid], label="expected")
    style.column_curves(axis, records, x="temperature", columns={"cosine": "measured"})
    style.unjoined(axis, ["measured"])
    _temperature_axis(axis, records)
    axis.set(ylabel="cosine to logit matching", ylim=(None, 1.01))
    style.legend(axis)
    style.count(axis, records)
    return figure


def plot_left_out(records):
    """Recall of the class that was left out of the transfer set, before and after its bias is raised."""
    figure, axes = style.figure(1, 2, height=2.9, sharey=True)
    hot = "T = " + records["temperature"].astype(int).astype(str)
    rows = records.assign(arm=hot.where(records["label_share"] == 0, "labels"))
    levels = ["labels", *(f"T = {int(t)}" for t in sorted(records["temperature"].unique()))]
    for axis, (column, title) in zip(axes, {"plain": "as trained", "corrected": "bias corrected"}.items(), strict=True):
        style.points(axis, rows, x="arm", y=f"{column}_recall", levels=levels, times=100)
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0)
        axis.set_title(title)
    axes[0].set_ylabel("recall of the missing class / %")
    style.count(axis, records)
    return figure
