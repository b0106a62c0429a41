"""Leases of graphics cards, with pretended cards and real processes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.running import devices as leases

HOLDER = """
import sys, time
from pathlib import Path
from claimcheck.running.devices import lease
folder, seconds, cards = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]
with lease(cards, folder=folder, poll=0.02) as card:
    marker = folder / f"on-{card}"
    marker.touch(exist_ok=False)  # raises where another process is on the card
    print(card, flush=True)
    time.sleep(seconds)
    marker.unlink()
"""


def hold(folder, seconds, *cards):
    """A process that holds one of `cards` and prints which."""
    command = [sys.executable, "-c", HOLDER, str(folder), str(seconds), *cards]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_four_jobs_share_two_cards_and_never_meet_on_one(tmp_path):
    jobs = [hold(tmp_path, 0.3, "0", "1") for _ in range(4)]
    outcomes = [job.communicate(timeout=60) for job in jobs]
    assert [job.returncode for job in jobs] == [0] * 4, outcomes
    assert {out.strip() for out, _ in outcomes} == {"0", "1"}


def test_a_killed_job_frees_its_card(tmp_path):
    first = hold(tmp_path, 60, "0")
    assert first.stdout.readline().strip() == "0"
    with pytest.raises(ClaimcheckError, match="no card became free"), leases.lease(["0"], folder=tmp_path, timeout=0.1):
        pass
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    with leases.lease(["0"], folder=tmp_path, timeout=5) as card:
        assert card == "0"


def test_a_job_that_waits_says_so_once(tmp_path):
    first = hold(tmp_path, 0.5, "0")
    first.stdout.readline()
    said = []
    start = time.monotonic()
    with leases.lease(["0"], folder=tmp_path, poll=0.02, log=said.append):
        assert time.monotonic() - start > 0.1
    first.communicate()
    assert said == ["waiting for a free card (1 visible, all leased)"]


@pytest.mark.parametrize(
    ("listed", "cards"),
    [("2,3", ["2", "3"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-ab, MIG-cd", ["GPU-ab", "MIG-cd"])],
)
def test_cuda_visible_devices_is_honoured(listed, cards):
    assert leases.visible_cards({"CUDA_VISIBLE_DEVICES": listed}) == cards


def test_a_leased_card_is_the_only_one_that_cuda_sees(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr(leases, "_common_folder", lambda: tmp_path)
    with leases.leased_device("cuda:1") as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "7")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"


def test_cpu_leases_nothing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with leases.leased_device("cpu") as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cpu", "0")
