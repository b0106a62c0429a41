"""`claimcheck new`: the scaffold is a whole study; a name that would be in the way is refused and nothing written."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from claimcheck.cli import app
from claimcheck.errors import ClaimcheckError
from claimcheck.spec.design import confirmatory_runs, pilot_runs
from claimcheck.spec.modules import study_module
from claimcheck.spec.new import create
from claimcheck.spec.reading import load_study, study_names
from claimcheck.spec.schema import SCHEMA, schema

ROOT = Path(__file__).parents[2]
MODELINE = "# yaml-language-server: $schema=../../docs/study.schema.json\n"


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    folder = tmp_path / "studies"
    folder.mkdir()
    shutil.copy(ROOT / "studies" / "lecture.yaml", folder)
    return folder


def test_the_new_study_loads_and_has_every_file(studies):
    folder = create("wide_networks", studies)
    assert sorted(path.name for path in folder.iterdir()) == ["figures.py", "notes.md", "runs.py", "study.yaml"]
    study = load_study(studies, "wide_networks")
    assert study.title == "Wide networks"
    assert [claim.id for claim in study.claims] == ["wide-networks-first-claim"]
    assert study.claims[0].predictions[0].measure.form == "difference"
    assert [path.name for path in studies.iterdir() if path.name.startswith(".")] == []


def test_its_design_has_two_arms_with_tuned_rates_at_each_scale(studies):
    create("mine", studies)
    for scale, seeds, pilots in (("smoke", 4, 2), ("quick", 16, 8), ("full", 64, 8)):
        part = load_study(studies, "mine").at(scale)["width"]
        assert len(confirmatory_runs(part)) == 2 * seeds
        assert len(pilot_runs(part)) == 2 * 4 * pilots


def test_its_modules_are_valid_python_and_judging_it_needs_neither_pytorch_nor_seaborn(studies):
    folder = create("mine", studies)
    for file in ("runs.py", "figures.py"):
        ast.parse((folder / file).read_text(encoding="utf-8"))
    assert not (folder / "statistics.py").exists()
    assert "matplotlib" not in (folder / "runs.py").read_text(encoding="utf-8")
    assert "torch" not in (folder / "figures.py").read_text(encoding="utf-8")
    assert callable(study_module(folder, "runs").run_width)


def test_an_editor_finds_the_schema_where_the_project_has_one(studies):
    assert "yaml-language-server" not in (create("without", studies) / "study.yaml").read_text(encoding="utf-8")
    (studies.parent / "docs").mkdir()
    shutil.copy(ROOT / "docs" / SCHEMA, studies.parent / "docs")
    text = (create("with_schema", studies) / "study.yaml").read_text(encoding="utf-8")
    assert text.startswith(MODELINE)
    assert (studies / "with_schema" / MODELINE.split("=")[1].strip()).resolve() == studies.parent / "docs" / SCHEMA


def test_the_schema_accepts_the_new_study(studies):
    yaml = pytest.importorskip("yaml")
    jsonschema = pytest.importorskip("jsonschema")
    said = yaml.safe_load((create("mine", studies) / "study.yaml").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema()).validate(said)


def test_lines_of_the_yaml_are_short_however_long_the_name(studies):
    text = (create("a_name_of_quite_some_length", studies) / "study.yaml").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("run", "is a name in the pipeline; found 'run'"),
        ("all", "is a name in the pipeline"),
        ("publish_report", "is a name in the pipeline"),
        ("train", "is a name in the pipeline"),
        ("run_width", "is a name in the pipeline"),
        ("lambda", "is a word of Python"),
        ("match", "is a word of Python"),
        ("random", "is a module of Python"),
        ("statistics", "is a module of Python"),
        ("My_study", "is not a study's name"),
        ("my-study", "is not a study's name"),
        ("trailing_", "is not a study's name"),
        ("two__lines", "is not a study's name"),
        ("../out", "is not a study's name"),
        ("3d", "is not a study's name"),
        ("", "is not a study's name"),
    ],
)
def test_a_name_that_would_be_in_the_way_is_refused_in_one_line_and_nothing_is_written(studies, name, told):
    with pytest.raises(ClaimcheckError) as caught:
        create(name, studies)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in studies.iterdir()] == ["lecture.yaml"]


def test_every_rule_of_the_pipeline_is_refused(studies):
    rules = [
        line.split()[1].rstrip(":")
        for path in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")]
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.lstrip().startswith(("rule ", "checkpoint ")) and line.split()[1] != ":"
    ]
    assert {"all", "report"} <= set(rules)
    for name in rules:
        with pytest.raises(ClaimcheckError, match="pipeline"):
            create(name, studies)


def test_every_command_is_refused(studies):
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert {"run", "new", "why"} <= commands
    for name in {name.replace("-", "_") for name in commands} - {"import_results"}:
        with pytest.raises(ClaimcheckError, match=r"is a (name|module|word)"):
            create(name, studies)


@pytest.mark.parametrize(
    "name", ["run", "publish_report", "judge_it", "queue", "Coin", "coin copy", "coin (2)", "coin-2"]
)
def test_a_folder_made_by_hand_is_held_to_the_same_names(studies, name):
    create("coin", studies).rename(studies / name)
    with pytest.raises(
        ClaimcheckError, match=r"is (not a study's name|a name in the pipeline|a module of Python)"
    ) as caught:
        load_study(studies, name)
    assert str(studies / name) in str(caught.value)


@pytest.mark.parametrize("name", [".coin.abc123", "_draft", ".ipynb_checkpoints"])
def test_a_folder_that_is_put_aside_is_no_study(studies, name):
    create("coin", studies)
    shutil.copytree(studies / "coin", studies / name)
    assert study_names(studies) == ["coin"]


def test_a_name_that_is_taken_is_refused_and_the_study_kept(studies):
    folder = create("mine", studies)
    (folder / "notes.md").write_text("precious", encoding="utf-8")
    with pytest.raises(ClaimcheckError, match="there is a study of this name"):
        create("mine", studies)
    assert (folder / "notes.md").read_text(encoding="utf-8") == "precious"


def test_a_folder_that_cannot_be_written_is_told_and_leaves_nothing(studies, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ClaimcheckError, match=r"mine: cannot write \(No space left on device\)"):
        create("mine", studies)
    assert [path.name for path in studies.iterdir()] == ["lecture.yaml"]
