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


def test_cost_tells_what_it_rehearsed_before_a_study_that_it_cannot(command):
    status, output, errors = command("cost", "coin", "nothing", "--scale", "smoke")
    assert status == 2
    assert re.search(r"coin +28 ", output)
    assert "nothing" in errors.splitlines()[-1]


def test_cost_for_a_card_says_nothing_but_its_progress(studies):
    program = [sys.executable, "-m", "claimcheck", "cost", "coin", "--scale", "smoke", "--card", "h100-80gb"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    words = [*program, f"--studies-dir={studies}"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "rehearsing coin\n"
