# What all steps share: the checked configuration, what the results are called, how the command is called.
# Every file that follows from sources carries their digest in its name (claimcheck.results.state): what is missing is
# made, what is there is current. So inputs are ancient, and no clock, mark or trigger decides anything.
import contextlib
import os
import shlex
import sys
import time
from pathlib import Path

from filelock import FileLock, Timeout
from snakemake.exceptions import WorkflowError

sys.path.insert(0, f"{workflow.basedir}/src")  # works without an installed package, too
from claimcheck import garbage
from claimcheck.data import downloads
from claimcheck.errors import ClaimcheckError
from claimcheck.results import digests, reasons, state
from claimcheck.results.state import Collection, locate
from claimcheck.running.devices import machine_for
from claimcheck.spec import reading

garbage.look_seldom()


def of_project(path):
    """`path`, a file of the project, as seen from the working directory."""
    return os.path.relpath(Path(workflow.basedir, path))


def read_from(path):
    """A folder that is read: all folders are relative to the working directory; where it is not there, the project's."""
    path = os.path.expanduser(path)
    there = os.path.isdir(os.path.join(workflow.basedir, path))
    return path if os.path.isdir(path) or not there else of_project(path)


def check_folders():
    """Refuse names of folders that Snakemake would read as patterns, or a log as more than a line, and of files."""
    for key in ("results_dir", "reports_dir", "data_dir"):
        name = str(config.get(key))
        if any(letter in "{}\x7f" or letter < " " for letter in name):
            problem = "Snakemake cannot write to a folder with braces or line breaks in its name"
            raise ClaimcheckError(problem, where=f"workflow/config.yaml: {key}", found=ascii(name)[1:-1])
        # Another fault, such as a name that is too long, is told.
        with contextlib.suppress(FileNotFoundError):
            os.stat(name)
        nearest = next((path for path in [Path(name), *Path(name).parents] if os.path.lexists(path)), Path())
        if not nearest.is_dir():
            where = f"workflow/config.yaml: {key}"
            raise ClaimcheckError("is no folder", where=where, found=ascii(str(nearest))[1:-1])


def check_words():
    """Refuse a folder's name of which Snakemake, which reads what --config says as YAML, has seen another one."""
    for key, _, said in (entry.partition("=") for entry in workflow.config_settings.config_args or ()):
        seen = config.get(key)
        if (
            key.endswith("_dir")
            and isinstance(seen, str)
            and seen != said
            and said.lstrip()[:1] not in ("'", '"')
        ):
            hint = f"put the name into quotes of its own: --config '{key}=\"NAME\"'"
            where = f"--config {key}"
            raise ClaimcheckError(
                "is cut or changed where it is read as YAML",
                where=where,
                found=ascii(seen)[1:-1],
                expected=ascii(said)[1:-1],
                hint=hint,
            )


def there(path):
    """Whether a file is there, wherever the pipeline keeps its files (Snakemake asks from here only)."""
    return exists(path)


def load():
    """The configuration, and every study's results that this scale has; a fault ends Snakemake with one line."""
    if any("\udc80" <= letter <= "\udcff" for value in config.values() for letter in str(value)):
        raise WorkflowError(
            "claimcheck: the locale cannot spell the folders' names; run: export PYTHONUTF8=1"
        )
    named = ("studies_dir", "data_dir")
    folders = {name: read_from(config[name]) for name in named if isinstance(config.get(name), str)}
    try:
        check_words()
        check_folders()
        settings = reading.load_config(of_project("workflow/config.yaml"), config | folders)
        names = reading.study_names(settings.studies_dir)
        studies = {name: reading.load_study(settings.studies_dir, name) for name in names}
        machine = machine_for(settings.device)
        every = {
            name: locate(study, settings, machine, there)
            for name, study in studies.items()
            if settings.scale in study.scales or (settings.studies != "all" and name in settings.studies)
        }
        return settings, every
    except ClaimcheckError as error:
        raise WorkflowError(f"claimcheck: {error}") from None
    except OSError as error:
        place = error.filename or "a file"
        raise WorkflowError(f"claimcheck: {place}: cannot be used ({error.strerror or error})") from None


