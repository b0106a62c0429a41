"""What a study's results are called, which of them are there and whole, and in words what is not and why."""

from __future__ import annotations

import os
import re
import shutil

import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results.reasons import DONE, explain, last_failure
from claimcheck.results.state import Machine
from claimcheck.running import runner

FARTHER = ("walk/study.yaml", "walks: {steps: 200}", "walks: {steps: 300}")


def test_every_name_carries_the_digest_of_what_it_is_made_from(locate, tmp_path):
    walk = locate("walk")
    aimed, walks = walk.parts["aimed"], walk.parts["walks"]
    folder = tmp_path / "results" / "smoke" / "walk" / "parts"
    assert walks.files == [folder / f"walks-{walks.digest}.records.parquet"]
    assert aimed.files == [folder / f"aimed-{aimed.digest}.{kind}.parquet" for kind in ("tuning", "records")]
    assert aimed.shard(2, 5) == folder / f"aimed-{aimed.digest}.2-of-5.parquet"
    store = tmp_path / "results" / "smoke" / ".store" / "walk"
    assert walk.assembled == [
        store / f"records-{walk.records_digest}.parquet",
        store / f"tuning-{walk.records_digest}.parquet",
        store / f"provenance-{walk.records_digest}.json",
    ]
    assert (walk.verdicts, walk.figures) == (
        store / f"verdicts-{walk.verdicts_digest}.json",
        store / f"figures-{walk.figures_digest}",
    )
    digests = [walks.digest, aimed.digest, walk.records_digest, walk.verdicts_digest, walk.figures_digest]
    assert len(set(digests)) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in digests)


def test_a_study_that_tunes_nothing_has_no_pilots_table(locate):
    coin = locate("coin")
    assert coin.tuning is None
    assert coin.parts["tosses"].tuning is None
    assert len(coin.assembled) == 2


def test_the_records_follow_every_part(locate, change):
    before = locate("walk")
    change(*FARTHER)
    after = locate("walk")
    assert after.parts["aimed"].digest == before.parts["aimed"].digest
    assert after.records != before.records


def test_steps_make_what_their_names_promise(locate, make):
    coin = locate("coin")
    assert [files.part.name for files in coin.missing_parts()] == ["tosses"]
    make(coin, "run")
    assert (coin.missing_parts(), coin.has_records()) == ([], False)
    make(coin, "assemble")
    assert (coin.has_records(), coin.judged(), coin.drawn()) == (True, False, False)
    make(coin, "judge", "plot")
    assert (coin.judged(), coin.drawn()) == (True, True)
    assert sorted(coin.figures.iterdir()) == sorted(coin.drawings)


def test_clocks_decide_nothing(locate, make):
    coin = make(locate("coin"))
    for path in coin.config.results_dir.rglob("*"):
        os.utime(path, (0, 0))
    os.utime(coin.study.yaml_path, (2**32, 2**32))
    assert explain(locate("coin")) == [
        "parts: up to date", "assemble: up to date", "judge: up to date", "plot: up to date"
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["tuning", "records"])
def test_a_part_is_missing_where_one_of_its_files_is_gone_or_not_whole(locate, make, kind):
    walk = make(locate("walk"), "run")
    path = next(path for path in walk.parts["aimed"].files if kind in path.name)
    whole = path.read_bytes()
    for damaged in (whole[:-40], b"", b"PAR1"):
        path.write_bytes(damaged)
        assert [files.part.name for files in locate("walk").missing_parts()] == ["aimed"]
    assert f"part aimed: would run: {path.name} was cut off or changed" in explain(locate("walk"))
    path.unlink()
    assert [files.part.name for files in locate("walk").missing_parts()] == ["aimed"]
    path.write_bytes(whole)
    assert locate("walk").missing_parts() == []


def test_a_part_under_another_digest_is_refused_with_the_command_that_makes_it(locate, make, change):
    before = make(locate("walk"), "run").parts["walks"]
    change(*FARTHER)
    after = locate("walk").parts["walks"]
    after.records.write_bytes(before.records.read_bytes())
    with pytest.raises(
        ClaimcheckError, match=r"another digest than its name says.*claimcheck run walk/walks --scale smoke.* --force"
    ):
        after.read()


def test_a_pilots_table_of_other_sources_chooses_nothing(locate, make, change):
    before = make(locate("walk"), "run").parts["aimed"]
    change("walk/study.yaml", "values: [0.5, 1.0, 2.0, 4.0]", "values: [0.5, 4.0]")
    walk = locate("walk")
    after = walk.parts["aimed"]
    after.tuning.write_bytes(before.tuning.read_bytes())
    refused = (
        r"tuning\.parquet: is of another digest than its name says.*claimcheck run walk/aimed --scale smoke.* --force"
    )
    with pytest.raises(ClaimcheckError, match=refused):
        make(walk, "run")
    assert not after.records.exists()
    runner.run_parts(walk, ["aimed"], again=True)
    after.tuning.write_bytes(before.tuning.read_bytes())
    with pytest.raises(ClaimcheckError, match=refused):
        make(walk, "assemble")


