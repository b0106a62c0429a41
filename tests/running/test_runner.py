"""Making a study's parts: records, tuning, shards, kept work, facts."""

import dataclasses
import re
import shutil
import threading

import numpy as np
import pandas as pd
import pytest

from claimcheck import load_records
from claimcheck.errors import ClaimcheckError
from claimcheck.results import records, view
from claimcheck.results.provenance import machine, machines
from claimcheck.results.state import locate
from claimcheck.running import cost, runner
from claimcheck.running.devices import machine_for
from claimcheck.spec.reading import load_study

TUNED = '''
import pandas as pd


def run_tosses(runs, context):
    """Loss is least at the learning rate that equals the gain."""
    rows = []
    for run in runs.itertuples():
        for step in (0, 1):
            noise = context.numpy_generator(run.seed, "noise").normal() * 1e-3
            rows.append({"run": run.run, "step": step, "loss": (run.learning_rate - run.gain) ** 2 * step + noise})
    return pd.DataFrame(rows)
'''


@pytest.fixture
def results_of(studies, config):
    """results_of(name): a study's results as its files stand now."""
    return lambda name="coin", **changes: locate(
        load_study(studies, name), config.model_copy(update=changes), machine_for("cpu")
    )


@pytest.fixture
def tuned(studies, edit, results_of):
    """The coin turned into a study whose one part tunes a learning rate for two gains."""

    def change(raw):
        raw["parts"]["tosses"] = {
            "factors": {"gain": {"values": [0.1, 0.2]}},
            "tune": {"factor": "learning_rate", "values": [0.1, 0.2, 0.3], "minimise": "loss", "seeds": 3},
            "index": ["step"],
        }
        raw["scales"] = {"smoke": {"seeds": 4}}
        raw["figures"] = []
        raw["claims"][0]["predictions"][0]["measure"] = {"value": "loss", "of": {"gain": 0.1}}
        raw["claims"][0]["predictions"][0]["controls"] = {"none": "The choice is what is tested."}

    edit("coin", change)
    (studies / "coin" / "runs.py").write_text(TUNED)
    return results_of()


def made(results):
    """The results with all parts made, assembled and published."""
    runner.run_parts(results, results.parts)
    runner.assemble(results)
    view.publish(results)
    return results


def test_records_are_tidy_and_lie_where_people_read(results_of):
    results = made(results_of())
    frame = load_records(results.view)
    assert list(frame.columns) == ["part", "run", "seed", "bias", "heads", "status"]
    assert len(frame) == 2 * 14
    assert frame["heads"].dtype == "float64"
    assert not (results.view / "parts" / ".work").exists()


def test_the_same_run_writes_the_same_bytes(results_of):
    results = made(results_of())
    first = results.records.read_bytes()
    runner.run_parts(results, results.parts, again=True)
    runner.assemble(results)
    assert results.records.read_bytes() == first


def test_what_is_there_is_not_made_again(results_of):
    results = made(results_of("walk"))
    before = {path: path.stat().st_mtime_ns for files in results.parts.values() for path in files.files}
    assert runner.run_parts(results, results.parts) == []
    assert {path: path.stat().st_mtime_ns for path in before} == before
    results.parts["aimed"].records.unlink()
    assert runner.run_parts(results, results.parts) == ["aimed"]


def test_tuning_uses_pilot_seeds_only_and_is_recorded(tuned):
    results = made(tuned)
    frame, table = load_records(results.view), pd.read_parquet(results.view / "tuning.parquet")
    assert frame.groupby("gain")["learning_rate"].unique().map(list).to_dict() == {0.1: [0.1], 0.2: [0.2]}
    assert frame["seed"].max() < 10_000
    chosen = table[table["chosen"]].set_index("gain")
    assert chosen["learning_rate"].to_dict() == {0.1: 0.1, 0.2: 0.2}
    assert chosen["at_edge"].to_dict() == {0.1: False, 0.2: False}
    tried = table.groupby("gain")["learning_rate"].apply(list).to_dict()
    assert tried == {0.1: [0.05, 0.1, 0.2, 0.3], 0.2: [0.05, 0.1, 0.2, 0.3]}, "the grid went on for both"
    facts = results.read_provenance().parts["tosses"]
    assert (facts.pilot_seeds, facts.arms, facts.arms_at_edge, facts.arms_failed) == (3, 2, 0, 0)


