"""Teachers and students: what soft targets carry, what temperature does to them, and what the factor T^2 is for.

A teacher with one wide hidden layer is trained per seed; students of other widths learn from its logits on their own few
examples. Everything is judged at the last step.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from claimcheck.figures import style
from claimcheck.engine import measure, networks
from claimcheck.engine.augmentation import shifted
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data, softmax_cross_entropy, train
from claimcheck.judging.cross_fitting import cross_fitted
from claimcheck.theory.logit_matching import cosine_to_logit_difference, expected_cosine, log_softmax, soft_loss

TEACHERS = pd.DataFrame(
    {
        "rich": {"pool": 1.0, "shifts": 1.0, "dropout": 0.0, "smoothing": 0.0},
        "smoothed": {"pool": 1.0, "shifts": 1.0, "dropout": 0.0, "smoothing": 0.2},
        "equal": {"pool": 0.0, "shifts": 0.0, "dropout": 0.0, "smoothing": 0.0},
        "shifts": {"pool": 0.0, "shifts": 1.0, "dropout": 0.0, "smoothing": 0.0},
        "dropout": {"pool": 0.0, "shifts": 0.0, "dropout": 1.0, "smoothing": 0.0},
        "both": {"pool": 0.0, "shifts": 1.0, "dropout": 1.0, "smoothing": 0.0},
    }
).T
"""What each kind of teacher has: the whole pool (or just its student's examples), random shifts of them, dropout, label smoothing."""

MISSING = 3
"""The class that is left out of a transfer set."""

USUAL = 4
"""Temperature of arms that do not vary it."""


# --- data -------------------------------------------------------------------------------------------------------------


def _pool(context, name):
    """Training pool, validation set and test set of a data set, as (x, y) pairs; the validation set ends the train split."""
    data, sizes = context.dataset(name), context.settings[name]
    centre, scale = data.x_train.mean(), data.x_train.std()
    data = replace(data, x_train=(data.x_train - centre) / scale, x_test=(data.x_test - centre) / scale)
    held = len(data.x_train) - sizes["validation"]
    pool = slice(0, min(held, sizes["pool"]))
    test = slice(0, sizes["test"])
    return (
        (data.x_train[pool], data.y_train[pool]),
        (data.x_train[held:], data.y_train[held:]),
        (data.x_test[test], data.y_test[test]),
    )


def _own_examples(context, seeds, size, examples):
    """Each seed's own examples, [seeds, examples] positions in a pool of `size`."""
    rows = [torch.randperm(size, generator=context.generator(seed, "examples"))[:examples] for seed in seeds]
    return torch.stack(rows).to(context.device)


# --- training ---------------------------------------------------------------------------------------------------------


def _answers(predict, batch, hyper):
    logits = predict(batch["x"])
    return {"accuracy": (logits.argmax(-1) == batch["y"]).to(logits.dtype).mean()}


def _train_teachers(context, name, wanted):
    """Teachers for the (kind, seed) pairs `wanted`: their logits on the pool [pairs, N, C] and their test accuracies [pairs]."""
    runs = pd.DataFrame([{"run": f"{kind}:{seed}", "seed": seed, "kind": kind} for kind, seed in wanted])
    rates = context.settings[name].get("teacher_rates", {})
    runs = runs.join(TEACHERS, on="kind")
    runs["learning_rate"] = [rates.get(kind, context.settings.teacher_rate) for kind in runs["kind"]]
    logits, accuracy = [None] * len(runs), np.empty(len(runs))
    for _, group in runs.groupby("dropout"):  # dropout is other code
        said, accuracy[group.index] = _train_teachers_alike(group, context, name)
        for row, answer in zip(group.index, said, strict=True):
            logits[row] = answer
    return torch.stack(logits), accuracy


def _train_teachers_alike(runs, context, name):
    """Teachers that all have dropout or all have none: logits on the pool [R, N, C], test accuracies [R]."""
    sizes = context.settings[name]
    (x, y), _, test = _pool(context, name)
    own = _own_examples(context, runs["seed"], len(x), sizes["examples"])
    everything = torch.arange(len(x), device=x.device)
    repeated = own.repeat(1, -(-len(x) // sizes["examples"]))[:, : len(x)]
    seen = torch.stack([everything if pool else mine for pool, mine in zip(runs["pool"], repeated, strict=True)])
    dropout = context.settings.teacher_dropout if runs["dropout"].iloc[0] else None

    def loss(predict, batch, hyper):
        logits = predict(shifted(batch["x"], batch["key"], sizes["reach"], hyper["shifts"]))
        hard = softmax_cross_entropy(logits, batch["y"]).mean()
        return (1 - hyper["smoothing"]) * hard - hyper["smoothing"] * log_softmax(logits).mean()

    trained = train(
        runs.drop(columns=["kind", "dropout"]), context, data=Data({"x": x, "y": y}, subset=seen), loss=loss,
        steps=sizes["teacher_steps"], batch_size=context.settings.batch_size,
        network=lambda run, generator: networks.MLP(
            x[0].numel(), [context.settings.teacher_width], 10, generator=generator, dropout=dropout
        ),
        optimizer="adam", hyper={"schedule": "cosine"}, streams="teacher/",
        evaluate={"test": (Data({"x": test[0], "y": test[1]}), _answers)},
    )  # fmt: skip
    logits = trained.ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": x}))
    return logits, trained.records["test_accuracy"].to_numpy()


def _student_loss(predict, batch, hyper):
    """alpha CE + (1 - alpha) T^2 KL, alpha being the share of the labels."""
    logits, share = predict(batch["x"]), hyper["label_share"]
    hard = softmax_cross_entropy(logits, batch["y"]).mean()
    soft = hyper["temperature"] ** 2 * soft_loss(logits, batch["logits"], hyper["temperature"]).mean()
    return share * hard + (1 - share) * soft


def _train_students(runs, context, name, width, logits, subset, evaluate):
    """Students of one width on their own examples; `logits` [R, N, C] of each one's teacher."""
    (x, y), _, _ = _pool(context, name)
    return train(
        runs, context, data=Data({"x": x, "y": y}, {"logits": logits}, subset), loss=_student_loss,
        network=lambda run, generator: networks.MLP(x[0].numel(), [width], 10, generator=generator),
        steps=context.settings[name]["steps"], batch_size=context.settings.batch_size, optimizer="adam",
        evaluate=evaluate,
    )  # fmt: skip


def _taught(runs, context, name):
    """Teachers of the runs, each trained once: logits for each run [R, N, C] and test accuracy of each run's teacher [R]."""
    pairs = list(dict.fromkeys(zip(runs["teacher"], runs["seed"].astype(int), strict=True)))
    logits, accuracy = _train_teachers(context, name, pairs)
    rows = [pairs.index((run.teacher, int(run.seed))) for run in runs.itertuples()]
    return logits[rows], accuracy[rows]


def run_students(runs, context):
    """Validation and test accuracy of students by width, teacher, temperature and share of the labels."""
    name, frames = runs["dataset"].iloc[0], []
    runs = runs.reset_index(drop=True)
    logits, accuracy = _taught(runs, context, name)
    pool, validation, test = _pool(context, name)
    evaluate = {
        "validation": (Data({"x": validation[0], "y": validation[1]}), _answers),
        "test": (Data({"x": test[0], "y": test[1]}), _answers),
    }
    for width, group in runs.groupby("width"):
        rows = list(group.index)
        subset = _own_examples(context, group["seed"], len(pool[0]), context.settings[name]["examples"])
        trained = _train_students(group, context, name, int(width), logits[rows], subset, evaluate)
        frames.append(trained.records.assign(teacher_accuracy=accuracy[rows]))
    return pd.concat(frames, ignore_index=True)


run_images = run_students


def run_left_out(runs, context):
    """Students that never see one class: recall of it and of the others, before and after a correction of its bias."""
    name = "digits"
    runs = runs.reset_index(drop=True)
    (_, y), validation, test = _pool(context, name)
    logits, _ = _taught(runs, context, name)
    kept = torch.nonzero(y != MISSING)[:, 0]
    order = _own_examples(context, runs["seed"], len(kept), context.settings[name]["examples"])
    known = validation[1] != MISSING
    evaluate = {"validation": (Data({"x": validation[0][known], "y": validation[1][known]}), _answers)}
    trained = _train_students(runs, context, name, context.settings.width, logits, kept[order], evaluate)
    said = trained.ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": test[0]}))
    found = pd.DataFrame([_recalls(each, test[1]) for each in said])
    return pd.concat([trained.records, found], axis=1)


def _recalls(logits, labels):
    """Recall of the missing class and of the others, before and after its bias is raised.

    Labels play no part in the correction: the bias is raised until one example in ten is given to the class.
    """
    others = torch.cat([logits[:, :MISSING], logits[:, MISSING + 1 :]], 1).amax(1)
    lead = logits[:, MISSING] - others
    is_missing, found = labels == MISSING, {}
    for name, bias in {"plain": 0.0, "corrected": -float(lead.double().quantile(0.9))}.items():
        chosen = lead + bias > 0
        found[f"{name}_recall"] = float(chosen[is_missing].double().mean())
        raised = logits.clone()
        raised[:, MISSING] += bias
        found[f"{name}_others"] = float((raised.argmax(1) == labels)[~is_missing].double().mean())
    return found


def run_gradients(runs, context):
    """Gradient of T^2 KL with respect to a new student's weights (norm), and its cosine to the difference of logits."""
    runs = runs.reset_index(drop=True)
    (x, _), _, _ = _pool(context, "digits")
    logits, _ = _taught(runs.assign(teacher="rich"), context, "digits")
    students = Ensemble.build(
        runs, lambda run, generator: networks.MLP(x[0].numel(), [context.settings.width], 10, generator=generator),
        lambda seed: context.generator(seed, "init"), device=context.device,
    )  # fmt: skip

    def loss(predict, batch, hyper):
        return hyper["temperature"] ** 2 * soft_loss(predict(batch["x"]), batch["logits"], hyper["temperature"]).mean()

    data = Data({"x": x}, {"logits": logits})
    norms = measure.gradient_of(students, data, loss).double().norm(dim=1).cpu().numpy()
    said = students.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": x}))
    cosines = [
        float(cosine_to_logit_difference(student, teacher, float(temperature)).mean())
        for student, teacher, temperature in zip(said, logits, runs["temperature"], strict=True)
    ]
    spread = (logits - logits.mean(-1, keepdim=True)).double().pow(2).mean((1, 2)).sqrt().cpu().numpy()
    return pd.DataFrame({
        "run": runs["run"], "norm": norms, "norm_without": norms / runs["temperature"] ** 2,
        "cosine": cosines, "logit_deviation": spread,
    })  # fmt: skip


def run_matching(runs, context):
    """Cosine of the soft loss's gradient to the difference of logits, for normal logits of student and teacher."""
    shape, rows = (2, context.settings.pairs, 10), []
    for seed, group in runs.groupby("seed"):
        drawn = torch.randn(shape, generator=context.generator(seed, "logits")).double() * context.settings.deviation
        for run in group.itertuples():
            cosine = cosine_to_logit_difference(drawn[0], drawn[1], float(run.temperature)).mean()
            rows.append({"run": run.run, "cosine": float(cosine)})
    return pd.DataFrame(rows)


# --- statistics: one number per seed ----------------------------------------------------------------------------------


def _arm(records, column="test_accuracy", **where):
    """A column of the one arm that matches `where`, by seed; a diverged student counts as a guess among ten."""
    for name, value in where.items():
        records = records[records[name] == value]
    return records.set_index("seed")[column].fillna(0.1)


def _widths(records):
    return sorted(records["width"].unique())


def _labels_only(records, width):
    return _arm(records, width=width, label_share=1.0)


def _by_temperature(records, width, column="test_accuracy"):
    """Students of the rich teacher by soft targets alone: seeds by temperature."""
    rows = records[(records["teacher"] == "rich") & (records["label_share"] == 0) & (records["width"] == width)]
    return rows.pivot(index="seed", columns="temperature", values=column).fillna(0.1)


def _distilled(records, width, least=0):
    """Test accuracy at the temperature (at least `least`) that is best on the other seeds' validation sets."""
    judged = _by_temperature(records, width, "validation_accuracy")
    chosen = cross_fitted(judged, [t for t in judged.columns if t >= least], "idxmax")
    table = _by_temperature(records, width)
    return pd.Series({seed: table.loc[seed, t] for seed, t in chosen.items()}).rename_axis("seed")


def _mean_over_widths(records, what):
    return pd.concat([what(records, width) for width in _widths(records)], axis=1).mean(axis=1)


def _gain(records):
    return _mean_over_widths(records, _distilled) - _mean_over_widths(records, _labels_only)


def _gap_closed(records):
    """Share of the gap between label-only student and teacher that distillation closes."""
    teacher = _arm(records, "teacher_accuracy", width=_widths(records)[0], label_share=1.0)
    return _gain(records) / (teacher - _mean_over_widths(records, _labels_only))


def _on(name, statistic):
    """The same statistic on one data set's rows."""
    return lambda records: statistic(records[records["dataset"] == name])


def _softening(records):
    """At the widest: the best temperature above 1 less temperature 1."""
    width = _widths(records)[-1]
    return _distilled(records, width, least=2) - _by_temperature(records, width)[1]


def _cost_of_heat(records, width):
    """Accuracy at the highest temperature less that at 1."""
    table = _by_temperature(records, width)
    return table[table.columns.max()] - table[1]


def _small_against_large(records):
    return _cost_of_heat(records, _widths(records)[0]) - _cost_of_heat(records, _widths(records)[-1])


def _alike_when_hot(records):
    table = _by_temperature(records, _widths(records)[-1])
    return table[8] - table[table.columns.max()]


def _mixed(records):
    """Test accuracy of the best mixture (on the other seeds' validation sets) at the widest, T = USUAL."""
    width = _widths(records)[-1]
    rows = records[(records["teacher"] == "rich") & (records["temperature"] == USUAL) & (records["width"] == width)]
    rows = rows[rows["label_share"].between(0, 1, inclusive="neither")]
    tables = [
        rows.pivot(index="seed", columns="label_share", values=column).fillna(0.1)
        for column in ("validation_accuracy", "test_accuracy")
    ]
    chosen = cross_fitted(tables[0], list(tables[0].columns), "idxmax")
    return pd.Series({seed: tables[1].loc[seed, share] for seed, share in chosen.items()}).rename_axis("seed")


def _mixing(records):
    return _mixed(records) - _labels_only(records, _widths(records)[-1])


def _mixture_against_soft(records):
    return _mixed(records) - _by_temperature(records, _widths(records)[-1])[USUAL]


def _taught_by(records, teacher):
    return _arm(records, teacher=teacher, width=_widths(records)[-1], temperature=USUAL, label_share=0.0)


def _equal_teacher_gain(records):
    return _taught_by(records, "equal") - _labels_only(records, _widths(records)[-1])


def _between(first, second):
    """A statistic: accuracy of students of one teacher less that of students of another."""
    return lambda records: _taught_by(records, first) - _taught_by(records, second)


digits_gain = _on("digits", _gain)
digits_gap_closed = _on("digits", _gap_closed)
signals_gain = _on("mnist1d", _gain)
signals_gap_closed = _on("mnist1d", _gap_closed)
equal_teacher_gain = _on("digits", _equal_teacher_gain)
smoothed_teacher_loss = _on("digits", _between("rich", "smoothed"))
digits_shifts = _on("digits", _between("shifts", "equal"))
digits_dropout = _on("digits", _between("dropout", "equal"))
signals_shifts = _on("mnist1d", _between("shifts", "equal"))
signals_dropout = _on("mnist1d", _between("dropout", "equal"))
digits_softening = _on("digits", _softening)
signals_softening = _on("mnist1d", _softening)
small_against_large = _on("digits", _small_against_large)
alike_when_hot = _on("digits", _alike_when_hot)
digits_mixing = _on("digits", _mixing)
mixture_against_soft = _on("digits", _mixture_against_soft)
images_gain = _on("fashion_mnist", _gain)
images_softening = _on("fashion_mnist", _softening)
images_small_against_large = _on("fashion_mnist", _small_against_large)


def _norms(records, column):
    return np.log(records.pivot(index="seed", columns="temperature", values=column))


def balanced_norm(records):
    """Gradient norm with T^2: the larger over the smaller of those at T >= 4."""
    logs = _norms(records, "norm")
    logs = logs[[t for t in logs.columns if t >= USUAL]]
    return np.exp(logs.max(axis=1) - logs.min(axis=1))


def unbalanced_slope(records):
    """Exponent of T in the gradient norm without T^2, between T = 4 and the highest."""
    logs = _norms(records, "norm_without")
    hottest = logs.columns.max()
    return (logs[hottest] - logs[USUAL]) / np.log(hottest / USUAL)


def balanced_when_hot(records):
    """Gradient norm with T^2 at the highest temperature over that at 20."""
    logs = _norms(records, "norm")
    return np.exp(logs[logs.columns.max()] - logs[20])


def cosine_error(records):
    """Measured less expected cosine at the temperature where they differ most."""
    table = records.pivot(index="seed", columns="temperature", values="cosine")
    errors = table - [expected_cosine(float(t)) for t in table.columns]
    return errors[errors.mean().abs().idxmax()]


def network_cosine(records):
    """Cosine of a new student's gradient to logit matching at T = 20."""
    return _arm(records, "cosine", temperature=20)


def _recall(records, column, label_share):
    return _arm(records, column, label_share=label_share, temperature=USUAL if label_share == 0 else 1)


def corrected_recall(records):
    return _recall(records, "corrected_recall", 0.0)


def recall_beyond_labels(records):
    return _recall(records, "corrected_recall", 0.0) - _recall(records, "corrected_recall", 1.0)


def plain_recall(records):
    return _recall(records, "plain_recall", 0.0)


# --- figures ----------------------------------------------------------------------------------------------------------

ARMS = {
    "none": "no teacher",
    "equal": "same data",
    "dropout": "+ dropout",
    "shifts": "+ shifts",
    "both": "+ both",
    "rich": "whole pool,\nshifts",
    "smoothed": "the same,\nsmoothed",
}
TITLES = {"digits": "digits", "mnist1d": "MNIST-1D", "fashion_mnist": "Fashion-MNIST"}


def _temperature_axis(axis, records):
    style.log_axis(axis, sorted(records["temperature"].unique()))
    axis.set_xlabel("temperature")


def plot_temperature(records):
    """Test accuracy over temperature by width, with the level of labels alone (thin) and of the teacher (dashed)."""
    names = [name for name in TITLES if name in set(records["dataset"])]
    figure, axes = style.figure(1, len(names), height=3.2, squeeze=False)
    looks = style.looks(_widths(records))
    for axis, name in zip(axes[0], names, strict=True):
        rows = records[records["dataset"] == name].assign(accuracy=100 * records["test_accuracy"])
        soft = rows[(rows["teacher"] == "rich") & (rows["label_share"] == 0)]
        present = {width: look for width, look in looks.items() if width in set(soft["width"])}
        style.curves(axis, soft, x="temperature", y="accuracy", by="width", looks=present, labels={})
        for width, look in present.items():
            level = 100 * _labels_only(rows, width).mean()
            axis.axhline(level, color=look["color"], linestyle="-", linewidth=0.8)
            axis.plot(
                soft["temperature"].min(), level, marker=look["marker"], color=look["color"], markerfacecolor="white"
            )
        style.theory(axis, None, 100 * soft["teacher_accuracy"].mean(), label="teacher")
        _temperature_axis(axis, soft)
        axis.set_title(TITLES[name])
    axes[0][0].set_ylabel("test accuracy / %")
    last = axes[0][-1]
    for line in last.lines:
        line.set_label("_" + str(line.get_label()))
    for width, look in looks.items():
        last.plot([], [], label=f"{width} units", **look)
    last.plot(
        [],
        [],
        color=style.GREY,
        linewidth=0.8,
        linestyle="-",
        marker="o",
        markerfacecolor="white",
        label="labels alone",
    )
    last.plot([], [], color="black", linestyle=(0, (4, 2)), marker="", label="teacher")
    style.legend(last)
    style.count(last, records)
    return figure


plot_images = plot_temperature


def plot_arms(records):
    """The widest students on digits, T = 4, by share of the labels in the loss."""
    rows = records[(records["dataset"] == "digits")].assign(accuracy=100 * records["test_accuracy"])
    rows = rows[(rows["width"] == _widths(rows)[-1]) & (rows["teacher"] == "rich")]
    rows = rows[(rows["temperature"] == USUAL) | (rows["label_share"] == 1)]
    figure, axis = style.figure(height=2.7)
    style.points(axis, rows, x="label_share", y="accuracy", levels=sorted(rows["label_share"].unique()))
    axis.set(xlabel="share of the labels in the loss, α", ylabel="test accuracy / %")
    style.count(axis, rows)
    return figure


def plot_teachers(records):
    """The widest students at T = 4 by what their teacher had, with the teachers' own mean accuracy."""
    names = [name for name in ("digits", "mnist1d") if name in set(records["dataset"])]
    figure, axes = style.figure(len(names), 1, height=4.8, squeeze=False)
    for axis, name in zip(axes[:, 0], names, strict=True):
        rows = records[(records["dataset"] == name) & (records["width"] == records["width"].max())]
        soft = rows[(rows["temperature"] == USUAL) & (rows["label_share"] == 0)]
        rows = pd.concat([soft, rows[rows["label_share"] == 1].assign(teacher="none", teacher_accuracy=np.nan)])
        rows = rows.assign(accuracy=100 * rows["test_accuracy"])
        kinds = [kind for kind in ARMS if kind in set(rows["teacher"])]
        style.points(axis, rows, x="teacher", y="accuracy", levels=kinds, looks=style.looks(ARMS))
        own = 100 * rows.groupby("teacher")["teacher_accuracy"].mean()
        for place, kind in enumerate(kinds):
            axis.hlines(own[kind], place - 0.35, place + 0.35, color="black", linewidth=1.4, label="teacher itself")
        axis.set_xticks(range(len(kinds)), [ARMS[kind] for kind in kinds])
        axis.set(title=TITLES[name], ylabel="test accuracy / %")
        style.count(axis, rows)
    style.legend(axes[0, 0])
    return figure


def plot_gradient(records):
    """Norm of the soft loss's gradient over temperature, with and without the factor."""
    figure, axis = style.figure()
    looks = style.looks(["norm", "norm_without"])
    for column, label in {"norm": "T² KL", "norm_without": "KL"}.items():
        style.curves(axis, records, x="temperature", y=column, looks={column: looks[column]}, labels={column: label})
    hot = records["temperature"].max()
    level = records[records["temperature"] == hot]["norm"].mean()
    grid = np.array([1.0, hot])
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
    style.curves(
        axis, records, x="temperature", y="cosine", looks=style.looks(["cosine"]), labels={"cosine": "measured"}
    )
    style.unjoined(axis, ["measured"])
    _temperature_axis(axis, records)
    axis.set(ylabel="cosine to logit matching", ylim=(None, 1.01))
    style.legend(axis)
    style.count(axis, records)
    return figure


def plot_left_out(records):
    """Recall of the class that was left out of the transfer set, before and after its bias is raised."""
    figure, axes = style.figure(1, 2, height=2.9, sharey=True)
    soft = records["label_share"] == 0
    arm = np.where(soft, "T = " + records["temperature"].astype(int).astype(str), "labels")
    levels = ["labels", *(f"T = {int(t)}" for t in sorted(records["temperature"].unique()))]
    for axis, (column, title) in zip(axes, {"plain": "as trained", "corrected": "bias corrected"}.items(), strict=True):
        rows = records.assign(arm=arm, recall=100 * records[f"{column}_recall"])
        style.points(axis, rows, x="arm", y="recall", levels=levels)
        axis.axhline(10, color=style.GREY, linestyle=":", linewidth=1.0)
        axis.set(title=title)
    axes[0].set_ylabel("recall of the missing class / %")
    style.count(axes[1], records)
    return figure
