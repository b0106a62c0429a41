"""Model size, data size and test error: from linear regression, where theory gives the number, to small networks.

Linear regression and random features are solved exactly (float64, least norm or ridge); networks with one hidden layer
and a five-layer CNN are trained by SGD. Every curve is read at the last step, never at its best.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from claimcheck.figures import style
from claimcheck.engine import networks
from claimcheck.engine.train import Data, classification, noisy_labels, train
from claimcheck.theory import bias_variance, risk
from claimcheck.judging.cross_fitting import cross_fitted, landmarks

MODELS = {
    "isotropic": risk.Problem(signal=1.0, noise=0.25),
    "misspecified": risk.Problem(signal=5.0, noise=1.0, exponent=2.0),
}

FEATURES = 100
"""Features of the linear model whose number of examples varies."""

INTERPOLATION = 0.1
"""Train error below which a network counts as interpolating (the epsilon of Nakkiran et al. 2019)."""

CHANCE = 0.9
"""Error of a guess among ten classes: what a network that diverged is charged with."""


# --- linear regression ------------------------------------------------------------------------------------------------


def _draws(context, seed, examples, width):
    """Design [n, width], signal directions [width, K] and noise [n, K] of a seed, float64."""
    generator, replicates = context.generator(seed, "linear"), context.settings.replicates
    shapes = [(examples, width), (width, replicates), (examples, replicates)]
    return [torch.randn(shape, dtype=torch.float64, generator=generator).to(context.device) for shape in shapes]


def run_linear(runs, context):
    """Excess risk against parameters per example; a run is one design matrix with many draws of signal and noise."""
    n, rows = context.settings.examples, []
    for seed, group in runs.groupby("seed"):
        draws = _draws(context, seed, n, round(context.settings.largest_gamma * n))
        for (model, gamma), cell in group.groupby(["model", "gamma"]):
            found = MODELS[model].measured(draws[0], round(gamma * n), *draws[1:])
            rows += [{"run": run.run, "risk": found[run.penalty == "optimal"][0]} for run in cell.itertuples()]
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


def run_linear_samples(runs, context):
    """Excess risk, and the gap of test to train error, against the number of examples at a fixed number of features."""
    rows = []
    for seed, group in runs.groupby("seed"):
        design, directions, noise = _draws(context, seed, context.settings.largest, FEATURES)
        for n, cell in group.groupby("examples"):
            found = MODELS["isotropic"].measured(design[:n], FEATURES, directions, noise[:n])
            for run in cell.itertuples():
                excess, fitted = found[run.penalty == "optimal"]
                rows.append({"run": run.run, "risk": excess, "gap": excess + MODELS["isotropic"].noise - fitted})
    return pd.DataFrame(rows)


# --- random features --------------------------------------------------------------------------------------------------


def _centred(data):
    """A data set less its mean training input, and divided by one number: the standard deviation of all inputs."""
    centre, scale = data.x_train.mean(0), data.x_train.std()
    return replace(data, x_train=(data.x_train - centre) / scale, x_test=(data.x_test - centre) / scale)


def _arrays(context, name):
    """Train inputs [N, d] and labels, test inputs and labels; inputs centred, in float64."""
    data = _centred(context.dataset(name).flat())
    return data.x_train.double(), data.y_train, data.x_test.double(), data.y_test


def _random_relu(x, generator, width):
    """Features relu(x W) of a random layer (Rahimi and Recht 2007), W ~ N(0, 2 / d), not yet over root width."""
    weights = torch.randn(x.shape[1], width, dtype=torch.float64, generator=generator).to(x.device)
    return lambda inputs: torch.relu(inputs @ weights * (2.0 / x.shape[1]) ** 0.5)


def _targets(labels):
    """One-hot targets less their mean, [N, 10]."""
    return torch.nn.functional.one_hot(labels, 10).double() - 0.1


def run_features(runs, context):
    """Classification by random features: train error (of the labels given) and test error (of the true ones)."""
    n, rows = context.settings.examples, []
    x, y, x_test, y_test = _arrays(context, runs["dataset"].iloc[0])
    for seed, group in runs.groupby("seed"):
        chosen = torch.randperm(len(x), generator=context.generator(seed, "examples"))[:n].to(x.device)
        features = _random_relu(x, context.generator(seed, "features"), context.settings.widest)
        inside, outside = features(x[chosen]), features(x_test)
        rates = context.settings.rates  # of the whole design, so that a run's arithmetic does not depend on its company
        labels = [noisy_labels(y[chosen], rate, 10, context.generator(seed, "label noise")) for rate in rates]
        goal = torch.cat([_targets(label) for label in labels], 1)
        for width, cell in group.groupby("width"):
            seen, unseen = (part[:, :width] * width**-0.5 for part in (inside, outside))
            products = risk.gram(seen)
            for ridge, few in cell.groupby("ridge"):
                estimate = risk.fit(seen, goal, float(ridge), products)
                answers = [(part @ estimate).unflatten(1, (len(rates), 10)).argmax(-1) for part in (seen, unseen)]
                for run in few.itertuples():
                    k = rates.index(run.label_noise)
                    rows.append({
                        "run": run.run,
                        "examples": float(n),
                        "train_error": float((answers[0][:, k] != labels[k]).double().mean()),
                        "test_error": float((answers[1][:, k] != y_test).double().mean()),
                    })  # fmt: skip
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


def _resampled(context, seed, data, sets):
    """A seed's training sets, [sets, n] positions and [sets, n] noisy labels; fresh noisy test labels for half of the sets."""
    settings, generator = context.settings, context.generator(seed, "resamples")
    shuffled = [torch.randperm(len(data.x_train), generator=generator) for _ in range(sets)]
    chosen = torch.stack(shuffled)[:, : settings.examples].to(context.device)
    labels = [noisy_labels(data.y_train[row], settings.label_noise, 10, generator) for row in chosen]
    fresh = [noisy_labels(data.y_test, settings.label_noise, 10, generator) for _ in range(sets // 2)]
    return chosen, torch.stack(labels), torch.stack(fresh)


def run_resamples(runs, context):
    """Bias, variance and noise of random features over resampled training sets; the error from other sets."""
    settings, data, rows = context.settings, _centred(context.dataset("digits").flat()), []
    x, x_test = data.x_train.double(), data.x_test.double()
    for seed, group in runs.groupby("seed"):
        chosen, labels, fresh = _resampled(context, seed, data, 2 * settings.resamples)
        features = _random_relu(x, context.generator(seed, "features"), settings.widest)
        inside, outside = features(x), features(x_test)
        for run in group.itertuples():
            scale = run.width**-0.5
            estimate = risk.fit(inside[:, : run.width][chosen] * scale, _targets(labels))
            known, other = (outside[:, : run.width] @ estimate * scale + 0.1).chunk(2)
            found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, fresh)
            rows.append({"run": run.run, "examples": float(settings.examples), **found})
        context.advance(len(group) / len(runs))
    return pd.DataFrame(rows)


# --- networks ---------------------------------------------------------------------------------------------------------


def _training_set(runs, context, data, examples):
    """Each run's examples and noisy labels; runs of one seed share them (a higher rate moves more labels)."""
    subsets, labels = [], []
    for run in runs.itertuples():
        subsets.append(torch.randperm(len(data.x_train), generator=context.generator(run.seed, "examples"))[:examples])
        noise = context.generator(run.seed, "label noise")
        labels.append(noisy_labels(data.y_train, run.label_noise, data.classes, noise))
    return Data({"x": data.x_train}, {"y": torch.stack(labels)}, torch.stack(subsets).to(context.device))


def _trained(runs, context, data, examples, network):
    """Train by SGD with momentum at one constant rate; train error (labels given) and test errors at the end."""
    settings = context.settings
    own = _training_set(runs, context, data, examples)
    mixed = [
        noisy_labels(data.y_test, run.label_noise, data.classes, context.generator(run.seed, "test noise"))
        for run in runs.itertuples()
    ]
    trained = train(
        runs, context, network=network, data=own, steps=settings.steps, batch_size=min(settings.batch_size, examples),
        optimizer="momentum", hyper={"learning_rate": settings.learning_rate},
        evaluate={
            "train": (own, classification),
            "test": (Data({"x": data.x_test, "y": data.y_test}), classification),
            "noisy_test": (Data({"x": data.x_test}, {"y": torch.stack(mixed)}), classification),
        },
    )  # fmt: skip
    return trained.records


def run_network(runs, context):
    """One hidden layer, by width."""
    data, width = _centred(context.dataset("digits").flat()), int(runs["width"].iloc[0])
    network = lambda run, generator: networks.MLP(64, [width], 10, generator=generator)  # noqa: E731
    return _trained(runs, context, data, context.settings.examples, network)


def run_network_signals(runs, context):
    """One hidden layer on MNIST-1D, by width."""
    data, width = _centred(context.dataset("mnist1d")), int(runs["width"].iloc[0])
    network = lambda run, generator: networks.MLP(40, [width], 10, generator=generator)  # noqa: E731
    return _trained(runs, context, data, context.settings.examples, network)


def run_network_resamples(runs, context):
    """The same decomposition of a network's class probabilities; all training sets of a seed start from one set of weights."""
    settings, data, width = context.settings, _centred(context.dataset("digits").flat()), int(runs["width"].iloc[0])
    sets, runs = 2 * settings.resamples, runs.reset_index(drop=True)
    drawn = [_resampled(context, seed, data, sets) for seed in runs["seed"]]
    members = runs.loc[runs.index.repeat(sets)]
    members = members.assign(run=[f"{run}/{number % sets}" for number, run in enumerate(members["run"])])
    y = data.y_train.repeat(len(members), 1)
    chosen, labels = (torch.cat([draw[k] for draw in drawn]) for k in (0, 1))
    own = Data({"x": data.x_train}, {"y": y.scatter(1, chosen, labels)}, chosen)
    trained = train(
        members, context, network=lambda run, generator: networks.MLP(64, [width], 10, generator=generator), data=own,
        steps=settings.steps, batch_size=settings.batch_size, optimizer="momentum",
        hyper={"learning_rate": settings.learning_rate}, evaluate={"train": (own, classification)},
    )  # fmt: skip
    said = trained.ensemble.map(lambda predict, batch, hyper: predict(batch["x"]), Data({"x": data.x_test}))
    said, rows = torch.softmax(said.double(), -1).unflatten(0, (len(runs), sets)), []
    by_run = trained.records["train_error"].to_numpy().reshape(len(runs), sets)
    for run, probabilities, errors, draw in zip(runs["run"], said, by_run, drawn, strict=True):
        known, other = probabilities.chunk(2)
        found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, draw[2])
        lost = bool(np.isnan(errors).any())
        found = {name: np.nan if lost else value for name, value in found.items()}
        status = "diverged" if lost else "ok"
        rows.append(
            {"run": run, "examples": float(settings.examples), **found, "train_error": errors.mean(), "status": status}
        )
    return pd.DataFrame(rows)


