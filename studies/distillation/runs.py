"""Teachers and students: what soft targets carry, what temperature does to them, and what the factor T^2 is for.

A teacher with one wide hidden layer is trained per seed, on examples that the seed drew; students of other widths learn
from its logits on examples of their own. Everything is judged at the last step.
"""

from dataclasses import replace
from typing import NamedTuple

import pandas as pd
import torch

from claimcheck.data.draws import draw_each
from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.shifts import shifted
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, cross_entropy, softmax_cross_entropy, train
from claimcheck.theory.logit_matching import cosine_to_logit_difference, log_softmax, soft_loss

SIGNALS = "mnist1d_pool"


class Drawn(NamedTuple):
    """What each member drew of a data set: a pool to train on, validation and test examples, none of them twice."""

    pool: Data
    validation: Data
    test: Data


def _drawn(context, name, seeds):
    """Each seed's examples; inputs are less one mean, over one deviation, of the data set, and images may be shrunk.

    Where the settings say how many are tested, as those of pilots do, that many test examples are drawn.
    """
    sizes = context.settings[name]
    tested = context.settings.get("tested", sizes["test"])
    own = draw_each(context, name, seeds, train=sizes["pool"] + sizes["validation"], test=tested)
    x, x_test = (_shrunk(part, sizes.get("shrink", 1)) for part in (own.pool.x_train, own.pool.x_test))
    data = replace(own.pool, x_train=x, x_test=x_test).rescaled()
    pool, validation = own.train.split([sizes["pool"], sizes["validation"]], 1)
    return Drawn(*(replace(part, subset=rows) for part, rows in (
        (Data.training(data), pool), (Data.training(data), validation), (Data.testing(data), own.test)
    )))  # fmt: skip


def _shrunk(images, times):
    """Images [N, 1, H, W] with squares of `times` by `times` pixels averaged."""
    return images if times == 1 else torch.nn.functional.avg_pool2d(images, times)


def _of(data, rows, **columns):
    """The examples at each member's `rows` [R, n] of shared columns, with further columns [R, n, ...]."""
    return Data({}, {name: column[rows] for name, column in data.shared.items()} | columns)


def _one_hidden_layer(data, width):
    inputs = data.shared["x"][0].numel()
    return lambda run, generator: networks.MLP(inputs, int(width), 10, generator=generator)


@for_ensembles
def _accuracy(predict, batch, hyper):
    logits = predict(batch["x"])
    return {"accuracy": (logits.argmax(-1) == batch["y"]).to(logits.dtype).mean(-1)}


def _taught(runs, context, name, asked):
    """Logits [R, n, C] on the rows `asked` [R, n], and test accuracies [R], of each run's teacher.

    Runs of one teacher and seed share it. A teacher without the pool sees its student's examples, as many times.
    Its steps are not compiled: the rule would count a teacher for each of the students who share one.
    """
    settings, sizes = context.settings, context.settings[name]
    teachers = runs[["teacher", "seed"]].drop_duplicates()
    teachers["run"] = teachers["teacher"] + ":" + teachers["seed"].astype(str)
    rates = sizes.get("teacher_rates", {})
    teachers["learning_rate"] = [rates.get(kind, settings.teacher_rate) for kind in teachers["teacher"]]
    teachers = teachers.join(pd.DataFrame(settings.teachers).T, on="teacher")
    drawn, place = _drawn(context, name, teachers["seed"]), torch.arange(sizes["pool"], device=context.device)
    whole = torch.tensor(teachers["pool"].to_numpy(), device=context.device).bool()
    seen = torch.where(whole[:, None], place, place % sizes["examples"])

    @for_ensembles
    def loss(predict, batch, hyper):
        logits = predict(shifted(batch["x"], batch["key"], sizes["reach"], hyper["shifts"]))
        hard = softmax_cross_entropy(logits, batch["y"]).mean(-1)
        return (1 - hyper["smoothing"]) * hard - hyper["smoothing"] * log_softmax(logits).mean((-2, -1))

    trained = train(
        teachers, context, network=_one_hidden_layer(drawn.pool, settings.teacher_width), loss=loss,
        data=Data(drawn.pool.shared, subset=drawn.pool.subset.gather(1, seen)), steps=sizes["teacher_steps"],
        hyper={"schedule": settings.teacher_schedule}, streams="teacher/", evaluate={"test": (drawn.test, _accuracy)},
        compile=False,
    )  # fmt: skip
    own = (runs["teacher"] + ":" + runs["seed"].astype(str)).map({run: at for at, run in enumerate(teachers["run"])})
    first = own.drop_duplicates().index  # a student of each teacher: students of one are asked the same rows
    said = measure.outputs(trained.ensemble, _of(drawn.pool, asked[torch.as_tensor(runs.index.get_indexer(first))]))
    own = own.to_numpy(copy=True)
    return said[torch.as_tensor(own)], trained.records["test_accuracy"].to_numpy()[own]


