"""The training loss by update, from the losses of every minibatch: its curve, and whether it blew up."""

from __future__ import annotations

import numpy as np
import pandas as pd

from claimcheck.engine.train import Trained


def loss_curves(found: Trained, window: int, every: int) -> pd.DataFrame:
    """Mean loss of the last minibatches, a row for each run and every so many updates.

    Args:
        found: trained with the losses of all its minibatches kept (``batch_loss_window`` is the number of steps).
        window: minibatches to take the mean of; all where there are fewer.
        every: updates from one row to the next. The first row of a run is that of update `window`.

    Returns:
        run, step (updates so far), batch_loss, status. From the update at which a run diverged its losses are NaN and
        its status is ``diverged``.
    """
    window = min(window, found.batch_losses.shape[1])
    losses = np.lib.stride_tricks.sliding_window_view(found.batch_losses, window, axis=1)[:, ::every].mean(axis=2)
    steps = np.arange(window, found.batch_losses.shape[1] + 1, every)
    rows = pd.MultiIndex.from_product([found.ensemble.runs, steps], names=["run", "step"])
    status = np.where(np.isnan(losses), "diverged", "ok")
    return pd.DataFrame({"batch_loss": losses.ravel(), "status": status.ravel()}, index=rows).reset_index()


def blown_up(found: Trained, last: np.ndarray, guessing: float) -> np.ndarray:
    """Whether the loss was at any time not finite, or above twice its first value and twice that of guessing, ``[R]``.

    A network that this has left dead sits near guessing in the end, so that the last loss alone does not tell.

    Args:
        found: trained with the losses of all its minibatches kept (``batch_loss_window`` is the number of steps).
        last: loss after the last update, ``[R]``.
        guessing: loss of guessing among the classes, nats.
    """
    losses = np.column_stack([found.batch_losses, last])
    return ~(losses.max(axis=1) <= 2.0 * np.maximum(losses[:, 0], guessing))  # not finite: no comparison holds
