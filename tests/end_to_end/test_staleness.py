"""Makes again what changed, all of it, and nothing else; and says why. Times of files decide nothing."""

import os
import re
import shutil
import subprocess
import sys
import time
from urllib.parse import unquote

import pandas as pd
import pytest

from claimcheck.files import sha256

from .conftest import clone, copy_of, edit
from .kills import records, slow_down

REPORT = {"report", "slides", "publish_report"}
"""A report shows every change that anything shows."""

YEAR = 365 * 24 * 3600


def again(study, *steps):
    """The rules that do `steps` of a study once more, publish them, and write the report."""
    return {f"{step}_{study}" for step in (*steps, "publish")} | REPORT


def why(project, study, **options):
    """What `claimcheck why` says of a study, line by line."""
    status, said = project.claimcheck("why", study, **options)
    assert status == 0, said
    return said.splitlines()


def files_of(folder):
    """Every file below a folder with its content, but for what Snakemake keeps for itself."""
    return {path: sha256(path) for path in folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts}


def test_a_second_call_makes_nothing(finished):
    assert "Nothing to be done" in finished.snakemake().stdout
    assert why(finished, "walk") == [
        "parts: up to date",
        "assemble: up to date",
        "judge: up to date",
        "plot: up to date",
        "report: up to date",
    ]


def test_a_report_that_is_to_lie_elsewhere_is_written_anew_for_its_links_lead_to_the_results(project):
    assert project.planned(reports_dir="deep/er/rep") == REPORT
    assert project.snakemake(reports_dir="deep/er/rep").returncode == 0
    page = project.folder / "deep/er/rep/smoke/report.html"
    links = re.findall(r'href="([^"#:]+)"', page.read_text(encoding="utf-8"))
    assert links
    assert all((page.parent / unquote(link)).is_file() for link in links)
    assert project.planned(reports_dir="deep/er/rep") == set()


def test_touched_files_in_another_place_without_snakemakes_memory_make_nothing(project):
    shutil.rmtree(project.folder / ".snakemake")
    for number, path in enumerate(sorted(project.folder.rglob("*"))):
        os.utime(path, (time.time() - 100 * (number % 7),) * 2)
    assert project.planned() == set()


def test_a_file_dated_in_the_future_keeps_nothing_stale(project):
    for path in project.folder.joinpath("results").rglob("*.*"):
        os.utime(path, (time.time() + YEAR,) * 2)
    assert project.planned() == set()
    edit(project.studies / "walk/study.yaml", "region: [-4, 4]", "region: [40, 44]")
    assert project.planned() == again("walk", "judge")
    assert project.snakemake("walk").returncode == 0
    assert '"contradicted"' in (project.results("walk") / "verdicts.json").read_text()
    assert project.planned() == REPORT


def test_a_dry_run_writes_no_file(project, fresh):
    edit(project.studies / "coin/runs.py", "context.settings.tosses, bias)", "context.settings.tosses, bias / 1)")
    before = files_of(project.folder)
    assert project.planned() == again("coin", "run", "judge", "plot")
    assert files_of(project.folder) == before
    assert "run_walk" in fresh.planned()
    assert {path.name for path in fresh.folder.iterdir()} <= {"studies", ".snakemake"}


