"""Malformed studies, configurations, records, verdicts, archives: one line that names file and cause, nothing lost.

Every case harms one thing in a small finished project, gives one command, and looks at what a user would see: the exit
status, one line on standard error, no traceback, and every file that was not harmed still there, byte for byte.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from claimcheck import cli
from claimcheck.data import downloads as data_fetch
from claimcheck.results import records as recording
from claimcheck.errors import ClaimcheckError
from claimcheck.files import sha256
from claimcheck.results.seals import sealed
from claimcheck.spec.reading import load_config

STUDIES = Path(__file__).parent / "end_to_end" / "studies"
COIN = "results/smoke/coin"
SPEC, CODE, LECTURE = "studies/coin/study.yaml", "studies/coin/study.py", "studies/lecture.yaml"
RECORDS, PROVENANCE, VERDICTS = f"{COIN}/records.parquet", f"{COIN}/provenance.json", f"{COIN}/verdicts.json"
FIGURE, LIST = f"{COIN}/figures/shares.svg", f"{COIN}/figures/checksums.json"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A project with the toy studies, of which `coin` was run, judged, drawn and reported at smoke scale."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copytree(STUDIES, folder / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for step in ("run coin", "judge coin", "plot coin", "report"):
            assert _command(patch, f"{step} --scale smoke") == 0, step
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    """A copy of the finished project to harm; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder)
    monkeypatch.chdir(folder)
    return folder


