"""The published files are the data: what else lies in their folder, and when they were touched, is nobody's concern."""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch

from claimcheck.data import datasets, downloads
from claimcheck.errors import ClaimcheckError


def idx(array):
    """An array of bytes in the format in which MNIST is published."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def data_dir(tmp_path, monkeypatch):
    """A small data set laid out as MNIST, with its own checksums in the published ones' place."""
    generator = np.random.default_rng(0)
    source, files = downloads.SOURCES["mnist"], {}
    folder = tmp_path / source.folder
    folder.mkdir(parents=True)
    for name in source.files:
        shape = (6, 28, 28) if "images" in name else (6,)
        (folder / name).write_bytes(idx(generator.integers(0, 10, shape)))
        files[name] = hashlib.md5((folder / name).read_bytes()).hexdigest()
    monkeypatch.setitem(downloads.SOURCES, "mnist", replace(source, files=files))
    datasets.load.cache_clear()
    yield tmp_path
    datasets.load.cache_clear()


def finder(folder):
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (folder / "._train-images-idx3-ubyte").write_bytes(b"\0\5\x16\7")


def explorer(folder):
    (folder / "Thumbs.db").write_bytes(b"thumbnails")
    (folder / "desktop.ini").write_text("[.ShellClassInfo]\n")


def network_drive(folder):
    (folder / ".nfs0000000000c0ffee").write_bytes(b"still open somewhere")


def own_notes(folder):
    (folder / "README").write_text("where these come from")
    (folder / "old").mkdir()
    (folder / "old" / "train-images-idx3-ubyte").write_bytes(b"an older copy")


def touched(folder):
    for path in folder.iterdir():
        os.utime(path, (4e9, 4e9))
        path.chmod(0o444)


@pytest.mark.parametrize("litter", [finder, explorer, network_drive, own_notes, touched])
def test_what_lies_beside_the_published_files_changes_nothing(litter, data_dir, monkeypatch):
    digest, before = downloads.digest_of("mnist"), datasets.load("mnist", data_dir)
    for folder in (data_dir / "MNIST" / "raw", data_dir):
        litter(folder)
    datasets.load.cache_clear()
    monkeypatch.setattr(downloads, "_download", lambda *words: pytest.fail("it is whole"))
    assert downloads.faults("mnist", data_dir) == {}
    assert downloads.digest_of("mnist") == digest
    assert downloads.fetch("mnist", data_dir, log=lambda text: None) == data_dir / "MNIST" / "raw"
    after = datasets.load("mnist", data_dir)
    assert bool((after.x_train == before.x_train).all())
    assert bool((after.y_test == before.y_test).all())


def test_a_published_file_that_is_another_is_refused_whatever_lies_beside_it(data_dir):
    own_notes(data_dir / "MNIST" / "raw")
    path = data_dir / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-1] + b"\x0b")
    datasets.load.cache_clear()
    with pytest.raises(ClaimcheckError, match="the file is damaged"):
        datasets.load("mnist", data_dir)


@pytest.fixture
def old_torchvision(data_dir):
    """Tensors as an old torchvision left them beside MNIST's files, and which a new one prefers to these."""
    folder = data_dir / "MNIST" / "processed"
    folder.mkdir()
    for file in ("training.pt", "test.pt"):
        torch.save((torch.full((3, 28, 28), 255, dtype=torch.uint8), torch.tensor([9, 9, 9])), folder / file)


@pytest.mark.usefixtures("old_torchvision")
def test_the_files_that_were_checked_are_those_that_are_read(data_dir):
    loaded, raw = datasets.load("mnist", data_dir), data_dir / "MNIST" / "raw"
    for inputs, labels, split in ((loaded.x_train, loaded.y_train, "train"), (loaded.x_test, loaded.y_test, "t10k")):
        pixels = np.frombuffer((raw / f"{split}-images-idx3-ubyte").read_bytes()[16:], np.uint8)
        assert (inputs.numpy() * 255).round().flatten().tolist() == pixels.tolist()
        assert labels.tolist() == list((raw / f"{split}-labels-idx1-ubyte").read_bytes()[8:])


@pytest.mark.usefixtures("old_torchvision")
def test_the_published_files_are_made_whatever_an_old_torchvision_left(data_dir, monkeypatch):
    source, archives = downloads.SOURCES["mnist"], {}
    for file in source.files:
        path = data_dir / source.folder / file
        packed = path.with_name(f"{file}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        archives[packed.name] = hashlib.md5(packed.read_bytes()).hexdigest()
        path.unlink()
    published = {f"{source.folder}/{name}": checksum for name, checksum in archives.items()}
    monkeypatch.setitem(downloads.SOURCES, "mnist", replace(source, archives=published))
    monkeypatch.setattr("torchvision.datasets.MNIST.resources", list(archives.items()))
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://127.0.0.1:9/"])  # the archives are there already
    downloads.fetch("mnist", data_dir, attempts=1, log=lambda text: None)
    assert downloads.faults("mnist", data_dir) == {}


@pytest.mark.parametrize("litter", [finder, explorer, own_notes])
def test_made_data_are_read_from_their_own_file_alone(litter, tmp_path):
    first = datasets.load("digits", tmp_path)
    litter(tmp_path)
    datasets.load.cache_clear()
    assert bool((datasets.load("digits", tmp_path).x_train == first.x_train).all())


def test_users_of_one_data_folder_can_open_each_others_locks(tmp_path):
    before = os.umask(0o077)
    try:
        with downloads._locked(tmp_path, "mnist"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / ".mnist.lock").stat().st_mode & 0o777 == 0o666


@pytest.mark.parametrize("left", ["a folder", "a link to nowhere"])
def test_a_lock_that_cannot_be_opened_is_named_in_one_line(left, tmp_path):
    path = tmp_path / ".mnist.lock"
    path.mkdir() if left == "a folder" else path.symlink_to(tmp_path / "gone" / "lock")
    with pytest.raises(ClaimcheckError) as told, downloads._locked(tmp_path, "mnist"):
        pass
    assert str(told.value).startswith(str(path) if left == "a folder" else str(tmp_path))
    assert "cannot write" in str(told.value)
    assert "\n" not in str(told.value)