@pytest.mark.parametrize(
    ("other", "of"), [("another part's", "is of another part"), ("an older one's", "is of another digest")]
)
def test_a_piece_of_something_else_is_not_joined(locate, change, other, of):
    def cut(part):
        walk = locate("walk")
        return walk, [runner.run_shard(walk, part, (i, 2)) for i in (1, 2)]

    _, strange = cut("aimed" if other == "another part's" else "walks")
    if other == "an older one's":
        change(*FARTHER)
    walk, pieces = cut("walks")
    pieces[1].write_bytes(strange[1].read_bytes())
    with pytest.raises(
        ClaimcheckError, match=rf"{pieces[1].name}: {of}.*claimcheck run walk/walks .*--shard 2/2 --force"
    ):
        runner.join_shards(walk, "walks", 2)


def test_a_renamed_study_does_not_go_on_from_ensembles_of_its_old_name(locate, studies, config, change):
    """A run that was stopped has kept ensembles; the study's name decides its random numbers."""
    runner.run_shard(locate("coin"), "tosses", (1, 1))  # keeps them until it is joined
    (studies / "coin").rename(studies / "penny")
    change("lecture.yaml", "study: coin", "study: penny")
    (config.results / "coin").rename(config.results / "penny")
    penny = locate("penny")
    assert list((penny.view / "parts" / runner.WORK).glob("tosses-*.parquet"))
    said = []
    runner.run_shard(penny, "tosses", (1, 1), runner.Listener(log=said.append))
    assert said
    assert not [line for line in said if "kept from an earlier run" in line]


def test_results_that_were_moved_along_with_a_renamed_study_are_refused_by_every_step(
    locate, make, config, studies, change, listed
):
    make(locate("coin"))
    (studies / "coin").rename(studies / "penny")
    change("lecture.yaml", "study: coin", "study: penny")
    for folder in (config.results, config.results / ".store"):
        (folder / "coin").rename(folder / "penny")
    before, penny = listed(config.results), locate("penny")
    assert not penny.missing_parts()
    for step in ("judge", "plot", "publish", "assemble"):
        with pytest.raises(ClaimcheckError, match=r"is of another study.*found 'coin'; expected penny") as told:
            make(penny, step)
        assert "or delete its results, then: claimcheck run penny" in str(told.value), step
    assert any("assemble: is refused" in line and "found 'coin'" in line for line in explain(penny))
    assert listed(config.results) == before
    for folder in (config.results, config.results / ".store"):
        shutil.rmtree(folder / "penny")
    assert make(locate("penny")).read_provenance().study == "penny"


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        ("assemble", lambda results: results.records),
        ("assemble", lambda results: results.tuning),
        ("judge", lambda results: results.verdicts),
        ("judge", lambda results: results.controls),
        ("plot", lambda results: results.drawings[0]),
    ],
)
def test_why_tells_of_a_kept_file_that_every_later_step_would_refuse(locate, make, step, kept):
    walk = make(locate("walk"))
    assert not [line for line in explain(walk) if "refused" in line]
    kept(walk).write_bytes(kept(walk).read_bytes()[:-9])
    (line,) = (line for line in explain(locate("walk")) if "refused" in line)
    assert line.startswith(f"{step}: is refused: {kept(walk)}: ")
    assert f"claimcheck {'run' if step == 'assemble' else step} walk --scale smoke" in line


def test_what_each_arm_chose_and_whether_it_is_an_end_of_the_grid_is_read_from_the_pilots_tables(locate, make, change):
    from claimcheck.report.gather import gather

    change("walk/study.yaml", "values: [0.5, 1.0, 2.0, 4.0]", "values: [0.001]")
    walk = make(locate("walk"))
    parts = {part.part.name: part for study in gather(walk.config, {"walk": walk}).studies for part in study.parts}
    assert parts["walks"].chosen == ()
    at_an_end = {"push": 0.001, "at_edge": True, "failed": False}
    assert parts["aimed"].chosen == ({"goal": 1.0, **at_an_end}, {"goal": 2.0, **at_an_end})
    assert parts["aimed"].facts.arms_at_edge == len(parts["aimed"].chosen)
    walk.tuning.write_bytes(walk.tuning.read_bytes() + b" ")
    with pytest.raises(ClaimcheckError, match=r"cut off or changed.*claimcheck run walk --scale smoke"):
        walk.read_tuning()


# ------------------------------------------------------------------------------------------- what a machine lacks


@pytest.mark.parametrize(
    ("need", "has", "words"),
    [("needs_gpu", Machine(gpu=True), "it needs a GPU"), ("needs_compiler", Machine(compiler=True), "C++ compiler")],
)
def test_a_part_that_needs_what_the_machine_lacks_is_asked_for_where_it_is_there(locate, edit, make, need, has, words):
    edit("walk", lambda raw: raw["parts"]["aimed"].update({need: True}))
    poor = locate("walk")
    assert list(poor.parts) == ["walks"]
    assert words in poor.not_run["aimed"]
    assert any(words in line for line in explain(poor))
    rich = locate("walk", has)
    assert list(rich.parts) == ["walks", "aimed"]
    assert poor.records != rich.records
    make(rich, "run")
    assert list(locate("walk").parts) == ["walks", "aimed"], "its records came from elsewhere"
    assert locate("walk").not_run == {}