def run_network_samples(runs, context):
    """One hidden layer of one width, by number of examples."""
    data, width = _centred(context.dataset("digits").flat()), context.settings.width
    network = lambda run, generator: networks.MLP(64, [width], 10, generator=generator)  # noqa: E731
    return _trained(runs, context, data, int(runs["examples"].iloc[0]), network)


def run_convolution(runs, context):
    """Five-layer CNN on a subset of Fashion-MNIST, by channels."""
    data, channels = context.dataset(context.settings.dataset), int(runs["width"].iloc[0])
    kept = slice(0, context.settings.test_examples)
    data = _centred(replace(data, x_test=data.x_test[kept], y_test=data.y_test[kept]))
    network = lambda run, generator: networks.Cnn2d(1, 10, channels=channels, generator=generator)  # noqa: E731
    return _trained(runs, context, data, context.settings.examples, network)


# --- statistics: one number per seed ----------------------------------------------------------------------------------


def _by_seed(records, y, x, **where):
    """Column ``y`` of the rows that match ``where``, seeds by values of ``x``; errors of diverged runs as CHANCE."""
    for column, value in where.items():
        records = records[records[column] == value]
    table = records.pivot(index="seed", columns=x, values=y)
    return table.fillna(CHANCE) if y in ("train_error", "test_error") else table


