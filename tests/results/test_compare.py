"""`claimcheck verify`: two result trees compared by bits, numbers and verdicts."""

from __future__ import annotations

import re
import shutil
from importlib import metadata

import numpy as np
import pandas as pd
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, sha256, write_json
from claimcheck.judging.judge import judge
from claimcheck.results import compare as verify
from claimcheck.results import records as recording
from claimcheck.results import view
from claimcheck.results.provenance import read_provenance, write_provenance
from claimcheck.results.verdicts import write_verdicts


def vouch(path):
    """Note the checksum of records written by hand, as if their run had written them so."""
    facts = read_provenance(path.with_name("provenance.json"), "")
    files = {**facts.files, path.name: sha256(path)}
    write_provenance(path.with_name("provenance.json"), facts.model_copy(update={"files": files}))


@pytest.fixture
def trees(plant, run_planted, tmp_path):
    """The planted study's view, that of another machine, and a way to change the other's results."""

    class Trees:
        mine, theirs = tmp_path / "mine" / "quick", tmp_path / "theirs" / "quick"
        study = plant()

        def run(self, change=None, side="theirs", study=None):
            study = study or self.study
            results = run_planted(study, change, results_dir=tmp_path / side)
            judge(results)
            view.publish(results)
            return results

    found = Trees()
    found.run(side="mine")
    found.run()
    return found


def test_a_copy_is_the_same_bits(trees, capsys):
    assert verify.main(trees.mine, trees.theirs) == 0
    assert capsys.readouterr().out == "planted: same bits\n1 study: same bits\n"
    assert verify.compare(trees.mine / "planted", trees.theirs / "planted")[0].level == "same bits"


def test_the_same_values_in_another_file_are_the_same_bits(trees):
    path = trees.theirs / "planted" / "records.parquet"
    recording.read(path).to_parquet(path, compression=None)
    vouch(path)
    assert path.read_bytes() != (trees.mine / "planted" / "records.parquet").read_bytes()
    assert verify.compare(trees.mine, trees.theirs)[0].level == "same bits"


def test_rounding_is_the_same_numbers(trees):
    trees.run(lambda records: records.assign(up=records["up"] * (1 + 1e-9)))
    found = verify.compare(trees.mine, trees.theirs)[0]
    assert found.level == "same numbers"
    assert "up: 48 of 48 values differ, by at most" in found.differences[0]


def test_other_numbers_with_the_same_outcome_are_the_same_verdicts(trees, capsys, monkeypatch):
    true = metadata.version
    with monkeypatch.context() as patch:
        patch.setattr(metadata, "version", lambda name: "1.0" if name == "torch" else true(name))
        trees.run(lambda records: records.assign(up=records["up"] * 1.01))
    assert verify.main(trees.mine, trees.theirs) == 0
    out = capsys.readouterr().out
    assert "planted: same verdicts" in out
    assert f"versions.torch: {true('torch')} here, 1.0 there" in out


def test_another_verdict_is_different_and_named(trees, capsys):
    trees.run(lambda records: records.assign(up=-records["up"]))
    assert verify.main(trees.mine, trees.theirs) == 1
    assert "better: supported here, contradicted there" in capsys.readouterr().out


def test_nan_and_infinity_compare_as_values(trees):
    def odd(records):
        return records.assign(two=[np.inf, *records["two"][1:]], spare=np.nan)

    for side in ("mine", "theirs"):
        trees.run(odd, side)
    assert verify.compare(trees.mine, trees.theirs)[0].level == "same bits"
    trees.run(lambda records: odd(records).assign(spare=1.0))
    assert "spare: 48 of 48 values differ, by at most inf" in verify.compare(trees.mine, trees.theirs)[0].differences[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda records: records.assign(extra=1.0), "columns only on one side: extra"),
        (lambda records: records.assign(arm=records["arm"].replace({"a": "c"})), "48 rows stand on one side only"),
        (lambda records: records.assign(status="diverged"), "status: 48 of 48 rows differ"),
    ],
)
def test_records_of_another_shape_are_told(trees, change, words):
    path = trees.theirs / "planted" / "records.parquet"
    recording.write(path, change(recording.read(path)))
    vouch(path)
    found = verify.compare(trees.mine, trees.theirs)[0]
    assert found.level == "same verdicts"
    assert words in found.differences[0]


def write(path, frame):
    recording.write(path, frame)
    vouch(path)


