"""`claimcheck verify`: two result trees compared by bits, numbers and verdicts."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from claimcheck.results import records as recording
from claimcheck.results import compare as verify
from claimcheck.errors import ClaimcheckError
from claimcheck.files import read_json, write_json
from claimcheck.results.seals import sealed
from claimcheck.judging.judge import judge


@pytest.fixture
def trees(plant, run_planted, tmp_path):
    """Results of the planted study, a copy of them, and the study."""
    study = plant()
    judge(study, "quick", run_planted(study))
    mine, theirs = tmp_path / "results" / "quick", tmp_path / "theirs" / "quick"
    shutil.copytree(mine, theirs)
    return mine, theirs, study


def _changed(folder, study, change):
    """Change the records in a tree and judge them again."""
    path = folder / "planted" / "records.parquet"
    recording.write(path, change(recording.read(path)))
    judge(study, "quick", folder.parent)


def test_a_copy_is_the_same_bits(trees, capsys):
    mine, theirs, _ = trees
    assert verify.main(mine, theirs) == 0
    assert capsys.readouterr().out == "planted: same bits\n1 studies: same bits\n"
    assert verify.compare(mine / "planted", theirs / "planted")[0].level == "same bits"


def test_the_same_values_in_another_file_are_the_same_bits(trees):
    mine, theirs, _ = trees
    path = theirs / "planted" / "records.parquet"
    recording.read(path).to_parquet(path, compression=None)
    assert path.read_bytes() != (mine / "planted" / "records.parquet").read_bytes()
    assert verify.compare(mine, theirs)[0].level == "same bits"


def test_rounding_is_the_same_numbers(trees):
    mine, theirs, study = trees
    _changed(theirs, study, lambda records: records.assign(up=records["up"] * (1 + 1e-9)))
    found = verify.compare(mine, theirs)[0]
    assert found.level == "same numbers"
    assert "up: 32 of 32 values differ, by at most" in found.differences[0]


def test_other_numbers_with_the_same_outcome_are_the_same_verdicts(trees, capsys):
    mine, theirs, study = trees
    _changed(theirs, study, lambda records: records.assign(up=records["up"] * 1.01))
    write_json(theirs / "planted" / "provenance.json", sealed({"versions": {"torch": "1.0"}}))
    assert verify.main(mine, theirs) == 0
    out = capsys.readouterr().out
    assert "planted: same verdicts" in out
    assert "versions.torch: None here, 1.0 there" in out


def test_another_verdict_is_different_and_named(trees, capsys):
    mine, theirs, study = trees
    _changed(theirs, study, lambda records: records.assign(up=-records["up"]))
    assert verify.main(mine, theirs) == 1
    assert "better: supported here, contradicted there" in capsys.readouterr().out


def test_nan_and_infinity_compare_as_values(trees):
    mine, theirs, study = trees
    for folder in (mine, theirs):
        _changed(folder, study, lambda records: records.assign(two=[np.inf, *records["two"][1:]], spare=np.nan))
    assert verify.compare(mine, theirs)[0].level == "same bits"
    _changed(theirs, study, lambda records: records.assign(spare=1.0))
    assert "spare: 32 of 32 values differ, by at most inf" in verify.compare(mine, theirs)[0].differences[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda records: records.assign(extra=1.0), "columns only on one side: extra"),
        (lambda records: records.assign(arm=records["arm"].replace({"a": "c"})), "32 rows stand on one side only"),
        (lambda records: records.assign(status="diverged"), "status: 32 of 32 rows differ"),
    ],
)
def test_records_of_another_shape_are_told(trees, change, words):
    mine, theirs, _ = trees
    path = theirs / "planted" / "records.parquet"
    recording.write(path, change(recording.read(path)))
    found = verify.compare(mine, theirs)[0]
    assert found.level == "same verdicts"
    assert words in found.differences[0]


def test_other_regions_are_different_even_on_the_same_records(trees, plant):
    mine, theirs, _ = trees
    moved = plant({"statistic: moved_up, region: [0.0, null]": "statistic: moved_up, region: [0.1, null]"})
    judge(moved, "quick", theirs.parent)
    found = verify.compare(mine, theirs)[0]
    assert found.level == "different"
    assert "better: judged by the region [0.0, None] here, [0.1, None] there" in found.differences


def test_a_study_or_its_verdicts_on_one_side_only_are_different(trees):
    mine, theirs, _ = trees
    shutil.copytree(theirs / "planted", theirs / "another")
    assert [outcome.level for outcome in verify.compare(mine, theirs)] == ["different", "same bits"]
    (theirs / "planted" / "verdicts.json").unlink()
    assert "no verdicts in" in verify.compare(mine, theirs)[1].differences[0]


def test_damage_is_told_and_not_compared(trees, tmp_path):
    mine, theirs, _ = trees
    verdicts = theirs / "planted" / "verdicts.json"
    entries = read_json(verdicts)
    entries[0]["verdict"] = "contradicted"
    write_json(verdicts, entries)
    with pytest.raises(ClaimcheckError, match="was changed after it was judged"):
        verify.compare(mine, theirs)
    write_json(mine / "planted" / "provenance.json", sealed({"files": {"records.parquet": "0" * 64}}))
    with pytest.raises(ClaimcheckError, match="is not the file that the run wrote"):
        verify.compare(mine, theirs)
    with pytest.raises(ClaimcheckError, match="no such folder of results"):
        verify.compare(mine, tmp_path / "nowhere")
    with pytest.raises(ClaimcheckError, match="no results here"):
        verify.compare(mine, tmp_path)