def _landmarks(records, **where):
    """Landmarks of test error over width; interpolation begins where mean train error is at most INTERPOLATION."""
    table = _by_seed(records, "test_error", "width", **where)
    interpolates = _by_seed(records, "train_error", "width", **where).mean() <= INTERPOLATION
    return landmarks(table, interpolates.idxmax() if interpolates.any() else table.columns[-1])


def _features_landmarks(records, **where):
    """Landmarks of random features without ridge, which interpolate from as many features as examples on."""
    table = _by_seed(records, "test_error", "width", ridge=0.0, **where)
    return landmarks(table, records["examples"].iloc[0])


def _difference(first, second, marks_of=_landmarks, **where):
    """A statistic: test error at one landmark less that at another."""

    def statistic(records):
        marks = marks_of(records, **where)
        return marks[first] - marks[second]

    return statistic


network_rise = _difference("peak", "best", label_noise=0.15)
network_left_arm = _difference("narrowest", "best", label_noise=0.15)
network_descent = _difference("peak", "widest", label_noise=0.15)
network_excess_at_end = _difference("widest", "best", label_noise=0.15)
network_rise_clean = _difference("peak", "best", label_noise=0.0)
digits_rise = _difference("peak", "best", _features_landmarks, dataset="digits", label_noise=0.15)
digits_left_arm = _difference("narrowest", "best", _features_landmarks, dataset="digits", label_noise=0.15)
digits_descent = _difference("peak", "widest", _features_landmarks, dataset="digits", label_noise=0.15)
digits_excess_at_end = _difference("widest", "best", _features_landmarks, dataset="digits", label_noise=0.15)
digits_rise_clean = _difference("peak", "best", _features_landmarks, dataset="digits", label_noise=0.0)
signals_rise = _difference("peak", "best", _features_landmarks, dataset="mnist1d", label_noise=0.15)
signals_left_arm = _difference("narrowest", "best", _features_landmarks, dataset="mnist1d", label_noise=0.15)
signals_descent = _difference("peak", "widest", _features_landmarks, dataset="mnist1d", label_noise=0.15)
signals_excess_at_end = _difference("widest", "best", _features_landmarks, dataset="mnist1d", label_noise=0.15)
images_rise = _difference("peak", "best", label_noise=0.2)
images_descent = _difference("peak", "widest", label_noise=0.2)
images_excess_at_end = _difference("widest", "best", label_noise=0.2)
images_rise_clean = _difference("peak", "best", label_noise=0.0)


