"""What a shell, a notebook or a container exports must not reach the numbers and pictures: settled before anything else.

Every step of the pipeline is a process of the `claimcheck` command, so this is the one place. What a user sets for us
on purpose (CUDA_VISIBLE_DEVICES, CXX, TORCHINDUCTOR_CACHE_DIR, proxies) stays.
"""

from __future__ import annotations

import codecs
import contextlib
import locale
import os
import sys
from pathlib import Path

from claimcheck import garbage

OURS = {
    # One thread a job: the same bits in every run, and jobs side by side do not fight for cores.
    "OMP_NUM_THREADS": "1",
    # Products that round the same way wherever a network lies; see claimcheck.engine.rounding.
    "MKL_CBWR": "AVX2",
    # Notebooks export their own, which is no module outside of them.
    "MPLBACKEND": "agg",
    # Nobody's settings, however broken: figures have the project's style, and training imports matplotlib, too.
    "MATPLOTLIBRC": os.devnull,
    # PyTorch's profiler, which `cost --card` asks, tells when it begins and ends; nobody asked.
    "KINETO_LOG_LEVEL": "99",
}

FOREIGN = (
    # They win against OMP_NUM_THREADS.
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    # PyTorch's kernels are those of the processor; others round otherwise under the same digest.
    "ATEN_CPU_CAPABILITY",
    # Containers export them: products on a GPU would be rounded to ten bits.
    "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)


def settle() -> None:
    """Give this process and its children the surroundings that every step expects."""
    if not _speaks_utf8():
        _start_again_in_utf8()
    garbage.look_seldom()
    os.environ.update(OURS)
    for name in FOREIGN:
        os.environ.pop(name, None)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who called
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            _let_print_everything(stream)
    if Path("matplotlibrc").exists():  # matplotlib looks there first, whatever MATPLOTLIBRC says
        with contextlib.chdir(Path(__file__).parent):
            import matplotlib  # noqa: F401


def _speaks_utf8() -> bool:
    """Whether names of files, their text, and what goes to other programs are UTF-8 where nobody says otherwise."""
    encodings = (locale.getpreferredencoding(False), sys.getfilesystemencoding())
    return all(codecs.lookup(encoding).name == "utf-8" for encoding in encodings)


def _start_again_in_utf8() -> None:
    """The same call once more, in Python's UTF-8 mode, which can only be chosen at the start; a terminal keeps its own
    encoding."""
    os.environ.pop("PYTHONIOENCODING", None)
    if any(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr)):
        os.environ["PYTHONIOENCODING"] = f"{(sys.stdout or sys.stderr).encoding}:replace"
    os.environ["PYTHONUTF8"] = "1"
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _let_print_everything(stream) -> None:
    """UTF-8 for files and pipes; a terminal shows a substitute for a letter that it lacks."""
    if stream.isatty():
        stream.reconfigure(errors="replace")
    else:
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
