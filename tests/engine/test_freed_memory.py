"""Blocks that a step frees stay with the process: the next step does not fetch their pages again. Garbage does not stay."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from claimcheck.engine.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(3):
    torch.ones(1 << 24)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(8):
    torch.ones(1 << 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    """Pages that eight tensors of 64 MiB, one after the other, fetch after the first three."""
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


GARBAGE = """
import gc
from claimcheck import garbage
before = gc.get_threshold()
garbage.look_seldom()
assert gc.get_threshold()[0] > before[0]
from claimcheck.engine.memory import keep_freed_memory
keep_freed_memory()
print(gc.get_threshold() == before)
"""


def test_what_makes_tensors_looks_for_garbage_as_often_as_python_does_by_itself():
    done = subprocess.run([sys.executable, "-c", GARBAGE], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_freed_blocks_of_any_size_are_used_again():
    assert faults("kept") <= faults("given back") / 4
