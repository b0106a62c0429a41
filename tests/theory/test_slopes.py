"""Slopes over layers: a network without a gradient takes none from the others."""

import numpy as np
import pandas as pd
import pytest

from claimcheck.theory.slopes import backward_slope, slope


def test_a_seed_without_a_number_has_no_slope_and_the_others_keep_theirs():
    logs = pd.DataFrame({4: [1.0, -np.inf, 2.0], 5: [1.5, -np.inf, 1.0], 6: [2.0, 0.0, 0.0]}, index=[7, 8, 9])
    assert slope(logs).tolist() == pytest.approx([0.5, np.nan, -1.0], nan_ok=True)
    assert backward_slope(logs).loc[9] == pytest.approx(1.0)
    assert slope(logs.loc[[8]]).isna().all()
