"""What the rule of `statistics` is worth: false alarms of whole reports, power, coverage, by simulation.

Reads no result but the list of verdicts (for the number of seeds and of predictions). A report under the null is m
predictions, each with n values whose average is exactly an end of its region [0, inf): any verdict but *inconclusive*
is a false alarm. No prediction is handed to scipy: thousands of them are multiplied with one table of sign flips.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from claimcheck.errors import ClaimcheckError
from claimcheck.judging import statistics

PREDICTIONS = 200_000
"""Simulated predictions per kind of effect; in reports of 100 that is 2000 reports, and their rate is known to ±1 %."""

BROKEN = 0.001
"""The promise is called broken when as many false alarms have a probability below this under it."""

POWER = 0.9
SCREEN = (256, 1024, 4096, 16_384, 49_152)
"""Rows of the table tried first: a prediction with too many flips beyond it already cannot reject any more."""

_LOG_SD = 1.0
OFTEN = 0.9
"""True proportion of the effect that happens in nine runs of ten: the end of most regions of proportions."""


@dataclass(frozen=True)
class Effect:
    """A null distribution: `draw(generator, shape)` has its `average` at 0."""

    name: str
    average: statistics.Average
    symmetric: bool
    draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]


def _log_normal(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return np.exp(_LOG_SD * generator.standard_normal(shape))


def _nine_in_ten(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return (generator.random(shape) < OFTEN) - OFTEN


EFFECTS = (
    Effect("normal", "mean", True, lambda generator, shape: generator.standard_normal(shape)),
    Effect("heavy-tailed (t, 3 degrees of freedom)", "mean", True, lambda g, shape: g.standard_t(3, shape)),
    Effect("two-valued (-1 or 1)", "mean", True, lambda g, shape: 2.0 * g.integers(0, 2, shape) - 1),
    Effect("skewed (log-normal)", "mean", False, lambda g, shape: _log_normal(g, shape) - np.exp(_LOG_SD**2 / 2)),
    Effect("skewed (log-normal)", "median", False, lambda g, shape: _log_normal(g, shape) - 1.0),
    Effect("logarithm of skewed (log-normal)", "mean", True, lambda g, shape: np.log(_log_normal(g, shape))),
    Effect("yes in nine runs of ten", "mean", False, _nine_in_ten),
    Effect("yes in nine runs of ten", "proportion", False, _nine_in_ten),
)


def calibrate(
    n: int,
    m: int,
    *,
    level: float = statistics.LEVEL,
    reports: int | None = None,
    seed: int = statistics.STREAM,
    coverage_samples: int = 800,
) -> dict[str, Any]:
    """Simulate reports of `m` predictions with `n` seeds each; the answer is a dictionary ready for JSON.

    `reports` defaults to `PREDICTIONS` / m. Keys: n, m, level, bound (level * m), reports; `false_alarms` (per kind of
    effect: family-wise rates with their 95 % Clopper-Pearson intervals, and the rate per prediction); `power`
    (smallest effects in standard deviations); `coverage` of the intervals; `remarks` (sentences: where the promise
    holds and where it breaks).

    Raises:
        ClaimcheckError: n or m is not positive, or n cannot decide anything.
    """
    reports = int(np.clip(PREDICTIONS // max(m, 1), 1000, 20_000)) if reports is None else reports
    if m < 1 or reports < 1 or n < statistics.minimum_seeds(level):
        raise ClaimcheckError(
            "nothing to calibrate",
            where="calibrate",
            found=f"{n} seeds, {m} predictions, {reports} reports",
            expected=f"at least {statistics.minimum_seeds(level)} seeds, 1 prediction and 1 report",
        )
    generator = np.random.default_rng([seed, n, m])
    alarms = [_false_alarms(effect, n, m, level, reports, generator) for effect in EFFECTS]
    result = {
        "n": n,
        "m": m,
        "level": level,
        "bound": min(1.0, level * m),
        "reports": reports,
        "false_alarms": alarms,
        "power": smallest_effects(n, level, generator=generator),
        "coverage": [_coverage(effect, n, coverage_samples, generator) for effect in EFFECTS],
    }
    return {**result, "remarks": _remarks(result)}


def sign_flip_p_values(data: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-sided sign-flip p-values of "the mean is 0" against above and below, for each row of `data` [rows, n]."""
    table = statistics.flips(data.shape[1]).astype(np.float64)
    return _at_least(data, table) / len(table), _at_least(-data, table) / len(table)


