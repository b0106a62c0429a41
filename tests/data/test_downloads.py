"""Downloaded data sets: whole or not there; tested with the real archives of MNIST and Fashion-MNIST where they are at
hand, and for CIFAR-10 with a small one of its layout, served on this machine."""

import gzip
import hashlib
import http.server
import os
import pickle
import shutil
import tarfile
import threading
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from claimcheck.data import datasets, downloads
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
        folder = downloads.SOURCES[name].folder
        shutil.copytree(ARCHIVES / folder, tmp_path / folder, copy_function=shutil.copyfile)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755)
    return tmp_path


def fetch(name, data_dir, **how):
    return downloads.fetch(name, data_dir, pause=0.0, log=lambda text: None, **how)


def test_checksums_are_those_that_torchvision_knows():
    from torchvision import datasets as published

    for name in NAMES:
        source = downloads.SOURCES[name]
        known = dict(getattr(published, source.torchvision).resources)
        assert {Path(file).name: checksum for file, checksum in source.archives.items()} == known
    cifar = published.CIFAR10
    meta = (cifar.meta["filename"], cifar.meta["md5"])
    assert downloads.SOURCES["cifar10"].files == dict([*map(tuple, cifar.train_list + cifar.test_list), meta])
    assert downloads.SOURCES["cifar10"].archives == {cifar.filename: cifar.tgz_md5}


@needs_archives
@pytest.mark.parametrize("name", NAMES)
def test_archives_are_checked_and_unpacked_without_a_connection(data_dir, offline, name):
    folder = fetch(name, data_dir)
    assert downloads.faults(name, data_dir) == {}
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
    assert downloads.faults("mnist", data_dir) == {path: "damaged"}
    fetch("mnist", data_dir)
    assert downloads.faults("mnist", data_dir) == {}
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
    assert downloads.faults("mnist", data_dir) == {}


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
    assert downloads.faults("mnist", data_dir) == {}


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
    for file in downloads.SOURCES["mnist"].files:
        (raw / file).write_bytes(b"not the data")
        (raw / f"{file}.gz").write_bytes(gzip.compress(b"not the data"))
    with pytest.raises(ClaimcheckError):
        fetch("mnist", tmp_path, attempts=1)


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(ClaimcheckError, match="did you mean 'fashion_mnist'"):
        downloads.source("fashion-mnist")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ClaimcheckError, match="cannot write"):
        fetch("mnist", tmp_path / "file" / "data")


def test_a_digest_reads_no_file_and_follows_checksums_and_versions(monkeypatch):
    before = {name: downloads.digest_of(name) for name in downloads.NAMES}
    assert len(before) == 9
    assert len(set(before.values())) == 8, "the pool of MNIST-1D is of the versions that MNIST-1D is of"
    mnist = downloads.SOURCES["mnist"]
    monkeypatch.setitem(downloads.SOURCES, "mnist", replace(mnist, files={**mnist.files, "train-images": "0" * 32}))
    monkeypatch.setattr(downloads.metadata, "version", lambda package: "99")
    changed = {name for name in downloads.NAMES if downloads.digest_of(name) != before[name]}
    assert changed == {*downloads.PACKAGED, "mnist"}


def test_a_digest_of_no_data_set_is_refused():
    with pytest.raises(ClaimcheckError, match="did you mean 'fashion_mnist'"):
        downloads.digest_of("fashion-mnist")


# ---- CIFAR-10: an archive of its layout, made here and served on this machine ----


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A small archive laid out as the published one, its checksums in the published ones' place, served over HTTP."""
    from torchvision.datasets import CIFAR10

    source, place, images = downloads.SOURCES["cifar10"], tmp_path / "served", {}
    folder = place / source.folder
    folder.mkdir(parents=True)
    for number, name in enumerate(source.files):
        generator = np.random.default_rng(number)
        images[name] = generator.integers(0, 256, (6, 3 * 32 * 32), dtype=np.uint8)
        labels = [int(label) for label in generator.integers(0, 10, 6)]
        content = {
            "batch_label": name,
            "labels": labels,
            "data": images[name],
            "filenames": [f"{n}.png" for n in labels],
        }
        if name == "batches.meta":
            content = {"num_cases_per_batch": 6, "label_names": [f"class {n}" for n in range(10)], "num_vis": 3072}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    archive = place / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, arcname=source.folder)
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in [archive, *folder.iterdir()]}
    files = {name: sums[name] for name in source.files}
    made = replace(source, files=files, archives={archive.name: sums[archive.name]})
    monkeypatch.setitem(downloads.SOURCES, "cifar10", made)
    monkeypatch.setattr(CIFAR10, "tgz_md5", sums[archive.name])
    monkeypatch.setattr(CIFAR10, "train_list", [[name, files[name]] for name, _ in CIFAR10.train_list])
    monkeypatch.setattr(CIFAR10, "test_list", [[name, files[name]] for name, _ in CIFAR10.test_list])
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": files["batches.meta"]})
    asked, broken = [], []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            with suppress(ConnectionError):  # torchvision asks once for the address alone and hangs up
                if broken:
                    self.wfile.write(broken.pop(0))
                else:
                    super().do_GET()

        def log_message(self, *_):
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(place))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(CIFAR10, "url", f"http://127.0.0.1:{server.server_port}/{archive.name}")
        yield SimpleNamespace(images=images, asked=asked, broken=broken, data=tmp_path / "data")
        server.shutdown()


