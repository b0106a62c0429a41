"""Compiled programs are kept whole or not at all: whatever befalls the folder, the same bits come out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from claimcheck.engine import programs

FILES = {"ab/cabc.main.so": b"\x7fELF" + bytes(range(256)) * 8, "xy/cxyz.py": b"def call(args):\n    return args\n"}


@pytest.fixture
def kept(tmp_path):
    """A folder in which two files are kept, made by a process that is gone."""
    own, shared = tmp_path / "own", tmp_path / "shared"
    for name, content in FILES.items():
        (own / name).parent.mkdir(parents=True)
        (own / name).write_bytes(content)
    (own / "locks").mkdir()
    (own / "locks" / "cabc.lock").touch()
    programs.keep(own, shared)
    return shared


def fetched(shared, target):
    """What a later process starts with: name -> content."""
    programs.fetch(shared, target)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


def test_what_is_whole_is_there_for_the_next_process(kept, tmp_path):
    assert fetched(kept, tmp_path / "next") == FILES


def test_keeping_the_same_again_writes_nothing(kept, tmp_path):
    fetched(kept, tmp_path / "next")
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*")}
    programs.keep(tmp_path / "next", kept)
    assert {path: path.stat().st_mtime_ns for path in kept.rglob("*")} == before


DAMAGE = {
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "emptied": lambda content: b"",
    "zeros after a power cut": lambda content: bytes(len(content)),
    "one bit turned": lambda content: content[:40] + bytes([content[40] ^ 1]) + content[41:],
    "longer": lambda content: content + b"\n",
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_not_used_and_goes(kind, kept, tmp_path):
    (path,) = kept.glob("ab/*")
    path.write_bytes(DAMAGE[kind](path.read_bytes()))
    assert fetched(kept, tmp_path / "next") == {"xy/cxyz.py": FILES["xy/cxyz.py"]}
    assert not path.exists()
    (tmp_path / "next" / "ab").mkdir(exist_ok=True)
    (tmp_path / "next" / "ab" / "cabc.main.so").write_bytes(FILES["ab/cabc.main.so"])
    programs.keep(tmp_path / "next", kept)
    assert fetched(kept, tmp_path / "one more") == FILES


def test_what_a_killed_process_left_is_never_used(kept, tmp_path):
    """Neither what it had not finished keeping, nor its folder, nor files that were put there without a checksum."""
    done = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True
    )
    gone = kept / f"{programs.UNFINISHED}{os.uname().nodename}-{int(done.stdout)}-x"
    for path in (gone / "ab" / "half.so", kept / "ab" / ".half.tmp", kept / "ab" / "old.so"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half a program")
    mine = kept / f"{programs.UNFINISHED}{os.uname().nodename}-{os.getpid()}-x"
    mine.mkdir()
    programs._remove_those_of_the_dead(kept)
    assert not gone.exists()
    assert mine.exists()
    assert fetched(kept, tmp_path / "next") == FILES


def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path):
    (tmp_path / "file").touch()
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "file" / "cache")}
    code = "from claimcheck.engine import programs; print(programs.folder()); programs.keep_new()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists(), "the process took its folder along"


PROGRAM = """
import torch
from claimcheck.engine import programs
from claimcheck.engine.acceleration import products, torch_private

torch.set_num_threads(1)
folder = programs.folder()
generator = torch.Generator().manual_seed(0)
inputs = [torch.randn(shape, generator=generator) for shape in ((3, 50, 40), (3, 40, 33), (3, 50, 33))]

def program(a, b, x):
    return (torch.bmm(a, b).tanh() * x).exp().sum((1, 2))

graph = torch_private.trace(program, *inputs)
said = products.replace(graph, folder)
(found,) = torch.utils._pytree.tree_leaves(torch_private.compile_graph(graph, inputs)(*inputs))
programs.keep_new()
print(said, found.view(torch.int32).tolist())
"""


@pytest.mark.slow
def test_damage_to_any_kept_file_changes_no_bit_of_what_is_computed(tmp_path):
    """The first process compiles; all that it kept is cut off; the next says the same."""
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}

    def said():
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False
        )
        if "InvalidCxxCompiler" in done.stderr or "no C++ compiler" in done.stdout:
            pytest.skip("no C++ compiler")
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = said()
    kept = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert kept
    for path in kept:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert said() == first
