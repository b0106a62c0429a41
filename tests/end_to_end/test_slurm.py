"""The pipeline on a real Slurm: same records as without it."""

import shutil

import pytest

from claimcheck.files import sha256

from .conftest import REPOSITORY
from .slurm_cluster import cluster, why_not

pytest.importorskip("snakemake_executor_plugin_slurm", reason="Snakemake's plugin for Slurm is not installed")


@pytest.mark.slurm
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_eight_pieces_on_a_cluster_give_the_records_that_one_machine_gives(project, finished, tmp_path_factory):
    profile = str(REPOSITORY / "workflow/profiles/slurm")
    kept = {path.name: path.read_bytes() for path in project.results("walk").glob("parts/walks-*")}
    assert kept
    for folder in ("results", "reports"):
        shutil.rmtree(project.folder / folder)
    (project.results("walk") / "parts").mkdir(parents=True)
    for name, content in kept.items():
        (project.results("walk") / "parts" / name).write_bytes(content)
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        soon = ["--slurm-init-seconds-before-status-checks", "16"]
        settings = {"environment": environment, "shards": 8, "studies": "[walk]"}
        said = project.snakemake("--workflow-profile", profile, *soon, **settings)
    assert said.returncode == 0, said.stdout
    assert "SLURM jobid" in said.stdout
    assert said.stdout.count("\nrule piece:") == 8, "of the part that was not there"
    assert said.stdout.count("\nrule tune:") == 1
    for name in ("records.parquet", "tuning.parquet"):
        assert sha256(project.results("walk") / name) == sha256(finished.results("walk") / name), name
    logs = project.results("walk").glob("*.log")
    pilots = {log.name.split("-")[0] for log in logs if "pilot" in log.read_text(errors="replace")}
    assert pilots == {"tune"}, "pilots are run once, not by every piece"
    assert not list(project.results("walk").glob("parts/*-of-8.parquet"))
    assert (project.folder / "reports/smoke/report.pdf").is_file()
    assert project.planned(studies="[walk]") == set(), "the number of pieces is no reason to run again"
    shutil.rmtree(project.folder / ".snakemake/slurm_logs", ignore_errors=True)
