"""A folder of two tiny studies to read, break and run."""

import shutil
from pathlib import Path

import pytest
import yaml

SOURCE = Path(__file__).parent / "end_to_end" / "studies"


@pytest.fixture
def studies(tmp_path):
    """A copy of the tiny studies that a test may change."""
    folder = tmp_path / "studies"
    shutil.copytree(SOURCE, folder)
    return folder


@pytest.fixture
def edit(studies):
    """edit("coin", function): apply `function` to the parsed study.yaml, in place, and write it back."""

    def apply(name, change):
        path = studies / name / "study.yaml"
        raw = yaml.safe_load(path.read_text())
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
        {"scale": "smoke", "device": "cpu", "studies_dir": str(studies), "results_dir": str(tmp_path / "results")},
    )
