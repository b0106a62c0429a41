"""Malformed configurations and damaged archives of data: one line that says what is wrong, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest

from claimcheck.data import downloads as data_fetch
from claimcheck.errors import ClaimcheckError
from claimcheck.spec.reading import load_config

# ------------------------------------------------------------------------------------------------ configurations


CONFIGURATIONS = {
    "is cut off": ("studies: [coin", ["not valid YAML"]),
    "is a list": ("- scale", ["not a mapping"]),
    "has a key twice": ("scale: quick\nscale: full", ["'scale' is given twice"]),
    "has a misspelt key": ("scael: quick", ["scael", "did you mean 'scale'"]),
    "has no such scale": ("scale: huge", ["scale", "huge"]),
    "has no such study": ("studies: [cion]", ["cion", "did you mean 'coin'"]),
    "has studies in words": ("studies: some", ["studies", "some"]),
    "has half a seed": ("seeds: 1.5", ["seeds", "1.5"]),
    "has no such device": ("device: abacus", ["device", "abacus"]),
    "has too many shards": ("shards: 100000", ["shards", "100000"]),
    "has no memory": ("memory_limit_mb: -1", ["memory_limit_mb", "-1"]),
    "runs code": ("scale: !!python/object/apply:os.getcwd []", ["not valid YAML"]),
    "is not text": (b"\xff\xfe\xfa", ["config.yaml"]),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_configuration_that(studies, tmp_path, name):
    text, pieces = CONFIGURATIONS[name]
    path = tmp_path / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ClaimcheckError) as raised:
        load_config(path, {"studies_dir": str(studies)})
    assert "\n" not in str(raised.value)
    for piece in pieces:
        assert piece in str(raised.value)


# ------------------------------------------------------------------------------------------------ archives of data


ARCHIVES = {
    "is cut off": b"\x1f\x8b\x08\x00half",
    "is a web page": b"<html>log in first</html>",
    "is empty": b"",
    "is noise": np.random.default_rng(0).bytes(4096),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that(command, tmp_path, monkeypatch, name):
    folder = tmp_path / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(ARCHIVES[name])
    (folder / "train-images-idx3-ubyte").write_bytes(ARCHIVES[name])
    monkeypatch.setattr(data_fetch, "_download", lambda origin, data_dir: "URLError: no network")
    monkeypatch.setattr(data_fetch.time, "sleep", lambda seconds: None)
    status, _, shown = command("data", "fetch", "mnist")
    assert status == 2
    assert len(shown.splitlines()) == 1
    assert "no network" in shown
    assert "train-images-idx3-ubyte.gz (MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873)" in shown
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("content", [None, b"\x00\x00\x08\x03", b""])
def test_a_run_on_data_that_are_not_whole_is_told(command, studies, tmp_path, content):
    code = studies / "coin" / "runs.py"
    code.write_text(code.read_text().replace("    time.sleep", "    context.dataset('mnist')\n    time.sleep"))
    if content is not None:
        for file in data_fetch.SOURCES["mnist"].files:
            path = tmp_path / "data" / "MNIST" / "raw" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    status, _, shown = command("run", "coin", "--scale", "smoke")
    assert status == 2
    assert len(shown.splitlines()) == 1
    assert "claimcheck data fetch mnist" in shown
    assert not list((tmp_path / "results").rglob("*.parquet"))
