"""The judge on planted records: verdicts, facts, data sets, controls, registration, checksums, every kind of bad input."""

from __future__ import annotations

import contextlib
import io
import json
import math
from dataclasses import replace

import pandas as pd
import pytest

from claimcheck.cli import app
from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.judging.evidence import read, values_of
from claimcheck.judging.judge import judge
from claimcheck.judging.rule import decide
from claimcheck.results.digests import registration_digest
from claimcheck.results.verdicts import CSV_COLUMNS, read_verdicts, table
from claimcheck.spec.reading import load_study

UP = 'return _difference(records, "up")'


def _by_id(verdicts):
    return {entry["prediction"]: entry for entry in verdicts}


def _test(verdicts, name):
    """What a prediction's one verdict rests on."""
    (test,) = _by_id(verdicts)[name]["tests"]
    return test


def test_planted_effects_come_out_as_planted(plant, run_planted):
    results = run_planted(plant())
    found = _by_id(judge(results))
    assert {name: entry["verdict"] for name, entry in found.items()} == {
        "better": "supported",
        "sum-is-fixed": "holds",
        "differs": "inconclusive",
        "alike": "supported",
        "wins": "contradicted",
    }
    better = _test(found.values(), "better")
    assert (better["k"], better["n"]) == (24, 24)
    assert better["median"] == pytest.approx(2.0, abs=0.6)
    assert better["low"] < 2.0 < better["high"]
    assert better["p"] == pytest.approx(0.5**24)
    assert found["better"]["claim_verdict"] == "supported"
    assert found["alike"]["claim_verdict"] == "inconclusive", "a limit takes no part"
    assert found["wins"]["claim_verdict"] == "contradicted"
    assert found["better"]["section"] == "planted"


def test_every_verdict_can_be_had_again_from_its_own_entry(plant, run_planted):
    results = run_planted(plant())
    judge(results)
    for entry in results.read_verdicts():
        if entry["kind"] != "fact":
            (test,) = entry["tests"]
            again = decide(test["values"], tuple(entry["region"]), entry["share"])
            assert (again.verdict, again.k, again.p, again.low) == (
                test["verdict"], test["k"], test["p"], test["low"]
            )  # fmt: skip


def test_the_order_of_the_rows_changes_no_byte(plant, run_planted, rewrite):
    def judged():
        judge(results)
        return [{**entry, "records_sha256": "", "checksum": ""} for entry in read_json(results.verdicts)]

    results = run_planted(plant())
    before = judged()
    rewrite(results, lambda records: records.sample(frac=1.0, random_state=1))
    assert judged() == before


def test_too_few_units_to_decide_are_not_run(plant, run_planted):
    found = _by_id(judge(run_planted(plant(), scale="smoke")))
    assert {entry["verdict"] for entry in found.values()} == {"not run", "holds"}
    assert _test(found.values(), "better")["median"] is not None


def test_a_part_that_needs_a_gpu_or_is_left_out_is_not_run(plant, run_planted):
    parts = """
  gpu: {extends: main, needs_gpu: true}
  later: {extends: main, seeds: 0}
scales:"""
    study = plant({"\nscales:": parts, "statistic: moved_up\n": "statistic: moved_up\n        part: gpu\n",
                   "says: B exceeds A once more.": "says: B exceeds A once more.\n        part: later"})  # fmt: skip
    verdicts = _by_id(judge(run_planted(study)))
    assert (verdicts["better"]["verdict"], verdicts["better"]["note"]) == ("not run", "part gpu: it needs a GPU")
    assert verdicts["wins"]["note"] == "part later: it is not run at scale quick"
    assert verdicts["wins"]["claim_verdict"] == "not run"


# ------------------------------------------------------------------------------------------------ facts


@pytest.mark.parametrize(
    ("region", "tolerance", "verdict"),
    [("[2, 2]", "1e-9", "holds"), ("[null, 1.9]", "0.2", "holds"), ("[2.1, null]", "0.05", "does not hold")],
)
def test_a_fact_holds_up_to_its_tolerance_and_has_no_p(plant, run_planted, region, tolerance, verdict):
    spec = {"region: [2, 2]": f"region: {region}", "tolerance: 1e-9": f"tolerance: {tolerance}"}
    found = judge(run_planted(plant(spec)))
    assert _by_id(found)["sum-is-fixed"]["verdict"] == verdict
    assert "p" not in _test(found, "sum-is-fixed")


