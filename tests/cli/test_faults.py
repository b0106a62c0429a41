"""Faults of the machine and of names, and what cannot be run: one line of each command, and nothing half-written."""

import os
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from claimcheck import cli
from claimcheck.errors import ClaimcheckError
from claimcheck.spec import registering
from claimcheck.spec.reading import load_config, load_study

LONG = "x" * 300


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (f"run coin --scale smoke --results-dir {LONG}", "File name too long"),
        (f"judge coin --scale smoke --results-dir {LONG}", "File name too long"),
        (f"list --studies-dir {LONG}", LONG),
        ("run coin --scale smoke --results-dir /dev/null", "/dev/null"),
        (f"run coin/tosses --shard 1/{'7' * 5000}", "--shard: is not a shard"),
        (f"run coin/tosses --shard {'7' * 5000}/1", "--shard: is not a shard"),
        (f"run coin --seeds {'7' * 5000}", "--seeds"),
        (f"run {LONG}", LONG),
        (f"new {LONG}", LONG),
        ("run coin/ --scale smoke", "names no part; found 'coin/'"),
        ("run coin --scale smoke --results-dir=", "must not be empty"),
    ],
)
def test_names_and_numbers_past_all_reason_are_one_line(command, tmp_path, words, told):
    before = sorted(tmp_path.rglob("*"))
    status, out, errors = command(*words.split())
    assert (status, out) == (2, "")
    assert len(errors.splitlines()) == 1
    assert told in errors
    assert len(errors) < 1_200 or words.count("7") > 1_000
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before and path.is_file()] == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (OSError(5, "Input/output error", "results/records.parquet"), "results/records.parquet: cannot be used"),
        (OSError("no device"), "no device"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_a_fault_of_the_machine_is_one_line(command, monkeypatch, fault, told):
    def fail(studies_dir, name):
        raise fault

    monkeypatch.setattr("claimcheck.spec.reading.load_study", fail)
    status, out, errors = command("run", "coin", "--scale", "smoke")
    assert (status, out) == (2, "")
    assert errors.startswith("claimcheck: ")
    assert told in errors
    assert len(errors.splitlines()) == 1


def test_a_crate_is_not_begun_where_none_can_be_made(command):
    pytest.importorskip("rocrate")
    for step in ("run", "judge", "plot"):
        assert command(step, "coin", "--scale", "smoke")[0] == 0
    status, _, errors = command("crate", "/proc/packed", "--scale", "smoke")
    assert status == 2
    assert errors.startswith("claimcheck: /proc/packed: cannot write")
    status, _, errors = command("crate", LONG, "--scale", "smoke")
    assert status == 2
    assert re.match(r"claimcheck: x+: cannot", errors)


NOT_RUN = {
    "no seeds": lambda raw: raw["scales"].update(smoke={"seeds": 0}),
    "no GPU": lambda raw: raw["parts"]["tosses"].update(needs_gpu=True),
}


@pytest.mark.parametrize("why", NOT_RUN)
def test_power_where_no_part_runs_says_why(command, edit, why):
    edit("coin", NOT_RUN[why])
    status, out, errors = command("power", "coin", "--scale", "smoke", "--device", "cpu")
    assert (status, out) == (2, "")
    assert "study.yaml: no part of the study can run here; found 'tosses: " in errors


@pytest.mark.parametrize("words", ["list", "report --scale smoke", "doctor", "cost --scale smoke", "run coin"])
def test_a_folder_without_studies_is_no_folder_of_studies(command, studies, words):
    for name in ("coin", "walk"):
        (studies / name / "study.yaml").unlink()
    status, out, errors = command(*words.split())
    assert (status, out) == (2, "")
    assert errors.startswith("claimcheck: studies: holds no study")


def test_a_folder_that_may_not_be_read_is_told(command, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("claimcheck.spec.reading.os.listdir", refuse)
    status, out, errors = command("list")
    assert (status, out) == (2, "")
    assert errors.startswith("claimcheck: studies: cannot be read (Permission denied)")


def test_a_study_that_cannot_be_written_gets_no_hint_about_results(studies, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("claimcheck.files.tempfile.mkstemp", refuse)
    with pytest.raises(ClaimcheckError, match=r"registrations\.yaml: cannot write \(Permission denied\)") as caught:
        registering.register(load_study(studies, "coin"), "0123456789abcdef", "It stands.")
    assert "results" not in str(caught.value).split(";")[-1]
    assert not Path(studies / "coin" / "registrations.yaml").exists()


@pytest.mark.parametrize("words", ["cost nope --scale smoke", "cost nope --scale smoke --card a100-80gb"])
def test_nothing_is_reckoned_of_a_study_that_is_not_there(command, words):
    status, out, errors = command(*words.split())
    assert (status, out) == (2, "")
    assert "no such study" in errors


@pytest.mark.parametrize("said", [True, False])
def test_pilots_are_no_setting_of_the_pipeline(studies, tmp_path, said):
    path = tmp_path / "config.yaml"
    path.write_text(f"studies_dir: {studies}\n")
    with pytest.raises(ClaimcheckError, match="--config: pilots: unknown key"):
        load_config(path, {"pilots": said})
    path.write_text(f"studies_dir: {studies}\npilots: {said}\n")
    with pytest.raises(ClaimcheckError, match=r"config\.yaml: pilots: unknown key"):
        load_config(path)


def test_an_interrupt_that_the_parser_takes_is_told(command, monkeypatch):
    monkeypatch.setattr(cli, "app", lambda **_: cli.INTERRUPTED)
    code, _, told = command("run", "coin")
    assert (code, "stopped; what was finished is kept" in told) == (130, True)
    assert command("list")[2] == "claimcheck: stopped\n", "it makes nothing that could be kept"
    assert "starts over" in command("run", "coin", "--force")[2]


def test_an_interrupt_while_packages_are_loaded_is_told(tmp_path):
    # A process that is begun in the background inherits that interrupts are ignored.
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    (tmp_path / "typer.py").write_text(f"import os, signal\n\n{heard}\nos.kill(os.getpid(), signal.SIGINT)\n")
    places = os.pathsep.join([str(tmp_path), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", "claimcheck", "list"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "claimcheck: stopped\n")


def test_power_and_cost_lease_a_card(command, monkeypatch):
    asked = []

    @contextmanager
    def leased(device, log):
        asked.append(device)
        yield "cpu"

    monkeypatch.setattr("claimcheck.running.devices.leased_device", leased)
    for words in ("power coin --units 2", "cost coin"):
        status, _, errors = command(*words.split(), "--scale", "smoke", "--device", "auto")
        assert status == 0, errors
    assert asked == ["auto", "auto"]


def test_an_output_that_is_closed_is_no_fault(command, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    cli.surroundings.settle()
    assert command("list")[0] == 0