def test_arms_at_an_edge_and_arms_that_failed_are_counted(edit, studies, tuned, results_of):
    edit("coin", lambda raw: raw["parts"]["tosses"]["tune"].update(extend=1))
    facts = made(results_of()).read_provenance().parts["tosses"]
    assert (facts.arms, facts.arms_at_edge, facts.arms_failed) == (2, 1, 0)
    lost = TUNED.replace('"loss": (', '"loss": float("nan") if run.gain == 0.1 else (')
    (studies / "coin" / "runs.py").write_text(
        lost.replace('"step": step,', '"step": step, "status": "ok" if run.gain == 0.2 else "diverged",')
    )
    facts = made(results_of()).read_provenance().parts["tosses"]
    assert (facts.arms, facts.arms_at_edge, facts.arms_failed) == (2, 0, 1)


def test_pilots_that_were_run_already_are_read(tuned):
    table = runner.tune_part(tuned, "tosses")
    before = table.read_bytes(), table.stat().st_mtime_ns
    made(tuned)
    assert (table.read_bytes(), table.stat().st_mtime_ns) == before


def test_a_part_of_which_every_run_diverged_keeps_its_metrics():
    base = {"seed": [0, 1], "step": 1}
    lost = pd.DataFrame({"part": "lost", "run": ["a", "b"], **base, "loss": np.nan, "status": "diverged"})
    other = pd.DataFrame({"part": "other", "run": ["c", "d"], **base, "arm": "x", "error": 0.1, "status": "ok"})
    both = records.concatenate([lost, other])
    assert set(records.part_of(both, "lost")) == {"part", "run", "seed", "step", "loss", "error", "status"}
    assert set(records.part_of(both, "other")) == set(other.columns)
    half = records.concatenate([lost.assign(status=["ok", "diverged"]), other])
    assert "loss" not in records.part_of(half, "lost"), "with a run that went well, an empty column is another part's"


@pytest.mark.parametrize("shards", [2, 11])
def test_shards_join_to_the_same_records_and_the_same_choice(tuned, shards):
    runner.run_parts(tuned, tuned.parts)
    files = tuned.parts["tosses"]
    whole, choice = files.read()[0], records.read_sealed(files.tuning, "")[0]
    for path in files.files:
        path.unlink()
    for i in range(1, shards + 1):
        runner.run_shard(tuned, "tosses", (i, shards))
    runner.join_shards(tuned, "tosses", shards)
    assert not (tuned.view / "parts" / ".work").exists(), "finished ensembles of the pieces"
    joined, facts = files.read()
    pd.testing.assert_frame_equal(joined, whole)
    pd.testing.assert_frame_equal(records.read_sealed(files.tuning, "")[0], choice)
    assert (facts.shards, facts.arms) == (shards, 2)
    assert sum(each.runs for each in facts.ensembles) == 2 * 4 * 3 + 2 * 4, "with the grid's fourth value"


def test_a_part_made_on_several_machines_names_them_all(tuned):
    """Of its pieces, of its pilots, and of ensembles that a run elsewhere finished and this one kept."""

    def made_elsewhere(path, processor):
        frame, facts = records.read_sealed(path, "")
        facts.get("maker", facts)["machine"]["processor"] = processor
        records.write_sealed(path, frame, facts)

    made_elsewhere(runner.tune_part(tuned, "tosses"), "of the pilots")
    runner.run_shard(tuned, "tosses", (1, 2))
    for path in (tuned.view / "parts" / ".work").glob("*.parquet"):
        made_elsewhere(path, "of kept ensembles")
    runner.run_shard(tuned, "tosses", (1, 2))
    made_elsewhere(runner.run_shard(tuned, "tosses", (2, 2)), "of a piece")
    runner.join_shards(tuned, "tosses", 2)
    facts = tuned.parts["tosses"].read()[1]
    here = machine()["processor"]
    assert facts.machine["processor"] == f"{here}; of kept ensembles; of a piece; of the pilots"
    assert machines([facts]) == f"{facts.machine['processor']}, {facts.machine['instructions']}"
    assert "maker" not in (facts.ensembles[0].model_extra or {})


def test_processes_that_make_different_parts_leave_each_other_alone(results_of):
    results = results_of("walk")
    other = results.view / "parts" / ".work" / "aimed-of-another-process.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"half")
    runner.run_parts(results, ["walks"])
    assert [path.name for path in other.parent.iterdir()] == [other.name]