def test_a_fact_decides_no_claim_that_has_a_judged_prediction(plant, run_planted):
    found = _by_id(judge(run_planted(plant({"region: [2, 2]": "region: [3, 3]"}))))
    assert found["sum-is-fixed"]["verdict"] == "does not hold"
    assert found["sum-is-fixed"]["claim_verdict"] == "supported"


def test_a_fact_without_a_number_does_not_hold(plant, run_planted):
    study = plant(statistics={'return records.groupby("seed")["two"].mean()': 'return records.groupby("seed")["two"].mean() * np.nan'})  # fmt: skip
    assert _by_id(judge(run_planted(study)))["sum-is-fixed"]["verdict"] == "does not hold"


# ------------------------------------------------------------------------------------------------ data sets


DATA = """    factors:
      dataset: {values: [digits, signals]}
"""


def _on_two(plant, statistics=None):
    """The first prediction asked on two data sets."""
    spec = {"    factors:\n": DATA, "statistic: moved_up\n": "statistic: moved_up\n        part: main\n        on: [digits, signals]\n",
            "measure: {difference: same, of: {arm: b}": "measure: {difference: same, mean_over: [dataset], of: {arm: b}"}  # fmt: skip
    mean = {'table = records.pivot(index="seed"': 'table = records.pivot_table(index="seed"'}
    return plant(spec, statistics={**mean, **(statistics or {})})


def test_each_data_set_is_a_test_of_its_own(plant, run_planted):
    entry = _by_id(judge(run_planted(_on_two(plant))))["better"]
    assert [(test["data"], test["verdict"], test["n"]) for test in entry["tests"]] == [
        ("digits", "supported", 24), ("signals", "supported", 24)
    ]  # fmt: skip
    assert entry["verdict"] == "supported"


def test_what_is_true_on_one_data_set_and_false_on_another_is_mixed(plant, run_planted):
    sign = "return _difference(records, 'up') * (1 if records['dataset'].iloc[0] == 'digits' else -1)"
    entry = _by_id(judge(run_planted(_on_two(plant, {UP: sign}))))["better"]
    assert [test["verdict"] for test in entry["tests"]] == ["supported", "contradicted"]
    assert (entry["verdict"], entry["claim_verdict"]) == ("mixed", "mixed")


def test_a_data_set_may_have_fewer_units_than_another(plant, run_planted):
    found = read(run_planted(_on_two(plant)))
    part, rows = found.parts["main"], found.records
    few = rows[(rows["dataset"] != "digits") | (rows["seed"] < part.first_seed + 15)]
    uneven = replace(
        found, parts={"main": part.model_copy(update={"seeds_on": {"digits": 15, "signals": 24}})}, records=few
    )
    better = next(each for _, each in found.study.predictions() if each.id == "better")
    assert [len(values_of(uneven, better, data)) for data in ("digits", "signals")] == [15, 24]
    with pytest.raises(ClaimcheckError, match="drops 9 of 24 seeds"):
        values_of(replace(uneven, parts=found.parts), better, "digits")


# ------------------------------------------------------------------------------------------------ controls


def test_controls_are_asked_and_say_what_they_must(plant, run_planted):
    results = run_planted(plant())
    found = judge(results)
    better = _test(found, "better")["controls"]
    assert {name: control["passed"] for name, control in better.items()} == {"never": False, "against": False}
    itself = _test(found, "differs")["controls"]["never"]
    assert (itself["says"], itself["k"], itself["verdict"]) == ("the first arm against itself", 0, "contradicted")
    assert results.read_controls()["passed"] == []
    assert results.read_controls()["asked"] == 6


def test_a_control_that_passes_is_named(plant, run_planted):
    # a square exceeds 0 whichever arm is which: the prediction holds whatever the data say
    always = "return _difference(records, 'up') ** 2 + 1"
    study = plant(statistics={UP: always, 'return _difference(records, "same")': always})
    results = run_planted(study)
    judge(results)
    assert results.read_controls()["passed"] == ["better (never)"]


