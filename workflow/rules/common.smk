# What all steps share: the checked configuration, what the results are called, how the command is called.
# Every file that follows from sources carries their digest in its name (claimcheck.results.state): what is missing is
# made, what is there is current. So inputs are ancient, and no clock, mark or trigger decides anything.
import os
import shlex
import sys
from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

sys.path.insert(0, f"{workflow.basedir}/src")  # works without an installed package, too
from claimcheck.data import downloads
from claimcheck.errors import ClaimcheckError
from claimcheck.results.state import Collection, locate
from claimcheck.running.devices import machine_for
from claimcheck.spec import reading


def relative(path):
    """`path` (relative to the project's folder) as seen from the working directory."""
    return os.path.relpath(Path(workflow.basedir, path))


def load():
    """The configuration, and every study's results that this scale has; a fault ends Snakemake with one line."""
    named = ("studies_dir", "data_dir")
    folders = {name: relative(config[name]) for name in named if isinstance(config.get(name), str)}
    try:
        settings = reading.load_config(relative("workflow/config.yaml"), config | folders)
        names = reading.study_names(settings.studies_dir)
        studies = {name: reading.load_study(settings.studies_dir, name) for name in names}
        machine = machine_for(settings.device)
        every = {
            name: locate(study, settings, machine, exists)
            for name, study in studies.items()
            if settings.scale in study.scales or name in settings.studies
        }
        return settings, every
    except ClaimcheckError as error:
        raise WorkflowError(f"claimcheck: {error}") from None


CONFIG, EVERY = load()
CHOSEN = EVERY if CONFIG.studies == "all" else {name: EVERY[name] for name in CONFIG.studies}
RESULTS = CONFIG.results
STORE = f"{RESULTS}/.store"


def made(results):
    """Whether a study that was not chosen has results that the report can show."""
    return all(exists(str(path)) for path in (results.provenance, results.verdicts, *results.drawings))


SHOWN = {name: each for name, each in EVERY.items() if name in CHOSEN or made(each)}
REPORT = Collection(CONFIG, SHOWN)


wildcard_constraints:
    study="|".join(EVERY) or "none",
    part="[a-z][a-z0-9_]*",
    digest="[0-9a-f]{16}",
    piece=r"\d+",


def options(*names):
    """Command-line options for `names`, fields of the configuration; one that is not set is left out."""
    chosen = {name: value for name in names if (value := getattr(CONFIG, name)) is not None}
    return shlex.join(f"--{name.replace('_', '-')}={value}" for name, value in chosen.items())


# Named in shell lines, not params: how a step is called makes nothing run again.
WHERE = options("scale", "seeds", "device", "studies_dir")
RUN = f"{WHERE} {options('memory_limit_mb')}"
STUDIES_SHOWN = shlex.join(f"--study={name}" for name in SHOWN)

# The interpreter that runs Snakemake runs the steps, whether or not its environment is activated. With storage
# elsewhere, files lie below a folder of Snakemake's: `up 4 FILE` is the folder four above, where results begin, and
# `data_above FILES` the folder in which data sets lie.
PYTHON = shlex.quote(sys.executable)
SOURCE = shlex.quote(f"{workflow.basedir}/src")
DATA = shlex.quote(str(CONFIG.data_dir))
CASES = " ".join(f'*/{folder}/*) echo "${{1%%/{folder}/*}}" ;;' for folder in (s.folder for s in downloads.SOURCES.values()))
shell.prefix(
    "set -euo pipefail; export PYTHONPATH={SOURCE}${{PYTHONPATH:+:$PYTHONPATH}}; "
    'claimcheck() {{ {PYTHON} -m claimcheck "$@"; }}; '
    'up() {{ local place=$2; for ((i = 0; i < $1; i++)); do place=$(dirname -- "$place"); done; echo "$place"; }}; '
    'data_above() {{ case "${{1:-}}" in {CASES} *) echo {DATA} ;; esac; }}; '
)

MINUTES = {"smoke": 30, "quick": 120, "full": 1440}[CONFIG.scale]
# MB; `claimcheck cost` says what a study takes.
MEMORY = {"smoke": 4000, "quick": 4000, "full": 12000}[CONFIG.scale]
GPUS = 1 if CONFIG.device.startswith("cuda") else 0


# With a default storage every file goes there, and a job is a part, or a piece of one.
STORAGE = workflow.storage_settings.default_storage_provider is not None
BY_PART = STORAGE or CONFIG.shards > 1


def data_files(name):
    """The files of a downloaded data set."""
    source = downloads.SOURCES[name]
    return [f"{CONFIG.data_dir}/{source.folder}/{file}" for file in source.files]


def data_of(parts):
    """The downloaded files that parts read."""
    named = {name for files in parts for name in downloads.SOURCES if f"data {name}" in files.ingredients}
    return ancients(path for name in sorted(named) for path in data_files(name))


def ancients(paths):
    """Inputs that must be there, whatever their times."""
    return [ancient(str(path)) for path in paths]


def hold_lock():
    """One Snakemake at a time for a scale's results; the lock dies with the process, even when killed."""
    global lock
    try:
        RESULTS.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{RESULTS}/.lock")
        lock.acquire(blocking=False)
    except Timeout:
        raise WorkflowError(f"{RESULTS} is being written by another snakemake; wait for it, or stop it") from None
    except OSError as error:
        raise WorkflowError(f"{RESULTS}: cannot write ({error.strerror})") from None


def report_what_there_is():
    """After a failure: the report of the studies that did finish, naming those that did not."""
    shell("claimcheck report {WHERE} {FOLDERS} || true")


FOLDERS = options("results_dir", "reports_dir")
