"""The judge on planted records: verdicts, sensitivity, the null run, checksums, and every kind of bad input."""

from __future__ import annotations

import contextlib
import json
import math

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.results.seals import sealed
from claimcheck.judging import calibration, evidence, null_run, statistics
from claimcheck.judging.judge import CSV_COLUMNS, collect, judge, judged_with, load_verdicts, scaled_region, sensitivity

DESIGN_COLUMNS = "claim,prediction,kind,verdict,estimate,low,high,unit,n,p,region,rule,why,spec_hash,amended"


def _by_id(verdicts):
    return {entry["prediction"]: entry for entry in verdicts}


def test_planted_effects_come_out_as_planted(plant, run_planted):
    study = plant()
    results = run_planted(study)
    found = _by_id(judge(study, "quick", results))
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "better": "supported",
        "sum-is-fixed": "supported",
        "differs": "inconclusive",
        "alike": "supported",
        "wins": "contradicted",
    }
    assert found["better"]["estimate"] == pytest.approx(2.0, abs=0.6)
    assert found["better"]["low"] < 2.0 < found["better"]["high"]
    assert found["better"]["claim_verdict"] == "supported"
    assert found["alike"]["claim_verdict"] == "inconclusive", "a limit takes no part"
    assert found["wins"]["claim_verdict"] == "contradicted"
    assert found["better"]["section"] == "planted"
    assert all(key in found["better"] for key in DESIGN_COLUMNS.split(","))
    assert load_verdicts(results / "quick" / "planted" / "verdicts.json") == list(found.values())


def test_every_verdict_can_be_had_again_from_its_own_entry(plant, run_planted):
    study = plant()
    for entry in judge(study, "quick", run_planted(study)):
        again = statistics.decide(entry["values"], tuple(entry["region"]), average=entry["average"])
        assert (again.verdict, again.p, again.low) == (entry["verdict"], entry["p"], entry["low"])


def test_the_order_of_the_rows_changes_no_byte(plant, run_planted):
    study = plant()
    path = run_planted(study) / "quick" / "planted" / "verdicts.json"
    judge(study, "quick", path.parents[2])
    before = [{**entry, "records_sha256": "", "checksum": ""} for entry in read_json(path)]
    run_planted(study, lambda records: records.sample(frac=1.0, random_state=1))
    judge(study, "quick", path.parents[2])
    assert [{**entry, "records_sha256": "", "checksum": ""} for entry in read_json(path)] == before


def test_too_few_seeds_are_not_run_and_say_so(plant, run_planted):
    study = plant()
    found = judge(study, "smoke", run_planted(study, scale="smoke"))
    assert {entry["verdict"] for entry in found} == {"not run"}
    assert "too few seeds: 4" in found[0]["note"]
    assert found[0]["robust"] is None
    assert found[0]["estimate"] is not None


def test_a_part_that_needs_a_gpu_or_is_left_out_is_not_run(plant, run_planted):
    parts = """parts:
      cpu: {factors: {arm: {values: [a, b], static: true}}}
      gpu: {factors: {arm: {values: [a, b]}}, needs_gpu: true}
      later: {factors: {arm: {values: [a, b]}}, seeds: 0}
    """
    study = plant(
        {
            "factors:\n  arm: {values: [a, b], static: true}\n": parts,
            "statistic: unmoved, region: [0.0, null]": "statistic: unmoved, part: gpu, region: [0.0, null]",
            "statistic: moved_down,": "statistic: moved_down, part: later,",
            "statistic: moved_up,": "statistic: moved_up, part: cpu,",
        },
        {"def run(": "run_gpu = run_later = lambda runs, context: None\n\n\ndef run_cpu("},
    )
    frame = pd.concat(
        [
            pd.DataFrame(
                {"part": "cpu", "run": f"cpu:arm={arm}:{seed}", "seed": seed, "arm": [arm], "up": move + seed % 3}
            )
            for arm, move in [("a", 0.0), ("b", 4.0)]
            for seed in range(16)
        ]
    ).assign(same=0.0, two=2.0, status="ok")
    found = evidence.check(study, "quick", frame)
    assert found.absent == {"gpu": "part gpu needs a GPU", "later": "part later is not run at scale quick"}
    from claimcheck.judging.judge import verdicts_of

    verdicts = _by_id(verdicts_of(found))
    assert verdicts["better"]["verdict"] == "supported"
    assert (verdicts["differs"]["verdict"], verdicts["differs"]["note"]) == ("not run", "part gpu needs a GPU")
    assert verdicts["wins"]["note"] == "part later is not run at scale quick"
    assert verdicts["wins"]["claim_verdict"] == "not run"


