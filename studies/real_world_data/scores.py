"""How predictions are scored: error, confidence, calibration, ranking, and what decisions by a threshold cost."""

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax
from scipy.stats import rankdata

from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.train import softmax_cross_entropy
from claimcheck.theory.decisions import predictive_value

BINS = 15
"""Bins of equal width of the confidence, as in Guo et al. 2017."""


@for_ensembles
def scored(predict, batch, hyper):
    """Loss (of weighted examples where they have weights), error, mean confidence and expected calibration error."""
    logits = predict(batch["x"])
    loss = softmax_cross_entropy(logits, batch["y"])
    loss = loss * batch["weight"] if "weight" in batch else loss
    confidence, said = torch.softmax(logits, -1).max(-1)
    right = (said == batch["y"]).to(logits.dtype)
    place = (confidence * BINS).long().clamp(max=BINS - 1)
    share = (right - confidence)[..., None] * (place[..., None] == torch.arange(BINS, device=logits.device))
    found = {"loss": loss, "error": 1 - right, "confidence": confidence}
    return {name: each.mean(-1) for name, each in found.items()} | {"ece": share.mean(-2).abs().sum(-1)}


def weighted_loss(predict, batch, hyper):
    """Mean cross-entropy of examples, each times its weight."""
    return (softmax_cross_entropy(predict(batch["x"]), batch["y"]) * batch["weight"]).mean()


def temperature(logits, labels):
    """The temperature that minimises the mean cross-entropy of logits [N, C] (Guo et al. 2017), between e^-3 and e^3."""

    def loss(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(len(labels)), labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=(-3, 3), method="bounded", options={"xatol": 1e-4}).x))


def reliability(logits, labels):
    """A row for all examples (bin 0), with their expected calibration error, and one for each bin of the confidence."""
    chances = softmax(logits, axis=1)
    confidence, right = chances.max(1), (chances.argmax(1) == labels).astype(float)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1) + 1
    rows, ece = [], 0.0
    for number in range(1, BINS + 1):
        own = place == number
        means = (confidence[own].mean(), right[own].mean()) if own.any() else (np.nan, np.nan)
        ece += own.mean() * abs(means[0] - means[1]) if own.any() else 0.0
        rows.append({"bin": number, "share": own.mean(), "confidence": means[0], "error": 1 - means[1], "ece": np.nan})
    return [{"bin": 0, "share": 1.0, "confidence": confidence.mean(), "error": 1 - right.mean(), "ece": ece}, *rows]


def ranking(margin, positive):
    """Area under the ROC curve: the chance that a positive example scores above a negative one, ties half."""
    ranks, count = rankdata(margin), positive.sum()
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * (len(margin) - count)))


def balanced(margin, positive):
    """Balanced error, recall of the positive class and area under the ROC curve of decisions at margin 0."""
    recall, kept = (margin[positive] > 0).mean(), (margin[~positive] <= 0).mean()
    return {"error": 1 - (recall + kept) / 2, "recall": recall, "auc": ranking(margin, positive)}


def decided(margin, positive, threshold, miss, prevalence):
    """What alarms at a probability above `threshold` come to, with margins log p / (1 - p) of N examples.

    `cost` is per example, a false alarm costs 1 and a miss `miss`; `predictive` is the share of alarms that would be
    right at another prevalence, by Bayes' rule.
    """
    alarm = expit(margin) > threshold
    missed, false = (positive & ~alarm).mean(), (~positive & alarm).mean()
    sensitivity, specificity = alarm[positive].mean(), 1 - alarm[~positive].mean()
    return {
        "cost": miss * missed + false,
        "error": missed + false,
        "sensitivity": sensitivity,
        "specificity": specificity,
        "predictive": predictive_value(sensitivity, specificity, prevalence),
    }


def screened(margin, positive, threshold, prevalence, people, generator):
    """Share of alarms that are right in a population drawn from the examples, with replacement, at a prevalence."""
    alarm = expit(margin) > threshold
    ill = generator.binomial(people, prevalence)
    right, wrong = (
        generator.integers(0, own.sum(), count) for own, count in ((positive, ill), (~positive, people - ill))
    )
    right, wrong = alarm[positive][right].sum(), alarm[~positive][wrong].sum()
    return float(right / (right + wrong)) if right + wrong else np.nan
