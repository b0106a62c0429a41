"""The pipeline on a real Slurm: same records as without it."""

import shutil

import pandas as pd
import pytest

from .conftest import REPOSITORY
from .slurm_cluster import cluster, why_not

pytest.importorskip("snakemake_executor_plugin_slurm", reason="Snakemake's plugin for Slurm is not installed")


@pytest.mark.slurm
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_a_cluster_gives_the_records_that_one_machine_gives(fresh, finished, tmp_path_factory):
    profile = str(REPOSITORY / "workflow/profiles/slurm")
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        soon = ["--slurm-init-seconds-before-status-checks", "3"]
        said = fresh.snakemake("--workflow-profile", profile, *soon, environment=environment, shards=2)
    assert said.returncode == 0, said.stdout
    assert "SLURM jobid" in said.stdout
    for study in ("coin", "walk"):
        there = pd.read_parquet(fresh.results(study) / "records.parquet")
        here = pd.read_parquet(finished.results(study) / "records.parquet")
        pd.testing.assert_frame_equal(there, here, check_exact=True)
    assert (fresh.folder / "reports/smoke/report.pdf").is_file()
    shutil.rmtree(fresh.folder / ".snakemake/slurm_logs", ignore_errors=True)