# ------------------------------------------------------------------------------------------------ sensitivity


@pytest.mark.parametrize(
    ("region", "halved", "doubled"),
    [
        ((0.4, None), (0.2, None), (0.8, None)),
        ((None, -0.4), (None, -0.2), (None, -0.8)),
        ((-0.02, 0.02), (-0.01, 0.01), (-0.04, 0.04)),
        ((0.9, 1.1), (0.95, 1.05), (0.8, 1.2)),
        ((0.0, None), None, None),
    ],
)
def test_a_threshold_is_halved_and_doubled_as_its_region_means_it(region, halved, doubled):
    for factor, expected in [(0.5, halved), (2.0, doubled)]:
        found = scaled_region(region, factor)
        assert found == (expected and pytest.approx(expected))


def test_a_threshold_of_a_share_is_scaled_as_its_distance_from_one():
    shares = np.array([0.6, 1.0, 0.9])
    assert scaled_region((0.9, None), 2.0, shares) == (pytest.approx(0.8), None)
    assert scaled_region((None, 0.99), 0.5, shares) == (None, pytest.approx(0.995))
    assert scaled_region((0.5, None), 0.5, shares) == (pytest.approx(0.75), None)
    assert scaled_region((0.05, None), 2.0, shares) == (pytest.approx(0.1), None)
    assert scaled_region((0.9, None), 2.0, 2 * shares) == (pytest.approx(1.8), None), "no share: a number above 1"


def test_robust_and_fragile(plant, run_planted):
    study = plant(
        {"statistic: moved_up, region: [0.0, null]": "statistic: moved_up, region: [1.2, null]"},
        {'return _difference(records, "up")': "return 2.0 + 0.1 * _difference(records, 'same')"},
    )
    found = _by_id(judge(study, "quick", run_planted(study)))
    fragile = found["better"]
    assert (fragile["verdict"], fragile["robust"]) == ("supported", "fragile")
    assert fragile["sensitivity"]["threshold halved"] == "supported"
    assert fragile["sensitivity"]["threshold doubled"] != "supported"
    assert fragile["sensitivity"]["half the seeds"] == "supported"
    assert found["sum-is-fixed"]["robust"] == "robust"
    assert found["differs"]["sensitivity"]["threshold halved"] is None, "a threshold of 0 has no scale"


def test_half_the_seeds_are_never_fewer_than_can_decide(plant):
    prediction = plant().claims[0].predictions[0]
    assert sensitivity(np.full(12, 1.0), prediction)["half the seeds"] is None
    assert sensitivity(np.full(16, 1.0), prediction)["half the seeds"] == "supported"
    values = np.concatenate([np.full(20, 1.0), np.full(20, -1.0)])
    assert sensitivity(values, prediction)["half the seeds"] == "supported"


def test_skewed_values_carry_a_note(plant, run_planted):
    study = plant(code={'return _difference(records, "up")': "return np.exp(3 * _difference(records, 'same'))"})
    results = run_planted(study)
    entry = _by_id(judge(study, "quick", results))["better"]
    assert "the values are skewed" in entry["note"]
    assert entry["skewness"] > 1
    assert calibration.main("quick", results, n=11, m=1)["skewed"] == ["better"]


# ------------------------------------------------------------------------------------------------ the null run


def test_the_null_run_finds_no_difference_between_arms(plant, run_planted):
    study = plant()
    results = run_planted(study)
    entries = _by_id(judge(study, "quick", results, shuffle=True))
    assert entries["better"]["verdict"] == "inconclusive"
    assert entries["wins"]["verdict"] != "supported"
    assert entries["sum-is-fixed"]["reason"] == "does not compare arms"
    written = read_json(results / "quick" / "planted" / "shuffled.json")
    assert written["suspicious"] == []
    assert written["supported"] == sum(entry["verdict"] == "supported" for entry in entries.values())
    assert not (results / "quick" / "planted" / "verdicts.json").exists()


