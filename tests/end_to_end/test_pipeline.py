"""The whole pipeline on the toy lecture: what it makes, what it refuses, and how it fails."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from filelock import FileLock

from .conftest import REPOSITORY, edit


def pages_of(pdf, folder):
    """The PDF's pages as PNG files."""
    if shutil.which("pdftoppm") is None:
        pytest.skip("pdftoppm (poppler-utils) is not installed: pages cannot be rendered")
    subprocess.run(["pdftoppm", "-r", "40", "-png", str(pdf), str(folder / "page")], check=True, timeout=120)
    return sorted(folder.glob("page*.png"))


def test_every_file_of_a_result_is_there(finished):
    for study, figure in (("coin", "shares"), ("walk", "ends")):
        made = {path.name for path in finished.results(study).rglob("*")}
        assert {"records.parquet", "provenance.json", "verdicts.json", "shuffled.json", f"{figure}.svg"} <= made
    assert (finished.folder / "reports/smoke/report.html").read_text().count("A fair coin shows heads") >= 1
    assert set(pd.read_csv(finished.folder / "results/smoke/verdicts.csv")["study"]) == {"coin", "walk"}


def test_the_pages_of_the_document_render(finished, tmp_path):
    pages = pages_of(finished.folder / "reports/smoke/report.pdf", tmp_path)
    assert pages
    assert all(page.stat().st_size > 1000 for page in pages)


def test_each_step_leaves_a_log(finished):
    for step in ("run", "judge", "plot"):
        assert (finished.results("coin") / f"{step}.log").read_text()


def test_a_study_is_a_target_by_its_name(fresh):
    assert fresh.planned("coin") == {"run coin", "judge coin", "plot coin"}


def test_studies_and_seeds_are_chosen_on_the_command_line(fresh):
    assert "run walk" not in fresh.planned(studies="[coin]")
    said = fresh.snakemake("coin", seeds=11)
    assert said.returncode == 0, said.stdout
    assert pd.read_parquet(fresh.results("coin") / "records.parquet")["seed"].nunique() == 11


def test_a_calibration_belongs_to_the_report_from_quick_on(fresh):
    assert "calibrate" in fresh.planned(scale="quick")
    assert "calibrate" not in fresh.planned(scale="smoke")


def test_pieces_give_the_same_records(fresh, finished):
    said = fresh.snakemake("coin", shards=3)
    assert said.returncode == 0, said.stdout
    pieces = pd.read_parquet(fresh.results("coin") / "records.parquet")
    whole = pd.read_parquet(finished.results("coin") / "records.parquet")
    pd.testing.assert_frame_equal(pieces, whole, check_exact=True)
    assert fresh.planned("coin", shards=1) == set(), "the number of pieces is no reason to run again"
    assert fresh.planned("coin", shards=2) == set()


def test_a_study_that_fails_does_not_stop_the_others_and_the_report_says_so(fresh):
    edit(
        fresh.studies / "coin/study.py",
        "    shares = [",
        '    raise RuntimeError("the coin rolled away")\n    shares = [',
    )
    said = fresh.snakemake()
    assert said.returncode != 0
    assert (fresh.results("walk") / "verdicts.json").is_file()
    report = (fresh.folder / "reports/smoke/report.html").read_text()
    assert "the coin rolled away" in report
    assert "coin/run.log" in report
    assert "run coin" in fresh.planned(), "a failed study is tried again"


def test_a_run_that_fails_leaves_the_old_records(project):
    before = (project.results("coin") / "records.parquet").read_bytes()
    edit(project.studies / "coin/study.py", "    shares = [", '    raise RuntimeError("no coin")\n    shares = [')
    assert project.snakemake().returncode != 0
    assert (project.results("coin") / "records.parquet").read_bytes() == before
    assert "run coin" in project.planned()


