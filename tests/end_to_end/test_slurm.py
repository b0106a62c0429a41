"""The pipeline on a real Slurm: same records as without it."""

import shutil

import pytest

from claimcheck.files import sha256

from .conftest import REPOSITORY
from .slurm_cluster import cluster, why_not

pytest.importorskip("snakemake_executor_plugin_slurm", reason="Snakemake's plugin for Slurm is not installed")


@pytest.mark.slurm
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_eight_pieces_on_a_cluster_give_the_records_that_one_machine_gives(fresh, finished, tmp_path_factory):
    profile = str(REPOSITORY / "workflow/profiles/slurm")
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        soon = ["--slurm-init-seconds-before-status-checks", "3"]
        settings = {"environment": environment, "shards": 8, "studies": "[walk]"}
        said = fresh.snakemake("--workflow-profile", profile, *soon, **settings)
    assert said.returncode == 0, said.stdout
    assert "SLURM jobid" in said.stdout
    assert said.stdout.count("\nrule piece:") == 16, "eight pieces of each part"
    assert said.stdout.count("\nrule tune:") == 1
    for name in ("records.parquet", "tuning.parquet"):
        assert sha256(fresh.results("walk") / name) == sha256(finished.results("walk") / name), name
    pilots = {
        log.name.split("-")[0]
        for log in fresh.results("walk").glob("*.log")
        if "pilot" in log.read_text(errors="replace")
    }
    assert pilots == {"tune"}, "pilots are run once, not by every piece"
    assert not list(fresh.results("walk").glob("parts/*-of-8.parquet"))
    assert (fresh.folder / "reports/smoke/report.pdf").is_file()
    assert fresh.planned(studies="[walk]") == set(), "the number of pieces is no reason to run again"
    shutil.rmtree(fresh.folder / ".snakemake/slurm_logs", ignore_errors=True)