def network_peak_to_threshold(records):
    """log2 of the width of the peak over the width at which interpolation begins."""
    marks = _landmarks(records, label_noise=0.15)
    return np.log2(marks["peak_at"] / marks["threshold"])


def _ratio_to_theory(records, model, penalty):
    """Measured over expected risk at the gamma whose mean ratio is farthest from one, gamma within 0.1 of 1 left out.

    Taking the worst cell makes it harder, never easier, to lie within a tolerance around one.
    """
    table = _by_seed(records, "risk", "gamma", model=model, penalty=penalty)
    table = table[[gamma for gamma in table.columns if abs(gamma - 1) > 0.1 + 1e-9]]
    ratio = table / [MODELS[model].expected(gamma, penalty == "optimal") for gamma in table.columns]
    return ratio[(ratio.mean() - 1).abs().idxmax()]


def ridgeless_ratio(records):
    return _ratio_to_theory(records, "isotropic", "none")


def misspecified_ratio(records):
    return _ratio_to_theory(records, "misspecified", "none")


def ridge_ratio(records):
    return _ratio_to_theory(records, "misspecified", "optimal")


def linear_second_descent(records):
    """Risk at the classical optimum (gamma 0.2) less risk at gamma 4."""
    table = _by_seed(records, "risk", "gamma", model="misspecified", penalty="none")
    return table[0.2] - table[4.0]


def linear_late_rise(records):
    """Risk at the largest gamma less risk at gamma 4."""
    table = _by_seed(records, "risk", "gamma", model="misspecified", penalty="none")
    return table[table.columns.max()] - table[4.0]