def test_judging_makes_the_null_run_too_and_it_is_the_same_each_time(plant, run_planted):
    study = plant()
    results = run_planted(study)
    judge(study, "quick", results)
    first = (results / "quick" / "planted" / "shuffled.json").read_bytes()
    judge(study, "quick", results, shuffle=True)
    assert (results / "quick" / "planted" / "shuffled.json").read_bytes() == first


def test_shuffling_swaps_arms_within_a_seed_and_nothing_else(plant, run_planted):
    study = plant()
    found = evidence.read(study, "quick", run_planted(study))
    shuffled = null_run.shuffled_records(found)
    pd.testing.assert_frame_equal(shuffled.drop(columns="arm"), found.records.drop(columns="arm"))
    assert shuffled.groupby("seed")["arm"].apply(sorted).tolist() == [["a", "b"]] * 16
    swapped = (shuffled["arm"] != found.records["arm"]).groupby(shuffled["seed"]).mean()
    assert 0 < swapped.sum() < 16, "some seeds swap, some do not"
    assert found.records["arm"].equals(evidence.read(study, "quick", run_planted(study)).records["arm"])


def test_a_claim_that_survives_the_shuffle_is_named_as_suspicious(plant, run_planted):
    # a square exceeds 0 whichever arm is which: the prediction holds whatever the data say
    study = plant(
        {"statistic: moved_up, region: [0.0, null]": "statistic: moved_up, region: [0.01, null]"},
        {'return _difference(records, "up")': "return records.query('arm == \"b\"').set_index('seed')['up'] ** 2 + 1"},
    )
    results = run_planted(study)
    judge(study, "quick", results)
    assert read_json(results / "quick" / "planted" / "shuffled.json")["suspicious"] == ["better"]


def test_a_statistic_that_a_shuffle_breaks_is_not_run_there(plant, run_planted):
    study = plant(
        code={
            'return _difference(records, "up")': "assert records.iloc[0].arm == 'a'; return _difference(records, 'up')"
        }
    )
    results = run_planted(study)
    found = evidence.read(study, "quick", results)
    broken = found.with_records(found.records.assign(arm=found.records["arm"].map({"a": "b", "b": "a"})))
    assert null_run._decision(broken, study.claims[0].predictions[0]).verdict == "not run"


# ------------------------------------------------------------------------------------------------ files


def test_each_entry_says_what_it_was_judged_with(plant, run_planted):
    study = plant()
    found = judge(study, "quick", run_planted(study))
    assert {entry["judged_with"] for entry in found} == {judged_with(study, "quick")}
    texts = plant({"Two arms of random numbers": "Two arms of noise"}, {"draws = ": "draws = 1.0 * "})
    assert judged_with(texts, "quick") == found[0]["judged_with"], "neither the method nor the run judges"
    statistic = plant(code={'_difference(records, "up")': '1.0 * _difference(records, "up")'})
    assert judged_with(statistic, "quick") != found[0]["judged_with"]


def test_all_verdicts_are_gathered_in_one_table(plant, run_planted):
    study = plant(code={'return _difference(records, "up")': "return _difference(records, 'up') * np.inf"})
    results = run_planted(study)
    judge(study, "quick", results)
    table = pd.read_csv(collect("quick", results))
    assert list(table.columns) == list(CSV_COLUMNS)
    assert ",".join(table.columns).startswith("study," + DESIGN_COLUMNS)
    assert table["study"].eq("planted").all()
    assert len(table) == 5
    assert [json.loads(text) for text in table["region"]][-1] == [0.5, None]
    assert table["estimate"].iloc[0] == math.inf
    assert load_verdicts(results / "quick" / "planted" / "verdicts.json")[0]["estimate"] == math.inf


