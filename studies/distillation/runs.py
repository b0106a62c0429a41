"""Teachers and students: what soft targets carry, what temperature does to them, and what the factor T^2 is for.

A teacher with one wide hidden layer is trained per seed; students of other widths learn from its logits on their own few
examples. Everything is judged at the last step.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import untrained
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, softmax_cross_entropy, train
from claimcheck.theory.logit_matching import cosine_to_logit_difference, log_softmax, soft_loss

from .shifts import shifted


def _splits(context, name):
    """Training pool, validation set (the end of the train split) and test set of a data set, standardised."""
    data, sizes = context.dataset(name).rescaled(), context.settings[name]
    held = len(data.x_train) - sizes["validation"]
    pool, test = slice(min(held, sizes["pool"])), slice(sizes["test"])
    return Data.training(data, pool), Data.training(data, slice(held, None)), Data.testing(data, test)


def _own_examples(context, seeds, size, examples):
    """Each seed's own examples, [seeds, examples] positions in a pool of `size`."""
    rows = [torch.randperm(size, generator=context.generator(seed, "examples"))[:examples] for seed in seeds]
    return torch.stack(rows).to(context.device)


def _one_hidden_layer(data, width, dropout=None):
    inputs = data.shared["x"][0].numel()
    return lambda run, generator: networks.MLP(inputs, int(width), 10, generator=generator, dropout=dropout)


def _accuracy(predict, batch, hyper):
    logits = predict(batch["x"])
    return {"accuracy": (logits.argmax(-1) == batch["y"]).to(logits.dtype).mean()}


def _taught(runs, context, name):
    """Logits on the pool [R, N, C] and test accuracies [R] of each run's teacher, of which each is trained once."""
    settings, rates = context.settings, context.settings[name].get("teacher_rates", {})
    names = runs["teacher"] + ":" + runs["seed"].astype(str)
    teachers = runs[["teacher", "seed"]].assign(run=names).drop_duplicates()
    teachers["learning_rate"] = [rates.get(kind, settings.teacher_rate) for kind in teachers["teacher"]]
    teachers, taught = teachers.join(pd.DataFrame(settings.teachers).T, on="teacher"), {}
    for _, alike in teachers.groupby("dropout"):  # dropout is other code
        taught |= zip(alike["run"], zip(*_train_teachers(alike, context, name), strict=True), strict=True)
    logits, accuracy = zip(*(taught[name] for name in names), strict=True)
    return torch.stack(logits), np.array(accuracy)


def _train_teachers(runs, context, name):
    """The same for teachers of one rate of dropout. Without the pool they see their student's examples, as many times."""
    settings, sizes = context.settings, context.settings[name]
    pool, _, test = _splits(context, name)
    place = torch.arange(len(pool), device=context.device)
    own = _own_examples(context, runs["seed"], len(pool), sizes["examples"])[:, place % sizes["examples"]]
    whole = torch.tensor(runs["pool"].to_numpy(), device=context.device).bool()

    def loss(predict, batch, hyper):
        logits = predict(shifted(batch["x"], batch["key"], sizes["reach"], hyper["shifts"]))
        hard = softmax_cross_entropy(logits, batch["y"]).mean()
        return (1 - hyper["smoothing"]) * hard - hyper["smoothing"] * log_softmax(logits).mean()

    trained = train(
        runs, context, network=_one_hidden_layer(pool, settings.teacher_width, runs["dropout"].iloc[0] or None),
        data=replace(pool, subset=torch.where(whole[:, None], place, own)), loss=loss, steps=sizes["teacher_steps"],
        hyper={"schedule": "cosine"}, streams="teacher/", evaluate={"test": (test, _accuracy)},
    )  # fmt: skip
    return measure.outputs(trained.ensemble, pool), trained.records["test_accuracy"].to_numpy()


def _soft_loss(predict, batch, hyper):
    """T^2 KL of the student to its teacher."""
    temperature = hyper["temperature"]
    return temperature**2 * soft_loss(predict(batch["x"]), batch["logits"], temperature).mean()


