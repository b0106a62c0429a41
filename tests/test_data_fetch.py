"""Downloaded data sets: whole or not there; tested with the real archives where they are at hand."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from claimcheck import data_fetch
from claimcheck.errors import ClaimcheckError

NAMES = ["mnist", "fashion_mnist"]
PLACES = [os.environ.get("CLAIMCHECK_TEST_DATA"), Path(__file__).parents[2] / "shared/data"]
ARCHIVES = next((Path(place) for place in PLACES if place and Path(place).is_dir()), None)

needs_archives = pytest.mark.skipif(
    ARCHIVES is None,
    reason="no archives of MNIST and Fashion-MNIST at hand (CLAIMCHECK_TEST_DATA names their folder)",
)


@pytest.fixture
def offline(monkeypatch):
    """Every connection fails at once, and is counted."""
    import urllib.error
    import urllib.request

    tried = []

    def refuse(request, *_, **__):
        tried.append(request)
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tried


@pytest.fixture
def data_dir(tmp_path):
    """A data directory with the real archives, not unpacked."""
    for name in NAMES:
        folder = data_fetch.SOURCES[name].folder
        shutil.copytree(ARCHIVES / folder, tmp_path / folder, copy_function=shutil.copyfile)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755)
    return tmp_path


def fetch(name, data_dir, **how):
    return data_fetch.fetch(name, data_dir, pause=0.0, log=lambda text: None, **how)


def test_checksums_are_those_that_torchvision_knows():
    from torchvision import datasets

    for name in NAMES:
        source = data_fetch.SOURCES[name]
        known = dict(getattr(datasets, source.torchvision).resources)
        assert {Path(file).name: checksum for file, checksum in source.archives.items()} == known
    cifar = datasets.CIFAR10
    meta = (cifar.meta["filename"], cifar.meta["md5"])
    assert data_fetch.SOURCES["cifar10"].files == dict([*map(tuple, cifar.train_list + cifar.test_list), meta])
    assert data_fetch.SOURCES["cifar10"].archives == {cifar.filename: cifar.tgz_md5}


@needs_archives
@pytest.mark.parametrize("name", NAMES)
def test_archives_are_checked_and_unpacked_without_a_connection(data_dir, offline, name):
    folder = fetch(name, data_dir)
    assert data_fetch.faults(name, data_dir) == {}
    assert (folder / "train-images-idx3-ubyte").stat().st_size == 60_000 * 28 * 28 + 16
    assert not offline
    fetch(name, data_dir)


@needs_archives
def test_a_damaged_file_is_found_and_made_again_from_its_archive(data_dir, offline):
    folder = fetch("mnist", data_dir)
    path = folder / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    assert data_fetch.faults("mnist", data_dir) == {path: "damaged"}
    fetch("mnist", data_dir)
    assert data_fetch.faults("mnist", data_dir) == {}
    assert not offline


@needs_archives
@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "gone"])
def test_a_bad_archive_is_downloaded_again(data_dir, monkeypatch, damage):
    path = data_dir / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(
        {
            "half": whole[: len(whole) // 2],
            "flipped": whole[:100] + bytes([whole[100] ^ 1]) + whole[101:],
            "empty": b"",
            "gone": b"",
        }[damage]
    )
    if damage == "gone":
        path.unlink()
    asked = []

    def serve(url, filename, *_):
        asked.append(Path(filename).name)
        Path(filename).write_bytes(whole)

    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, max_hops=3: url)
    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", serve)
    fetch("mnist", data_dir)
    assert asked == ["t10k-labels-idx1-ubyte.gz"]
    assert data_fetch.faults("mnist", data_dir) == {}


@needs_archives
def test_a_download_cut_short_is_tried_again(data_dir, monkeypatch):
    path = data_dir / "MNIST/raw/t10k-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    path.unlink()
    answers = [whole[:100], whole[:2000], whole]
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, max_hops=3: url)
    monkeypatch.setattr("torchvision.datasets.MNIST.mirrors", ["http://localhost/"])
    monkeypatch.setattr(
        "torchvision.datasets.utils._urlretrieve", lambda url, filename, *_: Path(filename).write_bytes(answers.pop(0))
    )
    fetch("mnist", data_dir)
    assert not answers
    assert data_fetch.faults("mnist", data_dir) == {}


def test_without_a_network_the_error_says_what_to_put_where(tmp_path, offline):
    with pytest.raises(ClaimcheckError) as told:
        fetch("fashion_mnist", tmp_path, attempts=2)
    said = str(told.value)
    assert "\n" not in said
    assert (
        "put there by hand: FashionMNIST/raw/train-images-idx3-ubyte.gz (MD5 8d4fb7e6c68d591d4c3dfef9ec88bf0d)" in said
    )
    assert offline


def test_a_foreign_file_in_an_archives_place_is_not_taken(tmp_path, offline):
    raw = tmp_path / "MNIST/raw"
    raw.mkdir(parents=True)
    for file in data_fetch.SOURCES["mnist"].files:
        (raw / file).write_bytes(b"not the data")
        (raw / f"{file}.gz").write_bytes(gzip.compress(b"not the data"))
    with pytest.raises(ClaimcheckError):
        fetch("mnist", tmp_path, attempts=1)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ClaimcheckError, match="did you mean 'fashion_mnist'"):
        data_fetch.source("fashion-mnist")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClaimcheckError, match="cannot write"):
        fetch("mnist", tmp_path / "file" / "data")


def test_names_are_found_anywhere_in_a_design():
    design = {"main": {"settings": {"dataset": "mnist", "width": 3}, "factors": {"data": {"values": ["cifar10", "x"]}}}}
    assert data_fetch.named_in(design) == ["cifar10", "mnist"]