def test_a_part_that_a_scale_leaves_out_is_not_asked_for(locate, edit):
    edit("walk", lambda raw: raw["scales"]["smoke"].update(aimed={"seeds": 0}))
    walk = locate("walk", Machine(gpu=True, compiler=True))
    assert list(walk.parts) == ["walks"]
    assert walk.not_run == {"aimed": "it is not run at scale smoke"}


# ----------------------------------------------------------------------------------------------------- in words


def test_a_study_never_run_would_run_for_want_of_its_files(locate):
    coin = locate("coin")
    name = coin.parts["tosses"].records.name
    assert explain(coin) == [
        f"part tosses: would run: there is no {name}",
        "assemble: would run: its parts are made again",
        "judge: would run: its records are made again",
        "plot: would run: its records are made again",
    ]


CHANGES = {
    "the design": (FARTHER, "part walks: would run: design changed"),
    "the code": (
        ("walk/runs.py", "+ drift).sum()", "+ 2 * drift).sum()"),
        "part walks: would run: runs.py (run_walks and what it reaches) changed",
    ),
    "a region": (
        ("walk/study.yaml", "[-4, 4]", "[-3, 4]"),
        "judge: would run: claims changed",
    ),
    "a figure": (
        ("walk/figures.py", "figsize=(4, 3)", "figsize=(5, 3)"),
        "plot: would run: figures.py changed",
    ),
    "the notes": (("walk/notes.md", "The spread was", "The spread is"), None),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changed_is_told(locate, make, change, name):
    make(locate("walk"))
    alter, expected = CHANGES[name]
    change(*alter)
    lines = explain(locate("walk"))
    assert not any(line.startswith("part aimed") for line in lines)
    if expected is None:
        assert all("up to date" in line for line in lines)
    else:
        assert expected in lines


def test_what_was_changed_back_is_there_again(locate, make, change):
    before = make(locate("walk"))
    change(*FARTHER)
    assert not locate("walk").judged()
    change(FARTHER[0], FARTHER[2], FARTHER[1])
    assert locate("walk").judged()
    assert locate("walk").verdicts == before.verdicts


# ------------------------------------------------------------------------------- which step's last attempt failed


def _log(results, step, text):
    results.view.mkdir(parents=True, exist_ok=True)
    (results.view / f"{step}.log").write_text(text)


def test_a_step_that_ended_is_not_told(locate, make):
    coin = make(locate("coin"), "run", "assemble")
    _log(coin, "run", "coin: records in results\n")
    assert last_failure(coin) == ""


@pytest.mark.parametrize("step", ["run", "judge", "plot"])
def test_a_step_that_ended_well_is_not_told_to_have_failed_when_a_source_is_changed(locate, make, change, step):
    _log(make(locate("walk")), step, f"walk: records in results\n{step}{DONE}\n")
    change(*FARTHER)
    assert last_failure(locate("walk")) == ""
    _log(locate("walk"), step, "")
    assert f"to {step} it did not end well" in last_failure(locate("walk"))


def test_a_study_never_tried_has_not_failed(locate):
    assert last_failure(locate("coin")) == ""


def test_an_error_is_quoted_with_its_log(locate):
    _log(locate("coin"), "run", "coin: starting\nclaimcheck: disk full\n")
    assert last_failure(locate("coin")).endswith("run.log, which ends: disk full")


def test_of_a_run_in_pieces_the_log_of_the_one_that_failed_is_named(locate):
    walk = locate("walk")
    digest = walk.parts["walks"].digest
    _log(walk, f"run-walks-{digest}-1-of-2", "claimcheck: disk full\n")
    _log(walk, f"run-walks-{digest}-2-of-2", "walk: a piece in results\n")
    _log(walk, "run-walks-0123456789abcdef-1-of-2", "claimcheck: of an earlier source\n")
    assert last_failure(walk).endswith(f"run-walks-{digest}-1-of-2.log, which ends: disk full")


def test_a_kill_leaves_a_log_and_nothing_else(locate):
    _log(locate("coin"), "run", "")
    assert "to run it did not end well" in last_failure(locate("coin"))


def test_old_records_do_not_hide_that_the_new_attempt_failed(locate, make, change):
    make(locate("walk"))
    change(*FARTHER)
    _log(locate("walk"), "run", "Traceback (most recent call last):\nMemoryError\n")
    assert last_failure(locate("walk")).endswith("MemoryError")


def test_the_first_step_that_failed_is_told(locate, make):
    coin = make(locate("coin"), "run", "assemble")
    for step in ("judge", "plot"):
        _log(coin, step, "claimcheck: no\n")
    assert "to judge it" in last_failure(coin)
