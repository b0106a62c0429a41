"""The command that an error or a page advises makes the very result that is missing, whatever was asked for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from claimcheck.cli import app
from claimcheck.cli.options import CHOICE
from claimcheck.errors import ClaimcheckError
from claimcheck.results import commands
from claimcheck.spec.config import Config, PilotConfig


def test_what_is_left_out_is_what_it_would_be_anyway():
    assert commands.command("run", "walk", Config()) == "claimcheck run walk --scale quick"
    assert commands.command("run", "walk", Config(scale="full"), "aimed") == "claimcheck run walk/aimed --scale full"


def test_every_option_that_decides_which_results_are_meant_is_spelled():
    assert {*CHOICE, "results_dir", "studies_dir"} == set(commands.CHOICE)
    chosen = {"scale": "smoke", "seeds": 3, "registration_offset": 1, "device": "cpu"}
    chosen |= {"results_dir": Path("my results"), "studies_dir": Path("mine")}
    assert commands.command("judge", "walk", Config(**chosen)) == (
        "claimcheck judge walk --scale smoke --seeds 3 --registration-offset 1 --device cpu"
        " --results-dir 'my results' --studies-dir mine"
    )


def test_the_pipelines_command_makes_the_results_that_were_asked_for():
    assert commands.pipeline_command(Config()) == "snakemake --cores all"
    chosen = {"scale": "smoke", "seeds": 3, "registration_offset": 1, "device": "cpu", "reports_dir": Path("told")}
    assert commands.pipeline_command(Config(**chosen)) == (
        "snakemake --cores all --config scale=smoke seeds=3 registration_offset=1 device=cpu reports_dir=told"
    )


def test_pilots_for_power_are_made_by_their_own_command():
    config = PilotConfig(scale="smoke", seeds=4)
    assert commands.command("run", "walk", config, "aimed") == "claimcheck power walk --scale smoke --units 4"


@pytest.mark.parametrize(
    "asked", [{}, {"seeds": 3}, {"registration_offset": 1}, {"seeds": 2, "registration_offset": 1}]
)
def test_the_command_that_is_advised_makes_what_was_missing(locate, asked, tmp_path):
    walk = locate("walk", results_dir=tmp_path / "results of mine", **asked)
    with pytest.raises(ClaimcheckError) as raised:
        walk.read_records()
    assert walk.remedy("run") in str(raised.value)
    advised = [*(files.remedy for files in walk.parts.values()), *map(walk.remedy, ("assemble", "judge", "plot"))]
    for command in advised:
        app(shlex.split(command)[1:], standalone_mode=False)
    assert walk.missing_parts() == []
    assert (walk.judged(), walk.drawn()) == (True, True)
