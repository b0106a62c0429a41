# What all steps share: the checked configuration, where things lie, how the command is called.
# Sources (studies, engine, templates) are no rule's input. Records say themselves what they were made from, and the
# later steps carry hashes of their sources as params: so a new clone or a touched file reruns nothing, and a change
# reruns exactly what it reaches.
import os
import shlex
import sys
from datetime import datetime
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

sys.path.insert(0, f"{workflow.basedir}/src")  # works without an installed package, too
from claimcheck.data import downloads as data_fetch
from claimcheck import files
from claimcheck.results import digests as fingerprint
from claimcheck.results import seals as integrity
from claimcheck.spec import reading as loading
from claimcheck.errors import ClaimcheckError


def relative(path):
    """`path` (relative to the project's folder) as seen from the working directory."""
    return os.path.relpath(Path(workflow.basedir, path))


def load():
    """The configuration and every study, checked; a fault ends Snakemake with one line."""
    try:
        named = ("studies_dir", "data_dir")
        folders = {name: relative(config[name]) for name in named if isinstance(config.get(name), str)}
        settings = loading.load_config(relative("workflow/config.yaml"), config | folders)
        studies = {
            name: loading.load_study(settings.studies_dir, name)
            for name in loading.study_names(settings.studies_dir)
        }
        for name in studies if settings.studies == "all" else settings.studies:
            studies[name].at(settings.scale)
        return settings, studies
    except ClaimcheckError as error:
        sys.exit(f"claimcheck: {error}")


CONFIG, ALL_STUDIES = load()
STUDIES = list(ALL_STUDIES) if CONFIG.studies == "all" else CONFIG.studies
RESULTS = f"{CONFIG.results_dir}/{CONFIG.scale}"
REPORTS = f"{CONFIG.reports_dir}/{CONFIG.scale}"


wildcard_constraints:
    study="|".join(ALL_STUDIES) or "none",
    piece=r"\d+",
    name="|".join(data_fetch.SOURCES),


def unrecorded(text):
    """A param that Snakemake does not remember, since it depends on `output`: how a step is called reruns nothing."""
    return lambda wildcards, output: text


def options(*names):
    """Command-line options for `names`, fields of the configuration; one that is not set is left out."""
    chosen = {name: value for name in names if (value := getattr(CONFIG, name)) is not None}
    return unrecorded(shlex.join(f"--{name.replace('_', '-')}={value}" for name, value in chosen.items()))


@cache
def content(ingredients, study):
    """One hash of everything that a step of `study` depends on beside its input files."""
    return fingerprint.combined(ingredients(ALL_STUDIES[study], CONFIG.scale, CONFIG))


def content_of_calibration():
    """One hash of the code that simulates reports."""
    return files.hash_of(fingerprint._module_closure(["judging.calibration"]))


def content_of_report():
    """One hash of what the report is written with: texts of the studies and the lecture, templates."""
    texts = Path(CONFIG.studies_dir).glob("**/*.yaml")
    templates = (
        path for path in Path(workflow.basedir, "src/claimcheck/report").glob("**/*") if path.suffix != ".pyc"
    )
    return files.hash_of(sorted(files.sha256(path) for path in (*texts, *templates) if path.is_file()))


# The interpreter that runs Snakemake runs the steps, whether or not its environment is activated.
PYTHON = shlex.quote(sys.executable)
SOURCE = shlex.quote(f"{workflow.basedir}/src")
shell.prefix(
    'set -euo pipefail; export PYTHONPATH={SOURCE}; claimcheck() {{ {PYTHON} -m claimcheck "$@"; }}; '
)

WHERE = ("scale", "studies_dir", "results_dir")
MERGE = (*WHERE, "seeds", "data_dir")
RUN = (*MERGE, "device", "memory_limit_mb")
MINUTES = {"smoke": 30, "quick": 120, "full": 1440}[CONFIG.scale]
# MB; `claimcheck cost` says what a study takes.
MEMORY = {"smoke": 4000, "quick": 4000, "full": 12000}[CONFIG.scale]
GPUS = 1 if CONFIG.device.startswith("cuda") else 0


def outdated(study):
    """Why the records of `study` are not what the present sources and settings would make; empty without records."""
    folder = Path(RESULTS, study)
    if not (folder / "records.parquet").is_file() or not (folder / "provenance.json").is_file():
        return []
    try:
        kept = integrity.read_provenance(folder / "provenance.json", required=("ingredients", "files"))
        now = fingerprint.run_parts(ALL_STUDIES[study], CONFIG.scale, CONFIG)
        damaged = [name for name, digest in kept["files"].items() if files.sha256(folder / name) != digest]
        return fingerprint.differences(kept["ingredients"], now) + [f"{name} is damaged" for name in damaged]
    except (ClaimcheckError, OSError, LookupError, TypeError, AttributeError) as error:
        return [f"provenance.json or a file that it names is damaged ({error})"]


def ready(wildcards):
    """What a run waits for: its data sets; and, where its records are outdated, a new file that makes it run again."""
    parts = ALL_STUDIES[wildcards.study].at(CONFIG.scale, CONFIG.seeds).values()
    design = [part.model_dump() for part in parts if part.seeds and (GPUS or not part.needs_gpu)]
    needed = [ancient(f"{CONFIG.results_dir}/data/{name}.txt") for name in data_fetch.named_in(design)]
    if reasons := outdated(wildcards.study):
        needed.append(marked(Path(RESULTS, wildcards.study, "outdated.txt"), reasons))
    return needed


def marked(path, reasons):
    """A new file that makes a step run again, and says why."""
    try:
        files.write_text(path, "\n".join([*reasons, f"seen {datetime.now():%Y-%m-%d %H:%M:%S.%f}", ""]))
    except ClaimcheckError as error:
        sys.exit(f"claimcheck: {error}")
    return str(path)


def records(wildcards):
    """What figures are drawn from; and, where they are not what was drawn, a new file that makes them drawn again."""
    made = expand(rules.run.output, study=wildcards.study)
    figures = Path(RESULTS, wildcards.study, "figures")
    if not figures.is_dir():
        return made
    try:
        integrity.check_figures(figures)
        return made
    except ClaimcheckError as fault:
        return [*made, marked(figures.with_name("redraw.txt"), [str(fault)])]


def pieces(wildcards):
    """The pieces that a run cut into shards is joined from."""
    return expand(rules.piece.output, piece=range(1, CONFIG.shards + 1), study=wildcards.study)


def hold_lock():
    """One Snakemake at a time for a scale's results; the lock dies with the process, even when killed."""
    global lock
    try:
        Path(RESULTS).mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{RESULTS}/.lock")
        lock.acquire(blocking=False)
    except Timeout:
        sys.exit(f"claimcheck: {RESULTS} is being written by another snakemake; wait for it, or stop it")
    except OSError as error:
        sys.exit(f"claimcheck: {RESULTS}: cannot write ({error.strerror})")


def report_what_there_is():
    """After a failure: the report of the studies that did finish, naming those that did not."""
    words = options(*WHERE, "reports_dir")(None, None)
    shell("claimcheck report {words} || true")
