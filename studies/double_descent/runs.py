"""Model size, data size and test error: from linear regression, where theory gives the number, to small networks.

Linear regression and random features are solved exactly (float64, least norm or ridge); networks with one hidden layer
and a five-layer CNN are trained by SGD. Every curve is read at the last step, never at its best.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.engine import networks
from claimcheck.engine.train import Data, classification, noisy_labels, train
from claimcheck.theory import bias_variance, risk

from .problems import FEATURES, PROBLEMS


def _least_squares(runs, context, examples, width):
    """Excess risk, and gap of test to train error, of fits to the first `n` examples and `p` features of a seed's draws.

    A run is one design matrix, [examples, width], with many draws of signal and noise.
    """
    replicates, rows = context.settings.replicates, []
    shapes = [(examples, width), (width, replicates), (examples, replicates)]
    for seed, group in runs.groupby("seed"):
        generator = context.generator(seed, "linear")
        draws = (torch.randn(shape, dtype=torch.float64, generator=generator) for shape in shapes)
        design, directions, noise = (draw.to(context.device) for draw in draws)
        for (model, n, p), cell in group.groupby(["model", "n", "p"]):
            found = PROBLEMS[model].measured(design[:n], p, directions, noise[:n])
            for run in cell.itertuples():
                excess, fitted = found[run.penalty == "optimal"]
                rows.append({"run": run.run, "risk": excess, "gap": excess + PROBLEMS[model].noise - fitted})
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


def run_linear(runs, context):
    """Excess risk against parameters per example."""
    n = context.settings.examples
    cells = runs.assign(n=n, p=[round(gamma * n) for gamma in runs["gamma"]])
    return _least_squares(cells, context, n, round(context.settings.largest_gamma * n)).drop(columns="gap")


def run_linear_samples(runs, context):
    """Excess risk and gap against the number of examples, at a fixed number of features."""
    cells = runs.assign(model="isotropic", n=runs["examples"], p=FEATURES)
    return _least_squares(cells, context, context.settings.largest, FEATURES)


def _centred(data):
    """A data set less its mean training input, and divided by one number: the standard deviation of all inputs."""
    centre, scale = data.x_train.mean(0), data.x_train.std()
    return replace(data, x_train=(data.x_train - centre) / scale, x_test=(data.x_test - centre) / scale)


def _vectors(context, name):
    return _centred(context.dataset(name).flat())


def _random_relu(context, seed, inputs):
    """Features relu(x W) of a random layer (Rahimi and Recht 2007), W ~ N(0, 2 / d), not yet over root width."""
    shape, generator = (inputs, context.settings.widest), context.generator(seed, "features")
    weights = torch.randn(shape, dtype=torch.float64, generator=generator).to(context.device)
    return lambda x: torch.relu(x @ weights * (2.0 / inputs) ** 0.5)


def _targets(labels):
    """One-hot targets less their mean, [N, 10]."""
    return torch.nn.functional.one_hot(labels, 10).double() - 0.1


def run_features(runs, context):
    """Classification by random features: train error (of the labels given) and test error (of the true ones)."""
    data, n, rows = _vectors(context, runs["dataset"].iloc[0]), context.settings.examples, []
    x, x_test = data.x_train.double(), data.x_test.double()
    rates = context.settings.rates  # of the whole design, so that a run's arithmetic does not depend on its company
    for seed, group in runs.groupby("seed"):
        chosen = torch.randperm(len(x), generator=context.generator(seed, "examples"))[:n].to(context.device)
        features = _random_relu(context, seed, x.shape[1])
        inside, outside = features(x[chosen]), features(x_test)
        y = data.y_train[chosen]
        labels = [noisy_labels(y, rate, 10, context.generator(seed, "label noise")) for rate in rates]
        goal = torch.cat([_targets(label) for label in labels], 1)
        for (width, ridge), cell in group.groupby(["width", "ridge"]):
            seen, unseen = (part[:, :width] * width**-0.5 for part in (inside, outside))
            estimate = risk.fit(seen, goal, float(ridge))
            fitted, tested = ((part @ estimate).unflatten(1, (len(rates), 10)).argmax(-1) for part in (seen, unseen))
            for run in cell.itertuples():
                k = rates.index(run.label_noise)
                rows.append({
                    "run": run.run,
                    "examples": float(n),
                    "train_error": float((fitted[:, k] != labels[k]).double().mean()),
                    "test_error": float((tested[:, k] != data.y_test).double().mean()),
                })  # fmt: skip
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


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


def run_resamples(runs, context):
    """Bias, variance and noise of random features over resampled training sets; the error from other sets."""
    settings, data, rows = context.settings, _vectors(context, "digits"), []
    x, x_test = data.x_train.double(), data.x_test.double()
    for seed, group in runs.groupby("seed"):
        chosen, labels, fresh = _resampled(context, seed, data)
        features = _random_relu(context, seed, x.shape[1])
        inside, outside = features(x), features(x_test)
        for run in group.itertuples():
            scale = run.width**-0.5
            estimate = risk.fit(inside[:, : run.width][chosen] * scale, _targets(labels))
            known, other = (outside[:, : run.width] @ estimate * scale + 0.1).chunk(2)
            found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, fresh)
            rows.append({"run": run.run, "examples": float(settings.examples), **found})
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


def _one_hidden_layer(data, width):
    inputs = data.x_train.shape[1]
    return lambda run, generator: networks.MLP(inputs, int(width), data.classes, generator=generator)


def _sgd(runs, context, network, data, evaluate):
    """Train by SGD with momentum at one constant rate; train error and `evaluate` at the end."""
    settings = context.settings
    return train(
        runs, context, network=network, data=data, steps=settings.steps,
        batch_size=min(settings.batch_size, len(data)), optimizer="momentum",
        hyper={"learning_rate": settings.learning_rate}, evaluate={"train": (data, classification)} | evaluate,
    )  # fmt: skip


def _trained(runs, context, data, network, examples):
    """Train error (of the labels given) and test errors (of true and of noisy labels) on each seed's own examples."""

    def noisy(labels, purpose):
        """Each run's labels; runs of one seed share them (a higher rate moves more labels)."""
        streams = (context.generator(seed, purpose) for seed in runs["seed"])
        draws = zip(runs["label_noise"], streams, strict=True)
        return {"y": torch.stack([noisy_labels(labels, rate, data.classes, stream) for rate, stream in draws])}

    shuffled = [torch.randperm(len(data.x_train), generator=context.generator(s, "examples")) for s in runs["seed"]]
    chosen = torch.stack(shuffled)[:, :examples].to(context.device)
    own = Data({"x": data.x_train}, noisy(data.y_train, "label noise"), chosen)
    evaluate = {
        "test": (Data({"x": data.x_test, "y": data.y_test}), classification),
        "noisy_test": (Data({"x": data.x_test}, noisy(data.y_test, "test noise")), classification),
    }
    return _sgd(runs, context, network, own, evaluate).records


