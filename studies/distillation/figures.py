"""Figures of distillation: students by temperature, labels, teacher and modality; gradients; the class left out."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.theory.logit_matching import expected_cosine

from .statistics import GUESS

TITLES = {name: title(name) for name in ("mnist5k", "mnist1d_pool", "digits", "fashion_mnist")}
TEACHERS = {
    "none": "no teacher",
    "equal": "same data",
    "shifts": "+ shifts",
    "rich": "whole pool,\nshifts",
    "smoothed": "and smoothed\nlabels",
}
TAUGHT = {"shuffled": "shuffled pairs", "pairs": "pairs", "labels": "labels"}


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
    """The widest students, T = 4, by share of the labels in the loss."""
    rows = _widest(records[records["teacher"] == "rich"])
    for axis, _, own in style.panels(rows, "dataset", TITLES, height=2.7):
        style.points(axis, own, x="label_share", y="test_accuracy", times=100, lost=GUESS)
    return style.finish(axis, rows, xlabel="share of the labels, α", ylabel="test accuracy / %")


def _teacher_itself(axis, rows, by, levels):
    """The mean test accuracy of the teachers of each of the `levels` that has one, as a black bar."""
    means = 100 * rows.groupby(by)["teacher_accuracy"].mean()[levels]
    places = np.arange(len(levels))
    axis.hlines(means, places - 0.35, places + 0.35, color="black", linewidth=1.4, label="teacher itself")


def plot_teachers(records):
    """The widest students at T = 4 by what their teacher had, with the teachers' own mean accuracy."""
    rows = _widest(records)
    rows, alone = rows[rows["label_share"].isin([0, 1])], rows["label_share"] == 1
    rows = rows.assign(
        teacher=rows["teacher"].mask(alone, "none"), teacher_accuracy=rows["teacher_accuracy"].mask(alone)
    )
    for axis, _, own in style.panels(rows, "dataset", TITLES, columns=1):
        kinds = [kind for kind in TEACHERS if kind in set(own["teacher"])]
        style.points(axis, own, x="teacher", y="test_accuracy", levels=kinds, labels=TEACHERS, times=100, lost=GUESS)
        _teacher_itself(axis, own, "teacher", kinds)
    return style.finish(axis, rows, ylabel="test accuracy / %")


def plot_across(records):
    """Students of another modality than their teacher's, by what they learned from; the teacher's own accuracy."""
    ways = {"to_signals": "{} to signals", "to_images": "signals to {}"}
    titles = {
        f"{way} {data}": said.format(TITLES[data]) for way, said in ways.items() for data in ("digits", "mnist5k")
    }
    rows = records.assign(panel=records["direction"] + " " + records["dataset"])
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        style.points(axis, own, x="taught", y="test_accuracy", labels=TAUGHT, times=100, lost=GUESS)
        _teacher_itself(axis, own.assign(teacher_accuracy=own["teacher_accuracy"].where(own["taught"] == "pairs")),
                        "taught", list(TAUGHT))  # fmt: skip
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0, label="chance")
    return style.finish(axis, records, ylabel="test accuracy / %", ylim=(0, 102))


def plot_gradient(records):
    """Norm of the soft loss's gradient over that of the label loss's, over steps, by temperature; hottest without T², too."""
    hot = records[records["temperature"] == 20]
    arms = {f"T = {t}": records[records["temperature"] == t].assign(soft=lambda rows: rows["norm"]) for t in (1, 4, 20)}
    arms["T = 20, no T²"] = hot.assign(soft=hot["norm_without"])
    rows = pd.concat([each.assign(arm=name, ratio=each["soft"] / each["hard_norm"]) for name, each in arms.items()])
    for axis, _, own in style.panels(rows.reset_index(drop=True), "dataset", TITLES, sharey=True):
        style.curves(axis, own, x="step", y="ratio", by="arm", labels={name: name for name in arms})
        style.region(axis, 10**-0.5, 10**0.5)
        axis.patches[-1].set_label("± half a decade")
    return style.finish(axis, records, xlabel="step", ylabel="soft over hard gradient", yscale="log", ylim=(2e-3, 20))


def plot_matching(records):
    """Cosine of the soft gradient to the difference of logits, for normal logits, on its expectation."""
    axis, ticks = style.axis(), sorted(records["temperature"].unique())
    grid = np.geomspace(ticks[0], ticks[-1], 25)
    style.theory(axis, grid, [expected_cosine(float(t)) for t in grid], label="expected")
    style.column_curves(axis, records, x="temperature", columns={"cosine": "measured"}, joined=False)
    return style.finish(axis, records, log_ticks=ticks, xlabel="temperature", ylabel="cosine to logit matching")


def plot_left_out(records):
    """Recall of the class that was left out of the transfer set, before and after its bias is raised."""
    stages = {"plain": "as trained", "corrected": "bias corrected"}
    titles = {f"{data} {stage}": f"{TITLES[data]}, {said}" for data in TITLES for stage, said in stages.items()}
    arm = np.where(records["label_share"] == 0, "T = " + records["temperature"].astype(int).astype(str), "labels")
    rows = [
        records.assign(arm=arm, panel=records["dataset"] + f" {stage}", recall=records[f"{stage}_recall"])
        for stage in stages
    ]
    levels = ["labels", *sorted(set(arm) - {"labels"})]
    for axis, _, own in style.panels(pd.concat(rows), "panel", titles, columns=2, sharey=True):
        style.points(axis, own, x="arm", y="recall", levels=levels, times=100)
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0, label="chance")
    return style.finish(axis, records, ylabel="recall / %", raised=True)
