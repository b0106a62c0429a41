"""The lecture itself, at the smallest scale: every study from its networks to the report's pages."""

import re
import subprocess
from dataclasses import dataclass

import pandas as pd
import pytest
from filelock import FileLock

from claimcheck.spec.reading import load_study, study_names

from .conftest import REPOSITORY, Project
from .test_pipeline import pages_of


@pytest.fixture(scope="module")
def lecture(lecture_run):
    """The real studies, run once."""
    project = Lecture(lecture_run.folder, REPOSITORY / "studies", units=lecture_run.units)
    with FileLock(lecture_run.folder / ".in-use"):  # other processes of the tests run parts there, too
        said = project.snakemake()
    assert said.returncode == 0, said.stdout
    return project


def places_in(pdf, what):
    """What pdfinfo tells of a PDF's links or places."""
    return subprocess.run(["pdfinfo", what, pdf], capture_output=True, text=True, check=True).stdout


@dataclass
class Lecture(Project):
    """The real studies, with the units that their own tests ask for."""

    units: int | None = None

    def command(self, *words, **config):
        return super().command(*words, **config, seeds=self.units)


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
    led_to = set(re.findall(r"evidence\.pdf#(\S+)", places_in(lecture.folder / "reports/smoke/report.pdf", "-url")))
    there = set(
        re.findall(r'"(\S+)"$', places_in(lecture.folder / "reports/smoke/evidence.pdf", "-dests"), re.MULTILINE)
    )
    assert "registrations" in led_to
    assert any(place.startswith("figures-") for place in led_to), "which study's depends on the verdicts"
    assert led_to <= there
    assert "Nothing to be done" in lecture.snakemake().stdout