def _command(patch: pytest.MonkeyPatch, words: str) -> int:
    patch.setattr(sys, "argv", ["claimcheck", *words.split()])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def _contents(folder: Path) -> dict[str, str]:
    """Checksum of every file below the folder, code that Python compiled and locks aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".lock", ".pyc")
    }


# -------------------------------------------------------------------------------------------------- ways to do harm


def write(name, text):
    """The file holds `text` (or bytes)."""

    def harm(folder):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return harm


def replace(name, old, new):
    """`old` in the file becomes `new`."""

    def harm(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return harm


def remove(name):
    """The file is gone."""
    return lambda folder: (folder / name).unlink()


def cut(name, share):
    """Only the first `share` of the file is left."""

    def harm(folder):
        raw = (folder / name).read_bytes()
        (folder / name).write_bytes(raw[: int(share * len(raw))])

    return harm


def flip(name):
    """One bit in the middle of the file is flipped."""

    def harm(folder):
        raw = bytearray((folder / name).read_bytes())
        raw[len(raw) // 2] ^= 1
        (folder / name).write_bytes(raw)

    return harm


def rows(change):
    """The records are changed, and their noted checksum with them: only their content is wrong."""

    def harm(folder):
        recording.write(folder / RECORDS, change(recording.read(folder / RECORDS)))
        digest = sha256(folder / RECORDS)
        forge(PROVENANCE, lambda facts: facts["files"].update({"records.parquet": digest}))(folder)

    return harm


def forge(name, change):
    """A sealed JSON file is changed, and its seal with it."""

    def harm(folder):
        value = json.loads((folder / name).read_text())
        value.pop("checksum")
        change(value)
        (folder / name).write_text(json.dumps(sealed(value)))

    return harm


def edit(name, change):
    """A JSON file is edited by hand."""

    def harm(folder):
        value = json.loads((folder / name).read_text())
        change(value)
        (folder / name).write_text(json.dumps(value))

    return harm


def elsewhere(harm):
    """The harm is done to a copy of the results in the folder `coin`, from which they are to be imported."""

    def copy(folder):
        shutil.copytree(folder / COIN, folder / "coin")
        harm(folder)

    return copy


JUDGE, RUN, REPORT = "judge coin --scale smoke", "run coin --scale smoke", "report --scale smoke"
IMPORT, VERIFY = "import coin --scale smoke", "verify results/smoke results/smoke"
CRATE = "crate packed --scale smoke"

SPECS = {
    "spec is empty": (write(SPEC, ""), RUN, ["study.yaml", "not a mapping"]),
    "spec is not text": (write(SPEC, b"\xff\xfe\x00title"), RUN, ["study.yaml"]),
    "spec is cut off": (cut(SPEC, 0.55), RUN, ["study.yaml"]),
    "spec is nested past all reason": (write(SPEC, "a: " + "[" * 20_000), RUN, ["study.yaml"]),
    "spec runs code": (replace(SPEC, "title: A coin", "title: !!python/name:os.system"), RUN, ["study.yaml", "YAML"]),
    "tabs in the spec": (replace(SPEC, "  bias:", "\tbias:"), RUN, ["study.yaml", "YAML"]),
    "a key twice": (
        replace(SPEC, "title: A coin", "title: A coin\ntitle: B"),
        RUN,
        ["study.yaml", "'title' is given twice"],
    ),
    "a misspelt key": (replace(SPEC, "notes:", "ntoes:"), RUN, ["ntoes", "did you mean 'notes'"]),
    "a key is missing": (replace(SPEC, "title: A coin\n", ""), RUN, ["study.yaml: title", "missing"]),
    "NaN for a region": (replace(SPEC, "[0.4, 0.6]", "[.nan, 0.6]"), RUN, ["region"]),
    "an endless region": (replace(SPEC, "[0.4, 0.6]", "[-.inf, .inf]"), RUN, ["region"]),
    "one end for a region": (replace(SPEC, "[0.4, 0.6]", "[0.4]"), RUN, ["region"]),
    "a misspelt statistic": (replace(SPEC, "statistic: heads", "statistic: haeds"), RUN, ["haeds", "'heads'"]),
    "a scale is missing": (
        replace(SPEC, "  smoke: {seeds: 12, tosses: 200, seconds: 0.0}\n", ""),
        RUN,
        ["scale", "smoke"],
    ),
    "a setting is missing": (replace(SPEC, "tosses: 200, ", ""), RUN, ["tosses"]),
    "code with a syntax error": (write(CODE, "def run(:"), RUN, ["study.py", "not valid Python"]),
    "code with a null byte": (write(CODE, b"x = 1\x00"), RUN, ["study.py", "not valid Python"]),
    "code is missing": (remove(CODE), RUN, ["study.py", "no such file"]),
    "code that fails": (
        replace(CODE, "    time.sleep", "    1 / 0\n    time.sleep"),
        RUN,
        ["study.py", "ZeroDivisionError"],
    ),
    "an import that fails": (replace(CODE, "import time", "import timee as time"), RUN, ["study.py", "timee"]),
    "code that returns nothing": (
        replace(CODE, "    return pd.DataFrame", "    pd.DataFrame"),
        RUN,
        ["study.py", "DataFrame"],
    ),
    "code that loses runs": (replace(CODE, '"heads": shares})', '"heads": shares})[1:]'), RUN, ["coin", "1 runs"]),
    "lecture is missing": (remove(LECTURE), RUN, ["lecture.yaml", "no such file"]),
    "lecture is a list": (write(LECTURE, "- a"), RUN, ["lecture.yaml", "not a mapping"]),
    "lecture without the claim": (
        replace(LECTURE, "coin-is-fair", "coin-was-fair"),
        RUN,
        ["coin-is-fair", "coin-was-fair"],
    ),
}

RESULTS = {
    "records are gone": (remove(RECORDS), JUDGE, ["records.parquet", "claimcheck run coin"]),
    "records are empty": (write(RECORDS, b""), JUDGE, ["records.parquet", "checksum differs"]),
    "records are cut off": (cut(RECORDS, 0.7), JUDGE, ["records.parquet", "checksum differs"]),
    "a bit of the records is flipped": (flip(RECORDS), JUDGE, ["records.parquet", "checksum differs"]),
    "records are text, provenance is gone": (
        lambda folder: (write(RECORDS, "run,seed")(folder), remove(PROVENANCE)(folder)),
        JUDGE,
        ["records.parquet", "not a readable parquet file"],
    ),
    "no rows": (rows(lambda r: r.iloc[:0]), JUDGE, ["records.parquet", "coin has no rows"]),
    "a seed is missing": (rows(lambda r: r[r.seed != 3]), JUDGE, ["records", "seeds of study coin are missing"]),
    "a row twice": (rows(lambda r: pd.concat([r, r.iloc[3:4]])), JUDGE, ["records", "(run, index)", "bias=0.5:3"]),
    "a column is missing": (rows(lambda r: r.drop(columns="heads")), JUDGE, ["study.py", "half", "'heads'"]),
    "no status": (rows(lambda r: r.drop(columns="status")), JUDGE, ["records.parquet", "'status'"]),
    "a number is NaN": (
        rows(lambda r: r.assign(heads=r.heads.where(r.seed != 5))), JUDGE, ["prediction half", "NaN", "seeds 5"],
    ),
    "a metric in words": (rows(lambda r: r.assign(heads="many")), JUDGE, ["prediction half", "not a number"]),
    "a part of another study": (rows(lambda r: r.assign(part="dice")), JUDGE, ["coin has no such part", "dice"]),
    "provenance is cut off": (cut(PROVENANCE, 0.5), JUDGE, ["provenance.json", "not readable JSON"]),
    "provenance is a list": (write(PROVENANCE, "[]"), JUDGE, ["provenance.json", "not a mapping"]),
    "provenance of another shape": (write(PROVENANCE, '{"files": [], "seeds": 3}'), JUDGE, ["provenance.json"]),
    "provenance with a strange number of seeds": (
        edit(PROVENANCE, lambda facts: facts.update(seeds={"main": "many"})), JUDGE, ["provenance.json", "many"],
    ),
    "provenance is edited by hand": (
        edit(PROVENANCE, lambda facts: facts.update(seconds=98765.4)), JUDGE, ["provenance.json", "changed after"],
    ),
    "a figure is edited by hand": (write(FIGURE, "<svg/>"), REPORT, ["shares.svg", "claimcheck plot coin"]),
    "a figure is cut off": (cut(FIGURE, 0.5), REPORT, ["shares.svg", "not the figure that was drawn"]),
    "a figure is gone": (remove(FIGURE), REPORT, ["shares.svg", "claimcheck plot coin"]),
    "the list of figures is edited": (edit(LIST, lambda kept: kept["files"].pop("shares.svg")), REPORT, ["checksums"]),
    "figures of other records": (forge(LIST, lambda kept: kept.update(records_sha256="0")), REPORT, ["other records"]),
    "a figure is edited before packing": (write(FIGURE, "<svg/>"), CRATE, ["shares.svg", "claimcheck plot coin"]),
    "provenance is cut off before judging": (cut(PROVENANCE, 0.5), JUDGE, ["provenance.json", "not readable JSON"]),
    "a verdict is edited by hand": (
        edit(VERDICTS, lambda entries: entries[0].update(verdict="contradicted")),
        REPORT,
        ["verdicts.json", "half", "changed"],
    ),
    "an estimate is edited by hand": (
        edit(VERDICTS, lambda entries: entries[0].update(estimate=0.5)), VERIFY, ["verdicts.json", "half", "changed"],
    ),
    "verdicts are cut off": (cut(VERDICTS, 0.5), REPORT, ["verdicts.json", "not readable JSON"]),
    "verdicts are a number": (write(VERDICTS, "3"), REPORT, ["verdicts.json", "not a list"]),
    "calibration is cut off": (write("results/smoke/calibration.json", '{"n":'), REPORT, ["calibration.json", "JSON"]),
    "the null run is cut off": (cut(f"{COIN}/shuffled.json", 0.4), REPORT, ["shuffled.json", "not readable JSON"]),
    "notes that name nothing": (replace(SPEC, "estimate('half')", "estimate('hlaf')"), REPORT, ["coin", "hlaf"]),
    "notes that are no template": (replace(SPEC, "{{ estimate('half') }}", "{{ estimate('half' }}"), REPORT, ["coin"]),
}  # fmt: skip

COPIES = {
    "a copy without provenance": (elsewhere(remove("coin/provenance.json")), IMPORT, ["no such file"]),
    "a copy with half its records": (elsewhere(cut("coin/records.parquet", 0.5)), IMPORT, ["copy it again"]),
    "a copy without records": (elsewhere(remove("coin/records.parquet")), IMPORT, ["records.parquet", "no such file"]),
    "a copy of another scale": (elsewhere(lambda folder: None), "import coin --scale quick", ["smoke", "quick"]),
    "a copy that is no folder": (lambda folder: None, "import nowhere --study coin --scale smoke", ["nowhere"]),
    "a copy that reaches outside": (
        elsewhere(forge("coin/provenance.json", lambda facts: facts["files"].update({"../evil": "0"}))),
        IMPORT,
        ["evil"],
    ),
    "trees that are not there": (lambda folder: None, "verify results/smoke elsewhere", ["no such folder"]),
    "a tree without results": (lambda folder: None, "verify results/smoke studies", ["studies", "no results"]),
}  # fmt: skip

WORDS = {
    "no such study": ("run cion", ["cion", "did you mean 'coin'"]),
    "a study outside the folder": ("run ../coin", ["../coin"]),
    "no such scale": ("run coin --scale huge", ["huge"]),
    "no such command": ("jugde coin", ["jugde"]),
    "no such option": ("run coin --sacle smoke", ["--sacle"]),
    "no seeds": ("run coin --seeds 0", ["--seeds"]),
    "seeds in words": ("run coin --seeds many", ["--seeds", "integer"]),
    "no such device": ("run coin --scale smoke --device abacus", ["abacus"]),
    "a shard beyond the last": ("run coin --shard 3/2", ["--shard", "3/2"]),
    "no studies": ("list --studies-dir nowhere", ["nowhere"]),
    "too few seeds to calibrate": ("calibrate --n 5 --predictions 3", ["5 seeds", "at least 11"]),
    "nothing to calibrate": ("calibrate --scale full", ["results/full"]),
    "a file for a folder": ("run coin --scale smoke --results-dir studies/lecture.yaml", ["lecture.yaml"]),
    "no such data set": ("data fetch mnits", ["mnits", "did you mean 'mnist'"]),
    "shards that were not run": ("merge coin 2 --scale smoke", ["shard"]),
    "a name that is no name": ("new Coin-2", ["Coin-2"]),
    "a name that is taken": ("new coin", ["coin"]),
}

CASES = {
    **SPECS,
    **RESULTS,
    **COPIES,
    **{name: (lambda folder: None, words, pieces) for name, (words, pieces) in WORDS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_malformed_input_is_one_line_and_nothing_is_lost(project, monkeypatch, capsys, name):
    harm, words, pieces = CASES[name]
    harm(project)
    before = _contents(project)
    status = _command(monkeypatch, words)
    shown = capsys.readouterr().err
    assert status != 0
    faults = [line for line in shown.splitlines() if line.startswith("claimcheck: ")]
    assert len(faults) == 1, shown
    assert shown.splitlines()[-1] == faults[0], shown
    assert "Traceback" not in shown
    for piece in pieces:
        assert piece in faults[0]
    after = _contents(project)
    assert {path: after.get(path) for path in before} == before


def test_there_are_at_least_forty_of_them():
    assert len(CASES) >= 40


def test_nothing_is_unpickled_and_yaml_is_loaded_safely():
    source = Path(cli.__file__).parent
    for path in [*source.rglob("*.py"), *(source.parents[1] / "studies").rglob("*.py")]:
        text = path.read_text()
        assert not re.search(r"^\s*(import|from) (c?[pP]ickle|dill|joblib|shelve|marshal)\b", text, re.M), path
        assert not re.search(r"\b(eval|exec)\(", re.sub(r"\.(eval|exec)\(|\bdef (eval|exec)\(", "", text)), path
        for call in re.findall(r"torch\.load\([^)]*\)", text):
            assert "weights_only=True" in call, path
        for call in re.findall(r"yaml\.(?:unsafe_load|full_load|load)\([^\n]*", text):
            assert "Loader=_UniqueKeyLoader" in call, path


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
    before = _contents(project / "results")
    monkeypatch.setattr(data_fetch, "_download", lambda origin, data_dir: "URLError: no network")
    monkeypatch.setattr(data_fetch.time, "sleep", lambda seconds: None)
    assert _command(monkeypatch, "data fetch mnist") == 2
    shown = capsys.readouterr().err
    assert len(shown.splitlines()) == 1
    assert "no network" in shown
    assert "train-images-idx3-ubyte.gz (MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873)" in shown
    assert _contents(project / "results") == before


@pytest.mark.parametrize("content", [None, b"\x00\x00\x08\x03", b""])
def test_a_run_on_data_that_are_not_whole_is_told(project, monkeypatch, capsys, content):
    (project / CODE).write_text(
        (project / CODE).read_text().replace("    time.sleep", "    context.dataset('mnist')\n    time.sleep")
    )
    if content is not None:
        for file in data_fetch.SOURCES["mnist"].files:
            path = project / "data" / "MNIST" / "raw" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    before = _contents(project)
    assert _command(monkeypatch, RUN) == 2
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert "claimcheck data fetch mnist" in shown[0]
    assert _contents(project) == before
