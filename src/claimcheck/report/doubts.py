"""What would change the report's mind: the verdicts that the fewest runs could overturn. Judges nothing anew.

A test's *margin* is the number of runs that would have to come out otherwise for its verdict to fall: with 15 of 16 true
where it takes 15, it is 1. A claim's verdict is as safe as the weakest of the tests that all must stand, or as the
strongest of those of which one suffices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from claimcheck.judging import rule
from claimcheck.report.gather import ClaimView, Outcome, PredictionView, ReportView


@dataclass(frozen=True)
class Doubt:
    """A claim's verdict and the test that it hangs on.

    Attributes:
        margin: runs that would have to come out otherwise.
        needed: how many true runs that test's verdict takes: at least so many, or at most.
        gap: how far from the region's nearest end the nearest run lies, in middle halves of the runs.
    """

    claim: ClaimView
    view: PredictionView
    outcome: Outcome
    margin: int
    needed: int
    gap: float

    @property
    def order(self) -> tuple[float, ...]:
        """Least certain first: by margin, then by how many runs there are, then by the gap."""
        return (self.margin, self.outcome.n or 0, self.gap)


SHOWN = 3


def least_certain(view: ReportView) -> tuple[list[Doubt], int]:
    """The three claims of the lecture whose verdict (supported, contradicted, mixed) the fewest runs could overturn.

    Returns:
        them, and how many more claims as few runs as the last of them could overturn.
    """
    found = [doubt for claim in view.claims.values() if (doubt := _doubt(claim)) is not None]
    first = sorted(found, key=lambda doubt: doubt.order)
    shown, rest = first[:SHOWN], first[SHOWN:]
    return shown, sum(doubt.margin == shown[-1].margin for doubt in rest)


def _doubt(claim: ClaimView) -> Doubt | None:
    """What the claim's verdict hangs on, or None where no test stands behind it."""
    tests = [_test(claim, view, outcome) for view in claim.main for outcome in view.outcomes]
    decided = [test for test in tests if test is not None]
    supporting = [test for test in decided if test.outcome.verdict == "supported"]
    against = [test for test in decided if test.outcome.verdict == "contradicted"]

    def strongest(tests: list[Doubt]) -> Doubt:
        return max(tests, key=lambda test: test.order)

    if claim.state == "supported" and supporting:
        return min(supporting, key=lambda test: test.order)
    if claim.state == "contradicted" and against:
        return strongest(against)
    if claim.state == "mixed" and supporting and against:
        return min(strongest(supporting), strongest(against), key=lambda test: test.order)
    return None


def _test(claim: ClaimView, view: PredictionView, outcome: Outcome) -> Doubt | None:
    if outcome.k is None or outcome.n is None:
        return None
    if outcome.verdict == "supported":
        needed = rule.fewest_true(outcome.n, view.spec.share)
        margin = None if needed is None else outcome.k - needed + 1
    elif outcome.verdict == "contradicted":
        needed = rule.most_true(outcome.n, view.spec.share)
        margin = None if needed is None else needed - outcome.k + 1
    else:
        return None
    if needed is None or margin is None:
        return None
    return Doubt(claim, view, outcome, margin, needed, _gap(view, outcome))


def _gap(view: PredictionView, outcome: Outcome) -> float:
    values = np.array([value for value in outcome.values if math.isfinite(value)])
    ends = [end for end in view.spec.region if end is not None]
    if not len(values) or not ends:
        return math.inf
    left, right = np.quantile(values, [0.25, 0.75])
    nearest = min(float(np.abs(values - end).min()) for end in ends)
    return nearest / (right - left) if right > left else math.inf