ODD = {
    "only numbers": pd.DataFrame({"x": [0.5, 1.5], "y": [2.0, np.nan]}),
    "one key": pd.DataFrame({"run": ["a", "b"], "x": [0.5, 1.5]}),
    "lists": pd.DataFrame({"run": ["a", "b"], "path": [[1.0, 2.0], [3.0]], "x": [0.5, 1.5]}),
    "long lists": pd.DataFrame({"path": [list(range(2000)), [3]]}),
    "lists of lists": pd.DataFrame({"run": ["a", "b"], "path": [[[1, 2], [3]], []]}),
    "tables": pd.DataFrame({"run": ["a", "b"], "facts": [{"k": 1}, {"k": 2}]}),
    "missing words": pd.DataFrame({"run": ["a", None, "b"], "x": [0.5, 1.5, 2.5]}),
    "no words at all": pd.DataFrame({"run": [None, None], "x": [0.5, 1.5]}),
    "the same rows twice": pd.DataFrame({"run": ["a", "a"], "x": [0.5, 1.5]}),
    "dates": pd.DataFrame({"at": pd.to_datetime(["2026-01-01", None]), "x": [0.5, 1.5]}),
    "no rows": pd.DataFrame({"run": pd.Series([], dtype="string"), "x": pd.Series([], dtype="float64")}),
    "nothing": pd.DataFrame(),
}


def test_tables_of_any_shape_are_the_same_as_themselves_and_differ_from_others(trees):
    mine, theirs = (side / "planted" / "records.parquet" for side in (trees.mine, trees.theirs))
    for name in ODD:
        write(mine, ODD[name])
        ODD[name].to_parquet(theirs, compression=None)
        vouch(theirs)
        assert verify.compare(trees.mine, trees.theirs)[0].level == "same bits", name
        for other in ODD:
            write(theirs, ODD[other])
            level = verify.compare(trees.mine, trees.theirs)[0].level
            assert (level == "same bits") == (other == name), (name, other)


CHANGED = {
    "a sign of nought": ({"x": [0.0, 1.5]}, {"x": [-0.0, 1.5]}, "same numbers", "x: 1 of 2 values differ, by at most 0"),
    "a width": ({"x": np.float64([0.5])}, {"x": np.float32([0.5])}, "same numbers", "x: float64 here, float32 there"),
    "a width of whole numbers": (
        {"n": np.int64([5])}, {"n": np.int32([5])}, "same numbers", "n: int64 here, int32 there"
    ),
    "words for numbers": ({"x": [0.5, 1.5]}, {"x": ["0.5", "1.5"]}, "same verdicts", "x: numbers here, words there"),
    "numbers for words": ({"x": ["0.5", "1.5"]}, {"x": [0.5, 1.5]}, "same verdicts", "x: words here, numbers there"),
    "truths for whole numbers": ({"x": [1]}, {"x": [True]}, "same verdicts", "x: whole numbers here, truths there"),
    "a place in a list": (
        {"run": ["a"], "x": [[*range(2000)]]}, {"run": ["a"], "x": [[*range(999), 0, *range(1000, 2000)]]},
        "same verdicts", "x: 1 of 1 rows differ",
    ),
    "a row more": ({"x": [0.5]}, {"x": [0.5, 1.5]}, "same verdicts", "1 rows here, 2 there"),
    "a row twice": ({"run": ["a"]}, {"run": ["a", "a"]}, "same verdicts", "1 rows here, 2 there"),
    "another row": (
        {"run": ["left"]}, {"run": ["right"]}, "same verdicts", "2 rows stand on one side only, such as {'run': 'left'}"
    ),
}  # fmt: skip


def test_what_differs_is_told_of_tables_of_any_shape(trees):
    for name, (mine, theirs, level, words) in CHANGED.items():
        for side, columns in ((trees.mine, mine), (trees.theirs, theirs)):
            write(side / "planted" / "records.parquet", pd.DataFrame(columns))
        found = verify.compare(trees.mine, trees.theirs)[0]
        assert (found.level, found.differences) == (level, [words]), name


@pytest.mark.parametrize("surplus", [-1, 0, 1, 2])
def test_differences_beyond_ten_are_counted(monkeypatch, capsys, surplus):
    differences = [f"x{number}: 1 of 2 rows differ" for number in range(verify.MOST + surplus)]
    found = verify.Comparison("planted", "same verdicts", differences)
    monkeypatch.setattr(verify, "compare", lambda first, second: [found])
    verify.main("here", "there")
    shown = [line.strip() for line in capsys.readouterr().out.splitlines()[1:-1]]
    more = [f"and {surplus} more differences"] if surplus > 0 else []
    assert shown == [*differences[:10], *more]


def test_a_prediction_without_a_test_on_one_side_is_told_as_not_run(trees):
    path = trees.theirs / "planted" / "verdicts.json"
    entries = [{k: v for k, v in each.items() if k != "checksum"} for each in read_json(path)]
    judged = next(each for each in entries if each["prediction"] == "better")
    judged["tests"] = []
    write_verdicts(path, entries)
    (words,) = verify.compare(trees.mine, trees.theirs)[0].differences
    assert re.fullmatch(r"better: 24 of 24 \(median \S+\) here, not run there", words), words


