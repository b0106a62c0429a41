"""The rule as the report explains it: every number is computed from `judging.rule`, none is typed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from scipy.special import bdtr, bdtrc

from claimcheck.judging import rule
from claimcheck.report import text
from claimcheck.report.gather import ReportView
from claimcheck.report.phrases import percent

UNITS = (14, 16, 24, 32, 48, 64, 88, 96, 128, 192, 256)
"""Numbers of runs that the table shows beside those of the report itself."""

TRUE_SHARES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Shares of runs in which a prediction may truly hold, for which the table shows the power."""

SMALL = 0.001


def attained(n: int, share: float) -> float:
    """The greatest probability with which the test of `n` runs gives a wrong verdict, at most `rule.LEVEL`.

    Binomial counts are whole, so a test seldom attains its level. A true share can make but one of the two verdicts wrong.
    """
    least, most = rule.fewest_true(n, share), rule.most_true(n, share)
    above = 0.0 if least is None else float(bdtrc(least - 1, n, share))
    below = 0.0 if most is None else float(bdtr(most, n, share))
    return max(above, below)


def any_wrong(tests: Iterable[tuple[int, float]]) -> float:
    """A bound on the probability that any of the tests gives a wrong verdict: the sum of what each attains.

    Args:
        tests: number of runs and share of each.
    """
    return min(1.0, sum(attained(n, share) for n, share in tests))


def tests_of(view: ReportView) -> list[tuple[int, float]]:
    """Number of runs and share of every test that could decide."""
    return [
        (outcome.n, each.spec.share)
        for each in view.predictions()
        for outcome in each.outcomes
        if outcome.p is not None and outcome.n is not None
    ]


def rule_words(tests: list[tuple[int, float]]) -> dict[str, Any]:
    """What the rule's text interpolates.

    Args:
        tests: number of runs and share of each test of the report that could have decided.
    """
    return {
        "level": percent(rule.LEVEL),
        "typically": percent(rule.SHARES[0]),
        "nearly_always": percent(rule.SHARES[1]),
        "confidence": percent(rule.CONFIDENCE),
        "tests": len(tests),
        "chance": _bound(any_wrong(tests)),
        "level_each": percent(min(1.0, rule.LEVEL * len(tests))),
        "true_shares": [percent(share) for share in TRUE_SHARES],
        "least": [next(n for n in range(1, 10_000) if rule.fewest_true(n, share)) for share in rule.SHARES],
    }


def _bound(probability: float) -> str:
    """A probability as a percentage of three digits, rounded up: it stays a bound."""
    if probability <= 0:
        return percent(probability)
    step = 10.0 ** (math.floor(math.log10(100 * probability)) - 2)
    return percent(math.ceil(100 * probability / step - 1e-9) * step / 100)


def power_table(share: float, units: Iterable[int]) -> list[dict[str, Any]]:
    """A row for each number of runs: how many true ones support and contradict, and how often that comes about.

    Args:
        share: the share of runs that must be exceeded.
        units: numbers of runs that the report has, beside `UNITS`.
    """
    return [
        {
            "n": n,
            "supports": _count(rule.fewest_true(n, share)),
            "contradicts": _count(rule.most_true(n, share)),
            "power": [_chance(rule.power(n, share, true)) for true in TRUE_SHARES],
        }
        for n in sorted({*UNITS, *units})
    ]


def _count(needed: int | None) -> str:
    return "never" if needed is None else str(needed)


def _chance(power: float) -> str:
    """A probability as a percentage that claims no certainty."""
    if power == 0:
        return "–"
    if power < SMALL:
        return f"< {percent(SMALL)}"
    if power > 1 - SMALL:
        return f"> {percent(1 - SMALL)}"
    return f"{text.number(100 * power, decimals=1)}\N{NO-BREAK SPACE}%"
