"""AdamW as the lecture prints it, trained beside AdamW as it was published.

Printed, the running mean of squares is not corrected for its start at zero, while the mean of gradients is. Everything
else is the engine's AdamW, without decay: the two rules differ in one coefficient of the step.
"""

import numpy as np
import torch

from claimcheck.engine.data import Order
from claimcheck.engine.eager import Eager
from claimcheck.engine.ensemble import hyper_of, twins, untrained
from claimcheck.engine.step import Recipe, Table, TrainState
from claimcheck.engine.train import HYPER, classification, cross_entropy

DTYPE = torch.float32


def trained(runs, context, network, data, evaluate):
    """Records of networks trained by each run's `form` of the update, `published` or `printed`, at its learning rate.

    Args:
        network: as for `claimcheck.engine.train.train`. data: training examples. evaluate: prefix -> data to classify.
    """
    runs = runs.reset_index(drop=True)
    rows = twins(list(runs.index))  # a lone network is trained beside itself: see `claimcheck.engine.ensemble.twins`
    own, data = runs.iloc[rows], data.members(rows)
    ensemble = untrained(own, context, network)
    step = _step(own, context, ensemble, data)
    seeds, batch = list(own["seed"]), context.settings.batch_size
    order = iter(Order(seeds, lambda seed: context.generator(seed, "order"), len(data), batch, context.device))
    for number in context.steps(context.settings.steps, len(ensemble)):
        step(number, next(order))
    state = step.settled(context.settings.steps)
    ensemble.parameters, ensemble.buffers = state.parameters, state.buffers
    lost = state.diverged_at.cpu().numpy() >= 0
    found = {"run": own["run"], "status": np.where(lost, "diverged", "ok")}
    for prefix, each in evaluate.items():
        for name, value in ensemble.map(classification, each.members(rows)).items():
            found[f"{prefix}_{name}"] = np.where(lost, np.nan, value.double().cpu().numpy())
    return own[["run"]].assign(**found).iloc[: len(runs)]


def _step(runs, context, ensemble, data):
    """The engine's step with the printed coefficient in the rows of the runs that ask for it."""
    exact = hyper_of(runs, HYPER, context.device, torch.float64)
    keys = torch.tensor([context.key(int(seed), "step") for seed in runs["seed"]], device=context.device)
    constant = torch.ones(context.settings.steps, len(runs), dtype=torch.float64, device=context.device)
    table = Table("adamw", exact, constant, keys, DTYPE)
    published = torch.tensor((runs["form"] == "published").to_numpy(copy=True), device=context.device)[:, None]
    table.coefficients["scale"] = torch.where(published, table.coefficients["scale"], 1.0)
    recipe = Recipe(ensemble, cross_entropy, "adamw", False, {**dict.fromkeys(data.names, 0), "key": 0})
    return Eager(recipe, table, data.to(context.device), TrainState.start(ensemble, "adamw"))