def test_two_pipelines_do_not_write_the_same_results(fresh):
    results = fresh.folder / "results/smoke"
    results.mkdir(parents=True)
    with FileLock(results / ".lock"):
        said = fresh.snakemake()
    assert said.returncode != 0
    assert "is being written by another snakemake" in said.stdout
    assert not list(results.glob("*/records.parquet"))


FAULTS = {
    "scale": ({"scale": "smok"}, ["config.yaml: scale", "'smok'", "quick"]),
    "study": ({"studies": "[coim]"}, ["config.yaml: studies", "'coim'", "did you mean 'coin'?"]),
    "key": ({"scael": "smoke"}, ["config.yaml: scael", "unknown key", "did you mean 'scale'?"]),
    "device": ({"device": "gpu"}, ["config.yaml: device", "'gpu'", "cuda"]),
    "seeds": ({"seeds": "-3"}, ["config.yaml: seeds", "-3"]),
    "shards": ({"shards": "many"}, ["config.yaml: shards", "'many'"]),
    "folder": ({"studies_dir": "nowhere"}, ["nowhere", "no such folder of studies"]),
}


def refused(project, expected, **config):
    """Snakemake ends with one line that holds every piece of `expected`, and writes nothing."""
    said = project.snakemake(**config)
    assert said.returncode != 0
    told = [line for line in said.stdout.splitlines() if line.startswith("claimcheck: ")]
    assert len(told) == 1, said.stdout
    assert all(piece in told[0] for piece in expected), told[0]
    assert "Traceback" not in said.stdout
    assert not (project.folder / "results").exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_setting_is_one_clear_line(fresh, fault):
    config, expected = FAULTS[fault]
    refused(fresh, expected, **config)


SPEC_FAULTS = {
    "factor": ("study.yaml", "tosses: 200,", "tosess: 200,", ["study.yaml: scales.smoke", "'tosess'"]),
    "statistic": (
        "study.yaml",
        "statistic: heads",
        "statistic: head",
        ["study.yaml", "'head'", "did you mean 'heads'?"],
    ),
    "claim": ("study.yaml", "- id: coin-is-fair", "- id: coin-is-fare", ["study.yaml: claims", "'coin-is-fare'"]),
    "region": ("study.yaml", "[0.4, 0.6]", "[0.6, 0.4]", ["study.yaml", "region", "swapped"]),
    "python": ("study.py", "def heads(records):", "def heads(records:", ["study.py", "not valid Python"]),
}


@pytest.mark.parametrize("fault", SPEC_FAULTS)
def test_a_wrong_study_is_one_clear_line(fresh, fault):
    name, old, new, expected = SPEC_FAULTS[fault]
    edit(fresh.studies / "coin" / name, old, new)
    refused(fresh, expected)


def test_a_study_without_its_code_is_one_clear_line(fresh):
    (fresh.studies / "coin/study.py").unlink()
    refused(fresh, ["coin/study.py", "no such file"])


def test_snakemakes_own_report_is_made(finished):
    said = finished.snakemake("--report", "report.zip")
    assert said.returncode == 0, said.stdout
    assert (finished.folder / "report.zip").stat().st_size > 10_000


def test_the_command_by_hand_agrees_with_the_pipeline(finished):
    words = ["why", "coin", "--scale", "smoke", "--studies-dir", str(finished.studies)]
    said = subprocess.run(
        [sys.executable, "-m", "claimcheck", *words], cwd=finished.folder, capture_output=True, text=True, check=True
    )
    assert "run: up to date" in said.stdout
    facts = json.loads((finished.results("coin") / "provenance.json").read_text())
    assert facts["study"] == "coin"


def test_the_configuration_file_holds_every_setting_at_its_default():
    from claimcheck.files import read_yaml
    from claimcheck.spec.models import Config

    assert Config.model_validate(read_yaml(REPOSITORY / "workflow/config.yaml")) == Config()
    assert set(read_yaml(REPOSITORY / "workflow/config.yaml")) == set(Config.model_fields)
