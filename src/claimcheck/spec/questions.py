"""What a study asks fits its parts: measures, data sets, controls. Each fault is one line; nothing is run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from claimcheck.errors import ClaimcheckError, closest
from claimcheck.spec.controls import NAMES, applied, control_of, missing
from claimcheck.spec.measures import faults
from claimcheck.spec.models import Study
from claimcheck.spec.parts import ScaledPart


def check(study: Study) -> None:
    """Everything that a study's predictions and their controls ask can be asked.

    Raises:
        ClaimcheckError: a measure, data set or control does not fit.
    """
    scales = [study.at(scale) for scale in study.scales]
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
            if found := faults(prediction.measure, *parts.on(prediction.part, data)):
                raise ClaimcheckError(found[0], where=f"{study.yaml_path}: {prediction.id}.measure")


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
            asked = applied(prediction, control) if control is not None else prediction
            if asked.measure is None or (asked.measure, asked.part) == (prediction.measure, prediction.part):
                continue
            for data in prediction.on or [None]:
                if found := faults(asked.measure, *parts.on(asked.part, data)):
                    raise ClaimcheckError(found[0], where=f"{study.yaml_path}: {prediction.id}.controls.{name}")