def run_network(runs, context, name="digits"):
    """Networks with one hidden layer; width and number of examples are each the ensemble's or, where fixed, the part's."""
    given, data = {**context.settings, **runs.iloc[0]}, _vectors(context, name)
    return _trained(runs, context, data, _one_hidden_layer(data, given["width"]), int(given["examples"]))


run_network_signals = partial(run_network, name="mnist1d")
run_network_samples = run_network


def run_convolution(runs, context):
    """Five-layer CNN on a subset of Fashion-MNIST, by channels."""
    settings, channels = context.settings, int(runs["width"].iloc[0])
    data, kept = context.dataset(settings.dataset), slice(0, settings.test_examples)
    data = _centred(replace(data, x_test=data.x_test[kept], y_test=data.y_test[kept]))
    network = lambda run, generator: networks.Cnn2d(1, 10, channels=channels, generator=generator)  # noqa: E731
    return _trained(runs, context, data, network, settings.examples)


def run_network_resamples(runs, context):
    """The decomposition of a network's class probabilities; all training sets of a seed start from the same weights."""
    settings, data, runs = context.settings, _vectors(context, "digits"), runs.reset_index(drop=True)
    chosen, labels, fresh = zip(*(_resampled(context, seed, data) for seed in runs["seed"]), strict=True)
    sets = 2 * settings.resamples
    members = runs.loc[runs.index.repeat(sets)]
    members = members.assign(run=[f"{run}/{number % sets}" for number, run in enumerate(members["run"])])
    chosen = torch.cat(chosen)
    y = data.y_train.repeat(len(members), 1).scatter(1, chosen, torch.cat(labels))
    own = Data({"x": data.x_train}, {"y": y}, chosen)
    trained = _sgd(members, context, _one_hidden_layer(data, runs["width"].iloc[0]), own, {})
    said = trained.ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": data.x_test}))
    said = torch.softmax(said.double(), -1).unflatten(0, (len(runs), sets))
    errors, rows = trained.records["train_error"].to_numpy().reshape(len(runs), sets), []
    for run, probabilities, error, targets in zip(runs["run"], said, errors.mean(1), fresh, strict=True):
        known, other = probabilities.chunk(2)
        found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, targets)
        if diverged := np.isnan(error):
            found = dict.fromkeys(found, np.nan)
        found |= {"train_error": error, "status": "diverged" if diverged else "ok"}
        rows.append({"run": run, "examples": float(settings.examples), **found})
    return pd.DataFrame(rows)