def test_a_process_that_finishes_the_same_part_first_disturbs_nobody(edit, results_of):
    """It takes away what was kept of the part's ensembles, and their folder, between any two steps of ours."""

    def many(raw):
        raw["parts"]["tosses"]["factors"]["bias"]["values"] = [*(share / 100 for share in range(1, 50)), 0.5, 0.7]

    edit("coin", many)
    results, over = results_of(), threading.Event()
    work = results.view / "parts" / ".work"

    def take_away():
        while not over.is_set():
            runner.forget_ensembles(work, results.parts["tosses"])

    other = threading.Thread(target=take_away)
    other.start()
    try:
        runner.run_parts(results, ["tosses"])
    finally:
        over.set()
        other.join()
    assert results.parts["tosses"].read()[0]["bias"].nunique() == 51


def test_a_part_that_is_made_again_stays_until_the_new_one_is_there(studies, results_of):
    path, fault = studies / "coin" / "runs.py", studies / "fault"
    path.write_text(
        path.read_text().replace("time.sleep", f"assert not __import__('os').path.exists('{fault}'); time.sleep")
    )
    results = made(results_of())
    files = results.parts["tosses"].records
    before = files.read_bytes()
    fault.touch()
    with pytest.raises(ClaimcheckError, match="AssertionError"):
        runner.run_parts(results, results.parts, again=True)
    assert files.read_bytes() == before


def test_a_missing_shard_is_named_with_the_command_that_makes_it(tuned):
    runner.run_shard(tuned, "tosses", (1, 2))
    with pytest.raises(ClaimcheckError, match=r"2-of-2.*claimcheck run coin/tosses .*--shard 2/2"):
        runner.join_shards(tuned, "tosses", 2)


def test_finished_ensembles_survive_a_failure(studies, results_of):
    path = studies / "coin" / "runs.py"
    path.write_text(path.read_text().replace("time.sleep", "1 / (0.7 - runs['bias'].iloc[0]); time.sleep"))
    results = results_of()
    with pytest.raises(ClaimcheckError, match=r"bias=0\.7"):
        runner.run_parts(results, results.parts)
    assert not results.parts["tosses"].records.exists()
    assert len(list((results.view / "parts" / ".work").glob("*.parquet"))) == 1


def test_a_damaged_ensemble_is_computed_again(studies, results_of):
    results = made(results_of())
    whole, files = results.records.read_bytes(), results.parts["tosses"]
    sealed = files.records.read_bytes()
    path = studies / "coin" / "runs.py"
    code = path.read_text()
    path.write_text(code.replace("time.sleep", "1 / (0.7 - runs['bias'].iloc[0]); time.sleep"))
    broken = results_of()
    with pytest.raises(ClaimcheckError):
        runner.run_parts(broken, broken.parts)
    (kept,) = (broken.view / "parts" / ".work").glob("*.parquet")
    kept.write_bytes(kept.read_bytes()[:-7])
    path.write_text(code)
    files.records.unlink()
    made(results)
    assert results.records.read_bytes() == whole
    assert len(files.records.read_bytes()) == pytest.approx(len(sealed), abs=200), "but for the times that it took"


BAD_OUTCOMES = {
    "not a frame": ("return 3", "must return a DataFrame"),
    "a run without rows": ("return pd.DataFrame({'run': runs['run'][1:], 'heads': 0.5})", "have no rows"),
    "an unknown run": ("return pd.DataFrame({'run': [*runs['run'], 'x'], 'heads': 0.5})", "not in the design"),
    "rows twice": ("return pd.DataFrame({'run': [*runs['run'], *runs['run']], 'heads': 0.5})", "are duplicates"),
    "unknown status": ("return pd.DataFrame({'run': runs['run'], 'heads': 0.5, 'status': 'fine'})", "unknown status"),
    "an exception": ("raise RuntimeError('out of luck')", "RuntimeError: out of luck"),
}


@pytest.mark.parametrize("fault", BAD_OUTCOMES)
def test_a_wrong_outcome_is_told(studies, results_of, fault):
    body, cause = BAD_OUTCOMES[fault]
    path = studies / "coin" / "runs.py"
    path.write_text(path.read_text().replace("    time.sleep(context.settings.seconds)\n", f"    {body}\n"))
    results = results_of()
    with pytest.raises(ClaimcheckError, match=cause):
        runner.run_parts(results, results.parts)


