"""Records as files: what is read is what was written, or it is refused with the command that makes it again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from claimcheck.errors import ClaimcheckError
from claimcheck.results import records as recording

FACTS = {"part": "main", "seeds": 3, "ensembles": [{"name": "main", "seconds": 1.5}]}
FRAME = pd.DataFrame(
    {
        "part": "main",
        "run": ["a", "b", "c"],
        "seed": pd.array([0, 1, 2], dtype="Int64"),
        "loss": [0.1, np.nan, np.inf],
        "status": ["ok", "diverged", "ok"],
    }
)


@pytest.fixture
def sealed(tmp_path):
    path = tmp_path / "main-0123.records.parquet"
    recording.write_sealed(path, FRAME, FACTS)
    return path


def refused(path):
    with pytest.raises(ClaimcheckError, match="make it again: claimcheck run coin/tosses") as raised:
        recording.read_sealed(path, "claimcheck run coin/tosses")
    assert "\n" not in str(raised.value)
    assert path.name in str(raised.value)
    assert not recording.whole(path)


def test_what_was_sealed_comes_back(sealed):
    frame, facts = recording.read_sealed(sealed, "")
    pd.testing.assert_frame_equal(frame, FRAME)
    assert facts == FACTS
    assert recording.whole(sealed)


@pytest.mark.parametrize("bits", [0x7FF8 << 48, 0xFFF8 << 48, 0x7FF8_0000_0000_0001], ids=["usual", "0/0", "a payload"])
def test_a_number_that_is_none_is_whatever_bits_say_so(tmp_path, bits):
    path, none = tmp_path / "sealed.parquet", np.array([bits], np.uint64).view(np.float64)
    recording.write_sealed(path, pd.DataFrame({"loss": [0.5, *none], "half": none.repeat(2)}), FACTS)
    assert np.isnan(recording.read_sealed(path, "")[0]["half"]).all()


def test_the_same_rows_and_facts_are_the_same_bytes(sealed, tmp_path):
    recording.write_sealed(tmp_path / "again.parquet", FRAME.copy(), dict(reversed(FACTS.items())))
    assert (tmp_path / "again.parquet").read_bytes() == sealed.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_what_was_cut_off_is_refused(sealed, share):
    whole = sealed.read_bytes()
    sealed.write_bytes(whole[: int(share * len(whole))])
    refused(sealed)


def test_a_flipped_bit_is_refused_or_changes_no_value(sealed):
    whole = sealed.read_bytes()
    caught = 0
    for place in range(0, len(whole), 11):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        sealed.write_bytes(damaged)
        if recording.whole(sealed):
            frame, facts = recording.read_sealed(sealed, "")
            pd.testing.assert_frame_equal(frame, FRAME, check_dtype=False)
            assert facts == FACTS
        else:
            caught += 1
    assert caught > 100


EDITS = {
    "a number": lambda frame: frame.assign(loss=[0.2, np.nan, np.inf]),
    "a status": lambda frame: frame.assign(status="ok"),
    "a row less": lambda frame: frame.iloc[:2],
    "rows swapped between seeds": lambda frame: frame.assign(seed=frame["seed"].iloc[::-1].array),
    "a column less": lambda frame: frame.drop(columns="loss"),
    "a column more": lambda frame: frame.assign(error=0.0),
    "a column under another name": lambda frame: frame.rename(columns={"loss": "error"}),
    "two rows in another order": lambda frame: frame.iloc[[1, 0, 2]],
}


@pytest.mark.parametrize("name", EDITS)
def test_edited_rows_are_refused_though_the_seal_is_kept(sealed, name):
    metadata = pq.read_schema(sealed).metadata
    kept = {key: metadata[key.encode()].decode() for key in ("facts", "checksum")}
    recording.write(sealed, EDITS[name](FRAME), kept)
    refused(sealed)


def test_edited_facts_are_refused(sealed):
    checksum = pq.read_schema(sealed).metadata[b"checksum"].decode()
    recording.write(sealed, FRAME, {"facts": '{"part": "main", "seeds": 4}', "checksum": checksum})
    refused(sealed)


def test_rows_without_a_seal_are_refused(sealed):
    recording.write(sealed, FRAME)
    refused(sealed)
    sealed.write_text("run,seed\na,0\n")
    refused(sealed)


def test_what_is_not_there_is_made_by_the_command_that_is_named(tmp_path):
    with pytest.raises(ClaimcheckError, match="no such file; make it: claimcheck run coin/tosses"):
        recording.read_sealed(tmp_path / "nowhere.parquet", "claimcheck run coin/tosses")
    assert not recording.whole(tmp_path / "nowhere.parquet")


def test_a_parts_remedy_makes_that_part(locate, make):
    coin = make(locate("coin"), "run")
    path = coin.parts["tosses"].records
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ClaimcheckError, match="make it again: claimcheck run coin/tosses --scale smoke"):
        make(coin, "assemble")
    make(coin, "run", "assemble")
    assert coin.has_records()
