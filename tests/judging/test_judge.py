"""The judge on planted records: verdicts, sensitivity, the null run, checksums, and every kind of bad input."""

from __future__ import annotations

import contextlib
import io
import json
import math

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.judging import calibration, evidence, null_run, statistics
from claimcheck.judging.judge import CSV_COLUMNS, judge, scaled_region, sensitivity, table
from claimcheck.results.seals import sealed
from claimcheck.results.verdicts import read_verdicts

UP = 'return _difference(records, "up")'
DESIGN_COLUMNS = "claim,prediction,kind,verdict,estimate,low,high,unit,n,p,region,rule,why,spec_hash,amended"


def _by_id(verdicts):
    return {entry["prediction"]: entry for entry in verdicts}


def test_planted_effects_come_out_as_planted(plant, run_planted):
    results = run_planted(plant())
    found = _by_id(judge(results))
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
    read = [{key: value for key, value in entry.items() if key != "checksum"} for entry in results.read_verdicts()]
    assert read == json.loads(json.dumps(list(found.values())))


def test_every_verdict_can_be_had_again_from_its_own_entry(plant, run_planted):
    for entry in judge(run_planted(plant())):
        again = statistics.decide(entry["values"], tuple(entry["region"]), average=entry["average"])
        assert (again.verdict, again.p, again.low) == (entry["verdict"], entry["p"], entry["low"])


def test_the_order_of_the_rows_changes_no_byte(plant, run_planted, rewrite):
    def judged():
        judge(results)
        return [{**entry, "records_sha256": "", "checksum": ""} for entry in read_json(results.verdicts)]

    results = run_planted(plant())
    before = judged()
    rewrite(results, lambda records: records.sample(frac=1.0, random_state=1))
    assert judged() == before


def test_too_few_seeds_are_not_run_and_say_so(plant, run_planted):
    found = judge(run_planted(plant(), scale="smoke"))
    assert {entry["verdict"] for entry in found} == {"not run"}
    assert "too few seeds: 4" in found[0]["note"]
    assert found[0]["robust"] is None
    assert found[0]["estimate"] is not None


def test_a_part_that_needs_a_gpu_or_is_left_out_is_not_run(plant, run_planted):
    parts = """
  gpu: {extends: main, needs_gpu: true}
  later: {extends: main, seeds: 0}
scales:"""
    study = plant(
        {
            "\nscales:": parts,
            "statistic: unmoved, region: [0.0, null]": "statistic: unmoved, part: gpu, region: [0.0, null]",
            "statistic: moved_down,": "statistic: moved_down, part: later,",
            "statistic: moved_up,": "statistic: moved_up, part: main,",
        }
    )
    verdicts = _by_id(judge(run_planted(study)))
    assert verdicts["better"]["verdict"] == "supported"
    assert (verdicts["differs"]["verdict"], verdicts["differs"]["note"]) == ("not run", "part gpu: it needs a GPU")
    assert verdicts["wins"]["note"] == "part later: it is not run at scale quick"
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
        {UP: "return 2.0 + 0.1 * _difference(records, 'same')"},
    )
    found = _by_id(judge(run_planted(study)))
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
    study = plant(statistics={UP: "return np.exp(3 * _difference(records, 'same'))"})
    verdicts = judge(run_planted(study))
    entry = _by_id(verdicts)["better"]
    assert "the values are skewed" in entry["note"]
    assert entry["skewness"] > 1
    assert calibration.calibrate_verdicts(verdicts, n=11, m=1)["skewed"] == ["better"]


# ------------------------------------------------------------------------------------------------ the null run


def test_the_null_run_finds_no_difference_between_arms(plant, run_planted):
    written = null_run.shuffled_verdicts(evidence.read(run_planted(plant())))
    entries = _by_id(written["verdicts"])
    assert entries["better"]["verdict"] == "inconclusive"
    assert entries["wins"]["verdict"] != "supported"
    assert entries["sum-is-fixed"]["reason"] == "does not compare arms"
    assert written["suspicious"] == []
    assert written["supported"] == sum(entry["verdict"] == "supported" for entry in entries.values())


def test_judging_makes_the_null_run_too_and_it_is_the_same_each_time(plant, run_planted):
    results = run_planted(plant())
    judge(results)
    first = results.shuffled.read_bytes()
    judge(results)
    assert results.shuffled.read_bytes() == first
    assert results.read_shuffled()["study"] == "planted"


def test_shuffling_swaps_arms_within_a_seed_and_nothing_else(plant, run_planted):
    study = plant()
    found = evidence.read(run_planted(study))
    shuffled = null_run.shuffled_records(found)
    pd.testing.assert_frame_equal(shuffled.drop(columns="arm"), found.records.drop(columns="arm"))
    assert shuffled.groupby("seed")["arm"].apply(sorted).tolist() == [["a", "b"]] * 16
    swapped = (shuffled["arm"] != found.records["arm"]).groupby(shuffled["seed"]).mean()
    assert 0 < swapped.sum() < 16, "some seeds swap, some do not"
    assert found.records["arm"].equals(evidence.read(run_planted(study)).records["arm"])


def test_a_claim_that_survives_the_shuffle_is_named_as_suspicious(plant, run_planted):
    # a square exceeds 0 whichever arm is which: the prediction holds whatever the data say
    study = plant(
        {"statistic: moved_up, region: [0.0, null]": "statistic: moved_up, region: [0.01, null]"},
        {UP: "return records.query('arm == \"b\"').set_index('seed')['up'] ** 2 + 1"},
    )
    results = run_planted(study)
    judge(results)
    assert results.read_shuffled()["suspicious"] == ["better"]


