"""Slopes over layers: those of least squares, each seed's by itself."""

import numpy as np
import pandas as pd
import pytest

from claimcheck.theory.slopes import backward_slope, slope

LAYERS = list(range(11, 46))


def test_a_line_has_its_own_slope():
    line = pd.DataFrame([[0.3 - 0.02 * layer for layer in LAYERS]], columns=LAYERS, index=[7])
    assert slope(line).to_dict() == pytest.approx({7: -0.02})
    assert backward_slope(line).to_dict() == pytest.approx({7: 0.02})


def test_slopes_are_those_of_least_squares():
    logs = pd.DataFrame(np.random.default_rng(0).normal(size=(5, len(LAYERS))).cumsum(1), columns=LAYERS)
    assert slope(logs).to_numpy() == pytest.approx(np.polyfit(LAYERS, logs.to_numpy().T, 1)[0])


def test_a_seed_without_a_gradient_leaves_the_others_their_slopes():
    logs = pd.DataFrame(np.random.default_rng(0).normal(size=(3, len(LAYERS))), columns=LAYERS)
    faulty = logs.copy()
    faulty.iloc[1, 4] = np.nan
    assert slope(faulty).isna().tolist() == [False, True, False]
    assert slope(faulty)[[0, 2]].to_list() == pytest.approx(slope(logs)[[0, 2]].to_list())
