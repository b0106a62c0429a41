"""The rule as the report explains it: every number is computed from `judging.rule`, none is typed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from claimcheck.judging import rule
from claimcheck.report import text
from claimcheck.report.phrases import percent

UNITS = (14, 16, 24, 32, 48, 64, 88, 96, 128, 192, 256)
"""Numbers of runs that the table shows beside those of the report itself."""

TRUE_SHARES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Shares of runs in which a prediction may truly hold, for which the table shows the power."""

SMALL = 0.001


def rule_words(tests: int) -> dict[str, Any]:
    """What the rule's text interpolates.

    Args:
        tests: how many tests of the report could have decided.
    """
    return {
        "level": percent(rule.LEVEL),
        "typically": percent(rule.SHARES[0]),
        "nearly_always": percent(rule.SHARES[1]),
        "confidence": percent(rule.CONFIDENCE),
        "tests": tests,
        "chance": percent(min(1.0, rule.LEVEL * tests)),
        "true_shares": [percent(share) for share in TRUE_SHARES],
        "least": [next(n for n in range(1, 10_000) if rule.fewest_true(n, share)) for share in rule.SHARES],
    }


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
