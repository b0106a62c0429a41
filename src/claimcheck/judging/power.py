"""Power before the run: from pilot units, how often each prediction is true, and how many units would show it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from claimcheck.errors import ClaimcheckError
from claimcheck.judging import rule
from claimcheck.judging.evidence import Evidence, values_of
from claimcheck.spec.models import Study
from claimcheck.spec.parts import ScaledPart

WANTED = 0.9


@dataclass(frozen=True)
class Power:
    """What pilots say of one prediction on one data set.

    Attributes:
        k, n: pilot units of which it is true, pilot units.
        share: the share of units that must be exceeded.
        units: the fewest units with power `WANTED`, None where pilots show no such effect.
        planned, reached: units of the scale (of the largest part, where none is named), and their power.
        seconds: of processor time that `units` would take, all arms of the part.
    """

    prediction: str
    data: str | None
    k: int
    n: int
    share: float
    units: int | None
    planned: int
    reached: float
    seconds: float | None


def powers(
    found: Evidence,
    planned: Mapping[str, ScaledPart],
    seconds: Mapping[str, float],
    leave_out: Callable[[str], None] | None = None,
) -> list[Power]:
    """The power of every judged prediction, its true share taken to be (k + 1/2) / (n + 1).

    Args:
        found: records of pilot units.
        planned: each part as the scale judges it.
        seconds: processor time of a unit of each part.
        leave_out: told why a prediction cannot be asked of these records, which then is left out; an error without.
    """
    rows = []
    for _, prediction in found.study.predictions():
        if prediction.kind == "fact" or found.reason_not_run(prediction):
            continue
        parts = list(found.parts) if prediction.part is None else [prediction.part]
        for data in found.asked_on(prediction):
            try:
                values = values_of(found, prediction, data).to_numpy()
            except ClaimcheckError as fault:
                if leave_out is None:
                    raise
                leave_out(f"{prediction.id}{f' on {data}' if data else ''} is left out: {fault}")
                continue
            decision = rule.decide(values, prediction.region, prediction.share)
            true = (decision.k + 0.5) / (decision.n + 1)
            units = rule.units_for(prediction.share, true, WANTED)
            now = max(planned[part].on(data).seeds for part in parts)
            cost = None if units is None else units * sum(seconds[part] for part in parts)
            reached = rule.power(now, prediction.share, true)
            rows.append(Power(prediction.id, data, decision.k, decision.n, prediction.share, units, now, reached, cost))
    return rows


def undecidable(study: Study, scale: str) -> list[str]:
    """Predictions that no outcome of their units at `scale` could support, unless they say why they are kept."""
    judged = {name: part for name, part in study.at(scale).items() if part.seeds > 0}
    faults = []
    for _, prediction in study.predictions():
        there = [part for name, part in judged.items() if prediction.part in (None, name)]
        n = max((min(part.on(data).seeds for data in prediction.on or [None]) for part in there), default=None)
        if prediction.kind == "fact" or prediction.undecidable is not None or n is None:
            continue
        if rule.fewest_true(n, prediction.share) is None:
            more = f"could not support it at share {prediction.share:g}, whatever comes of them"
            faults.append(f"{prediction.id}: {n} units {more}")
    return faults
