"""Running a study: records, tuning, shards, kept work, staleness."""

import numpy as np
import pandas as pd
import pytest

from claimcheck.results import digests as fingerprint
from claimcheck import load_records
from claimcheck.results import records
from claimcheck.running import runner
from claimcheck.results import state as staleness
from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json
from claimcheck.spec.reading import load_study

TUNED = '''
import pandas as pd

def run(runs, context):
    """Loss is least at the learning rate that equals the gain; the last gain blows up at 0.3."""
    rows = []
    for run in runs.itertuples():
        for step in (0, 1):
            noise = context.numpy_generator(run.seed, "noise").normal() * 1e-3
            rows.append({"run": run.run, "step": step, "loss": (run.learning_rate - run.gain) ** 2 * step + noise})
    frame = pd.DataFrame(rows)
    frame["status"] = "ok"
    return frame

def loss(records):
    return records[records.step == 1].groupby("seed")["loss"].mean()
'''


@pytest.fixture
def tuned(studies, edit):
    def change(raw):
        raw.pop("factors")
        raw["parts"] = {
            "main": {
                "factors": {"gain": {"values": [0.1, 0.2]}},
                "tune": {"factor": "learning_rate", "values": [0.1, 0.2, 0.3], "minimise": "loss", "seeds": 3},
            }
        }
        raw["scales"] = {"smoke": {"seeds": 4}}
        raw["figures"] = []
        raw["claims"][0]["predictions"][0]["statistic"] = "loss"

    edit("coin", change)
    (studies / "coin" / "study.py").write_text(TUNED + "\nrun_main = run\n")
    return load_study(studies, "coin")


def test_records_are_tidy_and_sealed(studies, config):
    folder = runner.run_study(load_study(studies, "coin"), config)
    records = load_records(folder)
    assert list(records.columns) == ["part", "run", "seed", "bias", "heads", "status"]
    assert len(records) == 2 * 12
    assert records["heads"].dtype == "float64"
    assert not (folder / ".work").exists()
    assert runner.up_to_date(load_study(studies, "coin"), config)


def test_the_same_run_writes_the_same_bytes(studies, config):
    study = load_study(studies, "coin")
    first = (runner.run_study(study, config) / "records.parquet").read_bytes()
    assert (runner.run_study(study, config) / "records.parquet").read_bytes() == first


def test_tuning_uses_pilot_seeds_only_and_is_recorded(tuned, config):
    folder = runner.run_study(tuned, config)
    records, table = load_records(folder), pd.read_parquet(folder / "tuning.parquet")
    assert records.groupby("gain")["learning_rate"].unique().map(list).to_dict() == {0.1: [0.1], 0.2: [0.2]}
    assert records["seed"].max() < 10_000
    chosen = table[table["chosen"]].set_index("gain")
    assert chosen["learning_rate"].to_dict() == {0.1: 0.1, 0.2: 0.2}
    assert chosen["at_edge"].to_dict() == {0.1: True, 0.2: False}


def test_a_part_of_which_every_run_diverged_keeps_its_metrics():
    base = {"seed": [0, 1], "step": 1}
    lost = pd.DataFrame({"part": "lost", "run": ["a", "b"], **base, "loss": np.nan, "status": "diverged"})
    other = pd.DataFrame({"part": "other", "run": ["c", "d"], **base, "arm": "x", "error": 0.1, "status": "ok"})
    both = records.concatenate([lost, other])
    assert set(records.part_of(both, "lost")) == {"part", "run", "seed", "step", "loss", "error", "status"}
    assert set(records.part_of(both, "other")) == set(other.columns)
    half = records.concatenate([lost.assign(status=["ok", "diverged"]), other])
    assert "loss" not in records.part_of(half, "lost"), "with a run that went well, an empty column is another part's"


@pytest.mark.parametrize("shards", [2, 5])
def test_shards_merge_to_the_same_bytes(tuned, config, shards):
    whole = (runner.run_study(tuned, config) / "records.parquet").read_bytes()
    for i in range(1, shards + 1):
        runner.run_study(tuned, config, shard=(i, shards))
    folder = runner.merge_shards(tuned, config, shards)
    assert (folder / "records.parquet").read_bytes() == whole


def test_a_missing_shard_is_named(tuned, config):
    runner.run_study(tuned, config, shard=(1, 2))
    with pytest.raises(ClaimcheckError, match="2-of-2"):
        runner.merge_shards(tuned, config, 2)


def test_finished_ensembles_survive_a_failure(studies, config):
    path = studies / "coin" / "study.py"
    good = path.read_text()
    path.write_text(good.replace("time.sleep", "1 / (0.7 - runs['bias'].iloc[0]); time.sleep"))
    study = load_study(studies, "coin")
    with pytest.raises(ClaimcheckError, match=r"bias=0\.7"):
        runner.run_study(study, config)
    folder = config.results_of("coin")
    assert not (folder / "records.parquet").exists()
    assert len(list((folder / ".work").glob("*.parquet"))) == 1


