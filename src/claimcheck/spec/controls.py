"""Controls of a prediction: other questions to the same records, with known answers.

One must not be supported (the untreated arm against itself), one must be contradicted wherever the prediction itself is
supported (the arms swapped). A difference or a ratio has both by itself, unless the region holds what an arm compared
with itself gives; what has none by itself names them in study.yaml, or says there why there can be none.
"""

from __future__ import annotations

from typing import Any

from claimcheck.spec.models import Control, Prediction

NAMES = ("never", "against")


def control_of(prediction: Prediction, name: str) -> Control | None:
    """The control `name` of a prediction: the one given, else the one that it has by its form, or None."""
    return getattr(prediction.controls, name) or _by_itself(prediction, name)


def missing(prediction: Prediction) -> list[str]:
    """Names of the controls that a prediction lacks and does not explain."""
    if prediction.kind == "fact" or prediction.controls.none is not None:
        return []
    return [name for name in NAMES if control_of(prediction, name) is None]


def applied(prediction: Prediction, control: Control) -> Prediction:
    """The prediction with what the control says laid over its question."""
    changes: dict[str, Any] = {"arguments": {**prediction.arguments, **control.arguments}}
    if prediction.measure is not None:
        cells = {key: getattr(control, key) for key in ("of", "less", "to") if getattr(control, key) is not None}
        changes["measure"] = prediction.measure.model_copy(update=cells)
    if control.measure is not None:
        changes |= {"measure": control.measure, "statistic": None}
    if control.statistic is not None:
        changes |= {"statistic": control.statistic, "measure": None}
    if control.part is not None:
        changes["part"] = control.part
    return prediction.model_copy(update=changes)


def _by_itself(prediction: Prediction, name: str) -> Control | None:
    measure = prediction.measure
    if measure is None or measure.second is None or _holds_nothing(prediction):
        return None
    key = "less" if measure.form == "difference" else "to"
    if name == "never":
        return Control(**{key: measure.of, "says": "the first arm against itself"})
    if not measure.second.keys() <= measure.of.keys():
        return None  # what the first arm does not name it would share with the second, and be compared with itself
    return Control(**{"of": {**measure.of, **measure.second}, key: measure.of, "says": "the two arms swapped"})


def _holds_nothing(prediction: Prediction) -> bool:
    """Whether the region holds what a difference or ratio of an arm and itself comes to."""
    measure = prediction.measure
    assert measure is not None
    same = 0.0 if measure.form == "difference" or measure.log else 1.0
    value = same * (1.0 if measure.times is None else measure.times) + (measure.plus or 0.0)
    value = abs(value) if measure.absolute else value
    low, high = prediction.region
    return (low is None or value > low) and (high is None or value < high)
