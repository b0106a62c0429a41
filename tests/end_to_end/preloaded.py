"""Snakemake without its start: a process that has loaded it forks a child for each call, which reads the Snakefile anew.

A call is a line of JSON on standard input; its exit status is a line on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

TAKES = ("folder", "environment", "words", "said")
"""What a call names: working folder, environment, command line, and the file that its output is written to."""


class Preloaded:
    """The process, from the side of the tests; it ends with them, when its input does."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, words: list[str], folder: Path, environment: dict[str, str], said: Path) -> int:
        """Run `snakemake words`, its standard output and error in the file `said`; its exit status."""
        values = (str(folder), environment, words, str(said))
        print(json.dumps(dict(zip(TAKES, values))), file=self._server.stdin, flush=True)
        return int(self._server.stdout.readline())


def serve() -> None:
    """Fork for each line."""
    from snakemake import cli

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            become(**json.loads(line))
            cli.main()
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def become(folder: str, environment: dict[str, str], words: list[str], said: str) -> None:
    """Be a call of `python -m snakemake`: where it is made, with its environment, its words and its output."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    signal.alarm(900)  # seconds, then it is killed
    sys.argv = ["snakemake", *words]
    sys.path[0] = folder


if __name__ == "__main__":
    serve()
