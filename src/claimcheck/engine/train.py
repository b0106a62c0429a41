"""Train many networks at once: from a study's runs to its records.

``train`` cuts the runs into tiles that fit in memory; a tile is built (:mod:`claimcheck.engine.ensemble`), its steps
are made (:mod:`claimcheck.engine.step`) and taken in a loop, and whole data sets are evaluated at chosen steps. A run's
result does not depend on the other runs, on the tiles, or on how the ensemble is cut into shards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import repeat
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from claimcheck.engine import memory
from claimcheck.engine.acceleration import block_size, choose, pays
from claimcheck.engine.data import Data, Order, check_batch_size, noisy_labels
from claimcheck.engine.ensemble import Ensemble, for_ensembles, hyper_of, join, twins
from claimcheck.engine.optimizers import OPTIMIZERS, check_optimizer
from claimcheck.engine.schedules import multipliers
from claimcheck.engine.step import Loss, Recipe, Table, TrainState
from claimcheck.errors import ClaimcheckError, closest

__all__ = ["Data", "Trained", "classification", "cross_entropy", "noisy_labels", "train"]

HYPER = {
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "momentum": 0.9,
    "beta1": 0.9,
    "beta2": 0.999,
    "eps": 1e-8,
    "clip": float("inf"),
    "schedule": "constant",
    "warmup": 0.0,
    "decay_factor": 0.1,
}
"""Hyperparameters and their defaults; a column of ``runs`` of the same name wins, then the ``hyper`` argument."""


@for_ensembles
def cross_entropy(predict, batch, hyper) -> Tensor:
    """Mean cross-entropy of logits ``[B, C]`` against classes ``y`` ``[B]``, in nats: the default loss."""
    return softmax_cross_entropy(predict(batch["x"]), batch["y"]).mean(-1)


def softmax_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """-log softmax(logits)[class] of each example, ``[..., B]``, by its formula.

    Over a handful of classes ``F.cross_entropy`` takes torch's slow path; a small network's step is 20 % faster so.
    """
    shifted = logits - logits.detach().amax(-1, keepdim=True)
    return shifted.exp().sum(-1).log() - shifted.gather(-1, classes[..., None])[..., 0]


@for_ensembles
def classification(predict, batch, hyper) -> dict[str, Tensor]:
    """Metrics of a classifier: ``loss`` (nats) and ``error`` (share of wrong answers)."""
    logits = predict(batch["x"])
    wrong = (logits.argmax(-1) != batch["y"]).to(logits.dtype)
    return {"loss": softmax_cross_entropy(logits, batch["y"]).mean(-1), "error": wrong.mean(-1)}


@dataclass(frozen=True)
class Trained:
    """The result of training.

    Attributes:
        records: a row per run and evaluated step: run, step, metrics (float64), status. From the step at which a run
            diverged its metrics are NaN and its status is ``diverged``.
        ensemble: the trained networks, in the order of the runs.
        diverged_at: step at which each run diverged, -1 where it did not, ``[R]``.
        batch_losses: of the last `batch_loss_window` minibatches, NaN from the step on at which a run diverged,
            float64 ``[R, k]``.
    """

    records: pd.DataFrame
    ensemble: Ensemble
    diverged_at: np.ndarray
    batch_losses: np.ndarray


@dataclass(frozen=True)
class Plan:
    """What is trained, for whatever runs; the arguments of :func:`train`."""

    network: Callable[..., torch.nn.Module]
    loss: Loss
    steps: int
    batch_size: int | None
    optimizer: str
    hyper: Mapping[str, Any]
    evaluate: Mapping[str, tuple]
    evaluate_at: tuple[int, ...]
    batch_loss_window: int
    streams: str
    dtype: torch.dtype
    milestones: tuple[float, ...]


def train(
    runs: pd.DataFrame,
    context: Any,
    *,
    network: Callable[..., torch.nn.Module],
    data: Data,
    steps: int | None = None,
    loss: Loss = cross_entropy,
    batch_size: int | Literal["as set"] | None = "as set",
    optimizer: str | None = None,
    hyper: Mapping[str, Any] | None = None,
    evaluate: Mapping[str, Data | tuple] | None = None,
    evaluate_at: Iterable[int] | None = None,
    batch_loss_window: int = 0,
    streams: str = "",
    dtype: torch.dtype = torch.float32,
    milestones: tuple[float, ...] = (0.5, 0.75),
    compile: bool | None = None,
) -> Trained:
    """Train the network of every run, and measure them at chosen steps.

    Args:
        runs: a row per run: run, seed, factors. Numeric columns reach ``loss`` and ``metrics`` as ``hyper``; columns
            named as in :data:`HYPER` set that run's hyperparameters (``schedule`` is a column of names).
        context: streams, device, memory limit and log (:class:`claimcheck.engine.context.Context`).
        network: ``(run, generator) -> nn.Module``; the run's row has its columns as attributes.
        data: the training examples; rows of per-member columns are in the order of ``runs``.
        steps: optimiser steps; left out, the part's setting `steps`.
        loss: ``(predict, batch, hyper) -> scalar`` for ONE network; ``batch`` holds the columns of ``data``, and
            ``key``, an int64 scalar of the run and step for :mod:`claimcheck.engine.noise`.
        batch_size: examples a step, None for all of them at every step; left out, the setting `batch_size` if any.
        optimizer: sgd, momentum, adam (coupled L2), adamw; left out, the setting `optimizer`, else sgd.
        hyper: values for hyperparameters that are not columns of ``runs``; any others reach ``loss`` too. The setting
            `learning_rate` counts where neither says one.
        evaluate: prefix -> (data, metrics) or (data, metrics, "train"): ``metrics(predict, batch, hyper)`` returns a
            dict of scalars that become columns ``<prefix>_<name>``; on whole data, in eval mode unless told "train".
            Data alone are classified. With "ensemble" in the third place ``metrics(ensemble, data)`` returns a dict of
            ``[R]``: for what no function of predictions can tell, such as gradients.
        evaluate_at: steps after which to evaluate (0: before training); the last one if not given.
        batch_loss_window: when k > 0, a column ``batch_loss``: mean loss of the last k minibatches (or of those there
            have been) before each evaluated step; NaN at step 0.
        streams: prefix of the streams' purposes ("init", "order", "step"), for a study that trains several times.
        dtype: of parameters and arithmetic.
        milestones: shares of the way at which the schedule ``step`` decays by ``decay_factor``.
        compile: True or False where the study decides; None for the rule (:func:`claimcheck.engine.acceleration.pays`).

    Raises:
        ClaimcheckError: settings that cannot be, networks that differ in shape, data without a row for each run.
    """
    said = context.settings
    steps = said.steps if steps is None else steps
    batch_size = said.get("batch_size") if batch_size == "as set" else batch_size
    fixed = {name: said[name] for name in ("learning_rate",) if name in said and name not in runs}
    sets = {name: (each, classification) if isinstance(each, Data) else each for name, each in (evaluate or {}).items()}
    plan = Plan(
        network, loss, steps, batch_size, optimizer or said.get("optimizer", "sgd"),
        {**HYPER, **fixed, **(hyper or {})}, sets,
        _evaluated_steps(evaluate_at, steps), batch_loss_window, streams, dtype, milestones,
    )  # fmt: skip
    return _train(runs.reset_index(drop=True), context, data, plan, compile)


def _evaluated_steps(evaluate_at: Iterable[int] | None, steps: int) -> tuple[int, ...]:
    at = tuple(sorted({int(step) for step in ([steps] if evaluate_at is None else evaluate_at)}))
    if not at or at[0] < 0 or at[-1] > steps:
        raise ClaimcheckError("evaluate_at", found=list(at), expected=f"steps from 0 to {steps}")
    return at


def _train(runs: pd.DataFrame, context: Any, data: Data, plan: Plan, compile: bool | None) -> Trained:
    """Decide how steps are taken, train tile by tile, and put the tiles together."""
    _check(runs, data, plan)
    footprint = _footprint(runs, data, context, plan)
    wanted = (compile, f"compile={compile} by the study")
    if compile is None:
        wanted = pays(footprint, context.design_runs, plan.steps)
    size = footprint.bytes(4 + 2 * len(OPTIMIZERS[plan.optimizer]), plan.dtype.itemsize)
    block = block_size(size)

    def tile(rows: list[int]) -> Trained:
        return _first(len(rows), _train_tile(runs.iloc[twins(rows)], twins(rows), data, context, plan, wanted, block))

    parts = memory.in_tiles(tile, len(runs), context, size)
    note_peak_memory(context)
    return Trained(
        pd.concat([part.records for part in parts], ignore_index=True),
        join(part.ensemble for part in parts),
        np.concatenate([part.diverged_at for part in parts]),
        np.concatenate([part.batch_losses for part in parts]),
    )


def _check(runs: pd.DataFrame, data: Data, plan: Plan) -> None:
    """Refuse what would otherwise measure the wrong examples in silence, or fail later with an error that says less."""
    check_optimizer(plan.optimizer)
    for name in plan.hyper:  # others are the loss's own
        if name not in HYPER and get_close_matches(name, HYPER, 1, cutoff=0.8):
            raise ClaimcheckError("unknown hyperparameter", where="hyper", found=name, hint=closest(name, HYPER))
    data.check(len(runs))
    for prefix, (examined, *_) in plan.evaluate.items():
        examined.check(len(runs), f"evaluate[{prefix!r}]")
    if plan.batch_size is not None:
        check_batch_size(plan.batch_size, len(data))


def _first(members: int, trained: Trained) -> Trained:
    """The first members of a tile: all of them, or one of two twins."""
    if members == len(trained.ensemble):
        return trained
    records = trained.records.drop_duplicates(["run", "step"], ignore_index=True)
    ensemble = trained.ensemble.members(range(members))
    return Trained(records, ensemble, trained.diverged_at[:members], trained.batch_losses[:members])


def _build(runs: pd.DataFrame, context: Any, plan: Plan) -> tuple[Ensemble, dict[str, Tensor]]:
    """The networks before training, and all their numeric hyperparameters in float64."""
    exact = hyper_of(runs, plan.hyper, context.device, torch.float64)
    hyper = {name: value.to(plan.dtype) for name, value in exact.items()}
    ensemble = Ensemble.build(
        runs,
        plan.network,
        lambda seed: context.generator(seed, f"{plan.streams}init"),
        hyper,
        context.device,
        plan.dtype,
    )
    return ensemble, exact


def _schedule(runs: pd.DataFrame, exact: Mapping[str, Tensor], plan: Plan) -> Tensor:
    """Multipliers of the learning rate, ``[steps, R]`` float64."""
    names = runs["schedule"] if "schedule" in runs else [plan.hyper["schedule"]] * len(runs)
    keys = list(zip(names, exact["warmup"].tolist(), exact["decay_factor"].tolist()))
    tables = {key: multipliers(key[0], plan.steps, key[1], plan.milestones, key[2]) for key in set(keys)}
    return torch.from_numpy(np.stack([tables[key] for key in keys], axis=1)).to(exact["warmup"].device)


def _train_tile(
    runs: pd.DataFrame, rows: list[int], data: Data, context: Any, plan: Plan, wanted: tuple[bool, str], block: int
) -> Trained:
    """Build, train and measure networks that fit in memory together."""
    ensemble, exact = _build(runs, context, plan)
    data = data.members(rows).to(context.device)
    evaluate = {name: (entry[0].members(rows).to(context.device), *entry[1:]) for name, entry in plan.evaluate.items()}
    start = TrainState.start(ensemble, plan.optimizer)
    parts = _recipe(data, ensemble, exact, plan), _table(runs, exact, context, plan), data, start
    step = choose(parts, context, wanted, block)
    order = _order(data, list(runs["seed"]), context, plan)
    tables, done = [], 0
    window: deque[Tensor] = deque(maxlen=plan.batch_loss_window)
    for t in sorted({*plan.evaluate_at, plan.steps}):
        for number in context.steps(t - done, len(ensemble)):
            window.append(step(done + number, next(order)))
        context.advance(t / max(plan.steps, 1))
        done, state = t, step.settled(t)
        ensemble.parameters, ensemble.buffers = state.parameters, state.buffers
        if t in plan.evaluate_at:
            tables.append(_measure(t, ensemble, state, evaluate, window, plan))
    diverged_at = state.diverged_at.cpu().numpy()
    return Trained(
        pd.concat(tables, ignore_index=True), ensemble, diverged_at, _batch_losses(window, diverged_at, done)
    )


def _batch_losses(window: Iterable[Tensor], diverged_at: np.ndarray, done: int) -> np.ndarray:
    """Losses of the last minibatches of `done`, ``[R, k]``."""
    losses = [each.double().cpu().numpy() for each in window]
    found = np.stack(losses, 1) if losses else np.empty((len(diverged_at), 0))
    lost = diverged_at[:, None] >= 0
    return np.where(lost & (np.arange(done - len(losses), done) + 1 >= diverged_at[:, None]), np.nan, found)


def _recipe(data: Data, ensemble: Ensemble, exact: Mapping[str, Tensor], plan: Plan) -> Recipe:
    dims = data.whole()[1] if plan.batch_size is None else dict.fromkeys(data.names, 0)
    clipped = not bool(exact["clip"].isinf().all())
    return Recipe(ensemble, plan.loss, plan.optimizer, clipped, {**dims, "key": 0})


def _table(runs: pd.DataFrame, exact: Mapping[str, Tensor], context: Any, plan: Plan) -> Table:
    keys = [context.key(int(seed), f"{plan.streams}step") for seed in runs["seed"]]
    return Table(
        plan.optimizer, exact, _schedule(runs, exact, plan), torch.tensor(keys, device=context.device), plan.dtype
    )


def _order(data: Data, seeds: list[int], context: Any, plan: Plan) -> Iterator[Tensor | None]:
    """Positions ``[R, B]`` of each step's examples, without end; None for all examples."""
    if plan.batch_size is None:
        return repeat(None)
    name = f"{plan.streams}order"
    return iter(Order(seeds, lambda seed: context.generator(seed, name), len(data), plan.batch_size, context.device))