def test_a_misspelt_setting_is_told(studies, results_of):
    path = studies / "coin" / "runs.py"
    path.write_text(path.read_text().replace("settings.seconds", "settings.secnds"))
    results = results_of()
    with pytest.raises(ClaimcheckError, match="did you mean 'seconds'"):
        runner.run_parts(results, results.parts)


def test_provenance_names_seeds_versions_and_machine(results_of):
    results = made(results_of())
    facts = results.read_provenance()
    assert facts.seeds == {"tosses": 14}
    part = facts.parts["tosses"]
    assert part.versions["torch"]
    assert part.machine["cores"] >= 1


def test_a_study_of_which_nothing_can_run_says_why(edit, results_of):
    edit("coin", lambda raw: raw["parts"]["tosses"].update(needs_gpu=True))
    with pytest.raises(ClaimcheckError, match=r"no part of the study can run here.*tosses: it needs a GPU"):
        runner.assemble(results_of())


def test_a_part_that_this_machine_cannot_run_counts_where_its_records_are(edit, results_of):
    results = made(results_of())
    files = results.parts["tosses"].records
    kept = files.with_name("kept")
    shutil.move(files, kept)
    edit("coin", lambda raw: raw["parts"]["tosses"].update(needs_gpu=True))
    assert results_of().not_run == {"tosses": "it needs a GPU"}
    shutil.move(kept, files)
    assert list(results_of().parts) == ["tosses"], (
        "needing a GPU is no part of the design, so the file is still its own"
    )


def test_records_that_were_edited_or_have_no_such_part_are_not_read(results_of):
    results = made(results_of())
    path = results.view / "records.parquet"
    with pytest.raises(ClaimcheckError, match="no such part; found 'nosuch'"):
        load_records(results.view, "nosuch")
    with pytest.raises(
        ClaimcheckError, match=rf"is a file; expected a study's results: {re.escape(str(results.view))}$"
    ):
        load_records(path)
    frame = pd.read_parquet(path)
    frame.assign(heads=99.0).to_parquet(path)
    with pytest.raises(ClaimcheckError, match="was changed after the run"):
        load_records(results.view)


def test_records_of_another_study_s_name_are_refused(results_of):
    """The name decides the random numbers; copied to another name the files would look right."""
    results = made(results_of())
    files = next(iter(results.parts.values()))
    with pytest.raises(ClaimcheckError, match="of another study"):
        dataclasses.replace(files, study="another").read()


def shares(work):
    """The shares done that a job tells, in order; `work` takes the listener."""
    told = []
    work(runner.Listener(update=lambda done, total, name: told.append(done / total)))
    return told


def test_progress_ends_at_all_of_it_and_never_goes_beyond(tuned):
    """A grid that is extended, pilots alone, pilots that are there, a piece of a part."""
    for work in (
        lambda listener: runner.tune_part(tuned, "tosses", listener),
        lambda listener: runner.run_shard(tuned, "tosses", (1, 4), listener),
        lambda listener: runner.run_parts(tuned, tuned.parts, listener),
        lambda listener: runner.run_parts(tuned, tuned.parts, listener, again=True),
    ):
        told = shares(work)
        assert told[-1] == 1.0
        assert max(told) == 1.0


def test_a_data_set_that_is_not_there_is_told_before_anything_is_made(studies, edit, results_of):
    def change(raw):
        images = {"extends": "tosses", "settings": {"images": "fashion_mnist"}}
        raw["parts"] = {"tosses": raw["parts"]["tosses"], "pictures": images}

    edit("coin", change)
    runs = studies / "coin" / "runs.py"
    runs.write_text(runs.read_text() + "\n\nrun_pictures = run_tosses\n")
    results = results_of()
    with pytest.raises(ClaimcheckError, match="data set fashion_mnist: the file is missing"):
        runner.run_parts(results, results.parts)
    assert not list(results.view.glob("parts/*"))
    assert runner.run_parts(results, ["tosses"]) == ["tosses"], "a part that does not read it"
    with pytest.raises(ClaimcheckError, match="claimcheck data fetch fashion_mnist --data-dir"):
        cost.estimate(results.study, results.config)
