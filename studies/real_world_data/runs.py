"""Networks on data as they come: shifted, from few sources, unbalanced, leaked, badly calibrated, made by the model.

A function of most parts says what one run's unit collects; `tested` trains the networks of all runs on it. Inputs are
less the mean of all training values, over their standard deviation. Everything is judged at the last step.
"""

from functools import wraps
from itertools import product

import numpy as np
import pandas as pd
import torch
from scipy.special import logit

from claimcheck.engine import measure, networks
from claimcheck.engine.single import per_run
from claimcheck.engine.train import Data, cross_entropy, train

from . import collected, loops, scores


def _stacked(runs, context, collect):
    """What each run's unit collects, as data of an ensemble: name -> Data. Runs that differ in the rate share it."""
    made, own = {}, []
    for run in runs.itertuples(index=False):
        cell = tuple(value for name, value in run._asdict().items() if name not in ("run", "learning_rate"))
        if cell not in made:
            made[cell] = _scaled(collect(run, context))
        own.append(made[cell])
    columns = {name: own[0][name].keys() for name in own[0]}
    stacked = {
        name: Data({}, {column: torch.stack([each[name][column] for each in own]) for column in columns[name]})
        for name in own[0]
    }
    return {name: data.to(context.device) for name, data in stacked.items()}


def _scaled(sets):
    """All sets with inputs less the mean of all training values, over their deviation: two numbers."""
    mean, deviation = sets["train"]["x"].mean(), sets["train"]["x"].std()
    return {name: {**columns, "x": (columns["x"] - mean) / deviation} for name, columns in sets.items()}


def _fitted(runs, context, sets, scored_on, loss=cross_entropy, **how):
    """Networks with one hidden layer trained on the set "train", with scores on the sets that are named."""
    classes, width = context.settings.classes, context.settings.width
    inputs = sets["train"].per_member["x"][0, 0].numel()
    return train(
        runs, context, network=lambda run, generator: networks.MLP(inputs, width, classes, generator=generator),
        data=sets["train"], loss=loss, evaluate={name: (sets[name], scores.scored) for name in scored_on}, **how,
    )  # fmt: skip


def _by_set(records, names):
    """A row for each run and set, with the loss on the validation set beside all of them."""
    tables = []
    for name in names:
        own = {column: records[f"{name}_{column}"] for column in ("error", "loss", "confidence", "ece")}
        tables.append(records[["run", "status"]].assign(tested=name, **own))
    return pd.concat(tables, ignore_index=True).merge(records[["run", "validation_loss"]], on="run")


def tested(collect):
    """Make a part's function of one that says what a run's unit collects: set -> columns x and y, "train" among them."""

    @wraps(collect)
    def run_part(runs, context):
        runs = runs.reset_index(drop=True)
        sets = _stacked(runs, context, collect)
        names = [name for name in sets if name != "train"]
        return _by_set(_fitted(runs, context, sets, names).records, names)

    return run_part


@tested
def run_shift(run, context):
    """Images that are turned by angles of one range or of both; tested on each range."""
    sizes = context.settings[run.dataset]
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes[name] for name in SETS))
    near, far = context.settings.near, context.settings.far
    generator = context.generator(run.seed, "angles")
    part = torch.rand(len(x), generator=generator)
    inside, outside = (collected.rotated(x, low + (high - low) * part) for low, high in (near, far))
    wide = (torch.rand(len(x), generator=generator) < 0.5) & torch.tensor(run.trained_on == "both")
    own = torch.where(wide[:, None, None, None], outside, inside)
    kept = {name: sizes[name] for name in SETS}
    sets = collected.cut(own, y, **kept)
    tests = {name: collected.cut(each, y, **kept)["test"] for name, each in (("near", inside), ("far", outside))}
    return {"train": sets["train"], **tests, "validation": sets["validation"]}


SETS = ("train", "validation", "test")


@tested
def run_sources(run, context):
    """Rows of many sources or of few, tested on other sources; or each row taken for a source of its own."""
    settings, sizes = context.settings, context.settings[run.dataset]
    x, y, source = collected.by_source(context, run.dataset, run.seed)
    source = np.arange(len(source)) if run.sources == "rows" else source
    share = settings.few if run.sources == "few" else settings.many
    rng = context.numpy_generator(run.seed, "sources")
    classes = y.numpy() if run.sources == "few" and "objects" in sizes else None  # one hand writes all classes
    inside, outside = collected.inside_and_outside(source, share, settings.outside, rng, classes)
    sets = collected.cut(x[inside], y[inside], train=sizes["train"], validation=sizes["validation"])
    return {**sets, "test": {"x": x[outside][: sizes["test"]], "y": y[outside][: sizes["test"]]}}


