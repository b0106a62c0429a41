"""Residual connections: are deep stacks easier to train with them, and does the gradient reach the first layers?

Stacks of equal ReLU layers (`claimcheck.engine.residual.Stack`) on real digits, plain and with four kinds of skip connection;
signals before training against closed forms; a convolutional network on images at full scale.
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pandas as pd
import torch

from claimcheck.figures import style
from claimcheck.engine import measure
from claimcheck.engine.ensemble import Ensemble
from claimcheck.engine.networks import ResNet
from claimcheck.engine.residual import Stack, stack_jacobian
from claimcheck.engine.train import Data, classification, train
from claimcheck.theory.mean_field import block_growth, plain_gradient_drift

PIXELS, CLASSES = 64, 10
CHANCE = math.log(CLASSES)
LABELS = {
    "plain": "plain",
    "unscaled": "skip, unscaled",
    "scaled": r"skip, branch × $1/\sqrt{L}$",
    "zero_init": "skip, branch starts at 0",
    "pre_norm": "skip, layer norm in branch",
}
KINDS = ("plain", "unscaled", "scaled", "zero_init", "pre_norm")
"""As in `claimcheck.engine.residual`, in the order in which they are drawn."""
LOOKS = style.looks(KINDS)


# ---------------------------------------------------------------- runs


def standardised(context, name: str = "digits") -> Data:
    """Training examples as vectors, with the training pixels' mean 0 and standard deviation 1."""
    data = context.dataset(name).flat()
    return Data({"x": (data.x_train - data.x_train.mean()) / data.x_train.std(), "y": data.y_train})


def by_code(runs: pd.DataFrame) -> list[pd.DataFrame]:
    """Runs that can be one ensemble: layer norm in the blocks is other code, the other kinds differ in numbers."""
    return [group for _, group in runs.groupby(runs["kind"] == "pre_norm", sort=True)]


def stack_of(width: int, depth: int, watched: bool = False):
    """Maker of a run's network, for `train` and `Ensemble.build`."""

    def network(run, generator):
        return Stack(PIXELS, width, CLASSES, depth, run.kind, generator=generator, watched=watched)

    return network


def trained_stacks(runs: pd.DataFrame, context, depth: int) -> pd.DataFrame:
    """Train stacks of one depth by SGD with momentum and measure them on all training examples at the end."""
    settings, data = context.settings, standardised(context)
    return pd.concat(
        train(
            group, context, network=stack_of(settings.width, depth), data=data, steps=settings.steps,
            batch_size=settings.batch_size, optimizer="momentum", compile=False,
            evaluate={"train": (data, classification)},
        ).records
        for group in by_code(runs)
    )  # fmt: skip


def run_depth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Stacks of every kind at one depth, each kind at its own learning rate."""
    return trained_stacks(runs, context, int(runs["depth"].iloc[0]))


run_bare = run_shallow = run_stability = run_depth


def run_thousand(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Very deep stacks, one kind at a time: a third of the memory, and the weights of fewer stay in the cache."""
    depth = int(runs["depth"].iloc[0])
    return pd.concat(trained_stacks(group, context, depth) for _, group in runs.groupby("kind"))


def stream_signals(ensemble: Ensemble, data: Data) -> pd.DataFrame:
    """Root mean square of the stream h_l and of the loss's gradient with respect to it, before each block (0 ... L)."""
    found = measure.signals(ensemble, data)
    found = found[found["layer"] % 2 == 1]
    return pd.DataFrame(
        {
            "run": found["run"],
            "layer": (found["layer"] - 1) // 2,
            "stream": np.sqrt(found["pre_activation"]),
            "gradient": np.sqrt(found["delta"] * len(data)),
        }
    )


def examples(context, count: int, dtype: torch.dtype) -> Data:
    """The first `count` training examples in another precision."""
    data = standardised(context)
    return Data({"x": data.shared["x"][:count].to(dtype), "y": data.shared["y"][:count]})


