"""Model size, data size and test error: from linear regression, where theory gives the number, to small networks.

Linear regression and random features are solved exactly (float64, least norm or ridge); networks with one hidden layer
and a five-layer CNN are trained by SGD. Every curve is read at the last step, never at its best.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import measure, networks
from claimcheck.engine.single import per_seed
from claimcheck.engine.train import Data, noisy_labels, train
from claimcheck.theory import bias_variance, risk

from .problems import FEATURES, PROBLEMS


def _least_squares(cells, context, examples, width):
    """Excess risk, and gap of test to train error, of fits to a seed's first `n` examples and `p` features.

    A run is one design matrix, [examples, width], with many draws of signal and noise.
    """
    replicates, rows = context.settings.replicates, []
    generator = context.generator(cells["seed"].iloc[0], "linear")
    shapes = [(examples, width), (width, replicates), (examples, replicates)]
    draws = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes)
    design, directions, noise = (draw.to(context.device) for draw in draws)
    for (model, n, p), cell in cells.groupby(["model", "n", "p"]):
        found = PROBLEMS[model].measured(design[:n], p, directions, noise[:n])
        for run in cell.itertuples():
            excess, fitted = found[run.penalty == "optimal"]
            rows.append({"run": run.run, "risk": excess, "gap": excess + PROBLEMS[model].noise - fitted})
    return pd.DataFrame(rows)


@per_seed
def run_linear(runs, context):
    """Excess risk against parameters per example."""
    n = context.settings.examples
    cells = runs.assign(n=n, p=[round(gamma * n) for gamma in runs["gamma"]])
    return _least_squares(cells, context, n, round(context.settings.largest_gamma * n)).drop(columns="gap")


@per_seed
def run_linear_samples(runs, context):
    """Excess risk and gap against the number of examples, at a fixed number of features."""
    cells = runs.assign(model="isotropic", n=runs["examples"], p=FEATURES)
    return _least_squares(cells, context, context.settings.largest, FEATURES)


def _data(context, name):
    """A data set less its mean training input, and divided by one number: the standard deviation of all inputs."""
    data, kept = context.dataset(name), slice(context.settings.get("test_examples"))
    centre, scale = data.x_train.mean(0), data.x_train.std()
    x, x_test = ((part - centre) / scale for part in (data.x_train, data.x_test[kept]))
    return replace(data, x_train=x, x_test=x_test, y_test=data.y_test[kept])


def _own_examples(context, seed, data, count):
    """A seed's training examples, [count] positions."""
    shuffled = torch.randperm(len(data.x_train), generator=context.generator(seed, "examples"))
    return shuffled[:count].to(context.device)


def _random_relu(context, seed, *inputs):
    """Features relu(x W) of a random layer (Rahimi and Recht 2007), W ~ N(0, 2 / d), not yet over root width."""
    size, generator = inputs[0][0].numel(), context.generator(seed, "features")
    weights = torch.randn((size, context.settings.widest), dtype=torch.float64, generator=generator).to(context.device)
    return [torch.relu(x.flatten(1).double() @ weights * (2.0 / size) ** 0.5) for x in inputs]


def _targets(labels):
    """One-hot targets less their mean, [..., 10]."""
    return torch.nn.functional.one_hot(labels, 10).double() - 0.1


@per_seed
def run_features(runs, context):
    """Classification by random features: train error (of the labels given) and test error (of the true ones)."""
    (seed, name), n, rows = runs[["seed", "dataset"]].iloc[0], context.settings.examples, []
    data = _data(context, name)
    chosen = _own_examples(context, seed, data, n)
    features = _random_relu(context, seed, data.x_train[chosen], data.x_test)
    for run in runs.itertuples():
        labels = noisy_labels(data.y_train[chosen], run.label_noise, 10, context.generator(seed, "label noise"))
        seen, unseen = (part[:, : run.width] * run.width**-0.5 for part in features)
        estimate = risk.fit(seen, _targets(labels), run.ridge)
        wrong, wrong_test = (seen @ estimate).argmax(1) != labels, (unseen @ estimate).argmax(1) != data.y_test
        errors = {"train_error": float(wrong.double().mean()), "test_error": float(wrong_test.double().mean())}
        rows.append({"run": run.run, "examples": float(n), **errors})
    return rows