def ridge_peak(records):
    """Risk at the threshold less the higher of those at gamma 0.5 and 2, ridge at its optimum."""
    table = _by_seed(records, "risk", "gamma", model="misspecified", penalty="optimal")
    return table[1.0] - table[[0.5, 2.0]].max(axis=1)


def network_decomposition_ratio(records):
    """Error on fresh targets over squared bias + variance + noise, geometric mean over widths."""
    parts = records["squared_bias"] + records["variance"] + records["noise"]
    rows = records.assign(log_ratio=np.log(records["error"] / parts))
    return np.exp(rows.groupby("seed")["log_ratio"].mean())


def decomposition_ratio(records):
    """The same of random features, without widths within a fifth of the number of examples: there the error has no finite mean."""
    return network_decomposition_ratio(records[~_near_threshold(records)])


def _near_threshold(rows):
    return (rows["width"] / rows["examples"] - 1).abs() < 0.2


def _ratio(column, first, second):
    """A statistic: log of ``column`` at one width over that at another."""

    def statistic(records):
        table = _by_seed(records, column, "width")
        n = int(records["examples"].iloc[0])
        place = {"narrowest": table.columns.min(), "threshold": n, "widest": table.columns.max()}
        return np.log(table[place[first]].clip(lower=1e-12) / table[place[second]].clip(lower=1e-12))

    return statistic


bias_falls = _ratio("squared_bias", "widest", "narrowest")
network_bias_falls = bias_falls
variance_rises = _ratio("variance", "threshold", "narrowest")
variance_falls_again = _ratio("variance", "widest", "threshold")


def _log_variance(records):
    """Log variance of networks, seeds by width, and that at the width where it is highest on the other seeds' mean."""
    table = _by_seed(records, "variance", "width")
    chosen = cross_fitted(table, list(table.columns), "idxmax")
    return np.log(table), np.log(pd.Series({seed: table.loc[seed, width] for seed, width in chosen.items()}))


def network_variance_rises(records):
    table, highest = _log_variance(records)
    return highest - table[table.columns.min()]


def network_variance_falls_again(records):
    table, highest = _log_variance(records)
    return table[table.columns.max()] - highest


def network_gap_ratio(records):
    """Generalisation gap (same noise in training and test labels) at the most examples over that at the fewest."""
    rows = records.assign(gap=(records["noisy_test_error"] - records["train_error"]).fillna(CHANCE))
    table = _by_seed(rows, "gap", "examples", label_noise=0.15)
    return table[table.columns.max()] / table[table.columns.min()]


def linear_gap_ratio(records):
    table = _by_seed(records, "gap", "examples", penalty="none")
    return table[table.columns.max()] / table[table.columns.min()]


def _more_data(penalty):
    """A statistic: log risk at 0.9 examples per feature less log risk at 0.4."""

    def statistic(records):
        table = np.log(_by_seed(records, "risk", "examples", penalty=penalty))
        return table[round(0.9 * FEATURES)] - table[round(0.4 * FEATURES)]

    return statistic


more_data_hurts = _more_data("none")
more_data_helps_ridge = _more_data("optimal")


# --- figures ----------------------------------------------------------------------------------------------------------


def plot_risk(records):
    """Risk over parameters per example, two problems, without and with ridge, on the closed forms."""
    figure, axes = style.figure(1, 2, height=3.0)
    looks = style.looks(["none", "optimal"])
    labels = {"none": "least norm", "optimal": "optimal ridge"}
    grid = np.geomspace(records["gamma"].min(), records["gamma"].max(), 400)
    for axis, model in zip(axes, MODELS, strict=True):
        rows = records[records["model"] == model]
        for side in (grid[grid < 0.985], grid[grid > 1.015]):
            style.theory(axis, side, [MODELS[model].expected(gamma, False) for gamma in side], label="closed form")
        style.theory(axis, grid, [MODELS[model].expected(gamma, True) for gamma in grid], label="closed form")
        style.curves(
            axis, rows, x="gamma", y="risk", by="penalty", looks=looks, labels=labels, average="median", marks=30
        )
        style.unjoined(axis, labels.values())
        style.threshold(axis, 1.0, "parameters = examples")
        style.log_axis(axis, [0.1, 0.3, 1, 3, 10])
        axis.set(yscale="log", xlabel="parameters per example", title=model)
        axis.set_ylim(top=100 * MODELS[model].noise)
    axes[0].set_ylabel("excess risk (median)")
    style.legend(axes[1])
    style.count(axes[1], records)
    return figure