def run_minority(runs, context):
    """A group, images turned by a quarter, by its share of the training set; error of it, of the others, of all."""
    found = tested(_with_minority)(runs, context)
    share, keys = context.settings.share_of_all, ["run", "status", "validation_loss"]
    wide = found[found["tested"] != "validation"].pivot(index=keys, columns="tested", values="error")
    every = share * wide["minority"] + (1 - share) * wide["majority"]
    every = every.rename("error").reset_index().assign(tested="all")
    return pd.concat([found, every], ignore_index=True)


def _with_minority(run, context):
    """The first of the training and of the validation examples are turned; the tests are the same images, both ways."""
    sizes = {name: context.settings[run.dataset][name] for name in SETS}
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes.values()))
    sets = collected.cut(x, y, **sizes)

    def turned(images):
        return collected.rotated(images, torch.full((len(images),), float(context.settings.degrees)))

    for name in ("train", "validation"):
        count = round(run.share * sizes[name])
        sets[name]["x"] = torch.cat([turned(sets[name]["x"][:count]), sets[name]["x"][count:]])
    test = sets.pop("test")
    return {**sets, "majority": test, "minority": {**test, "x": turned(test["x"])}}


def run_balance(runs, context):
    """Odd digits among even ones, fewer and fewer: decisions as trained and after correction by the classes' shares."""
    runs, rows = runs.reset_index(drop=True), []
    sets = _stacked(runs, context, _unbalanced)
    found = _fitted(runs, context, sets, ["validation"], loss=scores.weighted_loss)
    for run, margin, odd in zip(runs.itertuples(), *_margins(found.ensemble, sets["test"]), strict=True):
        arm = context.settings.arms[run.arm]
        for name, shift in (("plain", 0.0), ("adjusted", np.log(arm["ratio"]) if arm["treated"] == "none" else 0.0)):
            rows.append({"run": run.run, "tested": name, **scores.balanced(margin + shift, odd)})
    return pd.DataFrame(rows).merge(found.records[["run", "status", "validation_loss"]], on="run")


def _margins(ensemble, data):
    """Logit of class 1 less that of class 0, and whether an example is of class 1, of each member: both [R, N]."""
    said = measure.outputs(ensemble, data).double().cpu().numpy()
    return said[..., 1] - said[..., 0], data.per_member["y"].cpu().numpy() == 1


def _unbalanced(run, context):
    """The classes, even (0) and odd (1), in the arm's numbers, with weights of the loss; tests have both equally often.

    A set from which even digits were thrown away is repeated until it is as long as the others. The validation set holds
    both equally often, too, weighted as the arm's training set is.
    """
    sizes, arm = context.settings[run.dataset], context.settings.arms[run.arm]
    x, y = collected.examples(context, run.dataset, run.seed, sizes["all"])
    rare = round(sizes["train"] / (1 + arm["ratio"]))
    many = rare if arm["treated"] == "thrown_away" else sizes["train"] - rare
    parts = {name: [] for name in SETS}
    for odd, count in ((0, many), (1, rare)):
        own = torch.nonzero(y % 2 == odd)[:, 0]
        test, validation, rest = own.split(
            [sizes["test"], sizes["validation"], len(own) - sizes["test"] - sizes["validation"]]
        )
        parts["test"].append(test), parts["validation"].append(validation), parts["train"].append(rest[:count])
    rows = {name: torch.cat(each) for name, each in parts.items()}
    rows["train"] = rows["train"][torch.arange(sizes["train"]) % len(rows["train"])]
    shares = torch.tensor([many, rare]) / (many + rare)
    weights = {"train": 0.5 / shares if arm["treated"] == "weighted" else torch.ones(2), "test": torch.ones(2)}
    weights["validation"] = 2 * shares * weights["train"]
    return {
        name: {"x": x[own], "y": y[own] % 2, "weight": weights[name][y[own] % 2].float()} for name, own in rows.items()
    }