def test_no_verdicts_make_an_empty_table(tmp_path):
    assert pd.read_csv(collect("quick", tmp_path)).empty


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[0].update(verdict="contradicted"),
        lambda entries: entries[0].update(estimate=3.0),
        lambda entries: entries[1]["values"].__setitem__(0, 0.0),
        lambda entries: entries[0].pop("checksum"),
        lambda entries: entries[0].update(verdict="perhaps"),
        lambda entries: entries.append("text"),
    ],
)
def test_a_hand_edited_verdict_is_found(plant, run_planted, change):
    study = plant()
    results = run_planted(study)
    judge(study, "quick", results)
    path = results / "quick" / "planted" / "verdicts.json"
    entries = read_json(path)
    change(entries)
    write_json(path, entries)
    with pytest.raises(ClaimcheckError, match="judge"):
        collect("quick", results)


def test_a_flipped_bit_anywhere_in_the_verdicts_is_found(plant, run_planted):
    study = plant()
    results = run_planted(study)
    entries = judge(study, "quick", results)
    path = results / "quick" / "planted" / "verdicts.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        path.write_bytes(damaged)
        with contextlib.suppress(ClaimcheckError):
            assert load_verdicts(path) == entries, "only what means the same may pass"


# ------------------------------------------------------------------------------------------------ bad input


def _mixed(records):
    return records.assign(status=["ok"] * 31 + ["exploded"])