@for_ensembles
def _soft_loss(predict, batch, hyper):
    """T^2 KL of the student to its teacher."""
    temperature = hyper["temperature"]
    return temperature**2 * soft_loss(predict(batch["x"]), batch["logits"], temperature[..., None, None]).mean(-1)


@for_ensembles
def _student_loss(predict, batch, hyper):
    """alpha CE + (1 - alpha) T^2 KL, alpha being the share of the labels."""
    logits, share = predict(batch["x"]), hyper["label_share"]
    hard = softmax_cross_entropy(logits, batch["y"]).mean(-1)
    return share * hard + (1 - share) * _soft_loss(lambda x: logits, batch, hyper)


def _train_students(runs, context, drawn, width, data, steps, **sets):
    """Students of one width on `data` with their teachers' logits; accuracy on each of `sets`."""
    evaluate = {split: (each, _accuracy) for split, each in sets.items()}
    network = _one_hidden_layer(drawn.pool, width)
    return train(runs, context, network=network, data=data, loss=_student_loss, steps=steps, evaluate=evaluate)


def run_students(runs, context):
    """Validation and test accuracy of students by width, teacher, temperature and share of the labels."""
    name, runs, frames = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    sizes, drawn = context.settings[name], _drawn(context, name, runs["seed"])
    asked = drawn.pool.subset[:, : sizes["examples"]]
    logits, accuracy = _taught(runs, context, name, asked)
    for width, group in runs.groupby("width"):
        rows = torch.as_tensor(group.index.to_numpy(copy=True))
        data = _of(drawn.pool, asked[rows], logits=logits[rows])
        sets = {"validation": drawn.validation.members(rows), "test": drawn.test.members(rows)}
        trained = _train_students(group, context, drawn, width, data, sizes["steps"], **sets)
        frames.append(trained.records.assign(teacher_accuracy=accuracy[group.index]))
    return pd.concat(frames, ignore_index=True)


run_images = run_students