def _resampled(context, seed, data):
    """A seed's training sets, [sets, n] positions and noisy labels, and fresh noisy test labels for half of the sets.

    There are twice `resamples` sets: bias and variance come from the first half, the error from the second.
    """
    settings, generator = context.settings, context.generator(seed, "resamples")
    shuffled = [torch.randperm(len(data.x_train), generator=generator) for _ in range(2 * settings.resamples)]
    chosen = torch.stack(shuffled)[:, : settings.examples].to(context.device)
    labels = [noisy_labels(data.y_train[row], settings.label_noise, 10, generator) for row in chosen]
    fresh = [noisy_labels(data.y_test, settings.label_noise, 10, generator) for _ in range(settings.resamples)]
    return chosen, torch.stack(labels), torch.stack(fresh)


def _decomposed(context, run, predictions, labels, fresh):
    """The row of a run whose training sets, known and other, gave these predictions of test labels."""
    settings, (known, other) = context.settings, predictions.chunk(2)
    found = bias_variance.decomposed(known, other, labels, settings.label_noise, fresh)
    return {"run": run, "examples": float(settings.examples), **found}


@per_seed
def run_resamples(runs, context):
    """Bias, variance and noise of random features over resampled training sets; the error from other sets."""
    seed, data, rows = runs["seed"].iloc[0], _data(context, "digits"), []
    chosen, labels, fresh = _resampled(context, seed, data)
    inside, outside = _random_relu(context, seed, data.x_train, data.x_test)
    for run in runs.itertuples():
        scale = run.width**-0.5
        estimate = risk.fit(inside[:, : run.width][chosen] * scale, _targets(labels))
        predictions = outside[:, : run.width] @ estimate * scale + 0.1
        rows.append(_decomposed(context, run.run, predictions, data.y_test, fresh))
    return rows


def _one_hidden_layer(data, width):
    return lambda run, generator: networks.MLP(data.x_train[0].numel(), width, 10, generator=generator)


def _five_layers(data, width):
    return lambda run, generator: networks.Cnn2d(1, 10, channels=width, generator=generator)


def run_network(runs, context, kind=_one_hidden_layer):
    """Train error (of the labels given), test errors (of true and of noisy labels) and `gap`, on each seed's examples.

    Width and number of examples are each the ensemble's or, where fixed, the part's. Runs of one seed share the noise
    of their labels: a higher rate moves more of them.
    """
    given = {**context.settings, **runs.iloc[0]}
    data = _data(context, given["dataset"])

    def noisy(labels, purpose):
        streams = [context.generator(seed, purpose) for seed in runs["seed"]]
        draws = zip(runs["label_noise"], streams, strict=True)
        return {"y": torch.stack([noisy_labels(labels, rate, 10, stream) for rate, stream in draws])}

    chosen = torch.stack([_own_examples(context, seed, data, given["examples"]) for seed in runs["seed"]])
    own = Data({"x": data.x_train}, noisy(data.y_train, "label noise"), chosen)
    noisy_test = Data({"x": data.x_test}, noisy(data.y_test, "test noise"))
    evaluate = {"train": own, "test": Data.testing(data), "noisy_test": noisy_test}
    found = train(runs, context, network=kind(data, int(given["width"])), data=own, evaluate=evaluate).records
    return found.assign(gap=found["noisy_test_error"] - found["train_error"])


run_network_signals = run_network_samples = run_network
run_convolution = partial(run_network, kind=_five_layers)


def run_network_resamples(runs, context):
    """The decomposition of a network's class probabilities; all training sets of a seed start from the same weights."""
    settings, data = context.settings, _data(context, "digits")
    chosen, labels, fresh = zip(*(_resampled(context, seed, data) for seed in runs["seed"]), strict=True)
    sets, chosen = 2 * settings.resamples, torch.cat(chosen)
    members = runs.loc[runs.index.repeat(sets)]
    members = members.assign(run=[f"{run}/{number % sets}" for number, run in enumerate(members["run"])])
    y = data.y_train.repeat(len(members), 1).scatter(1, chosen, torch.cat(labels))
    own = Data({"x": data.x_train}, {"y": y}, chosen)
    network = _one_hidden_layer(data, int(runs["width"].iloc[0]))
    trained = train(members, context, network=network, data=own, evaluate={"train": own})
    logits = measure.outputs(trained.ensemble, {"x": data.x_test})
    said = torch.softmax(logits.double(), -1).unflatten(0, (len(runs), sets))
    each = zip(runs["run"], said, fresh, strict=True)
    found = pd.DataFrame([_decomposed(context, run, own, data.y_test, targets) for run, own, targets in each])
    found["train_error"] = trained.records["train_error"].to_numpy().reshape(len(runs), sets).mean(1)
    lost = found["train_error"].isna()
    found.loc[lost, ["squared_bias", "variance", "noise", "error"]] = np.nan
    return found.assign(status=np.where(lost, "diverged", "ok"))
