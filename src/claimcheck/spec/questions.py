"""What a study asks fits its parts: measures, data sets, controls. Each fault is one line; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.controls import NAMES, applied, control_of, missing
from claimcheck.spec.measures import NEEDS, Measure, faults
from claimcheck.spec.models import Control, Prediction, Study
from claimcheck.spec.parts import RESERVED, ScaledPart


def check(study: Study, scales: list[dict[str, ScaledPart]]) -> None:
    """Everything that a study's predictions and their controls ask can be asked.

    Args:
        scales: the parts as each scale runs them, by name.

    Raises:
        ClaimcheckError: a measure, data set or control does not fit.
    """
    parts = _Parts({name: _distinct(scale[name] for scale in scales) for name in study.parts})
    _check_measures(study, parts)
    _check_data_sets(study, scales)
    _check_controls(study, parts)


@dataclass
class _Parts:
    """Each part as the scales have it, and those on one data set, which many questions share."""

    every: dict[str, list[ScaledPart]]
    narrowed: dict[tuple[str, str | None], list[ScaledPart]] = field(default_factory=dict)

    def on(self, name: str, data: str | None) -> list[ScaledPart]:
        """A part as the scales have it, on one data set."""
        if (name, data) not in self.narrowed:
            self.narrowed[name, data] = [part.on(data) for part in self.every[name]]
        return self.narrowed[name, data]


def _check_measures(study: Study, parts: _Parts) -> None:
    """Measures name factors, levels and index columns that their part has."""
    for _, prediction in study.predictions():
        if prediction.measure is None or prediction.part not in study.parts:
            continue
        for data in prediction.on or [None]:
            asked = parts.on(prediction.part, data)
            if found := [*faults(prediction.measure, *asked), *_senseless(prediction.measure, asked)]:
                raise ClaimcheckError(found[0], where=f"{study.yaml_path}: {prediction.id}.measure")


def _senseless(measure: Measure, parts: Sequence[ScaledPart]) -> list[str]:
    """What can be computed of a measure and says nothing: a column of the design, a place named twice, a constant."""
    design = RESERVED.union(*(part.factors for part in parts))
    told = [f"measures {measure.column!r}, which the design sets and no run finds out"] * (measure.column in design)
    for name in measure.at if isinstance(measure.at, dict) else ():
        if name in {*measure.of, *(measure.second or {})}:
            told.append(f"{name} is named under `at` and in the cell: give it once")
        elif not any(name in part.index for part in parts):
            told.append(f"{name} under `at` is no index of the part: name it under `of`")
    if measure.at_least is not None and measure.at_most is not None and measure.at_least >= measure.at_most:
        told.append("at_least is not below at_most: every value would count as the same")
    if measure.times == 0:
        told.append("times is 0: every number would be the same")
    return told


def _distinct(parts: Iterable[ScaledPart]) -> list[ScaledPart]:
    """One of those whose cells and columns are the same: settings and seeds decide nothing here."""
    found: list[ScaledPart] = []
    for part in parts:
        if not any(_columns_and_cells(part) == _columns_and_cells(other) for other in found):
            found.append(part)
    return found


def _columns_and_cells(part: ScaledPart) -> tuple:
    return part.factors, part.cells(), part.index, part.tune and part.tune.factor


def _check_data_sets(study: Study, scales: list[dict[str, ScaledPart]]) -> None:
    """`on:` names levels of the factor `dataset` of the part, and of the part that a control asks instead."""
    for _, prediction in study.predictions():
        controls = {name: control_of(prediction, name) for name in NAMES}
        others = {f"controls.{name}.part": each.part for name, each in controls.items() if each and each.part}
        for key, part in {"on": prediction.part, **others}.items():
            if not prediction.on or part not in study.parts:
                continue
            factors = [scale[part].factors.get("dataset") for scale in scales]
            known = list(dict.fromkeys(str(level) for each in factors if each is not None for level in each.values))
            for name in prediction.on:
                if name not in known:
                    raise ClaimcheckError(
                        "unknown data set",
                        where=f"{study.yaml_path}: {prediction.id}.{key}",
                        found=name,
                        expected=f"levels of the factor dataset of part {part}: {', '.join(known) or 'it has none'}",
                        hint=closest(name, known),
                    )


def _check_controls(study: Study, parts: _Parts) -> None:
    """Every prediction could fail: it has its two controls, or says why there can be none."""
    for _, prediction in study.predictions():
        if absent := missing(prediction):
            raise ClaimcheckError(
                f"a control is missing: {' and '.join(absent)}",
                where=f"{study.yaml_path}: {prediction.id}.controls",
                expected="never (must not be supported) and against (must be contradicted), or none with the reason",
            )
        for name in NAMES:
            control = control_of(prediction, name)
            if control is not None and control.part is not None and control.part not in study.parts:
                raise ClaimcheckError(
                    "unknown part",
                    where=f"{study.yaml_path}: {prediction.id}.controls.{name}",
                    found=control.part,
                    hint=closest(control.part, study.parts),
                )
            if control is not None and (fault := _idle(prediction, control)):
                raise ClaimcheckError(fault, where=f"{study.yaml_path}: {prediction.id}.controls.{name}")
            asked = applied(prediction, control) if control is not None else prediction
            if asked.measure is None or (asked.measure, asked.part) == (prediction.measure, prediction.part):
                continue
            for data in prediction.on or [None]:
                its = parts.on(asked.part, data)
                if found := [*faults(asked.measure, *its), *_senseless(asked.measure, its)]:
                    raise ClaimcheckError(found[0], where=f"{study.yaml_path}: {prediction.id}.controls.{name}")


def _idle(prediction: Prediction, control: Control) -> str | None:
    """What a control says to no effect, so that another question would be asked than is written; None where all counts."""
    cells = [key for key in ("of", "less", "to") if getattr(control, key) is not None]
    given = [key for key in ("measure", "statistic") if getattr(control, key) is not None]
    if len(given) + bool(cells) > 1:
        return f"give one of {', '.join([*given, *cells[:1]])}: the first takes the place of what the others change"
    asked = applied(prediction, control)
    if cells and asked.measure is None:
        return f"{cells[0]} is a cell of a measure, and the prediction has a statistic: give arguments"
    if cells and (others := {*cells} - {"of", NEEDS.get(asked.measure.form)}):
        return f"{min(others)} does not belong to the form {asked.measure.form}"
    if control.arguments and asked.statistic is None:
        return "arguments are a statistic's: a measure has none"
    if (asked.measure, asked.statistic, asked.arguments, asked.part) == (
        prediction.measure, prediction.statistic, prediction.arguments, prediction.part
    ):  # fmt: skip
        return "asks what the prediction asks: say what is otherwise"
    return None
