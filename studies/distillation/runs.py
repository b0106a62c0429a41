"""Teachers and students: what soft targets carry, what temperature does to them, and what the factor T^2 is for.

A teacher with one wide hidden layer is trained per seed; students of other widths learn from its logits on their own few
examples. Everything is judged at the last step.
"""

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.train import Data, softmax_cross_entropy, train
from claimcheck.theory.logit_matching import cosine_to_logit_difference, log_softmax, soft_loss

from .shifts import shifted

TEACHERS = {
    "rich": ["pool", "shifts"],
    "smoothed": ["pool", "shifts", "smoothing"],
    "equal": [],
    "shifts": ["shifts"],
    "dropout": ["dropout"],
    "both": ["shifts", "dropout"],
}
"""What each kind of teacher has: the whole pool (or just its student's examples), random shifts, dropout, smooth labels."""

SMOOTHING = 0.2
"""Share of a smoothed label that is spread over all classes."""

MISSING = 3
"""The class that is left out of a transfer set."""


def _pool(context, name):
    """Training pool (x, y), validation set and test set of a data set; the validation set ends the train split."""
    data, sizes = context.dataset(name), context.settings[name]
    centre, scale = data.x_train.mean(), data.x_train.std()
    x, x_test = ((part - centre) / scale for part in (data.x_train, data.x_test))
    held = len(x) - sizes["validation"]
    size, test = min(held, sizes["pool"]), slice(0, sizes["test"])
    validation = Data({"x": x[held:], "y": data.y_train[held:]})
    return x[:size], data.y_train[:size], validation, Data({"x": x_test[test], "y": data.y_test[test]})


def _own_examples(context, seeds, size, examples):
    """Each seed's own examples, [seeds, examples] positions in a pool of `size`."""
    rows = [torch.randperm(size, generator=context.generator(seed, "examples"))[:examples] for seed in seeds]
    return torch.stack(rows).to(context.device)


def _one_hidden_layer(x, width, **how):
    return lambda run, generator: networks.MLP(x[0].numel(), int(width), 10, generator=generator, **how)


def _accuracy(predict, batch, hyper):
    logits = predict(batch["x"])
    return {"accuracy": (logits.argmax(-1) == batch["y"]).to(logits.dtype).mean()}


def _logits(ensemble, x):
    return ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": x}))


def _taught(runs, context, name):
    """Teachers of the runs, each trained once: logits on the pool [R, N, C] and test accuracies [R], one for each run."""
    arms = runs[["teacher", "seed"]]
    teachers = arms.drop_duplicates(ignore_index=True)
    logits, accuracy = _train_teachers(teachers, context, name)
    rows = arms.merge(teachers.reset_index(), how="left")["index"].tolist()
    return logits[rows], accuracy[rows]


def _train_teachers(teachers, context, name):
    """The same for rows of `teacher` (its kind) and `seed`."""
    settings, kinds = context.settings, teachers["teacher"]
    rates = settings[name].get("teacher_rates", {})
    runs = teachers.assign(
        run=kinds + ":" + teachers["seed"].astype(str),
        learning_rate=[rates.get(kind, settings.teacher_rate) for kind in kinds],
        smoothing=[SMOOTHING * ("smoothing" in TEACHERS[kind]) for kind in kinds],
        **{has: [float(has in TEACHERS[kind]) for kind in kinds] for has in ("pool", "shifts", "dropout")},
    )
    groups = [group for _, group in runs.groupby("dropout")]  # dropout is other code
    logits, accuracy = zip(*(_train_teachers_alike(group, context, name) for group in groups), strict=True)
    back = np.argsort(np.concatenate([group.index for group in groups]))
    return torch.cat(logits)[back], np.concatenate(accuracy)[back]


