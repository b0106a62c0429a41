"""The linear problems that are simulated, and that closed forms are drawn and judged for."""

from claimcheck.theory.risk import Problem

PROBLEMS = {
    "isotropic": Problem(signal=1.0, noise=0.25),
    "misspecified": Problem(signal=5.0, noise=1.0, exponent=2.0),
}

FEATURES = 100
"""Features of the linear model whose number of examples varies."""
