"""`claimcheck cost`: a rehearsal that counts and reckons, and writes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_cost_counts_every_run_and_writes_nothing(command, tmp_path):
    status, output, errors = command("cost", "coin", "--scale", "smoke")
    assert status == 0, errors
    assert re.search(r"coin +28 ", output)
    assert "a100" not in output
    assert not (tmp_path / "results").exists()


def test_cost_reckons_for_a_card_that_is_not_here(command):
    status, output, errors = command("cost", "coin", "--scale", "smoke", "--card", "a100-80gb")
    assert status == 0, errors
    assert re.search(r"coin +28( +[\d.]+){4}", output)
    assert "not measured" in output
    status, _, errors = command("cost", "coin", "--card", "abacus")
    assert status == 2
    assert (
        errors.strip() == "claimcheck: --card: no such card is known; found 'abacus'; expected a100-80gb or h100-80gb"
    )


def test_cost_tells_what_it_rehearsed_before_a_study_that_it_cannot(command, studies):
    with (studies / "walk" / "runs.py").open("a", encoding="utf-8") as code:
        code.write("\n\ndef run_walks(runs, context):\n    raise ValueError('no walks today')\n")
    status, output, errors = command("cost", "coin", "walk", "--scale", "smoke")
    assert status == 2
    assert re.search(r"coin +28 ", output)
    assert "no walks today" in errors.splitlines()[-1]


def test_cost_rehearses_nothing_before_a_name_that_no_study_has(command):
    status, output, errors = command("cost", "coin", "nothing", "--scale", "smoke")
    assert (status, output) == (2, "")
    assert "nothing: no such study" in errors
    assert "rehearsing" not in errors


def test_cost_for_a_card_says_nothing_but_its_progress(studies):
    program = [sys.executable, "-m", "claimcheck", "cost", "coin", "--scale", "smoke", "--card", "h100-80gb"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    words = [*program, f"--studies-dir={studies}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "rehearsing coin\n"
