"""What every study promises: units that can decide, pilots enough, grids of moderate steps, controls, registrations."""

from itertools import pairwise

import pytest

from claimcheck.judging.power import undecidable
from claimcheck.results.digests import registration_digest
from claimcheck.spec import design
from claimcheck.spec.controls import missing
from claimcheck.spec.reading import study_names

from .asking import STUDIES, study_of

NAMES = study_names(STUDIES)
PILOTS = 8
STEP = (1.9, 3.4)
"""Ratios of neighbours in a grid: from 2 to the root of ten, rounding aside."""


@pytest.fixture(scope="module", params=NAMES)
def study(request):
    """Each study of the project."""
    return study_of(request.param)


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_every_judged_prediction_has_the_units_that_could_support_it(study, scale):
    assert undecidable(study, scale) == []


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_every_arm_is_tuned_on_pilots_enough(study, scale):
    few = {name: part.tune.seeds for name, part in study.at(scale).items() if part.tune and part.tune.seeds < PILOTS}
    assert not few


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_pilot_seeds_and_judged_seeds_never_meet(study, scale):
    for part in study.at(scale).values():
        if part.tune and part.seeds:
            assert not set(design.pilot_runs(part)["seed"]) & set(design.confirmatory_runs(part)["seed"])


@pytest.mark.parametrize("scale", ["quick", "full"])
def test_grids_have_neither_gaps_nor_crowds(study, scale):
    odd = {
        (name, value, following)
        for name, part in study.at(scale).items()
        if part.tune
        for value, following in pairwise(part.tune.values)
        if not STEP[0] <= following / value <= STEP[1]
    }
    assert not odd


def test_every_judged_prediction_could_fail(study):
    judged = [prediction for _, prediction in study.predictions() if prediction.kind != "fact"]
    assert not [prediction.id for prediction in judged if missing(prediction)]
    without = [prediction.id for prediction in judged if prediction.controls.none is not None]
    assert len(without) <= max(1, len(judged) / 5), without


def test_every_claim_has_something_that_decides_it(study):
    for claim in study.claims:
        kinds = {prediction.kind for prediction in claim.predictions}
        assert kinds & {"main", "fact"}, f"{claim.id}: limits alone decide nothing"


def test_registrations_say_what_was_wrong_with_those_that_no_longer_stand(study):
    assert study.registrations, "the first registration is the state of 2026-11-23"
    assert all(entry.says for entry in study.registrations)
    assert all(entry.superseded for entry in study.registrations[:-1])


def test_what_was_judged_is_what_was_registered(study):
    """A change of the design, the predictions or the rule's own code voids a registration: quick would refuse it."""
    standing = study.registration
    if standing is None or not standing.verdicts:
        pytest.skip("a draft: not registered, or not yet judged")
    assert registration_digest(study) == standing.digest, f"put it back, or run: claimcheck register {study.name}"


def test_no_control_passed_in_the_judged_run(study):
    judged = study.registration if study.registration and study.registration.first_seed else None
    if judged is None or not judged.verdicts:
        pytest.skip("a draft: not registered, or not yet judged")
    assert judged.controls.passed == []
    with_controls = [p for _, p in study.predictions() if p.kind != "fact" and p.controls.none is None]
    assert judged.controls.asked >= len(with_controls)