def sign_flip_rejections(data: np.ndarray, level: float = statistics.LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row's mean is found above 0, and below 0, at `level`: the p-values, stopped early.

    The flips are counted in a fixed shuffled order; a row whose count is past level * flips cannot reject any more and
    is left out of the rest.
    """
    table = statistics.flips(data.shape[1])
    order = np.random.default_rng([statistics.STREAM, 1]).permutation(len(table))
    allowed = int(np.floor(level * len(table) * (1 + 1e-12)))
    # The side away from the mean has a p-value of at least 1/2: turned to have a sum above 0, a row needs one test.
    negative = data.sum(axis=1) < 0
    turned = np.where(negative[:, None], -data, data)
    counts = np.zeros(len(data), dtype=np.int64)
    alive, start = np.arange(len(data)), 0
    for stop in (*(rows for rows in SCREEN if rows < len(table)), len(table)):
        block = table[order[start:stop]].astype(np.float64)
        for batch in np.array_split(alive, max(1, len(alive) * len(block) // 2**19)):
            counts[batch] += _at_least(turned[batch], block)
        alive, start = np.flatnonzero(counts <= allowed), stop
    found = counts <= allowed
    return found & ~negative, found & negative


def sign_test_rejections(data: np.ndarray, level: float = statistics.LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row's median is found above 0, and below 0, at `level`, by the sign test; `data` [rows, n]."""
    n = data.shape[1]
    tails = stats.binom.sf(np.arange(n + 1) - 1, n, 0.5)
    return tails[(data > 0).sum(axis=1)] <= level, tails[(data < 0).sum(axis=1)] <= level


def binomial_rejections(data: np.ndarray, level: float = statistics.LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Whether each row's proportion is found above `OFTEN`, and below, by the binomial test; `data` less `OFTEN`."""
    n = data.shape[1]
    above, below = np.array([statistics.binomial_tails(np.arange(n) < count, OFTEN) for count in range(n + 1)]).T
    counts = (data > 0).sum(axis=1)
    return above[counts] <= level, below[counts] <= level


REJECTIONS = {"mean": sign_flip_rejections, "median": sign_test_rejections, "proportion": binomial_rejections}


def _at_least(data: np.ndarray, table: np.ndarray) -> np.ndarray:
    """How many flips of `table` [flips, n] leave a sum at least as large as the observed, rounding aside: [rows]."""
    slack = (64 * np.finfo(np.float64).eps * data.shape[1]) * np.abs(data).max(axis=1, keepdims=True, initial=0)
    return np.count_nonzero(data @ table.T <= slack, axis=1)


def _false_alarms(
    effect: Effect, n: int, m: int, level: float, reports: int, generator: np.random.Generator
) -> dict[str, Any]:
    data = effect.draw(generator, (reports * m, n))
    above, below = (side.reshape(reports, m) for side in REJECTIONS[effect.average](data, level))
    rates = {"wrongly_supported": _rates(above), "wrongly_contradicted": _rates(below)}
    promised = min(1.0, level * m)
    kept = all(
        stats.binomtest(int(side.any(axis=1).sum()), reports, promised, alternative="greater").pvalue >= BROKEN
        for side in (above, below)
    )
    return {"effects": effect.name, "average": effect.average, "symmetric": effect.symmetric, "kept": kept, **rates}


def _rates(alarms: np.ndarray) -> dict[str, float]:
    """Family-wise rate of `alarms` [reports, predictions] with its interval, and the rate per prediction."""
    return {**proportion(int(alarms.any(axis=1).sum()), len(alarms)), "per_prediction": float(alarms.mean())}


def proportion(count: int, total: int) -> dict[str, float]:
    """`count` of `total` as a rate with its 95 % Clopper-Pearson interval."""
    interval = stats.binomtest(count, total).proportion_ci(statistics.CONFIDENCE, method="exact")
    return {"rate": count / total, "low": float(interval.low), "high": float(interval.high)}


def smallest_effects(
    n: int, level: float = statistics.LEVEL, samples: int = 600, *, generator: np.random.Generator
) -> dict[str, Any]:
    """Smallest effects, in standard deviations of normal values, that `n` seeds find 9 times in 10.

    `mean`, `median`: distance of the true average from the end of a one-ended region; `equivalence`: half-width of a
    two-ended region round the true mean; each with a 95 % interval. For each sample the shift from which on the test
    rejects is computed exactly: with K flips allowed it is minus the K-th smallest mean over flipped subsets. Power is
    the share of shifts below the effect, so the effect wanted is a quantile of them.
    """
    data = generator.standard_normal((samples, n))
    table = statistics.flips(n)[1:]
    table = table[table.any(axis=1)].astype(np.float64)
    allowed = int(np.floor(level * len(statistics.flips(n)) * (1 + 1e-12)))
    averaging = (table / table.sum(axis=1, keepdims=True)).T
    up, down = [], []
    for batch in np.array_split(data, max(1, samples // 20)):
        means = np.partition(batch @ averaging, (allowed - 1, len(table) - allowed), axis=1)
        up.append(-means[:, allowed - 1])
        down.append(means[:, len(table) - allowed])
    above, below = np.concatenate(up), np.concatenate(down)
    tails = stats.binom.sf(np.arange(n + 1) - 1, n, 0.5)
    needed = int(np.flatnonzero(tails <= level)[0])
    median = -np.sort(data, axis=1)[:, n - needed]
    return {
        "share": POWER,
        "mean": _quantile(above),
        "median": _quantile(median),
        "equivalence": _quantile(np.maximum(above, below)),
    }


def _quantile(shifts: np.ndarray, share: float = POWER) -> dict[str, float]:
    """The `share` quantile of `shifts` with the 95 % interval between order statistics."""
    ordered, tail = np.sort(shifts), (1 - statistics.CONFIDENCE) / 2
    low = max(0, int(stats.binom.ppf(tail, len(shifts), share)) - 1)
    high = min(len(shifts) - 1, int(stats.binom.ppf(1 - tail, len(shifts), share)))
    return {"effect": float(np.quantile(ordered, share)), "low": float(ordered[low]), "high": float(ordered[high])}


def _coverage(effect: Effect, n: int, samples: int, generator: np.random.Generator) -> dict[str, Any]:
    """How often the 95 % interval of the average covers the true one (0)."""
    data = effect.draw(generator, (samples, n))
    if effect.average == "mean":
        covered = _covers_mean(data, generator)
    else:
        covered = _covers_median(data) if effect.average == "median" else _covers_proportion(data)
    return {"effects": effect.name, "average": effect.average, **proportion(int(covered.sum()), samples)}


def _covers_median(data: np.ndarray) -> np.ndarray:
    ends = np.array([statistics.order_interval(row) for row in np.sort(data, axis=1)], dtype=float)
    return (ends[:, 0] <= 0) & (ends[:, 1] >= 0)


def _covers_proportion(data: np.ndarray) -> np.ndarray:
    n = data.shape[1]
    ends = np.array([statistics.binomial_interval(np.arange(n) < count) for count in range(n + 1)])
    low, high = ends[(data > 0).sum(axis=1)].T
    return (low <= OFTEN) & (high >= OFTEN)


def _covers_mean(data: np.ndarray, generator: np.random.Generator, resamples: int = 999) -> np.ndarray:
    """Whether scipy's BCa interval of each row's mean covers 0 (constant rows do not); `data` [samples, n]."""
    covered = []
    for batch in np.array_split(data, max(1, data.size * resamples // 2**24)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            interval = stats.bootstrap(
                (batch,), np.mean, axis=1, n_resamples=resamples, method="BCa", rng=generator
            ).confidence_interval
        covered.append((interval.low <= 0) & (interval.high >= 0))
    return np.concatenate(covered)


def _remarks(result: dict[str, Any]) -> list[str]:
    bound, remarks = result["bound"], []
    for entry in result["false_alarms"]:
        worst = max(entry["wrongly_supported"], entry["wrongly_contradicted"], key=lambda rate: rate["rate"])
        measured = f"{worst['rate']:.2%} ({worst['low']:.2%} to {worst['high']:.2%}) of reports"
        subject = f"{entry['effects']}, judged on the {entry['average']}"
        if entry["kept"]:
            remarks.append(f"{subject}: a false alarm in {measured}, at most {bound:.2%} promised: kept.")
        else:
            remarks.append(
                f"{subject}: a false alarm in {measured}, at most {bound:.2%} promised: broken. The sign-flip test "
                "takes the values to scatter symmetrically; a statistic that does not should be judged on its median, "
                "on the mean of its logarithm or, where a run says yes or no, as a proportion."
            )
    return remarks


def summary(result: dict[str, Any]) -> list[str]:
    """The calibration in sentences, for the terminal."""
    power = result["power"]
    return [
        f"{result['reports']} simulated reports of {result['m']} predictions with {result['n']} seeds, nothing true:",
        *(f"- {remark}" for remark in result["remarks"]),
        f"{power['share']:.0%} of effects are found from {power['mean']['effect']:.2f} standard deviations on (mean), "
        f"{power['median']['effect']:.2f} (median); a region is confirmed from a half-width of "
        f"{power['equivalence']['effect']:.2f} on.",
        *(
            f"- {entry['effects']}, {entry['average']}: the 95 % interval covers the truth in {entry['rate']:.1%} "
            f"({entry['low']:.1%} to {entry['high']:.1%})."
            for entry in result["coverage"]
        ),
    ]


def calibrate_verdicts(found: list[dict[str, Any]], *, n: int | None = None, m: int | None = None) -> dict[str, Any]:
    """Calibrate for the verdicts of a report, or for a given `n` and `m`.

    `n` is the number of seeds that most judged predictions have, `m` the number of predictions.

    Raises:
        ClaimcheckError: no prediction has enough seeds to decide anything.
    """
    if n is None or m is None:
        judged = [int(verdict["n"]) for verdict in found if int(verdict["n"]) >= statistics.MINIMUM_SEEDS]
        if not judged:
            raise ClaimcheckError(
                "no prediction with enough seeds to decide",
                where="calibrate",
                found=f"{len(found)} predictions",
                expected=f"verdicts with n >= {statistics.MINIMUM_SEEDS}",
                hint="judge the studies first, or give --n and --predictions",
            )
        n = n if n is not None else int(np.bincount(judged).argmax())
        m = m if m is not None else len(found)
    skewed = [verdict["prediction"] for verdict in found if verdict.get("skewness") is not None]
    result = {**calibrate(n, m), "skewed": skewed}
    if skewed:
        result["remarks"].append(
            f"{len(skewed)} of {len(found)} predictions here are judged on the mean of visibly skewed values, "
            f"so that their test is not exact: {', '.join(skewed)}. Each verdict says how the median comes out."
        )
    return result