def test_other_regions_are_different_even_on_the_same_records(trees, plant):
    moved = plant(
        {"statistic: moved_up\n        region: [0.0, null]": "statistic: moved_up\n        region: [0.1, null]"}
    )
    trees.run(study=moved)
    found = verify.compare(trees.mine, trees.theirs)[0]
    assert found.level == "different"
    assert "better: judged by the region [0.0, None] here, [0.1, None] there" in found.differences


def pass_never(entry):
    entry["tests"][0]["controls"]["never"]["passed"] = True


def judge_by(data, verdict):
    """Give an entry a second test, on a data set that has a verdict of its own."""
    return lambda entry: entry["tests"].append({**entry["tests"][0], "data": data, "verdict": verdict})


JUDGED = {
    "a control": (pass_never, "different", "better: control never inconclusive here, passed (it must not) there"),
    "a control's verdict": (
        lambda entry: entry["tests"][0]["controls"]["never"].update(verdict="contradicted"), "same verdicts",
        "better: control never inconclusive here, contradicted there",
    ),
    "a control that is asked": (
        lambda entry: entry["tests"][0]["controls"].pop("never"), "same verdicts",
        "better: control never inconclusive here, not asked there",
    ),
    "a claim's verdict": (
        lambda entry: entry.update(claim_verdict="mixed"), "different", "claim b-is-better: supported here, mixed there"
    ),
    "a kind": (lambda entry: entry.update(kind="limit"), "same verdicts", "better: kind main here, limit there"),
    "a share": (lambda entry: entry.update(share=0.9), "same verdicts", "better: share 0.5 here, 0.9 there"),
    "a statistic": (
        lambda entry: entry.update(statistic="moved"), "same verdicts", "better: statistic moved_up here, moved there"
    ),
}  # fmt: skip


def rewrite_better(side, change):
    """Change what a tree says of the prediction `better`, and of its claim, as if it had been judged so."""
    path = side / "planted" / "verdicts.json"
    entries = [{k: v for k, v in each.items() if k != "checksum"} for each in read_json(path)]
    for entry in entries:
        if entry["prediction"] == "better":
            change(entry)
    entries = [each for each in entries if each["prediction"] == "better" or each["claim"] != "b-is-better"]
    write_verdicts(path, entries)


@pytest.mark.parametrize("name", JUDGED)
def test_what_was_asked_or_came_of_it_is_compared_on_the_same_records_too(trees, name):
    change, level, words = JUDGED[name]
    rewrite_better(trees.mine, lambda entry: None)
    rewrite_better(trees.theirs, change)
    found = verify.compare(trees.mine, trees.theirs)[0]
    assert (found.level, found.differences) == (level, [words])


def test_a_data_set_with_another_verdict_is_different_though_the_prediction_is_mixed_on_both_sides(trees):
    rewrite_better(trees.mine, judge_by("cents", "supported"))
    rewrite_better(trees.theirs, judge_by("cents", "contradicted"))
    found = verify.compare(trees.mine, trees.theirs)[0]
    assert (found.level, found.differences) == ("different", ["better on cents: supported here, contradicted there"])


def test_a_study_or_its_verdicts_on_one_side_only_are_different(trees):
    shutil.copytree(trees.theirs / "planted", trees.theirs / "another")
    found = verify.compare(trees.mine, trees.theirs)
    assert [outcome.level for outcome in found] == ["different", "same bits"]
    (trees.theirs / "planted" / "verdicts.json").unlink()
    assert "no verdicts in" in verify.compare(trees.mine, trees.theirs)[1].differences[0]


def test_damage_is_told_and_not_compared(trees, tmp_path):
    mine, theirs = trees.mine, trees.theirs
    verdicts = theirs / "planted" / "verdicts.json"
    entries = read_json(verdicts)
    entries[0]["verdict"] = "contradicted"
    write_json(verdicts, entries)
    with pytest.raises(ClaimcheckError, match="was changed after it was judged"):
        verify.compare(mine, theirs)
    path = mine / "planted" / "records.parquet"
    recording.write(path, recording.read(path).assign(up=0.0))
    with pytest.raises(ClaimcheckError, match="is not the file that the run wrote"):
        verify.compare(mine, theirs)
    with pytest.raises(ClaimcheckError, match="no such folder of results"):
        verify.compare(mine, tmp_path / "nowhere")
    with pytest.raises(ClaimcheckError, match="no results here"):
        verify.compare(mine, tmp_path)
