"""What the machine can compile is tried out, not guessed; the doctor and the runs go by the same trial."""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

import pytest

from claimcheck.cli import doctor
from claimcheck.results.digests import registration_digest
from claimcheck.results.state import locate
from claimcheck.running import compiler, devices
from claimcheck.running.compiler import fault
from claimcheck.spec.reading import load_study

needs_compiler = pytest.mark.skipif(fault(os.environ, None) is not None, reason="no C++ compiler here")


@pytest.fixture
def compilers(tmp_path):
    """compilers(name, script): an environment whose search path begins with a program of that name."""

    def make(name, script, **variables):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        return {**{key: value for key, value in os.environ.items() if key != "CXX"}, "PATH": path, **variables}

    return make


REAL = shutil.which("g++")

BROKEN = {
    "a broken one": ("exit 1", "does not compile a program that uses Python.h and OpenMP (exit status 1)"),
    "no headers of Python": (
        "echo 'trial.cpp:2:10: fatal error: Python.h: No such file or directory' >&2; exit 1",
        "(2:10: fatal error: Python.h: No such file or directory)",
    ),
    "no linker": (
        "echo 'collect2: fatal error: cannot find ld' >&2; exit 1",
        "(collect2: fatal error: cannot find ld)",
    ),
    "no OpenMP": ("echo \"g++: error: unrecognized option '-fopenmp'\" >&2; exit 1", "'-fopenmp'"),
    "one that makes nothing": ("exit 0", "does not compile a program"),
    "one of another machine": (
        'while [ "$1" != -o ]; do shift; done; echo not a library > "$2"',
        "what g++ compiles cannot be loaded",
    ),
    "one for another processor": ("exec /no/such/loader", "does not compile"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_compiler_counts_only_if_what_it_compiles_runs(kind, compilers, tmp_path):
    script, reason = BROKEN[kind]
    found = fault(compilers("g++", script), tmp_path / "cache")
    assert reason in found
    assert "\n" not in found
    assert not (tmp_path / "cache").exists(), "a failure is tried again by the next process"


@pytest.mark.parametrize(
    ("named", "reason"),
    [
        ("ccache g++", "CXX is 'ccache g++', but must name one program without options"),
        ("g++ -m32", "CXX is 'g++ -m32', but must name one program without options"),
        ("", "CXX, which is empty, was not found"),
        ("no-such-compiler", "no-such-compiler was not found"),
        ("/etc/passwd", "/etc/passwd was not found"),
    ],
)
def test_what_cxx_names_must_be_a_program_that_pytorch_would_call(named, reason):
    assert fault({**os.environ, "CXX": named}, None) == reason


@needs_compiler
@pytest.mark.skipif(REAL is None, reason="no g++")
def test_a_success_is_remembered_for_this_compiler_alone(compilers, tmp_path):
    """Counted by a compiler that notes each call; where it changes, or Python's headers do, it is tried again."""
    calls, cache = tmp_path / "calls", tmp_path / "cache"
    script = f'echo called >> "{calls}"\nexec "{REAL}" "$@"'
    environment = compilers("g++", script)
    assert fault(environment, cache) is None
    assert fault(environment, cache) is None
    assert calls.read_text() == "called\n"
    assert fault(compilers("g++", f"{script}\n# another version"), cache) is None
    assert calls.read_text() == "called\n" * 2
    assert "exit status 1" in fault(compilers("g++", "exit 1"), cache)


@needs_compiler
def test_where_nothing_can_be_remembered_the_trial_is_made_again(tmp_path):
    (tmp_path / "file").touch()
    assert fault(os.environ, tmp_path / "file" / "cache") is None


def test_the_headers_are_those_of_this_python(monkeypatch, tmp_path):
    monkeypatch.setattr(compiler.sysconfig, "get_path", lambda name: str(tmp_path))
    found = fault({key: value for key, value in os.environ.items() if key != "CPLUS_INCLUDE_PATH"}, None)
    if Path(sysconfig.get_config_var("INCLUDEPY") or "").parent != Path("/usr/include"):
        assert "Python.h" in found


def test_without_a_compiler_only_the_part_that_needs_one_is_left_out(studies, edit, config, monkeypatch):
    """A broken compiler by the trial's word, and a study of which one part says that it needs one."""
    edit("walk", lambda raw: raw["parts"]["walks"].update(needs_compiler=True))
    monkeypatch.setattr(devices, "compiler_fault", lambda: "g++ does not compile")
    results = locate(load_study(studies, "walk"), config, devices.machine_for("cpu"))
    assert list(results.parts) == ["aimed"]
    assert results.not_run["walks"] == "it needs a C++ compiler; g++ does not compile"


def test_a_study_that_needs_no_compiler_tries_none(studies, config, monkeypatch):
    monkeypatch.setattr(devices, "compiler_fault", lambda: pytest.fail("nobody asked"))
    assert locate(load_study(studies, "walk"), config, devices.machine_for("cpu")).not_run == {}


@pytest.mark.parametrize(("told", "state"), [(None, "ok"), ("g++ does not compile (no Python.h)", "missing")])
def test_the_doctor_says_what_the_trial_found(told, state, monkeypatch):
    monkeypatch.setattr(doctor, "compiler_fault", lambda: told)
    check = doctor._compiler()
    assert check.state == state
    assert (told or "a trial compiles, links and runs") in check.found


# ------------------------------------------------------------------------------------------------ studies


def _of(studies, name):
    """What the doctor says of a study."""
    return [(check.state, check.found) for check in doctor._studies(studies) if check.subject == f"study {name}"]


def test_a_study_that_can_be_judged_is_whole(studies):
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]


@pytest.mark.parametrize("said", ["{{ estimate('hlf') }}", "{{ estmate('half') }}", "{{ figure('share') }}", "{{ n("])
def test_notes_that_name_what_is_not_there_are_told_before_anything_is_run(studies, said):
    notes = studies / "coin" / "notes.md"
    notes.write_text(f"It came to {said} of tosses.", encoding="utf-8")
    ((state, found),) = _of(studies, "coin")
    assert (state, found.startswith(str(notes))) == ("broken", True)
    notes.write_text("It came to {{ estimate('half') }}, see the {{ figure('shares') }}.", encoding="utf-8")
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]


