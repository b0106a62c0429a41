"""Python without its start: a process that has loaded the packages forks a child for each call of a program.

Of a call, importing PyTorch, seaborn and Snakemake takes most of the time. What is preloaded are packages of others: a
child reads the Snakefile, the studies and claimcheck itself anew. Everything else is as it would be without: a process
of its own with its words, folder, environment, input, output and exit status, which ends when its caller does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path
from typing import NoReturn

PACKAGES = ("snakemake.cli", "torch", "torchvision", "seaborn", "scipy.stats", "pyarrow.parquet", "matplotlib.backends.backend_agg",
            "matplotlib.backends.backend_svg", "pydantic", "typer", "jinja2", "rich")  # fmt: skip
"""What the steps import of others, as far as it takes time."""

CALLER = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(sys.argv[1])
    call = {"words": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}
    socket.send_fds(server, [json.dumps(call).encode() + b"\\n"], [0, 1, 2])
    sys.exit(int(server.makefile().readline()))
"""
"""A call from its caller's side: says what is to be run where, lends its three streams, and ends as the run ends."""


class Preloaded:
    """The process, from the side of the tests; it ends with them, when its input does."""

    def __init__(self) -> None:
        from claimcheck.cli.surroundings import FOREIGN, OURS

        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self.python = folder / "python"
        """To be called as Python is: with `-m snakemake` or, as the pipeline does, `-P __main__.py` for what is preloaded."""
        (folder / "call.py").write_text(CALLER)
        here, address = str(folder / "call.py"), str(folder / "socket")
        self.python.write_text(
            "#!/bin/sh\n"
            f'case "$1 $2" in "-m snakemake"|"-P "*/claimcheck/__main__.py) set -- -ISE {shlex.quote(here)} '
            f'{shlex.quote(address)} "$@" ;; esac\nexec {shlex.quote(sys.executable)} "$@"\n'
        )
        self.python.chmod(0o755)
        surroundings = {name: value for name, value in os.environ.items() if name not in FOREIGN} | OURS
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__, address, str(self.python)],
            env=surroundings, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._server.stdout.readline(), "the preloaded process did not start"


def serve(address: str, python: str) -> None:
    """Fork for each call, until standard input ends."""
    for name in PACKAGES:
        importlib.import_module(name)
    gc.freeze()  # what is loaded stays: no child looks through it for garbage
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who look after a call
        print("ready", flush=True)
        while sys.stdin not in select.select([listening, sys.stdin], [], [])[0]:
            caller, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                look_after(caller, python)
            caller.close()


def look_after(caller: socket.socket, python: str) -> None:
    """Start what is called and tell its exit status; kill it when its caller is gone."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    said, streams, *_ = socket.recv_fds(caller, 1 << 16, 3)
    while not said.endswith(b"\n"):
        said += caller.recv(1 << 16)
    if (child := os.fork()) == 0:
        caller.close()
        become(**json.loads(said), streams=streams, python=python)
    for stream in streams:
        os.close(stream)

    def watch() -> None:
        caller.recv(1)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(BrokenPipeError):
        caller.sendall(b"%d\n" % (os.waitstatus_to_exitcode(status) % 256))
    os._exit(0)


def become(words: list[str], folder: str, environment: dict[str, str], streams: list[int], python: str) -> NoReturn:
    """Be a call of Python: where it is made, with its environment, its words and its streams."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for target, source in enumerate(streams):
        os.dup2(source, target)
        os.close(source)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    option, program, *rest = words
    sys.argv = [program, *rest]
    code: object = 1
    try:
        if option == "-P":
            runpy.run_path(program, run_name="__main__")
        else:
            sys.path.insert(0, folder)
            sys.executable = python  # what the pipeline calls its steps with
            importlib.import_module(f"{program}.cli").main()
        code = 0
    except SystemExit as ended:
        code = ended.code or 0
        assert isinstance(code, int), "the programs end with a status"
    except BaseException:
        traceback.print_exc()
    # Not by Python's own end, which takes the loaded packages apart.
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(*sys.argv[1:])
    os._exit(0)