def plot_samples(records):
    """Risk of least squares with a fixed number of features over the number of examples, on the closed forms."""
    figure, axis = style.figure()
    looks = style.looks(["none", "optimal"])
    labels = {"none": "least norm", "optimal": "optimal ridge"}
    n = np.geomspace(records["examples"].min(), records["examples"].max(), 600)
    for side in (n[n < 0.985 * FEATURES], n[n > 1.015 * FEATURES]):
        style.theory(axis, side, [MODELS["isotropic"].expected(FEATURES / k, False) for k in side], label="closed form")
    style.theory(axis, n, [MODELS["isotropic"].expected(FEATURES / k, True) for k in n], label="closed form")
    style.curves(
        axis, records, x="examples", y="risk", by="penalty", looks=looks, labels=labels, average="median", marks=30
    )
    style.unjoined(axis, labels.values())
    style.threshold(axis, FEATURES, "examples = parameters")
    style.log_axis(axis, [20, 40, 100, 200, 500, 1000])
    axis.set(yscale="log", xlabel="training examples", ylabel="excess risk (median)")
    axis.set_ylim(top=100 * MODELS["isotropic"].noise)
    style.legend(axis)
    style.count(axis, records)
    return figure


def plot_network_samples(records):
    """Train error, test error and their gap for a network of one width, over the number of examples."""
    figure, axis = style.figure()
    looks = style.looks(["noisy_test_error", "train_error", "gap"])
    rows = records.assign(gap=records["noisy_test_error"] - records["train_error"])
    names = {"noisy_test_error": "test error", "train_error": "train error", "gap": "gap"}
    for column, name in names.items():
        percent = rows.assign(**{column: 100 * rows[column]})
        style.curves(axis, percent, x="examples", y=column, looks={column: looks[column]}, labels={column: name})
    style.log_axis(axis, sorted(records["examples"].unique()))
    axis.set(xlabel="training examples", ylabel="error (labels with noise) / %", ylim=(0, None))
    style.legend(axis)
    style.count(axis, records)
    return figure


def _by_width(axis, rows, looks, column="test_error"):
    percent = rows.assign(**{column: 100 * rows[column]})
    return style.curves(axis, percent, x="width", y=column, by="kind", looks=looks, marks=20)


def plot_features(records):
    """Test error of random features over their number, with and without label noise, and with ridge."""
    figure, axes = style.figure(1, 2, height=3.0)
    kinds = ["noisy labels", "clean labels", "noisy labels, ridge"]
    looks = style.looks(kinds)
    kind = np.where(records["ridge"] > 0, kinds[2], np.where(records["label_noise"] > 0, kinds[0], kinds[1]))
    for axis, (name, title) in zip(axes, {"digits": "digits", "mnist1d": "MNIST-1D"}.items(), strict=True):
        rows = records.assign(kind=kind)[records["dataset"] == name]
        _by_width(axis, rows, looks)
        style.threshold(axis, records["examples"].iloc[0], "features = examples")
        style.log_axis(axis, [10, 50, 200, 1000])
        axis.set(xlabel="random features", title=title)
    axes[0].set_ylabel("test error / %")
    style.legend(axes[1])
    style.count(axes[1], records)
    return figure