def _student_loss(predict, batch, hyper):
    """alpha CE + (1 - alpha) T^2 KL, alpha being the share of the labels."""
    logits, share = predict(batch["x"]), hyper["label_share"]
    hard = softmax_cross_entropy(logits, batch["y"]).mean()
    return share * hard + (1 - share) * _soft_loss(lambda x: logits, batch, hyper)


def _train_students(runs, context, data, width, steps, **sets):
    """Students of one width on `data` with their teachers' logits; accuracy on each of `sets`."""
    evaluate = {split: (each, _accuracy) for split, each in sets.items()}
    network = _one_hidden_layer(data, width)
    return train(runs, context, network=network, data=data, loss=_student_loss, steps=steps, evaluate=evaluate)


def run_students(runs, context):
    """Validation and test accuracy of students by width, teacher, temperature and share of the labels."""
    name, runs, frames = runs["dataset"].iloc[0], runs.reset_index(drop=True), []
    logits, accuracy = _taught(runs, context, name)
    pool, validation, test = _splits(context, name)
    sizes = context.settings[name]
    for width, group in runs.groupby("width"):
        subset = _own_examples(context, group["seed"], len(pool), sizes["examples"])
        data = Data(pool.shared, {"logits": logits[torch.tensor(group.index, device=logits.device)]}, subset)
        trained = _train_students(group, context, data, width, sizes["steps"], validation=validation, test=test)
        frames.append(trained.records.assign(teacher_accuracy=accuracy[group.index]))
    return pd.concat(frames, ignore_index=True)


run_images = run_students


def run_left_out(runs, context):
    """Students that never see one class: recall of it and of the others, before and after a correction of its bias."""
    settings, sizes = context.settings, context.settings.digits
    pool, validation, test = _splits(context, "digits")
    kept, known = (torch.nonzero(each.shared["y"] != settings.missing)[:, 0] for each in (pool, validation))
    subset = kept[_own_examples(context, runs["seed"], len(kept), sizes["examples"])]
    data = Data(pool.shared, {"logits": _taught(runs, context, "digits")[0]}, subset)
    validation = replace(validation, subset=known)
    trained = _train_students(runs, context, data, settings.width, sizes["steps"], validation=validation)
    found = [_recalls(each, test.shared["y"], settings.missing) for each in measure.outputs(trained.ensemble, test)]
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


def _cosine(student, teacher, temperature):
    """Mean cosine of the soft loss's gradient to the difference of logits."""
    return float(cosine_to_logit_difference(student, teacher, float(temperature)).mean())


def run_gradients(runs, context):
    """Gradient of T^2 KL with respect to a new student's weights (norm), and its cosine to the difference of logits."""
    pool, *_ = _splits(context, "digits")
    logits, _ = _taught(runs.assign(teacher="rich"), context, "digits")
    students = untrained(runs, context, _one_hidden_layer(pool, context.settings.width))
    gradients = measure.gradient_of(students, Data(pool.shared, {"logits": logits}), _soft_loss)
    norms = gradients.double().norm(dim=1).cpu().numpy()
    spread = (logits - logits.mean(-1, keepdim=True)).double().pow(2).mean((1, 2)).sqrt().cpu().numpy()
    cosines = [
        _cosine(*each) for each in zip(measure.outputs(students, pool), logits, runs["temperature"], strict=True)
    ]
    found = runs[["run"]].assign(norm=norms, norm_without=norms / runs["temperature"] ** 2)
    return found.assign(cosine=cosines, logit_deviation=spread)


@per_run
def run_matching(run, context):
    """Cosine of the soft loss's gradient to the difference of logits, for normal logits of student and teacher."""
    drawn = torch.randn((2, context.settings.pairs, 10), generator=context.generator(run.seed, "logits")).double()
    student, teacher = drawn * context.settings.deviation
    return {"cosine": _cosine(student, teacher, run.temperature)}
