"""Curves of the training loss by update."""

import math
from types import SimpleNamespace

import numpy as np

from claimcheck.engine.curves import blown_up, loss_curves
from claimcheck.engine.train import Trained

LOSSES = np.array([[6.0, 5.0, 4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, math.nan, math.nan, math.nan]])


def curves_of(losses, window, every):
    """`loss_curves` of a run a and a run b, which diverged at its fourth update."""
    found = Trained(None, SimpleNamespace(runs=["a", "b"]), np.array([-1, 4]), losses)
    return loss_curves(found, window, every).set_index(["run", "step"])


def test_losses_by_update_are_means_of_the_last_minibatches_and_end_where_a_run_diverges():
    found = curves_of(LOSSES, 2, 2)
    assert found.loc["a", "batch_loss"].to_dict() == {2: 5.5, 4: 3.5, 6: 1.5}
    assert found.loc["b", "batch_loss"].dropna().to_dict() == {2: 1.5}
    assert found.loc["b", "status"].to_dict() == {2: "ok", 4: "diverged", 6: "diverged"}
    assert (found.loc["a", "status"] == "ok").all()


def test_a_run_shorter_than_the_window_has_the_mean_of_all_its_minibatches():
    assert curves_of(LOSSES[:, :3], 20, 5)["batch_loss"].to_dict() == {("a", 3): 5.0, ("b", 3): 2.0}


def test_a_loss_that_shoots_up_has_blown_up_whatever_the_last_one_is():
    rows = {
        "falls": [2.0, 1.5, 1.0, 0.5],
        "within twice its first value": [6.0, 11.9, 3.0, 2.3],
        "up and back": [2.0, 4e6, 9.0, 2.3],
        "within twice guessing": [1.0, 4.5, 2.0, 2.3],
        "above it": [1.0, 4.7, 2.0, 2.3],
        "not finite": [2.0, 2.0, math.nan, math.nan],
        "infinite": [2.0, math.inf, 2.0, 2.0],
        "only after the last update": [2.0, 2.0, 2.0, 1e3],
    }
    losses = np.array(list(rows.values()))
    found = Trained(None, SimpleNamespace(runs=list(rows)), np.full(len(rows), -1), losses[:, :3])
    high = dict(zip(rows, blown_up(found, losses[:, 3], math.log(10.0)), strict=True))
    quiet = ["falls", "within twice its first value", "within twice guessing"]
    assert [name for name, each in high.items() if not each] == quiet