BAD_RECORDS = {
    "empty records": (lambda r: r.iloc[:0], "study planted has no rows here"),
    "one seed": (lambda r: r[r.seed == 0], "seeds of study planted are missing.*1, 2, 3, 4, 5 and 10 more"),
    "missing seed": (lambda r: r[r.seed != 7], "seeds of study planted are missing.*'7'"),
    "missing run": (lambda r: r.iloc[1:], "runs of study planted are missing.*main:arm=a:0"),
    "surplus seed": (lambda r: pd.concat([r, r.iloc[:1].assign(seed=10_000, run="x")]), "not in the design.*10000"),
    "row twice": (lambda r: pd.concat([r, r.iloc[:1]]), r"2 rows of study planted share one \(run, index\).*arm=a:0"),
    "no seed column": (lambda r: r.drop(columns="seed"), "column missing.*'seed'"),
    "no status column": (lambda r: r.drop(columns="status"), "column missing.*'status'"),
    "unknown part": (lambda r: r.assign(part="mian"), "no such part.*'mian'.*did you mean 'main'"),
    "unknown status": (_mixed, "unknown status.*'exploded'"),
    "no seed in a row": (
        lambda r: r.assign(seed=[None, *r.seed[1:]]),
        "1 rows of study planted lack part, run or seed",
    ),
    "no metric column": (lambda r: r.drop(columns="up"), "better.*column or label that is not there.*'up'"),
    "NaN in a metric": (
        lambda r: r.assign(up=r.up.where(r.seed != 3)),
        r"prediction better\): is NaN; found 'seeds 3'",
    ),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_records_are_one_clear_error(plant, run_planted, name):
    change, message = BAD_RECORDS[name]
    study = plant()
    results = run_planted(study, change)
    with pytest.raises(ClaimcheckError, match=message) as raised:
        judge(study, "quick", results)
    assert "\n" not in str(raised.value)
    assert "planted" in str(raised.value)
    assert not (results / "quick" / "planted" / "verdicts.json").exists()


BAD_STATISTICS = {
    "drops a seed": ("return _difference(records, 'up').iloc[1:]", "drops 1 of 16 seeds; found 'none for 0'"),
    "drops diverged": ("return _difference(records[records.seed > 3], 'up')", "drops 4 of 16 seeds.*0, 1, 2, 3"),
    "gives a seed twice": ("return records.set_index('seed')['up']", "gives a seed more than once"),
    "a number": ("return 3.0", "must return a pandas Series indexed by seed; found 'float'"),
    "None": ("return None", "must return a pandas Series"),
    "a frame": ("return records", "must return a pandas Series"),
    "words": ("return _difference(records, 'up').map(str) + 'x'", "is not a number for every seed"),
    "indexed by run": ("return records.set_index('run')['up']", "drops 16 of 16 seeds"),
    "NaN": ("return _difference(records, 'up') * np.nan", "is NaN; found 'seeds 0, 1, 2, 3, 4 and 11 more'"),
    "unknown column": ("return records.groupby('seed')['upp'].mean()", "'upp'.*did you mean 'up'"),
    "unknown arm": ("return records.pivot(index='seed', columns='arm', values='up')['c']", "that is not there in line"),
    "an exception": ("return 1 / 0", r"failed in line \d+ \(ZeroDivisionError"),
    "an index error": ("return records.iloc[9999]", "failed in line.*IndexError"),
    "one's own error": ("from claimcheck.errors import ClaimcheckError; raise ClaimcheckError('odd planted')", "odd"),
}


@pytest.mark.parametrize("name", BAD_STATISTICS)
def test_a_faulty_statistic_is_one_clear_error(plant, run_planted, name):
    body, message = BAD_STATISTICS[name]
    study = plant(code={'return _difference(records, "up")': body})
    results = run_planted(study)
    with pytest.raises(ClaimcheckError, match=message) as raised:
        judge(study, "quick", results)
    assert "\n" not in str(raised.value)
    assert "planted" in str(raised.value)


def test_all_faulty_statistics_are_told_at_once(plant, run_planted):
    study = plant(
        code={'return _difference(records, "up")': "return 1", 'return _difference(records, "down")': "return 2"}
    )
    with pytest.raises(ClaimcheckError, match=r"better.*and 1 more.*wins"):
        judge(study, "quick", run_planted(study))


def test_a_statistic_cannot_change_the_records_of_the_next(plant, run_planted):
    study = plant(
        code={
            'return _difference(records, "up")': "records['same'] = 5.0 * (records.arm == 'b')\n"
            "    return records.groupby('seed')['up'].mean()"
        }
    )
    assert _by_id(judge(study, "quick", run_planted(study)))["differs"]["verdict"] == "inconclusive"


def test_constant_and_infinite_statistics_have_a_defined_verdict(plant, run_planted):
    study = plant(
        code={
            'return _difference(records, "up")': "return _difference(records, 'up') * 0 + 1.0",
            'return _difference(records, "down")': "found = _difference(records, 'down')\n"
            "    found.iloc[:3] = -np.inf\n"
            "    return found",
        }
    )
    found = _by_id(judge(study, "quick", run_planted(study)))
    assert (found["better"]["verdict"], found["better"]["low"], found["better"]["high"]) == ("supported", 1.0, 1.0)
    assert (found["wins"]["verdict"], found["wins"]["average"]) == ("contradicted", "median")


def test_a_flipped_byte_in_the_records_is_found(plant, run_planted):
    study = plant()
    results = run_planted(study)
    path = results / "quick" / "planted" / "records.parquet"
    write_json(
        path.with_name("provenance.json"), sealed({"files": {"records.parquet": "0" * 64}, "seeds": {"main": 16}})
    )
    with pytest.raises(ClaimcheckError, match="not the file that the run wrote"):
        judge(study, "quick", results)


def test_truncated_records_are_told(plant, run_planted):
    study = plant()
    results = run_planted(study)
    path = results / "quick" / "planted" / "records.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ClaimcheckError, match="not a readable parquet file"):
        judge(study, "quick", results)


def test_records_that_are_not_there_are_told(plant, tmp_path):
    with pytest.raises(ClaimcheckError, match=r"no records to judge.*claimcheck run planted"):
        judge(plant(), "quick", tmp_path)


def test_the_number_of_seeds_that_was_run_is_the_number_expected(plant, run_planted):
    study = plant()
    results = run_planted(study, lambda records: records[records.seed < 12])
    path = results / "quick" / "planted" / "records.parquet"
    found = judge(study, "quick", results, seeds=12)
    assert found[0]["n"] == 12
    write_json(path.with_name("provenance.json"), sealed({"seeds": {"main": 12}}))
    assert judge(study, "quick", results) == found
    write_json(path.with_name("provenance.json"), sealed({"seeds": {"main": 16}}))
    with pytest.raises(ClaimcheckError, match="seeds of study planted are missing"):
        judge(study, "quick", results)
