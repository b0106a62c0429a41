"""Model size, data size and test error: from linear regression, where theory gives the number, to small networks.

Linear regression and random features are solved exactly (float64, least norm or ridge); networks with one hidden layer
and a five-layer CNN are trained by SGD. Every curve is read at the last step, never at its best.
"""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.data.draws import draw_each
from claimcheck.engine import measure, networks
from claimcheck.engine.ensemble import for_ensembles
from claimcheck.engine.single import per_seed
from claimcheck.engine.train import Data, noisy_labels, train
from claimcheck.theory import bias_variance, risk

from .laws import LAWS
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


def _drawn(context, name, seeds, train, test=None):
    """What each seed drew of a data set; inputs are less their mean over it, over the standard deviation of all."""
    own = draw_each(context, name, seeds, train=train, test=test)
    centre, scale = own.pool.x_train.mean(0), own.pool.x_train.std()
    x, x_test = ((part - centre) / scale for part in (own.pool.x_train, own.pool.x_test))
    return replace(own, pool=replace(own.pool, x_train=x, x_test=x_test))


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
    data = _drawn(context, name, [seed], n, context.settings.test).of(0)
    features = _random_relu(context, seed, data.x_train, data.x_test)
    for run in runs.itertuples():
        labels = noisy_labels(data.y_train, run.label_noise, 10, context.generator(seed, "label noise"))
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


@per_seed
def run_resamples(runs, context):
    """Bias, variance and noise of random features over resampled training sets; the error from other sets."""
    settings, (seed, name), rows = context.settings, runs[["seed", "dataset"]].iloc[0], []
    data = _drawn(context, name, [seed], settings.pool, settings.test).of(0)
    chosen, labels, fresh = _resampled(context, seed, data)
    inside, outside = _random_relu(context, seed, data.x_train, data.x_test)
    for run in runs.itertuples():
        scale = run.width**-0.5
        estimate = risk.fit(inside[:, : run.width][chosen] * scale, _targets(labels))
        known, other = (outside[:, : run.width] @ estimate * scale + 0.1).chunk(2)
        found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, fresh)
        rows.append({"run": run.run, "examples": float(settings.examples), **found})
    return rows


def _one_hidden_layer(inputs, width):
    return lambda run, generator: networks.MLP(inputs.numel(), width, 10, generator=generator)


def _five_layers(inputs, width):
    return lambda run, generator: networks.Cnn2d(1, 10, channels=width, generator=generator)


def run_network(runs, context, kind=_one_hidden_layer):
    """Train error (of the labels given), test error (of true labels) and their gap, on each seed's own examples.

    A width is said by itself or as a size; what the ensemble does not vary is the part's, which may say how many
    `epochs` in place of steps. Runs of one seed share the noise of their labels: a higher rate moves more of them. The
    gap is that to the test error of labels with the noise of the training labels, in expectation over that noise.
    """
    given = {**context.settings, **runs.iloc[0]}
    own = _drawn(context, given["dataset"], runs["seed"], given["examples"], given["test"])
    draws = zip(own.pool.y_train[own.train], runs["label_noise"], runs["seed"], strict=True)
    labels = [noisy_labels(y, rate, 10, context.generator(seed, "label noise")) for y, rate, seed in draws]
    data = Data({}, {"x": own.pool.x_train[own.train], "y": torch.stack(labels)})
    test = Data({"x": own.pool.x_test, "y": own.pool.y_test}, subset=own.test)
    steps = given["epochs"] * given["examples"] // given["batch_size"] if "epochs" in given else given["steps"]
    width = given["widths"][given["dataset"]][given["size"]] if "size" in given else int(given["width"])
    network = kind(own.pool.x_train[0], width)
    found = train(
        runs, context, network=network, data=data, steps=steps, evaluate={"train": data, "test": test}
    ).records
    noise = runs["label_noise"].to_numpy()
    seen = found["test_error"] * (1 - noise / 9) + (1 - found["test_error"]) * noise
    return found.assign(gap=seen - found["train_error"], units=float(width))


run_samples = run_network
run_convolution = partial(run_network, kind=_five_layers)


def run_network_resamples(runs, context):
    """The decomposition of a network's class probabilities; all training sets of a seed start from the same weights."""
    settings, sets, name = context.settings, 2 * context.settings.resamples, runs["dataset"].iloc[0]
    width = settings.widths[name][runs["size"].iloc[0]]
    own = _drawn(context, name, runs["seed"], settings.pool, settings.test)
    each = [own.of(member) for member in range(len(runs))]
    drawn = [_resampled(context, seed, data) for seed, data in zip(runs["seed"], each, strict=True)]
    x = torch.cat([data.x_train[chosen] for data, (chosen, _, _) in zip(each, drawn, strict=True)])
    members = runs.loc[runs.index.repeat(sets)]
    members = members.assign(run=[f"{run}/{number % sets}" for number, run in enumerate(members["run"])])
    seen = Data({}, {"x": x, "y": torch.cat([labels for _, labels, _ in drawn])})
    network = _one_hidden_layer(own.pool.x_train[0], width)
    trained = train(members, context, network=network, data=seen, evaluate={"train": seen})
    tested = Data({"x": own.pool.x_test}, subset=own.test.expand(len(runs), -1).repeat_interleave(sets, 0))
    said = torch.softmax(measure.outputs(trained.ensemble, tested).double(), -1).unflatten(0, (len(runs), sets))
    rows = []
    for run, probabilities, data, (*_, fresh) in zip(runs["run"], said, each, drawn, strict=True):
        known, other = probabilities.chunk(2)
        found = bias_variance.decomposed(known, other, data.y_test, settings.label_noise, fresh)
        rows.append({"run": run, "units": float(width), **found})
    errors = trained.records["train_error"].to_numpy().reshape(len(runs), sets).mean(1)
    lost, table = np.isnan(errors), pd.DataFrame(rows).assign(train_error=errors)
    table.loc[lost, list(found)] = np.nan
    return table.assign(status=np.where(lost, "diverged", "ok"))


