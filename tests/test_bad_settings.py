"""Malformed configurations and damaged archives of data: one line that says what is wrong, nothing lost."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from claimcheck import cli
from claimcheck.data import downloads as data_fetch
from claimcheck.errors import ClaimcheckError
from claimcheck.spec.reading import load_config


@pytest.fixture
def project(studies, tmp_path, monkeypatch):
    """A folder with the tiny studies; the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _command(patch, words):
    patch.setattr(sys, "argv", ["claimcheck", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


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
def test_a_configuration_that(project, name):
    text, pieces = CONFIGURATIONS[name]
    path = project / "config.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ClaimcheckError) as raised:
        load_config(path, {"studies_dir": "studies"})
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
def test_an_archive_that(project, monkeypatch, capsys, name):
    folder = project / "data" / "MNIST" / "raw"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(ARCHIVES[name])
    (folder / "train-images-idx3-ubyte").write_bytes(ARCHIVES[name])
    monkeypatch.setattr(data_fetch, "_download", lambda origin, data_dir: "URLError: no network")
    monkeypatch.setattr(data_fetch.time, "sleep", lambda seconds: None)
    assert _command(monkeypatch, "data fetch mnist") == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "no network" in shown
    assert "train-images-idx3-ubyte.gz (MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873)" in shown
    assert not (project / "results").exists()


@pytest.mark.parametrize("content", [None, b"\x00\x00\x08\x03", b""])
def test_a_run_on_data_that_are_not_whole_is_told(project, monkeypatch, capsys, content):
    code = project / "studies" / "coin" / "runs.py"
    code.write_text(code.read_text().replace("    time.sleep", "    context.dataset('mnist')\n    time.sleep"))
    if content is not None:
        for file in data_fetch.SOURCES["mnist"].files:
            path = project / "data" / "MNIST" / "raw" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    assert _command(monkeypatch, "run coin --scale smoke") == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert "claimcheck data fetch mnist" in shown[0]
    assert not list((project / "results").rglob("*.parquet"))
