"""The whole pipeline on the toy lecture: what it makes, what it refuses, and how it fails."""

import shutil
import subprocess

import pandas as pd
import pytest
from filelock import FileLock

from claimcheck.files import sha256

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
        assert {"records.parquet", "provenance.json", "verdicts.json", "controls.json", f"{figure}.svg"} <= made
    assert (finished.folder / "reports/smoke/report.html").read_text().count("A fair coin shows heads") >= 1
    assert set(pd.read_csv(finished.folder / "results/smoke/verdicts.csv")["study"]) == {"coin", "walk"}


def test_the_pages_of_the_document_render(finished, tmp_path):
    pages = pages_of(finished.folder / "reports/smoke/report.pdf", tmp_path)
    assert pages
    assert all(page.stat().st_size > 1000 for page in pages)


def test_each_step_leaves_a_log(finished):
    for step in ("run", "judge", "plot"):
        log = (finished.results("coin") / f"{step}.log").read_text()
        assert log.endswith(f"\n{step}: done\n"), "as `reasons` reads it"


def test_a_study_is_a_target_by_its_name(fresh):
    assert fresh.planned("coin") == {"run_coin", "judge_coin", "plot_coin", "publish_coin"}


def test_studies_and_seeds_are_chosen_on_the_command_line(fresh):
    assert "run_walk" not in fresh.planned(studies="[coin]")
    said = fresh.snakemake("coin", seeds=11)
    assert said.returncode == 0, said.stdout
    assert pd.read_parquet(fresh.results("coin") / "records.parquet")["seed"].nunique() == 11


def test_pieces_give_the_same_records(fresh, finished):
    said = fresh.snakemake("coin", shards=2)
    assert said.returncode == 0, said.stdout
    pieces = pd.read_parquet(fresh.results("coin") / "records.parquet")
    whole = pd.read_parquet(finished.results("coin") / "records.parquet")
    pd.testing.assert_frame_equal(pieces, whole, check_exact=True)
    assert fresh.planned("coin", shards=1) == set(), "the number of pieces is no reason to run again"
    assert fresh.planned("coin", shards=3) == set()


def test_a_study_that_fails_does_not_stop_the_others_and_the_report_says_so(fresh):
    edit(
        fresh.studies / "coin/runs.py",
        "    shares = [",
        '    raise RuntimeError("the coin rolled away")\n    shares = [',
    )
    said = fresh.snakemake()
    assert said.returncode != 0
    assert (fresh.results("walk") / "verdicts.json").is_file()
    page = fresh.folder / "reports/smoke/report.html"
    report = page.read_text()
    assert "the coin rolled away" in report
    assert "coin/run.log" in report
    assert "run_coin" in fresh.planned(), "a failed study is tried again"
    page.write_text("of other studies")
    assert fresh.snakemake("coin").returncode != 0
    assert page.read_text() == "of other studies", "who asks for a study alone gets no report, of no failure either"


def test_a_run_that_fails_leaves_the_old_records(project):
    before = (project.results("coin") / "records.parquet").read_bytes()
    edit(project.studies / "coin/runs.py", "    shares = [", '    raise RuntimeError("no coin")\n    shares = [')
    assert project.snakemake("coin").returncode != 0
    assert (project.results("coin") / "records.parquet").read_bytes() == before
    assert "run_coin" in project.planned()


def test_two_pipelines_do_not_write_the_same_results(fresh):
    results = fresh.folder / "results/smoke"
    results.mkdir(parents=True)
    with FileLock(results / ".lock"):
        said = fresh.snakemake()
    assert said.returncode != 0
    assert "is being written by another snakemake" in said.stdout
    assert not list(results.glob("*/records.parquet"))


FAULTS = {
    "scale": ({"scale": "smok"}, ["--config: scale", "'smok'", "quick"]),
    "study": ({"studies": "[coim]"}, ["--config: studies", "'coim'", "did you mean 'coin'?"]),
    "key": ({"scael": "smoke"}, ["--config: scael", "unknown key", "did you mean 'scale'?"]),
    "device": ({"device": "gpu"}, ["--config: device", "'gpu'", "cuda"]),
    "seeds": ({"seeds": "-3"}, ["--config: seeds", "-3"]),
    "shards": ({"shards": "many"}, ["--config: shards", "'many'"]),
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
    "setting": (
        "coin/study.yaml",
        "tosses: {tosses: 200}",
        "tosses: {tosess: 200}",
        ["study.yaml: scales.smoke", "'tosess'"],
    ),
    "statistic": (
        "walk/study.yaml",
        "statistic: spread",
        "statistic: spred",
        ["statistics.py", "no function spred", "did you mean 'spread'?"],
    ),
    "measure": ("coin/study.yaml", "of: {bias: 0.5}", "of: {bios: 0.5}", ["study.yaml: half", "did you mean 'bias'?"]),
    "claim": ("coin/study.yaml", "- id: coin-is-fair", "- id: coin-is-fare", ["study.yaml: claims", "'coin-is-fare'"]),
    "region": ("coin/study.yaml", "[0.4, 0.6]", "[0.6, 0.4]", ["study.yaml", "region", "swapped"]),
    "python": ("coin/runs.py", "(runs, context):", "(runs, context:", ["runs.py", "not valid Python"]),
}


@pytest.mark.parametrize("fault", SPEC_FAULTS)
def test_a_wrong_study_is_one_clear_line(fresh, fault):
    name, old, new, expected = SPEC_FAULTS[fault]
    edit(fresh.studies / name, old, new)
    refused(fresh, expected)


def test_a_module_of_a_study_that_is_not_python_is_one_clear_line(fresh):
    runs, own = fresh.studies / "coin/runs.py", fresh.studies / "coin/pauses.py"
    edit(runs, "import pandas as pd", "import pandas as pd\n\nfrom . import pauses")
    edit(runs, "context.settings.seconds", "context.settings.seconds * pauses.TIMES")
    own.write_text("TIMES = (1\n")
    refused(fresh, ["coin/pauses.py", "not valid Python in line 1"])


def test_a_study_without_its_runs_is_one_clear_line(fresh):
    (fresh.studies / "coin/runs.py").unlink()
    refused(fresh, ["coin/runs.py", "no function run_tosses"])


def test_snakemakes_own_report_is_made(finished):
    said = finished.snakemake("--report", "report.zip")
    assert said.returncode == 0, said.stdout
    assert (finished.folder / "report.zip").stat().st_size > 10_000


def test_the_command_by_hand_makes_what_the_pipeline_makes(fresh, finished):
    for step in ("run", "judge", "plot"):
        status, said = fresh.claimcheck(step, "walk")
        assert status == 0, said
    for name in ("records.parquet", "tuning.parquet", "verdicts.json", "figures/ends.svg"):
        assert sha256(fresh.results("walk") / name) == sha256(finished.results("walk") / name), name
    assert fresh.planned("walk") == set()


def test_the_configuration_file_holds_every_setting_at_its_default():
    from claimcheck.files import read_yaml
    from claimcheck.spec.config import Config

    assert Config.model_validate(read_yaml(REPOSITORY / "workflow/config.yaml")) == Config()
    assert set(read_yaml(REPOSITORY / "workflow/config.yaml")) == set(Config.model_fields)
