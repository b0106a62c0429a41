"""Folders of tiny studies to read, break and run: the coin and the walk, and one with planted effects."""

import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from claimcheck.files import read_yaml

SOURCE = Path(__file__).parent / "end_to_end" / "studies"
PLANTED = Path(__file__).parent / "judging" / "studies"


class LectureRun(NamedTuple):
    """The lecture's own studies at smoke: where, and of how many units, enough to support what is true of every one."""

    folder: Path
    units: int = 14


@pytest.fixture(scope="session")
def lecture_run(tmp_path_factory, request):
    """One for all tests, in all their processes: each part is trained once, by whichever asks first."""
    above = tmp_path_factory.getbasetemp()
    folder = (above.parent if hasattr(request.config, "workerinput") else above) / "lecture"
    folder.mkdir(exist_ok=True)
    return LectureRun(folder)


@pytest.fixture
def studies(tmp_path):
    """A copy of the tiny studies that a test may change."""
    folder = tmp_path / "studies"
    shutil.copytree(SOURCE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session")
def status_of():
    """status_of("run", "coin", ...): the command's main in the working directory; gives its exit status."""
    from claimcheck import cli

    def call(*words):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["claimcheck", *map(str, words)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return ended.value.code or 0

    return call


@pytest.fixture
def command(studies, tmp_path, monkeypatch, capsys, status_of):
    """command("run", "coin", ...): the same in the test's folder with the tiny studies; gives status, output, errors."""
    monkeypatch.chdir(tmp_path)
    return lambda *words: (status_of(*words), *capsys.readouterr())


@pytest.fixture
def edit(studies):
    """edit("coin", function): apply `function` to the parsed study.yaml, in place, and write it back."""

    def apply(name, change):
        path = studies / name / "study.yaml"
        raw = read_yaml(path)
        change(raw)
        path.write_text(yaml.safe_dump(raw, sort_keys=False))
        return path

    return apply


@pytest.fixture
def config(studies, tmp_path):
    """Configuration at smoke scale with results under the test's folder."""
    from claimcheck.spec.reading import load_config

    return load_config(
        None,
        {"scale": "smoke", "device": "cpu", "studies_dir": str(studies)}
        | {f"{name}_dir": str(tmp_path / name) for name in ("results", "reports", "data")},
    )


@pytest.fixture
def locate(config):
    """locate("coin"): a study's results as its files stand now, on a machine with neither GPU nor compiler."""
    from claimcheck.results.state import Machine
    from claimcheck.results.state import locate as located
    from claimcheck.spec.reading import load_study

    def find(name, machine=None, **changes):
        chosen = config.model_copy(update=changes)
        return located(load_study(chosen.studies_dir, name), chosen, machine or Machine())

    return find


@pytest.fixture
def plant(tmp_path):
    """plant(spec={old: new}, statistics=…, runs=…): the planted study with replacements in its files, loaded.

    Each call writes a folder of its own, since a study's modules are imported once.
    """
    from claimcheck.spec.reading import load_study

    written = []

    def make(spec=None, statistics=None, runs=None):
        folder = tmp_path / f"planted-{len(written)}"
        shutil.copytree(PLANTED, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name, changes in (("study.yaml", spec), ("statistics.py", statistics), ("runs.py", runs)):
            replace(folder / "planted" / name, changes or {})
        written.append(folder)
        return load_study(folder, "planted")

    return make


@pytest.fixture
def run_planted(tmp_path):
    """Run the planted study and change its records, if asked, as if the run had made them so; gives its results."""
    from claimcheck.results.state import Machine, locate
    from claimcheck.running import runner
    from claimcheck.spec.config import Config

    def run(study, change=None, scale="quick", seeds=None, results_dir=tmp_path / "results"):
        folders = {"results_dir": results_dir, "reports_dir": tmp_path / "reports", "data_dir": tmp_path / "data"}
        config = Config(scale=scale, seeds=seeds, device="cpu", studies_dir=study.folder.parent, **folders)
        results = locate(study, config, Machine())
        runner.run_parts(results, results.parts)
        runner.assemble(results)
        if change is not None:
            _rewrite(results, change)
        return results

    return run


@pytest.fixture
def rewrite():
    """rewrite(results, function): other records under the same name, with a provenance that vouches for them."""
    return _rewrite


def replace(path, changes):
    """Put each new text in the place of an old one that must be there."""
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, f"{path.name} holds no {old!r}"
        text = text.replace(old, new)
    path.write_text(text)


def _rewrite(results, change):
    from claimcheck.files import sha256
    from claimcheck.results import records as recording
    from claimcheck.results.provenance import write_provenance

    facts = results.read_provenance()
    recording.write(results.records, change(recording.read(results.records)))
    files = {**facts.files, "records.parquet": sha256(results.records)}
    write_provenance(results.provenance, facts.model_copy(update={"files": files}))
