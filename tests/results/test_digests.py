"""What changes a part's digest, and with it the names of its files; and what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata

import pytest

from claimcheck.results import sources
from claimcheck.results.digests import differences

WALKS, FARTHER = "+ drift).sum()", "+ 2 * drift).sum()"
AIMED = "normal(size=steps).sum() / steps**0.5 + run.push"


@pytest.fixture
def digest(locate):
    """digest("walk"): the digests of the study's parts as its files stand now."""
    return lambda name, **changes: {part: files.digest for part, files in locate(name, **changes).parts.items()}


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_a_part_follows_its_own_function_and_not_another_parts(digest, change):
    before = digest("walk")
    change("walk/runs.py", WALKS, FARTHER)
    between = digest("walk")
    assert changed(before, between) == {"walks"}
    change("walk/runs.py", AIMED, f"{AIMED} * 2")
    assert changed(between, digest("walk")) == {"aimed"}


def test_a_part_follows_the_helper_functions_that_it_reaches(digest, change, studies):
    change("walk/runs.py", "abs(float(end) - run.goal)", "_distance(end, run.goal)")
    path = studies / "walk" / "runs.py"
    path.write_text(path.read_text() + "\n\ndef _distance(end, goal):\n    return abs(float(end) - goal)\n")
    before = digest("walk")
    change("walk/runs.py", "return abs(float(end) - goal)", "return abs(float(goal) - end)")
    assert changed(before, digest("walk")) == {"aimed"}


def test_what_was_changed_and_put_back_has_its_old_digest(digest, change):
    before = digest("walk")
    change("walk/runs.py", WALKS, FARTHER)
    assert digest("walk") != before
    change("walk/runs.py", FARTHER, WALKS)
    assert digest("walk") == before


def test_where_the_study_lies_and_when_its_files_were_touched_do_not_matter(digest, studies, tmp_path):
    before = digest("walk")
    for path in studies.glob("walk/*.py"):
        os.utime(path, (0, 0))
    shutil.copytree(studies, tmp_path / "elsewhere")
    assert digest("walk", studies_dir=tmp_path / "elsewhere", results_dir=tmp_path / "other") == before


WITHOUT_EFFECT = {
    "a docstring": ("walk/runs.py", "how far from its goal", "the distance from its goal at which"),
    "a comment": ("walk/runs.py", "    ends = [", "    # the end of each\n    ends = ["),
    "the question": ("walk/study.yaml", "How far does", "Where does"),
    "the method": ("walk/study.yaml", "up and down;", "up or down;"),
    "a caption": ("walk/study.yaml", "caption: Ends of walks.", "caption: The ends of walks."),
    "a region": ("walk/study.yaml", "region: [-4, 4]", "region: [-3, 4]"),
    "a measure": ("walk/study.yaml", "max_over: [goal]", "mean_over: [goal]"),
    "the notes": ("walk/notes.md", "The spread was", "The spread is"),
    "a statistic": ("walk/statistics.py", '== drift', '>= drift'),
    "a figure": ("walk/figures.py", "figsize=(4, 3)", "figsize=(5, 3)"),
    "another scale": ("walk/study.yaml", "walks: {steps: 4000}", "walks: {steps: 5000}"),
    "the lecture": ("lecture.yaml", "Dice are older", "Dice may be older"),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_EFFECT)
def test_what_trains_nothing_changes_no_digest(digest, change, name):
    file, old, new = WITHOUT_EFFECT[name]
    before = digest("walk")
    change(file, old, new)
    assert digest("walk") == before


