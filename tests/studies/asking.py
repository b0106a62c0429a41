"""A study as its tests ask it: predictions and controls of records made by hand, and parts run without files."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

from claimcheck.engine.context import Context, Settings
from claimcheck.judging import judge
from claimcheck.judging.measures import evaluate
from claimcheck.judging.rule import inside
from claimcheck.results import records
from claimcheck.spec import design
from claimcheck.spec.controls import NAMES, applied, control_of
from claimcheck.spec.models import Prediction, Study
from claimcheck.spec.modules import study_module
from claimcheck.spec.reading import load_study, study_names

ROOT = Path(__file__).parents[2]
STUDIES = ROOT / "studies"


@functools.cache
def study_of(name: str) -> Study:
    """One of the lecture's studies, read once for all tests of a process."""
    return load_study(STUDIES, name)


def every_study() -> dict[str, Study]:
    """All of them, by name."""
    return {name: study_of(name) for name in study_names(STUDIES)}


class Asked:
    """One study, with its predictions by id."""

    def __init__(self, name: str) -> None:
        self.study = study_of(name)
        self.predictions = {prediction.id: prediction for _, prediction in self.study.predictions()}

    def module(self, name: str):
        """One of the study's files, imported."""
        return study_module(self.study.folder, name)

    def prediction(self, name: str, control: str | None = None) -> Prediction:
        """A prediction, or what one of its controls asks."""
        prediction = self.predictions[name]
        return applied(prediction, control_of(prediction, control)) if control else prediction

    def answer(
        self,
        asked: str | Prediction,
        rows: pd.DataFrame,
        scale: str = "quick",
        *,
        control=None,
        data: str | None = None,
    ) -> pd.Series:
        """What a prediction, or one of its controls, measures on the records of its part, a number for each seed.

        Args:
            data: the data set of which rows are taken; None: all of them.
        """
        asked = self.prediction(asked, control) if isinstance(asked, str) else asked
        rows = rows if data is None else rows[rows["dataset"] == data].reset_index(drop=True)
        if asked.measure is None:
            return getattr(self.module("statistics"), asked.statistic)(rows, **asked.arguments)
        part = self.study.at(scale)[asked.part]
        return evaluate(asked.measure, rows, part if data is None else part.on(data))

    def numbers(self, name: str, rows: pd.DataFrame, scale: str = "quick", control: str | None = None) -> dict:
        """The same by seed, of rows made by hand: where these name no data set, they are the prediction's first."""
        data = next(iter(self.predictions[name].on or []), None)
        rows = rows if data is None or "dataset" in rows else rows.assign(dataset=data)
        return self.answer(name, rows.reset_index(drop=True), scale, control=control, data=data).to_dict()

    def answers(self, smoke: pd.DataFrame) -> Iterator[tuple[Prediction, pd.Series]]:
        """Each prediction with its answer on each of its data sets at smoke; asserts that every seed has one there."""
        run = {name for name, part in self.study.at("smoke").items() if part.seeds}
        for prediction in self.predictions.values():
            if prediction.part in (None, *run):
                rows = smoke if prediction.part is None else records.part_of(smoke, prediction.part)
                for data in prediction.on or [None]:
                    found = self.answer(prediction, rows, "smoke", data=data)
                    assert sorted(found.index) == sorted(rows["seed"].unique()), prediction.id
                    yield prediction, found

    def facts_hold(self, smoke: pd.DataFrame) -> None:
        """Asserts that what is true by arithmetic or definition is true at smoke."""
        facts = [prediction for prediction in self.predictions.values() if prediction.kind == "fact"]
        assert facts
        for fact in facts:
            found = self.answer(fact, records.part_of(smoke, fact.part), "smoke")
            assert judge.fact_holds(found.to_numpy(), fact), fact.id

    def true_in(self, name: str, rows: pd.DataFrame, *, control: str | None = None) -> int:
        """Of how many units a prediction, or its control, is true."""
        asked = self.prediction(name, control)
        return int(inside(self.answer(asked, rows).to_numpy(), asked.region).sum())

    def made(self, name: str, columns, scale: str = "quick") -> pd.DataFrame:
        """Records of a part as a scale has it, two seeds, with the columns that ``columns(run, settings)`` gives."""
        part = self.study.at(scale)[name].model_copy(update={"seeds": 2, "seeds_on": {}})
        runs = design.confirmatory_runs(part)
        found = [columns(run, part.settings) for run in runs.itertuples()]
        return runs.assign(status="ok").join(pd.DataFrame(found, runs.index))

    def told_from_controls(self, asked: Prediction, rows: pd.DataFrame, scale: str, true: bool = True) -> None:
        """Asserts that a prediction is (not) true of every unit of these records, on each data set, and its controls of none."""
        if asked.kind == "fact":
            assert judge.fact_holds(self.answer(asked, rows, scale).to_numpy(), asked)
            return
        for data in asked.on or [None]:
            found = self.answer(asked, rows, scale, data=data).to_numpy()
            assert inside(found, asked.region).all() == true, (scale, data)
            for name in NAMES if asked.controls.none is None else ():
                other = self.prediction(asked.id, name)
                found = self.answer(other, rows, scale, data=data).to_numpy()
                assert not inside(found, other.region).any(), (scale, data, name)

    def context(self, part: str, scale: str = "smoke", data_dir: Path = ROOT / "data", **settings) -> Context:
        """What a run function is given, with these settings alone."""
        return Context(self.study.name, scale, part, Settings(settings), torch.device("cpu"), data_dir)

    def run_part(
        self, name: str, scale="smoke", *, seeds=None, data_dir=ROOT / "data", factors=None, rows=slice(None),
        include=None, rate=None, **settings,
    ) -> pd.DataFrame:  # fmt: skip
        """Records of one part as the runner makes them, without files.

        Args:
            factors: values of some factors, instead of all. rows: which of the runs. include: instead of the part's.
            rate: learning rate where it is tuned; None: the first of the grid.
        """
        part = self.study.at(scale)[name]
        cut = {key: part.factors[key].model_copy(update={"values": values}) for key, values in (factors or {}).items()}
        changes = {
            "factors": {**part.factors, **cut},
            "seeds": seeds or part.seeds,
            **({"seeds_on": {}} if seeds else {}),
        }
        part = part.model_copy(update=changes | ({} if include is None else {"include": include}))
        runs, frames = design.confirmatory_runs(part).iloc[rows], []
        if part.tune:
            runs = runs.assign(**{part.tune.factor: rate or part.tune.values[0]})
        function = getattr(self.module("runs"), self.study.run_function(name))
        for piece in design.ensembles(part, runs, "confirm"):
            context = self.context(name, scale, data_dir, **{**part.settings, **settings})
            frames.append(records.check_outcome(function(piece.runs.copy(), context), piece.runs, part, where=name))
        return records.part_of(records.concatenate(frames), name)

    def same_in_any_company(self, part: str, **how) -> None:
        """Asserts that every third run of a part gives the same records without the others, bit for bit."""
        rows = ["run", *self.study.parts[part].index]
        whole = self.run_part(part, **how).set_index(rows)
        piece = self.run_part(part, rows=slice(1, None, 3), **how).set_index(rows)
        pd.testing.assert_frame_equal(whole.loc[piece.index, piece.columns], piece, check_exact=True)