def test_a_statistic_that_a_shuffle_breaks_is_not_run_there(plant, run_planted):
    study = plant(
        statistics={UP: "assert records.iloc[0].arm == 'a'; return _difference(records, 'up')"},
    )
    found = evidence.read(run_planted(study))
    broken = found.with_records(found.records.assign(arm=found.records["arm"].map({"a": "b", "b": "a"})))
    assert null_run._decision(broken, study.claims[0].predictions[0]).verdict == "not run"


# ------------------------------------------------------------------------------------------------ files


def test_all_verdicts_are_gathered_in_one_table(plant, run_planted):
    study = plant(statistics={UP: "return _difference(records, 'up') * np.inf"})
    results = run_planted(study)
    judge(results)
    found = pd.read_csv(io.StringIO(table({"planted": results.read_verdicts()})))
    assert list(found.columns) == list(CSV_COLUMNS)
    assert ",".join(found.columns).startswith("study," + DESIGN_COLUMNS)
    assert found["study"].eq("planted").all()
    assert len(found) == 5
    assert [json.loads(text) for text in found["region"]][-1] == [0.5, None]
    assert found["estimate"].iloc[0] == math.inf
    assert results.read_verdicts()[0]["estimate"] == math.inf


def test_no_verdicts_make_an_empty_table():
    assert pd.read_csv(io.StringIO(table({}))).empty


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
    results = run_planted(plant())
    judge(results)
    entries = read_json(results.verdicts)
    change(entries)
    write_json(results.verdicts, entries)
    with pytest.raises(ClaimcheckError, match="make it again: claimcheck judge planted --scale quick"):
        results.read_verdicts()


def test_a_flipped_bit_anywhere_in_the_verdicts_is_found(plant, run_planted):
    results = run_planted(plant())
    judge(results)
    entries, whole = results.read_verdicts(), results.verdicts.read_bytes()
    for place in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        results.verdicts.write_bytes(damaged)
        with contextlib.suppress(ClaimcheckError):
            assert read_verdicts(results.verdicts, "judge") == entries, "only what means the same may pass"


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
    results = run_planted(plant(), change)
    with pytest.raises(ClaimcheckError, match=message) as raised:
        judge(results)
    assert "\n" not in str(raised.value)
    assert "planted" in str(raised.value)
    assert not results.judged()


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
    results = run_planted(plant(statistics={UP: body}))
    with pytest.raises(ClaimcheckError, match=message) as raised:
        judge(results)
    assert "\n" not in str(raised.value)
    assert "planted" in str(raised.value)


def test_all_faulty_statistics_are_told_at_once(plant, run_planted):
    study = plant(statistics={UP: "return 1", 'return _difference(records, "down")': "return 2"})
    with pytest.raises(ClaimcheckError, match=r"better.*and 1 more.*wins"):
        judge(run_planted(study))


def test_a_statistic_cannot_change_the_records_of_the_next(plant, run_planted):
    study = plant(
        statistics={UP: "records['same'] = 5.0 * (records.arm == 'b')\n    return records.groupby('seed')['up'].mean()"}
    )
    assert _by_id(judge(run_planted(study)))["differs"]["verdict"] == "inconclusive"


def test_constant_and_infinite_statistics_have_a_defined_verdict(plant, run_planted):
    study = plant(
        statistics={
            UP: "return _difference(records, 'up') * 0 + 1.0",
            'return _difference(records, "down")': "found = _difference(records, 'down')\n"
            "    found.iloc[:3] = -np.inf\n"
            "    return found",
        }
    )
    found = _by_id(judge(run_planted(study)))
    assert (found["better"]["verdict"], found["better"]["low"], found["better"]["high"]) == ("supported", 1.0, 1.0)
    assert (found["wins"]["verdict"], found["wins"]["average"]) == ("contradicted", "median")


def test_truncated_records_are_told(plant, run_planted):
    results = run_planted(plant())
    results.records.write_bytes(results.records.read_bytes()[:-100])
    with pytest.raises(ClaimcheckError, match=r"cut off or changed.*claimcheck run planted --scale quick"):
        judge(results)


def test_records_that_are_not_there_are_told(plant, run_planted):
    results = run_planted(plant())
    results.records.unlink()
    with pytest.raises(ClaimcheckError, match=r"planted has no records that fit.*claimcheck run planted"):
        judge(results)


def test_a_measure_and_the_statistic_that_says_the_same_give_the_same_numbers(plant, run_planted):
    found = _by_id(judge(run_planted(plant())))
    assert found["alike"]["measure"].items() >= {"difference": "same", "of": {"arm": "b"}, "less": {"arm": "a"}}.items()
    assert found["alike"]["values"] == found["differs"]["values"]


def test_each_entry_names_what_it_was_judged_on(plant, run_planted):
    results = run_planted(plant())
    found = judge(results)
    assert {entry["digest"] for entry in found} == {results.verdicts_digest}
    assert {entry["records_sha256"] for entry in found} == set(results.read_provenance().files.values())
    assert {entry["prediction"]: entry["spec_hash"] for entry in found} == results.prediction_hashes()


def test_records_that_are_not_those_of_the_provenance_are_refused(plant, run_planted):
    results = run_planted(plant())
    facts = read_json(results.provenance)
    facts.pop("checksum")
    write_json(results.provenance, sealed({**facts, "files": {"records.parquet": "0" * 64}}))
    with pytest.raises(ClaimcheckError, match=r"changed after it was written.*make it again: claimcheck run planted"):
        judge(results)


def test_the_number_of_seeds_that_is_asked_for_is_the_number_judged(plant, run_planted):
    results = run_planted(plant(), seeds=12)
    assert judge(results)[0]["n"] == 12
    fewer = run_planted(plant(), lambda records: records[records.seed < 12])
    with pytest.raises(ClaimcheckError, match="seeds of study planted are missing"):
        judge(fewer)