def run_alarms(runs, context):
    """Alarms by thresholds on a network's probability, its logits as they are or sharpened: costs, errors of each kind.

    `predictive_corrected`: the share of alarms that are right where the prior in the logits is the population's, too.
    """
    settings, runs, rows = context.settings, runs.reset_index(drop=True), []
    sets = _stacked(runs, context, _cases)
    found = _fitted(runs, context, sets, ["validation"])
    prior = logit(sets["train"].per_member["y"].double().mean(1).cpu().numpy())
    tested = _margins(found.ensemble, sets["test"])
    for run, shift, margin, positive in zip(
        runs.itertuples(), logit(settings.prevalence) - prior, *tested, strict=True
    ):
        rng = context.numpy_generator(run.seed, "population")
        people = scores.screened(margin, positive, settings.bayes, settings.prevalence, settings.people, rng)
        for sharpened, threshold in product(settings.sharpened, settings.thresholds):
            how = positive, threshold, settings.miss, settings.prevalence
            row = scores.decided(sharpened * margin, *how)
            row["predictive_corrected"] = scores.decided(sharpened * margin + shift, *how)["predictive"]
            rows.append({"run": run.run, "sharpened": sharpened, "threshold": threshold, "screened": people, **row})
    table = pd.DataFrame(rows).merge(found.records[["run", "status", "validation_loss"]], on="run")
    return table.assign(screened_ratio=table["screened"] / table["predictive"].where(table["predictive"] > 0))


def _cases(run, context):
    """Cases (1) and others (0): malignant tumours, each feature standardised by the training examples, or one digit."""
    sizes = context.settings[run.dataset]
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes[name] for name in SETS))
    if run.dataset == "breast_cancer":
        seen = x[: sizes["train"]]
        x = (x - seen.mean(0)) / seen.std(0)
    return collected.cut(x, (y == sizes["positive"]).long(), **{name: sizes[name] for name in SETS})


@per_run
def run_noise(run, context):
    """Mean test accuracy on pure noise, of features chosen on all examples or on the training half alone."""
    settings, found = context.settings, []
    rng = context.numpy_generator(run.seed, f"noise {run.candidates}")
    half = settings.examples // 2
    sign = np.tile([-1.0, 1.0], half)
    for _ in range(settings.repeats):
        x = rng.standard_normal((settings.examples, run.candidates))
        seen = x[:half], sign[:half]
        chosen = np.argsort(-np.abs(sign @ x if run.chosen_on == "all" else seen[1] @ seen[0]))[: settings.kept]
        weights = seen[1] @ seen[0][:, chosen]
        found.append(((x[half:][:, chosen] @ weights > 0) == (sign[half:] > 0)).mean())
    return {"accuracy": float(np.mean(found))}


run_noise_law = run_noise


@tested
def run_copies(run, context):
    """Test examples of which a share is in the training set, too, which keeps its length."""
    sizes = context.settings[run.dataset]
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes[name] for name in SETS))
    sets = collected.cut(x, y, **{name: sizes[name] for name in SETS})
    count = round(run.copied * sizes["test"])
    for column, values in sets["train"].items():
        sets["train"][column] = torch.cat([sets["test"][column][:count], values[count:]])
    return sets


@tested
def run_scaler(run, context):
    """Features standardised by the training examples, or by all examples, those of the test among them."""
    sizes = context.settings[run.dataset]
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes[name] for name in SETS))
    seen = x[: sizes["train"]] if run.scaled_by == "train" else x
    deviation = seen.std(0)
    x = (x - seen.mean(0)) / torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return collected.cut(x, y, **{name: sizes[name] for name in SETS})


def run_calibration(runs, context):
    """Confidence and accuracy in bins, of logits as they are and by a temperature fitted on validation examples."""
    runs, rows = runs.reset_index(drop=True), []
    sets = _stacked(runs, context, _clean_and_noisy)
    found = _fitted(runs, context, sets, [], steps=int(runs["steps"].iloc[0]))
    asked = {name: data for name, data in sets.items() if name != "train"}
    said = {name: measure.outputs(found.ensemble, data).double().cpu().numpy() for name, data in asked.items()}
    truth = {name: data.per_member["y"].cpu().numpy() for name, data in asked.items()}
    for place, run in enumerate(runs["run"]):
        fitted = scores.temperature(said["validation"][place], truth["validation"][place])
        for name in ("clean", "noisy"):
            for scaled, heat in ((0, 1.0), (1, fitted)):
                table = scores.reliability(said[name][place] / heat, truth[name][place])
                rows += [{"run": run, "tested": name, "scaled": scaled, "temperature": fitted, **row} for row in table]
    return pd.DataFrame(rows).merge(found.records[["run", "status"]], on="run")


