"""The lecture itself, at the smallest scale: every study from its networks to the report's pages."""

import pandas as pd
import pytest

from claimcheck.spec.reading import load_study, study_names

from .conftest import REPOSITORY, Project
from .test_pipeline import pages_of


@pytest.fixture(scope="module")
def lecture(tmp_path_factory):
    """The real studies, run once."""
    project = Project(tmp_path_factory.mktemp("lecture"), REPOSITORY / "studies")
    said = project.snakemake()
    assert said.returncode == 0, said.stdout
    return project


@pytest.mark.slow
def test_every_study_is_run_judged_and_drawn(lecture):
    names = study_names(REPOSITORY / "studies")
    assert names
    for name in names:
        study = load_study(REPOSITORY / "studies", name)
        records = pd.read_parquet(lecture.results(name) / "records.parquet")
        assert len(records)
        assert set(records["status"]) <= {"ok", "diverged"}
        drawn = [figure for figure in study.figures if figure.part is None or figure.part in set(records["part"])]
        for figure in drawn:
            assert (lecture.results(name) / f"figures/{figure.id}.svg").stat().st_size > 1000
    verdicts = pd.read_csv(lecture.folder / "results/smoke/verdicts.csv")
    assert set(verdicts["study"]) == set(names)


@pytest.mark.slow
def test_the_report_renders_and_nothing_is_left_to_do(lecture, tmp_path):
    studies = len(study_names(REPOSITORY / "studies"))
    assert 2 + studies <= len(pages_of(lecture.folder / "reports/smoke/report.pdf", tmp_path)) <= 6 + 2 * studies, (
        "40 pages for sixteen studies"
    )
    assert (lecture.folder / "reports/smoke/report.html").stat().st_size > 50_000
    assert "Nothing to be done" in lecture.snakemake().stdout
