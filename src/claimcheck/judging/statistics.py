"""The decision rule: one number per seed and a region in, a verdict out. Pure functions; reads no file, knows no study.

The rule, the same for every prediction (`RULE` is the text that the report prints, `AMENDMENT` how it was changed):

- *supported*: "the mean is at or below the lower end" and "the mean is at or above the upper end" are both rejected;
- *contradicted*: "the mean is in the region" is rejected;
- *inconclusive*: neither. *not run*: fewer than `MINIMUM_SEEDS` values, which could never decide.

Each test is at `LEVEL`. The test of a mean flips signs: it is exact when the values scatter symmetrically about their
mean, and `claimcheck calibrate` measures what it is worth when they do not. Where they do not, a prediction says
`average: median` and gets the sign test, which assumes nothing about the shape, and the interval between two
order statistics. Values of 0 and 1 ("the run failed") never scatter symmetrically about a mean near 0 or 1, and sixteen
ones out of sixteen say little about whether nine in ten would be: `average: proportion` gets the exact binomial test
(Clopper and Pearson 1934). Tests hold the sign-flip p-values equal to `scipy.stats.permutation_test(permutation_type='samples')`;
they are computed here from the means of all subsets of the values, because one table of those answers every end of
every region at once (Hartigan 1969, Using subsample values as typical values, J. Am. Stat. Assoc. 64).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import scipy

LEVEL = 0.0005
"""Level of every test: m predictions are wrong by chance anywhere with probability at most `LEVEL` * m."""

CONFIDENCE = 0.95
"""Confidence of the interval that shows the size. It takes no part in the verdict."""

FLIPS = 2**17
"""Rows of the table of sign flips: all 2^n up to n = 17; beyond, this many, drawn from a fixed stream."""

BOOTSTRAP_RESAMPLES = 9999
STREAM = 20_170_912
"""Seed of the drawn sign flips and of the bootstrap: a verdict is a function of its values and of nothing else."""

HUGE = 1e300
"""A value beyond it counts as infinite: sums of such values would overflow."""

Verdict = Literal["supported", "contradicted", "inconclusive", "not run"]
Average = Literal["mean", "median", "proportion"]
Region = tuple[float | None, float | None]

MINIMUM_SEEDS = math.ceil(-math.log2(LEVEL))
"""Fewest seeds that can decide: with n values no sign-flip or sign test can give a p-value below 2^-n."""

RULE = (
    f"Supported when every hypothesis that the average lies at or beyond an end of the region is rejected, "
    f"contradicted when the hypothesis that it lies in the region is rejected, each at level {LEVEL:g}; otherwise "
    f"inconclusive; not run with fewer than {MINIMUM_SEEDS} seeds. Means: one-sided sign-flip permutation tests, exact "
    f"up to {int(math.log2(FLIPS))} seeds and with {FLIPS:,} sign flips from a fixed stream beyond, and a "
    f"{CONFIDENCE:.0%} BCa bootstrap interval over seeds. Medians, and every statistic with an infinite value: "
    f"one-sided sign tests, and the interval between order statistics. Proportions (something happens in a run or does "
    f"not): one-sided exact binomial tests and the Clopper-Pearson interval; where a seed's several runs differ, with e "
    f"times the binomial tail, which no distribution of such shares exceeds (Bentkus 2004). Leaving a region on either "
    f"of two sides counts twice."
)

AMENDMENT = (
    "Amended on 2026-11-23, after results had been seen: until then proportions, too, were judged as means. The sign-flip "
    "test is not exact for values of 0 and 1; it called 16 failures out of 16 proof (p = 0.000015) that more than nine "
    "runs in ten fail, where the binomial probability of as many is 0.19 at nine in ten. No region was changed. "
    "Parts whose seeds could not have supported such a prediction whatever came of them were given more seeds, their "
    "number fixed from the region alone; each prediction concerned says so."
)
"""How `RULE` was changed, when and why, for the report."""


@dataclass(frozen=True)
class Decision:
    """What the rule makes of one prediction's values.

    `estimate` is their mean or median, `low` and `high` the ends of its interval (None where there is none), `p` the
    p-value behind the verdict (the smaller of the two when inconclusive, None when not run), `average` the average
    that was judged and `note` what a reader should know, in words.
    """

    verdict: Verdict
    estimate: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    p_supported: float | None
    p_contradicted: float | None
    average: Average
    note: str = ""


def decide(
    values: Sequence[float] | np.ndarray,
    region: Region,
    level: float = LEVEL,
    average: Average = "mean",
    interval: bool = True,
) -> Decision:
    """Judge one prediction.

    Args:
        values: one number per seed, shape [n]; the order does not matter, not even to the last bit.
        region: (low, high), closed; None is an open end, at least one end is not.
        level: level of each test.
        average: what the region is about.
        interval: False leaves the interval out (the costly part).

    A value may be infinite ("never reached"): the mean then says nothing, and the median is judged whatever `average`
    says. Values of which some are 0 and all others 1 are a proportion whatever `average` says, where the region's ends
    lie between. Values that are all the same are judged by the same tests; the interval of their mean or median is the
    value itself.

    Raises:
        ValueError: NaN among the values, a region that is not one, or a proportion that is not from 0 to 1.
    """
    data = np.sort(np.asarray(values, dtype=np.float64).ravel())
    data = np.where(np.abs(data) > HUGE, np.copysign(np.inf, data), data)
    low, high = _checked(region)
    if np.isnan(data).any():
        raise ValueError("NaN among the values")
    notes = []
    if average == "mean" and np.isinf(data).any():
        average = "median"
        notes.append(f"{int(np.isinf(data).sum())} of {len(data)} values are infinite: judged on the median")
    if average == "mean" and _only_zeros_and_ones(data) and is_proportion((low, high)):
        average = "proportion"
        notes.append("all values are 0 or 1: judged as a proportion")
    if average == "proportion" and not (is_proportion((low, high)) and ((data >= 0) & (data <= 1)).all()):
        raise ValueError(f"a value or an end of the region {region} is no proportion")
    if not len(data):
        return Decision("not run", None, None, None, 0, None, None, None, average, "no seeds")
    estimate = _average(data, average)
    ends = _interval(data, average) if interval else (None, None)
    if len(data) < minimum_seeds(level):
        notes.append(f"too few seeds: {len(data)}, at least {minimum_seeds(level)} could decide")
        return Decision("not run", estimate, *ends, len(data), None, None, None, average, "; ".join(notes))
    p_supported, p_contradicted = region_p_values(data, (low, high), average)
    if average == "proportion" and len(data) < (needed := seeds_to_support((low, high), level)):
        notes.append(f"{len(data)} seeds cannot support it, at least {needed} could")
    if data[0] == data[-1]:
        notes.append("the same for every seed")
        if data[0] in (low, high):
            notes.append("exactly on an end of its region, so neither side can be rejected")
    verdict, p = _verdict(p_supported, p_contradicted, level)
    return Decision(verdict, estimate, *ends, len(data), p, p_supported, p_contradicted, average, "; ".join(notes))


def claim_verdict(main: Iterable[Verdict]) -> Verdict:
    """The verdict of a claim from those of its main predictions; its limits take no part."""
    verdicts = list(main)
    if "contradicted" in verdicts:
        return "contradicted"
    if all(verdict == "not run" for verdict in verdicts):
        return "not run"
    return "supported" if all(verdict == "supported" for verdict in verdicts) else "inconclusive"


def minimum_seeds(level: float = LEVEL) -> int:
    """Fewest values that can be told from chance at `level`: the least n with 2^-n <= level."""
    return math.ceil(-math.log2(level))


def seeds_to_support(region: Region, level: float = LEVEL) -> int:
    """Fewest seeds that could support a region of a proportion: all of them alike (for two ends a lower bound)."""
    low, high = region
    shares = [share for share in (low, None if high is None else 1 - high) if share is not None]
    return max(minimum_seeds(level), *(math.ceil(math.log(level) / math.log(share)) for share in shares))


def region_p_values(values: np.ndarray, region: Region, average: Average = "mean") -> tuple[float, float]:
    """p-values of "beyond an end of the region" and of "in the region", for finite or (median) infinite values [n].

    The first is the larger of the two one-sided tests (intersection-union: both must reject). The second is the smaller
    of the two towards the outside, doubled where the region has two ends: each way out is a chance to err, and only
    with the factor is the level kept in a region that is narrow against the scatter.
    """
    low, high = region
    tails = TAILS[average]
    inside, outside = [], []
    if low is not None:
        above, below = tails(values, low)
        inside.append(above)
        outside.append(below)
    if high is not None:
        above, below = tails(values, high)
        inside.append(below)
        outside.append(above)
    return max(inside), min(1.0, len(outside) * min(outside))


def sign_flip_tails(values: np.ndarray, centre: float) -> tuple[float, float]:
    """One-sided sign-flip p-values of "the mean is `centre`" against above and against below; `values` [n] finite.

    With the signs of values - centre flipped on a subset F, the sum is at least the observed one exactly if the mean
    over F is at most `centre`. So p(above) is the share of subsets (the empty one included) whose mean is at or below
    `centre`; differences within rounding error count as ties, against rejection.
    """
    data = np.sort(np.asarray(values, dtype=np.float64).ravel())
    sums, sizes, origin = _subset_sums(data.tobytes())
    scale = max(abs(data[0]), abs(data[-1]), abs(centre))
    excess = sums - sizes * (centre - origin)
    slack = sizes * (64 * np.finfo(np.float64).eps * scale)
    above = np.count_nonzero(excess <= slack) / len(sums)
    below = np.count_nonzero(excess >= -slack) / len(sums)
    return float(above), float(below)


def sign_test_tails(values: np.ndarray, centre: float) -> tuple[float, float]:
    """One-sided sign-test p-values of "the median is `centre`" against above and against below; `values` [n].

    A value that equals `centre` counts against rejection, so the level holds for discrete values too.
    """
    data = np.asarray(values, dtype=np.float64).ravel()
    above = scipy.stats.binom.sf(np.count_nonzero(data > centre) - 1, len(data), 0.5)
    below = scipy.stats.binom.sf(np.count_nonzero(data < centre) - 1, len(data), 0.5)
    return min(1.0, float(above)), min(1.0, float(below))


def binomial_tails(values: np.ndarray, centre: float) -> tuple[float, float]:
    """One-sided binomial p-values of "the proportion is `centre`" against above and below; `values` [n] from 0 to 1.

    Exact for values of 0 and 1. Where some lie between (a seed's runs differ), e times the binomial tail at the whole
    number next to the sum, away from rejection, bounds the tail for every distribution of shares with that mean
    (Bentkus 2004, On Hoeffding's inequalities, Ann. Probab. 32, theorem 1.2).
    """
    yes, no, factor = _counts(values)
    above = factor * scipy.stats.binom.sf(yes - 1, len(values), centre)
    below = factor * scipy.stats.binom.sf(no - 1, len(values), 1 - centre)
    return min(1.0, float(above)), min(1.0, float(below))


def _counts(values: np.ndarray) -> tuple[int, int, float]:
    """Whole numbers of yes and no among shares [n], rounded down, and the factor of their binomial tail: 1 or e."""
    data = np.asarray(values, dtype=np.float64).ravel()
    yes, no = (math.floor(float(part.sum()) + 1e-9) for part in (data, 1 - data))
    return yes, no, 1.0 if np.isin(data, (0, 1)).all() else math.e


TAILS = {"mean": sign_flip_tails, "median": sign_test_tails, "proportion": binomial_tails}
"""The one-sided tests of each average: (values, centre) to the p-values against above and against below."""


@lru_cache(maxsize=4)
def flips(n: int) -> np.ndarray:
    """Which of n values are flipped, one flip a row: uint8 [rows, n]; the first row flips none.

    All 2^n rows while they are at most `FLIPS`; else `FLIPS` rows of a fixed stream, of which the first counts the
    observed signs, so that a p-value is (b + 1) / (B + 1) and never 0 (Phipson and Smyth 2010).
    """
    if 2**n <= FLIPS:
        codes = np.arange(2**n, dtype=np.uint32)[:, None]
        return ((codes >> np.arange(n, dtype=np.uint32)) & 1).astype(np.uint8)
    table = np.random.default_rng([STREAM, n]).integers(0, 2, size=(FLIPS, n), dtype=np.uint8)
    table[0] = 0
    return table


@lru_cache(maxsize=8)
def _subset_sums(raw: bytes) -> tuple[np.ndarray, np.ndarray, float]:
    """For sorted values: sum over each flipped subset of (value - origin), the subset's size, and the origin."""
    data = np.frombuffer(raw, dtype=np.float64)
    origin = float(data[len(data) // 2])
    table = flips(len(data))
    sums, sizes = np.empty(len(table)), np.empty(len(table))
    for start in range(0, len(table), 16_384):
        rows = table[start : start + 16_384].astype(np.float64)
        sums[start : start + 16_384] = rows @ (data - origin)
        sizes[start : start + 16_384] = rows.sum(axis=1)
    return sums, sizes, origin


def _checked(region: Region) -> Region:
    low, high = (None if end is None else float(end) for end in region)
    finite = [end for end in (low, high) if end is not None]
    if not finite or not all(math.isfinite(end) for end in finite) or (len(finite) == 2 and low > high):
        raise ValueError(f"not a region: {region}")
    return low, high


def is_proportion(region: Region) -> bool:
    """Whether a region can be one of a proportion: its ends lie between 0 and 1."""
    return all(0 < end < 1 for end in region if end is not None)


def _only_zeros_and_ones(data: np.ndarray) -> bool:
    """Whether both 0 and 1 and nothing else are among sorted values."""
    return len(data) > 0 and data[0] == 0 and data[-1] == 1 and bool(np.isin(data, (0, 1)).all())


def _average(data: np.ndarray, average: Average) -> float:
    """Average of sorted values; the median of an even number of values, two of them infinite, is defined."""
    if average != "median":
        return float(data[0]) if data[0] == data[-1] else float(data.mean())
    left, right = float(data[(len(data) - 1) // 2]), float(data[len(data) // 2])
    if left == right:
        return left
    return 0.0 if math.isinf(left) and math.isinf(right) else (left + right) / 2


def _verdict(p_supported: float, p_contradicted: float, level: float) -> tuple[Verdict, float]:
    if p_supported <= level:
        return "supported", p_supported
    if p_contradicted <= level:
        return "contradicted", p_contradicted
    return "inconclusive", min(p_supported, p_contradicted)


def _interval(data: np.ndarray, average: Average) -> tuple[float | None, float | None]:
    """The `CONFIDENCE` interval of the average of sorted values, or (None, None) where there is none."""
    if average == "proportion":
        return binomial_interval(data)
    if data[0] == data[-1]:
        return (float(data[0]), float(data[0])) if len(data) > 1 else (None, None)
    return order_interval(data) if average == "median" else bca_interval(data)


def order_interval(data: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float | None, float | None]:
    """Interval of the median between two order statistics of sorted values [n]: conservative, for any distribution."""
    rank = int(scipy.stats.binom.ppf((1 - confidence) / 2, len(data), 0.5))
    while rank > 0 and scipy.stats.binom.cdf(rank - 1, len(data), 0.5) > (1 - confidence) / 2:
        rank -= 1
    return (float(data[rank - 1]), float(data[-rank])) if rank > 0 else (None, None)


def binomial_interval(data: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of a proportion that the test of `binomial_tails` leaves; for 0 and 1 that of Clopper and Pearson."""
    yes, no, factor = _counts(data)
    confidence = 1 - (1 - confidence) / factor
    low = scipy.stats.binomtest(yes, len(data)).proportion_ci(confidence, method="exact").low
    high = scipy.stats.binomtest(len(data) - no, len(data)).proportion_ci(confidence, method="exact").high
    return float(low), float(high)


def bca_interval(data: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """BCa bootstrap interval of the mean over seeds (Efron 1987), from a fixed stream; `data` [n] not constant.

    Where the correction is undefined the percentile interval of the same stream is given.
    """
    origin, spread = float(data[len(data) // 2]), float(data[-1] - data[0])
    ends = (math.nan, math.nan)
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            result = scipy.stats.bootstrap(
                ((data - origin) / spread,),
                np.mean,
                n_resamples=BOOTSTRAP_RESAMPLES,
                confidence_level=confidence,
                method=method,
                rng=np.random.default_rng([STREAM, len(data)]),
            )
        ends = (float(result.confidence_interval.low), float(result.confidence_interval.high))
        if all(math.isfinite(end) for end in ends):
            break
    return origin + spread * ends[0], origin + spread * ends[1]