def _clean_and_noisy(run, context):
    sizes = context.settings[run.dataset]
    x, y = collected.examples(context, run.dataset, run.seed, sum(sizes[name] for name in SETS))
    sets = collected.cut(x, y, **{name: sizes[name] for name in SETS})
    clean = sets.pop("test")
    noise = torch.randn(clean["x"].shape, generator=context.generator(run.seed, "noise"))
    noisy = {**clean, "x": clean["x"] + sizes["noise"] * sets["train"]["x"].std() * noise.to(clean["x"])}
    return {**sets, "clean": clean, "noisy": noisy}


def run_generations(runs, context):
    """Networks that learn from the labels that the one before gave to fresh images, some of the true labels among them."""
    settings, runs, tables, found = context.settings, runs.reset_index(drop=True), [], None
    sets = _stacked(runs, context, _in_generations)
    real = torch.as_tensor(runs["real"].to_numpy(copy=True), device=context.device)[:, None]
    for generation in range(settings.generations + 1):
        fresh = sets.pop(f"train{generation}")
        x, labels = fresh.per_member["x"], fresh.per_member["y"]
        if generation:
            known = torch.arange(labels.shape[1], device=labels.device) < real * labels.shape[1]
            said = measure.outputs(found.ensemble, fresh).argmax(-1)
            labels = torch.where(known, labels, said)
        own = {"train": Data({}, {"x": x, "y": labels}), "test": sets["test"], "validation": sets["validation"]}
        found = _fitted(runs, context, own, ["test", "validation"], streams=f"generation {generation}/")
        tables.append(found.records.assign(generation=generation))
    columns = ["run", "generation", "test_error", "validation_loss", "status"]
    return pd.concat(tables, ignore_index=True)[columns]


def _in_generations(run, context):
    """A training set of fresh images for each generation; the first is the one by which inputs are scaled."""
    sizes, count = context.settings[run.dataset], context.settings.generations + 1
    kept = {f"train{generation}": sizes["train"] for generation in range(count)}
    kept |= {"validation": sizes["validation"], "test": sizes["test"]}
    sets = collected.cut(*collected.examples(context, run.dataset, run.seed, sum(kept.values())), **kept)
    return {"train": sets["train0"], **sets}


def run_urn(runs, context):
    """Where looks go in the end, of two places, each unit with one process a rule and pair of rates."""
    settings, rates = context.settings, np.array([context.settings.chances[name] for name in runs["rates"]]).T
    drawn = [context.numpy_generator(seed, "urn").random((settings.rounds, 3)) for seed in runs["seed"]]
    looks, counts = loops.watched(np.stack(drawn, axis=2), list(runs["rule"]), rates)
    strayed = np.abs(looks - np.array([rates[0] / rates.sum(0)])[0])
    return pd.DataFrame({"run": runs["run"], "looks": looks, "counts": counts, "strayed": strayed})


@per_run
def run_urn_law(run, context):
    """Many processes of one rule: quantiles of the share of the counts, and how often the poorer place has all looks."""
    settings, rng = context.settings, context.numpy_generator(run.seed, "urn law")
    rates = np.repeat(np.array([settings.chances[run.rates]], dtype=float).T, settings.urns, 1)
    draws = (rng.random((3, settings.urns)) for _ in range(settings.rounds))
    looks, counts = loops.watched(draws, [run.rule] * settings.urns, rates)
    levels = np.quantile(counts, np.arange(1, 20) / 20)
    return {"wrong": float((looks < 0.5).mean()), **{f"quantile_{5 * k}": q for k, q in enumerate(levels, 1)}}


def run_chains(runs, context):
    """Log-variance of a normal distribution refitted to its own draws, one chain a unit, by generation."""
    tables = []
    for run in runs.itertuples():
        rng = context.numpy_generator(run.seed, f"chain {run.n} {run.real}")
        found = loops.refitted(rng.standard_normal, run.n, run.real, context.settings.generations, 1)[:, 0]
        tables.append(pd.DataFrame({"run": run.run, "generation": range(len(found)), "log_variance": found}))
    return pd.concat(tables, ignore_index=True)


@per_run
def run_chains_law(run, context):
    """Mean log-variance's change a generation, and the mean variance at the end, over many chains."""
    settings, rng = context.settings, context.numpy_generator(run.seed, f"chains {run.n}")
    found = loops.refitted(rng.standard_normal, run.n, 0.0, settings.generations, settings.chains)
    mean = float(np.exp(found[-1]).mean())
    return {
        "drift": found[-1].mean() / settings.generations,
        "mean_variance": mean,
        "rounds": float(settings.generations),
    }
