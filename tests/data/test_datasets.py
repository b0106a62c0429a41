"""Data sets that are made here: made once, kept whole, the same bits from the file as from the generator."""

from __future__ import annotations

import pytest
import torch

from claimcheck.data import datasets, downloads

NAMES = ("x_train", "y_train", "x_test", "y_test")


def loaded(name, folder):
    """The data set as a new process finds it."""
    datasets.load.cache_clear()
    found = datasets.load(name, folder)
    datasets.load.cache_clear()
    return found


@pytest.mark.parametrize(("name", "examples"), [("mnist1d", 4000), ("digits", 1297)])
def test_the_file_gives_the_bits_that_were_made(tmp_path, monkeypatch, name, examples):
    made = loaded(name, tmp_path)
    assert len(made.x_train) == examples
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.npz"]
    monkeypatch.setitem(datasets.MADE, name, None)  # from here on there is only the file
    kept = loaded(name, tmp_path)
    assert all(torch.equal(getattr(made, each), getattr(kept, each)) for each in NAMES)


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "other versions"])
def test_a_file_that_is_not_whole_is_made_again(tmp_path, monkeypatch, harm):
    made, path = loaded("digits", tmp_path), tmp_path / "digits.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(
        {"cut": raw[: len(raw) // 2], "flipped": raw, "empty": b"", "other versions": path.read_bytes()}[harm]
    )
    if harm == "other versions":
        monkeypatch.setitem(downloads.PACKAGED, "digits", ("numpy",))
    times = []
    monkeypatch.setitem(datasets.MADE, "digits", lambda: times.append(1) or datasets._digits())
    again = loaded("digits", tmp_path)
    assert all(torch.equal(getattr(made, each), getattr(again, each)) for each in NAMES)
    loaded("digits", tmp_path)
    assert len(times) == 1, "made again once, and kept"


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert len(loaded("digits", tmp_path / "file").x_test) == 500