def test_what_must_be_contradicted_is_asked_only_of_what_is_supported(plant, run_planted):
    study = plant({"statistic: moved_down, says: the effect": "statistic: unmoved, says: the effect"})
    results = run_planted(study)
    judge(results)
    assert results.read_controls()["passed"] == ["better (against)"]
    results = run_planted(plant(statistics={UP: 'return _difference(records, "same")'}))
    judge(results)
    assert "better (against)" not in results.read_controls()["passed"]


# ------------------------------------------------------------------------------------------------ units without numbers


def test_a_unit_without_a_number_is_not_true(plant, run_planted):
    results = run_planted(plant(), lambda records: records.assign(up=records["up"].where(records["seed"] >= 12)))
    judge(results)
    test = _test(results.read_verdicts(), "better")
    assert (test["k"], test["n"], test["verdict"]) == (12, 24, "inconclusive")
    assert sum(map(math.isnan, test["values"])) == 12
    assert read_json(results.verdicts)[0]["tests"][0]["values"][0] is None, "JSON has no NaN"


def test_rounding_puts_no_number_inside_a_region_that_ends_where_it_is(plant, run_planted):
    numbers = "dict(zip(sorted(set(records['seed'])), [0.1 + 0.2, 0.3, 0.1 * 3, 0.3 + 1e-9] * 6))"
    statistic = f"return type(records['seed'])({numbers})"
    planted = plant({"region: [0.0, null]\n": "region: [0.3, null]\n"}, {UP: statistic})
    found = _test(judge(run_planted(planted)), "better")
    assert 0.1 + 0.2 > 0.3, "in binary"
    assert (found["k"], found["n"]) == (6, 24), "those that lie above by more than rounding"
    assert set(found["values"]) == {0.3, 0.3 + 1e-9}


@pytest.mark.parametrize("said", ["in the records", "by the measure"])
def test_small_numbers_are_numbers_and_no_rounding(plant, run_planted, said):
    tiny = 1e-15 if said == "in the records" else 1.0
    times = f"less: {{arm: a}}, times: {1e-15 / tiny}"
    wide = "measure: {difference: same, of: {arm: b}, less: {arm: a}}\n        region: [-3.0, 3.0]"
    small = plant({wide: wide.replace("less: {arm: a}", times).replace("3.0", "3.0e-15")})
    counted = [
        (each["k"], each["n"], each["median"])
        for planted, size in ((plant(), 1.0), (small, tiny))
        for each in [
            _test(judge(run_planted(planted, lambda rows, size=size: rows.assign(same=rows["same"] * size))), "alike")
        ]
    ]
    assert counted[0] == (24, 24, pytest.approx(counted[1][2] / 1e-15, rel=1e-9))
    assert counted[1][:2] == (24, 24)


def test_infinite_numbers_have_a_defined_verdict(plant, run_planted):
    results = run_planted(plant(statistics={UP: "return _difference(records, 'up') * np.inf"}))
    judge(results)
    test = _test(results.read_verdicts(), "better")
    assert (test["verdict"], test["median"], test["low"]) == ("supported", math.inf, math.inf)


# ------------------------------------------------------------------------------------------------ registrations


def _register(study, **changes):
    entry = {"number": 1, "date": "2026-12-01", "first_seed": 100_000, "says": "planted", **changes}
    (study.folder / "registrations.yaml").write_text(json.dumps([entry]))
    return load_study(study.folder.parent, study.name)


def test_a_registered_study_is_judged_on_its_own_block_of_seeds(plant, run_planted):
    study = plant()
    study = _register(study, digest=registration_digest(study))
    found = judge(run_planted(study))
    assert _test(found, "better")["seeds"] == list(range(100_000, 100_024))
    assert found[0]["registration"] == {"number": 1, "of": 1, "offset": 0, "first_seed": 100_000, "seeds": None}


def test_a_study_that_changed_after_its_registration_is_not_judged(plant, run_planted):
    study = plant()
    study = _register(study, digest=registration_digest(study))
    text = study.yaml_path.read_text()
    study.yaml_path.write_text(text.replace("region: [0.5, null]", "region: [0.4, null]"))
    results = run_planted(load_study(study.folder.parent, study.name))
    with pytest.raises(ClaimcheckError, match=r"registrations\.yaml: 1\.digest: .*not those that were registered"):
        judge(results)
    assert not results.judged()


