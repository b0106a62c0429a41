"""Figures of fine-tuning: ways to tune by shift, few examples, learning and forgetting, words backwards, memory."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style

TITLES = {name: title(name) for name in ("mnist5k", "mnist1d_pool")}
SHIFTS = {"renamed": "classes renamed", "scrambled": "inputs scrambled"}
WAYS = {"none": "none", "head": "head", "rank1": "rank 1", "rank2": "rank 2",
        "rank2_same_rate": "rank 2, same rate", "rank4": "rank 4", "whole": "whole",
        "scratch": "scratch"}  # fmt: skip
LOOKS = style.looks(WAYS)
FEW = {"none": "none", "head scrambled 50": "head, 50,\nscrambled", "head 50": "head, 50", "scratch 50": "scratch, 50",
       "scratch 500": "scratch, 500"}  # fmt: skip
COLUMNS = {"accuracy": "untuned_accuracy", "loss": "untuned_loss"}


def _with_untuned(records, column):
    """The records, and rows for the network as it is before tuning, named "none"."""
    cell = ["dataset", "shift", "seed"]
    before = records.drop_duplicates(cell).assign(tuned="none", examples=0)
    return pd.concat([records, before.assign(**{column: before[COLUMNS[column]]})], ignore_index=True)


def plot_ways(records):
    """Accuracy on the new task by what is tuned, for each data set (rows) and shift (columns), at 500 examples."""
    rows = _with_untuned(records[records["examples"] == 500], "accuracy")
    rows = rows.assign(panel=rows["dataset"] + " " + rows["shift"])
    titles = {f"{name} {shift}": f"{TITLES[name]}, {SHIFTS[shift]}" for name in TITLES for shift in SHIFTS}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        ways = [way for way in WAYS if way in set(own["tuned"])]
        how = {"levels": ways, "labels": WAYS, "times": 100, "lost": 0.1, "horizontal": True}
        style.points(axis, own, x="tuned", y="accuracy", **how)
        axis.axvline(
            100 * own["source_accuracy"].mean(), color=style.GREY, linestyle="--", linewidth=1.0, label="first task"
        )
    return style.finish(axis, rows, xlabel="test accuracy / %", xlim=(0, 102), raised=True)


def plot_few_examples(records):
    """What 50 examples give with features that fit, with such that do not and with none, beside 500 from scratch."""
    rows = _with_untuned(records[records["shift"].isin(["renamed", "scrambled"])], "accuracy")
    shift = np.where(rows["shift"] == "scrambled", " scrambled", "")
    arms = rows["tuned"] + shift + " " + rows["examples"].astype(int).astype(str)
    rows = rows.assign(arm=arms.replace("none 0", "none"))
    for axis, _, own in style.panels(rows[rows["arm"].isin(FEW)], "dataset", TITLES, height=3.0):
        looks = {arm: LOOKS[arm.split()[0]] for arm in FEW}
        style.points(axis, own, x="arm", y="accuracy", looks=looks, labels=FEW, times=100, lost=0.1, horizontal=True)
    return style.finish(axis, rows, xlabel="test accuracy / %", xlim=(0, 102))


def plot_forgetting(records):
    """Accuracy kept on the first task over that on the new one, every run and the means, for scrambled inputs."""
    ways = {way: WAYS[way] for way in ("rank1", "whole")}
    rows = records[records["part"].isin(["classifiers", "few"]) & (records["shift"] == "scrambled")]
    rows = rows[rows["tuned"].isin(list(ways))]
    rows = rows.assign(panel=rows["dataset"] + rows["examples"].map(" {:.0f}".format))
    titles = {f"{name} {count}": f"{TITLES[name]}, {count} examples" for name in TITLES for count in (500, 50)}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        for way, those in own.groupby("tuned"):
            x, y = 100 * those["accuracy"], 100 * those["kept_accuracy"]
            look = {name: LOOKS[way][name] for name in ("color", "marker")}
            axis.plot(x, y, linestyle="", alpha=0.35, markersize=3, **look)
            axis.plot([x.mean()], [y.mean()], linestyle="", markersize=8, label=ways[way], **look)
    return style.finish(axis, rows, xlabel="accuracy on the new task / %", ylabel="kept on the first / %")


def plot_words(records):
    """Accuracy and loss of the next letter, words backwards, by what is tuned; the level of words forwards."""
    axes = style.side_by_side("next letter right / %", "loss / nats a letter", height=3.0)
    for axis, (column, times) in zip(axes, {"accuracy": 100, "loss": 1}.items(), strict=True):
        rows = _with_untuned(records, column)
        ways = [way for way in WAYS if way in set(rows["tuned"])]
        style.points(axis, rows, x="tuned", y=column, levels=ways, labels=WAYS, times=times)
        style.level(axis, times * rows[f"source_{column}"].mean(), "words forwards")
    return style.finish(axes[0], records)


def plot_memory(records):
    """Peak memory of training by examples a step, whole and with LoRA, and what a count of numbers comes to."""
    sizes = {size: f"{size} examples a step" for size in sorted(records["batch_size"].unique())}
    for axis, _, own in style.panels(records, "batch_size", sizes, height=3.0):
        style.points(axis, own, x="tuned", y="peak", levels=["rank4", "whole"], labels=WAYS)
        axis.hlines(own.groupby("tuned")["counted"].mean()[["rank4", "whole"]], [-0.35, 0.65], [0.35, 1.35],
                    color="black", linewidth=1.4, label="counted")  # fmt: skip
        axis.set_ylim(0, 1.08 * own["peak"].max())
    return style.finish(axis, records, ylabel="peak memory / MiB")