def test_cifar10_is_downloaded_unpacked_checked_and_read(cifar10):
    folder = fetch("cifar10", cifar10.data)
    assert downloads.faults("cifar10", cifar10.data) == {}
    assert sorted(path.name for path in folder.iterdir()) == sorted(downloads.SOURCES["cifar10"].files)
    datasets.load.cache_clear()
    found = datasets.load("cifar10", cifar10.data)
    datasets.load.cache_clear()
    assert tuple(found.x_train.shape) == (30, 3, 32, 32)
    first = cifar10.images["data_batch_1"][0].reshape(3, 32, 32)
    assert (found.x_train[0].numpy() * 255).round().astype(int).tolist() == first.tolist()
    assert tuple(found.x_test.shape) == (6, 3, 32, 32)
    cifar10.asked.clear()
    fetch("cifar10", cifar10.data)
    assert not cifar10.asked, "a whole data set opens no connection"


ARCHIVE, BATCH = "cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_3"


def test_only_the_published_files_are_loaded(cifar10):
    folder = fetch("cifar10", cifar10.data)
    (folder / ".DS_Store").write_bytes(b"left by a file manager")
    (cifar10.data / ARCHIVE).unlink()
    datasets.load.cache_clear()
    datasets.load("cifar10", cifar10.data)
    datasets.load.cache_clear()
    path = cifar10.data / BATCH
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ClaimcheckError) as told:
        datasets.load("cifar10", cifar10.data)
    assert str(told.value).startswith(f"{path}: data set cifar10: the file is damaged; expected MD5 ")
    assert f"claimcheck data fetch cifar10 --data-dir {cifar10.data}" in str(told.value)


@pytest.mark.parametrize(("damaged", "downloaded"), [([ARCHIVE], False), ([BATCH], False), ([ARCHIVE, BATCH], True)])
def test_a_damaged_file_of_cifar10_is_made_again(cifar10, damaged, downloaded):
    fetch("cifar10", cifar10.data)
    paths = [cifar10.data / file for file in damaged]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-20])
    assert downloads.faults("cifar10", cifar10.data) == dict.fromkeys(paths, "damaged")
    cifar10.asked.clear()
    fetch("cifar10", cifar10.data)
    assert downloads.faults("cifar10", cifar10.data) == {}
    assert bool(cifar10.asked) == downloaded, "only where neither the batch nor its archive is whole"


CUT_SHORT = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n100\r\nnot 256 bytes"


@pytest.mark.parametrize(
    ("answers", "fault"),
    [([CUT_SHORT, CUT_SHORT], "IncompleteRead"), ([b"no status\r\n\r\n"], "BadStatusLine")],
    ids=["a chunked reply is cut short", "a reply is not HTTP"],
)
def test_a_reply_that_breaks_off_or_is_not_http_is_tried_again(cifar10, answers, fault):
    said = []
    cifar10.broken.extend(answers)
    downloads.fetch("cifar10", cifar10.data, attempts=2, pause=0.0, log=said.append)
    assert downloads.faults("cifar10", cifar10.data) == {}
    assert any(f"attempt 1 of 2 failed ({fault}" in line for line in said), said


def test_a_server_that_always_breaks_off_is_told_in_one_line(cifar10):
    cifar10.broken.extend(4 * [CUT_SHORT])
    with pytest.raises(ClaimcheckError, match=r"could not be downloaded \(IncompleteRead") as told:
        fetch("cifar10", cifar10.data, attempts=2)
    assert "\n" not in str(told.value)
