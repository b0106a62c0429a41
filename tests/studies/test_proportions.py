"""Predictions about shares of runs, in every study: judged as proportions, and with seeds enough to be supported."""

from __future__ import annotations

from pathlib import Path

import pytest

from claimcheck.judging.statistics import seeds_to_support
from claimcheck.spec.reading import load_study

STUDIES = Path(__file__).parents[2] / "studies"
TOO_FEW = {"no-weights-lost"}
"""Predictions that no scale can support, as their amendments say."""


def _predictions():
    for folder in sorted(path.parent for path in STUDIES.glob("*/study.yaml")):
        study = load_study(STUDIES, folder.name)
        yield from ((study, prediction) for _, prediction in study.predictions())


def test_every_share_of_runs_is_judged_as_a_proportion():
    shares = {prediction.id: prediction for _, prediction in _predictions() if prediction.unit == "share of runs"}
    assert len(shares) >= 15
    assert {name for name, prediction in shares.items() if prediction.average != "proportion"} == set()


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_a_proportion_has_the_seeds_that_could_support_it(scale):
    short = {
        prediction.id: (study.at(scale)[prediction.part].seeds, seeds_to_support(prediction.region))
        for study, prediction in _predictions()
        if prediction.average == "proportion"
        and study.at(scale)[prediction.part].seeds < seeds_to_support(prediction.region)
    }
    assert set(short) == TOO_FEW, short