def test_who_runs_what_will_not_be_judged_is_told_so(plant, tmp_path, capsys):
    study = plant()
    study = _register(study, digest=registration_digest(study))
    folders = [f"--results-dir={tmp_path / 'results'}", f"--studies-dir={study.folder.parent}"]
    call = ["run", study.name, "--scale=smoke", "--device=cpu", *folders]
    app(call, standalone_mode=False)
    assert "the judge will refuse" not in "".join(capsys.readouterr())
    text = study.yaml_path.read_text()
    study.yaml_path.write_text(text.replace("region: [0.5, null]", "region: [0.4, null]"))
    app([*call, "--force"], standalone_mode=False)
    assert "the judge will refuse these runs: " in "".join(capsys.readouterr())


def test_words_may_change_after_a_registration(plant):
    study = plant()
    before = registration_digest(study)
    text = study.yaml_path.read_text()
    study.yaml_path.write_text(
        text.replace("B exceeds A once more.", "B is above A.").replace("why: planted", "why: so")
    )
    assert registration_digest(load_study(study.folder.parent, study.name)) == before


@pytest.mark.parametrize("change", ["share: 0.9", "controls: {none: another reason}"])
def test_share_and_controls_may_not(plant, change):
    study = plant()
    before = registration_digest(study)
    text = study.yaml_path.read_text()
    old = "controls: {none: planted the wrong way round}"
    study.yaml_path.write_text(text.replace(old, change if "controls" in change else f"{change}\n        {old}"))
    assert registration_digest(load_study(study.folder.parent, study.name)) != before


def test_a_file_that_a_statistic_may_read_may_not_change_after_a_registration(plant):
    study = plant()
    before = registration_digest(study)
    (study.folder / "reference.csv").write_text("value\n1.0\n")
    assert registration_digest(study) != before


def test_a_prediction_may_not_move_to_another_claim_after_a_registration(plant):
    study = plant()
    first, *rest = study.claims
    moved = [first.model_copy(update={"id": "another"}), *rest]
    assert registration_digest(study.model_copy(update={"claims": moved})) != registration_digest(study)


# ------------------------------------------------------------------------------------------------ files


def test_all_verdicts_are_gathered_in_one_table(plant, run_planted):
    results = run_planted(_on_two(plant))
    judge(results)
    found = pd.read_csv(io.StringIO(table({"planted": results.read_verdicts()})))
    assert list(found.columns) == list(CSV_COLUMNS)
    assert found["prediction"].tolist() == ["better", "better", "sum-is-fixed", "differs", "alike", "wins"]
    assert found["data"].tolist()[:2] == ["digits", "signals"]
    assert (found["k"].iloc[0], found["n"].iloc[0], found["share"].iloc[0]) == (24, 24, 0.5)
    assert [json.loads(text) for text in found["region"]][-1] == [0.5, None]
    fact = found.set_index("prediction").loc["sum-is-fixed"]
    assert (fact["kind"], fact["verdict"], fact["data_verdict"], fact["tolerance"]) == ("fact", "holds", "holds", 1e-9)
    assert fact[["k", "n", "share", "p"]].isna().all(), "a fact has no test"
    assert found["registration"].isna().all(), "a draft"


def test_counts_in_the_table_are_whole_numbers(plant, run_planted):
    results = run_planted(plant())
    judge(results)
    lines = table({"planted": results.read_verdicts()}).splitlines()
    assert lines[1].startswith("planted,b-is-better,better,main,supported,,supported,24,24,0.5,")
    assert lines[2].startswith("planted,b-is-better,sum-is-fixed,fact,holds,,holds,,,,2.0,")


def test_no_verdicts_make_an_empty_table():
    assert pd.read_csv(io.StringIO(table({}))).empty


@pytest.mark.parametrize(
    "change",
    [
        lambda entries: entries[0].update(verdict="contradicted"),
        lambda entries: entries[0]["tests"][0].update(k=3),
        lambda entries: entries[2]["tests"][0]["values"].__setitem__(0, 0.0),
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
    for place in range(0, len(whole), 997):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 7
        results.verdicts.write_bytes(damaged)
        with contextlib.suppress(ClaimcheckError):
            assert read_verdicts(results.verdicts, "judge") == entries, "only what means the same may pass"
