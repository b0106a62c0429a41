"""The judge: every prediction of a study against its records, by the one rule of `rule`; facts by their tolerance.

Writes verdicts.json (one object per prediction, with what it rests on for each data set, its controls, and a checksum)
and controls.json (how many controls were asked, and which passed). Never looks at a result to choose a test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from claimcheck.errors import ClaimcheckError
from claimcheck.files import write_json
from claimcheck.judging import controls, evidence, rule
from claimcheck.results.registration import check_registration, registration_facts
from claimcheck.results.seals import sealed
from claimcheck.results.verdicts import write_verdicts
from claimcheck.spec.models import Claim, Prediction

if TYPE_CHECKING:
    from claimcheck.results.state import Results


def judge(results: Results) -> list[dict[str, Any]]:
    """Judge every prediction of a study and write its verdicts to the store.

    Raises:
        ClaimcheckError: the study is not what was registered; the records are missing, damaged or do not fit the
            design; or a statistic is at fault (all such statistics are told at once). Nothing is written then.
    """
    check_registration(results.study, results.config)
    found = evidence.read(results)
    fixed, registration = results.prediction_hashes(), registration_facts(results.study, results.config)
    common = {"records_sha256": found.checksum, "digest": results.verdicts_digest, "registration": registration}
    sections = results.sections()
    entries, faults = [], []
    for claim in found.study.claims:
        judged = []
        for prediction in claim.predictions:
            try:
                judged.append(_entry(found, claim, prediction))
            except ClaimcheckError as fault:
                faults.append(fault)
        whole = claim_verdict(judged)
        entries += [
            {**each, "claim_verdict": whole, "section": sections.get(claim.id), "fixed": fixed[each["prediction"]]}
            | common
            for each in judged
        ]
    if faults:
        more = f" | and {len(faults) - 1} more: " + " | ".join(map(str, faults[1:])) if len(faults) > 1 else ""
        raise ClaimcheckError(f"{faults[0]}{more}") from faults[0]
    write_verdicts(results.verdicts, entries)
    write_json(results.controls, sealed({**controls.summary(entries), "ingredients": results.verdicts_ingredients}))
    return entries


def claim_verdict(judged: list[dict[str, Any]]) -> str:
    """A claim's verdict, of what was judged of it. Limits take no part."""
    main, facts = ([entry["verdict"] for entry in judged if entry["kind"] == kind] for kind in ("main", "fact"))
    return rule.of_claim(main, facts)


def _entry(found: evidence.Evidence, claim: Claim, prediction: Prediction) -> dict[str, Any]:
    reason = found.reason_not_run(prediction)
    tests = [] if reason else [_test(found, prediction, data) for data in found.asked_on(prediction)]
    verdict = "not run" if reason else rule.combined(each["verdict"] for each in tests)
    if prediction.kind == "fact" and tests:
        verdict = "holds" if all(each["verdict"] == "holds" for each in tests) else "does not hold"
    said = prediction.model_dump(include={"says", "kind", "share", "tolerance", "unit", "why", "part", "statistic"})
    return {
        "claim": claim.id,
        "prediction": prediction.id,
        **said,
        "region": list(prediction.region),
        "measure": prediction.measure.model_dump(exclude_defaults=True) if prediction.measure else None,
        "arguments": prediction.arguments,
        "reference": [each.model_dump() for each in prediction.reference],
        "undecidable": prediction.undecidable,
        "verdict": verdict,
        "note": reason or "",
        "tests": tests,
    }


def _test(found: evidence.Evidence, prediction: Prediction, data: str | None) -> dict[str, Any]:
    """One data set's verdict and what it rests on."""
    values = evidence.values_of(found, prediction, data)
    numbers = values.to_numpy()
    common = {
        "data": data,
        "seeds": [int(seed) for seed in values.index],
        "values": [None if np.isnan(each) else float(each) for each in numbers],
    }
    if prediction.kind == "fact":
        holds, middle = fact_holds(numbers, prediction), rule.median(numbers)[0]
        return {**common, "verdict": "holds" if holds else "does not hold", "median": middle, "controls": {}}
    decision = rule.decide(numbers, prediction.region, prediction.share)
    shown = {name: getattr(decision, name) for name in ("verdict", "k", "n", "p", "median", "low", "high")}
    return {**common, **shown, "controls": controls.outcomes(found, prediction, decision.verdict, data)}


def fact_holds(numbers: np.ndarray, prediction: Prediction) -> bool:
    """Whether every number lies in the region, up to the tolerance."""
    assert prediction.tolerance is not None
    return rule.holds(numbers, prediction.region, prediction.tolerance)
