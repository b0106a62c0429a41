"""The rule, the same for every prediction: in how many units is it true? Pure functions; reads no file, knows no study.

A unit is one independent repetition. A prediction is *true of a unit* when its number lies strictly inside the region; a
unit without a number is not one of those. With k of n units true and a share s (1/2 for "typically", 9/10 for "nearly
always"), by exact binomial tests at level `LEVEL`:

- *supported*: "true in at most a share s of units" is rejected, P(X >= k) <= LEVEL for X binomial (n, s);
- *contradicted*: "true in more than a share s" is rejected, P(X <= k) <= LEVEL;
- *inconclusive*: neither;
- *not run*: n is so small that neither could come of it.

Each verdict is wrong with probability at most `LEVEL`, whatever the true share and however the numbers are distributed:
no symmetry, no finite moments, no large n are assumed. So m verdicts hold any wrong one with probability at most
m * LEVEL (Bonferroni). The interval of the median, between two order statistics, shows the size and decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from scipy.special import bdtr, bdtrc  # the binomial's two tails; scipy.stats takes half a second to load

LEVEL = 1e-4
SHARES = (0.5, 0.9)
CONFIDENCE = 0.95  # of the interval of the median

Region = tuple[float | None, float | None]
Verdict = Literal["supported", "contradicted", "inconclusive", "not run"]


@dataclass(frozen=True)
class Decision:
    """A verdict and what it rests on.

    Attributes:
        k, n: units of which the prediction is true, units in all.
        share: the share of units that "supported" must exceed.
        p: of the test that decided; the smaller one where none did.
        median, low, high: of the units' numbers, with the ends of its interval; None where there are too few numbers.
    """

    verdict: Verdict
    k: int
    n: int
    share: float
    p: float | None
    median: float | None
    low: float | None
    high: float | None


def decide(values: Sequence[float] | np.ndarray, region: Region, share: float = 0.5) -> Decision:
    """The verdict on one prediction.

    Args:
        values: one number a unit; NaN for a unit without one, infinities are numbers.
        region: (low, high), None where it is open.
    """
    numbers = np.asarray(values, dtype=np.float64).ravel()
    k, n = int(inside(numbers, region).sum()), len(numbers)
    middle = median(numbers)
    if not decidable(n, share):
        return Decision("not run", k, n, share, None, *middle)
    above = float(bdtrc(k - 1, n, share))
    below = float(bdtr(k, n, share))
    if above <= LEVEL:
        return Decision("supported", k, n, share, above, *middle)
    if below <= LEVEL:
        return Decision("contradicted", k, n, share, below, *middle)
    return Decision("inconclusive", k, n, share, min(above, below), *middle)


def inside(values: np.ndarray, region: Region) -> np.ndarray:
    """Whether each number lies strictly between the ends: an arm compared with itself does not exceed itself."""
    low, high = region
    found = ~np.isnan(values)
    if low is not None:
        found &= values > low
    if high is not None:
        found &= values < high
    return found


def decidable(n: int, share: float) -> bool:
    """Whether any outcome of `n` units could decide."""
    return min(share, 1 - share) ** n <= LEVEL or max(share, 1 - share) ** n <= LEVEL


@lru_cache(maxsize=1024)
def fewest_true(n: int, share: float) -> int | None:
    """The least k of n units that supports; None where not even all do."""
    return next((k for k in range(n + 1) if bdtrc(k - 1, n, share) <= LEVEL), None)


@lru_cache(maxsize=1024)
def most_true(n: int, share: float) -> int | None:
    """The greatest k of n units that contradicts; None where not even none does."""
    return next((k for k in range(n, -1, -1) if bdtr(k, n, share) <= LEVEL), None)


def power(n: int, share: float, true_share: float) -> float:
    """Probability that `n` units support a prediction that is true of a share `true_share` of units."""
    needed = fewest_true(n, share)
    return 0.0 if needed is None else float(bdtrc(needed - 1, n, true_share))


def units_for(share: float, true_share: float, wanted: float = 0.9, most: int = 4096) -> int | None:
    """The fewest units with which a prediction true of `true_share` of units is supported with probability `wanted`.

    None where `most` do not suffice, or where the true share is not above the one that must be exceeded.
    """
    if true_share <= share:
        return None
    return next((n for n in range(1, most + 1) if power(n, share, true_share) >= wanted), None)


def median(values: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Median of the numbers (NaN aside) and its interval between two order statistics: conservative, for any shape."""
    ordered = np.sort(values[~np.isnan(values)])
    n = len(ordered)
    if n == 0:
        return None, None, None
    left, right = float(ordered[(n - 1) // 2]), float(ordered[n // 2])
    middle = left if left == right else 0.0 if np.isinf(left) and np.isinf(right) else (left + right) / 2
    rank = int(np.searchsorted(bdtr(np.arange(n), n, 0.5), (1 - CONFIDENCE) / 2))
    return (middle, float(ordered[rank - 1]), float(ordered[-rank])) if rank > 0 else (middle, None, None)


def combined(verdicts: Iterable[str]) -> str:
    """One verdict of several: of a prediction's data sets, or of a claim's main predictions.

    All supported: supported. Some supported, some contradicted (or one that is mixed itself): mixed. Contradicted and
    none supported: contradicted. All not run: not run. Anything else is inconclusive.
    """
    found = list(verdicts)
    if not found or all(each == "not run" for each in found):
        return "not run"
    if "mixed" in found or {"supported", "contradicted"} <= set(found):
        return "mixed"
    if "contradicted" in found:
        return "contradicted"
    return "supported" if all(each == "supported" for each in found) else "inconclusive"


def of_claim(main: Iterable[str], facts: Iterable[str]) -> str:
    """A claim's verdict: of its main predictions; of its facts where it has nothing else."""
    if decisive := list(main):
        return combined(decisive)
    known = set(facts) - {"not run"}
    return "not run" if not known else "holds" if known == {"holds"} else "does not hold"


def holds(numbers: np.ndarray, region: Region, tolerance: float) -> bool:
    """Whether a fact holds: every number lies in the region, up to the tolerance."""
    low, high = region
    above = numbers >= (-np.inf if low is None else low - tolerance)
    return bool((above & (numbers <= (np.inf if high is None else high + tolerance))).all())
