"""The judge on records and statistics that are at fault: one clear line, and no verdict."""

from __future__ import annotations

import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.judging.judge import judge
from claimcheck.results.seals import sealed

UP = 'return _difference(records, "up")'


def _by_id(verdicts):
    return {entry["prediction"]: entry for entry in verdicts}


def _mixed(records):
    return records.assign(status=["ok"] * 47 + ["exploded"])


BAD_RECORDS = {
    "empty records": (lambda r: r.iloc[:0], "study planted has no rows here"),
    "one seed": (lambda r: r[r.seed == 0], "seeds of study planted are missing.*1, 2, 3, 4, 5 and 18 more"),
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
    "drops a seed": ("return _difference(records, 'up').iloc[1:]", "drops 1 of 24 seeds; found '0'"),
    "drops diverged": ("return _difference(records[records.seed > 3], 'up')", "drops 4 of 24 seeds.*0, 1, 2, 3"),
    "gives a seed twice": ("return records.set_index('seed')['up']", "gives a seed more than once"),
    "a number": ("return 3.0", "must return a pandas Series indexed by seed; found 'float'"),
    "None": ("return None", "must return a pandas Series"),
    "a frame": ("return records", "must return a pandas Series"),
    "words": ("return _difference(records, 'up').map(str) + 'x'", "is not a number for every seed"),
    "indexed by run": ("return records.set_index('run')['up']", "drops 24 of 24 seeds"),
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
    with pytest.raises(ClaimcheckError, match=r"better.*and 2 more.*alike.*wins"):
        judge(run_planted(study))


def test_a_statistic_cannot_change_the_records_of_the_next(plant, run_planted):
    study = plant(
        statistics={UP: "records['same'] = 5.0 * (records.arm == 'b')\n    return records.groupby('seed')['up'].mean()"}
    )
    assert _by_id(judge(run_planted(study)))["differs"]["verdict"] == "inconclusive"


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


def test_each_entry_names_what_it_was_judged_on(plant, run_planted):
    results = run_planted(plant())
    found = judge(results)
    assert {entry["digest"] for entry in found} == {results.verdicts_digest}
    assert {entry["records_sha256"] for entry in found} == set(results.read_provenance().files.values())
    assert {entry["prediction"]: entry["fixed"] for entry in found} == results.prediction_hashes()


def test_records_that_are_not_those_of_the_provenance_are_refused(plant, run_planted):
    results = run_planted(plant())
    facts = read_json(results.provenance)
    facts.pop("checksum")
    write_json(results.provenance, sealed({**facts, "files": {"records.parquet": "0" * 64}}))
    with pytest.raises(ClaimcheckError, match=r"changed after it was written.*make it again: claimcheck run planted"):
        judge(results)


def test_the_number_of_seeds_that_is_asked_for_is_the_number_judged(plant, run_planted):
    results = run_planted(plant(), seeds=18)
    assert _by_id(judge(results))["better"]["tests"][0]["n"] == 18
    fewer = run_planted(plant(), lambda records: records[records.seed < 12])
    with pytest.raises(ClaimcheckError, match="seeds of study planted are missing"):
        judge(fewer)