DESIGNS = {
    "a factor's values": (lambda raw: raw["parts"]["walks"]["factors"]["drift"].update(values=[0.0, 0.6]), {"walks"}),
    "the order of values": (lambda raw: raw["parts"]["walks"]["factors"]["drift"].update(values=[0.5, 0.0]), {"walks"}),
    "whether a factor is static": (lambda raw: raw["parts"]["walks"]["factors"]["drift"].update(static=False), {"walks"}),
    "a setting": (lambda raw: raw["parts"]["aimed"]["settings"].update(steps=101), {"aimed"}),
    "a setting of the scale": (lambda raw: raw["scales"]["smoke"]["walks"].update(steps=201), {"walks"}),
    "the number of seeds": (lambda raw: raw["scales"]["smoke"].update(seeds=13), {"walks", "aimed"}),
    "the tuned values": (lambda raw: raw["parts"]["aimed"]["tune"].update(values=[0.5, 1.0]), {"aimed"}),
    "how far the grid extends itself": (lambda raw: raw["parts"]["aimed"]["tune"].update(extend=4), {"aimed"}),
    "the pilots' seeds": (lambda raw: raw["parts"]["aimed"]["tune"].update(seeds=9), {"aimed"}),
    "a cell left out": (lambda raw: raw["parts"]["walks"].update(exclude=[{"drift": 0.5}]), {"walks"}),
    "whether it needs a GPU": (lambda raw: raw["parts"]["walks"].update(needs_compiler=False), set()),
    "what it describes": (lambda raw: raw["parts"]["walks"].update(describes="Walks."), set()),
}  # fmt: skip


@pytest.mark.parametrize("name", DESIGNS)
def test_a_part_follows_its_design(digest, edit, name):
    alter, expected = DESIGNS[name]
    before = digest("walk")
    edit("walk", alter)
    assert changed(before, digest("walk")) == expected


def test_seeds_on_the_command_line_are_another_design(digest):
    assert changed(digest("walk"), digest("walk", seeds=13)) == {"walks", "aimed"}
    assert changed(digest("walk"), digest("walk", seeds=14)) == set(), "the study's own number"


def test_a_part_that_extends_another_has_the_digest_of_the_same_design_written_out(digest, edit, studies):
    base = {
        "factors": {"bias": {"values": [0.5, 0.6, 0.7], "static": True}},
        "settings": {"tosses": 100, "seconds": 0.0},
    }
    written = {**base, "factors": {"bias": {"values": [0.5, 0.7], "static": True}}}
    written["settings"] = {"tosses": 200, "seconds": 0.0}

    def parts(tosses):
        def change(raw):
            raw["parts"] = {"base": base, "tosses": tosses}
            raw["scales"] = {"smoke": {"seeds": 12}}

        edit("coin", change)
        return digest("coin")

    (studies / "coin" / "runs.py").write_text(
        (studies / "coin" / "runs.py").read_text() + "\n\nrun_base = run_tosses\n"
    )
    extending = {"extends": "base", "only": {"bias": [0.5, 0.7]}, "settings": {"tosses": 200}}
    assert parts(extending) == parts(written)
    assert changed(parts(extending), parts({**extending, "settings": {"tosses": 201}})) == {"tosses"}
    assert len(set(parts(extending).values())) == 2


def test_files_beside_the_code_that_it_may_read_count_and_texts_do_not(digest, studies):
    folder = studies / "walk"
    before = digest("walk")
    (folder / "registrations.yaml").write_text("- {number: 1, date: 2026-01-31, first_seed: 0, says: It came so.}")
    for name in (".notes.swp", "unused.py"):
        (folder / name).write_text("x = 1\n")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "runs.pyc").write_bytes(b"compiled")
    assert digest("walk") == before
    (folder / "table.csv").write_text("1,2\n")
    first = digest("walk")
    assert changed(before, first) == {"walks", "aimed"}
    (folder / "table.csv").write_text("1,3\n")
    assert changed(first, digest("walk")) == {"walks", "aimed"}


def test_files_in_folders_beside_the_code_count_too(digest, studies):
    folder = studies / "walk" / "tables"
    folder.mkdir()
    (folder / "steps.csv").write_text("1,2\n")
    before = digest("walk")
    (folder / "steps.csv").write_text("1,3\n")
    assert changed(before, digest("walk")) == {"walks", "aimed"}


def test_files_behind_a_linked_folder_count_and_a_link_to_itself_ends(digest, studies, tmp_path):
    before = digest("walk")
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/odds.csv").write_text("1")
    (studies / "walk/tables").symlink_to(tmp_path / "tables", target_is_directory=True)
    (studies / "walk/again").symlink_to(studies / "walk", target_is_directory=True)
    linked = digest("walk")
    assert changed(before, linked) == set(before)
    (tmp_path / "tables/odds.csv").write_text("2")
    assert changed(linked, digest("walk")) == set(before)