RESULTS = "verdicts or figures of walk changed"
EDITS = {
    "function of a part": (
        ("walk/runs.py", "distances.append(abs(", "distances.append(1.0 * abs("),
        again("walk", "run", "judge", "plot"),
        ["part aimed: would run: runs.py (run_aimed and what it reaches) changed"],
        RESULTS,
    ),
    "design": (
        ("walk/study.yaml", "smoke: {seeds: 14, walks: {steps: 200}}", "smoke: {seeds: 14, walks: {steps: 201}}"),
        again("walk", "run", "judge", "plot"),
        ["part walks: would run: design changed"],
        f"{RESULTS}; walk/study.yaml changed",
    ),
    "statistic": (
        ("walk/statistics.py", '.set_index("seed")["end"]', '.set_index("seed").end'),
        again("walk", "judge"),
        ["judge: would run: statistics.py changed"],
        RESULTS,
    ),
    "region": (
        ("walk/study.yaml", "region: [-4, 4]", "region: [-5, 5]"),
        again("walk", "judge"),
        ["judge: would run: claims changed"],
        f"{RESULTS}; walk/study.yaml changed",
    ),
    "figure": (
        ("walk/figures.py", 'xlabel="drift"', 'xlabel="drift of the walk"'),
        again("walk", "plot"),
        ["plot: would run: figures.py changed"],
        RESULTS,
    ),
    "caption": (
        ("walk/study.yaml", "caption: Ends of walks.", "caption: Where walks end."),
        REPORT,
        [],
        "walk/study.yaml changed",
    ),
    "notes": (("walk/notes.md", "The spread was", "The measured spread was"), REPORT, [], "walk/notes.md changed"),
    "another scale": (
        ("walk/study.yaml", "quick: {seeds: 16}", "quick: {seeds: 17}"),
        REPORT,
        [],
        "walk/study.yaml changed",
    ),
    "comment": (
        ("walk/runs.py", "    steps, distances", "    # how long, how near\n    steps, distances"),
        set(),
        None,
        None,
    ),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_makes_again_what_it_reaches_and_why_names_it(project, what):
    (name, old, new), expected, reasons, written = EDITS[what]
    edit(project.studies / name, old, new)
    assert project.planned() == expected
    said = why(project, "walk")
    named = [line for line in said if "would run" in line and "made again" not in line]
    assert named == (reasons or [])
    assert said[-1] == ("report: up to date" if written is None else f"report: would be written again: {written}")
    assert all("up to date" in line for line in why(project, "coin")[:-1]), "the other study stays as it is"


def test_only_the_part_that_changed_is_trained(project):
    parts = project.results("walk") / "parts"
    kept = {path.name: path.stat().st_ino for path in parts.glob("walks-*")}
    old = {path.name for path in parts.glob("aimed-*")}
    edit(project.studies / "walk/runs.py", "distances.append(abs(", "distances.append(1.0 * abs(")
    assert project.snakemake("walk").returncode == 0
    assert {path.name: path.stat().st_ino for path in parts.glob("walks-*")} == kept, "not written again"
    assert len({path.name for path in parts.glob("aimed-*")} - old) == 2, "new pilots, and new records"
    assert project.planned() == REPORT


def test_a_source_that_is_put_back_shows_its_old_results_and_trains_nothing(project):
    def view():
        return {path: content for path, content in files_of(project.results("walk")).items() if path.suffix != ".log"}

    source, old, new = project.studies / "walk/runs.py", ".sum() / steps**0.5 + run.push", ".sum() / steps**0.5 + 9.0"
    first = view()
    edit(source, old, new)
    assert project.snakemake().returncode == 0
    second = view()
    changed = {path.name for path in first if second.get(path) != first[path]}
    assert {"records.parquet", "tuning.parquet", "provenance.json", "verdicts.json"} <= changed
    edit(source, new, old)
    assert project.planned() == {"publish_walk", "publish_report"}
    said = project.snakemake()
    assert said.returncode == 0, said.stdout
    assert view().items() >= first.items(), "the view is what it was"
    assert project.planned() == set()
    assert "parts: up to date" in why(project, "walk")


WHILE_IT_RUNS = {
    "the study's": ("studies/coin/runs.py", "context.settings.tosses, bias)", "context.settings.tosses, 1 - bias)"),
    "the package's": ("src/claimcheck/streams.py", "hashlib.sha256", "hashlib.sha512"),
}


@pytest.mark.parametrize("whose", WHILE_IT_RUNS)
def test_code_that_is_edited_while_it_runs_is_not_kept_as_the_code_that_it_was(finished, tmp_path, whose):
    project = clone(tmp_path / "clone")
    slow_down(project, 2.0)
    name, old, new = WHILE_IT_RUNS[whose]
    process = subprocess.Popen(
        [sys.executable, "-m", "claimcheck", "run", "coin", "--scale", "smoke"],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(project.folder / "src")},
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 120
    while not list(project.results("coin").glob("parts/.work/*.lock")) and time.monotonic() < end:
        time.sleep(0.05)
    edit(project.folder / name, old, new)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 2, said
    assert len([line for line in said.splitlines() if "changed while it ran" in line]) == 1, said
    edit(project.folder / name, new, old)
    assert not list(project.results("coin").glob("parts/*.parquet"))
    assert why(project, "coin")[0].startswith("part tosses: would run")
    assert project.claimcheck("run", "coin")[0] == 0
    pd.testing.assert_frame_equal(records(project, ["coin"])["coin"], records(finished, ["coin"])["coin"])


def test_a_turned_tuning_rule_trains_tuned_parts_alone(finished, tmp_path):
    project = clone(tmp_path / "clone")
    for name in ("results", "reports"):
        shutil.copytree(finished.folder / name, project.folder / name)
    assert project.planned() == set(), "a clone with results that were copied into it"
    edit(
        project.folder / "src/claimcheck/running/tuning.py",
        'drop_duplicates("_arm")',
        'drop_duplicates("_arm", keep="last")',
    )
    assert project.planned() == again("walk", "run", "judge", "plot")
    assert [line for line in why(project, "walk") if line.startswith("part ")] == [
        "part aimed: would run: claimcheck.running.tuning changed"
    ]


def test_another_version_of_a_package_trains_what_it_counts_for(finished, tmp_path):
    (tmp_path / "numpy-99.0.dist-info").mkdir()
    (tmp_path / "numpy-99.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 99.0\n")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    planned = finished.planned(environment=environment)
    assert planned == again("coin", "run", "judge", "plot") | again("walk", "run", "judge", "plot")


def flip(path):
    """Change one byte, of what the file holds rather than of its footer, and leave its times as they were."""
    times, content = (path.stat().st_atime, path.stat().st_mtime), path.read_bytes()
    place = len(content) // 12
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    os.utime(path, times)


def cut(path):
    """Keep the first half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "part": ("results", "parts/tosses-*.records.parquet", "assemble", "run"),
    "records": ("store", "records-*.parquet", "judge", "run"),
    "records drawn": ("store", "records-*.parquet", "plot", "run"),
    "provenance": ("store", "provenance-*.json", "judge", "run"),
    "verdicts": ("store", "verdicts-*.json", "report", "judge"),
    "figure": ("store", "figures-*/shares.svg", "report", "plot"),
    "records published": ("results", "records.parquet", "report", "publish"),
    "verdicts published": ("results", "verdicts.json", "report", "publish"),
}


@pytest.mark.parametrize("harm", [flip, cut])
@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_refused_with_the_command_that_makes_it_again(project, by_hand, what, harm):
    place, pattern, step, remedy = DAMAGE[what]
    (path,) = getattr(project, place)("coin").glob(pattern)
    whole = sha256(path)
    if step == "assemble":
        for each in project.store("coin").glob("records-*.parquet"):
            each.unlink()
    harm(path)
    words = [] if step == "report" else ["coin"]
    status, said = by_hand(step, *words)
    assert status == 2, said
    assert path.name in said
    assert f"claimcheck {remedy} coin" in said
    assert "Traceback" not in said
    status, said = by_hand(remedy, "coin")
    assert status == 0, said
    assert sha256(path) == whole or what in ("provenance", "part"), "times stand in both"
    status, said = by_hand(step, *words)
    assert status == 0, said


@pytest.mark.parametrize("name", ["records.parquet", "verdicts.json", "figures/checksums.json"])
def test_a_published_file_that_is_gone_is_published_again(project, name):
    path = project.results("walk") / name
    whole = sha256(path)
    path.unlink()
    assert project.planned() == {"publish_walk"}
    assert project.snakemake("walk").returncode == 0
    assert sha256(path) == whole


def test_other_seeds_are_other_results_and_both_stay(project):
    assert project.snakemake("coin", seeds=16).returncode == 0
    assert len(list(project.results("coin").glob("parts/tosses-*"))) == 2
    assert project.planned("coin") == {"publish_coin"}
    assert copy_of(project, project.folder.with_name("elsewhere")).planned("coin", seeds=16) == set()
