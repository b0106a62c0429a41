"""Tunings that cannot be: one line that names study and part, before anything is trained where the design tells."""

import pytest

AIMED = "studies/walk/study.yaml: parts.aimed"
TUNINGS = {
    **{
        f"a tuned factor named {name}": ("factor: push", f"factor: {name}", ["tune.factor", name, "reserved"])
        for name in ("seed", "run", "status", "score", "diverged", "chosen", "at_edge", "failed")
    },
    "an arm's factor named as a column of the table": ("      goal:", "      chosen:", ["'chosen'", "reserved"]),
    "an arm's factor twice": ("factor: push,", "factor: push, within: [goal, goal],", ["tune.within", "twice"]),
    "a tuned word twice": ("[0.5, 1.0, 2.0, 4.0]", "[a, b, a]", ["tune.values", "twice"]),
    "a goal in words": ("minimise: distance", "minimise: status", ["tune.minimise", "'status'", "numbers"]),
}


@pytest.fixture
def told(studies, command):
    """told(file, old, new): what `claimcheck run walk/aimed` says after a replacement in the walk's file."""

    def call(name, old, new):
        path = studies / "walk" / name
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))
        status, _, errors = command("run", "walk/aimed", "--scale", "smoke", "--device", "cpu")
        assert status == 2
        return errors.splitlines()[-1]

    return call


@pytest.mark.parametrize("name", TUNINGS)
def test_a_tuning_that_cannot_be_is_one_line(told, name):
    old, new, pieces = TUNINGS[name]
    line = told("study.yaml", old, new)
    assert line.startswith(f"claimcheck: {AIMED}")
    for piece in pieces:
        assert piece in line


def test_a_fault_that_the_engine_finds_names_study_and_part(told):
    fault = "    raise __import__('claimcheck').errors.ClaimcheckError('steps', found=-5)\n"
    assert told("runs.py", "    steps, distances", f"{fault}    steps, distances").startswith(
        f"claimcheck: {AIMED}: steps; found -5"
    )
