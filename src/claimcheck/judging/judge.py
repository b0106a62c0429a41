"""The judge: every prediction of a study against its records, by the one rule of `statistics`.

Writes verdicts.json (one object per prediction, with the checksum of the records it was made from and of itself) and
shuffled.json (`null_run`); `table` gathers all studies' verdicts as CSV.
Never changes a region, never looks at a result to choose a test.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_json
from claimcheck.judging import evidence, null_run, statistics
from claimcheck.results.seals import sealed
from claimcheck.results.verdicts import write_verdicts
from claimcheck.spec.models import Claim, Prediction

if TYPE_CHECKING:
    from claimcheck.results.state import Results

VARIANTS = ("threshold halved", "threshold doubled", "half the seeds")
"""Changes under which a robust verdict stays what it is."""

SKEWED = 0.001
"""Level of the test for skewness from which on a verdict on a mean carries a note (it changes no verdict)."""

CSV_COLUMNS = (
    "study",
    "claim",
    "prediction",
    "kind",
    "verdict",
    "estimate",
    "low",
    "high",
    "unit",
    "n",
    "p",
    "region",
    "rule",
    "why",
    "spec_hash",
    "amended",
    "claim_verdict",
    "section",
    "says",
    "average",
    "robust",
    "note",
)


def judge(results: Results) -> list[dict[str, Any]]:
    """Judge every prediction of a study and write its verdicts and its null run to the store.

    Raises:
        ClaimcheckError: the records are missing, damaged or do not fit the design, or a statistic is at fault (all such
            statistics are told at once). Nothing is written then.
    """
    found = evidence.read(results)
    verdicts = verdicts_of(found)
    shuffled = null_run.shuffled_verdicts(found)
    write_verdicts(results.verdicts, verdicts)
    write_json(results.shuffled, sealed({**shuffled, "ingredients": results.verdicts_ingredients}))
    return verdicts


def verdicts_of(found: evidence.Evidence) -> list[dict[str, Any]]:
    """The verdict on every prediction, in the order of study.yaml."""
    values, faults = {}, []
    for _, prediction in found.study.predictions():
        try:
            values[prediction.id] = None if found.reason_not_run(prediction) else evidence.values_of(found, prediction)
        except ClaimcheckError as fault:
            faults.append(fault)
    if faults:
        more = f" | and {len(faults) - 1} more: " + " | ".join(map(str, faults[1:])) if len(faults) > 1 else ""
        raise ClaimcheckError(f"{faults[0]}{more}") from faults[0]
    entries = []
    for claim in found.study.claims:
        judged = [_entry(found, claim, each, values[each.id]) for each in claim.predictions]
        whole = statistics.claim_verdict(each["verdict"] for each in judged if each["kind"] == "main")
        entries += [{**each, "claim_verdict": whole, "section": found.sections.get(claim.id)} for each in judged]
    return entries


def _entry(found: evidence.Evidence, claim: Claim, prediction: Prediction, values: pd.Series | None) -> dict[str, Any]:
    decision = decided(found, prediction, values)
    numbers = np.array([]) if values is None else values.to_numpy()
    checks = sensitivity(numbers, prediction) if decision.verdict != "not run" else {}
    same = {name: checks.get(name) in (None, decision.verdict) for name in VARIANTS}
    skewness = _skewness(numbers, decision)
    return {
        "claim": claim.id,
        "prediction": prediction.id,
        "says": prediction.says,
        "kind": prediction.kind,
        "verdict": decision.verdict,
        "estimate": decision.estimate,
        "low": decision.low,
        "high": decision.high,
        "unit": prediction.unit,
        "n": decision.n,
        "p": decision.p,
        "p_supported": decision.p_supported,
        "p_contradicted": decision.p_contradicted,
        "region": list(prediction.region),
        "rule": rule_in_short(decision),
        "why": prediction.why,
        "spec_hash": found.fixed.get(prediction.id),
        "amended": [each.model_dump() for each in found.study.amendments.get(prediction.id, ())],
        "reference": [each.model_dump() for each in prediction.reference],
        "part": prediction.part,
        "statistic": prediction.statistic,
        "measure": prediction.measure.model_dump(exclude_defaults=True) if prediction.measure else None,
        "average": decision.average,
        "skewness": skewness,
        "note": "; ".join(filter(None, [decision.note, _skew_note(skewness, checks)])),
        "sensitivity": checks,
        "robust": None if decision.verdict == "not run" else "robust" if all(same.values()) else "fragile",
        "values": [float(value) for value in numbers],
        "records_sha256": found.checksum,
        "digest": found.digest,
    }


def decided(found: evidence.Evidence, prediction: Prediction, values: pd.Series | None) -> statistics.Decision:
    """The decision on one prediction; `values` None where there is nothing to judge."""
    if values is None:
        reason = found.reason_not_run(prediction) or "no seeds"
        return statistics.Decision("not run", None, None, None, 0, None, None, None, prediction.average, reason)
    return statistics.decide(values.to_numpy(), prediction.region, average=prediction.average)


def rule_in_short(decision: statistics.Decision) -> str:
    """The test behind a verdict in a few words; `statistics.RULE` is the whole rule."""
    if decision.average == "median":
        return f"median, sign test, level {statistics.LEVEL:g}"
    if decision.average == "proportion":
        return f"proportion, binomial test, level {statistics.LEVEL:g}"
    exact = "exact" if 2**decision.n <= statistics.FLIPS else f"{statistics.FLIPS} flips"
    return f"mean, sign-flip test ({exact}), level {statistics.LEVEL:g}"


def sensitivity(values: np.ndarray, prediction: Prediction) -> dict[str, str | None]:
    """The verdicts under other choices; None where a choice does not apply.

    `scaled_region` says what halving and doubling a threshold means. Half the seeds are the first half, but never fewer
    than can contradict a region with two ends, or support one of a proportion. "other average" swaps mean and median,
    of which a proportion has no second; it is shown and does not count for robustness.
    """

    average = prediction.average
    proportion = average == "proportion"

    def verdict(
        data: np.ndarray, region: statistics.Region | None, average: statistics.Average = average
    ) -> str | None:
        if region is None or (proportion and not statistics.is_proportion(region)):
            return None
        return statistics.decide(data, region, average=average, interval=False).verdict

    halved, doubled = (scaled_region(prediction.region, factor, values) for factor in (0.5, 2.0))
    fewest = statistics.seeds_to_support(prediction.region) if proportion else statistics.MINIMUM_SEEDS + 1
    half = max(fewest, math.ceil(len(values) / 2))
    other: statistics.Average = "mean" if average == "median" else "median"
    return {
        "threshold halved": verdict(values, halved),
        "threshold doubled": verdict(values, doubled),
        "half the seeds": verdict(values[:half], prediction.region) if half < len(values) else None,
        "other average": None if proportion else verdict(values, prediction.region, other),
    }


def scaled_region(
    region: statistics.Region, factor: float, values: np.ndarray | None = None
) -> statistics.Region | None:
    """The region with its threshold times `factor`; None where the threshold is 0, which has no scale.

    Two ends: the half-width about the centre is scaled. One end: the end itself; but where every value lies from 0 to 1
    (a share, an accuracy) and the end is 1/2 or more, its distance from 1, since twice 0.9 would mean nothing.
    """
    low, high = region
    if low is not None and high is not None:
        centre, half_width = (low + high) / 2, (high - low) / 2
        return centre - factor * half_width, centre + factor * half_width
    end = low if high is None else high
    if not end:
        return None
    share = values is not None and len(values) and np.min(values) >= 0 and np.max(values) <= 1
    scaled = 1 - factor * (1 - end) if share and 0.5 <= end < 1 else factor * end
    return (scaled, None) if high is None else (None, scaled)


def _skewness(values: np.ndarray, decision: statistics.Decision) -> float | None:
    """Sample skewness of values judged on their mean, where it is too large to be chance."""
    from scipy import stats

    if decision.verdict == "not run" or decision.average != "mean" or np.ptp(values) <= 1e-12 * np.abs(values).max():
        return None
    tested = stats.skewtest(values)
    return float(stats.skew(values, bias=False)) if tested.pvalue <= SKEWED else None


def _skew_note(skewness: float | None, checks: dict[str, str | None]) -> str:
    if skewness is None:
        return ""
    median = checks["other average"]
    return f"the values are skewed ({skewness:+.1f}), so the test is not exact; on the median: {median}"


def table(verdicts: Mapping[str, list[dict[str, Any]]]) -> str:
    """Every study's verdicts as CSV: columns `CSV_COLUMNS`, studies in order of name.

    A region is written as JSON, such as [0.5, null]; amendments as a JSON list.
    """
    rows = [
        {**entry, "study": study} | {key: json.dumps(entry[key]) for key in ("region", "amended")}
        for study, entries in sorted(verdicts.items())
        for entry in entries
    ]
    buffer = io.StringIO()
    pd.DataFrame(rows, columns=list(CSV_COLUMNS)).to_csv(buffer, index=False, lineterminator="\n")
    return buffer.getvalue()