def run_left_out(runs, context):
    """Students that never see one class: recall of it and of the others, before and after a correction of its bias."""
    settings, name = context.settings, runs["dataset"].iloc[0]
    sizes, drawn, runs = settings[name], _drawn(context, name, runs["seed"]), runs.reset_index(drop=True)

    def without(data, count):
        known = data.shared["y"][data.subset] != settings.missing
        return torch.stack([row[keep][:count] for row, keep in zip(data.subset, known, strict=True)])

    asked = without(drawn.pool, sizes["examples"])
    data = _of(drawn.pool, asked, logits=_taught(runs, context, name, asked)[0])
    known = Data(drawn.validation.shared, subset=without(drawn.validation, sizes["validation"] * 4 // 5))
    trained = _train_students(runs, context, drawn, settings.width, data, sizes["steps"], validation=known)
    labels = drawn.test.shared["y"][drawn.test.subset]
    said = measure.outputs(trained.ensemble, drawn.test)
    found = [_recalls(*each, settings.missing) for each in zip(said, labels.expand(len(runs), -1), strict=True)]
    return trained.records.join(pd.DataFrame(found))


def _recalls(logits, labels, missing):
    """Recall of the missing class and of the others, before and after its bias is raised.

    Labels play no part in the correction: the bias is raised until one example in ten is given to the class.
    """
    others = torch.cat([logits[:, :missing], logits[:, missing + 1 :]], 1).amax(1)
    lead, found = logits[:, missing] - others, {}
    for name, bias in {"plain": 0.0, "corrected": -float(lead.double().quantile(0.9))}.items():
        raised = logits.clone()
        raised[:, missing] += bias
        right = (raised.argmax(1) == labels).double()
        found[f"{name}_recall"] = float(right[labels == missing].mean())
        found[f"{name}_others"] = float(right[labels != missing].mean())
    return found


def run_across(runs, context):
    """Students of another modality than their teacher's: signals by a teacher of images, or images by one of signals.

    An image and a signal of one class make a pair, neither of which the teacher was trained on. The teacher sees one
    half, the student the other and what the teacher says: no label. `taught` says by what it learns: `pairs`, pairs
    `shuffled`, or the `labels` of the same examples. A seed's teacher of signals is one for all data sets of images.
    """
    ways, frames = {"to_signals": (None, SIGNALS), "to_images": (SIGNALS, None)}, []
    source, target = (name or runs["dataset"] for name in ways[runs["direction"].iloc[0]])
    runs, count = runs.assign(source=source, target=target), context.settings.pairs
    for name, taught in runs.groupby("source", sort=False):
        taught = taught.reset_index(drop=True)
        here = _drawn(context, name, taught["seed"])
        shown = here.validation.subset[:, :count]
        logits, accuracy = _taught(taught.assign(teacher="rich"), context, name, shown)
        classes = here.pool.shared["y"][shown]
        for other, group in taught.groupby("target", sort=False):
            rows = torch.as_tensor(group.index.to_numpy(copy=True))
            found = _paired(group, context, other, classes[rows], logits[rows])
            own = accuracy[group.index]
            frames.append(found.assign(teacher_accuracy=own, lead=found["test_accuracy"] - own))
    return pd.concat(frames, ignore_index=True)


def _paired(runs, context, name, classes, logits):
    """Students of the data set `name` on partners of what teachers saw: its classes [R, n], and logits [R, n, C]."""
    there, count, taught = _drawn(context, name, runs["seed"]), context.settings.pairs, runs["taught"]
    each = zip(classes, there.pool.shared["y"][there.pool.subset], strict=True)
    paired = there.pool.subset.gather(1, torch.stack([_partners(*both) for both in each]))
    mixed = [torch.randperm(count, generator=context.generator(seed, "pairs")) for seed in runs["seed"]]
    straight = torch.tensor((taught != "shuffled").to_numpy())[:, None]
    order = torch.where(straight, torch.arange(count), torch.stack(mixed)).to(context.device)
    data = _of(there.pool, paired, logits=logits.take_along_dim(order[..., None], 1))
    given = runs.assign(label_share=(taught == "labels").astype(float), temperature=context.settings.temperature)
    found = _train_students(
        given, context, there, context.settings.width, data, context.settings.steps,
        validation=there.validation, test=there.test,
    ).records  # fmt: skip
    return found.assign(above_chance=found["test_accuracy"] - 0.1)


def _partners(labels, others):
    """For each label the position in `others` of one that is equal: the next, from the start again where they end."""
    found = torch.empty_like(labels)
    for label in labels.unique():
        mine, theirs = (torch.nonzero(each == label)[:, 0] for each in (labels, others))
        found[mine] = theirs[torch.arange(len(mine), device=theirs.device) % len(theirs)]
    return found


def _cosine(student, teacher, temperature):
    """Mean cosine of the soft loss's gradient to the difference of logits."""
    return float(cosine_to_logit_difference(student, teacher, float(temperature)).mean())


def _gradients(ensemble, data):
    """Norms of the gradients of T^2 KL and of the label loss with respect to each student's weights, and what the former is.

    `imbalance` is how many decades they are apart, in either direction, `imbalance_without` the same without T^2; `cosine` is that of the gradient with respect to the logits to the difference of logits.
    """
    soft, hard = (
        measure.gradient_of(ensemble, data, loss).double().norm(dim=1) for loss in (_soft_loss, cross_entropy)
    )
    heat, logits = ensemble.hyper["temperature"], data.whole()[0]["logits"]
    cosine = cosine_to_logit_difference(measure.outputs(ensemble, data), logits, heat[:, None, None]).mean(-1)
    found = {"norm": soft, "norm_without": soft / heat**2, "hard_norm": hard, "cosine": cosine}
    off = {"imbalance": soft / hard, "imbalance_without": soft / hard / heat**2}
    return found | {column: value.log10().abs() for column, value in off.items()}


def run_gradients(runs, context):
    """Gradients of both losses, each alone, while students learn by the two together: at its start, on the way, at its end."""
    name, settings = runs["dataset"].iloc[0], context.settings
    sizes, drawn, runs = settings[name], _drawn(context, name, runs["seed"]), runs.reset_index(drop=True)
    asked = drawn.pool.subset[:, : sizes["examples"]]
    data = _of(drawn.pool, asked, logits=_taught(runs.assign(teacher="rich"), context, name, asked)[0])
    return train(
        runs.assign(learning_rate=settings.rates[name], label_share=settings.label_share), context,
        network=_one_hidden_layer(drawn.pool, settings.width), data=data, loss=_student_loss, steps=sizes["steps"],
        evaluate={"": (data, _gradients, "ensemble")}, evaluate_at={*settings.looked_at, sizes["steps"]},
    ).records  # fmt: skip


@per_run
def run_matching(run, context):
    """Cosine of the soft loss's gradient to the difference of logits, for normal logits of student and teacher."""
    drawn = torch.randn((2, context.settings.pairs, 10), generator=context.generator(run.seed, "logits")).double()
    student, teacher = drawn * context.settings.deviation
    return {"cosine": _cosine(student, teacher, run.temperature)}
