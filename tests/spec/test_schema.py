"""The JSON schema and the page of keys say what the models accept, no more and no less."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from claimcheck.files import read_yaml
from claimcheck.spec import schema
from claimcheck.spec.measures import Measure
from claimcheck.spec.models import Controls, Prediction
from claimcheck.spec.parts import Part

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
STUDIES = sorted(path.parent.name for path in (ROOT / "studies").glob("*/study.yaml"))


def blocks(section: str) -> list:
    """What the YAML of a section of the page says."""
    text = schema.keys_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def validator():
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema.schema())
    return jsonschema.Draft202012Validator(schema.schema())


@pytest.mark.parametrize(("file", "text"), [(schema.SCHEMA, schema.schema_text), (schema.KEYS, schema.keys_text)])
def test_what_is_in_docs_is_what_the_models_say(file, text):
    written = (DOCS / file).read_text(encoding="utf-8")
    assert written == text(), "run `python -m claimcheck.spec.schema`"


def test_every_key_is_described():
    made = schema.schema()
    for name, body in {**made["$defs"], "study.yaml": made}.items():
        bare = [key for key, said in body["properties"].items() if not said.get("description")]
        assert not bare, f"{name}: no description of {', '.join(bare)}"


def test_every_key_is_on_the_page():
    page = schema.keys_text()
    assert "[[" not in page.replace("[[a", "")
    for model in schema.SECTIONS:
        for key in model.model_fields:
            assert f"| `{key}`" in page


@pytest.mark.parametrize("name", STUDIES)
def test_the_schema_accepts_what_the_studies_say(name):
    said = read_yaml(ROOT / "studies" / name / "study.yaml")
    faults = [
        f"{'.'.join(map(str, fault.absolute_path))}: {fault.message[:200]}" for fault in validator().iter_errors(said)
    ]
    assert faults == []


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda said: said.update(tilte="x"), "tilte"),
        (lambda said: said["claims"][0]["predictions"][0].update(regoin=[0, 1]), "regoin"),
        (lambda said: said["claims"][0]["predictions"][0].update(measure={"valeu": "a"}), "valeu"),
        (lambda said: said["parts"]["a"].update(seed=4), "seed"),
    ],
)
def test_the_schema_refuses_a_misspelt_key(change, key):
    prediction = {"id": "p", "says": "x", "part": "a", "measure": {"value": "b"}, "region": [0, None], "why": "x"}
    said = {
        "title": "x",
        "question": "x",
        "sections": ["x"],
        "method": "x",
        "parts": {"a": {"units": 4}},
        "scales": {"quick": {"seeds": 4}},
        "claims": [{"id": "x", "predictions": [prediction]}],
    }
    check = validator()
    assert check.is_valid(said)
    assert check.is_valid({**said, "scales": {"smoke": None, "quick": {}}}), "a scale may be left empty"
    change(said)
    assert key in json.dumps(
        [fault.message for fault in check.iter_errors(said)] + [str(f.context) for f in check.iter_errors(said)]
    )


def test_the_pages_examples_are_valid():
    for said in [said for block in blocks("A measure") for said in block]:
        Measure(**said)
    for said in blocks("A part")[0]["parts"].values():
        Part(**said)
    Prediction(**{("on" if key is True else key): value for key, value in blocks("A prediction")[0][0].items()})
    Controls(**blocks("Controls")[0]["controls"])


def test_the_pages_links_lead_to_its_sections():
    page = schema.keys_text()
    anchors = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)$", page, re.M)
    }
    assert set(re.findall(r"\]\(#(.*?)\)", page)) <= anchors


def test_both_files_are_written_by_one_command(tmp_path):
    schema.main(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([schema.SCHEMA, schema.KEYS])