CONFIG, EVERY = load()
CHOSEN = EVERY if CONFIG.studies == "all" else {name: EVERY[name] for name in CONFIG.studies}
RESULTS = CONFIG.results
STORE = f"{RESULTS}/.store"


def made(results):
    """Whether a study that was not chosen has results that the report can show."""
    return all(exists(str(path)) for path in (results.provenance, results.verdicts, *results.drawings))


SHOWN = {name: each for name, each in EVERY.items() if name in CHOSEN or made(each)}
REPORT = Collection(CONFIG, SHOWN)
REPORT_NAMES = (*state.REPORT, *state.SLIDES)

# With a default storage every file goes there, and a job is a part, or a piece of one.
STORAGE = workflow.storage_settings.default_storage_provider is not None
BY_PART = STORAGE or CONFIG.shards > 1


wildcard_constraints:
    study="|".join(EVERY) or "none",
    part="[a-z][a-z0-9_]*",
    digest="[0-9a-f]{16}",
    piece=r"\d+",


def all_there():
    """Studies whose records are there, or, where a job is a part, parts whose files are, as STUDY/PART."""
    by_study = {study: results.assembled for study, results in EVERY.items()}
    by_part = {
        f"{study}/{part}": files.files for study in EVERY for part, files in EVERY[study].parts.items()
    }
    made = by_part if BY_PART else by_study
    return [name for name, paths in made.items() if all(exists(str(path)) for path in paths)]


def options(*names):
    """Command-line options for `names`, fields of the configuration; one that is not set is left out."""
    chosen = {name: value for name in names if (value := getattr(CONFIG, name)) is not None}
    return shlex.join(f"--{name.replace('_', '-')}={value}" for name, value in chosen.items())


# How a step is called is said here once, in functions of the shell: neither params nor the rules' own text change with
# it, so nothing is made again because of it. The interpreter that runs Snakemake runs the steps, whether or not its
# environment is activated; -P: no file of the working folder is taken for one of Python's modules. With storage
# elsewhere, files lie below a folder of Snakemake's: `results_above FILES` is the folder where results begin, and
# `data_above FILES` the one in which data sets lie. `again STUDY` is --force where all that a job makes was there when
# the pipeline was planned: it runs because somebody forces it. A step that did its work says so in the last line of its
# log: after a kill it does not.
def shell_functions(everything_again=False):
    """What every shell line begins with."""
    program = shlex.quote(f"{workflow.basedir}/src/claimcheck/__main__.py")
    where = options("scale", "seeds", "registration_offset", "device", "studies_dir")
    elsewhere = [
        f'*/{source.folder}/*) echo "${{1%/{source.folder}/*}}" ;;' for source in downloads.SOURCES.values()
    ]
    here = [f"*) echo {shlex.quote(str(folder))} ;;" for folder in (CONFIG.results_dir, CONFIG.data_dir)]
    if STORAGE:
        here[0] = (
            f'*/.store/*) echo "${{1%/{CONFIG.scale}/.store/*}}" ;; *) echo "${{1%/{CONFIG.scale}/*/parts/*}}" ;;'
        )
        here[1] = f"{' '.join(elsewhere)} {here[1]}"
    again = "*" if everything_again else "|".join(all_there()) or "none"
    lines = [
        "set -euo pipefail",
        f'claimcheck() {{ {shlex.quote(sys.executable)} -P {program} "$@"; }}',
        f'step() {{ claimcheck "$@" {where} && echo "$1{reasons.DONE}"; }}',
        f'training() {{ step "$@" {options("memory_limit_mb")}; }}',
        f"publishing() {{ step \"$@\" {options('reports_dir')} {shlex.quote(f'--into={CONFIG.results_dir}')}; }}",
        f"shards={CONFIG.shards}",
        f"shown=({shlex.join(f'--study={name}' for name in SHOWN)})",
        f'results_above() {{ case "$1" in {here[0]} esac; }}',
        f'data_above() {{ case "${{1:-}}" in {here[1]} esac; }}',
        f'again() {{ case "$1" in {again}) echo --force ;; esac; }}',
    ]
    return "; ".join(lines).replace("{", "{{").replace("}", "}}") + "; "


shell.prefix(shell_functions())

