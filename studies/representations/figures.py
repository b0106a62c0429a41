"""Figures of representations: one plane for two modalities, matches, dictionaries, and accuracy by label."""

import numpy as np
import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style
from claimcheck.figures.look import projected

DATA = {name: title(name) for name in ("digits", "mnist5k", "mnist1d_pool", "cmudict")}
ARMS = {
    "contrastive": "contrast + probe",
    "supervised": "supervised",
    "augmented": "supervised, same views",
    "raw": "raw inputs",
    "random": "random features",
}
NEXT = {
    "autoregressive": "next value + probe",
    "supervised": "supervised",
    "raw": "raw inputs",
    "random": "random features",
}
LOOKS = style.looks([*ARMS, "autoregressive"])
TOWERS = style.looks(["pairs", "untrained", "unseen", "raw", "attraction"])
"""Of arms with two towers: `raw` looks as it does in `LOOKS`."""

CLASSES = 10


def plot_plane(records):
    """Embeddings of images and of signals of one unit in one plane, coloured by class, before and after training."""
    titles = {"untrained": "before training", "pairs": "trained on pairs"}
    colours = [style.COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky", "black")]
    colours += ["#8C510A", "#999999", "#B2DF8A"]
    for axis, _, own in style.panels(records, "arm", titles, height=3.4):
        for modality, (name, mark) in enumerate((("images", "o"), ("signals", "x"))):
            rows = own[own["modality"] == modality]
            for label in range(CLASSES):
                place = rows[rows["label"] == label]
                look = {"s": 16, "marker": mark, "linewidths": 0.9, "alpha": 0.75, "label": f"_{name}, class {label}"}
                edge = (
                    {"facecolors": "none", "edgecolors": colours[label]} if mark == "o" else {"color": colours[label]}
                )
                axis.scatter(place["first"], place["second"], **look, **edge)
            axis.plot([], [], linestyle="", marker=mark, markerfacecolor="none", color=style.GREY, label=name)
        for label in range(CLASSES):
            axis.plot([], [], linestyle="", marker="s", color=colours[label], label=str(label))
    return style.finish(axis, records, xlabel="first component", ylabel="second component")


def plot_towers(records):
    """Share of nearest neighbours of the same class, across modalities and within each."""
    names = {
        "pairs": "pairs",
        "unseen": "8 of 10 classes",
        "attraction": "no negatives",
        "untrained": "before training",
        "raw": "as measured",
    }
    asked = {
        "to_signals": "image → signal",
        "signal_neighbours": "signal → signal",
        "image_neighbours": "image → image",
    }
    rows, titles, label = [], {}, "chance" if projected() else "_chance"  # a page has no room, but a caption
    for data in ("digits", "mnist5k"):
        for column, said in asked.items():
            titles[data + column] = f"{DATA[data]}: {said}"
            own = records[(records["dataset"] == data) & records[column].notna()]
            rows.append(own.assign(panel=data + column, right=own[column]))
    for place, (axis, _, own) in enumerate(style.panels(pd.concat(rows), "panel", titles, columns=3)):
        there = records[records["dataset"] == own["dataset"].iloc[0]]["arm"]
        levels = [arm for arm in names if arm in set(there)]
        how = {"levels": levels, "labels": names, "looks": TOWERS, "times": 100, "horizontal": True}
        style.points(axis, own, x="arm", y="right", **how)
        axis.axvline(100 / CLASSES, color=style.GREY, linestyle=":", linewidth=1.0, label=label)
        axis.tick_params(axis="y", labelleft=place % 3 == 0)
    return style.finish(axis, records, xlabel="nearest of same class / %", xlim=(0, 102), raised=True)


def plot_words(records):
    """Share of spellings whose nearest pronunciation is their own, by the number of candidates, and chance."""
    names = {"pairs": "trained on pairs", "untrained": "before training"}
    looks = {arm: TOWERS[arm] for arm in names}
    counts = sorted(int(column.rsplit("_", 1)[1]) for column in records if column.startswith("test_of_"))
    rows = pd.concat([records.assign(candidates=count, right=records[f"test_of_{count}"]) for count in counts])
    axis = style.axis(height=2.6)
    style.curves(axis, rows, x="candidates", y="right", by="arm", looks=looks, labels=names, times=100)
    style.theory(axis, counts, [100 / count for count in counts], label="chance")
    labels = {"xlabel": "candidates", "ylabel": "own pronunciation nearest / %"}
    return style.finish(axis, records, log_ticks=counts, yscale="log", ylim=(0.01, 150), **labels)


def plot_superposition(records):
    """How near the closest direction learnt is to each that was put in, by method and size of the dictionary."""
    sizes = sorted(records.loc[records["method"] == "sparse", "dictionary"].unique())
    names = {"untrained": "at random", "dense": "no\npenalty", "examples": "examples", "kmeans": "k-means"}
    names |= {"whitened": "k-means,\nwhitened", **{f"sparse {size}": f"sparse,\n{size}" for size in sizes}}
    method = np.where(records["method"] == "sparse", "sparse " + records["dictionary"].astype(str), records["method"])
    axis = style.axis(height=2.8)
    style.points(axis, records.assign(way=method), x="way", y="recovered", labels=names)
    style.level(axis, 0.9, "found")
    return style.finish(axis, records, ylabel="mean greatest cosine", ylim=(0.3, 1.02))


def plot_features(records):
    """Class selectivity of what is read from a hidden layer, of a trained and of a new network."""
    names = {
        "neurons": "neurons",
        "random": "random directions",
        "sparse_neurons": "neurons, as sparse",
        "sparse_random": "random directions, as sparse",
        "features": "features",
    }
    rows = records[records["dictionary"] == records["dictionary"].min()]
    kinds = {"trained": "trained network", "untrained": "new network"}
    titles = {f"{data} {kind}": f"{DATA[data]}, {said}" for data in DATA for kind, said in kinds.items()}
    rows = rows.assign(panel=rows["dataset"] + " " + rows["network"])
    for place, (axis, _, own) in enumerate(style.panels(rows, "panel", titles, columns=2)):
        style.points(axis, own, x="reads", y="selectivity", labels=names, horizontal=True)
        axis.tick_params(axis="y", labelleft=place % 2 == 0)
    return style.finish(axis, records, xlabel="class selectivity", xlim=(0.2, 0.9), raised=True)


def plot_dead(records):
    """Share of features that are never active, by the dictionary's size, and how two dictionaries of a network agree."""
    rows = records[(records["network"] == "trained") & (records["reads"] == "features")]
    names = {f"{data} {size}": f"{DATA[data]}, {size}" for data in DATA for size in sorted(rows["dictionary"].unique())}
    rows = rows.assign(way=rows["dataset"] + " " + rows["dictionary"].astype(str))
    titles = {"dead": "never active / %", "agreement": "cosine of two dictionaries"}
    seen = [rows[rows[column].notna()].assign(panel=column, size=rows[column]) for column in titles]
    for axis, column, own in style.panels(pd.concat(seen), "panel", titles, height=2.6):
        times, there = 100 if column == "dead" else 1, set(own["way"])
        levels = [way for way in names if way in there]
        style.points(axis, own, x="way", y="size", levels=levels, labels=names, times=times, horizontal=True)
    return style.finish(axis, records, raised=True)


def plot_labels(records):
    """Accuracy by share of labels, of probes and of networks trained on the labels alone."""
    rows = records[records["task"] == "class"]
    for axis, _, own in style.panels(rows, "dataset", DATA, height=3.0):
        style.curves(axis, own, x="labels", y="test_accuracy", by="arm", labels=ARMS, times=100)
        shares = sorted(rows["labels"].unique())
        style.log_axis(axis, shares, [f"{100 * share:g}" for share in shares])
    return style.finish(axis, rows, xlabel="labelled examples / %", ylabel="test accuracy / %")


def plot_next(records):
    """Accuracy by share of labels, of probes on features that predict what follows and beside them."""
    shares = [f"{100 * share:g} %" for share in records["labels"]]
    rows = records.assign(way=records["arm"] + ", " + shares)
    names = {f"{arm}, {share}": f"{said}, {share}" for share in sorted(set(shares)) for arm, said in NEXT.items()}
    looks = {f"{arm}, {share}": LOOKS[arm] for share in set(shares) for arm in NEXT}
    titles = {
        data: f"{DATA[data]}: {what}" for data, what in {"cmudict": "syllables", "mnist1d_pool": "classes"}.items()
    }
    for axis, _, own in style.panels(rows, "dataset", titles, columns=1):
        levels = [way for way in names if way in set(own["way"])]
        how = {"levels": levels, "labels": names, "looks": looks, "times": 100, "horizontal": True}
        style.points(axis, own, x="way", y="test_accuracy", **how)
    return style.finish(axis, records, xlabel="test accuracy / %")


def plot_shift(records):
    """Accuracy on moved and on noisy inputs, with a tenth of the labels."""
    rows = records[(records["task"] == "class") & np.isclose(records["labels"], 0.1)]
    kinds = {"moved": "moved", "noisy": "noisy"}
    rows = pd.concat([rows.assign(panel=rows["dataset"] + kind, right=rows[f"{kind}_accuracy"]) for kind in kinds])
    titles = {data + kind: f"{DATA[data]}, {said}" for data in DATA for kind, said in kinds.items()}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        style.points(axis, own, x="arm", y="right", labels=ARMS, times=100, horizontal=True)
    return style.finish(axis, records, xlabel="test accuracy / %", raised=True)


def plot_transfer(records):
    """Accuracy on five classes with 50 labels, on features made from examples of the five others."""
    for axis, _, own in style.panels(records, "dataset", DATA, height=2.6):
        levels = [arm for arm in ARMS if arm in set(own["arm"])]
        style.points(axis, own, x="arm", y="test_accuracy", levels=levels, labels=ARMS, times=100, horizontal=True)
    return style.finish(axis, records, xlabel="test accuracy / %")