def test_versions_that_change_numbers_count(digest, monkeypatch):
    before = digest("walk")
    true = metadata.version
    for package in ("torch", "numpy"):
        monkeypatch.setattr(metadata, "version", lambda name, p=package: "0.1" if name == p else true(name))
        assert changed(before, digest("walk")) == {"walks", "aimed"}, package
    for package in ("seaborn", "typer", "snakemake", "pandas"):
        monkeypatch.setattr(metadata, "version", lambda name, p=package: "0.1" if name == p else true(name))
        assert digest("walk") == before, package


def test_data_count_by_their_published_checksums_or_the_versions_of_their_packages(locate, change, digest, monkeypatch):
    assert not [name for name in locate("walk").parts["walks"].ingredients if name.startswith("data ")]
    change("walk/runs.py", "steps, distances =", 'context.dataset("mnist1d")\n    steps, distances =')
    parts = locate("walk").parts
    assert "data mnist1d" in parts["aimed"].ingredients
    assert "data mnist1d" not in parts["walks"].ingredients
    before, true = digest("walk"), metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "0.1" if name == "mnist1d" else true(name))
    assert changed(before, digest("walk")) == {"aimed"}


def test_a_setting_may_name_the_data(locate, edit):
    edit("walk", lambda raw: raw["parts"]["walks"]["settings"].update(data="cifar10"))
    assert "data cifar10" in locate("walk").parts["walks"].ingredients


def test_ingredients_are_the_modules_that_are_reached(locate, change):
    before = locate("walk").parts
    assert {"claimcheck.spec.design", "claimcheck.streams", "claimcheck.engine.context"} <= set(
        before["walks"].ingredients
    )
    assert "claimcheck.running.tuning" in before["aimed"].ingredients
    assert "claimcheck.running.tuning" not in before["walks"].ingredients
    assert "claimcheck.engine.train" not in before["walks"].ingredients
    change("walk/runs.py", "import time", "import time\n\nfrom claimcheck.engine.train import train")
    change("walk/runs.py", "    ends = [", "    assert train\n    ends = [")
    after = locate("walk").parts
    assert "claimcheck.engine.train" in after["walks"].ingredients
    assert after["aimed"].digest == before["aimed"].digest
    assert not {"claimcheck.report", "claimcheck.judging.judge", "claimcheck.figures.style"} & set(
        after["walks"].ingredients
    )


ASK = """
import json, sys
from pathlib import Path
from claimcheck.results.state import Machine, locate
from claimcheck.spec.config import Config
from claimcheck.spec.reading import load_study
found = locate(load_study(Path(sys.argv[1]), "walk"), Config(scale="smoke"), Machine())
print(json.dumps({name: files.digest for name, files in found.parts.items()}))
"""


