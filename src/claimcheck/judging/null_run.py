"""The null run: verdicts on records whose arms were shuffled, where a claim about arms must not be found.

Within each seed of each part the runs swap their factor values (and tuned values) by a permutation from a named stream;
their rows stay together. What is still supported either does not compare arms, or predicts no difference between
them, or is suspicious: its statistic may be supported whatever the data say.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from claimcheck import streams
from claimcheck.errors import ClaimcheckError
from claimcheck.judging import evidence, statistics
from claimcheck.spec.models import Prediction
from claimcheck.spec.parts import ScaledPart

SAME = 1e-12
"""Relative difference up to which a statistic counts as unchanged by the shuffle."""


def shuffled_records(found: evidence.Evidence) -> pd.DataFrame:
    """The records with the factor values permuted among the runs of one seed and part; the same call, the same rows."""
    records = found.records.copy()
    for name, part in found.parts.items():
        columns = [column for column in _arm_columns(part) if column in records.columns]
        mine = (records["part"] == name).to_numpy()
        if not mine.any() or not columns:
            continue
        rows = records.loc[mine, ["run", "seed", *columns]]
        runs = rows.drop_duplicates("run").sort_values(["seed", "run"], kind="stable").reset_index(drop=True)
        donors = np.arange(len(runs))
        for seed, group in runs.groupby("seed"):
            generator = streams.numpy_generator(found.study.name, int(seed), f"shuffle of the arms of {name}")
            donors[group.index] = generator.permutation(group.index.to_numpy())
        at = donors[pd.Index(runs["run"]).get_indexer(rows["run"])]
        for column in columns:
            records.loc[mine, column] = runs[column].iloc[at].array
    return records


def _arm_columns(part: ScaledPart) -> list[str]:
    return list(part.factors) + ([part.tune.factor] if part.tune else [])


def shuffled_verdicts(found: evidence.Evidence) -> dict[str, Any]:
    """Judge every prediction on the shuffled records.

    Returns:
        study, scale, `predictions` (judged), `supported`, `suspicious` (ids), and `verdicts`: for each prediction
        claim, prediction, kind, verdict, estimate, region and, where it is supported, the `reason` that this is no
        cause for suspicion, or None. A statistic that fails on shuffled records is *not run*, the failure its note.
    """
    noise = found.with_records(shuffled_records(found))
    entries = [_entry(found, noise, claim.id, prediction) for claim, prediction in found.study.predictions()]
    supported = [entry for entry in entries if entry["verdict"] == "supported"]
    return {
        "study": found.study.name,
        "scale": found.scale,
        "records_sha256": found.checksum,
        "predictions": sum(entry["verdict"] != "not run" for entry in entries),
        "supported": len(supported),
        "suspicious": [entry["prediction"] for entry in supported if entry["reason"] is None],
        "verdicts": entries,
    }


def _entry(found: evidence.Evidence, noise: evidence.Evidence, claim: str, prediction: Prediction) -> dict[str, Any]:
    decision, reason = _decision(noise, prediction), None
    if decision.verdict == "supported":
        reason = _reason(found, noise, prediction)
    return {
        "claim": claim,
        "prediction": prediction.id,
        "kind": prediction.kind,
        "verdict": decision.verdict,
        "estimate": decision.estimate,
        "n": decision.n,
        "p": decision.p,
        "region": list(prediction.region),
        "reason": reason,
        "note": decision.note,
    }


def _decision(noise: evidence.Evidence, prediction: Prediction) -> statistics.Decision:
    note = noise.reason_not_run(prediction)
    if note is None:
        try:
            values = evidence.values_of(noise, prediction).to_numpy()
            return statistics.decide(values, prediction.region, average=prediction.average, interval=False)
        except ClaimcheckError as error:
            note = f"undefined on shuffled records: {error}"
    return statistics.Decision("not run", None, None, None, 0, None, None, None, prediction.average, note)


def _reason(found: evidence.Evidence, noise: evidence.Evidence, prediction: Prediction) -> str | None:
    """Why support on shuffled records is to be expected, or None when it is not.

    - the statistic is the same with and without the shuffle, so it does not compare arms (a part with one arm, an exact
      fact, a count over all arms);
    - the region holds what no difference would give: 0 strictly inside it, or 1 inside a region with two ends. Such a
      prediction says that arms are alike, or that none is worse by more than a margin.
    """
    before, after = evidence.values_of(found, prediction), evidence.values_of(noise, prediction)
    if np.allclose(before, after, rtol=SAME, atol=0, equal_nan=False):
        return "does not compare arms"
    low, high = prediction.region
    if (low is None or low < 0) and (high is None or high > 0):
        return "predicts no difference: its region holds 0"
    if low is not None and high is not None and low < 1 < high:
        return "predicts no difference: its region holds 1"
    return None