def test_too_few_units_to_support_a_prediction_are_told_at_the_scales_that_decide(studies, edit):
    edit("coin", lambda raw: raw["scales"].update(smoke={"seeds": 3}, quick={"seeds": 13}))
    ((state, found),) = _of(studies, "coin")
    assert state == "broken"
    assert "coin/study.yaml: scale quick: half: 13 units could not support it at share 0.5" in found
    edit("coin", lambda raw: raw["claims"][0]["predictions"][0].update(undecidable="Kept for its size."))
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]


def test_nearly_always_takes_88_units(studies, edit):
    edit("coin", lambda raw: raw["claims"][0]["predictions"][0].update(share=0.9))
    assert [found.split(": scale ")[1].split(": half: ") for _, found in _of(studies, "coin")] == [
        [scale, f"{n} units could not support it at share 0.9, whatever comes of them; "
                "give its part more, or say why it is kept: undecidable"]
        for scale, n in (("quick", 16), ("full", 32))
    ]  # fmt: skip
    edit("coin", lambda raw: [raw["scales"][scale].update(seeds=88) for scale in ("quick", "full")])
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]


def test_a_part_that_a_scale_leaves_out_and_facts_need_no_units(studies, edit):
    edit("coin", lambda raw: raw["scales"]["quick"].update(tosses={"seeds": 0}))
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]
    edit("coin", lambda raw: raw["scales"]["quick"].update(tosses={"seeds": 1}))
    assert [state for state, _ in _of(studies, "coin")] == ["broken"]
    edit("coin", lambda raw: raw["claims"][0]["predictions"][0].update(kind="fact", tolerance=0.1))
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]


def test_a_study_that_is_not_what_was_registered_is_told(studies, edit):
    digest = registration_digest(load_study(studies, "coin"))
    said = f"[{{number: 1, date: 2026-12-01, first_seed: 100000, digest: '{digest}', says: A coin.}}]"
    (studies / "coin" / "registrations.yaml").write_text(said)
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")]
    edit("coin", lambda raw: raw["claims"][0]["predictions"][0].update(region=[0.4, 0.7]))
    ((state, found),) = _of(studies, "coin")
    assert (state, "registrations.yaml: 1: design, predictions or rule changed since" in found) == ("broken", True)
    (studies / "coin" / "registrations.yaml").write_text(said.replace("says:", "superseded: Too narrow., says:"))
    assert _of(studies, "coin") == [("ok", "its yaml and code agree")], "a draft"


def test_studies_that_the_lecture_names_and_are_not_there_are_told(studies):
    path = studies / "lecture.yaml"
    said = path.read_text(encoding="utf-8")
    (check,) = doctor._lecture(studies)
    assert (check.subject, check.state) == ("lecture", "ok")
    path.write_text(f"headline: gone/share\n{said.replace('study: coin', 'study: cion')}", encoding="utf-8")
    assert [(check.state, check.found) for check in doctor._lecture(studies)] == [
        ("missing", "claim coin-is-fair names study cion, which is not there"),
        ("missing", "headline names study gone, which is not there"),
    ]
    (studies / "references.bib").write_text("@article{He2016, title={x}}\n", encoding="utf-8")
    (check,) = doctor._lecture(studies)
    assert (check.state, "references.bib: is not a key" in check.found) == ("broken", True)
