"""Figures of gated units: gains over ReLU in transformers and in classifiers, and what a step costs."""

import pandas as pd

from claimcheck.data.names import title
from claimcheck.figures import style

FORMS = {
    "swiglu": "SwiGLU",
    "relu": "ReLU",
    "swish": "Swish",
    "geglu": "GEGLU",
    "reglu": "ReGLU",
    "bilinear": "bilinear",
}
ORDER = ("relu", "swish", "bilinear", "reglu", "geglu", "swiglu")
TITLES = {name: title(name) for name in ("spellings", "phonemes", "mnist1d_pool", "digits")}
T5 = {"swish": 1.994, "bilinear": 1.960, "geglu": 1.942, "swiglu": 1.944}
"""Log-perplexity of T5 with each form after 65,536 steps; with ReLU 1.997 (Shazeer 2020, table 1)."""


def _against_relu(records, column):
    """Rows of the other forms with `gain`, the share of ReLU's value in the same unit that they lie above it."""
    relu = records[records["form"] == "relu"].set_index(["dataset", "seed"])[column]
    base = relu.reindex(records[["dataset", "seed"]].itertuples(index=False)).to_numpy()
    return records.assign(gain=records[column] / base - 1.0)[records["form"] != "relu"]


def plot_language(records):
    """Test loss against that of ReLU in the same unit, by form, with what Shazeer found for T5."""
    rows = _against_relu(records, "test_loss")
    levels = [form for form in ORDER if form != "relu"]
    for axis, _, own in style.panels(rows, "dataset", TITLES, height=3.4, sharex=True):
        style.points(axis, own, x="form", y="gain", levels=levels, labels=FORMS, times=100, horizontal=True)
        places = [levels.index(form) for form in T5]
        published = [100 * (loss / 1.997 - 1) for loss in T5.values()]
        axis.plot(published, places, color="black", marker="D", markerfacecolor="white", linestyle="", label="in T5")
        style.threshold(axis, 0.0, "ReLU")
    return style.finish(axis, records, xlabel="test loss less ReLU's / % of it", raised=True)


def plot_classifiers(records):
    """Test loss, which is judged, and test error of a feed-forward layer alone, by form."""
    levels = [form for form in ORDER if form in set(records["form"])]
    columns = {"test_loss": ("test loss / nats", 1), "test_error": ("test error / %", 100)}
    rows = pd.concat(
        records.assign(panel=records["dataset"] + column, value=times * records[column])
        for column, (_, times) in columns.items()
    )
    titles = {data + column: f"{TITLES[data]}: {said}" for data in TITLES for column, (said, _) in columns.items()}
    for axis, _, own in style.panels(rows, "panel", titles, columns=2):
        style.points(axis, own, x="form", y="value", levels=levels, labels=FORMS)
    return style.finish(axis, records, raised=True)


def plot_timing(records):
    """Time of a forward and backward pass over that with ReLU, every repetition a dot."""
    rows = records[records["times"] == 1]
    relu = rows[rows["form"] == "relu"].set_index("seed")["seconds"]
    rows = rows.assign(ratio=rows["seconds"] / rows["seed"].map(relu))[rows["form"] != "relu"]
    axis = style.axis(height=2.4)
    levels = [form for form in ORDER if form in set(rows["form"])]
    style.points(axis, rows, x="form", y="ratio", levels=levels, labels=FORMS, average="median", horizontal=True)
    style.threshold(axis, 1.0, "ReLU")
    figure = style.finish(axis, rows, "median", xlabel="time / time with ReLU", xlim=(0.95, None))
    style.region(axis, None, 1.3, across="x")
    return figure