def _plot_networks(records, rates, xlabel):
    """Train and test error over width, a panel for each share of wrong labels."""
    figure, axes = style.figure(1, len(rates), height=3.0, sharey=True)
    axes = np.atleast_1d(axes)
    looks = style.looks(["test error", "train error"])
    for axis, rate in zip(axes, rates, strict=True):
        rows = records[records["label_noise"] == rate]
        for kind, column in {"test error": "test_error", "train error": "train_error"}.items():
            _by_width(axis, rows.assign(kind=kind), looks, column)
        style.threshold(axis, _landmarks(records, label_noise=rate)["threshold"].iloc[0], "train error ≤ 10 %")
        style.log_axis(axis, sorted(records["width"].unique())[:: 2 if len(rates) > 2 else 1])
        axis.set(xlabel=xlabel, title=f"{100 * rate:.0f} % noise")
    axes[0].set(ylabel="error / %", ylim=(0, min(50, axes[0].get_ylim()[1])))
    style.legend(axes[-1])
    style.count(axes[-1], records)
    return figure


def plot_network(records):
    """Networks with one hidden layer, noisy and clean labels."""
    return _plot_networks(records, [0.15, 0.0], "hidden units")


def plot_network_signals(records):
    """Networks with one hidden layer on MNIST-1D, noisy and clean labels: test error, on a scale of its own, and train error."""
    figure, axes = style.figure(1, 2, height=3.0)
    kinds = {0.15: "noisy labels", 0.0: "clean labels"}
    rows = records.assign(kind=records["label_noise"].map(kinds))
    for axis, column in zip(axes, ("test_error", "train_error"), strict=True):
        _by_width(axis, rows, style.looks(kinds.values()), column)
        style.threshold(axis, _landmarks(records, label_noise=0.15)["threshold"].iloc[0], "train error ≤ 10 %")
        style.log_axis(axis, [4, 8, 14, 26, 48, 90])
        axis.set(xlabel="hidden units", ylabel=column.replace("_", " ") + " / %")
    axes[1].set_ylim(0, None)
    style.legend(axes[1])
    style.count(axes[1], records)
    return figure


def plot_convolution(records):
    """The five-layer CNN, three shares of wrong labels."""
    return _plot_networks(records, sorted(records["label_noise"].unique(), reverse=True), "channels")


FILLS = {"noise": ("#d9d9d9", ""), "squared_bias": ("#fdae6b", ".."), "variance": ("#9ecae1", "//")}


def _stack(axis, means):
    """Noise, squared bias and variance on one another, each with its own hatch, and the measured error as dots."""
    bottom = np.zeros(len(means))
    for column, (colour, hatch) in FILLS.items():
        top = bottom + means[column].to_numpy()
        look = {"facecolor": colour, "hatch": hatch, "edgecolor": "#555555", "linewidth": 0}
        axis.fill_between(means.index, bottom, top, label=column.replace("_", " "), **look)
        axis.plot(means.index, top, color="black", linewidth=0.7, marker="", linestyle="-")
        bottom = top
    axis.plot(means.index, means["error"], linestyle="", marker="o", color="black", label="measured error")


def plot_decomposition(records):
    """Noise, squared bias and variance stacked over width; dots: error on fresh targets, from other training sets."""
    figure, axes = style.figure(1, 2, height=3.0)
    means = records.groupby(["part", "width"])[["noise", "squared_bias", "variance", "error"]].mean()
    features, networks_ = means.loc["resamples"], means.loc["network_resamples"]
    n = records[records["part"] == "resamples"]["examples"].iloc[0]
    for part in (features[features.index < n], features[features.index > n]):
        _stack(axes[0], part)
    style.threshold(axes[0], n)
    _stack(axes[1], networks_)
    rows = records[records["part"] == "network_resamples"]
    fitted = rows.groupby("width")["train_error"].mean() <= INTERPOLATION
    style.threshold(axes[1], fitted.idxmax() if fitted.any() else fitted.index[-1])
    style.log_axis(axes[0], [10, 20, 50, 150, 400, 800])
    style.log_axis(axes[1], list(networks_.index))
    axes[0].set(xlabel="random features", ylabel="mean squared error", title="random features")
    axes[0].set_ylim(0, 1.1 * features.drop(index=n, errors="ignore")["error"].max())
    axes[1].set(xlabel="hidden units", ylim=(0, 1.1 * networks_["error"].max()), title="networks")
    style.legend(axes[1])
    style.count(axes[1], rows)
    return figure
