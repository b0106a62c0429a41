"""Every part that full scale has otherwise than quick, a run of pilots and a judged one on each data set, loops cut short: a
design that asks for more examples than there are, say, is found here, before a cluster finds it.
"""

from __future__ import annotations

import functools

import pytest
import torch

from claimcheck.data import downloads
from claimcheck.results import records
from claimcheck.running import cost, runner
from claimcheck.spec.config import Config
from claimcheck.spec.modules import study_module

from .asking import STUDIES, every_study

EVERY = every_study()
CPU = torch.device("cpu")


def otherwise(study):
    """Parts whose design, but for the number of units, is not that of quick, which other tests and reports run."""
    quick, full = study.at("quick"), study.at("full")
    plain = {"seeds": 0, "seeds_on": {}}
    return [
        name
        for name, part in full.items()
        if part.seeds
        and not (part.needs_gpu or part.timing)
        and not (quick[name].seeds and part.model_copy(update=plain) == quick[name].model_copy(update=plain))
    ]


@functools.cache
def at_hand(name, data_dir):
    """Whether a data set needs no download, or was downloaded."""
    return name not in downloads.SOURCES or not downloads.faults(name, data_dir, archives=False)


def one_for_each_data_set(part, data_dir):
    """An ensemble of pilots, if there are any, and one of judged runs, for each data set that is at hand."""
    found = {}
    for piece in cost.pieces(part):
        data = piece.runs["dataset"].iloc[0] if "dataset" in piece.runs else None
        if at_hand(data, data_dir):
            found.setdefault((piece.phase, data), piece)
    return found.values()


def first_steps(count, networks=None):
    """A loop that ends after its first two steps."""
    return range(min(count, 2))


@pytest.mark.parametrize(("name", "part"), [(name, part) for name, study in EVERY.items() for part in otherwise(study)])
def test_full_scale_asks_for_what_there_is(name, part, fashion):
    study = EVERY[name]
    config = Config(scale="full", studies_dir=STUDIES, data_dir=fashion)
    planned = study.at("full")[part]
    function = getattr(study_module(study.folder, "runs"), study.run_function(part))
    for piece in one_for_each_data_set(planned, fashion):
        runs = piece.runs.iloc[:1].reset_index(drop=True)
        context = runner.context_for(study, config, planned, piece, CPU, steps=first_steps, eager=True)
        found = records.check_outcome(function(runs.copy(), context), runs, planned, where=part)
        assert set(found["run"]) == set(runs["run"])
