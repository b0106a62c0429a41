"""What came of the controls, which show that a prediction could have failed (`claimcheck.spec.controls`)."""

from __future__ import annotations

from typing import Any

from claimcheck.errors import ClaimcheckError
from claimcheck.judging import rule
from claimcheck.judging.evidence import Evidence, values_of
from claimcheck.spec.controls import NAMES, applied, control_of
from claimcheck.spec.models import Prediction


def outcomes(found: Evidence, prediction: Prediction, verdict: str, data: str | None = None) -> dict[str, Any]:
    """For each control: what it says, k of n, its verdict, and whether it `passed` though it must not.

    Args:
        verdict: of the prediction itself; what must be contradicted is known only where that is *supported*.
    """
    shown: dict[str, Any] = {}
    for name in NAMES if prediction.kind != "fact" and prediction.controls.none is None else ():
        control = control_of(prediction, name)
        asked = applied(prediction, control) if control else None
        if control is None or asked is None or data not in found.asked_on(asked):
            continue
        try:
            values = values_of(found, asked, data)
        except ClaimcheckError as fault:
            raise ClaimcheckError(f"control `{name}` of {prediction.id}: {fault}") from fault
        decision = rule.decide(values.to_numpy(), prediction.region, prediction.share)
        wrong = decision.verdict == "supported" if name == "never" else decision.verdict != "contradicted"
        passed = wrong and (name == "never" or verdict == "supported")
        counted = {"k": decision.k, "n": decision.n, "verdict": decision.verdict}
        shown[name] = {"says": control.says, **counted, "passed": passed}
    return shown


def summary(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """How many controls were asked, and the predictions of which one passed though it must not."""
    asked = [
        (entry["prediction"], name, control["passed"])
        for entry in entries
        for test in entry["tests"]
        for name, control in test["controls"].items()
    ]
    return {"asked": len(asked), "passed": sorted({f"{each} ({name})" for each, name, passed in asked if passed})}