def _train_teachers_alike(runs, context, name):
    """The same for teachers that all have dropout, or all have none."""
    settings, sizes = context.settings, context.settings[name]
    x, y, _, test = _pool(context, name)
    own = _own_examples(context, runs["seed"], len(x), sizes["examples"])
    repeated = own.repeat(1, -(-len(x) // sizes["examples"]))[:, : len(x)]
    whole = torch.tensor(runs["pool"].to_numpy(), device=x.device).bool()
    seen = torch.where(whole[:, None], torch.arange(len(x), device=x.device), repeated)
    dropout = settings.teacher_dropout if runs["dropout"].iloc[0] else None

    def loss(predict, batch, hyper):
        logits = predict(shifted(batch["x"], batch["key"], sizes["reach"], hyper["shifts"]))
        hard = softmax_cross_entropy(logits, batch["y"]).mean()
        return (1 - hyper["smoothing"]) * hard - hyper["smoothing"] * log_softmax(logits).mean()

    trained = train(
        runs.drop(columns=["teacher", "dropout"]), context,
        network=_one_hidden_layer(x, settings.teacher_width, dropout=dropout),
        data=Data({"x": x, "y": y}, subset=seen), loss=loss, steps=sizes["teacher_steps"],
        batch_size=settings.batch_size, optimizer="adam", hyper={"schedule": "cosine"}, streams="teacher/",
        evaluate={"test": (test, _accuracy)},
    )  # fmt: skip
    return _logits(trained.ensemble, x), trained.records["test_accuracy"].to_numpy()


def _soft_loss(predict, batch, hyper):
    """T^2 KL of the student to its teacher."""
    temperature = hyper["temperature"]
    return temperature**2 * soft_loss(predict(batch["x"]), batch["logits"], temperature).mean()


def _student_loss(predict, batch, hyper):
    """alpha CE + (1 - alpha) T^2 KL, alpha being the share of the labels."""
    logits, share = predict(batch["x"]), hyper["label_share"]
    hard = softmax_cross_entropy(logits, batch["y"]).mean()
    return share * hard + (1 - share) * _soft_loss(lambda x: logits, batch, hyper)


def _train_students(runs, context, name, width, logits, subset, evaluate):
    """Students of one width on their own examples; `logits` [R, N, C] of each one's teacher."""
    x, y, *_ = _pool(context, name)
    return train(
        runs, context, network=_one_hidden_layer(x, width), data=Data({"x": x, "y": y}, {"logits": logits}, subset),
        loss=_student_loss, steps=context.settings[name]["steps"], batch_size=context.settings.batch_size,
        optimizer="adam", evaluate={split: (data, _accuracy) for split, data in evaluate.items()},
    )  # fmt: skip


def run_students(runs, context):
    """Validation and test accuracy of students by width, teacher, temperature and share of the labels."""
    name, runs, frames = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    logits, accuracy = _taught(runs, context, name)
    x, _, validation, test = _pool(context, name)
    for width, group in runs.groupby("width"):
        subset = _own_examples(context, group["seed"], len(x), context.settings[name]["examples"])
        evaluate = {"validation": validation, "test": test}
        trained = _train_students(group, context, name, width, logits[group.index], subset, evaluate)
        frames.append(trained.records.assign(teacher_accuracy=accuracy[group.index]))
    return pd.concat(frames, ignore_index=True)


run_images = run_students


def run_left_out(runs, context):
    """Students that never see one class: recall of it and of the others, before and after a correction of its bias."""
    runs = runs.reset_index(drop=True)
    _, y, validation, test = _pool(context, "digits")
    logits, _ = _taught(runs, context, "digits")
    kept = torch.nonzero(y != MISSING)[:, 0]
    order = _own_examples(context, runs["seed"], len(kept), context.settings.digits["examples"])
    known = validation.shared["y"] != MISSING
    validation = Data({name: column[known] for name, column in validation.shared.items()})
    width, evaluate = context.settings.width, {"validation": validation}
    trained = _train_students(runs, context, "digits", width, logits, kept[order], evaluate)
    said = _logits(trained.ensemble, test.shared["x"])
    found = pd.DataFrame([_recalls(each, test.shared["y"]) for each in said])
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
    x, *_ = _pool(context, "digits")
    logits, _ = _taught(runs.assign(teacher="rich"), context, "digits")
    students = Ensemble.build(
        runs, _one_hidden_layer(x, context.settings.width), lambda seed: context.generator(seed, "init"),
        device=context.device,
    )  # fmt: skip
    gradients = measure.gradient_of(students, Data({"x": x}, {"logits": logits}), _soft_loss)
    norms = gradients.double().norm(dim=1).cpu().numpy()
    cosines = [
        float(cosine_to_logit_difference(student, teacher, float(temperature)).mean())
        for student, teacher, temperature in zip(_logits(students, x), logits, runs["temperature"], strict=True)
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
