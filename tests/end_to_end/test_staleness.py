"""Reruns only what changed, always what changed."""

import os
import shutil

import pytest

from .conftest import edit


def test_a_second_call_reruns_nothing(finished):
    assert "Nothing to be done" in finished.snakemake().stdout


def test_touched_sources_rerun_nothing(project):
    for path in project.studies.rglob("*"):
        os.utime(path)
    assert project.planned() == set()


def test_a_new_clone_with_the_old_results_reruns_nothing(project):
    shutil.rmtree(project.folder / ".snakemake")
    assert project.planned() == set()


def test_a_changed_experiment_reruns_its_study_alone(project):
    edit(project.studies / "coin/study.py", "context.settings.tosses, bias)", "context.settings.tosses, bias / 1)")
    assert project.planned() == {"run coin", "judge coin", "plot coin", "report"}
    assert project.snakemake().returncode == 0
    assert project.planned() == set()


def test_a_changed_experiment_reruns_even_where_snakemake_has_forgotten(project):
    shutil.rmtree(project.folder / ".snakemake")
    edit(project.studies / "coin/study.yaml", "smoke: {seeds: 12", "smoke: {seeds: 13")
    assert "run coin" in project.planned()


def test_a_changed_comment_reruns_nothing(project):
    edit(project.studies / "coin/study.py", "    shares = [", "    # one share a run\n    shares = [")
    assert project.planned() == set()


def test_a_changed_figure_redraws_it_and_trains_nothing(project):
    edit(project.studies / "coin/study.py", 'xlabel="bias"', 'xlabel="bias of the coin"')
    assert project.planned() == {"plot coin", "report"}


def test_a_changed_statistic_judges_again_and_trains_nothing(project):
    edit(
        project.studies / "coin/study.py",
        'return fair.set_index("seed")["heads"]',
        'return fair.set_index("seed").heads',
    )
    assert project.planned() == {"judge coin", "report"}


def test_changed_notes_rewrite_the_report_alone(project):
    edit(project.studies / "walk/study.yaml", "The spread was", "The measured spread was")
    assert project.planned() == {"report"}


def test_a_changed_scale_reruns_where_it_is_used(project):
    edit(project.studies / "walk/study.yaml", "quick: {seeds: 16", "quick: {seeds: 17")
    assert project.planned() == {"report"}
    edit(project.studies / "walk/study.yaml", "smoke: {seeds: 12", "smoke: {seeds: 13")
    assert project.planned() == {"run walk", "judge walk", "plot walk", "report"}


@pytest.mark.parametrize(("name", "damage"), [("records.parquet", "flipped"), ("provenance.json", "truncated")])
def test_a_damaged_result_is_run_again(project, name, damage):
    path = project.results("coin") / name
    times = path.stat().st_atime, path.stat().st_mtime
    content = path.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"flipped": flipped, "truncated": content[:middle]}[damage])
    os.utime(path, times)
    planned = project.planned()
    assert "run coin" in planned
    assert "run walk" not in planned
    assert project.snakemake("coin").returncode == 0
    assert project.planned("coin") == set()


def test_records_that_a_hand_made_otherwise_are_made_again(project):
    said = project.snakemake("--quiet", seeds=14)
    assert said.returncode == 0, said.stdout
    assert "run coin" in project.planned()


def test_a_removed_figure_is_drawn_again(project):
    shutil.rmtree(project.results("walk") / "figures")
    assert "plot walk" in project.planned()


@pytest.mark.parametrize("name", ["records.parquet", "verdicts.json"])
def test_a_removed_file_is_made_again(project, name):
    (project.results("walk") / name).unlink()
    planned = project.planned()
    assert {"records.parquet": "run walk", "verdicts.json": "judge walk"}[name] in planned
    assert not any(step.endswith("coin") for step in planned)


@pytest.mark.parametrize("harm", [lambda svg: svg.replace("path", "parh", 1), lambda svg: svg[: len(svg) // 2]])
def test_a_damaged_figure_is_drawn_again(project, harm):
    path = project.results("walk") / "figures/ends.svg"
    times, whole = (path.stat().st_atime, path.stat().st_mtime), path.read_text()
    path.write_text(harm(whole))
    os.utime(path, times)
    assert project.planned() == {"plot walk", "report"}
    assert project.snakemake().returncode == 0
    assert path.read_text() == whole
    assert project.planned() == set()


def test_provenance_edited_by_hand_is_no_provenance(project):
    path = project.results("coin") / "provenance.json"
    times = path.stat().st_atime, path.stat().st_mtime
    edit(path, '"threads": 1', '"threads": 2')
    os.utime(path, times)
    assert "run coin" in project.planned()
    assert project.snakemake().returncode == 0
    assert project.planned() == set()
