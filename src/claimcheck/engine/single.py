"""Parts whose runs are measured one by one, or seed by seed, because no ensemble is trained in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import pandas as pd


def per_run(function: Callable[[Any, Any], Mapping[str, Any]]) -> Callable[[pd.DataFrame, Any], pd.DataFrame]:
    """Make a part's function of one that is written for a single run.

        @per_run
        def run_spread(run, context):
            draws = torch.randn(context.settings.draws, generator=context.generator(run.seed, "draws"))
            return {"spread": float(draws.std())}

    The run has its columns (run, seed, factors) as attributes; what is returned are its metrics.
    """

    @wraps(function)
    def of_each(runs: pd.DataFrame, context: Any) -> pd.DataFrame:
        return pd.DataFrame({"run": run.run, **function(run, context)} for run in runs.itertuples(index=False))

    return of_each


def per_seed(function: Callable[[pd.DataFrame, Any], Any]) -> Callable[[pd.DataFrame, Any], pd.DataFrame]:
    """Make a part's function of one that is given the runs of one seed at a time, which share draws of that seed.

        @per_seed
        def run_ridge(runs, context):
            design = torch.randn(100, 20, generator=context.generator(runs["seed"].iloc[0], "design"))
            return [{"run": run.run, "risk": risk(design, run.penalty)} for run in runs.itertuples()]

    It returns a frame, or the rows of one.
    """

    @wraps(function)
    def of_each(runs: pd.DataFrame, context: Any) -> pd.DataFrame:
        tables, done = [], 0
        for _, own in runs.groupby("seed", sort=False):
            tables.append(pd.DataFrame(function(own, context)))
            done += len(own)
            context.advance(done / len(runs))
        return pd.concat(tables, ignore_index=True)

    return of_each
