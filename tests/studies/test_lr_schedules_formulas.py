"""The study of learning-rate schedules: its formulas are the lecture's and torch's."""

import numpy as np
import pytest

from claimcheck.engine import schedules

from .asking import Asked

ASKED = Asked("lr_schedules")
STUDY = ASKED.study
RUNS, CONSTANTS = (ASKED.module(name) for name in ("runs", "constants"))


def test_schedules_are_the_lectures_formulas():
    t, steps = np.arange(200), 200
    assert np.allclose(schedules.multipliers("cosine", steps), 0.5 * (1 + np.cos(np.pi * t / steps)), atol=1e-12)
    warm = schedules.multipliers("constant", steps, 0.1)
    assert np.allclose(warm[:20], (t[:20] + 1) / 20)
    assert (warm[20:] == 1).all()
    step = schedules.multipliers("step", steps)
    assert np.allclose(step[[0, 99, 100, 149, 150, 199]], [1, 1, 0.1, 0.1, 0.01, 0.01])


def test_step_decay_is_one_factor_an_epoch_and_ends_where_it_should():
    milestones, factor = CONSTANTS.shape_of("epoch_step", 100, 20, 0.01)
    table = schedules.multipliers("step", 100, 0.0, milestones, factor)
    assert np.allclose(table, factor ** (np.arange(100) // 20), atol=1e-12)
    assert table[-1] == pytest.approx(0.01)
    assert CONSTANTS.shape_of("exponential", 100, 20, 0.01)[1] == 0.01
    assert CONSTANTS.shape_of("step", 100, 20, 0.01) == ((0.5, 0.75), 0.1)


@pytest.mark.parametrize("name", STUDY.parts["formulas"].factors["formula"].values)
def test_schedules_equal_torchs(name):
    assert RUNS.formula_error(name, 400, 40, 0.01) < 1e-12


def test_a_wrong_formula_would_be_noticed(monkeypatch):
    right = schedules.multipliers
    monkeypatch.setattr(schedules, "multipliers", lambda *a, **k: right(*a, **k) ** 1.01)
    assert RUNS.formula_error("cosine", 400, 40, 0.01) > 1e-4