def test_a_damaged_checkpoint_is_computed_again(studies, config, monkeypatch):
    study = load_study(studies, "coin")
    whole = (runner.run_study(study, config) / "records.parquet").read_bytes()
    monkeypatch.setattr(runner, "_finish", lambda *words: None)
    runner.run_study(study, config)
    kept = sorted((config.results_of("coin") / ".work").glob("*.parquet"))
    kept[0].write_bytes(kept[0].read_bytes()[:-7])
    kept[1].write_bytes(kept[1].read_bytes().replace(b"coin", b"cion"))
    monkeypatch.undo()
    assert (runner.run_study(study, config) / "records.parquet").read_bytes() == whole


BAD_OUTCOMES = {
    "not a frame": ("return 3", "must return a DataFrame"),
    "a run without rows": ("return pd.DataFrame({'run': runs['run'][1:], 'heads': 0.5})", "have no rows"),
    "an unknown run": ("return pd.DataFrame({'run': [*runs['run'], 'x'], 'heads': 0.5})", "not in the design"),
    "rows twice": ("return pd.DataFrame({'run': [*runs['run'], *runs['run']], 'heads': 0.5})", "stand twice"),
    "unknown status": ("return pd.DataFrame({'run': runs['run'], 'heads': 0.5, 'status': 'fine'})", "unknown status"),
    "an exception": ("raise RuntimeError('out of luck')", "RuntimeError: out of luck"),
}


@pytest.mark.parametrize("fault", BAD_OUTCOMES)
def test_a_wrong_outcome_is_told(studies, config, fault):
    body, cause = BAD_OUTCOMES[fault]
    path = studies / "coin" / "study.py"
    path.write_text(path.read_text().replace("    time.sleep(context.settings.seconds)\n", f"    {body}\n"))
    with pytest.raises(ClaimcheckError, match=cause):
        runner.run_study(load_study(studies, "coin"), config)


def test_a_misspelt_setting_is_told(studies, config):
    path = studies / "coin" / "study.py"
    path.write_text(path.read_text().replace("settings.seconds", "settings.secnds"))
    with pytest.raises(ClaimcheckError, match="did you mean 'seconds'"):
        runner.run_study(load_study(studies, "coin"), config)


def test_why_names_what_changed(studies, edit, config):
    def lines():
        return staleness.explain(load_study(studies, "coin"), config)

    assert lines()[0].startswith("run: would run")
    runner.run_study(load_study(studies, "coin"), config)
    assert lines()[0] == "run: up to date"
    edit("coin", lambda raw: raw.update(title="New title", notes="new notes"))
    assert lines()[0] == "run: up to date"
    edit("coin", lambda raw: raw["scales"]["full"].update(tosses=1))
    assert lines()[0] == "run: up to date"
    edit("coin", lambda raw: raw["scales"]["smoke"].update(tosses=111))
    assert "design changed" in lines()[0]


def test_a_flipped_byte_in_the_records_is_found(studies, config):
    study = load_study(studies, "coin")
    path = runner.run_study(study, config) / "records.parquet"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    assert not runner.up_to_date(study, config)
    assert "not the file that the run wrote" in staleness.explain(study, config)[0]


def test_provenance_names_seeds_versions_and_machine_but_no_user(studies, config):
    import getpass
    import socket

    folder = runner.run_study(load_study(studies, "coin"), config)
    facts = read_json(folder / "provenance.json")
    assert facts["seeds"] == {"main": 12}
    assert facts["versions"]["torch"]
    assert facts["machine"]["cores"] >= 1
    text = (folder / "provenance.json").read_text()
    assert socket.gethostname() not in text
    assert getpass.getuser() == "root" or getpass.getuser() not in text


def test_fingerprint_follows_what_the_runs_reach(studies, config):
    path = studies / "coin" / "study.py"

    def ingredients():
        return fingerprint.run_parts(load_study(studies, "coin"), "smoke", config)

    first = ingredients()
    path.write_text(path.read_text().replace("Dots, one a run.", "Dots. One a run."))
    assert ingredients() == first
    path.write_text(path.read_text().replace("One row a run", "A row a run").replace("'tosses'", '"throws"'))
    path.write_text(path.read_text().replace('"tosses"', '"throws"'))
    changed = fingerprint.differences(first, ingredients())
    assert changed == ["study.py (what the runs reach) changed"]


def test_fingerprint_closure_holds_exactly_the_modules_imported(studies, config):
    path = studies / "coin" / "study.py"
    before = fingerprint.run_parts(load_study(studies, "coin"), "smoke", config)
    assert "claimcheck.engine.optimizers" not in before
    assert {"claimcheck.design", "claimcheck.streams", "claimcheck.context"} <= set(before)
    path.write_text(
        "from claimcheck.engine.train import train\n" + path.read_text().replace("shares = [", "train; shares = [")
    )
    after = fingerprint.run_parts(load_study(studies, "coin"), "smoke", config)
    assert {"claimcheck.engine.train", "claimcheck.engine.optimizers", "claimcheck.engine.schedules"} <= set(after)
    assert not {"claimcheck.report", "claimcheck.judging.judge", "claimcheck.style"} & set(after)