def test_a_part_follows_the_engine_modules_that_it_imports_and_tuned_parts_the_tuning_rule(studies, tmp_path, change):
    """Asked of a copy of the package, in processes of their own."""
    package = tmp_path / "src" / "claimcheck"
    shutil.copytree(sources.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    change("walk/runs.py", "    ends = [", "    from claimcheck.engine import schedules\n\n    ends = [")

    def asked():
        environment = {**os.environ, "PYTHONPATH": str(package.parent)}
        words = [sys.executable, "-c", ASK, str(studies)]
        return json.loads(subprocess.run(words, env=environment, capture_output=True, check=True).stdout)

    def append(name, text):
        (package / name).write_text((package / name).read_text() + text)

    first = asked()
    append("engine/schedules.py", "\n# a comment\n")
    append("judging/judge.py", "\nMORE = 1\n")
    append("engine/train.py", "\nMORE = 1\n")
    append("results/digests.py", "\nMORE = 1\n")
    assert asked() == first
    append("engine/schedules.py", "\nMORE = 1\n")
    second = asked()
    assert changed(first, second) == {"walks"}
    append("running/tuning.py", "\nMORE = 1\n")
    third = asked()
    assert changed(second, third) == {"aimed"}
    append("streams.py", "\nMORE = 1\n")
    assert changed(third, asked()) == {"walks", "aimed"}


def test_what_changed_is_told_in_words():
    assert differences({"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}) == [
        "b changed",
        "d is new",
        "c is no longer used",
    ]


# ------------------------------------------------------------------------------- what follows from the records


STEPS = {
    "a region": ("walk/study.yaml", "region: [-4, 4]", "region: [-3, 4]", {"verdicts"}),
    "why": ("walk/study.yaml", "why: The central", "why: By the central", {"verdicts"}),
    "a statistic": ("walk/statistics.py", "== drift", ">= drift", {"verdicts"}),
    "the lecture's section of a claim": ("lecture.yaml", "id: chance", "id: chances", {"verdicts"}),
    "a figure": ("walk/figures.py", "figsize=(4, 3)", "figsize=(5, 3)", {"figures"}),
    "a caption": ("walk/study.yaml", "caption: Ends of walks.", "caption: The ends.", set()),
    "the notes": ("walk/notes.md", "The spread was", "The spread is", set()),
    "the run": ("walk/runs.py", WALKS, FARTHER, {"records", "verdicts", "figures"}),
}


@pytest.mark.parametrize("name", STEPS)
def test_verdicts_and_figures_follow_what_they_are_made_from(locate, change, name):
    def named():
        found = locate("walk")
        return {"records": found.records, "verdicts": found.verdicts, "figures": found.figures}

    file, old, new, expected = STEPS[name]
    before = named()
    change(file, old, new)
    if file == "lecture.yaml":
        change("walk/study.yaml", "sections: [chance]", "sections: [chances]")
    assert changed(before, named()) == expected


def test_the_hash_of_a_prediction_follows_its_region_its_measure_and_its_design_only(locate, change):
    def hashed():
        return locate("walk").prediction_hashes()

    between = hashed()
    change("walk/study.yaml", "A push chosen on pilots brings", "Pilots bring")
    change("walk/study.yaml", "title: A walk", "title: Another walk")
    assert hashed() == between
    change("walk/study.yaml", "region: [null, 4]", "region: [null, 5]")
    second = hashed()
    assert changed(between, second) == {"goal-is-near"}
    change("walk/study.yaml", "walks: {steps: 200}", "walks: {steps: 300}")
    assert changed(second, hashed()) == {"root"}


def test_a_registration_is_judged_with_and_moves_the_seeds(locate, studies):
    draft = locate("walk")
    path = studies / "walk" / "registrations.yaml"
    path.write_text("- {number: 1, date: 2026-12-01, first_seed: 0, says: As it came.}\n")
    first = locate("walk")
    assert (first.records, first.verdicts == draft.verdicts) == (draft.records, False), "verdicts say which it is"
    path.write_text("- {number: 1, date: 2026-12-01, first_seed: 100000, says: Fixed.}\n")
    second = locate("walk")
    assert changed(dict(first.parts), dict(second.parts)) == {"walks", "aimed"}
    fresh = locate("walk", registration_offset=1)
    assert [each.parts["walks"].part.first_seed for each in (draft, second, fresh)] == [0, 100_000, 105_000]
    assert len({each.parts["walks"].digest for each in (draft, second, fresh)}) == 3
    assert first.prediction_hashes().keys() == second.prediction_hashes().keys()


def test_a_control_is_judged_with_down_to_its_function(locate, change, studies):
    change("walk/study.yaml", "never: {arguments: {drift: 0.5}, says:", "never: {statistic: far, says:")
    path = studies / "walk" / "statistics.py"
    path.write_text(path.read_text() + "\n\ndef far(records):\n    return spread(records) + 9\n")
    before = locate("walk").verdicts
    change("walk/statistics.py", "+ 9", "+ 99")
    assert locate("walk").verdicts != before


def test_the_report_follows_results_and_texts(locate, config, change):
    def named(studies=("coin", "walk")):
        from claimcheck.results.state import Collection

        return Collection(config, {name: locate(name) for name in studies}).report

    first = named()
    assert named() == first
    assert named(("coin",)) != first
    change("walk/notes.md", "The spread was", "The spread is")
    second = named()
    assert second != first
    change("lecture.yaml", "Dice are older", "Dice may be older")
    assert named() not in (first, second)
