"""Leases of graphics cards, with pretended cards and real processes."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


EIGHT = leases.Cards(8, ("GPU-ab12", "MIG-cd34"))


@pytest.mark.parametrize(
    ("listed", "cards"),
    [("2,3", ["2", "3"]), ("", []), ("-1", []), ("1,-1,2", ["1"]), ("GPU-ab, MIG-cd", ["GPU-ab", "MIG-cd"])],
)
def test_cuda_visible_devices_is_honoured(listed, cards):
    assert leases.visible_cards({"CUDA_VISIBLE_DEVICES": listed}, EIGHT) == cards


@pytest.mark.parametrize(
    ("listed", "installed", "cards"),
    [
        ("0", leases.Cards(), []),  # exported on a login node, or by a container's image
        ("0,1,2,3", leases.Cards(), []),
        ("GPU-ab12", leases.Cards(), []),
        ("0,5", leases.Cards(2), ["0"]),  # copied from a larger machine
        ("GPU-of-another-machine", leases.Cards(1, ("GPU-mine",)), []),
        ("GPU-mi", leases.Cards(1, ("GPU-mine",)), ["GPU-mi"]),
        ("GPU-unasked", leases.Cards(1), ["GPU-unasked"]),
        ("0,0", leases.Cards(2), []),  # CUDA shows none of a list with doubles
        ("\N{ARABIC-INDIC DIGIT ZERO}", leases.Cards(2), []),
        ("all", leases.Cards(2), []),
        (None, leases.Cards(2), ["0", "1"]),
        (None, leases.Cards(), []),
    ],
)
def test_cuda_visible_devices_is_believed_only_as_far_as_there_are_cards(listed, installed, cards):
    environment = {} if listed is None else {"CUDA_VISIBLE_DEVICES": listed}
    assert leases.visible_cards(environment, installed) == cards


@pytest.mark.parametrize(
    ("says", "status", "count"),
    [
        ("GPU 0: NVIDIA H100 (UUID: GPU-1f)\n  MIG 1g.10gb Device 0: (UUID: MIG-2e)\nGPU 1: NVIDIA H100 (UUID: GPU-3d)", 0, 2),
        ("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.", 9, 0),
        ("No devices were found", 0, 0),
    ],
)  # fmt: skip
def test_cards_are_those_of_a_working_driver(says, status, count, tmp_path, monkeypatch):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{says}\nEND\nexit {status}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(leases, "_torch_uses_cuda", lambda: True)
    found = leases.installed_cards.__wrapped__()
    assert found.count == count
    assert found.names == (("GPU-1f", "MIG-2e", "GPU-3d") if count else ())


@pytest.mark.parametrize(("built", "uses"), [("'13.0'", True), ("None", False)])
def test_a_pytorch_without_cuda_has_no_cards_to_wait_for(built, uses, tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").touch()
    (tmp_path / "torch" / "version.py").write_text(f"cuda: Optional[str] = {built}\nhip: Optional[str] = None\n")
    spec = importlib.util.spec_from_file_location("torch", tmp_path / "torch" / "__init__.py")
    monkeypatch.setattr(leases.importlib.util, "find_spec", lambda name: spec)
    assert leases._torch_uses_cuda() is uses
    if not uses:
        monkeypatch.setattr(leases.subprocess, "run", lambda *words, **how: pytest.fail("no card need be looked for"))
        assert leases.installed_cards.__wrapped__() == leases.Cards()


def test_jobs_do_not_wait_for_one_another_where_there_is_no_card(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(leases, "installed_cards", leases.Cards)
    monkeypatch.setattr(leases, "lease", lambda *words, **how: pytest.fail("nothing is leased"))
    with leases.leased_device("auto") as device:
        assert device == "auto"
    assert not leases.machine_for("auto").gpu


def test_the_machine_is_looked_at_only_when_a_part_asks(monkeypatch):
    asked = []
    monkeypatch.setattr(leases, "visible_cards", lambda: asked.append("cards") or ["0"])
    monkeypatch.setattr(leases, "compiler_fault", lambda: asked.append("compiler"))
    machine = leases.machine_for("auto")
    assert asked == []
    assert machine.gpu
    assert machine.compiler
    assert asked == ["cards", "compiler"]


# ---- locks that another user left ----


def as_another_user(action):
    """What `action` returns when a user without privileges does it: a fork, since that cannot be undone."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setgid(65534)
        os.setuid(65534)
        try:
            said = str(action())
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def common():
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="claimcheck-test-") as folder:
        Path(folder).chmod(0o1777)
        yield Path(folder)


def unreadable(folder):
    (folder / "card-0.lock").touch(mode=0o600)


def private_folder(folder):
    folder.chmod(0o755)  # its maker was stopped before it was opened to all


def folder_of_the_locks_name(folder):
    (folder / "card-0.lock").mkdir()


def link_to_nowhere(folder):
    (folder / "card-0.lock").symlink_to(folder / "of a folder that was removed" / "card-0.lock")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("left", [unreadable, private_folder, folder_of_the_locks_name, link_to_nowhere])
def test_a_lock_that_another_user_left_stops_nobody_and_is_told(left, common, monkeypatch):
    left(common)
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(common / "own"))
    (common / "own").mkdir()
    (common / "own").chmod(0o1777)

    def action():
        said = []
        with leases.lease(["0"], folder=common, timeout=1, log=said.append) as card:
            return [card, *said]

    said = as_another_user(action)
    assert said.startswith("['0', "), said
    assert f"{common}/card-0.lock: cannot be opened" in said
    assert "other users' jobs may take card 0, too; remove it" in said


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become another user")
def test_users_with_a_narrow_umask_share_cards(common):
    before = os.umask(0o077)
    try:
        with leases.lease(["0"], folder=common):

            def action():
                with leases.lease(["0"], folder=common, timeout=0.1):
                    return "two jobs on one card"

            assert "no card became free" in as_another_user(action)
    finally:
        os.umask(before)


def test_a_leased_card_is_the_only_one_that_cuda_sees(tmp_path, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    monkeypatch.setattr(leases, "_common_folder", lambda: tmp_path)
    monkeypatch.setattr(leases, "installed_cards", lambda: EIGHT)
    with leases.leased_device("cuda:1") as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cuda:0", "7")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"


def test_cpu_leases_nothing(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    with leases.leased_device("cpu") as device:
        assert (device, os.environ["CUDA_VISIBLE_DEVICES"]) == ("cpu", "0")
