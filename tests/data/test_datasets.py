"""Data sets that are made here: made once, kept whole, the same bits from the file as from the generator."""

from __future__ import annotations

import io
import zipfile

import numpy
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


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "other versions", "other code"])
def test_a_file_that_is_not_whole_and_of_today_is_made_again(tmp_path, monkeypatch, harm):
    made, path = loaded("digits", tmp_path), tmp_path / "digits.npz"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes({"cut": raw[: len(raw) // 2], "flipped": raw, "empty": b""}.get(harm, path.read_bytes()))
    if harm == "other versions":
        monkeypatch.setitem(downloads.PACKAGED, "digits", ("numpy",))
    if harm == "other code":
        monkeypatch.setattr(datasets, "__file__", __file__)
    times = []
    monkeypatch.setitem(datasets.MADE, "digits", lambda: times.append(1) or datasets._digits())
    again = loaded("digits", tmp_path)
    assert all(torch.equal(getattr(made, each), getattr(again, each)) for each in NAMES)
    loaded("digits", tmp_path)
    assert len(times) == 1, "made again once, and kept"


def damaged(text, **changes):
    """An archive of one array with this header, `changes` made to how the archive says that it is packed."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(64))
    content = bytearray(raw.getvalue())
    for name, number in changes.items():  # in the header before the array, and in the list at the end
        for mark, first in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(mark) + first + {"flags": 0, "method": 2}[name]] = number
    return bytes(content)


HEADER = b"{'descr': '<f8', 'fortran_order': False, 'shape': (8,), }"

DAMAGE = {
    "packed as nobody does": damaged(HEADER, method=97),
    "kept secret": damaged(HEADER, flags=1),
    "a patch of another": damaged(HEADER, flags=32),
    "a header that does not end": damaged(HEADER[:-1] + b"'''"),
    "a header of nonsense": damaged(b"{'descr': '<f8' 'fortran_order' False, ("),
    "brackets in brackets": damaged(b"(" * 5000),
    "an array without end": damaged(HEADER.replace(b"(8,)", b"(8000000000000,)")),
    "objects": damaged(HEADER.replace(b"<f8", b"|O")),
    "no archive": b"PK\x03\x04 and so on",
    "an array alone": b"\x93NUMPY\x01\x00" + len(HEADER).to_bytes(2, "little") + HEADER + bytes(64),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_whatever_the_damage_the_file_is_made_again(tmp_path, monkeypatch, name):
    path = tmp_path / "digits.npz"
    path.write_bytes(DAMAGE[name])
    assert len(loaded("digits", tmp_path).x_train) == 1297
    monkeypatch.setitem(datasets.MADE, "digits", None)
    assert len(loaded("digits", tmp_path).x_train) == 1297, "from the file"


def test_every_byte_may_be_damaged(tmp_path):
    path = tmp_path / "small.npz"
    datasets._keep(path, "here", {"x": numpy.arange(3.0), "y": numpy.arange(3)})
    whole, kept = path.read_bytes(), datasets._kept(path, "here")
    for place, byte in enumerate(whole):
        for bit in (0, 5):
            path.write_bytes(whole[:place] + bytes([byte ^ (1 << bit)]) + whole[place + 1 :])
            found = datasets._kept(path, "here")
            assert found is None or all(numpy.array_equal(found[key], kept[key]) for key in kept)


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    assert len(loaded("digits", tmp_path / "file").x_test) == 500
