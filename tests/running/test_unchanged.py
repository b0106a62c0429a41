"""What is made while its code is edited is refused: a file's name says which code made it."""

from __future__ import annotations

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.running import runner

EDITED_LATE = """
    from pathlib import Path
    from . import level
    Path(__file__).with_name("level.py").write_text({new!r})
    steps, distances = """


@pytest.fixture
def edits_itself(studies, locate):
    """edits_itself(new): the walk, whose tuned part writes this into a module that it imports late."""

    def write(new):
        (studies / "walk" / "level.py").write_text("LEVEL = 1\n")
        path = studies / "walk" / "runs.py"
        path.write_text(path.read_text().replace("\n    steps, distances = ", EDITED_LATE.format(new=new)))
        return locate("walk")

    return write


WORK = {
    "parts": lambda results: runner.run_parts(results, ["aimed"]),
    "a piece": lambda results: runner.run_shard(results, "aimed", (1, 2)),
    "pilots": lambda results: runner.tune_part(results, "aimed"),
}


@pytest.mark.parametrize("new", ["LEVEL = 22\n", "LEVEL = (\n"])
@pytest.mark.parametrize("work", WORK)
def test_what_is_made_while_its_code_is_edited_is_refused(edits_itself, work, new):
    results = edits_itself(new)
    for _ in range(2):  # the second time before anything is computed
        with pytest.raises(ClaimcheckError, match=r"level\.py.* while it ran.*run it again: claimcheck run wa") as told:
            WORK[work](results)
        assert "\n" not in str(told.value)
        assert not list(results.view.rglob("*.parquet"))


def test_a_part_that_does_not_reach_what_is_edited_is_kept(edits_itself):
    results = edits_itself("LEVEL = 22\n")
    with pytest.raises(ClaimcheckError, match=r"parts\.aimed"):
        runner.run_parts(results, ["walks", "aimed"])
    assert not results.parts["walks"].missing()


def test_every_ensemble_is_computed_by_the_code_that_was_there_when_the_run_began(studies, locate):
    """Also where it is edited after the first one's file is written, and put back before the second one's is."""
    path = studies / "coin" / "runs.py"
    code = path.read_text()
    edited = code.replace('"heads": shares', '"heads": 9.0')
    told = []

    def edit(done, total, name):
        told.append(name)
        if done < total:
            path.write_text(edited)

    coin = locate("coin")
    runner.run_parts(coin, ["tosses"], runner.Listener(log=lambda line: path.write_text(code), update=edit))
    assert len(told) == 2
    assert coin.parts["tosses"].read()[0]["heads"].max() <= 1.0