def _measure(
    t: int, ensemble: Ensemble, state: TrainState, evaluate: Mapping[str, tuple], window: Iterable[Tensor], plan: Plan
) -> pd.DataFrame:
    """Rows of the records at this step: every metric of every member, NaN where it has diverged."""
    diverged = state.diverged_at.cpu().numpy() >= 0
    columns: dict[str, np.ndarray] = {}
    if plan.batch_loss_window:
        last = torch.stack(list(window)).double().mean(0).cpu().numpy() if window else np.full(len(ensemble), np.nan)
        columns["batch_loss"] = last
    for prefix, (data, metrics, *mode) in evaluate.items():
        if mode == ["ensemble"]:
            found = metrics(ensemble, data)
        else:
            found = ensemble.map(metrics, data, mode=mode[0] if mode else "eval")
        for name, value in found.items():
            columns[f"{prefix}_{name}" if prefix else name] = value.double().cpu().numpy()
    table = pd.DataFrame({"run": ensemble.runs, "step": t})
    for name, value in columns.items():
        table[name] = np.where(diverged, np.nan, value)
    table["status"] = np.where(diverged, "diverged", "ok")
    return table


def _footprint(runs: pd.DataFrame, data: Data, context: Any, plan: Plan) -> memory.Footprint:
    """What one network takes, measured on the first one's forward pass."""
    ensemble, _ = _build(runs.iloc[:1], context, plan)
    positions = torch.arange(plan.batch_size or len(data), device=context.device)[None]
    batch = data.members([0]).to(context.device).rows(positions)
    batch["key"] = torch.zeros(1, dtype=torch.int64, device=context.device)
    return memory.footprint(ensemble, plan.loss, batch)


def note_peak_memory(context: Any) -> None:
    """Put the most memory of the GPU that the process has used into the provenance's notes, in bytes."""
    notes = getattr(context, "notes", None)
    if notes is not None and torch.device(context.device).type == "cuda":
        notes["peak_gpu_memory_bytes"] = torch.cuda.max_memory_allocated(context.device)