MINUTES = {"smoke": 30, "quick": 120, "full": 1440}[CONFIG.scale]
# MB; `claimcheck cost` says what a study takes.
MEMORY = {"smoke": 4000, "quick": 4000, "full": 12000}[CONFIG.scale]
GPUS = 1 if CONFIG.device.startswith("cuda") else 0


def data_files(name):
    """The files of a downloaded data set."""
    source = downloads.SOURCES[name]
    return [f"{CONFIG.data_dir}/{source.folder}/{file}" for file in source.files]


def data_of(parts):
    """The downloaded files that parts read."""
    named = {name for files in parts for name in digests.downloads_in(files.ingredients)}
    return ancients(path for name in sorted(named) for path in data_files(name))


def part_of(wildcards):
    """The part that a file in a study's folder of parts belongs to."""
    return EVERY[wildcards.study].parts[wildcards.part]


def ancients(paths):
    """Inputs that must be there, whatever their times."""
    return [ancient(str(path)) for path in paths]


def kept_from_us(path):
    """Whether a file is there in a folder that we may not write to: Snakemake refuses to plan it, even in a dry run."""
    return os.path.exists(path) and not os.access(Path(path).parent, os.W_OK)


def published(results):
    """What people read of a study: the receipt first; always on the machine where Snakemake was called."""
    names = ("records.parquet", "provenance.json", "verdicts.json", "controls.json", "figures/checksums.json")
    paths = (results.receipt, *(results.view / name for name in names))
    return [local(str(path)) for path in paths if not kept_from_us(path)]


def published_report():
    """The report where people read it, and its receipt."""
    named = (
        REPORT.receipt,
        *(CONFIG.reports / name for name in REPORT_NAMES),
        RESULTS / "verdicts.csv",
    )
    return [local(str(path)) for path in named if not kept_from_us(path)]


def forced():
    """Whether Snakemake was told to make again what is there (-F, -R): known when it plans, not when it reads this."""
    return workflow.dag_settings.forceall or bool(workflow.dag_settings.forcerun)


def after(paths):
    """Inputs as `ancients`; what is made again by force is followed by all that is made from it."""
    plain = [str(path) for path in paths]
    return lambda wildcards: plain if forced() else ancients(plain)


def pilots_of(wildcards):
    """A part's table of pilots, where it tunes; one that is made again by force is followed by the runs after it."""
    tables = [str(path) for path in [part_of(wildcards).tuning] if path is not None]
    named = map(str, workflow.dag_settings.forcerun)
    again = any(name == "tune" or name.endswith(".tuning.parquet") for name in named)
    return tables if again or workflow.dag_settings.forceall else ancients(tables)


def take_at_word():
    """Everything forced: also what this call makes anyway is made without what an earlier one left half-done."""
    if workflow.dag_settings.forceall:
        shell.prefix(shell_functions(everything_again=True))


def hold_lock():
    """One Snakemake at a time for a scale's results; the lock dies with the process, even when killed."""
    global lock
    try:
        RESULTS.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{RESULTS}/.lock", mode=0o666)  # other users may share the results
        lock.acquire(blocking=False)
        # Snakemake refuses outputs that look older than their inputs; clocks decide nothing here.
        for folder, folders, files in os.walk(RESULTS):
            for path in (os.path.join(folder, name) for name in folders + files):
                with contextlib.suppress(FileNotFoundError):  # gone meanwhile
                    if os.path.exists(path) and os.stat(path).st_mtime > time.time():  # no link to nothing
                        os.utime(path)
    except Timeout:
        raise WorkflowError(
            f"{RESULTS} is being written by another snakemake; wait for it, or stop it"
        ) from None
    except OSError as error:
        place = error.filename or RESULTS
        raise WorkflowError(f"{place}: cannot write ({error.strerror}); choose another results_dir") from None


def report_what_there_is():
    """After a failure, unless single studies were asked for: the report of what there is, naming what there is not."""
    asked = set(map(str, workflow.dag_settings.targets))
    if asked and not asked - set(EVERY):
        return
    if STORAGE:
        kept = "is left as it is: what it would show of this run lies in the storage, not here"
        print(f"claimcheck: the report in {CONFIG.reports} {kept}", file=sys.stderr)
    else:
        shell('publishing report "${{shown[@]}}" --results-dir={CONFIG.results_dir:q} || true')