def _observed(context, seed, law):
    """A seed's data of a law: `train` with noise, `inside` and `outside` of its range without; each (inputs, values).

    Inputs are as seen from the middle of the training range, in half ranges; values are in standard deviations of those
    within the range. The noise has a tenth of that, as the setting `noise` says.
    """
    settings, generator = context.settings, context.generator(seed, "law")
    middle = torch.tensor(law.inside, dtype=torch.float64).mean(0)
    half, found = torch.tensor(law.inside[1], dtype=torch.float64) - middle, {}
    for name, size in {"inside": settings.test, "outside": settings.test, "train": settings.most}.items():
        low, high = torch.tensor(law.outside if name == "outside" else law.inside, dtype=torch.float64)
        x = low + (high - low) * torch.rand((size, len(low)), dtype=torch.float64, generator=generator)
        found[name] = (x, law.known(x) + law.constant * law.term(x))
    scale = found["inside"][1].std()
    x, y = found["train"]
    noise = settings.noise * scale * torch.randn(len(y), dtype=torch.float64, generator=generator)
    found["train"] = (x, y + noise)
    return found, lambda x: (x - middle) / half, scale


def run_laws(runs, context):
    """Root mean square errors of a law's form and of a network, inside the range of the training inputs and outside.

    They are in standard deviations of the values. The form has one constant, which least squares finds: the right form, or the `wrong` one.
    """
    name, count = runs["dataset"].iloc[0], int(runs["examples"].iloc[0])
    law, rows, learners = LAWS[name], [], runs[runs["learner"] == "network"]
    drawn = {seed: _observed(context, seed, law) for seed in runs["seed"].unique()}

    def errors(run, predict):
        data, _, scale = drawn[run.seed]
        off = {f"{where}_error": predict(data[where][0]) - data[where][1] for where in ("inside", "outside")}
        rows.append(
            {"run": run.run} | {name: float((each / scale).square().mean().sqrt()) for name, each in off.items()}
        )

    for run in runs[runs["learner"] != "network"].itertuples():
        x, y = (each[:count] for each in drawn[run.seed][0]["train"])
        term = law.term if run.learner == "form" else law.wrong
        constant = (term(x) @ (y - law.known(x))) / term(x).square().sum()
        errors(run, lambda x: law.known(x) + constant * term(x))  # noqa: B023
    if len(learners):
        trained = _fit_networks(learners, context, drawn, count)
        for place, run in enumerate(learners.itertuples()):
            errors(run, partial(trained, place))
    lost = [not np.isfinite(row["inside_error"]) for row in rows]
    return pd.DataFrame(rows).assign(status=np.where(lost, "diverged", "ok"))


def _fit_networks(runs, context, drawn, count):
    """Networks with one hidden layer of tanh units, each on its own examples; `(place, inputs) -> values`."""
    settings, ours = context.settings, [drawn[seed] for seed in runs["seed"]]
    seen = [(seen_from(data["train"][0][:count]), data["train"][1][:count]) for data, seen_from, _ in ours]
    centres = [(y.mean(), y.std()) for _, y in seen]
    x = torch.stack([x for x, _ in seen]).float()
    y = torch.stack([(y - centre) / spread for (_, y), (centre, spread) in zip(seen, centres, strict=True)]).float()

    def network(run, generator):
        return networks.MLP(3, settings.width, 1, generator=generator, activation="tanh", init="xavier")

    @for_ensembles
    def loss(predict, batch, hyper):
        return (predict(batch["x"])[..., 0] - batch["y"]).square().mean(-1)

    def measured(*given):
        return {"loss": loss(*given)}

    data = Data({}, {"x": x.to(context.device), "y": y.to(context.device)})
    trained = train(
        runs, context, network=network, data=data, loss=loss, batch_size=min(settings.batch_size, count),
        hyper={"schedule": settings.schedule}, evaluate={"train": (data, measured)},
    )  # fmt: skip

    def predict(place, x):
        net = trained.ensemble.network(runs["run"].iloc[place])
        with torch.no_grad():
            said = net(ours[place][1](x).float().to(context.device))[:, 0].double().cpu()
        centre, spread = centres[place]
        return centre + spread * said

    return predict
