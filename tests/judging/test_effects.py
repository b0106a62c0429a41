"""Every kind of effect, planted in random numbers, has the verdict that theory says."""

from __future__ import annotations

import numpy as np
import pytest

from claimcheck.judging.rule import decide

EFFECTS = {
    "true": (lambda g, n: 1 + 0.2 * g.standard_normal(n), "supported"),
    "reversed": (lambda g, n: -1 + 0.2 * g.standard_normal(n), "contradicted"),
    "equal to the end of the region": (lambda g, n: np.zeros(n), "contradicted"),
    "heavy-tailed, true": (lambda g, n: 1e3 + g.standard_cauchy(n), "supported"),
    "log-normal, true": (lambda g, n: np.exp(g.standard_normal(n)), "supported"),
    "infinite": (lambda g, n: np.full(n, np.inf), "supported"),
    "half of the runs diverged": (lambda g, n: np.where(np.arange(n) % 2 == 0, 1.0, np.nan), "inconclusive"),
}


@pytest.mark.parametrize("n", [14, 32, 88])
@pytest.mark.parametrize("name", EFFECTS)
def test_every_kind_of_effect_has_the_verdict_that_theory_says(name, n):
    draw, verdict = EFFECTS[name]
    assert decide(draw(np.random.default_rng([n, 3]), n), (0.0, None)).verdict == verdict