def run_gradient(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Gradient by layer at initialisation and after some steps, in float64 so that nothing underflows."""
    settings, tables = context.settings, []
    probe = examples(context, settings.examples, torch.float64)
    data = standardised(context)
    whole = Data({"x": data.shared["x"].double(), "y": data.shared["y"]})
    for group in by_code(runs):
        network = stack_of(settings.width, settings.depth, watched=True)
        fresh = Ensemble.build(
            group, network, lambda seed: context.generator(seed, "init"), device=context.device, dtype=torch.float64
        )
        tables.append(stream_signals(fresh, probe).assign(step=0, status="ok"))
        trained = train(
            group, context, network=network, data=whole, steps=settings.steps, batch_size=settings.batch_size,
            optimizer="momentum", hyper={"learning_rate": settings.learning_rate}, dtype=torch.float64,
            compile=False,
        )  # fmt: skip
        after = stream_signals(trained.ensemble, probe).assign(step=settings.steps)
        lost = after["run"].isin(np.array(trained.ensemble.runs)[trained.diverged_at >= 0])
        after[["stream", "gradient"]] = after[["stream", "gradient"]].mask(lost)
        tables.append(after.assign(status=np.where(lost, "diverged", "ok")))
    return pd.concat(tables, ignore_index=True).assign(width=float(settings.width))


def run_wide(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The plain stack before training at one width, one network at a time (they are large)."""
    settings, tables = context.settings, []
    probe = examples(context, settings.examples, torch.float32)
    network = stack_of(int(runs["width"].iloc[0]), settings.depth, watched=True)
    for row in range(len(runs)):
        alone = runs.iloc[[row]].assign(kind="plain")
        fresh = Ensemble.build(alone, network, lambda seed: context.generator(seed, "init"), device=context.device)
        tables.append(stream_signals(fresh, probe))
    return pd.concat(tables, ignore_index=True)


def run_growth(runs: pd.DataFrame, context) -> pd.DataFrame:
    """E[x^2] through blocks x + W_2 relu(W_1 x) without normalisation, float64; `variance` 0 means 1 / blocks."""
    settings, tables = context.settings, []
    for seed, group in runs.groupby("seed"):
        draws = context.generator(int(seed), "growth")
        variance = torch.tensor(group["variance"].to_numpy(dtype=float))
        deviation = torch.where(variance > 0, variance, 1.0 / settings.blocks).sqrt()[:, None, None]
        x = torch.randn(settings.examples, settings.width, generator=draws, dtype=torch.float64).expand(
            len(group), -1, -1
        )
        squares = [x.square().mean((1, 2))]
        for _ in range(settings.blocks):
            first, second = torch.randn(2, settings.width, settings.width, generator=draws).double() / math.sqrt(
                settings.width
            )
            x = x + deviation * (torch.relu(x @ (math.sqrt(2.0) * first).T) @ second.T)
            squares.append(x.square().mean((1, 2)))
        table = pd.DataFrame(torch.stack(squares, 1).numpy(), index=group["run"]).stack()
        tables.append(table.rename_axis(["run", "block"]).rename("mean_square").reset_index())
    return pd.concat(tables, ignore_index=True)


def run_jacobian(runs: pd.DataFrame, context) -> pd.DataFrame:
    """Product of the blocks' Jacobians when the branch's slope is `slope` times that of a random ReLU layer."""
    settings, rows = context.settings, []
    for run in runs.itertuples(index=False):
        draws = context.generator(run.seed, "jacobian")
        shape = (settings.depth, settings.width, settings.width)
        weights = torch.randn(shape, generator=draws).double() * math.sqrt(2.0 / settings.width)
        active = (torch.rand(shape[:2], generator=draws) < 0.5).double()
        product = stack_jacobian(weights, active * run.slope, skip=run.kind != "plain")
        norm = float(torch.linalg.matrix_norm(product, 2))
        rows.append(
            {
                "run": run.run,
                "distance": float(torch.linalg.matrix_norm(product - torch.eye(settings.width).double(), 2)),
                "log10_norm": math.log10(norm) if norm > 0 else -math.inf,
            }
        )
    return pd.DataFrame(rows).assign(log10_norm=lambda table: table["log10_norm"].clip(lower=-400.0))


def run_conv(runs: pd.DataFrame, context) -> pd.DataFrame:
    """The convolutional network of He et al. with and without shortcuts, on images halved in size."""
    settings = context.settings
    data = context.dataset(settings.dataset)

    def images(x):
        return (torch.nn.functional.avg_pool2d(x, 2) - data.x_train.mean()) / data.x_train.std()

    whole = Data({"x": images(data.x_train), "y": data.y_train})
    sample = Data({"x": whole.shared["x"][: settings.evaluated], "y": data.y_train[: settings.evaluated]})
    test = Data({"x": images(data.x_test)[: settings.evaluated], "y": data.y_test[: settings.evaluated]})
    depth, kind = int(runs["depth"].iloc[0]), runs["kind"].iloc[0]

    def network(run, generator):
        return ResNet(
            data.x_train.shape[1], CLASSES, generator=generator, depth=depth, channels=settings.channels,
            residual=kind != "plain",
        )  # fmt: skip

    return train(
        runs, context, network=network, data=whole, steps=settings.steps, batch_size=settings.batch_size,
        optimizer="momentum", hyper={"schedule": "cosine", "weight_decay": 1e-4},
        evaluate={"train": (sample, classification), "test": (test, classification)},
    ).records  # fmt: skip


# ---------------------------------------------------------------- statistics: records -> one number per seed


def capped_loss(records: pd.DataFrame) -> pd.Series:
    """Train loss, at most that of guessing, ln 10; a diverged run is worth as much as guessing."""
    return records["train_loss"].fillna(CHANCE).clip(upper=CHANCE)


def error_of(records: pd.DataFrame) -> pd.Series:
    """Train error; a diverged run is wrong everywhere."""
    return records["train_error"].fillna(1.0)


def by_kind(records: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """Mean of `values` per seed (rows) and kind (columns)."""
    return records.assign(_value=values).pivot_table(index="seed", columns="kind", values="_value", aggfunc="mean")


def deep_gap(records: pd.DataFrame, kind: str, least: int = 64) -> pd.Series:
    """Train loss plain - residual of a kind, mean over the depths, of `least` layers and more, that it was run at."""
    rows = records[records["depth"] >= least]
    at_depth = rows[rows["depth"].isin(rows[rows["kind"] == kind]["depth"])]
    table = by_kind(at_depth, capped_loss(at_depth))
    return table["plain"] - table[kind]


deep_gap_scaled = partial(deep_gap, kind="scaled")
deep_gap_zero_init = partial(deep_gap, kind="zero_init")
deep_gap_pre_norm = partial(deep_gap, kind="pre_norm")
very_deep_gap_scaled = partial(deep_gap, kind="scaled", least=0)
very_deep_gap_zero_init = partial(deep_gap, kind="zero_init", least=0)
very_deep_gap_pre_norm = partial(deep_gap, kind="pre_norm", least=0)


def unscaled_failures(records: pd.DataFrame) -> pd.Series:
    """1 where the bare residual stack of depth 64 ends no better than guessing or diverges, else 0."""
    rows = records[(records["kind"] == "unscaled") & (records["depth"] == 64)]
    return (rows.assign(loss=capped_loss(rows)).groupby("seed")["loss"].mean() > 0.99 * CHANCE).astype(float)


def shallow_gap(records: pd.DataFrame) -> pd.Series:
    """Train error plain - scaled residual, mean over the shallow depths."""
    table = by_kind(records, error_of(records))
    return table["plain"] - table["scaled"]


def stable_decades(records: pd.DataFrame) -> pd.Series:
    """Decades of learning rate at which half the training examples are learnt: scaled residual - plain."""
    grid = np.sort(records["learning_rate"].unique())
    spacing = float(np.log10(grid[-1] / grid[0]) / max(len(grid) - 1, 1))
    learnt = records.assign(learnt=(error_of(records) < 0.5).astype(float))
    table = learnt.groupby(["seed", "kind"])["learnt"].sum().unstack("kind") * spacing
    return table["scaled"] - table["plain"]


def gradient_ratio(records: pd.DataFrame, kind: str) -> pd.Series:
    """log10 of the gradient's norm at the first block / at the output side, before training."""
    rows = records[(records["kind"] == kind) & (records["step"] == 0)]
    table = rows.pivot(index="seed", columns="layer", values="gradient")
    return np.log10(table[table.columns.min()] / table[table.columns.max()])


gradient_ratio_plain = partial(gradient_ratio, kind="plain")
gradient_ratio_unscaled = partial(gradient_ratio, kind="unscaled")
gradient_ratio_scaled = partial(gradient_ratio, kind="scaled")
gradient_ratio_zero_init = partial(gradient_ratio, kind="zero_init")
gradient_ratio_pre_norm = partial(gradient_ratio, kind="pre_norm")


def gradient_ratio_wide(records: pd.DataFrame) -> pd.Series:
    """log10 first/last gradient norm of the widest plain stack."""
    rows = records[records["width"] == records["width"].max()]
    return gradient_ratio(rows.assign(kind="plain", step=0), "plain")


def jacobian_distance(records: pd.DataFrame) -> pd.Series:
    """|J - I| of the residual stack whose branches have slope exactly 0."""
    rows = records[(records["kind"] == "residual") & (records["slope"] == 0)]
    return rows.set_index("seed")["distance"]


def jacobian_norm_small_slope(records: pd.DataFrame) -> pd.Series:
    """log10 |J| of the residual stack whose branches have a small slope."""
    rows = records[(records["kind"] == "residual") & (records["slope"] > 0)]
    return rows.set_index("seed")["log10_norm"]


def plain_jacobian_norm_small_slope(records: pd.DataFrame) -> pd.Series:
    """log10 |J| of the plain stack with the same small slope."""
    rows = records[(records["kind"] == "plain") & (records["slope"] > 0)]
    return rows.set_index("seed")["log10_norm"]


def deepest_accuracy(records: pd.DataFrame) -> pd.DataFrame:
    """Train accuracy per seed and kind at the greatest depth."""
    deepest = records[records["depth"] == records["depth"].max()]
    return by_kind(deepest, 1.0 - error_of(deepest))


def thousand_accuracy(records: pd.DataFrame) -> pd.Series:
    """Train accuracy of the deepest scaled residual stack."""
    return deepest_accuracy(records)["scaled"]


def thousand_accuracy_plain(records: pd.DataFrame) -> pd.Series:
    """Train accuracy of the plain stack of the same depth."""
    return deepest_accuracy(records)["plain"]


def thousand_accuracy_zero_init(records: pd.DataFrame) -> pd.Series:
    """Train accuracy of the stack of the same depth whose branches start at zero."""
    return deepest_accuracy(records)["zero_init"]


def growth_error(records: pd.DataFrame) -> pd.Series:
    """log E[x^2] gained per block minus log(1 + variance), mean over the variances."""
    last = int(records["block"].max())
    table = records.pivot(index=["seed", "variance"], columns="block", values="mean_square")
    measured = (np.log(table[last] / table[0]) / last).reset_index(name="slope")
    theory = [math.log(block_growth(v if v > 0 else 1.0 / last)) for v in measured["variance"]]
    return measured.assign(error=measured["slope"] - theory).groupby("seed")["error"].mean()


def conv_gap_deep(records: pd.DataFrame) -> pd.Series:
    """Train loss plain - residual of the convolutional network, mean over depths of 56 and more."""
    table = by_kind(records, capped_loss(records).where(records["depth"] >= 56))
    return table["plain"] - table["residual"]


def conv_gap_shallow(records: pd.DataFrame) -> pd.Series:
    """Train error plain - residual of the convolutional network of depth 8."""
    table = by_kind(records, error_of(records).where(records["depth"] <= 8))
    return table["plain"] - table["residual"]


# ---------------------------------------------------------------- figures


def plot_train_loss_by_depth(records: pd.DataFrame):
    """Train loss of every kind against depth, with the thousand-layer stacks of the other part."""
    figure, axis = style.figure(height=3.2)
    rows = records[records["part"].isin(["depth", "thousand"])]
    rows = rows.assign(loss=capped_loss(rows), depth=rows["depth"].astype(float))
    style.curves(axis, rows, x="depth", y="loss", by="kind", looks=LOOKS, labels=LABELS)
    style.theory(axis, None, CHANCE, label="guessing, ln 10")
    style.log_axis(axis, sorted(rows["depth"].unique()))
    axis.set(xlabel="depth / hidden layers", ylabel="train loss / nats", ylim=(0, None))
    style.legend(axis)
    fewest = rows.groupby("depth")["seed"].nunique().min()
    style.count(axis, rows, f"{fewest} at the greatest depths" if fewest < rows["seed"].nunique() else "")
    return figure


def plot_gradient_by_layer(records: pd.DataFrame):
    """The gradient's norm by layer relative to that at the output, before training and after some steps."""
    steps = sorted(records["step"].unique())
    figure, axes = style.figure(1, len(steps), height=3.2, sharey=True, squeeze=False)
    last = records[records["layer"] == records["layer"].max()]
    both = records.merge(last[["run", "step", "gradient"]], on=["run", "step"], suffixes=("", "_last"))
    both["decades"] = np.log10(both["gradient"] / both["gradient_last"])
    for axis, step in zip(axes[0], steps, strict=True):
        rows = both[(both["step"] == step) & np.isfinite(both["decades"])]
        style.curves(axis, rows, x="layer", y="decades", by="kind", looks=LOOKS, labels=LABELS, marks=6)
        axis.set_title("before training" if step == 0 else f"after {step} updates")
        axis.set(xlabel="layer")
    layers, width = np.array([0, records["layer"].max()]), float(records["width"].iloc[0])
    drift = plain_gradient_drift(width) / 2 / math.log(10)
    style.theory(axes[0, 0], layers, drift * (layers[1] - layers), label="plain, theory")
    axes[0, 0].set(ylabel="gradient norm rel. to output, log10")
    style.count(axes[0, -1], records)
    handles, names = axes[0, 0].get_legend_handles_labels()
    axes[0, -1].legend(handles, names, loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    return figure


def plot_thousand_layers(records: pd.DataFrame):
    """Train accuracy of the thousand-layer stacks, every seed a dot."""
    figure, axis = style.figure(height=2.6)
    records = records[records["depth"] == records["depth"].max()]
    levels = [kind for kind in KINDS if kind in set(records["kind"])]
    rows = records.assign(accuracy=100.0 * (1.0 - error_of(records)))
    style.points(axis, rows, x="kind", y="accuracy", levels=levels, looks=LOOKS)
    axis.set_xticks(
        range(len(levels)), [LABELS[kind].replace(", ", ",\n").replace("norm in", "norm\nin") for kind in levels]
    )
    axis.set(ylabel="train accuracy / %", ylim=(0, 102))
    style.theory(axis, None, 100.0 / CLASSES, label="guessing")
    style.theory(axis, None, 90.0, label="90 %", linestyle=":")
    style.legend(axis)
    style.count(axis, records, f"{records['depth'].iloc[0]:.0f} layers")
    return figure


def plot_growth(records: pd.DataFrame):
    """E[x^2] by block without normalisation, with the closed form."""
    figure, axis = style.figure(height=3.0)
    last = records["block"].max()
    shown = {v: f"{v:g}" if v > 0 else f"1/{last}" for v in sorted(records["variance"].unique())}
    start = records[records["block"] == 0].set_index("run")["mean_square"]
    rows = records.assign(growth=np.log10(records["mean_square"] / records["run"].map(start)))
    style.curves(axis, rows, x="block", y="growth", by="variance", looks=style.looks(shown), labels=shown, marks=8)
    blocks = np.arange(last + 1)
    for value in shown:
        rate = math.log10(block_growth(value if value > 0 else 1.0 / last))
        style.theory(axis, blocks, rate * blocks, label=r"$(1+\sigma_2^2)^{block}$")
    axis.set(xlabel="block", ylabel=r"E $x^2$ / its start, log10")
    style.legend(axis, title=r"$\sigma_2^2$")
    style.count(axis, records)
    return figure


def plot_stability(records: pd.DataFrame):
    """Train error against learning rate at one depth: how wide the range is in which the stack learns."""
    figure, axis = style.figure(height=2.8)
    rows = records.assign(error=100.0 * error_of(records))
    style.curves(axis, rows, x="learning_rate", y="error", by="kind", looks=LOOKS, labels=LABELS)
    style.theory(axis, None, 50.0, label="counted as learning")
    axis.set(xlabel="learning rate", ylabel="train error / %", xscale="log", ylim=(0, 100))
    style.legend(axis)
    style.count(axis, records)
    return figure


def plot_convolutional(records: pd.DataFrame):
    """Train loss of the convolutional network against depth."""
    figure, axis = style.figure(height=2.8)
    looks = {"plain": LOOKS["plain"], "residual": LOOKS["scaled"]}
    rows = records.assign(loss=capped_loss(records))
    style.curves(axis, rows, x="depth", y="loss", by="kind", looks=looks)
    axis.set(xlabel="depth / layers", ylabel="train loss / nats", xscale="log", yscale="log")
    style.legend(axis)
    style.count(axis, records)
    return figure
